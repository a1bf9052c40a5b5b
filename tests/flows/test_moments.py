"""One timer for all moments: nothing is forgotten, whatever fails; and nothing runs where nothing is due."""

import sqlite3
from pathlib import Path

import pytest

from connector.dsp.terms import Role
from connector.errors import Unavailable
from connector.flows.moments import Moments
from connector.flows.tasks import Tasks
from connector.odrl.compile import compile_policy
from connector.odrl.facts import Facts
from connector.odrl.model import parse
from connector.store import courses
from connector.store.database import Database
from connector.store.schema import STEPS
from tests.dataspace import START, SimulatedClock


class Rows:
    """Moments of a test, and at which time each was seen to."""

    def __init__(self, clock: SimulatedClock, *moments: float) -> None:
        self.clock, self.moments = clock, sorted(moments)
        self.seen: list[tuple[float, float]] = []
        self.failing = False

    def first(self) -> float | None:
        return self.moments[0] if self.moments else None

    async def act(self, now: float) -> None:
        if self.failing:
            raise Unavailable("the disk is full")
        if self.moments and self.moments[0] <= now:
            self.seen.append((self.moments.pop(0), now))


async def passed(clock: SimulatedClock, tasks: Tasks, until: float) -> None:
    """The time goes on, and whatever comes of it is done."""
    while True:
        while tasks.running:
            await next(iter(tasks.running))
        if not clock.advance(until):
            return


async def test_moments_come_in_order_and_in_time() -> None:
    """Each row is seen to at its moment, those that are past at once, and one timer is all that waits."""
    clock, tasks = SimulatedClock(), Tasks()
    one = Rows(clock, START - 5, START + 10, START + 10, START + 30)
    other = Rows(clock, START + 20)
    moments = Moments(clock, tasks, (one, other))
    moments.look()
    await passed(clock, tasks, START + 1)
    assert len([timer for timer in clock._timers if timer[2].call]) == 1
    other.moments.insert(0, START + 5)
    moments.look()  # an earlier one has been written
    await passed(clock, tasks, START + 100)
    assert one.seen == [(START - 5, START), *[(START + 10, START + 10)] * 2, (START + 30, START + 30)]
    assert other.seen == [(START + 5, START + 5), (START + 20, START + 20)]
    assert not clock.advance(float("inf"))


async def test_what_fails_is_tried_again() -> None:
    """A store that can't be written delays what is due; it neither loses it nor is asked without a pause."""
    clock, tasks = SimulatedClock(), Tasks()
    one = Rows(clock, START + 10)
    moments = Moments(clock, tasks, (one,))
    one.failing = True
    moments.look()
    await passed(clock, tasks, START + 12)
    assert one.seen == []
    one.failing = False
    await passed(clock, tasks, START + 60)
    assert one.seen == [(START + 10, START + 15)]


async def test_a_node_that_stops_does_no_more() -> None:
    """After it is closed nothing comes, however it is asked."""
    clock, tasks = SimulatedClock(), Tasks()
    one = Rows(clock, START + 10)
    moments = Moments(clock, tasks, (one,))
    moments.look()
    moments.close()
    moments.look()
    await passed(clock, tasks, START + 60)
    assert one.seen == []


async def test_an_older_store_learns_its_moments(tmp_path: Path) -> None:
    """Agreements in force from before there were moments have one, to be worked out; others have none."""
    path = tmp_path / "anode.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("".join(STEPS[:2]) + "PRAGMA user_version = 2;")
    row = "INSERT INTO agreements VALUES ('PROVIDER', ?, 'did:web:c', 'urn:x:d', '{}', 'x', 1.0, 'n', ?)"
    connection.executemany(row, [("urn:x:a", 1), ("urn:x:b", 0)])
    connection.commit()
    connection.close()
    db = Database(path)
    assert [course.agreement for course in courses.due(db.read, 1.0, 10)] == ["urn:x:a"]
    assert courses.find(db.read, Role.PROVIDER, "urn:x:b", "did:web:c") is None
    await db.close()


@pytest.mark.parametrize(
    ("constraints", "turn", "over"),
    [
        ([], None, None),
        ([("dateTime", "gteq", "1970-01-01T00:01:00Z")], 60.0, None),
        ([("dateTime", "lt", "1970-01-01T00:01:00Z")], 60.0, 60.0),
        ([("dateTime", "lt", "1960-01-01T00:00:00Z")], None, 10.0),
        (
            [("dateTime", "gteq", "1970-01-01T00:01:00Z"), ("dateTime", "lt", "1970-01-01T00:02:00Z")],
            60.0,
            120.0,
        ),
        ([("nonsense", "eq", "1")], None, 10.0),
    ],
)
def test_the_course_of_a_policy(
    constraints: list[tuple[str, str, str]], turn: float | None, over: float | None
) -> None:
    """Where it turns next, and from where on it can never allow again, by its constraints on time."""
    written = [
        {"leftOperand": left, "operator": how, "rightOperand": right} for left, how, right in constraints
    ]
    policy = compile_policy(parse({"@type": "Set", "permission": [{"action": "use", "constraint": written}]}))
    facts = Facts(10.0, "did:web:c", 0.0, phase="transfer")
    assert (policy.turn(facts), policy.over(facts)) == (turn, over)
