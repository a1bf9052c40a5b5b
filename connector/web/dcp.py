"""The Decentralized Claims Protocol's HTTPS binding (1.0.1): credential service and issuer service.

Each is known by its base URL in our DID document; the paths below it are the specification's. All but the
metadata, and the schemas it names, ask for a self-issued ID token.
"""

from typing import Any

from aiohttp import web

from connector.dcp import messages
from connector.dcp.messages import (
    CONTEXT,
    CredentialMessage,
    CredentialOfferMessage,
    CredentialRequestMessage,
    PresentationQueryMessage,
)
from connector.errors import NotFound
from connector.flows.identify import Caller
from connector.flows.issue import CredentialIssuer
from connector.flows.wallet import Wallet
from connector.jsonld import documents
from connector.node import CREDENTIAL_SERVICE, ISSUER_SERVICE
from connector.web.dsp import NODE, authenticated, read_body
from connector.web.rendering import json, refusals

_KNOWN_FOR = {"Cache-Control": "max-age=300"}


def routes() -> list[web.RouteDef]:
    """The binding's tables as code."""
    return [
        # Verifiable Presentation Protocol, "Resolution API"
        web.post(f"{CREDENTIAL_SERVICE}/presentations/query", refusals(query_presentations)),
        # Credential Issuance Protocol: "Storage API", "Credential Offer API"
        web.post(f"{CREDENTIAL_SERVICE}/credentials", refusals(store_credentials)),
        web.post(f"{CREDENTIAL_SERVICE}/offers", refusals(offer_credentials)),
        # "Credential Request API", "Credential Request Status API", "Issuer Metadata API"
        web.post(f"{ISSUER_SERVICE}/credentials", refusals(request_credentials)),
        web.get(f"{ISSUER_SERVICE}/requests/{{pid}}", refusals(request_status)),
        web.get(f"{ISSUER_SERVICE}/metadata", refusals(issuer_metadata)),
        web.get(f"{ISSUER_SERVICE}/schemas/{{type}}", refusals(credential_schema)),
        # DCP's profile of DSP
        web.get("/.well-known/dspace-trust", refusals(dataspace_trust)),
    ]


async def query_presentations(request: web.Request) -> web.Response:
    """Presentations of our credentials, for a verifier with an access token of ours."""
    caller, message = await _read(request, PresentationQueryMessage)
    if message.presentation_definition is not None and message.scope is None:
        # "If it does not [support presentation definitions], it MUST return 501 Not Implemented."
        return json({"code": "not-supported", "reason": ["ask by scope: definitions are not read here"]}, 501)
    return json((await _wallet(request).present(caller, message)).document())


async def store_credentials(request: web.Request) -> web.Response:
    """Credentials from an issuer."""
    caller, message = await _read(request, CredentialMessage)
    await _wallet(request).receive(caller, message)
    return json({})


async def offer_credentials(request: web.Request) -> web.Response:
    """An issuer says what we could ask for."""
    caller, message = await _read(request, CredentialOfferMessage)
    await _wallet(request).offered(caller, message)
    return json({})


async def request_credentials(request: web.Request) -> web.Response:
    """A holder asks for credentials; answered 201 with where the request's status is found."""
    caller, message = await _read(request, CredentialRequestMessage)
    issuer = _issuer(request)
    pid = await issuer.request(caller, message)
    return json({}, 201, {"Location": f"{issuer.address}/requests/{pid}"})


async def request_status(request: web.Request) -> web.Response:
    """How a request stands, for who made it."""
    caller = await authenticated(request)
    return json(_issuer(request).status(caller, request.match_info["pid"]).document())


async def issuer_metadata(request: web.Request) -> web.Response:
    """What we issue, for everybody."""
    return json(_issuer(request).metadata().document(), headers=_KNOWN_FOR)


async def credential_schema(request: web.Request) -> web.Response:
    """The JSON schema of a credential type that we issue, for everybody."""
    return json(_issuer(request).schema(request.match_info["type"]), headers=_KNOWN_FOR)


async def dataspace_trust(request: web.Request) -> web.Response:
    """What we issue, in the form in which catalogs tell it."""
    supported: list[dict[str, Any]] = [
        {"types": ["VerifiableCredential", kind.type], "bindingMethod": "did:web", "profiles": [kind.format]}
        for kind in _issuer(request).kinds.values()
    ]
    return json({"@context": [CONTEXT], "credentialsSupported": supported}, headers=_KNOWN_FOR)


async def _read(request: web.Request, kind: type[messages.M]) -> tuple[Caller, messages.M]:
    """Who sends a message, and the message."""
    node = request.app[NODE]
    caller = await authenticated(request)
    body = await read_body(request, node.limits.message_bytes)
    document = documents.loads(body, node.limits.message_bytes, node.limits.json_depth)
    return caller, messages.parse(document, kind)


def _wallet(request: web.Request) -> Wallet:
    wallet = request.app[NODE].wallet
    if wallet is None:
        raise NotFound("This node has no credential service.")
    return wallet


def _issuer(request: web.Request) -> CredentialIssuer:
    issuer = request.app[NODE].issuer
    if issuer is None:
        raise NotFound("This node issues no credentials.")
    return issuer
