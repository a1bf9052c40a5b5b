"""`did:web`: the identifier, the address of its document, the document, and what to read from it.

did:web method specification; DID Core 1.0; Dataspace Protocol 2025-1 "Discovery of Service Endpoints".
How its keys are found is in `connector.vc.methods`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from connector.errors import NotFound, Untrusted
from connector.vc import multikey
from connector.vc.jose import shown
from connector.vc.multikey import Kind, Public

MAX_LENGTH = 512
CONTEXTS = [
    "https://www.w3.org/ns/did/v1",
    "https://w3id.org/security/suites/jws-2020/v1",
    "https://w3id.org/security/multikey/v1",
]
STATEMENTS = "AgreementStatements"
"""The service that takes signed statements about agreements, an extension: see `vc/statements.py`."""
RELATIONSHIPS = ("authentication", "assertionMethod", "capabilityInvocation")
_PURPOSES: Mapping[Kind, tuple[str, ...]] = {
    "P-256": RELATIONSHIPS,
    "Ed25519": ("authentication", "assertionMethod"),
}
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")  # a last label like this makes the host an IP address
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2})+")


def did_for(public_url: str) -> str:
    """The DID of who answers at `public_url`: `https://a.example:8443/x` → `did:web:a.example%3A8443:x`.

    Raises ValueError if the URL can't carry a did:web (an IP address, user information, a query…).
    """
    url = urlsplit(public_url)
    if url.scheme not in ("https", "http") or not url.hostname:
        raise ValueError(f"{public_url}: not an http(s) URL with a host")
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise ValueError(f"{public_url}: a public URL has no user information, query or fragment")
    port = f"%3A{url.port}" if url.port else ""
    path = url.path.strip("/")
    did = f"did:web:{url.hostname}{port}" + (":" + path.replace("/", ":") if path else "")
    try:
        document_url(did)
    except Untrusted as trouble:
        raise ValueError(f"{public_url}: can't be a did:web: {trouble}") from None
    return did


def document_url(did: str, scheme: str = "https") -> str:
    """Where the document of `did` lies (did:web "Read"). Raises Untrusted if `did` is no sound did:web."""
    if len(did) > MAX_LENGTH:
        raise Untrusted(f"the DID is longer than {MAX_LENGTH} characters")
    if not did.startswith("did:web:"):
        raise Untrusted(
            f"{shown(did)} is no did:web; others' DIDs are read here if they are did:web, did:key or did:jwk"
        )
    authority, *segments = did.removeprefix("did:web:").split(":")
    host, port_mark, port = re.sub("%3a", "%3A", authority, count=1).partition("%3A")
    if port_mark and not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= 65535):
        raise Untrusted(f"{shown(did)}: the port after %3A is not a number from 1 to 65535")
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Untrusted(f"{shown(did)}: {shown(host)} is not a host name")
    if _NUMBER.fullmatch(labels[-1]):
        raise Untrusted(f"{shown(did)}: a did:web needs a host name, not an IP address")
    for segment in segments:
        decoded = unquote(segment)
        if (
            not _SEGMENT.fullmatch(segment)
            or decoded in (".", "..")
            or re.search(r"[\x00-\x20/\\?#%]", decoded)
        ):
            raise Untrusted(f"{shown(did)}: {shown(segment)} is not a path segment")
    place = "/".join(segments) if segments else ".well-known"
    return f"{scheme}://{host}{':' + port if port else ''}/{place}/did.json"


class Method(NamedTuple):
    """A key to publish: under which id, and what for."""

    kid: str
    public: Public
    relationships: tuple[str, ...]


class Endpoint(NamedTuple):
    """A service to publish: `fragment` of its id, its type, its address."""

    fragment: str
    type: str
    endpoint: str


def method(kid: str, public: Public, *, past: bool = False) -> Method:
    """A key as its participant publishes it: P-256 speaks for it, Ed25519 signs documents only.

    `past`: it signs no more; what it has signed still counts.
    """
    purposes = ("assertionMethod",) if past else _PURPOSES[multikey.kind(public)]
    return Method(kid, public, purposes)


def services(public_url: str, elsewhere: Mapping[str, str] | None = None) -> list[Endpoint]:
    """The services of the node at `public_url`.

    `elsewhere`: addresses by type of service, in the place of our own or besides them.
    """
    base = public_url.rstrip("/")
    own = {
        # The published JSON schema wants /catalog here as well, against the standard's own example
        # (DataspaceProtocol issue 251): the example is what peers follow.
        "DataService": f"{base}/.well-known/dspace-version",
        "CatalogService": f"{base}/dsp/catalog",
        "CredentialService": f"{base}/dcp/credential-service",
        "IssuerService": f"{base}/dcp/issuer-service",
        STATEMENTS: f"{base}/agreements",
    }
    found = {**own, **(elsewhere or {})}
    return [Endpoint(_WORD.sub("-", kind).lower(), kind, endpoint) for kind, endpoint in found.items()]


def document(did: str, methods: Sequence[Method], services: Sequence[Endpoint]) -> dict[str, Any]:
    """The DID document of a participant.

    Shaped so that Eclipse connectors read it too: P-256 as `JsonWebKey2020` and before all else (other types,
    such as the `Multikey` of an Ed25519 key, they don't see), absolute ids, relationships as arrays of
    strings, each `serviceEndpoint` a string.
    """
    ordered = sorted(methods, key=lambda one: isinstance(one.public, Ed25519PublicKey))
    return {
        "@context": [*CONTEXTS],
        "id": did,
        "verificationMethod": [
            {"id": one.kid, "controller": did, **_material(one.kid, one.public)} for one in ordered
        ],
        **{name: [one.kid for one in ordered if name in one.relationships] for name in RELATIONSHIPS},
        "service": [
            {"id": f"{did}#{service.fragment}", "type": service.type, "serviceEndpoint": service.endpoint}
            for service in services
        ],
    }


def _material(kid: str, public: Public) -> dict[str, Any]:
    if isinstance(public, Ed25519PublicKey):
        return {"type": "Multikey", "publicKeyMultibase": multikey.encode(public)}
    jwk = {**multikey.jwk(public), "kid": kid, "alg": "ES256", "use": "sig"}
    return {"type": "JsonWebKey2020", "publicKeyJwk": jwk}


def service_endpoint(document: Mapping[str, Any], kind: str) -> str:
    """The address of the first service of type `kind` (`DataService`, `CatalogService`…).

    Raises NotFound (there is none), Untrusted (it is no base URL that paths can be put behind).
    """
    for service in _list(document, "service"):
        if not isinstance(service, dict):
            continue
        kinds = service.get("type")
        endpoint = service.get("serviceEndpoint")
        if (kinds == kind or (isinstance(kinds, list) and kind in kinds)) and isinstance(endpoint, str):
            # Or what we put behind it would be taken for something else than a path.
            if set("?#") & set(endpoint):
                raise Untrusted(f"the {kind} of {shown(document.get('id'))} has an address with ? or # in it")
            return endpoint
    raise NotFound(f"the DID document of {shown(document.get('id'))} names no {kind}")


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    """A member that should be an array of a document that a stranger wrote; bounded."""
    value = document.get(name, [])
    return value[:100] if isinstance(value, list) else [value]
