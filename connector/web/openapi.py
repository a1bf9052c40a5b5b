"""Routes declared once: with pydantic models for what goes in and out, and OpenAPI 3.1 made from them.

A `Route` is what the dispatcher (`web.guard`), the document at `/openapi.json`, the page at `/` and the
reader of `web.management` share, so none of them can say something else than the others.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from connector.errors import (
    AnodeError,
    Denied,
    EgressDenied,
    InvalidFile,
    LocalProtocolError,
    NotFound,
    RemoteProtocolError,
    Unavailable,
    Untrusted,
)

Method = Literal["GET", "POST", "PUT", "DELETE"]
_PARAMETER = re.compile(r"\{([a-z_]+)(?::[^}]+)?\}")


class BadRequest(AnodeError):
    """The request to the management API is malformed; each reason names the field."""

    code = "bad-request"


STATUS: Mapping[type[AnodeError], int] = {
    BadRequest: 400,
    InvalidFile: 400,
    Denied: 403,
    NotFound: 404,
    LocalProtocolError: 409,
    # To the operator, a peer that misbehaves or can't be trusted is a bad gateway: his own token was right.
    RemoteProtocolError: 502,
    Untrusted: 502,
    EgressDenied: 502,
    Unavailable: 503,
    AnodeError: 500,
}
PEER: tuple[type[AnodeError], ...] = (
    Denied,
    NotFound,
    RemoteProtocolError,
    Untrusted,
    EgressDenied,
    Unavailable,
)
"""What can go wrong where a route speaks to a peer."""
_MEANING = {
    400: "The request is malformed; `reasons` name the fields.",
    401: "The token is missing or wrong.",
    403: "A policy, or this listener's guard, said no.",
    404: "There is no such thing.",
    409: "The protocol does not allow this now.",
    413: "The body is larger than `limits.message_bytes`.",
    502: "The peer answered wrongly, could not be trusted, or lies outside `network.reach`.",
    503: "Not now, perhaps later: `retry_after` says when.",
}


class Model(BaseModel):
    """Something the API takes or gives: no unknown keys, no changes after it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(Model):
    """Why a request failed. `reasons` are sentences for people, `code` is for programs."""

    code: str = Field(description="The kind of error, such as `not-found`.")
    reasons: list[str] = Field(description="What was wrong, where, and what to do: a sentence each.")
    retry_after: float | None = Field(None, description="Seconds after which it may work.")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, checked: `path` parameters, the `query` and `body` as the route's models."""

    path: Mapping[str, str]
    query: Any
    body: Any
    request: web.Request


Handler = Callable[[Any, Call], Awaitable[BaseModel | web.StreamResponse | None]]


@dataclass(frozen=True, slots=True)
class Route:
    """An operation. Its handler gets (node, Call), and returns `response`, or an answer of its own making.

    `response` None means 204; `media_type` other than JSON means that the handler streams.
    """

    method: Method
    path: str
    handler: Handler
    summary: str
    tag: str
    request: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    response: type[BaseModel] | None = None
    status: int = 200
    media_type: str = "application/json"
    parameters: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[type[AnodeError], ...] = ()
    told: Callable[[AnodeError], web.Response] | None = None
    """How this route tells errors, where another standard says how."""
    is_open: bool = False
    """Needs no token."""

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it, without the patterns of parameters."""
        return _PARAMETER.sub(r"{\1}", self.path)

    @property
    def statuses(self) -> list[int]:
        """The error statuses that the operation may answer with."""
        own = {STATUS[error] for error in self.errors} | (set() if self.is_open else {401})
        own |= {400} if self.request or self.query else set()
        own |= {413} if self.request else set()
        return sorted(own | ({404} if _PARAMETER.search(self.path) else set()))


def document(routes: Sequence[Route], *, title: str, version: str, description: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these routes, a JSON value."""
    used: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [(Problem, "serialization")]
    for route in routes:
        used += [(model, "validation") for model in (route.request, route.query) if model]
        used += [(route.response, "serialization")] if route.response else []
    names, definitions = models_json_schema(
        list(dict.fromkeys(used)), ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, names)
    queries = {names[route.query, "validation"]["$ref"].rpartition("/")[2] for route in routes if route.query}
    schemas = {name: schema for name, schema in definitions.get("$defs", {}).items() if name not in queries}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": description},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, names: Mapping[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        **({"security": []} if route.is_open else {}),
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "tags": [route.tag],
        "responses": _responses(route, names),
    }
    if description := " ".join((route.handler.__doc__ or "").split()):
        operation["description"] = description
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"},
            **({"description": route.parameters[name]} if name in route.parameters else {}),
        }
        for name in _PARAMETER.findall(route.path)
    ]
    if parameters := parameters + _query(route):
        operation["parameters"] = parameters
    if route.request:
        schema = names[route.request, "validation"]
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _responses(route: Route, names: Mapping[Any, Any]) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    if route.media_type != "application/json":
        answers["200"] = {"description": route.summary, "content": {route.media_type: {}}}
    elif route.response:
        content = {"application/json": {"schema": names[route.response, "serialization"]}}
        answers[str(route.status)] = {"description": route.summary, "content": content}
    else:
        answers["204"] = {"description": "Done."}
    problem = {"application/json": {"schema": names[Problem, "serialization"]}}
    return answers | {str(s): {"description": _MEANING[s], "content": problem} for s in route.statuses}


def _query(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = route.query.model_json_schema(ref_template="#/components/schemas/{model}")
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": {key: value for key, value in part.items() if key not in ("description", "title")},
            **({"description": part["description"]} if "description" in part else {}),
        }
        for name, part in schema["properties"].items()
    ]
