"""DIDs that need no network: did:key and did:jwk; and keys found in any DID document by what they are for.

did:key v0.9 (the fragment is the key itself), did:jwk (the fragment is `0`), DID Core 1.0 §5.2-5.3,
Controlled Identifiers 1.0 §3.3 (retrieve a verification method).
"""

from collections.abc import Mapping
from typing import Any

import orjson

from connector.errors import RemoteProtocolError, Untrusted
from connector.vc import jws, multibase, multikey
from connector.vc.jose import shown
from connector.vc.multikey import Public

CONTEXT = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"]
MAX_LENGTH = 2_048
_RELATIONSHIPS = ("authentication", "assertionMethod", "capabilityInvocation", "capabilityDelegation")


def did_key(public: Public) -> str:
    """The did:key of a key."""
    return f"did:key:{multikey.encode(public)}"


def method_of(did: str) -> str:
    """The method's name in a DID, such as `web`. Raises Untrusted if `did` is no DID."""
    parts = did.split(":", 2)
    if (
        len(did) > MAX_LENGTH
        or len(parts) != 3
        or parts[0] != "did"
        or not parts[1].isalnum()
        or not parts[2]
    ):
        raise Untrusted(f"{shown(did)} is not a DID")
    return parts[1]


def local_document(did: str) -> dict[str, Any] | None:
    """The document of a did:key or did:jwk, made from the DID itself; None for other methods."""
    method = method_of(did)
    if method not in ("key", "jwk") or set("/?#") & set(did):
        return None
    specific = did.split(":", 2)[2]
    if method == "key":
        public = multikey.decode(specific)
        if multikey.encode(public) != specific:
            raise Untrusted(f"{shown(did)} is not written as its key is written")
        material: dict[str, Any] = {"type": "Multikey", "publicKeyMultibase": specific}
        name = f"{did}#{specific}"
    else:
        material = {"type": "JsonWebKey", "publicKeyJwk": multikey.jwk(_from_did_jwk(did, specific))}
        name = f"{did}#0"
    return {
        "@context": [*CONTEXT],
        "id": did,
        "verificationMethod": [{"id": name, "controller": did, **material}],
        **{relationship: [name] for relationship in _RELATIONSHIPS},
    }


def asked(document: Mapping[str, Any], purpose: str, *, demanded: bool) -> str | None:
    """What to ask of a key: `purpose`, unless no key at all is listed for it and that is not `demanded`."""
    return purpose if demanded or document.get(purpose) else None


def verification_key(
    document: Mapping[str, Any], did: str, kid: str | None, purpose: str | None = "capabilityInvocation"
) -> Public:
    """The key of a token of `did` that names it `kid`: absolute `did#name`, or `#name`.

    Decentralized Claims Protocol 1.0.1 "Validating Self-Issued ID Tokens". None takes the only key, if there
    is exactly one. `purpose` as for `method_key`. Raises Untrusted.
    """
    if kid is None:
        found = [method for method in _list(document, "verificationMethod") if isinstance(method, dict)]
        if len(found) != 1:
            raise Untrusted(f"the token names no key (kid), and {did} publishes {len(found)}: name one")
        kid = found[0].get("id")
    reference = _absolute(did, kid)
    if reference is None or reference.partition("#")[0] != did:
        raise Untrusted(f"the key {shown(kid)} is not a key of {did}: its id must start with {did}#")
    return method_key(document, reference, purpose)


def method_key(document: Mapping[str, Any], reference: str, purpose: str | None) -> Public:
    """The key that `document` publishes under the absolute DID URL `reference` for `purpose`.

    `purpose` is a relationship, such as `assertionMethod`; None does not ask for any. Raises Untrusted.
    """
    did = reference.partition("#")[0]
    if document.get("id") != did:
        raise Untrusted(f"the DID document of {shown(did)} has the id {shown(document.get('id'))}")
    entries = _list(document, purpose) if purpose else []
    embedded = [m for m in entries if isinstance(m, dict) and _absolute(did, m.get("id")) == reference]
    listed = bool(embedded) or any(_absolute(did, entry) == reference for entry in entries)
    methods = [m for m in _list(document, "verificationMethod") if isinstance(m, dict)]
    found = [m for m in methods if _absolute(did, m.get("id")) == reference] + embedded
    if not found:
        raise Untrusted(f"the DID document of {did} has no verification method {shown(reference)}")
    if purpose and not listed:
        raise Untrusted(f"the DID document of {did} does not list {shown(reference)} under {purpose}")
    if len(found) > 1:
        raise Untrusted(f"the DID document of {did} has the verification method {shown(reference)} twice")
    method = found[0]
    if method.get("controller", did) != did:
        raise Untrusted(f"{shown(reference)} is controlled by {shown(method['controller'])}, not by {did}")
    if method.get("revoked") is not None:
        raise Untrusted(f"{shown(reference)} has been revoked by its controller")
    return _material(method, reference)


def key_by_thumbprint(document: Mapping[str, Any], did: str, thumbprint: str, purpose: str | None) -> Public:
    """The key whose JWK thumbprint (RFC 7638) somebody names it by, as `method_key`. Raises Untrusted."""
    for method in _list(document, "verificationMethod"):
        reference = _absolute(did, method.get("id")) if isinstance(method, dict) else None
        if reference is None or not isinstance(method.get("publicKeyJwk"), dict):
            continue
        if jws.thumbprint(multikey.from_jwk(method["publicKeyJwk"])) == thumbprint:
            return method_key(document, reference, purpose)
    raise Untrusted(f"the DID document of {shown(did)} has no key with the thumbprint {shown(thumbprint)}")


def _material(method: Mapping[str, Any], reference: str) -> Public:
    if method.get("publicKeyMultibase") is not None:  # Java programs write null for what is not there
        return multikey.decode(method["publicKeyMultibase"])
    jwk = method.get("publicKeyJwk")
    if isinstance(jwk, dict):
        return multikey.from_jwk(jwk)
    raise Untrusted(f"{shown(reference)} has neither publicKeyMultibase nor publicKeyJwk")


def _from_did_jwk(did: str, specific: str) -> Public:
    try:
        jwk = orjson.loads(multibase.from_base64url(specific))
    except (RemoteProtocolError, orjson.JSONDecodeError):
        jwk = None
    if not isinstance(jwk, dict):
        raise Untrusted(f"{shown(did)} holds no JWK")
    return multikey.from_jwk(jwk)


def _absolute(did: str, reference: object) -> str | None:
    """A verification method's id as an absolute DID URL; peers write `did#a`, `#a` and plain `a`."""
    if not isinstance(reference, str) or not reference:
        return None
    if reference.startswith("did:"):
        return reference if "#" in reference else None
    return f"{did}#{reference.removeprefix('#')}"


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name, [])
    return value[:100] if isinstance(value, list) else [value]
