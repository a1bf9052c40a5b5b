"""The data plane: what a token opens, which bytes come, and the moment at which no more do."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from connector.dsp.process import Process
from connector.dsp.terms import Kind, Role, State
from connector.flows.clock import iso
from connector.flows.transfer import DataAddress, read_address
from connector.odrl import canonical
from connector.odrl.model import parse
from connector.peers.client import Answer
from connector.store import processes as rows
from connector.store.processes import Agreement
from tests.peer import CALLBACK, PEER, POLICIES, STRANGER, Talk, message, say, talk

CONTENT = bytes(range(256)) * 1000
USE = [{"action": "use"}]


def dataset(name: str, **source: Any) -> dict[str, Any]:
    return {"id": f"urn:x:{name}", "title": name, "offers": ["open"], "source": source}


@asynccontextmanager
async def upstream(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A server of the operator's own; its address."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Talk]:
    """A node with a file, a document, a sparse gigabyte, and an upstream that serves the file."""
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    (catalog / "file.bin").write_bytes(CONTENT)
    with (catalog / "large.bin").open("wb") as large:
        large.truncate(1 << 30)

    async def source(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(catalog / "file.bin", headers={"Content-Type": "application/x-battery"})

    async with upstream(source) as address:
        datasets = [
            dataset("file", file="file.bin", media_type="application/x-battery"),
            dataset("large", file="large.bin"),
            dataset("inline", inline={"a": "\N{BATTERY}"}),
            dataset("http", http={"url": address, "headers": {"X-Api-Key": "k"}}),
        ]
        async with talk(tmp_path, None, policies=POLICIES, datasets=datasets) as node:
            yield node


@dataclass
class Pull:
    """A started transfer, as its consumer has it."""

    node: Talk
    pid: str
    address: DataAddress

    def get(self, method: str = "GET", token: str | None = None, **headers: str) -> Any:
        headers["Authorization"] = token or f"Bearer {self.address.authorization}"
        return self.node.session.request(method, self.node.running.url + "/data", headers=headers)

    async def read(self, method: str = "GET", **options: str) -> tuple[int, bytes, Any]:
        async with self.get(method, **options) as response:
            return response.status, await response.read(), response.headers

    async def refresh(self, token: str | None = None, who: str = PEER) -> tuple[int, Any]:
        body = f"grant_type=refresh_token&refresh_token={token or self.address.refresh_token}".encode()
        form = "application/x-www-form-urlencoded"
        return await self.node.call("POST", "/data/refresh", body, who=who, content_type=form)

    async def say(self, kind: Kind) -> tuple[int, Any]:
        process = rows.process(self.node.node.db.read, self.pid)
        assert process is not None
        return await self.node.post(*say(self.node.node, process, kind))


async def agree(node: Talk, dataset_id: str, permission: list[Any] = USE) -> str:
    """An agreement in force about a dataset, made a minute ago."""
    number = node.node.db.read.execute("SELECT count(*) FROM agreements").fetchone()[0]
    document = {
        "@type": "Agreement",
        "@id": f"urn:x:agreement{number}",
        "target": dataset_id,
        "assigner": node.node.participant,
        "assignee": PEER,
        "permission": permission,
    }
    digest = canonical.digest(parse(document, "Agreement"))
    agreed = node.node.clock.now() - 60
    value = Agreement(Role.PROVIDER, document["@id"], PEER, dataset_id, document, digest, agreed, "n", True)
    await node.node.db.write(lambda tx: rows.save_agreement(tx, value))
    return value.id


async def pull(node: Talk, name: str, permission: list[Any] = USE) -> Pull:
    """Ask for a transfer, and wait for the address."""
    agreement = await agree(node, f"urn:x:{name}", permission)
    body = message(
        "TransferRequestMessage",
        consumerPid=f"c-{agreement}",
        agreementId=agreement,
        format="HttpData-PULL",
        callbackAddress=CALLBACK,
    )
    status, process = await node.post("/transfers/request", body)
    assert status == 201, process
    await node.quiet()
    [(_, start)] = [m for m in node.mailbox.messages if m[1]["consumerPid"] == body["consumerPid"]]
    node.mailbox.messages.clear()
    return Pull(node, process["@id"], read_address(start["dataAddress"]))


def state(pull: Pull) -> Process:
    process = rows.process(pull.node.node.db.read, pull.pid)
    assert process is not None
    return process


# -- which bytes


@pytest.mark.parametrize("name", ["file", "inline", "http"])
async def test_the_whole_and_its_head(node: Talk, name: str) -> None:
    """GET gives all of it with length, type and a validator; HEAD gives the same without the bytes."""
    content = orjson.dumps({"a": "\N{BATTERY}"}) if name == "inline" else CONTENT
    data = await pull(node, name)
    status, body, headers = await data.read()
    assert (status, body) == (200, content)
    assert headers["Content-Length"] == str(len(content))
    assert headers["Content-Type"] == ("application/json" if name == "inline" else "application/x-battery")
    assert headers["Accept-Ranges"] == "bytes"
    status, body, head = await data.read("HEAD")
    assert (status, body) == (200, b"")
    for field in ("Content-Length", "Content-Type", "ETag"):
        assert head[field] == headers[field]


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-3", (0, 4)),
        ("bytes=5-", (5, None)),
        ("bytes=-2", (-2, None)),
        ("bytes=-99999999", (0, None)),
        ("bytes=3-99999999", (3, None)),
        ("bytes=0-0", (0, 1)),
        ("bytes=99999999-", 416),
        ("bytes=-0", 416),
        ("bytes=0-1,3-4", None),
        ("bytes=3-1", None),
        ("bytes=a-b", None),
        ("bytes=-", None),
        ("bytes=\N{SUPERSCRIPT TWO}-", None),
        ("lines=1-2", None),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
@pytest.mark.parametrize("name", ["file", "inline"])
async def test_parts(node: Talk, name: str, asked: str, part: Any) -> None:
    """RFC 9110, section 14: one part is given as 206, one beyond the end is 416, what can't be read or is
    several at once is answered with the whole."""
    content = orjson.dumps({"a": "\N{BATTERY}"}) if name == "inline" else CONTENT
    data = await pull(node, name)
    status, body, headers = await data.read(Range=asked)
    if part is None:
        assert (status, body) == (200, content)
    elif part == 416:
        assert (status, headers["Content-Range"]) == (416, f"bytes */{len(content)}")
    else:
        assert (status, body) == (206, content[slice(*part)])
        first = len(content) - len(body) if part[1] is None else part[0]
        assert headers["Content-Range"] == f"bytes {first}-{first + len(body) - 1}/{len(content)}"
        status, nothing, head = await data.read("HEAD", Range=asked)
        assert (status, nothing, head["Content-Length"]) == (206, b"", str(len(body)))


@pytest.mark.parametrize("name", ["file", "inline", "http"])
async def test_validators(node: Talk, name: str, tmp_path: Path) -> None:
    """A known version is 304; a part is given only of the version it is asked of."""
    data = await pull(node, name)
    etag = (await data.read())[2]["ETag"]
    for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        assert (await data.read(**{"If-None-Match": known}))[:2] == (304, b"")
    assert (await data.read(**{"If-None-Match": '"other"'}))[0] == 200
    assert (await data.read(**{"Range": "bytes=1-1", "If-Range": etag}))[0] == 206
    if name != "http":  # what an upstream makes of it is the upstream's
        assert (await data.read(**{"Range": "bytes=1-1", "If-Range": '"other"'}))[0] == 200
    if name == "file":
        (tmp_path / "catalog" / "file.bin").write_bytes(b"new")
        status, body, headers = await data.read(**{"If-None-Match": etag})
        assert (status, body) == (200, b"new")
        assert headers["ETag"] != etag


async def test_a_file_that_is_gone(node: Talk, tmp_path: Path) -> None:
    """A file that was removed is 404 with a reason that does not tell where it was."""
    data = await pull(node, "file")
    (tmp_path / "catalog" / "file.bin").unlink()
    status, body, _ = await data.read()
    assert status == 404
    assert b"can't be read" in body
    assert str(tmp_path).encode() not in body


# -- an upstream's troubles


@asynccontextmanager
async def served(tmp_path: Path, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
    async with upstream(handler) as address:
        datasets = [dataset("http", http={"url": address + "/secret/path", "headers": {"X-Api-Key": "k"}})]
        async with talk(tmp_path, None, policies=POLICIES, datasets=datasets) as node:
            yield await pull(node, "http")


@pytest.mark.parametrize("status", [301, 401, 404, 500, 503])
async def test_an_upstream_that_refuses_is_unavailable(tmp_path: Path, status: int) -> None:
    """What the operator's own source answers badly is 503 for the consumer, without its address."""

    async def refuse(request: web.Request) -> web.Response:
        assert request.headers["X-Api-Key"] == "k"
        assert request.path == "/secret/path"
        return web.Response(status=status, text="internals", headers={"Location": "/x"})

    async with served(tmp_path, refuse) as data:
        answered, body, _ = await data.read()
    assert answered == 503
    assert b"its operator must look" in body
    for secret in (b"127.0.0.1", b"secret", b"internals"):
        assert secret not in body.replace(data.node.running.url.encode(), b"")


async def test_an_upstream_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    """No connection is 503 too, and no address leaks."""
    datasets = [dataset("http", http={"url": "http://127.0.0.1:9/secret"})]
    async with talk(tmp_path, None, policies=POLICIES, datasets=datasets) as node:
        status, body, _ = await (await pull(node, "http")).read()
    assert status == 503
    assert b"127.0.0.1" not in body


async def test_an_upstream_that_breaks_off_breaks_the_download(tmp_path: Path) -> None:
    """Half a body must end as a broken connection: an error text in it would be taken for data."""

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 500)
        assert request.transport is not None
        request.transport.close()
        return response

    async with served(tmp_path, half) as data, data.get() as response:
        assert response.status == 200
        got, broken = await drained(response)
    assert broken
    assert set(got) <= {ord("x")}


async def test_an_upstream_that_compresses_anyway(tmp_path: Path) -> None:
    """Bytes are passed on as they are, with the encoding they have."""

    async def packed(request: web.Request) -> web.Response:
        response = web.Response(body=CONTENT, content_type="application/x-battery")
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async with served(tmp_path, packed) as data:
        status, body, headers = await data.read()
    assert (status, body, headers["Content-Encoding"]) == (200, CONTENT, "gzip")


async def test_a_file_that_shrinks_breaks_the_download(node: Talk, tmp_path: Path) -> None:
    """A file that becomes shorter while it is sent ends as a broken connection, not as a shorter file."""
    data = await pull(node, "large")
    async with data.get() as response:
        await response.content.readexactly(1000)
        (tmp_path / "catalog" / "large.bin").write_bytes(b"")
        _, broken = await drained(response)
    assert broken


# -- who may


@pytest.mark.parametrize(
    "token", ["", "Bearer ", "Bearer x", "x" * 5000, "Bearer ü".encode().decode("latin-1")]
)
async def test_without_a_good_token_nothing_opens(node: Talk, token: str) -> None:
    """No token, an unknown one, an absurd one: 401 and a TransferError."""
    headers = {"Authorization": token} if token else {}
    status, body = await node.call("GET", "/data", who=None, **headers)
    assert (status, body["@type"]) == (401, "TransferError")


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


async def drained(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """What still comes, and whether it breaks off."""
    got = bytearray()
    try:
        async for piece in response.content.iter_any():
            got += piece
    except aiohttp.ClientError:
        return bytes(got), True
    return bytes(got), False


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
    node.node.data._watched.pop(data.pid).cancel()  # so that nobody ends the transfer in time
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
    full, kept = os.open("/dev/full", os.O_WRONLY), os.dup(node.node.audit._file)
    os.dup2(full, node.node.audit._file)
    status, body, _ = await data.read()
    assert (status, b"audit" in body) == (503, True)
    assert (await node.call("GET", f"/dsp/transfers/{data.pid}"))[0] == 200
    os.dup2(kept, node.node.audit._file)
    os.close(kept)
    os.close(full)
    assert (await data.read())[0] == 200
