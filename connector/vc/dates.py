"""Instants in credentials: xsd:dateTimeStamp (VCDM 2.0 §4.9); xsd:dateTime in proofs."""

import re
from datetime import UTC, datetime

from connector.errors import RemoteProtocolError
from connector.vc.jose import shown

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})?"
)


def instant(value: object, where: str, *, offset_needed: bool = True) -> float:
    """The epoch seconds of `value`, which stands at `where`. Without an offset it is UTC, if allowed.

    Raises RemoteProtocolError.
    """
    match = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if match is None or (offset_needed and not match[2]):
        raise RemoteProtocolError(f"{where} is {shown(value)}; it must be like 2026-01-31T12:00:00Z")
    assert isinstance(value, str)  # noqa: S101  # it matched
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise RemoteProtocolError(f"{where} is {shown(value)}, a date or time that does not exist") from None


def iso(epoch: float) -> str:
    """An instant as xsd:dateTime in UTC, seconds precise.

    >>> iso(1767225600)
    '2026-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
