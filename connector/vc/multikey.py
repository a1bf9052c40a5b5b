"""Keys: Ed25519, P-256, P-384 and P-521, as Multikey, as JWK, and their signatures checked.

Controlled Identifiers 1.0 §2.2.2 (Multikey), RFC 7518 §6.2 and RFC 8037 (JWK). ECDSA signatures are the raw
`r‖s` of IEEE P1363, as JOSE and Data Integrity both want them.
"""

from collections.abc import Mapping
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from connector.errors import RemoteProtocolError, Untrusted
from connector.vc import multibase

Kind = Literal["Ed25519", "P-256", "P-384", "P-521"]
Public = Ed25519PublicKey | ec.EllipticCurvePublicKey
Private = Ed25519PrivateKey | ec.EllipticCurvePrivateKey

KINDS: tuple[Kind, ...] = ("Ed25519", "P-256", "P-384", "P-521")
HEADERS: Mapping[Kind, bytes] = {
    "Ed25519": multibase.varint(0xED),
    "P-256": multibase.varint(0x1200),
    "P-384": multibase.varint(0x1201),
    "P-521": multibase.varint(0x1202),
}
"""Multicodec headers of public keys."""
_PRIVATE_HEADERS: Mapping[Kind, bytes] = {
    "Ed25519": multibase.varint(0x1300),
    "P-256": multibase.varint(0x1306),
    "P-384": multibase.varint(0x1307),
    "P-521": multibase.varint(0x1308),
}
_CURVES: Mapping[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}
_NAMES: Mapping[str, Kind] = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_ECDSA: Mapping[str, ec.ECDSA] = {
    "P-256": ec.ECDSA(hashes.SHA256()),
    "P-384": ec.ECDSA(hashes.SHA384()),
    "P-521": ec.ECDSA(hashes.SHA512()),
}
_BYTES: Mapping[Kind, int] = {"Ed25519": 32, "P-256": 32, "P-384": 48, "P-521": 66}


def kind(key: Public | Private) -> Kind:
    """Which of the four kinds `key` is."""
    if isinstance(key, Ed25519PublicKey | Ed25519PrivateKey):
        return "Ed25519"
    return _NAMES[key.curve.name]


def generate(wanted: Kind) -> Private:
    """A new private key."""
    return Ed25519PrivateKey.generate() if wanted == "Ed25519" else ec.generate_private_key(_CURVES[wanted])


def public_bytes(key: Public) -> bytes:
    """A Multikey's bytes: the header, then the key (a point compressed)."""
    if isinstance(key, Ed25519PublicKey):
        return HEADERS["Ed25519"] + key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return HEADERS[kind(key)] + key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def encode(key: Public) -> str:
    """`publicKeyMultibase` of `key`, and the method-specific part of its did:key."""
    return multibase.encode("z", public_bytes(key))


def from_bytes(octets: bytes) -> Public:
    """The key of a Multikey's bytes. Raises Untrusted."""
    for found, header in HEADERS.items():
        if octets.startswith(header):
            return _from_raw(found, octets[len(header) :])
    raise Untrusted("the key's multicodec header is none of Ed25519, P-256, P-384 and P-521")


def decode(text: object) -> Public:
    """The key of a `publicKeyMultibase`. Raises Untrusted."""
    try:
        return from_bytes(multibase.decode(text, "z"))
    except RemoteProtocolError as wrong:
        raise Untrusted("the publicKeyMultibase can't be read", *wrong.reasons) from None


def private_from_multibase(text: str) -> Private:
    """The key of a `secretKeyMultibase`. Raises RemoteProtocolError or ValueError."""
    octets = multibase.decode(text, "z")
    for found, header in _PRIVATE_HEADERS.items():
        raw = octets[len(header) :]
        if octets.startswith(header) and len(raw) == _BYTES[found]:
            if found == "Ed25519":
                return Ed25519PrivateKey.from_private_bytes(raw)
            return ec.derive_private_key(int.from_bytes(raw, "big"), _CURVES[found])
    raise RemoteProtocolError("the secretKeyMultibase is none of Ed25519, P-256, P-384 and P-521")


def jwk(key: Public) -> dict[str, str]:
    """`key` as a public JWK."""
    if isinstance(key, Ed25519PublicKey):
        x = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": multibase.base64url(x)}
    found, point = kind(key), key.public_numbers()
    x, y = (number.to_bytes(_BYTES[found], "big") for number in (point.x, point.y))
    return {"kty": "EC", "crv": found, "x": multibase.base64url(x), "y": multibase.base64url(y)}


def from_jwk(given: Mapping[str, Any]) -> Public:
    """The key of a public JWK that somebody else published. Raises Untrusted."""
    found = given.get("crv")
    if found not in KINDS or given.get("kty") != ("OKP" if found == "Ed25519" else "EC"):
        raise Untrusted("the published key is none of Ed25519, P-256, P-384 and P-521")
    if "d" in given:
        raise Untrusted("the key is published together with its private part, so anybody can sign with it")
    x = _coordinate(given.get("x"), _BYTES[found])
    if found == "Ed25519":
        return _from_raw("Ed25519", x)
    y = _coordinate(given.get("y"), _BYTES[found])
    return _from_raw(found, b"\x04" + x + y)


def verify(key: Public, signature: bytes, message: bytes) -> None:
    """Raise Untrusted unless the holder of `key` made `signature` over `message`."""
    found = kind(key)
    size = 2 * _BYTES[found]
    if len(signature) != size:
        raise Untrusted(f"the signature has {len(signature)} bytes; one of a {found} key has {size}")
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, message)
        else:
            r, s = (int.from_bytes(part, "big") for part in (signature[: size // 2], signature[size // 2 :]))
            key.verify(encode_dss_signature(r, s), message, _ECDSA[found])
    except InvalidSignature:
        raise Untrusted("the signature does not match the published key and what it stands under") from None


def _from_raw(found: Kind, raw: bytes) -> Public:
    try:
        if found == "Ed25519":
            return Ed25519PublicKey.from_public_bytes(raw)
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[found], raw)
    except ValueError:
        raise Untrusted(f"the published key is not a key of the kind {found}") from None


def _coordinate(text: object, size: int) -> bytes:
    if isinstance(text, str) and len(text) <= 2 * size:
        try:
            octets = multibase.from_base64url(text)
        except RemoteProtocolError:
            octets = b""
        if len(octets) == size:
            return octets
    raise Untrusted(f"the published key has no coordinates of {size} bytes in base64url")
