"""How errors become answers on the public listener: once, here, in the protocol's own error bodies."""

import logging
from collections.abc import Awaitable, Callable
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


def errors_as(type_: str, handler: Handler) -> Handler:
    """The handler, with what it raises rendered as this error type (CatalogError, TransferError, …)."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except AnodeError as error:
            if type(error) not in STATUS:
                _log.exception("%s %s failed by our own fault", request.method, request.path)
            return render(type_, request, status_of(error), error.code, error.reasons, error)
        except web.HTTPException:
            raise
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            return render(
                type_, request, 500, "internal", ("The node failed; its operator finds why in its log.",)
            )

    return guarded


def status_of(error: AnodeError) -> int:
    """The HTTP status of an error by whose fault it is; 500 for our own."""
    return STATUS.get(type(error), 500)


def render(
    type_: str,
    request: web.Request,
    status: int,
    code: str,
    reasons: tuple[str, ...],
    error: AnodeError | None = None,
) -> web.Response:
    """An error body. The pids are those of the message, or what the path names if it was not read so far."""
    named = request.match_info.get("pid", "")
    provider_pid, consumer_pid = request.get(PIDS, (named, named))
    document = error_document(type_, code, reasons, provider_pid or named, consumer_pid or named)
    headers = {}
    if isinstance(error, Unavailable) and error.retry_after:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return json(document, status, headers)
