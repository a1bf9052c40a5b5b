"""DIDs resolved over HTTP, as DID Resolution 1.0 binds it: on the management listener, beside the VC API."""

import re
from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import web

from connector.errors import AnodeError, Deactivated
from connector.node import Node
from connector.web.openapi import Call

_DID_ERRORS = "https://www.w3.org/ns/did#"
_RESOLUTION = "application/did-resolution"
_DID = re.compile(r"did:([a-z0-9]+):((?:[A-Za-z0-9._:-]|%[0-9A-Fa-f]{2})*(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2}))")


async def resolve_identifier(node: Node, call: Call) -> web.Response:
    """The DID resolution result, or the bare document for `Accept: application/did+json`."""
    # As it came: aiohttp would turn the %3A of a did:web's port into a colon.
    did = call.request.raw_path.partition("?")[0].partition("/vc/identifiers/")[2]
    if not did.startswith("did:"):
        did = unquote(did)
    accepted = call.request.headers.get("Accept", "*/*")
    match = _DID.fullmatch(did.partition("#")[0])
    if match is None:
        return _unresolved("INVALID_DID", 400, "this is not a DID")
    wanted = {part.partition(";")[0].strip() for part in accepted.split(",")}
    known = {
        _RESOLUTION,
        "application/did-url-dereferencing",
        "application/did+json",
        "application/json",
        "*/*",
    }
    if not wanted & (
        known | {"application/did", "application/did+ld+json", "application/ld+json", "application/*"}
    ):
        return _unresolved("REPRESENTATION_NOT_SUPPORTED", 406, "ask for application/did-resolution")
    if match[1] not in ("key", "jwk", "web"):
        return _unresolved("METHOD_NOT_SUPPORTED", 501, "this node resolves did:key, did:jwk and did:web")
    try:
        document = await node.resolver.resolve(did.partition("#")[0])
    except Deactivated:
        body = {
            "didDocument": None,
            "didResolutionMetadata": {"contentType": _RESOLUTION},
            "didDocumentMetadata": {"deactivated": True},
        }
        return answer(body, 410, _RESOLUTION)
    except AnodeError as wrong:
        local = match[1] in ("key", "jwk")
        return _unresolved(*(("INVALID_DID", 400) if local else ("NOT_FOUND", 404)), "; ".join(wrong.reasons))
    if wanted & {"application/did+json", "application/did+ld+json", "application/did"}:
        return answer(document, 200, "application/did+json")
    if "application/did-url-dereferencing" in wanted:
        metadata = {"contentType": "application/did+json"}
        return answer(
            {"dereferencingMetadata": metadata, "contentStream": document, "contentMetadata": {}},
            200,
            "application/did-url-dereferencing",
        )
    return answer(
        {
            "didDocument": document,
            "didResolutionMetadata": {"contentType": _RESOLUTION},
            "didDocumentMetadata": {},
        },
        200,
        _RESOLUTION,
    )


def _unresolved(code: str, status: int, detail: str) -> web.Response:
    error = {"type": _DID_ERRORS + code, "title": code, "detail": detail}
    body = {
        "didDocument": None,
        "didResolutionMetadata": {"contentType": _RESOLUTION, "error": error},
        "didDocumentMetadata": {},
    }
    return answer(body, status, _RESOLUTION)


def answer(value: Any, status: int, content_type: str = "application/json") -> web.Response:
    """A JSON answer that nobody keeps."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=orjson.dumps(value), status=status, content_type=content_type, headers=headers)
