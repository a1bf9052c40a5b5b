"""The public listener: the protocol, the DID document, the data plane. Nothing for the operator."""

import gc
import logging
import os
import ssl

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from connector.errors import AnodeError, InvalidFile, NotFound, RemoteProtocolError
from connector.node import Node
from connector.vc import did as did_web
from connector.web import data, dcp, dsp, statements
from connector.web.dsp import NODE
from connector.web.rendering import json, render

_PATIENCE = 75.0
"""Seconds until the head of a request must be there, from the connection or the last answer on: whoever
sends it byte by byte holds a connection no longer. Longer than proxies keep theirs to us (nginx: 60)."""
_ERRORS = {
    f"{dsp.BASE}/catalog": "CatalogError",
    f"{dsp.BASE}/negotiations": "ContractNegotiationError",
    f"{dsp.BASE}/transfers": "TransferError",
}
_LIST_FORMS = {
    "application/vc+jwt": "application/vc+jwt",
    "application/jwt": "application/jwt",
    **dict.fromkeys(("application/json", "application/ld+json", "application/vc"), "application/json"),
}
"""Media types that a status list may be asked for by, and the one it then has."""
_LAST_ANSWERS = 2.0
"""Seconds that requests under way may still take when the node stops."""


class _NoNews(logging.Filter):
    """Drops what anybody can cause: what is not HTTP, bodies that break off, connections that are lost."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is about us."""
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError)


_http = logging.getLogger(f"{__name__}.http")
_http.addFilter(_NoNews())


def application(node: Node) -> web.Application:
    """The routes of a node as peers see them."""
    app = web.Application(client_max_size=node.limits.message_bytes)
    app[NODE] = node
    app.add_routes(
        [*dsp.routes(), *dcp.routes(), *data.routes(), *statements.routes(), web.get("/healthz", _health)]
    )
    app.router.add_get("/status/{name}", _status_list)
    app.router.add_route("*", "/{anything:.*}", _elsewhere)
    if node.keys is not None:
        path = "/" + did_web.document_url(node.participant).split("/", 3)[3]
        app.router.add_get(path, _did)
    return app


async def start(node: Node) -> tuple[web.AppRunner, int]:
    """Listen; the runner to clean up, and the port (the system's choice if the settings say 0)."""
    public = node.config.public
    return await listen(application(node), public.host, public.port, _tls(node))


def served(app: web.Application, patience: float = _PATIENCE) -> web.AppRunner:
    """The application ready to listen, without access log (it would cost more than the requests)."""
    return web.AppRunner(
        app,
        access_log=None,
        logger=_http,
        keepalive_timeout=patience,
        handler_cancellation=False,
        shutdown_timeout=_LAST_ANSWERS,
    )


def calm_collector() -> None:
    """Let Python look for reference cycles less often, once a process is set up to serve.

    By default it walks the objects every 700 allocations; a request makes thousands, nearly all of which
    go by themselves. Measured: an eighth less CPU for a negotiation.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def listen(
    app: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None
) -> tuple[web.AppRunner, int]:
    """Serve an application; the runner to clean up, and the port."""
    runner = served(app)
    await runner.setup()
    site = web.TCPSite(runner, host, port, ssl_context=tls, backlog=1024)
    try:
        await site.start()
    except OSError as problem:
        await runner.cleanup()
        why = os.strerror(problem.errno).lower() if problem.errno else str(problem)
        raise AnodeError(f"{host}:{port} can't be listened on: {why}.") from None
    return runner, runner.addresses[0][1]


def _tls(node: Node) -> ssl.SSLContext | None:
    public = node.config.public
    if public.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(public.tls_certificate, public.tls_key)
    except OSError as problem:  # an SSLError is one too
        what = f"can't be used with {public.tls_key}: {problem.strerror or problem}"
        raise InvalidFile(f"{public.tls_certificate}: {what}") from None
    return context


async def _did(request: web.Request) -> web.Response:
    """Our DID document."""
    response = json(request.app[NODE].did_document())
    response.headers["Content-Type"] = "application/did+json"
    response.headers["Cache-Control"] = "max-age=300"
    return response


async def _status_list(request: web.Request) -> web.Response:
    """A status list of credentials that we issued, for everybody, in the form asked for."""
    credentials, name = request.app[NODE].credentials, request.match_info["name"]
    form = _list_form(request.headers.get("Accept", "application/json"))
    try:
        if form == "application/json":
            response = json(await credentials.status_list(name))
        else:
            token, form = await credentials.status_list_jwt(name, older=form == "application/jwt")
            response = web.Response(text=token, content_type=form)
    except NotFound as wrong:
        return json({"reason": list(wrong.reasons)}, status=404)
    response.headers["Cache-Control"] = "max-age=60"
    response.headers["Vary"] = "Accept"
    return response


def _list_form(accept: str) -> str:
    """The media type of a status list: the first in `accept` that we have; JSON with a proof otherwise.

    `*/*` and nothing else is what Eclipse connectors send, and they read nothing then but a JWT with a `vc`
    claim, also for lists of data model 2.0; so that is what it means here.
    """
    if accept.strip() == "*/*":
        return "application/jwt"
    wanted = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return next((_LIST_FORMS[kind] for kind in wanted if kind in _LIST_FORMS), "application/json")


async def _health(request: web.Request) -> web.Response:
    """Alive; says nothing about the node."""
    return web.Response(text="ok\n")


async def _elsewhere(request: web.Request) -> web.Response:
    """What no other route takes: a path that leads nowhere (404), or a method that is not for it (405)."""
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        allowed |= (await resource.resolve(request))[1] - {hdrs.METH_ANY}
    where = request.path[:200]
    if allowed:
        methods = ", ".join(sorted(allowed))
        status, code, why = 405, RemoteProtocolError.code, f"{where} takes {methods}, not {request.method}."
    else:
        status, code, why = 404, NotFound.code, f"There is no {where} here."
    type_ = next((type_ for path, type_ in _ERRORS.items() if request.path.startswith(path)), None)
    if type_ is None:
        response = json({"code": code, "reason": [why]}, status)
    else:
        response = render(type_, request, status, code, (why,))
    if allowed:
        response.headers["Allow"] = methods
    return response
