"""Tokens in JWS compact form (RFC 7515): ES256 (RFC 7518 §3.4) written; that and EdDSA (RFC 8037) checked.

Written on `cryptography` and orjson and not on joserfc. Every message between nodes carries a fresh token,
so this is the hottest code in the node: sign and verify cost 24 and 67 µs of CPU here, 37 and 80 µs in
joserfc (22 and 65 µs are the curve's own). And the cheap checks of a token's claims must come before the
dear check of its signature, for which a library wants a token parsed twice. The tests check both
directions against joserfc.

Deliberately small: one form, and the algorithm must be that of the published key. EdDSA is there for wallets
with Ed25519 keys, such as Eclipse's when a vault signs for them. `none`, HMAC, embedded keys (`jwk`, `jku`,
`x5c`: never read) and critical extensions have no code that could be tricked.
"""

import binascii
import reprlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from connector.errors import RemoteProtocolError, Untrusted
from connector.jsonld import documents
from connector.vc import multikey
from connector.vc.keys import Key
from connector.vc.multikey import Kind, Public

MAX_BYTES = 8 * 1024
"""Longest token taken by default: what an HTTP header holds."""
_MAX_DEPTH = 16

_ALGORITHMS: Mapping[str, Kind] = {
    "ES256": "P-256",
    "EdDSA": "Ed25519",
    "Ed25519": "Ed25519",  # RFC 9864's name for the same
}
_BRIEFLY = reprlib.Repr()  # `repr` itself fails on values nested a thousand deep
_BRIEFLY.maxstring, _BRIEFLY.maxother, _BRIEFLY.maxlist, _BRIEFLY.maxdict, _BRIEFLY.maxlevel = (
    160,
    40,
    3,
    3,
    2,
)
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/!!!")  # "!" is in no alphabet: the strict decoder refuses it


class Jws(NamedTuple):
    """A token taken apart. Nothing in it is to be believed before `verify` has passed."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes


def sign(header: Mapping[str, Any], claims: Mapping[str, Any], key: Key) -> str:
    """The token with `claims`, signed by `key`, a P-256 key; `alg` and `kid` are added to `header`."""
    full = {**header, "alg": "ES256", "kid": key.kid}
    signing_input = _encode(orjson.dumps(full)) + b"." + _encode(orjson.dumps(claims))
    return (signing_input + b"." + _encode(key.signer.sign(signing_input))).decode()


def parse(token: str, *, typ: str | None = "JWT", max_bytes: int = MAX_BYTES) -> Jws:
    """Take `token` apart. Raises Untrusted if it is no ES256 or EdDSA token; checks no signature.

    A `typ` in the header must equal the argument (case aside, RFC 7515 §4.1.9), so that a token made for
    another purpose does not pass; None takes any. A header without `typ` is taken.
    """
    if len(token) > max_bytes:
        raise Untrusted(f"the token is longer than {max_bytes} bytes")
    if not token.isascii():
        raise Untrusted("the token is not a JWS in compact form: it holds other than ASCII characters")
    signing_input, _, signature_text = token.encode().rpartition(b".")
    header_text, dot, claims_text = signing_input.partition(b".")
    if not dot or b"." in claims_text:
        raise Untrusted("the token is not a JWS in compact form: it needs three parts with dots between")
    header = _object(header_text, "header")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        raise Untrusted(f"the token's alg is {shown(algorithm)}; only ES256 and EdDSA are taken")
    if "crit" in header or "b64" in header:
        raise Untrusted("the token's header has critical extensions (crit, b64); none are understood")
    found = header.get("typ")
    if found is not None and typ is not None and (not isinstance(found, str) or found.upper() != typ.upper()):
        raise Untrusted(f"the token's typ is {shown(found)}; expected {typ}")
    claims = _object(claims_text, "payload")
    signature = _decode(signature_text, "signature")
    if len(signature) != 64:
        raise Untrusted(f"the token's signature has {len(signature)} bytes; one by ES256 or EdDSA has 64")
    return Jws(header, claims, signing_input, signature)


def verify(jws: Jws, public: Public) -> None:
    """Raise Untrusted unless the holder of the key `public` signed this token, by its algorithm."""
    algorithm, kind = jws.header["alg"], multikey.kind(public)
    if _ALGORITHMS[algorithm] != kind:
        raise Untrusted(f"the token's alg is {algorithm}, and the published key is a {kind} key")
    multikey.verify(public, jws.signature, jws.signing_input)


def shown(value: object) -> str:
    """`value`, that a stranger chose, in a form and length fit for an error message."""
    return _BRIEFLY.repr(value)


def _encode(octets: bytes) -> bytes:
    return binascii.b2a_base64(octets, newline=False).rstrip(b"=").translate(_TO_URL)


def _decode(text: bytes, part: str) -> bytes:
    try:
        return binascii.a2b_base64(text.translate(_FROM_URL) + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error:
        raise Untrusted(f"the token's {part} is not base64url") from None


def _object(text: bytes, part: str) -> dict[str, Any]:
    octets = _decode(text, part)
    try:
        value = documents.signed(octets, len(octets), _MAX_DEPTH, f"the token's {part}")
    except RemoteProtocolError as wrong:
        raise Untrusted(*wrong.reasons) from None
    if not isinstance(value, dict):
        raise Untrusted(f"the token's {part} is not a JSON object")
    return value
