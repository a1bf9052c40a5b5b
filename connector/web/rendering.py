"""How errors become answers on the public listener: once, here, in the protocol's own error bodies."""

import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from aiohttp import web

from connector.dsp.messages import error_document
from connector.errors import (
    AnodeError,
    Denied,
    EgressDenied,
    NotFound,
    RemoteProtocolError,
    Unavailable,
    Untrusted,
)

_log = logging.getLogger(__name__)

PIDS = web.RequestKey("pids", tuple)
"""Provider pid and consumer pid that a message names, as far as it does."""

REQUEST_ID = web.RequestKey("request_id", str)
"""The name of a request for data. Each answer tells it; what was decided is in the audit log under it, once a
token says about what."""

_CODING = re.compile(r"\s*(gzip|x-gzip|\*)\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?", re.IGNORECASE)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATUS: dict[type[AnodeError], int] = {
    RemoteProtocolError: 400,
    EgressDenied: 400,
    Untrusted: 401,
    Denied: 403,
    NotFound: 404,
    Unavailable: 503,
}


def json(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def takes_gzip(accepted: str) -> bool:
    """Whether an `Accept-Encoding` asks for gzip (RFC 9110, 12.5.3): named, or by `*`, and not with `q=0`.

    >>> takes_gzip("br, gzip;q=0.5"), takes_gzip("gzip;q=0, *"), takes_gzip("")
    (True, False, False)
    """
    weights = {
        match[1].lower().removeprefix("x-"): bool((match[2] or "1").strip("0."))
        for part in accepted.split(",")
        if (match := _CODING.fullmatch(part))
    }
    return weights.get("gzip", weights.get("*", False))


@contextmanager
def breaking_off(request: web.Request, response: web.StreamResponse) -> Iterator[None]:
    """An error after the head is out can only be told by breaking off: more would be taken for data."""
    try:
        yield
    except Exception as error:
        if not response.prepared:
            raise
        if not isinstance(error, AnodeError | OSError):
            _log.exception("%s %s broke off by our own fault", request.method, request.path)
        elif not isinstance(error, ConnectionError):  # which a reader that goes away is, too
            why = error or type(error).__name__
            _log.warning("%s %s broke off: %s", request.method, request.path, why)
        cut(request)


def cut(request: web.Request) -> None:
    """Break the connection off."""
    if request.transport is not None:
        request.transport.abort()


Body = Callable[[web.Request, str, tuple[Any, ...]], dict[str, Any]]
"""The body of an error, from its code and its reasons."""


def errors_as(type_: str, handler: Handler) -> Handler:
    """The handler, with what it raises rendered as this error type (CatalogError, TransferError, …)."""
    return _guarded(handler, lambda request, code, reasons: _dsp_error(type_, request, code, reasons))


def refusals(handler: Handler) -> Handler:
    """The handler, with what it raises as `{"code": …, "reason": […]}`: where no standard says how."""
    return _guarded(handler, lambda _, code, reasons: {"code": code, "reason": list(reasons)})


def _guarded(handler: Handler, body: Body) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except AnodeError as error:
            if type(error) not in STATUS:
                _log.exception("%s %s failed by our own fault", request.method, request.path)
            told = (*error.reasons, *error.details)
            return _told(request, body(request, error.code, told), status_of(error), error)
        except web.HTTPException:
            raise
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            reasons = ("The node failed; its operator finds why in its log.",)
            return _told(request, body(request, "internal", reasons), 500)

    return guarded


def status_of(error: AnodeError) -> int:
    """The HTTP status of an error by whose fault it is; 500 for our own."""
    return STATUS.get(type(error), 500)


def render(
    type_: str, request: web.Request, status: int, code: str, reasons: tuple[str, ...]
) -> web.Response:
    """An error of the Dataspace Protocol that no handler raised."""
    return _told(request, _dsp_error(type_, request, code, reasons), status)


def _dsp_error(type_: str, request: web.Request, code: str, reasons: tuple[Any, ...]) -> dict[str, Any]:
    """An error body. The pids are those of the message, or what the path names if it was not read so far."""
    named = request.match_info.get("pid", "")
    provider_pid, consumer_pid = request.get(PIDS, (named, named))
    return error_document(type_, code, reasons, provider_pid or named, consumer_pid or named)


def named(request: web.Request) -> dict[str, str]:
    """The header that tells a request's name, if it has one."""
    name = request.get(REQUEST_ID)
    return {} if name is None else {"X-Request-ID": name}


def _told(
    request: web.Request, document: dict[str, Any], status: int, error: AnodeError | None = None
) -> web.Response:
    headers = named(request)
    if isinstance(error, Unavailable) and error.retry_after:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return json(document, status, headers)
