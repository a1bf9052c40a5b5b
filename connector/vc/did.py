"""`did:web`: the identifier, the address of its document, the document, and what to read from it.

did:web method specification; DID Core 1.0; Dataspace Protocol 2025-1 "Discovery of Service Endpoints";
Decentralized Claims Protocol 1.0.1 "Validating Self-Issued ID Tokens".
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from connector.errors import NotFound, Untrusted
from connector.vc.jose import shown
from connector.vc.keys import Key, public_key

MAX_LENGTH = 512
CONTEXTS = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/jws-2020/v1"]

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
        raise Untrusted(f"{shown(did)} is not a did:web, the only DID method this node reads")
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


def document(did: str, keys: Sequence[Key], public_url: str) -> dict[str, Any]:
    """The DID document of this node: its keys, and where its Dataspace Protocol endpoints are.

    Shaped so that Eclipse connectors read it too: `JsonWebKey2020` methods with absolute ids, relationships
    as arrays of strings, each `serviceEndpoint` a string.
    """
    base = public_url.rstrip("/")
    names = [key.kid for key in keys]
    return {
        "@context": [*CONTEXTS],
        "id": did,
        "verificationMethod": [
            {
                "id": key.kid,
                "type": "JsonWebKey2020",
                "controller": did,
                "publicKeyJwk": {**key.public_jwk, "kid": key.kid, "alg": "ES256", "use": "sig"},
            }
            for key in keys
        ],
        "authentication": [*names],
        "assertionMethod": [*names],
        "capabilityInvocation": [*names],
        "service": [
            {
                "id": f"{did}#data-service",
                "type": "DataService",
                # The published JSON schema wants /catalog here as well, against the standard's own example
                # (DataspaceProtocol issue 251): the example is what peers follow.
                "serviceEndpoint": f"{base}/.well-known/dspace-version",
            },
            {
                "id": f"{did}#catalog-service",
                "type": "CatalogService",
                "serviceEndpoint": f"{base}/dsp/catalog",
            },
        ],
    }


def verification_key(
    document: Mapping[str, Any], did: str, kid: str | None, relationship: str | None = "capabilityInvocation"
) -> ec.EllipticCurvePublicKey:
    """The key that `document` publishes under `kid` (absolute `did#name`, or `#name`) for `relationship`.

    `kid` None takes the only key, if there is exactly one. `relationship` None does not ask what the key is
    for: Eclipse identity hubs publish no relationships. Raises Untrusted.
    """
    if document.get("id") != did:
        raise Untrusted(f"the DID document of {did} has the id {shown(document.get('id'))}")
    methods = [method for method in _list(document, "verificationMethod") if isinstance(method, dict)]
    if kid is None:
        if len(methods) != 1:
            raise Untrusted(f"the token names no key (kid), and {did} publishes {len(methods)}: name one")
        wanted = _absolute(did, methods[0].get("id"))
    else:
        wanted = _absolute(did, kid)
        if wanted is None or wanted.partition("#")[0] != did:
            raise Untrusted(f"the key {shown(kid)} is not a key of {did}: its id must start with {did}#")
    matching = [method for method in methods if wanted and _absolute(did, method.get("id")) == wanted]
    if relationship is not None:
        # DID Core §5.3: a relationship lists ids, or embeds methods that serve for nothing else.
        entries = _list(document, relationship)
        matching += [m for m in entries if isinstance(m, dict) and _absolute(did, m.get("id")) == wanted]
        listed = any(_absolute(did, m.get("id") if isinstance(m, dict) else m) == wanted for m in entries)
    if not matching:
        raise Untrusted(f"the DID document of {did} has no key {shown(wanted)}")
    if relationship is not None and not listed:
        raise Untrusted(f"the DID document of {did} does not list {wanted} under {relationship}")
    if len(matching) > 1:
        raise Untrusted(f"the DID document of {did} has the key {wanted} twice")
    if matching[0].get("controller", did) != did:
        raise Untrusted(f"the key {wanted} is controlled by {shown(matching[0]['controller'])}, not by {did}")
    jwk = matching[0].get("publicKeyJwk")
    if not isinstance(jwk, dict):
        raise Untrusted(f"{wanted} has no publicKeyJwk, the only form of key this node reads")
    return public_key(jwk)


def service_endpoint(document: Mapping[str, Any], kind: str) -> str:
    """The address of the first service of type `kind` (`DataService`, `CatalogService`…). Raises NotFound."""
    for service in _list(document, "service"):
        if not isinstance(service, dict):
            continue
        kinds = service.get("type")
        endpoint = service.get("serviceEndpoint")
        if (kinds == kind or (isinstance(kinds, list) and kind in kinds)) and isinstance(endpoint, str):
            return endpoint
    raise NotFound(f"the DID document of {shown(document.get('id'))} names no {kind}")


def _absolute(did: str, reference: object) -> str | None:
    """A verification method's id as an absolute DID URL; peers write `did#a`, `#a` and plain `a`."""
    if not isinstance(reference, str) or not reference or len(reference) > MAX_LENGTH + 256:
        return None
    if reference.startswith("did:"):
        return reference if "#" in reference else None
    return f"{did}#{reference.removeprefix('#')}"


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    """A member that should be an array of a document that a stranger wrote; bounded."""
    value = document.get(name, [])
    return value[:100] if isinstance(value, list) else [value]
