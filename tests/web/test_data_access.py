"""The data plane: who may read, until which moment, and where it is written down."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from yarl import URL

from connector.dsp.terms import Kind, State
from connector.errors import Denied
from connector.flows.clock import iso
from connector.flows.transfer import read_address
from connector.peers.client import Answer
from tests.peer import CALLBACK, PEER, POLICIES, STRANGER, Talk, message, talk
from tests.pull import Pull, dataset, drained, full_disk, provider, pull, state


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Talk]:
    async with provider(tmp_path) as node:
        yield node


# -- who may


@pytest.mark.parametrize(
    "token", ["", "Bearer ", "Bearer x", "x" * 5000, "Bearer ü".encode().decode("latin-1")]
)
async def test_without_a_good_token_nothing_opens(node: Talk, token: str) -> None:
    """No token, an unknown one, an absurd one: 401 and a TransferError."""
    headers = {"Authorization": token} if token else {}
    status, body = await node.call("GET", "/data", who=None, **headers)
    assert (status, body["@type"]) == (401, "TransferError")


@pytest.mark.parametrize(("header", "status"), [("Authorization", 401), ("Range", 400), ("If-Range", 400)])
async def test_headers_that_are_no_text(node: Talk, header: str, status: int) -> None:
    """Bytes that are not UTF-8 in a header are its sender's fault, whoever it is: no 500."""
    data = await pull(node, "inline")
    url = URL(node.running.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    headers = {"Host": b"x", "Connection": b"close", "Authorization": data.address.authorization.encode()}
    lines = [name.encode() + b": " + value for name, value in (headers | {header: b"\xff"}).items()]
    writer.write(b"\r\n".join([b"GET /data HTTP/1.1", *lines, b"", b""]))
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 %d" % status)
    assert b"TransferError" in answer


async def test_what_the_node_must_do_itself(node: Talk) -> None:
    """An agreement that wants each use logged is served; one that names no parts to leave out is not."""
    ours = "https://w3id.org/anode/v1/"
    data = await pull(node, "inline", [{"action": "use", "duty": [{"action": f"{ours}log"}]}])
    assert (await data.read())[0] == 200
    with pytest.raises(Denied, match="must say one thing"):
        await pull(node, "inline", [{"action": "use", "duty": [{"action": f"{ours}project"}]}])


async def test_a_token_with_and_without_bearer(node: Talk) -> None:
    """Eclipse EDC sends the token bare, RFC 6750 after `Bearer`."""
    data = await pull(node, "inline")
    for token in (data.address.authorization, f"Bearer {data.address.authorization}"):
        assert (await data.read(token=token))[0] == 200
    assert (await data.read(token=data.address.refresh_token))[0] == 401, "a refresh token reads nothing"


async def test_a_token_ends(tmp_path: Path) -> None:
    """After its lifetime a token is refused, used before or not; refreshing helps."""
    datasets = [dataset("inline", inline=1)]
    async with talk(
        tmp_path, None, policies=POLICIES, datasets=datasets, data={"token_lifetime": 0.4}
    ) as node:
        data = await pull(node, "inline")
        ends = time.monotonic() + 0.4
        while time.monotonic() < ends:
            await data.read()
        status, body, _ = await data.read()
        assert (status, b"expired" in body) == (401, True)
        status, new = await data.refresh()
        assert status == 200
        assert (await data.read(token=new["access_token"]))[0] == 200


async def test_a_refresh_whose_answer_is_lost_harms_nobody(node: Talk) -> None:
    """Old tokens live until the first use of a new one, however often the answer was lost; then they die."""
    data = await pull(node, "inline")
    assert (await data.read())[0] == 200
    lost = [(await data.refresh())[1] for _ in range(4)]
    assert (await data.read())[0] == 200, "the old one still opens"
    status, new = await data.refresh()
    assert status == 200, "and can still be refreshed"
    assert (await data.read(token=new["access_token"]))[0] == 200
    assert (await data.read())[0] == 401, "now it is dead"
    assert (await data.refresh())[0] == 401
    for other in lost:
        assert (await data.read(token=other["access_token"]))[0] == 401
    assert (await data.refresh(new["refresh_token"]))[0] == 200


async def test_using_a_new_refresh_token_ends_the_old_pair_too(node: Talk) -> None:
    """Who refreshes with the new token has received the new pair."""
    data = await pull(node, "inline")
    assert (await data.read())[0] == 200
    _, second = await data.refresh()
    _, third = await data.refresh(second["refresh_token"])
    assert (await data.read())[0] == 401
    assert (await data.read(token=second["access_token"]))[0] == 200
    assert (await data.read(token=third["access_token"]))[0] == 200
    assert (await data.read(token=second["access_token"]))[0] == 401


async def test_tokens_are_renewed_for_their_consumer_only(node: Talk) -> None:
    """Another participant, an access token, nonsense: 401 or 400, and the tokens stay as they are."""
    data = await pull(node, "inline")
    for token, who in (
        (None, STRANGER),
        (data.address.authorization, PEER),
        ("nonsense", PEER),
    ):
        status, body = await data.refresh(token, who)
        assert (status, body["@type"]) == (401, "TransferError")
    form = "application/x-www-form-urlencoded"
    for body in (
        b"",
        b"grant_type=password",
        b"\xff\xfe",
        b"grant_type=refresh_token&refresh_token=a&refresh_token=b",
    ):
        assert (await node.call("POST", "/data/refresh", body, content_type=form))[0] == 400
    assert (await data.read())[0] == 200


# -- until when


@pytest.mark.parametrize("kind", [Kind.SUSPEND, Kind.COMPLETE, Kind.TERMINATE])
@pytest.mark.parametrize("who", ["consumer", "provider"])
async def test_access_ends_with_the_transfer(node: Talk, kind: Kind, who: str) -> None:
    """Suspension, completion and termination, from either side, make the tokens void at once, even before a
    peer that can't be reached has heard of it; no refresh brings them back."""
    data = await pull(node, "inline")
    assert (await data.read())[0] == 200
    if who == "provider":
        node.mailbox.answer = lambda url, sent: Answer(503, {}, b"")
        await node.node.transfers.move(data.pid, kind, "enough")
    else:
        assert (await data.say(kind))[0] == 200
    assert (await data.read())[0] == 401
    assert (await data.refresh())[0] == 401


@pytest.mark.parametrize("who", ["consumer", "provider"])
async def test_a_resumed_transfer_has_new_tokens(node: Talk, who: str) -> None:
    """After suspension and resumption, by either side, a new start message brings tokens that work."""
    data = await pull(node, "inline")
    if who == "provider":
        await node.node.transfers.move(data.pid, Kind.SUSPEND)
        await node.quiet()
        await node.node.transfers.move(data.pid, Kind.START)
    else:
        assert (await data.say(Kind.SUSPEND))[0] == 200
        assert (await data.say(Kind.START))[0] == 200
    await node.quiet()
    assert state(data).state is State.STARTED
    start = node.mailbox.messages[-1][1]
    assert start["@type"] == "TransferStartMessage"
    assert (await data.read())[0] == 401
    new = read_address(start["dataAddress"])
    assert (await data.read(token=new.authorization))[0] == 200


async def cut(data: Pull, end: Callable[[], Awaitable[Any]], reading: bool) -> None:
    """A large download breaks off when access ends, whether its consumer is reading or not."""
    running = data.node.node.data._running
    async with data.get() as response:
        assert response.status == 200
        await response.content.readexactly(1 << 20)
        await end()
        async with asyncio.timeout(2):
            while not reading and running:  # noqa: ASYNC110  # the server ends by itself: nothing tells us
                await asyncio.sleep(0)
            got, broken = await drained(response)
    assert broken
    assert len(got) < 1 << 29
    assert not running


@pytest.mark.parametrize("reading", [True, False])
@pytest.mark.parametrize("who", ["consumer", "provider"])
async def test_a_download_under_way_is_cut(node: Talk, who: str, reading: bool) -> None:
    """Termination, from either side, ends a running download at once."""
    data = await pull(node, "large")

    async def end() -> None:
        if who == "provider":
            await node.node.transfers.move(data.pid, Kind.TERMINATE, "enough")
        else:
            assert (await data.say(Kind.TERMINATE))[0] == 200

    await cut(data, end, reading)


@pytest.mark.parametrize("reading", [True, False])
async def test_a_policy_that_ends_cuts_its_download(node: Talk, reading: bool) -> None:
    """When the agreed time is over a running download is cut, the transfer is terminated with the reason,
    and a later request is refused."""
    until = iso(node.node.clock.now() + 2)
    limit = {"leftOperand": "dateTime", "operator": "lt", "rightOperand": until}
    data = await pull(node, "large", [{"action": "use", "constraint": [limit]}])

    async def end() -> None:
        async with node.node.events.listen(data.pid) as events, asyncio.timeout(5):
            async for event in events:
                if event.step.kind == Kind.TERMINATE:
                    return

    await cut(data, end, reading)
    await node.quiet()
    assert state(data).state is State.TERMINATED
    _, ended = node.mailbox.messages[-1]
    assert ended["@type"] == "TransferTerminationMessage"
    assert ended["reason"]
    assert (await data.read())[0] == 401
    again = message(
        "TransferRequestMessage", consumerPid="c9", agreementId=state(data).details["agreement"],
        format="HttpData-PULL", callbackAddress=CALLBACK,
    )  # fmt: skip
    assert (await node.post("/transfers/request", again))[0] == 201
    await node.quiet()
    assert node.mailbox.messages[-1][1]["@type"] == "TransferTerminationMessage"


async def test_a_policy_is_asked_for_each_request(node: Talk) -> None:
    """A token that worked a moment ago does not work when the policy says no, whatever is remembered."""
    limit = {"leftOperand": "dateTime", "operator": "lt", "rightOperand": iso(node.node.clock.now() + 1)}
    data = await pull(node, "inline", [{"action": "use", "constraint": [limit]}])
    node.node.moments.close()  # so that nobody ends the transfer in time
    assert (await data.read())[0] == 200
    async with asyncio.timeout(5):
        while (await data.read())[0] == 200:
            pass
    status, body, _ = await data.read()
    assert status == 403
    assert b"ask the provider for a new offer" in body
    assert [line["permitted"] for line in node.node.audit.tail(2)] == [False, False]


# -- and who writes it down


async def test_a_request_is_written_down_before_it_is_answered(node: Talk) -> None:
    """When the head of an answer arrives, the line of who got what under which agreement is in the file."""
    data = await pull(node, "large")
    async with data.get(Range="bytes=5-") as response:
        lines = [orjson.loads(line) for line in node.node.audit.path.read_bytes().splitlines()]
        assert response.status == 206
    [line] = lines
    process = state(data)
    assert (line["participant"], line["dataset"], line["permitted"]) == (PEER, "urn:x:large", True)
    assert (line["transfer"], line["agreement"]) == (data.pid, process.details["agreement"])
    assert (line["method"], line["range"]) == ("GET", "bytes=5-")
    assert data.address.authorization not in str(line)


async def test_what_can_not_be_written_down_is_not_served(node: Talk) -> None:
    """A full disk below the audit log makes data 503, with the reason; the rest of the node goes on."""
    data = await pull(node, "inline")
    assert (await data.read())[0] == 200
    with full_disk(node):
        status, body, _ = await data.read()
        assert (status, b"audit" in body) == (503, True)
        assert (await node.call("GET", f"/dsp/transfers/{data.pid}"))[0] == 200
    assert (await data.read())[0] == 200


async def test_a_refusal_carries_codes(node: Talk) -> None:
    """A refused request is told in sentences, and by code and operand for programs, without what was seen."""
    purpose = {"leftOperand": "odrl:purpose", "operator": "isAnyOf", "rightOperand": ["repair"]}
    data = await pull(node, "inline", [{"action": "use", "constraint": [purpose]}])
    status, body, headers = await data.read()
    assert status == 403
    text, told = orjson.loads(body)["reason"]
    assert text == told["text"]
    assert (told["code"], told["path"]) == ("fact-missing", "permission[0].constraint[0]")
    assert told["operand"] == "http://www.w3.org/ns/odrl/2/purpose"
    assert "expected" not in told
    line = node.node.audit.tail(1)[0]
    assert line["request"] == headers["X-Request-ID"]
    assert (line["codes"], line["permitted"]) == (["fact-missing"], False)
    assert node.node.audit.find(line["request"]) == line
