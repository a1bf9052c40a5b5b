"""Every interleaving of crossing messages, lost answers and retries, for both protocols.

Two processes, one per role, joined by a wire that holds at most one message of each (a courier sends one
at a time). A message is taken by the peer, its answer is then delivered or lost; a lost one is retried.
Either side may at any moment send whatever its table allows. The search visits every reachable
combination and looks at those where nothing is under way: both sides must be in the same state.
"""

from collections import deque
from dataclasses import dataclass, replace

import pytest

from connector.dsp import negotiation, transfer
from connector.dsp.process import Process, Table, acknowledged, receive, send
from connector.dsp.terms import FINAL, Kind, Role, Subject
from connector.errors import LocalProtocolError, RemoteProtocolError, Unavailable


@dataclass(frozen=True)
class Side:
    """A process, the id of its pending message, and its slot on the wire."""

    process: Process
    pending_id: str | None = None
    wire: tuple[Kind, str] | None = None
    answer: str | None = None
    """`ok` or `later` while an answer travels back."""


@dataclass(frozen=True)
class World:
    consumer: Side
    provider: Side
    serial: int = 0

    def key(self) -> tuple[object, ...]:
        """What the future depends on: ids count only through whether the peer has taken them."""
        return tuple(
            (
                mine.process.state,
                mine.process.pending,
                mine.wire and mine.wire[0],
                mine.wire is not None and mine.wire[1] == mine.pending_id,
                mine.wire is not None and mine.wire[1] in other.process.accepted,
                mine.pending_id in other.process.accepted,
                mine.answer,
            )
            for mine, other in ((self.consumer, self.provider), (self.provider, self.consumer))
        )


def start(table: Table, subject: Subject, opener: Role) -> World:
    """One side has written the message that opens the process; the other knows nothing."""
    sides = {role: Side(Process(subject, role, role.lower(), "peer", "p", "http://p")) for role in Role}
    (kind,) = table[opener][None]
    sides[opener] = Side(send(table, sides[opener].process, kind), "opening")
    return World(sides[Role.CONSUMER], sides[Role.PROVIDER])


def put(world: World, who: str, side: Side, other: Side | None = None) -> World:
    name = {"consumer": "provider", "provider": "consumer"}[who]
    changed = replace(world, **{who: side})
    return replace(changed, **{name: other}) if other else changed


def moves(table: Table, world: World):
    """Every world one step away."""
    for who, name in (("consumer", "provider"), ("provider", "consumer")):
        side: Side = getattr(world, who)
        other: Side = getattr(world, name)
        process = side.process
        if process.pending is None and process.state is not None:
            for kind in table[process.role].get(process.state, {}):
                try:
                    sent = send(table, process, kind)
                except LocalProtocolError:
                    continue
                new = replace(side, process=sent, pending_id=f"{who}{world.serial}")
                yield replace(put(world, who, new), serial=world.serial + 1)
        elif process.pending is not None and side.wire is None:
            yield put(world, who, replace(side, wire=(process.pending, side.pending_id)))
        if side.wire and side.answer is None:
            kind, message_id = side.wire
            in_flight = other.wire is not None and other.wire[1] == other.pending_id
            try:
                taken = receive(table, other.process, kind, message_id, in_flight).process
                answer = "ok"
            except Unavailable:
                taken, answer = other.process, "later"
            except RemoteProtocolError:
                taken, answer = other.process, "refused"
            new_other = replace(other, process=taken)
            if taken.pending is None:
                new_other = replace(new_other, pending_id=None)
            yield put(world, who, replace(side, answer=answer), new_other)
        if side.answer == "ok" and side.wire[1] == side.pending_id:
            yield put(world, who, Side(acknowledged(table, process)))
        if side.answer:
            yield put(world, who, replace(side, wire=None, answer=None))  # lost, or to be tried again
        if side.answer == "refused" and side.wire[1] == side.pending_id:
            yield put(world, who, Side(replace(process, pending=None)))


def explore(table: Table, subject: Subject, opener: Role) -> list[World]:
    first = start(table, subject, opener)
    seen = {first.key()}
    queue, worlds = deque([first]), []
    while queue:
        world = queue.popleft()
        worlds.append(world)
        for successor in moves(table, world):
            if successor.key() not in seen:
                seen.add(successor.key())
                queue.append(successor)
    return worlds


def at_rest(world: World) -> bool:
    return not any((s.process.pending, s.wire)[i] for s in (world.consumer, world.provider) for i in (0, 1))


@pytest.mark.parametrize(
    ("table", "subject", "opener"),
    [
        (negotiation.TRANSITIONS, Subject.NEGOTIATION, Role.CONSUMER),
        (negotiation.TRANSITIONS, Subject.NEGOTIATION, Role.PROVIDER),
        (transfer.TRANSITIONS, Subject.TRANSFER, Role.CONSUMER),
    ],
    ids=["negotiation", "offered negotiation", "transfer"],
)
def test_both_sides_come_to_rest_in_the_same_state(table: Table, subject: Subject, opener: Role) -> None:
    """From the first message on, whatever crosses, is lost or repeated, two processes at rest agree about
    their state."""
    worlds = explore(table, subject, opener)
    differing = {
        (w.consumer.process.state, w.provider.process.state)
        for w in worlds
        if at_rest(w) and w.consumer.process.state is not w.provider.process.state
    }
    print(len(worlds), "worlds")
    assert not differing
    ends = {w.consumer.process.state for w in worlds if at_rest(w)} & FINAL
    assert len(ends) == 2, "the search reaches both ways to end"
