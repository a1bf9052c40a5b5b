"""The client against real servers, most of them hostile."""

import asyncio
import datetime
import gzip
import socket
import ssl
import zlib
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connector.errors import EgressDenied, RemoteProtocolError, Unavailable
from connector.peers.client import Answer, Client
from connector.peers.egress import Egress
from tests.peers.conftest import Serve

MIB = 1024 * 1024


async def test_exchange(client: Client, serve: Serve) -> None:
    """Method, path, headers and body arrive as given; the answer comes back whole, names in lower case."""

    async def echo(request: web.Request) -> web.Response:
        text = f"{request.method} {request.rel_url} {request.headers['X-A']} {await request.text()}"
        return web.Response(status=418, text=text, headers=[("Link", "<1>"), ("Link", "<2>"), ("X-B", "b")])

    base = await serve(echo)
    answer = await client.request("POST", f"{base}/x/y?z=%2F", headers={"x-a": "1"}, body=b"hello")
    assert (answer.status, answer.body) == (418, b"POST /x/y?z=%2F 1 hello")
    assert (answer.headers["link"], answer.headers["x-b"]) == ("<1>, <2>", "b")


async def test_one_connection_is_kept(client: Client, serve: Serve) -> None:
    """Requests to one peer go over one kept connection."""
    peers = set()

    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response()

    base = await serve(handler)
    for _ in range(5):
        await client.request("POST", base, body=b"x")
    assert len(peers) == 1


async def test_redirect_is_an_answer(client: Client, serve: Serve) -> None:
    """A redirect is not followed: it would choose a new address past the check of the first."""
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=307, headers={"location": "/elsewhere"})

    answer = await client.request("GET", f"{await serve(handler)}/x")
    assert (answer.status, answer.headers["location"], asked) == (307, "/elsewhere", ["/x"])


async def test_no_cookies(client: Client, serve: Serve) -> None:
    """A peer's cookies are forgotten."""
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers.get("cookie"))
        return web.Response(headers={"set-cookie": "a=b"})

    base = await serve(handler)
    await client.request("GET", base)
    await client.request("GET", base)
    assert seen == [None, None]


async def test_no_proxy_from_the_environment(
    client: Client, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in the environment is not used: it would resolve names past our check."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(text="direct")

    assert (await client.request("GET", await serve(handler))).body == b"direct"


async def test_gzip_is_undone(client: Client, serve: Serve) -> None:
    """A compressed answer is read as what it means."""

    async def handler(request: web.Request) -> web.Response:
        assert "gzip" in request.headers["accept-encoding"]
        return web.Response(body=gzip.compress(b'{"a": 1}'), headers={"content-encoding": "gzip"})

    assert (await client.request("GET", await serve(handler))).json() == {"a": 1}


async def test_huge_and_announced(client: Client, serve: Serve) -> None:
    """A body announced as too large is not read at all."""

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=b"x" * (50 * MIB))

    with pytest.raises(RemoteProtocolError, match=r"127.0.0.1:\d+ answered with more than 1048576 bytes"):
        await client.request("GET", await serve(handler), max_bytes=MIB)


async def test_huge_and_not_announced(client: Client, serve: Serve) -> None:
    """A body that does not end is read to the limit and dropped with its connection."""
    sent = 0
    gone = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * MIB)
                sent += MIB
        finally:
            gone.set()

    with pytest.raises(RemoteProtocolError, match="more than 1048576 bytes"):
        await client.request("GET", await serve(handler), max_bytes=MIB)
    await asyncio.wait_for(gone.wait(), 5)
    assert sent < 50 * MIB


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_decompression_bomb(client: Client, serve: Serve, encoding: str) -> None:
    """The limit counts what comes out: 256 KiB that become 256 MiB are cut off, memory flat."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    bomb = b"".join(packer.compress(b"\0" * MIB) for _ in range(256)) + packer.flush()

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"content-encoding": encoding})

    base = await serve(handler)
    before = peak_memory()
    with pytest.raises(RemoteProtocolError, match="more than 2097152 bytes"):
        await client.request("GET", base, max_bytes=2 * MIB)
    assert peak_memory() - before < 64 * MIB


def peak_memory() -> int:
    """High-water mark of this process in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


async def test_exactly_the_limit(client: Client, serve: Serve) -> None:
    """A body as large as the limit passes."""

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 1000)

    base = await serve(handler)
    assert len((await client.request("GET", base, max_bytes=1000)).body) == 1000
    with pytest.raises(RemoteProtocolError, match="more than 999 bytes"):
        await client.request("GET", base, max_bytes=999)


async def test_never_answers(client: Client, serve: Serve) -> None:
    """A peer that takes the request and says nothing is given up after the timeout."""

    async def handler(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(Unavailable, match=r"127.0.0.1:\d+ did not answer within 0.1 s"):
        await client.request("GET", await serve(handler), timeout=0.1)


async def test_answers_drop_by_drop(client: Client, serve: Serve) -> None:
    """The timeout is for the whole answer: a byte now and then does not extend it."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.01)

    with pytest.raises(Unavailable, match=r"did not answer within 0\.2 s"):
        await client.request("GET", await serve(handler), timeout=0.2)


async def test_nobody_there(client: Client) -> None:
    """A closed port is named with what the system said."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        with pytest.raises(Unavailable, match=r"127.0.0.1:\d+ can't be reached: .*"):
            await client.request("GET", url)


async def raw_server(answer: bytes) -> tuple[asyncio.Server, str]:
    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        (b"", Unavailable, "closed the connection before it answered"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", Unavailable, "broke off, or is damaged"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", RemoteProtocolError, "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20000 + b"\r\n\r\n", RemoteProtocolError, "is not HTTP"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-encoding: gzip\r\n\r\nabc",
            Unavailable,
            "broke off, or is damaged",
        ),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            RemoteProtocolError,
            "is not HTTP",
        ),
    ],
)
async def test_broken_answers(client: Client, answer: bytes, error: type[Exception], reason: str) -> None:
    """What is no answer, or half of one, is told apart."""
    server, url = await raw_server(answer)
    async with server:
        with pytest.raises(error, match=reason):
            await client.request("POST", url, body=b"x")


async def test_denied_before_connecting(serve: Serve) -> None:
    """An address out of reach is not connected to, as a number or as a name."""
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    port = (await serve(handler)).rpartition(":")[2]
    for reach in ("internet", "intranet"):
        client = Client(Egress(reach))
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.1"):
            with pytest.raises(EgressDenied, match=f"network.reach is '{reach}'"):
                await client.request("GET", f"https://{host}:{port}/")
            with pytest.raises(EgressDenied):
                async with client.open(f"https://{host}:{port}/"):
                    pass
        await client.close()
    assert asked == []


async def test_name_that_resolves_to_a_denied_address(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A harmless name that resolves to a forbidden address is refused when the connection is made."""
    loop = asyncio.get_running_loop()
    lookups = []

    async def rebound(host: str, port: int, **_options: object) -> list[object]:
        lookups.append(host)
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.3", port))
        public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", port))
        return [public, address]

    monkeypatch.setattr(loop, "getaddrinfo", rebound)
    client = Client(Egress("internet"))
    reason = r"harmless.example is private .it resolves to 10.0.0.3.; this node's network.reach is 'internet'"
    with pytest.raises(EgressDenied, match=reason):
        await client.request("GET", "https://harmless.example/")
    assert lookups == ["harmless.example"]
    await client.close()


async def test_name_that_does_not_resolve(client: Client) -> None:
    """A name without an address is named."""
    with pytest.raises(Unavailable, match=r"nowhere.invalid:80 can't be reached: its name does not resolve"):
        await client.request("GET", "http://nowhere.invalid/")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Key and self-signed certificate for localhost, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start.replace(year=2099))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "localhost.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


async def test_tls(client: Client, certificate: Path) -> None:
    """A certificate that nobody vouches for is named as the trouble; one's own authority can be trusted."""
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(certificate)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    trusting = Client(Egress("loopback"), trust=ssl.create_default_context(cafile=certificate))
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_side) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match=r"TLS certificate that is not trusted: .*self-signed"):
            await client.request("GET", f"https://localhost:{port}/")
        assert (await trusting.request("GET", f"https://localhost:{port}/")).status == 204
        with pytest.raises(Unavailable, match=r"TLS certificate that is not trusted: .*127\.0\.0\.1"):
            await trusting.request("GET", f"https://127.0.0.1:{port}/")
        await trusting.close()


async def test_no_tls_where_it_was_expected(client: Client, serve: Serve) -> None:
    """A server that speaks plain HTTP on an https address is told from one that is away."""

    async def handler(_request: web.Request) -> web.Response:
        return web.Response()

    with pytest.raises(Unavailable, match="TLS failed"):
        await client.request("GET", (await serve(handler)).replace("http:", "https:"))


async def test_closed() -> None:
    """A closed client says so; closing twice is nothing."""
    client = Client(Egress("loopback"))
    await client.close()
    await client.close()
    with pytest.raises(Unavailable, match="shutting down"):
        await client.request("GET", "http://127.0.0.1:9/")


async def test_stream_passes_ranges_and_encodings_through(client: Client, serve: Serve) -> None:
    """A stream is the server's own bytes: a range stays a range, gzip stays gzip, of any length."""
    packed = gzip.compress(b"x" * 1000)

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.headers.get("range") == "bytes=2-5":
            headers = {"content-range": "bytes 2-5/10", "X-Encoding": request.headers["accept-encoding"]}
            return web.Response(status=206, body=b"cdef", headers=headers)
        if request.path == "/packed":
            return web.Response(body=packed, headers={"content-encoding": "gzip"})
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(20):
            await response.write(b"x" * MIB)
        return response

    base = await serve(handler)
    async with client.open(base, {"range": "bytes=2-5"}) as stream:
        assert (stream.status, stream.headers["content-range"]) == (206, "bytes 2-5/10")
        assert stream.headers["x-encoding"] == "identity"
        assert [chunk async for chunk in stream.chunks] == [b"cdef"]
    async with client.open(f"{base}/packed") as stream:
        assert b"".join([chunk async for chunk in stream.chunks]) == packed
    async with client.open(base) as stream:
        assert sum([len(chunk) async for chunk in stream.chunks]) == 20 * MIB


async def test_stream_left_early(client: Client, serve: Serve) -> None:
    """Leaving a stream drops its connection; the server does not go on sending."""
    gone = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * MIB)
        finally:
            gone.set()

    async with client.open(await serve(handler)) as stream:
        async for _chunk in stream.chunks:
            break
    await asyncio.wait_for(gone.wait(), 5)


async def test_stream_breaks_off(client: Client) -> None:
    """A stream that ends before its time says so, after what did arrive."""
    server, url = await raw_server(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
    async with server, client.open(url) as stream:
        chunks = aiter(stream.chunks)
        assert await anext(chunks) == b"abc"
        with pytest.raises(Unavailable, match="broke off"):
            await anext(chunks)


def test_json() -> None:
    """JSON is parsed; what is none, or nests too deep, is the peer's fault."""
    assert Answer(200, {}, b'{"a": [1, {"b": 2}]}').json() == {"a": [1, {"b": 2}]}
    with pytest.raises(RemoteProtocolError, match=r"not (JSON|UTF-8)"):
        Answer(200, {}, b"<html>").json()
    with pytest.raises(RemoteProtocolError, match=r"not (JSON|UTF-8)"):
        Answer(200, {}, b'"\xff"').json()


@pytest.mark.parametrize("depth", [1, 5, 64])
def test_json_depth(depth: int) -> None:
    """The limit is exact, for lists, objects and both; many flat brackets are no depth."""
    for opening, closing in (("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")):
        step = len(opening.replace('"a":', ""))
        body = (opening * (depth // step) + "1" + closing * (depth // step)).encode()
        Answer(200, {}, body).json(depth)
        deeper = b"[" * (depth + 1) + b"]" * (depth + 1)
        with pytest.raises(RemoteProtocolError, match=f"deeper than {depth}"):
            Answer(200, {}, deeper).json(depth)
    assert len(Answer(200, {}, b"[" + b"[]," * 500 + b"[]]").json(2)) == 501


def test_json_far_too_deep() -> None:
    """Nesting made to break a parser breaks nothing."""
    for body in (b"[" * 1_000_000, b"[" * 900 + b"]" * 900, b'{"a":' * 900 + b"1" + b"}" * 900):
        with pytest.raises(RemoteProtocolError, match=r"not JSON|deeper than"):
            Answer(200, {}, body).json()
