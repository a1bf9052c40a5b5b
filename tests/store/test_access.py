"""Tokens come in pairs, and a pair lives until a newer one is used."""

from pathlib import Path

import pytest

from connector.store import access
from connector.store.access import Token, digest_of
from connector.store.database import Database


@pytest.fixture
async def db(tmp_path: Path):
    database = Database(tmp_path / "anode.sqlite")
    yield database
    await database.close()


async def issue(db: Database, number: int, transfer: str = "t") -> None:
    def step(tx) -> None:
        mine = f"{transfer}{number}"
        access.issue(tx, transfer, digest_of(f"a{mine}"), digest_of(f"r{mine}"), 10.0, 20.0)

    await db.write(step)


def alive(db: Database, transfer: str = "t") -> list[int]:
    """The numbers of the pairs whose access token opens something."""
    return [n for n in range(20) if access.token(db.read, digest_of(f"a{transfer}{n}"))]


async def test_a_pair_is_one_token_to_read_and_one_to_refresh(db: Database) -> None:
    """Each half of a pair has its own purpose and end; the store knows only digests."""
    await issue(db, 1)
    assert access.token(db.read, digest_of("at1")) == Token("t", 1, False, 10.0)
    assert access.token(db.read, digest_of("rt1")) == Token("t", 1, True, 20.0)
    assert access.token(db.read, digest_of("at2")) is None
    stored = b"".join(d for (d,) in db.read.execute("SELECT digest FROM tokens"))
    assert b"at1" not in stored


async def test_an_older_pair_lives_until_a_newer_one_is_used(db: Database) -> None:
    """Issuing harms nobody; using the newer pair voids the older, of this transfer only."""
    for number in (1, 2):
        await issue(db, number)
    await issue(db, 1, "other")
    assert alive(db) == [1, 2]
    await db.write(lambda tx: access.retire_older(tx, "t", 2))
    assert alive(db) == [2]
    assert alive(db, "other") == [1]


async def test_answers_that_are_lost_again_and_again_do_not_pile_up(db: Database) -> None:
    """Of many pairs that were never used the one in use and the newest few live."""
    for number in range(10):
        await issue(db, number)
    assert alive(db) == [0, 6, 7, 8, 9]


async def test_revoking_leaves_nothing(db: Database) -> None:
    """After a transfer has stopped none of its tokens is known."""
    for number in range(3):
        await issue(db, number)
    await issue(db, 0, "other")
    await db.write(lambda tx: access.revoke(tx, "t"))
    assert alive(db) == []
    assert access.token(db.read, digest_of("rt2")) is None
    assert alive(db, "other") == [0]
