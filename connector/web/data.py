"""The data plane's HTTP face: `GET /data` with a transfer's token, `POST /data/refresh` for new tokens.

Range requests and validators follow RFC 9110 (sections 13 and 14). Files go out with `sendfile` on plain
TCP and in 256 KiB pieces over TLS, upstream data as it comes; memory stays flat. Each response is tied to
its grant: when access ends, the connection is cut. The header `Usage-Purpose` declares what a request is for.
"""

import asyncio
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs

from aiohttp import hdrs, web
from multidict import istr

from connector.errors import AnodeError, Denied, NotFound, RemoteProtocolError, Unavailable, Untrusted
from connector.flows.data import Access
from connector.flows.pull import PURPOSE
from connector.flows.uses import Asked
from connector.node import Node
from connector.web.dsp import NODE, authenticated, read_body
from connector.web.rendering import REQUEST_ID, breaking_off, cut, errors_as, json, named

_log = logging.getLogger(__name__)

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
ASKED_ON: tuple[str, ...] = (hdrs.RANGE, hdrs.IF_RANGE, hdrs.IF_NONE_MATCH, hdrs.IF_MODIFIED_SINCE)
"""Headers of a reader that go on to where the bytes come from; of the answer, `PASSED_ON` come back."""
_PURPOSE = istr(PURPOSE)
_REST = re.compile(r"bytes=([0-9]{1,18})-[0-9]{0,18}")


@dataclass(slots=True)
class _Sent:
    """What an answer holds: which version, from which byte on, and whether any, and all, of it went out."""

    begun: bool = False
    version: str | None = None
    first: int = 0
    whole: bool = False


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
    part = headers.get(hdrs.RANGE)
    about: dict[str, Any] = {"request": name, "method": request.method, "range": part, "from": request.remote}
    purpose = None
    if _PURPOSE in headers:
        about["purpose"] = purpose = _purpose(headers.getall(_PURPOSE))
    asked = Asked(purpose, request.method != "HEAD")
    if part is not None and (rest := _REST.fullmatch(part)):
        asked = Asked(purpose, asked.reads, headers.get(hdrs.IF_RANGE), int(rest[1]))
    access = await node.data.open(headers.get(hdrs.AUTHORIZATION), about, asked)
    sent = _Sent()
    try:
        if access.source.body is not None and len(access.source.body) <= _PIECE:
            return await _inline(request, access, access.source.body, sent)
        return await _answer(request, node, access, sent)
    except Exception as refused:
        if not sent.begun:
            why = refused.reasons if isinstance(refused, AnodeError) else (str(refused),)
            node.data.withheld(access, why, about)
        raise
    finally:
        if access.use is not None and asked.reads and sent.begun:
            node.data.sent(access, access.use, sent.version, sent.first, sent.whole)


async def _answer(request: web.Request, node: Node, access: Access, sent: _Sent) -> web.StreamResponse:
    source = access.source
    try:
        async with asyncio.timeout(None) as ending:
            with node.data.running(access, lambda: _end(ending)):
                if source.body is not None:
                    return await _large(request, access, source.body, sent)
                if source.file is not None:
                    return await _file(request, access, source.file, sent)
                return await _upstream(request, node, access, sent)
    except TimeoutError:
        cut(request)
        raise Unavailable("Access to this data has just ended.") from None


def _purpose(said: Sequence[str]) -> str:
    """What the request is said to be for. One purpose, so that there is no doubt by which it was granted."""
    text = said[0].strip()
    if len(said) > 1 or not text or len(text) > 500 or not text.isprintable():
        raise RemoteProtocolError(
            f"The {PURPOSE} header must declare one purpose, in at most 500 characters."
        )
    return text


def _same(access: Access, sent: _Sent, partial: bool) -> None:
    """Going on with a download is part of the use that it belongs to; another version is another use."""
    use = access.use
    if use is None or use.goes_on is None:
        return
    if not partial or sent.version != use.goes_on or sent.first <= use.first:
        raise Denied("The data have changed since the download broke off; ask for them from the start.")


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


async def _inline(request: web.Request, access: Access, body: bytes, sent: _Sent) -> web.Response:
    status, headers, (start, stop) = _head(request, access, len(body), access.source.etag, sent)
    if access.waits and status != 304:
        await request.app[NODE].data.begins(access)
    sent.begun = sent.whole = True
    if status == 304:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body[start:stop], status=status, headers=headers)


async def _large(request: web.Request, access: Access, body: bytes, sent: _Sent) -> web.StreamResponse:
    """A document in pieces, since access may end while it is sent."""
    status, headers, (start, stop) = _head(request, access, len(body), access.source.etag, sent)
    response = web.StreamResponse(status=status, headers=headers)
    if status != 304:
        response.content_length = stop - start
        if access.waits:
            await request.app[NODE].data.begins(access)
    sent.begun = True
    with breaking_off(request, response):
        await response.prepare(request)
        if request.method != "HEAD" and status != 304:
            for first in range(start, stop, _PIECE):
                await _write(response, body[first : min(stop, first + _PIECE)])
        await response.write_eof()
        sent.whole = True
    return response


async def _file(request: web.Request, access: Access, path: Path, sent: _Sent) -> web.StreamResponse:
    try:
        file = path.open("rb")  # opening does not wait on a local disk; reading is done in pieces
    except OSError as error:
        raise NotFound(f"The provider's file for this dataset can't be read ({error.strerror}).") from None
    with file:
        found = os.fstat(file.fileno())
        etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
        status, headers, (start, stop) = _head(request, access, found.st_size, etag, sent)
        if status == 304:
            sent.begun = sent.whole = True
            return web.Response(status=304, headers=headers)
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = stop - start
        if access.waits:
            await request.app[NODE].data.begins(access)
        sent.begun = True
        with breaking_off(request, response):
            await response.prepare(request)
            if request.method != "HEAD":
                await _send(request, response, file, start, stop)
            await response.write_eof()
            sent.whole = True
        return response


def _head(
    request: web.Request, access: Access, size: int, etag: str, sent: _Sent
) -> tuple[int, dict[str, str], tuple[int, int]]:
    """Status, headers, and which bytes, for data of which all is known."""
    sent.version = etag
    if _unchanged(request, etag):
        _same(access, sent, partial=False)
        return 304, {"ETag": etag, **named(request)}, (0, 0)
    part = _range(request, size, etag)
    sent.first = 0 if part is None else part[0]
    _same(access, sent, partial=part is not None)
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": str(access.source.media_type)}
    headers["X-Request-ID"] = request[REQUEST_ID]
    if part is None:
        return 200, headers, (0, size)
    headers["Content-Range"] = f"bytes {part[0]}-{part[1] - 1}/{size}"
    return 206, headers, part


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


async def _upstream(request: web.Request, node: Node, access: Access, sent: _Sent) -> web.StreamResponse:
    """The operator's own upstream. Its refusals are the operator's trouble: 503, not 500."""
    source, http = access.source, access.source.http or {}
    headers = {**http["headers"], **{n: request.headers[n] for n in ASKED_ON if n in request.headers}}
    response = web.StreamResponse(headers=named(request))
    try:
        async with node.upstream.open(http["url"], headers) as stream:
            if stream.status == 416:
                raise _unsatisfiable(request, stream.headers.get("content-range", "bytes */*"))
            if stream.status not in (200, 206, 304):
                raise Unavailable(f"it answered {stream.status}")
            sent.version = stream.headers.get("etag")
            if stream.status == 206:
                sent.first = _begin(stream.headers.get("content-range", ""))
            _same(access, sent, partial=stream.status == 206)
            response.set_status(stream.status)
            response.headers.update({n: stream.headers[n] for n in PASSED_ON if n in stream.headers})
            if source.media_type:
                response.headers["Content-Type"] = source.media_type
            if access.waits and stream.status != 304:
                await node.data.begins(access)
            sent.begun = True
            with breaking_off(request, response):
                await response.prepare(request)
                if request.method != "HEAD" and stream.status != 304:
                    async for chunk in stream.chunks:
                        await _write(response, chunk)
                await response.write_eof()
                sent.whole = True
    except (Denied, Untrusted):
        raise
    except AnodeError as error:  # its address and troubles are its operator's business, not the peer's
        _log.warning("the source of %s can't be read: %s", access.grant.dataset, error)
        raise Unavailable(
            f"The provider's source of {access.grant.dataset} can't be read now; its operator must look."
        ) from None
    return response


def _begin(content_range: str) -> int:
    """The first byte of a part, by its `Content-Range`; 0 if it does not say."""
    match = re.match(r"bytes ([0-9]{1,18})-", content_range)
    return int(match[1]) if match else 0


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
    known = request.headers.get(hdrs.IF_NONE_MATCH)
    if known is None:
        return False
    return known == "*" or etag in (tag.strip().removeprefix("W/") for tag in known.split(","))


def _range(request: web.Request, size: int, etag: str) -> tuple[int, int] | None:
    """Start and end (exclusive) of the part asked for; None for all of it.

    Several parts at once, and forms we don't know, are answered with everything, as RFC 9110 allows.
    """
    text = request.headers.get(hdrs.RANGE)
    if text is None:
        return None
    condition = request.headers.get(hdrs.IF_RANGE)
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
        raise _unsatisfiable(request, f"bytes */{size}")
    return start, stop


def _unsatisfiable(request: web.Request, content_range: str) -> web.HTTPException:
    headers = {"Content-Range": content_range, **named(request)}
    return web.HTTPRequestRangeNotSatisfiable(headers=headers)
