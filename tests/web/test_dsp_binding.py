"""The HTTPS binding, both roles, path by path: what is legal moves a process, what is not changes nothing."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connector.dsp.terms import Kind, Role, State, Subject
from connector.errors import LocalProtocolError
from connector.peers.client import Answer
from connector.store import processes as rows
from connector.web import public
from tests import schemas
from tests.peer import (
    AGREEMENT_ID,
    CALLBACK,
    OFFER,
    PEER,
    STRANGER,
    Talk,
    message,
    say,
    talk,
)

# The state machines as their figures in the specification show them, written down once more: sender, from,
# message, to. In any state that is not final either side may terminate, as the text says.
FIGURES = {
    Subject.NEGOTIATION: """
        consumer  OFFERED    request   REQUESTED
        consumer  OFFERED    accept    ACCEPTED
        consumer  AGREED     verify    VERIFIED
        provider  REQUESTED  offer     OFFERED
        provider  REQUESTED  agree     AGREED
        provider  ACCEPTED   agree     AGREED
        provider  VERIFIED   finalize  FINALIZED
    """,
    Subject.TRANSFER: """
        provider  REQUESTED  start     STARTED
        provider  STARTED    start     STARTED
        provider  STARTED    suspend   SUSPENDED
        provider  STARTED    complete  COMPLETED
        provider  SUSPENDED  start     STARTED
        consumer  STARTED    suspend   SUSPENDED
        consumer  STARTED    complete  COMPLETED
        consumer  SUSPENDED  start     STARTED
    """,
}
STATES = {
    Subject.NEGOTIATION: "REQUESTED OFFERED ACCEPTED AGREED VERIFIED FINALIZED TERMINATED",
    Subject.TRANSFER: "REQUESTED STARTED SUSPENDED COMPLETED TERMINATED",
}
KINDS = {
    Subject.NEGOTIATION: "request offer accept agree verify finalize terminate",
    Subject.TRANSFER: "start suspend complete terminate",
}
FINAL = {State.FINALIZED, State.COMPLETED, State.TERMINATED}
CELLS = [
    (subject, role, State(state), Kind(kind))
    for subject in Subject
    for role in Role
    for state in STATES[subject].split()
    for kind in KINDS[subject].split()
]
ERROR = {Subject.NEGOTIATION: "ContractNegotiationError", Subject.TRANSFER: "TransferError"}


def reached(subject: Subject, sender: Role, state: State, kind: Kind) -> State | None:
    """The state that a message leads to; None if it is illegal."""
    if kind is Kind.TERMINATE:
        return None if state in FINAL else State.TERMINATED
    for line in FIGURES[subject].split("\n"):
        if line.split()[:3] == [sender.lower(), state, kind]:
            return State(line.split()[3])
    return None


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Talk]:
    async with talk(tmp_path) as node:
        yield node


async def test_every_message_in_every_state(node: Talk) -> None:
    """What the specification's figures allow is answered 200 and moves the process; all else is answered 400
    with the error body, and leaves every row of the store as it was."""
    for number, (subject, role, state, kind) in enumerate(CELLS):
        cell = (subject, role, state, kind)
        process = await node.place(subject, role, state, f"urn:x:{number}")
        path, body = say(node.node, process, kind)
        schemas.check(body)
        before = node.contents()
        status, answer = await node.post(path, body)
        after = reached(subject, role.other, state, kind)
        if after is None:
            assert status == 400, cell
            assert answer["@type"] == ERROR[subject], cell
            assert answer["providerPid"] == process.provider_pid, cell
            assert answer["consumerPid"] == process.consumer_pid, cell
            assert str(state) in answer["reason"][0], cell
            assert node.contents() == before, cell
            continue
        assert (status, answer["state"]) == (200, after), cell
        now = rows.process(node.node.db.read, process.pid)
        assert now is not None, cell
        assert now.state is after, cell
        before = node.contents()
        assert (await node.post(path, body))[0] == 200, ("a repetition", cell)
        assert node.contents() == before, ("a repetition", cell)


BINDING = {
    (role, path, type_)
    for role, table in {
        Role.PROVIDER: """
            /negotiations/:pid/offers       ContractOfferMessage
            /negotiations/:pid/agreement    ContractAgreementMessage
            /negotiations/:pid/events       ContractNegotiationEventMessage
            /negotiations/:pid/termination  ContractNegotiationTerminationMessage
            /transfers/:pid/start           TransferStartMessage
            /transfers/:pid/suspension      TransferSuspensionMessage
            /transfers/:pid/completion      TransferCompletionMessage
            /transfers/:pid/termination     TransferTerminationMessage
        """,
        Role.CONSUMER: """
            /negotiations/:pid/request                 ContractRequestMessage
            /negotiations/:pid/events                  ContractNegotiationEventMessage
            /negotiations/:pid/agreement/verification  ContractAgreementVerificationMessage
            /negotiations/:pid/termination             ContractNegotiationTerminationMessage
            /transfers/:pid/start                      TransferStartMessage
            /transfers/:pid/suspension                 TransferSuspensionMessage
            /transfers/:pid/completion                 TransferCompletionMessage
            /transfers/:pid/termination                TransferTerminationMessage
        """,
    }.items()
    for path, type_ in [line.split() for line in table.strip().splitlines()]
}


async def move(node: Talk, subject: Subject, pid: str, kind: Kind) -> None:
    if subject is Subject.TRANSFER:
        await node.node.transfers.move(pid, kind, "why")
    else:
        offer = OFFER if kind in (Kind.OFFER, Kind.REQUEST) else None
        await node.node.negotiations.move(pid, kind, "why", offer)


async def test_whatever_an_operator_sends(node: Talk) -> None:
    """From any state, as either role: what is legal is valid against its schema and goes to the binding's
    path, what is not is refused here and nothing goes out."""
    paths = set()
    for number, (subject, role, state, kind) in enumerate(CELLS):
        cell = (subject, role, state, kind)
        process = await node.place(subject, role, state, f"urn:x:{number}")
        after = reached(subject, role, state, kind)
        if after is None:
            with pytest.raises(LocalProtocolError, match=state):
                await move(node, subject, process.pid, kind)
            await node.quiet()
            assert node.mailbox.messages == [], cell
            continue
        await move(node, subject, process.pid, kind)
        await node.quiet()
        now = rows.process(node.node.db.read, process.pid)
        assert now is not None, cell
        assert (now.state, now.pending) == (after, None), cell
        [(url, body)] = node.mailbox.messages
        node.mailbox.messages.clear()
        paths.add((role, url.removeprefix(CALLBACK).replace("theirs", ":pid"), body["@type"]))
    assert paths == BINDING


async def test_opening_messages_go_to_the_peers_base(node: Talk) -> None:
    """A first request, offer or transfer request carries our address; its answer tells the peer's pid."""

    def answer(url: str, sent: dict[str, Any]) -> Answer:
        ours = {n: v for n, v in sent.items() if n.endswith("Pid")}
        theirs = {"providerPid": "theirs", "consumerPid": "theirs"} | ours
        type_ = "TransferProcess" if "transfers" in url else "ContractNegotiation"
        state = "OFFERED" if "offers" in url else "REQUESTED"
        return Answer(201, {}, json.dumps(message(type_, state=state, **theirs)).encode())

    node.mailbox.answer = answer
    first = await node.node.negotiations.request(PEER, CALLBACK + "/", OFFER)
    second = await node.node.negotiations.offer(PEER, CALLBACK, OFFER)
    await node.place(Subject.NEGOTIATION, Role.CONSUMER, State.FINALIZED, "done")
    await node.node.db.write(lambda tx: rows.bring_into_force(tx, Role.CONSUMER, AGREEMENT_ID, PEER))
    third = await node.node.transfers.request(AGREEMENT_ID)
    await node.quiet()
    urls = [url.removeprefix(CALLBACK) for url, _ in node.mailbox.messages]
    assert urls == ["/negotiations/request", "/negotiations/offers", "/transfers/request"]
    assert {body["callbackAddress"] for _, body in node.mailbox.messages} == {node.node.address}
    for process in (first, second, third):
        assert rows.process(node.node.db.read, process.pid).peer_pid == "theirs"


async def test_a_peer_that_did_not_say_its_pid_can_be_left(node: Talk) -> None:
    """Without the peer's pid no message can follow; the process can only be ended, here."""
    process = await node.node.negotiations.request(PEER, CALLBACK, OFFER)
    await node.quiet()
    with pytest.raises(LocalProtocolError):
        await node.node.negotiations.move(process.pid, Kind.ACCEPT)
    ended = await node.node.negotiations.move(process.pid, Kind.TERMINATE, "no answer")
    assert (ended.state, ended.reason) == (State.TERMINATED, "no answer")
    await node.quiet()
    assert len(node.mailbox.messages) == 1


# -- who may

OPENING = [
    ("/negotiations/request", message("ContractRequestMessage", consumerPid="c", offer=OFFER)),
    ("/negotiations/offers", message("ContractOfferMessage", providerPid="p", offer=OFFER)),
    (
        "/transfers/request",
        message("TransferRequestMessage", consumerPid="c", agreementId=AGREEMENT_ID, format="HttpData-PULL"),
    ),
]


async def test_a_process_is_its_two_participants_own(node: Talk) -> None:
    """Whoever is not the peer of a process can't see it, move it or learn that it exists: 404, as for a pid
    that was never given; one who does not say who it is gets 401."""
    for number, (subject, role, state, kind) in enumerate(CELLS):
        process = await node.place(subject, role, state, f"urn:x:{number}")
        path, body = say(node.node, process, kind)
        before = node.contents()
        status, foreign = await node.post(path, body, who=STRANGER)
        assert (status, foreign["@type"]) == (404, ERROR[subject])
        unknown = path.replace(process.pid, "urn:x:none")
        status, answer = await node.post(unknown, body)
        assert (status, answer["@type"]) == (404, ERROR[subject])
        assert foreign["reason"][0].replace(STRANGER, PEER) == answer["reason"][0].replace(
            "urn:x:none", process.pid
        )
        status, answer = await node.post(path, body, who=None)
        assert (status, answer["@type"]) == (401, ERROR[subject])
        other = path.replace("negotiations", "transfers") if "negotiations" in path else None
        if other is not None and kind is Kind.TERMINATE:
            assert (await node.post(other, body | {"@type": "TransferTerminationMessage"}))[0] == 404
        assert node.contents() == before
        url = f"/dsp/{subject}s/{process.pid}"
        assert (await node.call("GET", url))[1]["state"] == state
        for who, expected in ((STRANGER, 404), (None, 401)):
            status, answer = await node.call("GET", url, who=who)
            assert (status, answer["@type"]) == (expected, ERROR[subject])


async def test_an_agreement_can_not_take_the_place_of_another(node: Talk) -> None:
    """A provider that gives a new agreement an earlier one's id is refused, and the earlier one stays."""
    later = await node.place(Subject.NEGOTIATION, Role.CONSUMER, State.REQUESTED, "urn:x:later")
    path, body = say(node.node, later, Kind.AGREE)
    await node.place(Subject.NEGOTIATION, Role.CONSUMER, State.FINALIZED, "urn:x:earlier")
    before = node.contents()
    status, answer = await node.post(path, body)
    assert (status, answer["@type"]) == (400, "ContractNegotiationError")
    assert AGREEMENT_ID in answer["reason"][0]
    assert node.contents() == before


async def test_the_two_pids_must_be_those_of_the_process(node: Talk) -> None:
    """A message that names another pid than the process has, on either side, is refused."""
    for number, (subject, role, state, kind) in enumerate(CELLS):
        process = await node.place(subject, role, state, f"urn:x:{number}")
        path, body = say(node.node, process, kind)
        before = node.contents()
        for name in ("consumerPid", "providerPid"):
            status, answer = await node.post(path, {**body, name: "urn:x:other"})
            assert (status, answer["@type"]) == (400, ERROR[subject])
            assert "urn:x:other" in answer["reason"][0]
        assert node.contents() == before


# -- what is not a message

NOT_MESSAGES: dict[str, Any] = {
    "nothing": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"@type": "\xff"}',
    "NaN": b'{"a": NaN}',
    "half a surrogate": b'{"a": "\\ud800"}',
    "a list": [],
    "null": b"null",
    "a number": 7,
    "an empty object": {},
    "no context": {"@type": "ContractRequestMessage"},
    "another type": message("CatalogError"),
    "nothing in it": message("ContractRequestMessage"),
    "numbers for pids": message("ContractRequestMessage", consumerPid=1, providerPid=2, offer=OFFER),
    "an empty pid": message("ContractRequestMessage", consumerPid="", offer=OFFER, callbackAddress=CALLBACK),
    "a very long pid": message("ContractRequestMessage", consumerPid="x" * 1000, offer=OFFER),
    "no offer": message("ContractRequestMessage", consumerPid="c", offer=None, callbackAddress=CALLBACK),
    "an offer without rules": message(
        "ContractRequestMessage", consumerPid="c", callbackAddress=CALLBACK,
        offer={"@type": "Offer", "@id": "urn:x:o"},
    ),
    "too large": b'{"a": "' + b"x" * (1 << 20) + b'"}',
    "too deep": b"[" * 10_000 + b"]" * 10_000,
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_MESSAGES)
async def test_what_is_no_message_is_refused_everywhere(node: Talk, name: str) -> None:
    """On every path what is malformed, oversized or of another type is 400 with that path's error body."""
    await node.place(Subject.NEGOTIATION, Role.PROVIDER, State.OFFERED, "urn:x:n")
    await node.place(Subject.TRANSFER, Role.PROVIDER, State.STARTED, "urn:x:t")
    before = node.contents()
    for path in paths_of(node):
        status, answer = await node.post(path, NOT_MESSAGES[name])
        expected = (
            "CatalogError"
            if "catalog" in path
            else ERROR[Subject.TRANSFER if "transfers" in path else Subject.NEGOTIATION]
        )
        assert (status, answer["@type"]) == (400, expected), (path, answer)
        assert answer["reason"], path
    assert node.contents() == before


def paths_of(node: Talk) -> list[str]:
    """All paths of the binding that take messages, from the router itself."""
    app = public.application(node.node)
    templates = [r.resource.canonical for r in app.router.routes() if r.method == "POST" and r.resource]
    return [
        t.removeprefix("/dsp").replace("{pid}", "urn:x:n" if "negotiations" in t else "urn:x:t")
        for t in templates
        if t.startswith("/dsp")
    ]


async def test_another_media_type_is_refused(node: Talk) -> None:
    """Messages are application/json, or JSON-LD, whatever the charset parameter; nothing else is read."""
    process = await node.place(Subject.NEGOTIATION, Role.PROVIDER, State.OFFERED)
    path, body = say(node.node, process, Kind.ACCEPT)
    before = node.contents()
    for wrong in ("text/plain", "application/xml", "application/x-www-form-urlencoded", ""):
        status, answer = await node.post(path, body, content_type=wrong)
        assert (status, answer["@type"]) == (400, "ContractNegotiationError")
        assert "Content-Type" in answer["reason"][0]
    assert node.contents() == before
    assert (await node.post(path, body, content_type="application/ld+json; charset=utf-8"))[0] == 200


# -- opening


async def test_an_opening_message_is_answered_with_the_new_process(node: Talk) -> None:
    """201, our pid beside the peer's, and the state that GET then shows too."""
    await node.place(Subject.NEGOTIATION, Role.PROVIDER, State.FINALIZED, "done")
    await node.node.db.write(lambda tx: rows.bring_into_force(tx, Role.PROVIDER, AGREEMENT_ID, PEER))
    for path, body in OPENING:
        schemas.check({**body, "callbackAddress": CALLBACK})
        status, answer = await node.post(path, {**body, "callbackAddress": CALLBACK + "/"})
        assert status == 201
        theirs = "providerPid" if "offers" in path else "consumerPid"
        assert answer[theirs] == body[theirs]
        assert answer["state"] == ("OFFERED" if "offers" in path else "REQUESTED")
        process = rows.process(node.node.db.read, answer["@id"])
        assert process is not None
        assert process.address == CALLBACK
        subject = Subject.TRANSFER if "transfers" in path else Subject.NEGOTIATION
        assert await node.call("GET", f"/dsp/{subject}s/{process.pid}") == (200, answer)


async def test_an_opening_message_that_comes_again_opens_nothing(node: Talk) -> None:
    """A retry, with or without `@id`, even after we went on, is answered with the same process; the same pid
    in another message is refused."""
    await node.place(Subject.NEGOTIATION, Role.PROVIDER, State.FINALIZED, "done")
    await node.node.db.write(lambda tx: rows.bring_into_force(tx, Role.PROVIDER, AGREEMENT_ID, PEER))
    node.mailbox.answer = lambda url, sent: Answer(503, {}, b"")
    for name, members in {"no id": {}, "an id": {"@id": "urn:x:m"}, "two words": {"@id": "a b"}}.items():
        for path, body in OPENING:
            theirs = "providerPid" if "offers" in path else "consumerPid"
            body = {**body, **members, theirs: name, "callbackAddress": CALLBACK}
            first, process = await node.post(path, body)
            transfer = "transfers" in path
            if not transfer and theirs == "consumerPid":
                await node.node.negotiations.move(process["@id"], Kind.AGREE)
            again, same = await node.post(path, body)
            assert (first, again) == (201, 201), (path, name, same)
            assert same["@id"] == process["@id"]
            before = node.contents()
            status, answer = await node.post(path, {**body, "@id": "urn:x:new"})
            assert status == (201 if transfer else 400), "transfers are idempotent by consumerPid"
            status, answer = await node.post(path, {**body, "@id": "urn:x:new", "agreementId": "x"})
            assert status == 400
            assert process["@id"] in answer["reason"][0]
            assert node.contents()["processes"] == before["processes"]


async def test_what_can_not_be_opened(node: Talk) -> None:
    """No callback, a callback that can't be one, an unknown dataset, no agreement, an agreement of others:
    refused with the reason and without a trace."""
    before = node.contents()
    negotiation, _, transfer = (body for _, body in OPENING)
    callback = {"callbackAddress": CALLBACK}
    cases: list[tuple[str, dict[str, Any], int, str]] = [
        ("negotiations", negotiation, 400, "callbackAddress"),
        ("negotiations", {**negotiation, "callbackAddress": "ftp://x.example"}, 400, "https"),
        ("negotiations", {**negotiation, "callbackAddress": "https://10.0.0.1/dsp"}, 400, "private"),
        ("negotiations", {**negotiation, **callback, "offer": {**OFFER, "target": "urn:no"}}, 404, "urn:no"),
        ("negotiations", {**negotiation, **callback, "offer": {**OFFER, "target": None}}, 400, "target"),
        ("negotiations", {**negotiation, **callback, "providerPid": "p"}, 400, "a process of ours"),
        ("transfers", {**transfer, **callback}, 404, AGREEMENT_ID),
    ]  # fmt: skip
    for where, body, expected, word in cases:
        status, answer = await node.post(f"/{where}/request", body)
        assert status == expected, answer
        assert word in answer["reason"][0]
        assert answer["consumerPid"] == "c"
    assert node.contents() == before
    await node.place(Subject.TRANSFER, Role.PROVIDER, State.STARTED)
    status, _ = await node.post("/transfers/request", {**transfer, **callback}, who=STRANGER)
    assert status == 404, "an agreement is its assignee's alone"
    status, answer = await node.post("/transfers/request", {**transfer, **callback, "format": "Push"})
    assert (status, "HttpData-PULL" in answer["reason"][0]) == (400, True)


async def test_a_participant_has_only_so_many_processes_open(tmp_path: Path) -> None:
    """Beyond the limit of its own a participant is asked to come back later; others are not concerned."""
    async with talk(tmp_path, limits={"open_processes": 3}) as node:
        path, body = OPENING[0]
        body = {**body, "callbackAddress": CALLBACK}
        answers = [await node.post(path, {**body, "consumerPid": f"c{n}"}) for n in range(5)]
        assert [status for status, _ in answers] == [201, 201, 201, 503, 503]
        assert "3 negotiations" in answers[3][1]["reason"][0]
        assert (await node.post(path, {**body, "consumerPid": "c0"}))[0] == 201, "a retry is no new one"
        assert (await node.post(path, body, who=STRANGER))[0] == 201
        await node.node.negotiations.move(answers[0][1]["@id"], Kind.TERMINATE)
        await node.quiet()
        assert (await node.post(path, {**body, "consumerPid": "c9"}))[0] == 201
