"""Multibase (base58btc `z`, base64url `u`) and multicodec headers: how Data Integrity writes keys and proofs.

Controlled Identifiers 1.0 §2.4 (multibase) and §2.5 (multihash); base58btc is quadratic in its length, so
lengths are limited before any arithmetic.
"""

import binascii
import re

from connector.errors import RemoteProtocolError

MAX_BASE58 = 1_024
"""Characters of base58btc taken: a P-384 signature has 132, a BLS key 139."""
MAX_BASE64 = 1 << 20

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")


def base58(octets: bytes) -> str:
    """`octets` in base58btc, without the multibase prefix.

    >>> base58(b"Hello World!")
    '2NEpo7TZRRrLZSi2U'
    """
    zeros = len(octets) - len(octets.lstrip(b"\0"))
    number = int.from_bytes(octets, "big")
    digits = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(_ALPHABET[digit])
    return "1" * zeros + "".join(reversed(digits))


def from_base58(text: str) -> bytes:
    """What `base58` wrote. Raises RemoteProtocolError: too long, or a character outside the alphabet."""
    if len(text) > MAX_BASE58:
        raise RemoteProtocolError(f"a base58btc value has over {MAX_BASE58} characters")
    number = 0
    for character in text:
        value = _VALUES.get(character)
        if value is None:
            raise RemoteProtocolError("a base58btc value has a character that base58btc does not know")
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def base64url(octets: bytes) -> str:
    """`octets` in base64url without padding."""
    return (
        binascii.b2a_base64(octets, newline=False)
        .rstrip(b"=")
        .replace(b"+", b"-")
        .replace(b"/", b"_")
        .decode()
    )


def from_base64url(text: str) -> bytes:
    """What `base64url` wrote. Raises RemoteProtocolError: too long, padded, or another alphabet."""
    if len(text) > MAX_BASE64 or not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise RemoteProtocolError("a base64url value is too long, padded, or not base64url")
    return binascii.a2b_base64(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))


def encode(prefix: str, octets: bytes) -> str:
    """`octets` as multibase: `prefix` is `z` or `u`."""
    return prefix + (base58(octets) if prefix == "z" else base64url(octets))


def decode(text: object, prefixes: str = "zu") -> bytes:
    """The bytes of a multibase value that a stranger wrote, in one of the bases `prefixes`."""
    if not isinstance(text, str) or not text:
        raise RemoteProtocolError("a multibase value is missing, or is not a string")
    if text[0] not in prefixes:
        wanted = " or ".join(repr(prefix) for prefix in prefixes)
        raise RemoteProtocolError(f"a multibase value starts with {text[0]!r}; it must start with {wanted}")
    return from_base58(text[1:]) if text[0] == "z" else from_base64url(text[1:])


def varint(number: int) -> bytes:
    """A multicodec header: unsigned LEB128.

    >>> varint(0xED).hex()
    'ed01'
    """
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)
