"""Instants and durations: as ODRL writes them (xsd:dateTime, xsd:duration), in seconds, and in English."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2})(:[0-9]{2}(?:\.[0-9]+)?)?(Z|[+-][0-9]{2}:[0-9]{2})?\Z"
)
_DURATION = re.compile(
    r"P(?=.)(?:([0-9]{1,6})Y)?(?:([0-9]{1,6})M)?(?:([0-9]{1,6})W)?(?:([0-9]{1,6})D)?"
    r"(?:T(?=.)(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,9}(?:\.[0-9]{1,6})?)S)?)?\Z"
)
_OFFSET = re.compile(r"contract[Aa]greement\+(-?[0-9]{1,9})([smhd])\Z")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True, slots=True)
class Duration:
    """Calendar months, whose length depends on where they begin, and seconds. May be negative."""

    months: int
    seconds: float

    def after(self, start: float) -> float:
        """The instant that is this long after `start`. The 31st of a shorter month is its last day."""
        if not self.months:
            return start + self.seconds
        begin = datetime.fromtimestamp(start, UTC)
        years, month = divmod(begin.month - 1 + self.months, 12)
        year, month = begin.year + years, month + 1
        if year > 9999:
            return float("inf")
        end = begin.replace(year=year, month=month, day=min(begin.day, monthrange(year, month)[1]))
        return end.timestamp() + self.seconds

    def __str__(self) -> str:
        years, months = divmod(self.months, 12)
        parts = [_count(years, "year"), _count(months, "month")]
        left = abs(self.seconds)
        for length, unit in _UNITS:
            whole = left if length == 1 else left // length
            left -= whole * length
            parts.append(_count(whole, unit))
        return ("minus " if self.seconds < 0 else "") + (" ".join(filter(None, parts)) or "no time")


def instant(text: str) -> float:
    """The epoch seconds of an ISO 8601 date and time with a time zone. ValueError says what would do."""
    match = _INSTANT.match(text)
    if not match:
        raise ValueError(f"{text[:60]!r} must be a date and time such as 2027-12-31T12:00:00Z")
    day, minute, second, zone = match.groups()
    if zone is None:
        raise ValueError(f"{text} has no time zone; with one it would be {text}Z")
    midnight = minute == "24:00" and not (second or "").strip(":0.")  # allowed by xsd:dateTime
    try:
        moment = datetime.fromisoformat(f"{day}T{'00:00' if midnight else minute}{second or ':00'}{zone}")
        return (moment + timedelta(days=midnight)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:60]!r} is no date and time that exists") from None


def duration(text: str) -> Duration:
    """An ISO 8601 duration such as P90D, P1Y6M or PT12H. ValueError says what would do."""
    match = _DURATION.match(text)
    if not match:
        raise ValueError(f"{text[:60]!r} must be a duration such as P90D, P1Y or PT12H")
    years, months, weeks, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    total = ((weeks * 7 + days) * 24 + hours) * 3600 + minutes * 60 + seconds
    return Duration(int(years) * 12 + int(months), total)


def agreement_offset(text: str) -> Duration | None:
    """The duration in Eclipse EDC's `contractAgreement+30d`; None if the text is nothing like it."""
    if not text.startswith("contract"):
        return None
    match = _OFFSET.match(text)
    if not match:
        raise ValueError(f"{text[:60]!r} must be such as contractAgreement+30d, with s, m, h or d")
    return Duration(0, int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]])


@lru_cache(maxsize=256)
def text(moment: float) -> str:
    """An instant for people: `31 December 2027 12:00 UTC`, with seconds where it has some."""
    try:
        at = datetime.fromtimestamp(moment, UTC)
    except (ValueError, OverflowError, OSError):
        return "a day beyond the calendar"
    clock = f"{at.hour:02}:{at.minute:02}{f':{at.second:02}' if at.second else ''}"
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year} {clock} UTC"


def _count(number: float, unit: str) -> str:
    return f"{number:g} {unit}{'' if number == 1 else 's'}" if number else ""
