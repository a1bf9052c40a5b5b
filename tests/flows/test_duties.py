"""Duties of real agreements between two nodes: due, reminded, done with evidence, or not done."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from connector.dsp.terms import Role, State, Subject
from connector.errors import Denied, LocalProtocolError, NotFound, RemoteProtocolError, Untrusted
from connector.flows import standing
from connector.flows.identify import Caller
from connector.node import Node, Parts
from connector.store import courses, processes
from connector.store import duties as rows
from connector.store.duties import Duty
from connector.vc import statements
from connector.vc.statements import Statement
from tests import pull as pulls
from tests.flows.test_trade import PASSPORT, agree
from tests.nodes import Running, until
from tests.peer import AGREEMENT_ID, PEER, talk
from tests.space import Shifted, space

DAY = 86_400.0
DELETE = {"delete": {"within": "7 days", "of": "agreement-end"}}
INFORM = {"inform": {"within": "1 day", "of": "first-use"}}
POLICIES = {
    "delete": {"offer": "everyone", "allow": "use", "stop": {"after": "30 days"}, "duty": [DELETE]},
    "inform": {
        "offer": "everyone",
        "allow": "use",
        "duty": [{"inform": {"within": "1 day", "of": "first-use"}}],
    },
    "inform-repair": {"offer": "everyone", "allow": "use", "when": [{"purpose": "repair"}], "duty": [INFORM]},
    "review": {"offer": "everyone", "allow": "use", "duty": [{"reviewPolicy": {"within": "2 days"}}]},
}


@dataclass
class Trade:
    """A provider and a consumer, and an agreement between them."""

    provider: Running
    consumer: Running
    clock: Shifted
    agreement: str = ""

    async def quiet(self) -> None:
        """Until neither has anything left to do now."""
        nodes = [self.provider.node, self.consumer.node]
        while work := [
            task for node in nodes for task in [*node.tasks.running, *node.courier.carrying.values()]
        ]:
            await asyncio.wait(work, timeout=0.5)

    async def later(self, seconds: float) -> None:
        """The time passes for both."""
        self.clock.advance(seconds)
        await self.quiet()

    def duty(self, side: Running) -> Duty:
        """The one duty of the agreement as one side has it."""
        role, other = (
            (Role.PROVIDER, self.consumer) if side is self.provider else (Role.CONSUMER, self.provider)
        )
        [found] = rows.of_agreement(side.node.db.read, role, self.agreement, other.did)
        return found

    @property
    def theirs(self) -> Duty:
        return self.duty(self.provider)

    @property
    def ours(self) -> Duty:
        return self.duty(self.consumer)

    async def transfer(self) -> str:
        """A transfer that runs; the consumer's pid."""
        process = await self.consumer.node.transfers.request(self.agreement)
        done = await until(self.consumer, process.pid, "STARTED")
        assert done.state == "STARTED", done.reason
        await self.quiet()
        return process.pid

    async def read(self, pid: str) -> bytes:
        """The data, as the consumer's programs get them."""
        async with self.consumer.node.pull.open(pid, {}) as stream:
            return b"".join([chunk async for chunk in stream.chunks])

    def refused(self, side: Running) -> str | None:
        """Why the agreement allows nothing now, as a side's operator sees it."""
        [found] = processes.agreements_with_id(side.node.db.read, self.agreement)
        node = side.node
        return standing.refusal(found, node.db, node.clock, node.uses, node.catalog.groups)

    def said(self, side: Running) -> list[str]:
        """What was told to a side's operator about the agreement, oldest first."""
        found = processes.agreements_with_id(side.node.db.read, self.agreement)
        steps = processes.history(side.node.db.read, found[0].negotiation)
        return [str(step.note) for step in steps if step.kind in ("duty", "retire", "end")]


@pytest.fixture
async def trade(tmp_path: Path, request: Any) -> AsyncIterator[Trade]:
    """Two nodes, agreed under the policy that the test is parametrized with."""
    async with space(tmp_path) as made:
        datasets = [{**PASSPORT, "offers": [request.param]}]
        settings = {"credentials": {"require": []}}
        provider = await made.add("provider", policies=POLICIES, datasets=datasets, **settings)
        consumer = await made.add("consumer", **settings)
        found = Trade(provider, consumer, made.clock)
        found.agreement = await agree(consumer, provider)
        await found.quiet()
        yield found
        for side in (provider, consumer):
            await side.node.close()  # the last of them, if it was restarted


under = pytest.mark.parametrize


@under("trade", ["delete"], indirect=True)
async def test_deletion_is_due_at_the_end_and_proved(trade: Trade) -> None:
    """To delete waits for the agreement's end, is due then, is reminded of a day before the last, and is
    fulfilled on both sides by evidence that the consumer signs."""
    assert (trade.ours.state, trade.theirs.state) == ("pending", "pending")
    with pytest.raises(LocalProtocolError, match="agreement-end"):
        await trade.consumer.node.duties.fulfil(trade.ours.id, "gone", None)
    await trade.later(30 * DAY + 1)
    assert (trade.ours.state, trade.theirs.state) == ("due", "due")
    await trade.later(6 * DAY)
    assert (trade.ours.state, trade.theirs.state) == ("reminded", "due")
    digest = "sha-256:" + "0" * 64
    await trade.consumer.node.duties.fulfil(trade.ours.id, "all copies deleted", digest)
    await trade.quiet()
    assert (trade.ours.state, trade.theirs.state) == ("fulfilled", "fulfilled")
    kept = rows.statement(trade.provider.node.db.read, trade.consumer.did, trade.theirs.evidence or "")
    assert kept is not None
    assert trade.provider.node.own is not None
    claims = await trade.provider.node.own.signed_by(trade.consumer.did, kept.token, statements.TYP)
    assert (claims["agreement"], claims["duty"]) == (trade.agreement, trade.theirs.path)
    assert (claims["note"], claims["digest"]) == ("all copies deleted", digest)
    assert "told to the other side" in str(trade.consumer.node.duties.told(trade.ours))
    assert [note.partition(", ")[0] for note in trade.said(trade.consumer)] == [
        "the terms of the agreement allow nothing any more",
        *["a duty of ours: delete within 7 days of the agreement's end"] * 3,
    ]
    await trade.later(7 * DAY)
    assert (trade.ours.state, trade.theirs.state) == ("fulfilled", "fulfilled")
    with pytest.raises(LocalProtocolError, match="fulfilled already"):
        await trade.consumer.node.duties.fulfil(trade.ours.id, "again", None)


@under("trade", ["review"], indirect=True)
async def test_a_breach_ends_access(trade: Trade) -> None:
    """What was not done in time is breached on both sides, at its moment: the running transfer is ended with
    the reason, and no new one starts, until the provider's operator accepts what was done late."""
    pid = await trade.transfer()
    assert orjson.loads(await trade.read(pid)) == PASSPORT["source"]["inline"]
    assert (trade.refused(trade.consumer), trade.refused(trade.provider)) == (None, None)
    await trade.later(2 * DAY + 1)
    assert (trade.ours.state, trade.theirs.state) == ("breached", "breached")
    for side in (trade.consumer, trade.provider):
        assert "was not done in time" in str(trade.refused(side))
    ended = await until(trade.consumer, pid, "TERMINATED")
    assert "was not done in time" in ended.reason
    again = await trade.consumer.node.transfers.request(trade.agreement)
    assert (await until(trade.consumer, again.pid, "STARTED")).state == "TERMINATED"
    await trade.consumer.node.duties.fulfil(trade.ours.id, "reviewed", None)
    await trade.quiet()
    assert (trade.ours.state, trade.theirs.state) == ("breached", "breached")
    assert trade.theirs.history[-1].note == "done, but too late: reviewed"
    await trade.provider.node.duties.fulfil(trade.theirs.id, "better late than never", None)
    await trade.transfer()


@under("trade", ["review"], indirect=True)
async def test_evidence_in_time_keeps_access(trade: Trade) -> None:
    """A duty that was done in time stands in nobody's way when its time is over."""
    pid = await trade.transfer()
    await trade.consumer.node.duties.fulfil(trade.ours.id, "reviewed", None)
    await trade.quiet()
    await trade.later(3 * DAY)
    assert await trade.read(pid)
    assert trade.theirs.state == "fulfilled"


@under("trade", ["review"], indirect=True)
async def test_a_request_after_the_last_moment_is_refused_by_the_policy_alone(trade: Trade) -> None:
    """The decision about a request compares times itself: no timer has to have run before."""
    pid = await trade.transfer()
    trade.provider.node.moments.close()
    trade.consumer.node.moments.close()
    await trade.read(pid)
    trade.clock.ahead += 2 * DAY + 1
    with pytest.raises(Denied, match="not done in time"):
        await trade.read(pid)
    assert trade.theirs.state == "due"


@under("trade", ["inform"], indirect=True)
async def test_a_node_informs_by_itself(trade: Trade) -> None:
    """The first use makes the duty due on both sides; the consumer's node informs the provider at once."""
    pid = await trade.transfer()
    assert (trade.ours.state, trade.theirs.state) == ("pending", "pending")
    await trade.read(pid)
    await trade.quiet()
    assert (trade.ours.state, trade.theirs.state) == ("fulfilled", "fulfilled")
    assert trade.theirs.history[-1].note.startswith("done: The data were first used at ")
    used = trade.theirs.history
    await trade.read(pid)
    await trade.quiet()
    assert trade.theirs.history == used


@under("trade", ["inform"], indirect=True)
async def test_a_side_that_takes_no_statements(trade: Trade) -> None:
    """A connector without the service gets none: the operator is reminded, evidence is kept and says so."""
    document = trade.provider.node.did_document
    trade.provider.node.did_document = lambda: {**document(), "service": []}  # type: ignore[method-assign]
    await trade.later(3600)  # longer than the document is remembered
    pid = await trade.transfer()
    await trade.read(pid)
    await trade.quiet()
    assert trade.ours.state == "due"
    await trade.later(0.6 * DAY)
    assert trade.ours.state == "reminded"
    await trade.consumer.node.duties.fulfil(trade.ours.id, "told by telephone", None)
    await trade.quiet()
    assert (trade.ours.state, trade.theirs.state) == ("fulfilled", "due")
    assert "takes no statements" in str(trade.consumer.node.duties.told(trade.ours))


async def sent(trade: Trade, signer: Running, caller: str = "", **changes: Any) -> dict[str, Any]:
    """Evidence of the duty as `signer` would sign it, with these changes: the body of a request."""
    now = trade.clock.now()
    said = {"issuer": signer.did, "audience": trade.provider.did, "jti": "urn:uuid:evidence", "at": now}
    said |= {"agreement": trade.agreement, "kind": "evidence", "duty": trade.theirs.path, "note": "done"}
    assert signer.node.own is not None
    token = await signer.node.own.sign(statements.TYP, Statement(**{**said, **changes}).claims())
    return {"statement": token}


@under("trade", ["review"], indirect=True)
@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"agreement": "urn:x:another"}, RemoteProtocolError, "agreement: must be"),
        ({"audience": "did:web:another"}, RemoteProtocolError, "aud: must be"),
        ({"issuer": "did:web:another"}, RemoteProtocolError, "iss: must be"),
        ({"duty": "obligation[7]"}, RemoteProtocolError, "no such duty"),
        ({"duty": None}, RemoteProtocolError, "names a duty"),
        ({"note": None}, RemoteProtocolError, "a note or a digest"),
        ({"note": "x" * 1001}, RemoteProtocolError, "note"),
        ({"digest": "md5:1"}, RemoteProtocolError, "digest"),
        ({"at": 1.0}, RemoteProtocolError, "before the duty was due"),
        ({"at": 9e10}, RemoteProtocolError, "future"),
        ({"kind": "praise"}, RemoteProtocolError, "kind"),
    ],
)
async def test_evidence_that_says_something_else(
    trade: Trade, changes: dict[str, Any], error: type[Exception], match: str
) -> None:
    """Evidence for another agreement, reader, duty or time, or without content, changes nothing."""
    body = await sent(trade, trade.consumer, **changes)
    with pytest.raises(error, match=match):
        await trade.provider.node.statements.receive(Caller(trade.consumer.did), trade.agreement, body)
    assert trade.theirs.state == "due"
    assert rows.statements(trade.provider.node.db.read, trade.agreement, trade.consumer.did) == []


@under("trade", ["review"], indirect=True)
async def test_evidence_that_another_signed(trade: Trade) -> None:
    """The provider's own signature, a stranger's call and a broken signature are no evidence; neither is a
    token of another kind by the right key."""
    receive = trade.provider.node.statements.receive
    forged = await sent(trade, trade.provider, issuer=trade.consumer.did)
    with pytest.raises(Untrusted):
        await receive(Caller(trade.consumer.did), trade.agreement, forged)
    good = await sent(trade, trade.consumer)
    with pytest.raises(NotFound):
        await receive(Caller("did:web:stranger"), trade.agreement, good)
    head, _, signature = good["statement"].rpartition(".")
    with pytest.raises(Untrusted):
        await receive(Caller(trade.consumer.did), trade.agreement, {"statement": f"{head}.{signature[::-1]}"})
    own = trade.consumer.node.own
    assert own is not None
    for token in (await own.token(trade.provider.did), "x" * 9000, ""):
        with pytest.raises((Untrusted, RemoteProtocolError)):
            await receive(Caller(trade.consumer.did), trade.agreement, {"statement": token})
    assert trade.theirs.state == "due"


@under("trade", ["review"], indirect=True)
async def test_evidence_twice(trade: Trade) -> None:
    """The same statement again is taken and changes nothing; another under its id is refused."""
    receive, who = trade.provider.node.statements.receive, Caller(trade.consumer.did)
    first = await sent(trade, trade.consumer)
    for _ in range(2):
        await receive(who, trade.agreement, first)
    assert [mark.state for mark in trade.theirs.history] == ["due", "fulfilled"]
    with pytest.raises(RemoteProtocolError, match="jti"):
        await receive(who, trade.agreement, await sent(trade, trade.consumer, note="else"))


@under("trade", ["review"], indirect=True)
async def test_no_evidence_for_a_duty_of_the_receiver(trade: Trade) -> None:
    """A provider can't declare its consumer's duty done, or undone, in the consumer's node."""
    body = await sent(trade, trade.provider, audience=trade.consumer.did)
    with pytest.raises(RemoteProtocolError, match="ours to do"):
        await trade.consumer.node.statements.receive(Caller(trade.provider.did), trade.agreement, body)
    assert trade.ours.state == "due"


@under("trade", ["review"], indirect=True)
async def test_a_flood_of_statements_ends(trade: Trade) -> None:
    """So many statements about one agreement are kept, and no more."""
    receive, who = trade.provider.node.statements.receive, Caller(trade.consumer.did)
    for number in range(200):
        await receive(who, trade.agreement, await sent(trade, trade.consumer, jti=f"number {number:4}"))
    with pytest.raises(RemoteProtocolError, match="200 statements"):
        await receive(who, trade.agreement, await sent(trade, trade.consumer, jti="one more"))


async def restarted(trade: Trade, side: Running) -> Node:
    """The side's node anew, on the store that the old one left."""
    await side.node.close()
    node = Node(side.node.config, Parts(clock=trade.clock))
    await node.start()
    return node


@under("trade", ["delete"], indirect=True)
async def test_what_came_due_while_a_node_was_down(trade: Trade) -> None:
    """A node that starts after the last moment takes up what it missed, in order, counted from when the
    agreement ended and not from when somebody looked."""
    trade.provider.node.moments.close()
    trade.clock.ahead += 38 * DAY
    assert trade.theirs.state == "pending"
    trade.provider.node = await restarted(trade, trade.provider)
    await trade.quiet()
    assert [mark.state for mark in trade.theirs.history] == ["due", "breached"]
    agreed = processes.agreements_with_id(trade.provider.node.db.read, trade.agreement)[0].agreed
    assert trade.theirs.event_at == pytest.approx(agreed + 30 * DAY, abs=0.01)
    assert trade.theirs.due == pytest.approx(agreed + 37 * DAY, abs=0.01)


@under("trade", ["delete"], indirect=True)
@pytest.mark.parametrize("by", ["provider", "consumer"])
async def test_either_side_retires_an_agreement(trade: Trade, by: str) -> None:
    """Its transfers end with the reason, on both sides; none begins again; what was to be done at its end is
    due; and both know who retired it. Doing it again is refused, and changes nothing."""
    pid = await trade.transfer()
    assert await trade.read(pid)
    side, other = (trade.provider, trade.consumer) if by == "provider" else (trade.consumer, trade.provider)
    course = await side.node.agreements.retire(trade.agreement, "the battery burned")
    assert (course.state, course.retired_by) == ("retired", "this node's operator")
    ended = await until(trade.consumer, pid, "TERMINATED")
    assert ended.state == "TERMINATED"
    assert f"retired by {side.did}: the battery burned" in ended.reason
    await trade.quiet()
    [told] = processes.agreements_with_id(other.node.db.read, trade.agreement)
    known = courses.find(other.node.db.read, told.role, told.id, told.participant)
    assert known is not None
    assert (known.state, known.retired_by, told.in_force) == ("retired", side.did, False)
    assert (trade.ours.state, trade.theirs.state) == ("due", "due")
    with pytest.raises(NotFound, match="in force"):
        await trade.consumer.node.transfers.request(trade.agreement)
    with pytest.raises(
        LocalProtocolError, match=r"retired by this node's operator at .*: the battery burned"
    ):
        await side.node.agreements.retire(trade.agreement, "again")
    with pytest.raises(LocalProtocolError, match=f"retired by {side.did} at"):
        await other.node.agreements.retire(trade.agreement, "me too")
    await trade.quiet()
    assert [note for note in trade.said(side) if "retired" in note] == [
        "retired by this node's operator: the battery burned"
    ]


@under("trade", ["review"], indirect=True)
async def test_retirement_survives_a_crash_and_a_peer_that_is_away(trade: Trade) -> None:
    """After a restart what was kept is done: the transfer ends, the other side is told."""
    pid = await trade.transfer()
    trade.provider.node.moments.close()  # as if it died right after the commit
    await trade.provider.node.agreements.retire(trade.agreement, "enough")
    assert (await until(trade.consumer, pid, "STARTED")).state == "STARTED"
    trade.provider.node = await restarted(trade, trade.provider)
    assert (await until(trade.consumer, pid, "TERMINATED")).reason.endswith("enough")
    await trade.quiet()
    read = trade.provider.node.db.read
    [statement] = rows.statements(read, trade.agreement, trade.consumer.did)
    assert (statement.kind, statement.direction, statement.told is None) == ("retirement", "out", False)


async def test_only_what_is_in_force_is_retired(tmp_path: Path) -> None:
    """An agreement that nobody knows, and one whose negotiation is not over, are refused with what to do."""
    async with talk(tmp_path) as node:
        with pytest.raises(NotFound):
            await node.node.agreements.retire("urn:x:none", "enough")
        await node.place(Subject.NEGOTIATION, Role.PROVIDER, State.AGREED)
        with pytest.raises(LocalProtocolError, match="end its negotiation"):
            await node.node.agreements.retire(AGREEMENT_ID, "enough")


@under("trade", ["review"], indirect=True)
async def test_what_a_stranger_posts(trade: Trade) -> None:
    """Without a token 401; more than the limit, no JSON, no statement: 400, whatever the path names."""
    url = f"{trade.provider.url}/agreements/{trade.agreement}/statements"
    own = trade.consumer.node.own
    assert own is not None
    async with aiohttp.ClientSession() as session:

        async def post(body: bytes, *, token: bool = True) -> int:
            head = {"Authorization": await own.authorization(trade.provider.did)} if token else {}
            async with session.post(url, data=body, headers=head) as answer:
                return answer.status

        assert await post(b"{}", token=False) == 401
        for body in (b"", b"[]", b"{", b"{}", b'{"statement": 1}', b'{"statement": "' + b"x" * 20_000):
            assert await post(body) == 400
    assert trade.theirs.state == "due"


async def test_a_negotiation_that_comes_to_nothing_obliges_to_nothing(tmp_path: Path) -> None:
    """An agreement whose finalization nobody acknowledged is void: its duties are not breached."""
    week = {"leftOperand": "odrl:delayPeriod", "operator": "lteq", "rightOperand": "P7D"}
    permission = [{"action": "use", "duty": [{"action": "reviewPolicy", "constraint": [week]}]}]
    clock = Shifted()
    async with talk(tmp_path, clock=clock) as node:
        name = await pulls.agree(node, "urn:x:d", permission)
        key = (Role.PROVIDER, name, PEER)
        node.node.moments.look()
        await drained(node.node)
        [duty] = rows.of_agreement(node.node.db.read, *key)
        assert duty.state == "due"
        await node.node.db.write(lambda tx: processes.forget_agreement(tx, *key))
        clock.advance(8 * DAY)
        await drained(node.node)
        [duty] = rows.of_agreement(node.node.db.read, *key)
        assert (duty.state, duty.next_moment) == ("due", None)


async def drained(node: Node) -> None:
    """Until the node has no work of its own."""
    while node.tasks.running:
        await asyncio.wait(node.tasks.running)


@under("trade", ["review"], indirect=True)
@pytest.mark.parametrize("done", [True, False])
async def test_a_download_is_looked_at_with_duties_as_they_stand(trade: Trade, done: bool) -> None:
    """What was done while bytes flow counts when they are looked at after its last moment; what was not, ends
    them."""
    pid = await trade.transfer()
    data = trade.provider.node.data
    access = await data.open((await trade.consumer.node.pull.address(pid)).authorization, {})
    stopped: list[str] = []
    with data.running(access, lambda: stopped.append(pid)):
        if done:
            await trade.consumer.node.duties.fulfil(trade.ours.id, "reviewed", None)
            await trade.quiet()
        trade.provider.node.moments.close()  # so that only the look decides
        trade.clock.ahead += 3 * DAY
        data.reconsider()
        await trade.quiet()
    assert bool(stopped) is not done


@under("trade", ["inform-repair"], indirect=True)
async def test_what_is_refused_is_no_first_use(trade: Trade) -> None:
    """Neither a request that our own node does not send, nor one that the provider refuses, makes a duty due;
    what follows from the use is then told once, and counts."""
    pid = await trade.transfer()
    with pytest.raises(Denied, match="agreed for repair"):
        await trade.read(pid)
    found = trade.consumer.node.peers.data_address(pid)
    async with (
        aiohttp.ClientSession() as session,
        session.get(found.endpoint, headers={"Authorization": found.authorization}) as answer,
    ):
        assert answer.status == 403
    assert (trade.ours.state, trade.theirs.state) == ("pending", "pending")
    async with trade.consumer.node.pull.open(pid, {}, "repair") as stream:
        assert stream.status == 200
    await trade.quiet()
    assert (trade.ours.state, trade.theirs.state) == ("fulfilled", "fulfilled")


@under("trade", ["inform"], indirect=True)
async def test_evidence_that_comes_early_is_said_again(trade: Trade) -> None:
    """A provider that does not know of the event yet says so; the consumer's node tells it later."""
    pid = await trade.transfer()
    await trade.consumer.node.pull.address(pid)
    await trade.quiet()
    assert (trade.ours.state, trade.theirs.state) == ("fulfilled", "pending")
    assert "on its way" in str(trade.consumer.node.duties.told(trade.ours))
    await trade.read(pid)
    await trade.later(60)
    assert trade.theirs.state == "fulfilled"
