"""The management listener's gate: who may call, what a call may be, and how its end is told.

A token is always asked for. A page that a browser shows from elsewhere can neither call this listener by
another name (`Host`, against DNS rebinding) nor on its own behalf (`Origin`).
"""

import hmac
import os
import stat
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel, ValidationError

from connector.errors import AnodeError, InvalidFile, RemoteProtocolError, Unavailable
from connector.jsonld.documents import loads
from connector.quantities import is_loopback
from connector.web.openapi import STATUS, BadRequest, Call, Problem, Route

Responder = Callable[[web.Request], Awaitable[web.StreamResponse]]


def read_token(path: Path) -> str:
    """The management token in `path`. InvalidFile if it is missing, short, or readable by others."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            token = file.read(4096).strip()
    except OSError as problem:
        what = (
            "no such file; `anode init` makes it"
            if isinstance(problem, FileNotFoundError)
            else problem.strerror
        )
        raise InvalidFile(f"{path}: {what}") from None
    if mode & 0o077:
        raise InvalidFile(f"{path}: others may read this token (mode {mode:04o}); run: chmod 600 {path}")
    if len(token) < 32 or not token.isascii() or len(token.split()) != 1:
        raise InvalidFile(
            f"{path}: not a token; it needs 32 or more characters. Remove it and run `anode init`"
        )
    return token.decode()


def application(
    node: Any,
    routes: Sequence[Route],
    open_pages: Sequence[web.RouteDef],
    *,
    token: str,
    message_bytes: int,
    json_depth: int,
    any_host: bool,
) -> web.Application:
    """The listener's application: `routes` behind the token, `open_pages` without one, all behind the guard.

    `any_host` allows every `Host`: for a listener that other machines reach under names it can't know.
    """
    open_paths = {route.path for route in open_pages} | {route.template for route in routes if route.is_open}
    app = web.Application(
        middlewares=[_guard(token, open_paths, any_host=any_host)],
        client_max_size=message_bytes,
    )
    app.add_routes(open_pages)
    for route in routes:
        app.router.add_route(route.method, route.path, _responder(node, route, json_depth))
    return app


def problem(status: int, code: str, *reasons: str, retry_after: float | None = None) -> web.Response:
    """An error as the API tells it."""
    answer = Problem(code=code, reasons=list(reasons), retry_after=retry_after)
    response = _json(answer, status)
    if retry_after is not None:
        response.headers["Retry-After"] = str(max(1, round(retry_after)))
    return response


def told(error: AnodeError) -> web.Response:
    """An error of the core as the API tells it."""
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    retry_after = error.retry_after if isinstance(error, Unavailable) else None
    return problem(status, error.code, *error.reasons, retry_after=retry_after)


def _guard(token: str, open_paths: set[str], *, any_host: bool) -> Any:
    secret = token.encode()

    @web.middleware
    async def guard(request: web.Request, handler: Responder) -> web.StreamResponse:
        if not any_host and not is_loopback(_name(request.headers.get("Host", ""))):
            return problem(
                403, "wrong-host", f"this listener is not called {request.host[:100]!a}; use 127.0.0.1"
            )
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("Host"):
            return problem(403, "wrong-origin", f"pages from {origin[:100]!a} may not call this listener")
        resource = request.match_info.route.resource
        if resource is None or resource.canonical not in open_paths:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            right = hmac.compare_digest(given.strip().encode(errors="replace"), secret)
            if scheme.lower() != "bearer" or not right:
                answer = problem(401, "wrong-token", "send the management token: `Authorization: Bearer …`")
                answer.headers["WWW-Authenticate"] = "Bearer"
                return answer
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return problem(404, "not-found", f"there is no {request.path[:200]}; see /openapi.json")
        except web.HTTPMethodNotAllowed as wrong:
            allowed = ", ".join(sorted(wrong.allowed_methods))
            answer = problem(405, "bad-request", f"{request.method} is not possible here, only {allowed}")
            answer.headers["Allow"] = allowed
            return answer
        except web.HTTPRequestEntityTooLarge:
            return problem(413, "bad-request", "the body is larger than limits.message_bytes")

    return guard


def _responder(node: Any, route: Route, json_depth: int) -> Responder:
    async def respond(request: web.Request) -> web.StreamResponse:
        try:
            query = _checked(route.query, _strings(request.query)) if route.query else None
            body = await _body(request, route.request, json_depth) if route.request else None
            answer = await route.handler(node, Call(request.match_info, query, body, request))
        except AnodeError as error:
            return (route.told or told)(error)
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.Response(status=204) if answer is None else _json(answer, route.status)

    return respond


async def _body(request: web.Request, model: type[BaseModel], json_depth: int) -> BaseModel:
    if request.content_type not in ("application/json", "application/ld+json"):
        raise BadRequest("the body must be JSON, sent with Content-Type: application/json")
    try:
        value = loads(await request.read(), max_depth=json_depth)  # its length is checked while it is read
    except RemoteProtocolError as wrong:
        raise BadRequest(*wrong.reasons) from None
    return _checked(model, value)


def _checked(model: type[BaseModel], value: object) -> BaseModel:
    try:
        return model.model_validate(value)
    except ValidationError as wrong:
        errors = wrong.errors(include_url=False, include_input=False, include_context=False)
    reasons = (f"{'.'.join(map(str, error['loc'])) or 'body'}: {error['msg']}" for error in errors[:50])
    raise BadRequest(*reasons)


def _strings(query: MultiMapping[str]) -> dict[str, Any]:
    """Query parameters; one that is given more than once is a list."""
    return {key: values[0] if len(values := query.getall(key)) == 1 else values for key in query}


def _json(value: BaseModel, status: int) -> web.Response:
    body = orjson.dumps(value.model_dump(mode="json", by_alias=True, exclude_none=True))
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def _name(host: str) -> str:
    """The host of a `Host` header, without its port."""
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
