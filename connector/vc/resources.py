"""Resources that a credential names together with a digest of their bytes (VCDM 2.0 §5.3).

Nothing is fetched: a digest is checked where the bytes are held, and only its form where they are not.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from connector.errors import RemoteProtocolError
from connector.vc import multibase
from connector.vc.jose import shown

_MULTIHASHES = {0x12: ("sha256", 32), 0x20: ("sha384", 48), 0x13: ("sha512", 64)}


def check_related(related: Any, resources: Mapping[str, tuple[bytes, ...]]) -> None:
    """Raise RemoteProtocolError unless each entry names a resource once, with a digest that is right."""
    seen: set[str] = set()
    for entry in related if isinstance(related, list) else [related]:
        name = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(name, str) or ":" not in name:
            raise RemoteProtocolError("an entry of relatedResource must be an object with a URL as its id")
        if name in seen:
            raise RemoteProtocolError(f"relatedResource names {shown(name)} twice")
        seen.add(name)
        if "digestSRI" not in entry and "digestMultibase" not in entry:
            raise RemoteProtocolError(
                f"relatedResource {shown(name)} has neither digestSRI nor digestMultibase"
            )
        check_digests(entry, resources.get(name, ()), f"relatedResource {shown(name)}")


def check_digests(entry: Mapping[str, Any], held: Sequence[bytes], what: str) -> None:
    """Raise RemoteProtocolError unless the digests in `entry` are well formed, and those of one of `held`.

    No digests, or nothing held, is no reason to.
    """
    wanted = [_sri(entry["digestSRI"])] if "digestSRI" in entry else []
    wanted += [_multihash(entry["digestMultibase"])] if "digestMultibase" in entry else []
    if held and not any(all(hashlib.new(a, octets).digest() == d for a, d in wanted) for octets in held):
        raise RemoteProtocolError(f"the digest of {what} is not that of its content")


def _sri(value: object) -> tuple[str, bytes]:
    algorithm, _, text = value.partition("-") if isinstance(value, str) else ("", "", "")
    if algorithm in ("sha256", "sha384", "sha512"):
        urlsafe = text.rstrip("=").replace("+", "-").replace("/", "_")
        digest = multibase.from_base64url(urlsafe)
        if len(digest) * 8 == int(algorithm[3:]):
            return algorithm, digest
    raise RemoteProtocolError(f"digestSRI is {shown(value)}; it must be like sha256-…, sha384-… or sha512-…")


def _multihash(value: object) -> tuple[str, bytes]:
    octets = multibase.decode(value)
    if len(octets) == 32:
        return "sha256", octets
    found = _MULTIHASHES.get(octets[0]) if len(octets) > 2 else None
    if found and octets[1] == found[1] == len(octets) - 2:
        return found[0], octets[2:]
    raise RemoteProtocolError("digestMultibase is neither a SHA-2 multihash nor a SHA-256 digest")
