"""The little of CBOR (RFC 8949 §4.2.1, deterministic) that selective disclosure proofs need.

Whole numbers ≥ 0, byte strings, text, arrays and maps, each in its shortest form. Tags, floats, indefinite
lengths and repeated keys are refused: a proof has one encoding.
"""

from typing import Any

from connector.errors import RemoteProtocolError

_MAX_DEPTH = 4
_UINT, _BYTES, _TEXT, _ARRAY, _MAP = 0, 2, 3, 4, 5


def dumps(value: Any) -> bytes:
    """`value` in CBOR: int ≥ 0, bytes, str, list or tuple, dict."""
    if isinstance(value, bool):
        raise TypeError("no booleans here")
    if isinstance(value, int):
        return _head(_UINT, value)
    if isinstance(value, bytes):
        return _head(_BYTES, len(value)) + value
    if isinstance(value, str):
        return _head(_TEXT, len(value.encode())) + value.encode()
    if isinstance(value, dict):
        items = sorted((dumps(key), dumps(item)) for key, item in value.items())
        return _head(_MAP, len(items)) + b"".join(key + item for key, item in items)
    return _head(_ARRAY, len(value)) + b"".join(map(dumps, value))


def loads(octets: bytes) -> Any:
    """The value in `octets`. Raises RemoteProtocolError: cut, longer, or other than `dumps` would write."""
    value, end = _read(octets, 0, 0)
    if end != len(octets):
        raise RemoteProtocolError("the proof's CBOR is followed by something else")
    return value


def _head(major: int, number: int) -> bytes:
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 24:
            return bytes([major << 5 | number])
        if number < 1 << 8 * size:
            return bytes([major << 5 | info]) + number.to_bytes(size, "big")
    raise OverflowError("a number too large for CBOR")


def _read(octets: bytes, at: int, depth: int) -> tuple[Any, int]:
    if at >= len(octets) or depth > _MAX_DEPTH:
        raise RemoteProtocolError("the proof's CBOR is cut, or nested too deep")
    major, info = octets[at] >> 5, octets[at] & 0x1F
    at += 1
    number = info
    if info >= 24:
        size = {24: 1, 25: 2, 26: 4, 27: 8}.get(info)
        if size is None or at + size > len(octets):
            raise RemoteProtocolError("the proof's CBOR is cut, or of indefinite length")
        number = int.from_bytes(octets[at : at + size], "big")
        at += size
        if number < 24 or (size > 1 and number < 1 << 4 * size):
            raise RemoteProtocolError("the proof's CBOR is not in its shortest form")
    if major == _UINT:
        return number, at
    if number > len(octets) - at:
        raise RemoteProtocolError("the proof's CBOR is cut")
    if major in (_BYTES, _TEXT):
        raw = octets[at : at + number]
        return (raw if major == _BYTES else _text(raw)), at + number
    if major == _ARRAY:
        items = []
        for _ in range(number):
            item, at = _read(octets, at, depth + 1)
            items.append(item)
        return items, at
    if major == _MAP:
        found: dict[Any, Any] = {}
        for _ in range(number):
            key, at = _read(octets, at, depth + 1)
            if isinstance(key, list | dict) or key in found:
                raise RemoteProtocolError("the proof's CBOR has a map with a key that is not one, or twice")
            found[key], at = _read(octets, at, depth + 1)
        return found, at
    raise RemoteProtocolError("the proof's CBOR holds tags, negative numbers or simple values")


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("the proof's CBOR has text that is not UTF-8") from None
