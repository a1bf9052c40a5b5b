"""The count of uses: exact near its end, cheap far from it, and never too low on the disk."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connector.errors import Unavailable
from connector.flows.uses import AHEAD, Counter
from connector.odrl.compile import Compiled, compile_policy
from connector.odrl.facts import Facts
from connector.odrl.model import parse
from connector.store import uses
from connector.store.database import Database
from connector.store.uses import Uses

FEW, MANY = 10, 1_000_000
PEER = "did:web:peer.example"
KEY = ("urn:x:a", PEER)
NOW = 1_800_000_000.0


def policy(limit: int, *more: dict[str, str]) -> Compiled:
    count = {"leftOperand": "odrl:count", "operator": "lteq", "rightOperand": str(limit)}
    permission = {"action": "use", "constraint": [count, *more]}
    return compile_policy(parse({"@type": "Set", "@id": "urn:x:p", "permission": [permission]}))


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "anode.sqlite")
    yield database
    await database.close()


def on_disk(db: Database) -> Uses:
    return uses.of(db.read, *KEY)


async def use(counter: Counter, terms: Compiled, now: float = NOW) -> bool:
    """One request; whether it may."""
    before = counter.now(KEY)
    facts = Facts(now, PEER, NOW, uses=before.number, last_use=before.last)
    decision = terms.decide(facts)
    if decision.permitted:
        decision, _ = await counter.count(terms, KEY, facts, decision)
    return decision.permitted


async def test_each_of_few_uses_is_on_disk(db: Database) -> None:
    """Near the limit the disk has the true number at each moment."""
    counter = Counter(db)
    for number in range(FEW):
        assert await use(counter, policy(FEW))
        assert on_disk(db).number == number + 1
    assert not await use(counter, policy(FEW))
    assert on_disk(db).number == FEW


async def test_many_uses_are_counted_ahead(db: Database) -> None:
    """Far from the limit the disk is never behind, seldom written, and right once the node has stopped."""
    counter, terms, writes = Counter(db), policy(MANY), []
    db._writer.set_trace_callback(lambda sql: writes.append(sql) if sql.startswith("INSERT") else None)
    for number in range(1, 1001):
        assert await use(counter, terms)
        assert number <= on_disk(db).number <= number + AHEAD
    assert len(writes) <= 1000 // (AHEAD // 2) + 1
    await counter.close()
    assert on_disk(db) == Uses(1000, NOW, NOW)


async def test_a_crash_counts_too_many_never_too_few(db: Database) -> None:
    """Who takes over after a death goes on from what is on disk."""
    for crash in range(1, 4):
        counter = Counter(db)
        assert await use(counter, policy(MANY))
        assert crash <= on_disk(db).number <= crash * (AHEAD + 1)
        assert Counter(db).now(KEY) == on_disk(db)


async def test_near_its_end_counting_becomes_exact(db: Database) -> None:
    """With every use taken at once, as many are granted as the policy says, crash or not."""
    limit = 101 * AHEAD
    counter = Counter(db)
    granted = 0
    while True:
        found = await asyncio.gather(*(use(counter, policy(limit)) for _ in range(200)))
        granted += sum(found)
        if not all(found):
            break
    assert granted == limit
    assert on_disk(db).number == limit
    assert not await use(Counter(db), policy(limit))


async def test_the_time_of_the_last_use_is_never_ahead(db: Database) -> None:
    """Where the pause between uses matters, each use is written with its time."""
    pause = {"leftOperand": "odrl:timeInterval", "operator": "gteq", "rightOperand": "PT1H"}
    counter, terms = Counter(db), policy(MANY, pause)
    assert await use(counter, terms)
    assert not await use(counter, terms, NOW + 3599)
    assert await use(counter, terms, NOW + 3600)
    assert on_disk(db) == Uses(2, NOW, NOW + 3600)


@pytest.mark.parametrize("limit", [FEW, MANY])
async def test_what_can_not_be_kept_is_not_used(db: Database, limit: int) -> None:
    """A disk that refuses costs no use, and no pause."""
    counter = Counter(db)
    db._writer.execute("PRAGMA query_only = 1")
    with pytest.raises(Unavailable):
        await use(counter, policy(limit))
    assert counter.now(KEY) == Uses(0, math.inf, -math.inf)
    db._writer.execute("PRAGMA query_only = 0")
    assert await use(counter, policy(limit))
    assert counter.now(KEY) == Uses(1, NOW, NOW)


async def test_what_is_taken_back_may_be_used(db: Database) -> None:
    """A use that was not served after all is there again, in whatever order others came."""
    counter, terms = Counter(db), policy(2)
    await use(counter, terms)
    first = counter.now(KEY)
    await use(counter, terms)
    assert not await use(counter, terms)
    counter.take_back(KEY, Uses())
    assert counter.now(KEY).number == first.number
    assert await use(counter, terms)
    assert not await use(counter, terms)
    assert on_disk(db).number == 2


async def test_agreements_beyond_what_is_kept_in_memory(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tally that had to go is read again, and counts at least what was used."""
    monkeypatch.setattr("connector.flows.uses._KEPT", 1)
    counter = Counter(db)
    assert await use(counter, policy(2))
    assert counter.now(("urn:x:other", PEER)).number == 0
    assert await use(counter, policy(2))
    assert counter.now(("urn:x:other", PEER)).number == 0
    assert not await use(counter, policy(2))
