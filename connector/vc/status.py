"""Status lists: Bitstring Status List 1.0 and StatusList2021, entries and lists, read and written.

Both are gzip of a bit string whose first bit is the most significant of the first byte; the older writes it
in plain base64 (RFC 4648 §4), the newer as multibase. Others write the older list in each of these ways, so
all are read: gzip in base64 begins with `H`, never with `u`. A list comes from outside: decompression stops
at `MAX_BYTES`, before memory could be filled by it.
"""

import binascii
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connector.errors import RemoteProtocolError, Untrusted
from connector.vc import multibase
from connector.vc.dates import instant
from connector.vc.jose import shown

MIN_BITS = 131_072
"""Bits that a Bitstring list has at least, for the privacy of holders (§6.1)."""
MAX_BYTES = 4 << 20
MAX_SIZE = 8
"""Bits per entry taken."""

BITSTRING = ("BitstringStatusListEntry", "BitstringStatusListCredential", "BitstringStatusList")
STATUS_LIST_2021 = ("StatusList2021Entry", "StatusList2021Credential", "StatusList2021")
KINDS: Mapping[str, tuple[str, str]] = {
    entry: (outer, inner) for entry, outer, inner in (BITSTRING, STATUS_LIST_2021)
}


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a credential's status stands: bits `index * size` on, in the list at `url`."""

    kind: str
    url: str
    purpose: str
    index: int
    size: int = 1


@dataclass(frozen=True, slots=True)
class Demands:
    """What the list of somebody else must be, beside issued by the credential's issuer and within its period.

    `min_bits`: at least this long. `signed`: its proof holds; where that is not asked, whoever answers at its
    address decides. `shaped`: it has the id that is its address, and the type VerifiableCredential.
    """

    min_bits: int = MIN_BITS
    signed: bool = True
    shaped: bool = True


STRICT = Demands()
"""As the standards have it."""


@dataclass(frozen=True, slots=True)
class StatusList:
    """A list read: its issuer, what it says (`purposes`), its bits, until when it holds (epoch seconds)."""

    issuer: str
    purposes: tuple[str, ...]
    bits: bytes
    until: float = math.inf

    def value(self, entry: Entry) -> int:
        """The status at `entry`: 0 is unset. Raises Untrusted: another purpose, or out of range."""
        if entry.purpose not in self.purposes:
            raise Untrusted(
                f"the status list is for {', '.join(self.purposes)}, not for {shown(entry.purpose)}"
            )
        first = entry.index * entry.size
        if first + entry.size > len(self.bits) * 8:
            raise Untrusted(f"the status list has no entry {entry.index}")
        if entry.size == 1:
            return self.bits[first >> 3] >> (7 - (first & 7)) & 1
        value = 0
        for bit in range(first, first + entry.size):
            value = value << 1 | (self.bits[bit >> 3] >> (7 - (bit & 7)) & 1)
        return value


def check_entry(entry: Mapping[str, Any], *, by_name: bool = False) -> Entry:
    """A `credentialStatus` of one of the two types, read. Raises RemoteProtocolError: malformed.

    `by_name`: the index may be a number, as Eclipse's issuers write it; as JSON-LD it must be a string.
    """
    kinds = entry.get("type")
    kind = next((k for k in _strings(kinds) if k in KINDS), None)
    url, purpose, index = (entry.get(k) for k in ("statusListCredential", "statusPurpose", "statusListIndex"))
    if kind is None:
        raise RemoteProtocolError(f"credentialStatus of type {shown(kinds)} is not understood")
    if not isinstance(url, str) or ":" not in url:
        raise RemoteProtocolError("credentialStatus needs a statusListCredential, which is a URL")
    if entry.get("id") == url:
        raise RemoteProtocolError("the id of credentialStatus must not be that of the status list")
    if not isinstance(purpose, str) or not purpose:
        raise RemoteProtocolError("credentialStatus needs a statusPurpose, which is a string")
    number = isinstance(index, int) and not isinstance(index, bool)
    text = str(index) if number and (by_name or kind == STATUS_LIST_2021[0]) else index
    if not isinstance(text, str) or not text.isascii() or not text.isdigit() or len(text) > 12:
        raise RemoteProtocolError("statusListIndex must be a whole number ≥ 0, written as a string")
    size = entry.get("statusSize", 1)
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MAX_SIZE:
        raise RemoteProtocolError(f"statusSize must be a whole number from 1 to {MAX_SIZE}")
    if size > 1 or "statusMessage" in entry:
        _check_messages(entry.get("statusMessage"), size)
    return Entry(kind, url, purpose, int(text), size)


def check_list(credential: Mapping[str, Any]) -> None:
    """Raise RemoteProtocolError unless a `BitstringStatusListCredential` has the shape of one (§2.2)."""
    subject = credential.get("credentialSubject")
    if not isinstance(subject, dict) or BITSTRING[2] not in _strings(subject.get("type")):
        raise RemoteProtocolError(f"the subject of a status list must be of type {BITSTRING[2]}")
    if not _strings(subject.get("statusPurpose")):
        raise RemoteProtocolError("a status list needs a statusPurpose")
    if not isinstance(subject.get("encodedList"), str) or not subject["encodedList"].startswith("u"):
        raise RemoteProtocolError(
            "a status list needs an encodedList: multibase base64url, so it begins with u"
        )


def read(credential: Mapping[str, Any], entry: Entry, demands: Demands = STRICT) -> StatusList:
    """The list in a status list credential, whose own proof and period somebody has checked.

    Raises Untrusted: not the kind that `entry` needs, too short, too large, or not gzip.
    """
    outer, inner = KINDS[entry.kind]
    if outer not in _strings(credential.get("type")):
        raise Untrusted(f"{shown(entry.url)} is not a {outer}")
    name = credential.get("id")
    if isinstance(name, str) and name != entry.url and (demands.shaped or ":" in name):
        raise Untrusted(f"the status list at {shown(entry.url)} has the id {shown(name)}")
    subject = credential.get("credentialSubject")
    if not isinstance(subject, dict) or inner not in _strings(subject.get("type")):
        raise Untrusted(f"the subject of the status list is not a {inner}")
    issuer = credential.get("issuer")
    issuer = issuer.get("id") if isinstance(issuer, dict) else issuer
    bits = _unpacked(subject.get("encodedList"), inner == BITSTRING[2])
    if len(bits) * 8 < demands.min_bits:
        raise Untrusted(f"the status list has {len(bits) * 8} bits; it must have {demands.min_bits} or more")
    ends = [credential[name] for name in ("validUntil", "expirationDate") if credential.get(name) is not None]
    until = min((instant(end, "the end of the status list") for end in ends), default=math.inf)
    return StatusList(str(issuer), tuple(_strings(subject.get("statusPurpose"))), bits, until)


def encoded(bits: bytes, kind: str = BITSTRING[0]) -> str:
    """`encodedList` of a list: gzip without a time in it, so that the same bits give the same text."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    packed = packer.compress(bits) + packer.flush()
    if kind == BITSTRING[0]:
        return multibase.encode("u", packed)
    return binascii.b2a_base64(packed, newline=False).decode()


def with_bit(bits: bytes, index: int, *, value: bool) -> bytes:
    """The list with one bit set or cleared."""
    changed = bytearray(bits)
    mask = 0x80 >> (index & 7)
    changed[index >> 3] = changed[index >> 3] | mask if value else changed[index >> 3] & ~mask
    return bytes(changed)


def _unpacked(text: object, multibase_needed: bool) -> bytes:
    if not isinstance(text, str) or (multibase_needed and not text.startswith("u")):
        raise Untrusted("the status list has no encodedList in the form its type needs")
    try:
        if not multibase_needed:
            text = text.rstrip("=").replace("+", "-").replace("/", "_")
        packed = multibase.from_base64url(text.removeprefix("u"))
        unpacker = zlib.decompressobj(31)
        bits = unpacker.decompress(packed, MAX_BYTES + 1)
    except (RemoteProtocolError, zlib.error):
        raise Untrusted("the status list's encodedList is not gzip in base64url") from None
    if len(bits) > MAX_BYTES:
        raise Untrusted(f"the status list unpacks to more than {MAX_BYTES} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise Untrusted("the status list's encodedList is cut, or more than one gzip stream")
    return bits


def _check_messages(messages: object, size: int) -> None:
    if not isinstance(messages, list) or len(messages) != 1 << size:
        raise RemoteProtocolError(f"statusSize {size} needs a statusMessage array of {1 << size} entries")
    for message in messages:
        status = message.get("status") if isinstance(message, dict) else None
        if (
            not isinstance(status, str)
            or not status.startswith("0x")
            or not isinstance(message.get("message"), str)
        ):
            raise RemoteProtocolError('each statusMessage must be {"status": "0x…", "message": "…"}')


def _strings(value: object) -> list[str]:
    return [part for part in (value if isinstance(value, list) else [value]) if isinstance(part, str)]
