"""The data plane: which bytes come, from where, and what of an upstream's troubles is told."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.peer import POLICIES, Talk, talk
from tests.pull import CONTENT, dataset, drained, provider, pull, upstream


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Talk]:
    async with provider(tmp_path) as node:
        yield node


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
