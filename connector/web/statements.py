"""Statements of the other side of an agreement: an extension of ours, described in `vc/statements.py`."""

from typing import Any

from aiohttp import web

from connector.flows.statements import MAX_BYTES
from connector.jsonld import documents
from connector.web.dsp import NODE, authenticated, read_body
from connector.web.rendering import json, refusals


def routes() -> list[web.RouteDef]:
    """The one route."""
    return [web.post("/agreements/{id:.+}/statements", refusals(take_statement))]


async def take_statement(request: web.Request) -> web.Response:
    """A statement about an agreement, from its other side. Answered 200, also when it was taken before."""
    node = request.app[NODE]
    caller = await authenticated(request)
    body: Any = documents.loads(await read_body(request, MAX_BYTES), MAX_BYTES, node.limits.json_depth)
    await node.statements.receive(caller, request.match_info["id"], body)
    return json({})
