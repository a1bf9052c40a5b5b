"""Whatever is sent to a node: it is refused in the protocol's words, and others are served meanwhile."""

import asyncio
import base64
import contextlib
import copy
import gzip
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.dsp.terms import CONTEXT, Role, State, Subject
from connector.peers.client import Answer
from connector.store import processes as rows
from connector.web import dsp, public
from tests.nodes import running, until
from tests.peer import CALLBACK, OFFER, PEER, STRANGER, Mailbox, Talk, message, say, talk
from tests.web.test_dsp_binding import CELLS, OPENING

ALLOWED = {200, 201, 400, 401, 403, 404, 503}
"""What a peer may be answered: never that we failed."""

plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
WORDS = """
    @id @type @context @value @list @set @graph @reverse @language @base @vocab @nest @included @import
    @version @propagate @protected @container @none offer agreement permission prohibition obligation action
    constraint leftOperand operator rightOperand target assigner assignee and or xone andSequence duty use
    providerPid consumerPid callbackAddress reason code eventType dataAddress endpointProperties name value
    filter format agreementId profile timestamp dateTime lt gteq isAnyOf odrl:dateTime dspace:consumerPid
    https://w3id.org/dspace/2025/1/ http://www.w3.org/ns/odrl/2/ urn:x:battery _:b0 # / :
    did:web:peer.example 2026-01-01T00:00:00Z P30D PT0S -P1Y FINALIZED ACCEPTED Offer Agreement Set
    HttpData-PULL
"""
words = st.sampled_from(WORDS.split())
texts = words | st.text(max_size=20)
values = st.recursive(
    plain | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to all values within a value."""
    yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from places(child, (*path, key))


def changed(body: Any, path: tuple[Any, ...], new: Any, key: str | None) -> Any:
    """The body with one value replaced, or with a member more there."""
    if not path:
        return {**body, key: new} if key is not None else new
    body = copy.deepcopy(body)
    holder = body
    for step in path[:-1]:
        holder = holder[step]
    if key is not None and isinstance(holder[path[-1]], dict):
        holder[path[-1]][key] = new
    else:
        holder[path[-1]] = new
    return body


@st.composite
def mutations(draw: Any, body: Any) -> Any:
    """A message with up to three of its values made into something else."""
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(sorted(places(body), key=repr)))
        body = changed(body, path, draw(values), draw(st.none() | texts))
        if not isinstance(body, dict):
            break
    return body


def test_messages_with_anything_in_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Any JSON in any place of any message, in any state: an answer in the protocol's words, never a failure
    of ours, and a process that was refused something is what it was."""
    with asyncio.Runner() as loop:
        context = talk(tmp_path)
        node = loop.run(context.__aenter__())
        loop.run(node.place(Subject.TRANSFER, Role.PROVIDER, State.STARTED, "agreed"))
        counter = iter(range(10**9))
        seen: Counter[int] = Counter()

        @settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(st.data())
        def attack(data: st.DataObject) -> None:
            pid = None
            if data.draw(st.booleans()):
                cell = data.draw(st.sampled_from(CELLS))
                pid = f"urn:x:{next(counter)}"
                process = loop.run(node.place(*cell[:3], pid))
                path, body = say(node.node, process, cell[3])
            else:
                opening = [(p, {**b, "callbackAddress": CALLBACK}) for p, b in OPENING]
                asking = {**message("CatalogRequestMessage"), "filter": [{"category": ["EV"]}]}
                spec = {"@type": "QuerySpec", "limit": 3, "offset": 0, "filterExpression": [
                    {"operandLeft": "a", "operator": "in", "operandRight": ["x"]}]}  # fmt: skip
                more = [("/catalog/request", asking), ("/catalog/request", {**asking, "filter": [spec]})]
                path, body = data.draw(st.sampled_from(opening + more))
            body = data.draw(mutations(body))
            before = None if pid is None else rows.process(node.node.db.read, pid)
            status, answer = loop.run(node.post(path, body))
            assert status in ALLOWED, (path, body, answer)
            if status >= 400:
                assert answer["@type"].endswith("Error")
                if pid is not None:
                    assert rows.process(node.node.db.read, pid) == before
            seen[status] += 1

        try:
            with caplog.at_level(logging.ERROR):
                attack()
                loop.run(node.quiet())
            assert not caplog.records
            assert seen[400] > 100
            assert seen[200] + seen[201] > 0, "some changes are harmless"
        finally:
            loop.run(context.__aexit__(None, None, None))


headers = st.dictionaries(
    st.sampled_from(["alg", "typ", "kid", "crit", "jwk", "b64", "x5u"]), values, max_size=4
)
claims = st.fixed_dictionaries(
    {},
    optional={
        "iss": texts | values,
        "sub": texts | values,
        "aud": texts | values,
        "exp": values,
        "iat": values,
        "jti": values,
        "token": values,
    },
)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


tokens = st.one_of(
    st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=60),
    st.builds(lambda h, c, s: f"{part(h)}.{part(c)}.{s}", headers | values, claims | values, texts.map(part)),
).map(lambda t: f"Bearer {t}")


def test_tokens_with_anything_in_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever stands in the Authorization header: 401 (or 503 if its issuer can't be asked), no failure."""
    with asyncio.Runner() as loop:
        context = running(tmp_path)
        node = loop.run(context.__aenter__())

        async def send(token: str) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
            body = orjson.dumps(message("CatalogRequestMessage"))
            head = (
                f"POST /dsp/catalog/request HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\nAuthorization: {token}\r\n\r\n"
            )
            writer.write(head.encode("latin-1") + body)
            answer = await reader.read()
            writer.close()
            return answer

        @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(tokens)
        def attack(token: str) -> None:
            answer = loop.run(send(token))
            assert answer.split(b" ", 2)[1] in (b"400", b"401", b"503"), (token, answer)

        try:
            with caplog.at_level(logging.ERROR):
                attack()
            assert not caplog.records
        finally:
            loop.run(context.__aexit__(None, None, None))


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Talk]:
    async with talk(tmp_path, None) as node:
        yield node


async def served(node: Talk) -> None:
    """Others are answered, soon."""
    async with asyncio.timeout(5):
        status, _ = await node.post("/catalog/request", message("CatalogRequestMessage"), who=STRANGER)
        assert status == 200


def deep(levels: int, opening: bytes, closing: bytes) -> bytes:
    body = orjson.dumps(message("ContractRequestMessage", consumerPid="c", callbackAddress=CALLBACK, offer=0))
    return body.replace(b'"offer":0', b'"offer":' + opening * levels + b"0" + closing * levels)


@pytest.mark.parametrize("levels", [65, 900, 1_100, 10_000, 200_000])
async def test_deep_nesting(node: Talk, levels: int) -> None:
    """Objects, lists and policies within each other, ten thousand times: 400 and no recursion."""
    for opening, closing in ((b"[", b"]"), (b'{"and":', b"}"), (b'{"constraint":[', b"]}")):
        for path in (
            "/negotiations/request",
            "/negotiations/x/offers",
            "/transfers/request",
            "/catalog/request",
        ):
            status, answer = await node.post(path, deep(levels, opening, closing))
            assert status == 400, answer
    await served(node)


async def test_costly_messages(node: Talk) -> None:
    """The largest message that is read, made as costly as can be, does not keep others waiting for long."""
    many = {"leftOperand": "dateTime", "operator": "lt", "rightOperand": "2099-01-01T00:00:00Z"}
    rules = [{"action": "use", "constraint": [many] * 90}] * 90
    foreign = {f"https://x.example/{n}": [{"@value": "x"}] * 3 for n in range(5_000)}
    bodies: list[Any] = [
        message("ContractRequestMessage", consumerPid="c", callbackAddress=CALLBACK,
                offer={**OFFER, "permission": rules}),
        {**message("CatalogRequestMessage"), "filter": [{"p": [f"{n}" for n in range(50)]}] * 20},
        {**message("CatalogRequestMessage"), "@context": {"d": "https://w3id.org/dspace/2025/1/"}, **foreign},
        {"@context": [CONTEXT] + [{f"t{n}": f"https://x.example/{n}"} for n in range(10_000)]},
        [{}] * 100_000,
        {"a": ["x" * 100] * 9_000},
    ]  # fmt: skip
    for body in bodies:
        for path in ("/negotiations/request", "/catalog/request"):
            attacks = [asyncio.create_task(node.post(path, body)) for _ in range(4)]
            await served(node)
            assert {status for status, _ in await asyncio.gather(*attacks)} <= {400, 404}


@asynccontextmanager
async def raw(port: int, sent: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    yield reader, writer
    writer.transport.abort()


def head(*more: str) -> bytes:
    who = json.dumps({"clientId": PEER})
    lines = ["POST /dsp/negotiations/request HTTP/1.1", "Host: x", f"Authorization: {who}"]
    return "\r\n".join([*lines, "Content-Type: application/json", *more, "", ""]).encode()


async def test_bodies_without_end(node: Talk) -> None:
    """A body that is announced too large is refused unread, one that never ends once it is too large."""
    port = node.running.port
    async with raw(port, head("Content-Length: 99999999999")) as (reader, _):
        assert b" 400 " in await reader.readline()
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    async with raw(port, head("Transfer-Encoding: chunked") + chunk * 17) as (reader, _):
        assert b" 400 " in await reader.readline()
    packed = head("Content-Encoding: gzip", "Content-Length: 20") + b"\x1f\x8b" + b"\0" * 18
    async with raw(port, packed) as (reader, _):
        assert b" 400 " in await reader.readline()
    await served(node)


async def test_a_body_that_grows_when_unpacked(node: Talk) -> None:
    """A few kilobytes of gzip that stand for a gigabyte are refused at the limit, not unpacked whole."""
    packed = gzip.compress(b" " * (64 << 20))
    for _ in range(4):
        more = head("Content-Encoding: gzip", f"Content-Length: {len(packed)}")
        async with raw(node.running.port, more + packed) as (reader, _):
            assert b" 400 " in await reader.readline()
    assert psutil.Process().memory_info().rss < 1 << 30
    await served(node)


@pytest.mark.parametrize("garbage", [
    b"\0" * 1000, b"\x16\x03\x01\x02\x00" + b"x" * 600, b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"/" * 20_000,
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"\r\n" * 1000,
    b"GET \xff\xfe HTTP/1.1\r\nHost: \xff\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
])  # fmt: skip
async def test_what_is_not_http(node: Talk, garbage: bytes) -> None:
    """Garbage on a connection costs that connection only."""
    async with raw(node.running.port, garbage) as (reader, writer):
        if writer.can_write_eof():
            writer.write_eof()
        async with asyncio.timeout(5):
            answer = await reader.read()
        assert not answer or answer.split(b" ", 2)[1] in (b"400", b"404", b"405", b"431"), answer
    await served(node)


async def test_slow_heads(node: Talk) -> None:
    """Three hundred clients that send their head byte by byte are cut off in time; others are served."""
    runner = public.served(public.application(node.node), patience=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]

    async def drip(number: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head()[: 1 + number % 120])
        end = asyncio.create_task(reader.read())
        while not (await asyncio.wait([end], timeout=0.1))[0]:
            writer.write(b"x")
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            return await end
        return b""

    dripping = [asyncio.create_task(drip(number)) for number in range(300)]
    await served(node)
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*dripping)
    assert {answer[9:12] for answer in answers} <= {b"", b"400"}  # some drip what is no head any more
    await runner.cleanup()


async def test_slow_bodies(node: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not come is waited for only so long; meanwhile others are served."""
    monkeypatch.setattr(dsp, "_SLOW", 0.5)
    port = node.running.port
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
    for _, writer in slow:
        writer.write(head("Content-Length: 1000") + b"{")
    await served(node)
    async with asyncio.timeout(10):
        lines = await asyncio.gather(*(reader.readline() for reader, _ in slow))
    assert {line.split(b" ")[1] for line in lines} == {b"503"}
    for _, writer in slow:
        writer.transport.abort()


FORBIDDEN = [
    "http://peer.example/dsp", "https://127.0.0.1/dsp", "https://localhost/dsp", "https://x.localhost/dsp",
    "https://10.1.2.3/dsp", "https://192.168.0.1", "https://172.16.0.1:8443/x", "https://169.254.169.254/latest",
    "https://[::1]/dsp", "https://[fd00::1]/dsp", "https://[::ffff:127.0.0.1]/dsp", "https://0.0.0.0/",
    "https://0177.0.0.1/", "https://2130706433/", "https://0x7f.1/", "https://127.0.0.1./", "https://100.64.0.1/",
    "https://user:pass@peer.example/", "https://[fe80::1%25eth0]/", "https://peer.example:0/", "file:///etc/passwd",
    "https://peer.example\\@127.0.0.1/", "https://224.0.0.1/", "https:///dsp", "javascript:alert(1)",
]  # fmt: skip


async def test_callbacks_to_where_only_we_can_reach(tmp_path: Path) -> None:
    """On the internet a callback to a private, loopback or otherwise special address is refused with the
    reason when it arrives, and nothing is kept or sent."""
    public_ = {"url": "https://us.example"}
    async with talk(tmp_path, None, network={"reach": "internet"}, public=public_) as node:
        await node.place(Subject.TRANSFER, Role.PROVIDER, State.STARTED)
        before = node.contents()
        for address in FORBIDDEN:
            for path, body in OPENING:
                status, answer = await node.post(path, {**body, "callbackAddress": address})
                assert status == 400, (address, answer)
                assert answer["reason"][0], address
        assert node.contents() == before
        assert node.mailbox.messages == []
        path, body = OPENING[0]
        assert (await node.post(path, {**body, "callbackAddress": "https://peer.example/dsp"}))[0] == 201


async def test_a_flood_from_one_participant(tmp_path: Path) -> None:
    """Thousands of requests from one participant fill its own share; a silent callback keeps its own places;
    another participant negotiates as if nothing were."""
    async with talk(tmp_path, None, limits={"open_processes": 300}) as node:
        mailbox: Mailbox = node.mailbox
        silent = asyncio.Event()
        deliver = mailbox.request

        async def request(method: str, url: str, **more: Any) -> Answer:
            if "/silent/" in url:
                await silent.wait()
            return await deliver(method, url, **more)

        node.node.courier._transport = type("Slow", (), {"request": staticmethod(request)})()
        path, body = OPENING[0]
        flood = {**body, "callbackAddress": CALLBACK + "/silent"}
        answers: Counter[int] = Counter()

        async def pour(share: range) -> None:
            for number in share:
                answers[(await node.post(path, {**flood, "consumerPid": f"c{number}"}))[0]] += 1

        pouring = [asyncio.create_task(pour(range(n, 2000, 20))) for n in range(20)]
        for number in range(10):
            other = {**body, "consumerPid": f"o{number}", "callbackAddress": CALLBACK}
            async with asyncio.timeout(5):
                status, process = await node.post(path, other, who=STRANGER)
                assert status == 201
                await until(node.running, process["@id"], "AGREED")
        await asyncio.gather(*pouring)
        assert answers == {201: 300, 503: 1700}
        assert len(node.node.courier.carrying) - node.node.courier.queued <= 32
        silent.set()
