"""The Dataspace Protocol's HTTPS binding (2025-1, sections 4.3, 6, 8, 10), row by row of its tables."""

import asyncio
from typing import Any

from aiohttp import web

from connector.dsp import messages as dsp
from connector.dsp.messages import Message
from connector.dsp.terms import VERSION, Kind, Subject
from connector.errors import NotFound, RemoteProtocolError, Unavailable
from connector.flows import catalog as catalog_flow
from connector.flows.identify import Caller
from connector.jsonld import documents
from connector.node import Node
from connector.store import processes as rows
from connector.web.rendering import PIDS, Handler, errors_as, json, takes_gzip

BASE = "/dsp"
"""Path of the versioned endpoints below the public URL."""

NODE = web.AppKey("node", Node)
_SLOW = 30.0
"""Seconds a peer may take to send its body."""
_ECLIPSE = "https://w3id.org/edc/dspace/v0.0.1"
"""A context by which Eclipse EDC is known."""
_ERROR = {Subject.NEGOTIATION: "ContractNegotiationError", Subject.TRANSFER: "TransferError"}


def routes() -> list[web.RouteDef]:
    """The binding's tables as code. Provider and consumer paths are the same but for their messages."""
    table: list[tuple[str, str, type[Message], bool]] = [
        # section 8.2, provider; 8.3, consumer
        ("/negotiations/request", "/negotiations/{pid}/request", dsp.ContractRequestMessage, True),
        ("/negotiations/offers", "/negotiations/{pid}/offers", dsp.ContractOfferMessage, True),
        ("", "/negotiations/{pid}/agreement", dsp.ContractAgreementMessage, False),
        ("", "/negotiations/{pid}/agreement/verification", dsp.ContractAgreementVerificationMessage, False),
        ("", "/negotiations/{pid}/events", dsp.ContractNegotiationEventMessage, False),
        ("", "/negotiations/{pid}/termination", dsp.ContractNegotiationTerminationMessage, False),
        # section 10.2, provider; 10.3, consumer
        ("/transfers/request", "", dsp.TransferRequestMessage, True),
        ("", "/transfers/{pid}/start", dsp.TransferStartMessage, False),
        ("", "/transfers/{pid}/suspension", dsp.TransferSuspensionMessage, False),
        ("", "/transfers/{pid}/completion", dsp.TransferCompletionMessage, False),
        ("", "/transfers/{pid}/termination", dsp.TransferTerminationMessage, False),
    ]
    found = [
        web.get("/.well-known/dspace-version", version),
        web.post(f"{BASE}/catalog/request", errors_as("CatalogError", catalog_request)),
        web.get(BASE + "/catalog/datasets/{id:.+}", errors_as("CatalogError", dataset)),
    ]
    for subject in Subject:
        error = _ERROR[subject]
        found.append(web.get(f"{BASE}/{subject}s/{{pid}}", errors_as(error, _state(subject))))
    for first, later, message, _ in table:
        error = _ERROR[message.subject]
        found += [web.post(BASE + first, errors_as(error, _opening(message)))] if first else []
        found += [web.post(BASE + later, errors_as(error, _moving(message)))] if later else []
    return found


async def version(request: web.Request) -> web.Response:
    """Which versions are spoken, and where (section 4.3). Needs no authentication."""
    node = request.app[NODE]
    entry = {
        "version": VERSION,
        "path": BASE,
        "binding": "HTTPS",
        "serviceId": node.participant,
        "identifierType": "did:web",
    }
    return json({"protocolVersions": [entry]})


async def catalog_request(request: web.Request) -> web.Response:
    """A page of the catalog (section 6.2.1), with `Link` to its neighbours, gzip if asked for."""
    node = request.app[NODE]
    caller = await authenticated(request)
    message, _, _ = await _read(request, dsp.CatalogRequestMessage)
    await node.prove(caller, node.catalog.asks)
    participant = caller.did
    page = node.catalog.page(participant, catalog_flow.query(message.filter, request.query.get("page")))
    response = json(page.body)
    address = f"{node.address}/catalog/request"
    for relation, mark in (("next", page.next), ("previous", page.previous)):
        if mark is not None:
            response.headers.add("Link", f'<{address}?page={mark}>; rel="{relation}"')
    if len(page.body) > 1400 and takes_gzip(request.headers.get("Accept-Encoding", "")):
        response.body = page.gzipped()
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding, Authorization"
    return response


async def dataset(request: web.Request) -> web.Response:
    """One dataset (section 6.2.2)."""
    node = request.app[NODE]
    caller = await authenticated(request)
    await node.prove(caller, node.catalog.asks)
    return json(node.catalog.dataset(caller.did, request.match_info["id"]))


async def authenticated(request: web.Request) -> Caller:
    """Who sent the request."""
    return await request.app[NODE].identity.authenticate(request.headers.get("Authorization"))


def _state(subject: Subject) -> Handler:
    async def state(request: web.Request) -> web.Response:
        """The state of a process (sections 8.2.1, 10.2.1)."""
        node, pid = request.app[NODE], request.match_info["pid"]
        caller = await authenticated(request)
        await node.prove(caller)
        participant = caller.did
        process = rows.process(node.db.read, pid)
        known = process is not None and process.state is not None and process.peer_pid is not None
        if (
            process is None
            or not known
            or process.participant != participant
            or process.subject is not subject
        ):
            raise NotFound(f"There is no {subject} {pid} with {participant} here.")
        return json(dsp.process_document(process))

    return state


def _opening(type_: type[Message]) -> Handler:
    async def opening(request: web.Request) -> web.Response:
        """A message that starts a process; answered 201 with the new process."""
        node = request.app[NODE]
        caller = await authenticated(request)
        message, body, eclipse = await _read(request, type_)
        callback = getattr(message, "callback_address", None)
        if callback is None:
            raise RemoteProtocolError(
                f"{type_.type}: callbackAddress is missing: where shall our messages go?"
            )
        ours = "provider_pid" if message.kind is Kind.REQUEST else "consumer_pid"
        if getattr(message, ours, None) is not None:
            raise RemoteProtocolError(
                f"{type_.type}: it names a process of ours and a callbackAddress; it can open one or go on "
                "with one, not both."
            )
        node.check_address(callback)
        await node.prove(caller, node.needs.of_message(caller.did, message))
        process = await node.exchange.receive(
            caller.did, None, message, dsp.fingerprint(message, body), callback, eclipse
        )
        return json(dsp.process_document(process), 201)

    return opening


def _moving(type_: type[Message]) -> Handler:
    async def moving(request: web.Request) -> web.Response:
        """A message in an existing process; answered 200 with the process after it."""
        node = request.app[NODE]
        caller = await authenticated(request)
        message, body, eclipse = await _read(request, type_)
        pid, fingerprint = request.match_info["pid"], dsp.fingerprint(message, body)
        await node.prove(
            caller, node.needs.of_message(caller.did, message) | node.needs.of_process(pid, caller.did)
        )
        process = await node.exchange.receive(caller.did, pid, message, fingerprint, eclipse=eclipse)
        return json(dsp.process_document(process))

    return moving


async def _read(request: web.Request, type_: type[dsp.M]) -> tuple[dsp.M, bytes, bool]:
    """The message in the body, its bytes, and whether Eclipse EDC wrote it."""
    node = request.app[NODE]
    if request.content_type not in ("application/json", "application/ld+json"):
        raise RemoteProtocolError(f"Content-Type must be application/json, not {request.content_type[:100]}.")
    body = await read_body(request, node.limits.message_bytes)
    document: Any = documents.loads(body, node.limits.message_bytes, node.limits.json_depth)
    if not isinstance(document, dict):
        raise RemoteProtocolError(f"The body must be a JSON object, a {type_.type}.")
    message = dsp.parse(documents.message(document), type_)
    request[PIDS] = (getattr(message, "provider_pid", None), getattr(message, "consumer_pid", None))
    contexts = document.get("@context")
    return message, body, isinstance(contexts, list) and _ECLIPSE in contexts


async def read_body(request: web.Request, limit: int) -> bytes:
    """The whole body, within a size and a time."""
    length = request.content_length
    too_large = RemoteProtocolError(f"The body is larger than the {limit} bytes that this node reads.")
    if length is not None and length > limit:
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        if request.content.is_eof():  # it came with the headers, as messages do
            body = request.content.read_nowait(-1)
            if len(body) > limit:
                raise too_large
            return body
        async with asyncio.timeout(_SLOW):
            async for chunk in request.content.iter_any():
                size += len(chunk)
                if size > limit:
                    raise too_large
                parts.append(chunk)
    except web.RequestPayloadError:
        raise RemoteProtocolError("The body is not encoded as its head says.") from None
    except ConnectionError:
        raise RemoteProtocolError("The connection ended within the body.") from None
    except TimeoutError:
        raise Unavailable(f"The body did not arrive within {_SLOW:g} seconds.") from None
    return b"".join(parts)
