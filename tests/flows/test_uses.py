"""The count of uses: exact near its end, cheap far from it, and never too low on the disk."""

import asyncio
import contextlib
import math
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connector.errors import Unavailable
from connector.flows.uses import AHEAD, Asked, Counter, Counting, Key, Use, counting
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


async def use(counter: Counter, terms: Compiled, now: float = NOW, key: Key = KEY) -> Use | None:
    """One request; the use that it was, if it may."""
    begun = counter.begin("urn:x:transfer", key, Asked())
    how = counting(terms)
    assert how is not None
    facts = Facts(now, PEER, NOW, uses=begun.before.number, last_use=begun.before.last)
    decision = terms.decide(facts)
    if decision.permitted:
        decision, begun = await counter.count(how, key, facts, decision, begun)
    return begun if decision.permitted else None


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
    for number in range(1, 2 * AHEAD + 1):
        assert await use(counter, terms)
        assert number <= on_disk(db).number <= number + AHEAD
    assert len(writes) <= 8
    await counter.close()
    assert on_disk(db) == Uses(2 * AHEAD, NOW, NOW)


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
    await db.write(lambda tx: uses.keep(tx, *KEY, Uses(99 * AHEAD, NOW, NOW)))
    counter = Counter(db)
    granted = 99 * AHEAD
    while True:
        found = await asyncio.gather(*(use(counter, policy(limit)) for _ in range(200)))
        granted += sum(one is not None for one in found)
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
    first, second = await use(counter, terms), await use(counter, terms)
    assert not await use(counter, terms)
    for back in (first, second):
        assert back is not None
        counter.undo("urn:x:transfer", KEY, back)
    assert counter.now(KEY).number == 0
    assert await use(counter, terms)
    assert await use(counter, terms)
    assert not await use(counter, terms)
    assert on_disk(db).number == 2


async def test_a_pause_is_kept_whatever_is_taken_back(db: Database) -> None:
    """The last use that was served counts, when one before it, or one begun before it, is taken back."""
    pause = {"leftOperand": "odrl:timeInterval", "operator": "gteq", "rightOperand": "PT10S"}
    counter, terms = Counter(db), policy(FEW, pause)
    one, two = await use(counter, terms), await use(counter, terms, NOW + 10)
    assert one is not None
    assert two is not None
    counter.undo("urn:x:transfer", KEY, one)
    assert await use(counter, terms, NOW + 20)
    counter.undo("urn:x:transfer", KEY, two)
    assert not await use(counter, terms, NOW + 29)
    assert on_disk(db).last == NOW + 20
    assert counter.now(KEY).number == 1


@pytest.mark.parametrize(
    ("limits", "used", "ahead"),
    [
        ((), 0, AHEAD),
        ((99,), 0, 0),
        ((200,), 0, 2),
        ((200,), 200, 0),
        ((200,), 201, AHEAD),
        ((3, 10_000), 4, 99),
        ((1_000_000,), 0, AHEAD),
    ],
)
def test_ahead_only_where_nothing_turns(limits: tuple[int, ...], used: int, ahead: int) -> None:
    """Whatever the operator: a hundredth of the way to the next number that counts."""
    assert Counting(policy(FEW), limits, pauses=False).ahead(used) == ahead
    assert Counting(policy(FEW), limits, pauses=True).ahead(used) == 0


async def test_more_agreements_than_memory_keeps(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tally that had to go is read again and is the same; of more none is counted ahead."""
    monkeypatch.setattr("connector.flows.uses._KEPT", 1)
    counter = Counter(db)
    for number in range(10):
        assert counter.now((f"urn:x:{number}", PEER)).number == 0
        assert await use(counter, policy(MANY))
        assert on_disk(db).number == number + 1
        assert len(counter._tallies) <= 2


async def test_who_comes_after_the_close_is_counted(db: Database) -> None:
    """A request that is still under way when the node stops is on disk before it is served."""
    counter = Counter(db)
    assert await use(counter, policy(MANY))
    await asyncio.gather(counter.close(), use(counter, policy(MANY)))
    assert on_disk(db).number >= 2


@pytest.mark.parametrize("seed", range(20))
async def test_no_use_too_many_whatever_happens(
    db: Database, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests at once, a disk that refuses, uses taken back, agreements beyond memory, deaths and stops: the
    disk is never behind what was served, and no more is served than was agreed."""
    dice = random.Random(seed)
    for name, value in (("AHEAD", 8), ("_SHARE", 5), ("_KEPT", dice.choice([1, 2, 1000]))):
        monkeypatch.setattr(f"connector.flows.uses.{name}", value)
    limit = dice.choice([3, 60, 200])
    terms = policy(limit)
    served = {(f"urn:x:{name}", PEER): 0 for name in "abc"}
    write = db.write

    async def pause() -> None:
        for _ in range(dice.randrange(4)):
            await asyncio.sleep(0)

    async def unsure(step: Any) -> Any:
        if dice.random() < 0.15:
            await pause()
            raise Unavailable("no room")
        return await write(step)

    async def request(counter: Counter) -> None:
        key = dice.choice(list(served))
        await pause()
        with contextlib.suppress(Unavailable):
            if (found := await use(counter, terms, key=key)) is None:
                return
            await pause()
            if dice.random() < 0.3:
                counter.undo("urn:x:transfer", key, found)
                return
            served[key] += 1
            assert uses.of(db.read, *key).number >= served[key]

    db.write = unsure  # type: ignore[method-assign]  # the same, on a disk that sometimes has no room
    for _ in range(3):
        counter = Counter(db)
        await asyncio.gather(*(request(counter) for _ in range(dice.choice([20, 200]))))
        if dice.random() < 0.5:
            await counter.close()
    assert all(count <= limit for count in served.values())
    assert all(uses.of(db.read, *key).number >= count for key, count in served.items())
