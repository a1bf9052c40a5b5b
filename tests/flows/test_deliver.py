"""Messages are carried until they are acknowledged, refused, or too late: in simulated time."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from connector.dsp.process import Process
from connector.dsp.terms import Kind, Role, State, Subject
from connector.errors import LocalProtocolError, Unavailable
from connector.node import Node
from connector.peers.client import Answer
from connector.store import processes as rows
from tests.dataspace import START, Dataspace, Weather

POLICIES = {"open": {"offer": "everyone", "allow": "use"}}
DATASETS = [{"id": "urn:x:battery", "title": "B", "offers": ["open"], "source": {"inline": 1}}]
DELIVERY = {"first_retry": 1.0, "longest_retry": 60.0, "deadline": 3600.0}


class Wire:
    """What a test lets the network answer to certain messages, and when each of them came by."""

    def __init__(self, space: Dataspace) -> None:
        self.space, self.seen = space, list[tuple[float, str]]()
        self.answers: dict[str, Answer | Unavailable] = {}
        """By the end of the path; what is not here is delivered."""
        space.network.censor = self

    def __call__(self, url: str) -> Answer | None:
        self.seen.append((self.space.clock.now() - START, url.rpartition("/dsp")[2]))
        for end, answer in self.answers.items():
            if url.endswith(end):
                if isinstance(answer, Unavailable):
                    raise answer
                return answer
        return None

    def times(self, end: str) -> list[float]:
        return [at for at, path in self.seen if path.endswith(end)]


@pytest.fixture
async def space(tmp_path: Path) -> AsyncIterator[Dataspace]:
    async with Dataspace(tmp_path, 2, policies=POLICIES, datasets=DATASETS, delivery=DELIVERY) as space:
        yield space


async def request(space: Dataspace) -> Process:
    consumer, provider = space.nodes
    offer = provider.catalog.terms["open"].document("urn:x:battery")
    return await consumer.negotiations.request(provider.participant, provider.address, offer)


def sides(space: Dataspace) -> tuple[Process, Process]:
    [(consumer, provider)] = space.pairs(Subject.NEGOTIATION)
    assert provider is not None
    return consumer, provider


def notes(node: Node, process: Process) -> list[str]:
    return [step.note or "" for step in rows.history(node.db.read, process.pid)]


async def test_the_pauses_grow_to_a_longest_and_vary(space: Dataspace) -> None:
    """Each pause doubles, give or take a quarter, up to the longest; at the deadline a last try, and then the
    process ends as TERMINATED, saying what happened."""
    wire = Wire(space)
    wire.answers["/request"] = Unavailable("the line is cut")
    process = await request(space)
    await space.settle()
    times = wire.times("/request")
    pauses = [after - before for before, after in itertools.pairwise(times)]
    for number, pause in enumerate(pauses[:-1]):
        assert 0.75 <= pause / min(60.0, 2.0**number) <= 1.25
    assert len({round(p, 3) for p in pauses[7:20]}) > 5, "they vary"
    assert times[-1] == 3600.0
    ended = rows.process(space.nodes[0].db.read, process.pid)
    assert ended is not None
    assert ended.state is State.TERMINATED
    assert "before its deadline: the line is cut" in (ended.reason or "")
    assert "try 1 failed: the line is cut" in notes(space.nodes[0], process)
    assert rows.due(space.nodes[0].db.read) == []
    assert nothing_scheduled(space)


def nothing_scheduled(space: Dataspace) -> bool:
    """No timer is left: an idle node does nothing."""
    return not [timer for _, _, timer in space.clock._timers if timer.call is not None]


async def test_the_next_try_can_be_seen(space: Dataspace) -> None:
    """While a message waits, the store says how often it was tried, why it failed and when it goes next."""
    wire = Wire(space)
    wire.answers["/request"] = Answer(503, {}, b"")
    process = await request(space)
    await space.settle(5)
    waiting = rows.outgoing(space.nodes[0].db.read, process.pid)
    assert waiting is not None
    assert waiting.attempts == len(wire.seen) == 3
    assert waiting.next_try > space.clock.now()
    assert "503" in (waiting.problem or "")


@pytest.mark.parametrize(("answer", "least", "most"), [
    (Answer(503, {"retry-after": "120"}, b""), 120, 120),
    (Answer(429, {"retry-after": "7"}, b""), 7, 7),
    (Answer(503, {"retry-after": "Fri, 15 Jan 2027 08:01:30 GMT"}, b""), 90, 90),
    (Answer(503, {"retry-after": "Fri, 15 Jan 2021 08:01:30 GMT"}, b""), 0.75, 1.25),
    (Answer(503, {"retry-after": "Fri, 99 Foo"}, b""), 0.75, 1.25),
    (Answer(409, {}, b""), 0.075, 0.125),
    (Answer(500, {}, b"<html>"), 0.75, 1.25),
])  # fmt: skip
async def test_an_answer_can_say_when(space: Dataspace, answer: Answer, least: float, most: float) -> None:
    """`Retry-After`, in seconds or as a date, is honoured; a conflict (Eclipse EDC's lease) is tried soon."""
    wire = Wire(space)
    wire.answers["/request"] = answer
    await request(space)
    await space.settle(0)
    wire.answers.clear()
    await space.settle()
    first, second = wire.times("/request")
    assert least <= second - first <= most
    consumer, provider = sides(space)
    assert consumer.state is provider.state is State.FINALIZED


async def test_a_peer_that_repeats_itself_costs_no_memory(space: Dataspace) -> None:
    """A time at which a message is tried again is noted once, however often the process is looked at."""
    wire = Wire(space)
    wire.answers["/request"] = Answer(503, {"retry-after": "120"}, b"")
    process = await request(space)
    await space.settle(0)
    courier = space.nodes[0].courier
    waiting = rows.outgoing(space.nodes[0].db.read, process.pid)
    assert waiting is not None
    for _ in range(10):
        courier.wake(process.pid, waiting.next_try)
    assert len(courier._waiting) == 1


async def test_a_retry_after_beyond_the_deadline_does_not_outlive_it(space: Dataspace) -> None:
    """However long a peer asks us to wait, the deadline ends the process."""
    wire = Wire(space)
    wire.answers["/request"] = Answer(503, {"retry-after": "86400"}, b"")
    process = await request(space)
    await space.settle()
    ended = rows.process(space.nodes[0].db.read, process.pid)
    assert ended is not None
    assert ended.state is State.TERMINATED
    assert space.clock.now() - START < 3700


async def test_a_refusal_ends_both_sides_with_its_reason(space: Dataspace) -> None:
    """When a peer answers 400 to our message the process ends TERMINATED on both sides, saying why."""
    wire = Wire(space)
    body = orjson.dumps({"@type": "ContractNegotiationError", "reason": ["these are not my terms"]})
    wire.answers["/agreement"] = Answer(400, {}, body)
    await request(space)
    await space.settle()
    consumer, provider = sides(space)
    assert consumer.state is provider.state is State.TERMINATED
    for process in (consumer, provider):
        assert "these are not my terms" in (process.reason or "")
    assert len(wire.times("/agreement")) == 1


async def test_a_missing_process_is_believed_only_when_repeated(space: Dataspace) -> None:
    """404 may mean "not yet": it is final after five in a row, and not because other things failed before."""
    wire = Wire(space)
    wire.answers["/agreement"] = Unavailable("no route")
    await request(space)
    await space.settle(100)
    tries = len(wire.times("/agreement"))
    assert tries > 5
    wire.answers["/agreement"] = Answer(404, {}, b"")
    await space.settle(200)
    assert sides(space)[1].pending is Kind.AGREE, "not yet"
    wire.answers["/agreement"] = Unavailable("no route")
    await space.settle(100)
    wire.answers["/agreement"] = Answer(404, {}, b"")
    tries = len(wire.times("/agreement"))
    await space.settle()
    assert len(wire.times("/agreement")) == tries + 5
    consumer, provider = sides(space)
    assert consumer.state is provider.state is State.TERMINATED


async def test_an_opening_that_is_not_believed_is_tried_longer(space: Dataspace) -> None:
    """401 is no word about the dataset: a peer that has just started, or a clock, may need some seconds."""
    wire = Wire(space)
    wire.answers["/negotiations/request"] = Answer(401, {}, b"")
    await request(space)
    await space.settle()
    assert len(wire.times("/negotiations/request")) == 5


async def test_an_opening_that_finds_nothing_ends_soon(space: Dataspace) -> None:
    """404 to an opening message means what it says, once repeated: the process ends, nobody else is told."""
    wire = Wire(space)
    wire.answers["/negotiations/request"] = Answer(404, {}, b"")
    await request(space)
    await space.settle()
    assert len(wire.times("/negotiations/request")) == 2
    consumer = space.processes(Subject.NEGOTIATION)[0][1]
    assert consumer.state is State.TERMINATED
    assert "HTTP 404" in (consumer.reason or "")


async def test_a_peer_that_is_back_learns_what_ended_without_it(space: Dataspace) -> None:
    """A process that ended at its deadline leaves a notice, which the peer gets when it can be reached."""
    wire = Wire(space)
    wire.answers["/agreement"] = wire.answers["/termination"] = Unavailable("no route")
    await request(space)
    await space.settle(5000)
    consumer, provider = sides(space)
    assert (consumer.state, provider.state) == (State.REQUESTED, State.TERMINATED)
    assert "no route" in (provider.reason or "")
    wire.answers.clear()
    await space.settle()
    consumer, provider = sides(space)
    assert consumer.state is State.TERMINATED
    assert consumer.reason == provider.reason
    assert nothing_scheduled(space)


async def test_a_notice_that_nobody_takes_is_given_up(space: Dataspace) -> None:
    """The notice has a deadline too: nothing is sent for ever."""
    wire = Wire(space)
    wire.answers["/agreement"] = wire.answers["/termination"] = Unavailable("no route")
    await request(space)
    await space.settle()
    assert rows.due(space.nodes[1].db.read) == []
    assert nothing_scheduled(space)


async def test_waiting_messages_survive_a_restart(tmp_path: Path) -> None:
    """A node that stopped with messages waiting goes on where it was, with the tries it had made."""
    async with Dataspace(tmp_path, 2, policies=POLICIES, datasets=DATASETS, delivery=DELIVERY) as space:
        wire = Wire(space)
        wire.answers["/agreement"] = Unavailable("no route")
        await request(space)
        await space.settle(100)
        before = sides(space)
    async with Dataspace(tmp_path, 2, 1, policies=POLICIES, datasets=DATASETS, delivery=DELIVERY) as space:
        assert sides(space) == before
        waiting = rows.outgoing(space.nodes[1].db.read, before[1].pid)
        assert waiting is not None
        assert waiting.attempts > 3
        await space.settle()
        consumer, provider = sides(space)
        assert consumer.state is provider.state is State.FINALIZED


async def test_one_message_of_a_process_is_on_the_wire_at_a_time(tmp_path: Path) -> None:
    """However slow and lossy the network, no process has two messages of ours under way."""
    weather = Weather(lose_request=0.2, lose_answer=0.2, late=1.0, longest=20)
    async with Dataspace(tmp_path, 2, 3, weather, policies=POLICIES, datasets=DATASETS) as space:
        for _ in range(10):
            await request(space)
        await space.settle()
        most = space.network.most_under_way
        assert len(most) == 20
        assert set(most.values()) == {1}


async def test_a_silent_peer_does_not_hold_up_the_others(tmp_path: Path) -> None:
    """However much waits for one peer that does not answer, messages to others go at once."""
    async with Dataspace(tmp_path, 3, policies=POLICIES, datasets=DATASETS) as space:
        consumer, silent, provider = space.nodes
        space.network.silent.add(silent.address)
        offer = provider.catalog.terms["open"].document("urn:x:battery")
        for _ in range(300):
            await consumer.negotiations.request(silent.participant, silent.address, offer)
        process = await consumer.negotiations.request(provider.participant, provider.address, offer)
        await space.settle(0)
        done = rows.process(consumer.db.read, process.pid)
        assert done is not None
        assert done.state is State.FINALIZED


async def test_nothing_of_ours_can_follow_before_the_acknowledgement(space: Dataspace) -> None:
    """While a message waits, the operator is told so; ending a process that the peer never heard of works."""
    wire = Wire(space)
    wire.answers["/request"] = Unavailable("no route")
    process = await request(space)
    await space.settle(1)
    consumer = space.nodes[0]
    with pytest.raises(LocalProtocolError):
        await consumer.negotiations.move(process.pid, Kind.ACCEPT)
    ended = await consumer.negotiations.move(process.pid, Kind.TERMINATE)
    assert (ended.state, ended.role) == (State.TERMINATED, Role.CONSUMER)
    await space.settle()
    assert space.processes(Subject.NEGOTIATION) == [(0, ended)]
