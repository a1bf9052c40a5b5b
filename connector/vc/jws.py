"""Signed credentials in JWS compact form (RFC 7515): EdDSA, ES256, ES384, ES512, one for each kind of key.

Apart from `connector.vc.jose`, which does tokens as fast as can be. What is believed of a header
is its algorithm (which must be that of the key), its type and its key's name; `crit`, `jwk`, `jku` and `x5c`
have no code that could be tricked.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from connector.errors import RemoteProtocolError, Untrusted
from connector.jsonld import documents
from connector.vc import multibase, multikey
from connector.vc.jose import shown
from connector.vc.multikey import Kind, Public
from connector.vc.signers import Signer

MAX_BYTES = 1 << 20
_MAX_DEPTH = 64
ALGORITHMS: Mapping[str, Kind] = {
    "EdDSA": "Ed25519",
    "Ed25519": "Ed25519",  # RFC 9864's name for the same
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
}
_NAMES: Mapping[Kind, str] = {"Ed25519": "EdDSA", "P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


class Jws(NamedTuple):
    """A JWS taken apart. Nothing in it is to be believed before `verify` has passed."""

    header: dict[str, Any]
    payload: dict[str, Any]
    signing_input: bytes
    signature: bytes


def sign(header: Mapping[str, Any], payload: Mapping[str, Any], key: Signer) -> str:
    """The JWS of `payload`; `alg` follows from the key."""
    full = {"alg": _NAMES[multikey.kind(key.public)], **header}
    signing_input = ".".join(multibase.base64url(orjson.dumps(part)) for part in (full, payload))
    return f"{signing_input}.{multibase.base64url(key.sign(signing_input.encode()))}"


def parse(token: object) -> Jws:
    """Take a JWS apart. Raises RemoteProtocolError; does not check the signature."""
    if not isinstance(token, str) or len(token) > MAX_BYTES or not token.isascii() or token.count(".") != 2:
        raise RemoteProtocolError("this is not a JWS in compact form: three parts of base64url, dots between")
    signing_input, _, signature = token.rpartition(".")
    first, _, second = signing_input.partition(".")
    header, payload = (_object(part, what) for part, what in ((first, "header"), (second, "payload")))
    if not isinstance(header.get("alg"), str) or header["alg"] not in ALGORITHMS:
        raise RemoteProtocolError(
            f"the JWS's alg is {shown(header.get('alg'))}; {', '.join(ALGORITHMS)} are taken"
        )
    if "crit" in header or "b64" in header:
        raise RemoteProtocolError("the JWS's header has critical extensions (crit, b64); none are understood")
    return Jws(header, payload, signing_input.encode(), multibase.from_base64url(signature))


def verify(jws: Jws, key: Public) -> None:
    """Raise Untrusted unless the holder of `key` signed this, with the algorithm of that kind of key."""
    if ALGORITHMS[jws.header["alg"]] != multikey.kind(key):
        raise Untrusted(f"the JWS's alg {jws.header['alg']} is not that of its key, a {multikey.kind(key)}")
    multikey.verify(key, jws.signature, jws.signing_input)


def thumbprint(key: Public) -> str:
    """The JWK thumbprint of a key (RFC 7638)."""
    members = orjson.dumps(multikey.jwk(key), option=orjson.OPT_SORT_KEYS)
    return multibase.base64url(sha256(members).digest())


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        octets = multibase.from_base64url(text)
    except RemoteProtocolError:
        raise RemoteProtocolError(f"the JWS's {what} is not base64url") from None
    value = documents.signed(octets, MAX_BYTES, _MAX_DEPTH, f"the JWS's {what}")
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"the JWS's {what} is not a JSON object")
    return value
