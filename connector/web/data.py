"""The data plane's HTTP face: `GET /data` with a transfer's token, `POST /data/refresh` for new tokens.

Range requests and validators follow RFC 9110 (sections 13 and 14). Files go out with `sendfile` on plain
TCP and in 256 KiB pieces over TLS, upstream data as it comes; memory stays flat. Each response is tied to
its grant: when access ends, the connection is cut.
"""

import asyncio
import logging
import os
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs

from aiohttp import web

from connector.errors import AnodeError, NotFound, RemoteProtocolError, Unavailable
from connector.flows.data import Grant
from connector.flows.sources import Source
from connector.node import Node
from connector.web.dsp import NODE, authenticated, read_body
from connector.web.rendering import breaking_off, cut, errors_as, json

_log = logging.getLogger(__name__)

REQUEST_ID = web.RequestKey("request_id", str)
_PIECE = 256 * 1024
_SENDFILE_PIECE = 16 << 20
_SLOWEST = 16 * 1024
"""Bytes a second. Who reads more slowly is cut off, and can go on with a range request."""
PASSED_ON = (
    "content-type",
    "content-encoding",
    "content-length",
    "content-range",
    "etag",
    "last-modified",
    "accept-ranges",
)
ASKED_ON = ("Range", "If-Range", "If-None-Match", "If-Modified-Since")
"""Headers of a reader that go on to where the bytes come from; of the answer, `PASSED_ON` come back."""


def routes() -> list[web.RouteDef]:
    """The data plane's routes."""
    get = errors_as("TransferError", data)
    return [
        web.get("/data", get, allow_head=False),
        web.head("/data", get),
        web.post("/data/refresh", errors_as("TransferError", refresh)),
    ]


async def data(request: web.Request) -> web.StreamResponse:
    """The dataset that the token opens, decided for this very request."""
    node, headers = request.app[NODE], request.headers
    for name in ASKED_ON:
        if name in headers and not headers[name].isprintable():  # bytes that are not UTF-8 come as surrogates
            raise RemoteProtocolError(f"The {name} header is not text.")
    request[REQUEST_ID] = name = node.audit.next_id()
    about = {"request": name, "method": request.method, "range": headers.get("Range"), "from": request.remote}
    grant = await node.data.open(headers.get("Authorization"), about)
    source = node.sources.of(grant.dataset)
    if source.body is not None:
        return _inline(request, source, source.body)
    try:
        async with asyncio.timeout(None) as access:
            with node.data.running(grant, lambda: _end(access)):
                if source.file is not None:
                    return await _file(request, source.file, str(source.media_type))
                return await _upstream(request, node, grant, source)
    except TimeoutError:
        cut(request)
        raise Unavailable("Access to this data has just ended.") from None


async def named(request: web.Request, response: web.StreamResponse) -> None:
    """Tell who asked for data under which name its request is in the audit log."""
    if (name := request.get(REQUEST_ID)) is not None:
        response.headers["X-Request-ID"] = name


async def refresh(request: web.Request) -> web.Response:
    """New tokens for a running transfer.

    Form: `grant_type=refresh_token&refresh_token=…`, signed by the consumer's identity. The old tokens
    stay valid until one of the new ones is used, so a lost answer harms nobody.
    """
    node = request.app[NODE]
    participant = (await authenticated(request)).did
    form = parse_qs((await read_body(request, 16_384)).decode("utf-8", "replace"))
    if form.get("grant_type") != ["refresh_token"] or len(form.get("refresh_token", [])) != 1:
        raise RemoteProtocolError("Send a form with grant_type=refresh_token and one refresh_token.")
    token, new, lifetime = await node.refresh(participant, form["refresh_token"][0])
    body = {"access_token": token, "refresh_token": new, "token_type": "bearer", "expires_in": int(lifetime)}
    return json(body, headers={"Cache-Control": "no-store"})


def _inline(request: web.Request, source: Source, body: bytes) -> web.Response:
    etag = source.etag
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": str(source.media_type)}
    if _unchanged(request, etag):
        return web.Response(status=304, headers={"ETag": etag})
    part = _range(request, len(body), etag)
    if part is None:
        return web.Response(body=body, headers=headers)
    start, stop = part
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
    return web.Response(body=body[start:stop], status=206, headers=headers)


async def _file(request: web.Request, path: Path, media_type: str) -> web.StreamResponse:
    try:
        file = path.open("rb")  # opening does not wait on a local disk; reading is done in pieces
    except OSError as error:
        raise NotFound(f"The provider's file for this dataset can't be read ({error.strerror}).") from None
    with file:
        status = os.fstat(file.fileno())
        etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        if _unchanged(request, etag):
            return web.Response(status=304, headers={"ETag": etag})
        part = _range(request, status.st_size, etag)
        start, stop = part or (0, status.st_size)
        response = web.StreamResponse(status=206 if part else 200)
        response.content_length = stop - start
        response.headers.update({"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": media_type})
        if part:
            response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{status.st_size}"
        with breaking_off(request, response):
            await response.prepare(request)
            if request.method != "HEAD":
                await _send(request, response, file, start, stop)
            await response.write_eof()
        return response


async def _send(
    request: web.Request, response: web.StreamResponse, file: BinaryIO, start: int, stop: int
) -> None:
    loop = asyncio.get_running_loop()
    if request.transport is not None and request.transport.get_extra_info("sslcontext") is None:
        while start < stop:
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("the connection was cut")
            count = min(_SENDFILE_PIECE, stop - start)
            async with asyncio.timeout(_patience(count)):
                sent = await loop.sendfile(request.transport, file, start, count)
            if sent < count:
                raise ConnectionResetError("the file became shorter while it was sent")
            start += count
        return
    while start < stop:
        piece = os.pread(file.fileno(), min(_PIECE, stop - start), start)
        if not piece:
            raise ConnectionResetError("the file became shorter while it was sent")
        await _write(response, piece)
        start += len(piece)


async def _upstream(request: web.Request, node: Node, grant: Grant, source: Source) -> web.StreamResponse:
    """The operator's own upstream. Its refusals are the operator's trouble: 503, not 500."""
    http = source.http or {}
    headers = {**http["headers"], **{n: request.headers[n] for n in ASKED_ON if n in request.headers}}
    response = web.StreamResponse()
    try:
        async with node.upstream.open(http["url"], headers) as stream:
            if stream.status not in (200, 206, 304, 416):
                raise Unavailable(f"it answered {stream.status}")
            response.set_status(stream.status)
            response.headers.update({n: stream.headers[n] for n in PASSED_ON if n in stream.headers})
            if source.media_type:
                response.headers["Content-Type"] = source.media_type
            with breaking_off(request, response):
                await response.prepare(request)
                if request.method != "HEAD" and stream.status != 304:
                    async for chunk in stream.chunks:
                        await _write(response, chunk)
                await response.write_eof()
    except AnodeError as error:  # its address and troubles are its operator's business, not the peer's
        _log.warning("the source of %s can't be read: %s", grant.dataset, error)
        raise Unavailable(
            f"The provider's source of {grant.dataset} can't be read now; its operator must look."
        ) from None
    return response


async def _write(response: web.StreamResponse, piece: bytes) -> None:
    async with asyncio.timeout(_patience(len(piece))):
        await response.write(piece)


def _patience(octets: int) -> float:
    """Seconds a consumer may take for a piece, so that one who does not read does not keep us for ever."""
    return 30 + octets / _SLOWEST


def _end(access: asyncio.Timeout) -> None:
    """Stop sending now. Not by closing the connection: a `sendfile` under way would never notice."""
    if not access.expired():
        access.reschedule(0)


def _unchanged(request: web.Request, etag: str) -> bool:
    """Whether the client has this version already (RFC 9110, 13.1.2)."""
    known = request.headers.get("If-None-Match")
    if known is None:
        return False
    return known == "*" or etag in (tag.strip().removeprefix("W/") for tag in known.split(","))


def _range(request: web.Request, size: int, etag: str) -> tuple[int, int] | None:
    """Start and end (exclusive) of the part asked for; None for all of it.

    Several parts at once, and forms we don't know, are answered with everything, as RFC 9110 allows.
    """
    text = request.headers.get("Range")
    if text is None:
        return None
    condition = request.headers.get("If-Range")
    if not text.startswith("bytes=") or "," in text or (condition is not None and condition != etag):
        return None
    first, _, last = text.removeprefix("bytes=").strip().partition("-")
    if not (first or last) or not all(
        t.isascii() and t.isdigit() and len(t) < 20 for t in (first, last) if t
    ):
        return None
    if first and last and int(last) < int(first):  # not a range at all (section 14.1.2)
        return None
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
    if start >= stop:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return start, stop
