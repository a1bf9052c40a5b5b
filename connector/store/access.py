"""Tokens of the data plane: which transfer a digest opens, and which pair of tokens is the newest.

Tokens come in pairs (one for access, one to refresh), numbered for each transfer. A pair lives until a
newer one is used for the first time; so an answer with new tokens may be lost without locking anyone out.
"""

import hashlib
import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Token:
    """What a digest stands for."""

    transfer: str
    pair: int
    refreshes: bool
    expires: float


def digest_of(token: str) -> bytes:
    """What the store keeps of a token."""
    return hashlib.sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True)
class Right:
    """An access token with all that a first request needs to know of its agreement."""

    transfer: str
    pair: int
    expires: float
    participant: str
    agreement: str
    dataset: str
    rules: str
    """Digest of the agreement's policy."""
    agreed: float
    ends_older: bool
    """Whether using it makes an earlier pair void."""


def right(connection: sqlite3.Connection, digest: bytes) -> Right | None:
    """What the access token with this digest opens, under an agreement in force."""
    row = connection.execute(
        "SELECT t.transfer, t.pair, t.expires, p.participant, a.id, a.dataset, a.digest, a.agreed, "
        "EXISTS (SELECT 1 FROM tokens o WHERE o.transfer = t.transfer AND o.pair < t.pair) "
        "FROM tokens t JOIN processes p ON p.pid = t.transfer JOIN agreements a ON a.role = 'PROVIDER' "
        "AND a.id = json_extract(p.details, '$.agreement') AND a.participant = p.participant "
        "WHERE t.digest = ? AND NOT t.refreshes AND a.in_force",
        (digest,),
    ).fetchone()
    return None if row is None else Right(*row)


def token(connection: sqlite3.Connection, digest: bytes) -> Token | None:
    """The token with this digest, expired or not."""
    row = connection.execute(
        "SELECT transfer, pair, refreshes, expires FROM tokens WHERE digest = ?", (digest,)
    ).fetchone()
    return None if row is None else Token(row[0], row[1], bool(row[2]), row[3])


def issue(
    tx: sqlite3.Connection,
    transfer: str,
    access: bytes,
    refresh: bytes,
    access_ends: float,
    refresh_ends: float,
) -> None:
    """Add a pair; the one in use stays valid until this one is used."""
    pair = (tx.execute("SELECT max(pair) FROM tokens WHERE transfer = ?", (transfer,)).fetchone()[0] or 0) + 1
    tx.execute(
        "INSERT INTO tokens VALUES (?,?,?,0,?), (?,?,?,1,?)",
        (access, transfer, pair, access_ends, refresh, transfer, pair, refresh_ends),
    )
    # Alive are the oldest (in use) and the newest few: some of them may have been lost on the way.
    tx.execute(
        "DELETE FROM tokens WHERE transfer = ?1 AND pair < ?2 AND pair > "
        "(SELECT min(pair) FROM tokens WHERE transfer = ?1)",
        (transfer, pair - 3),
    )


def retire_older(tx: sqlite3.Connection, transfer: str, pair: int) -> None:
    """This pair has been used: earlier ones are void."""
    tx.execute("DELETE FROM tokens WHERE transfer = ? AND pair < ?", (transfer, pair))


def revoke(tx: sqlite3.Connection, transfer: str) -> None:
    """No token opens this transfer any more."""
    tx.execute("DELETE FROM tokens WHERE transfer = ?", (transfer,))
