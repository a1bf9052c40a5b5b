"""The words of a policy file's conditions, and the ODRL constraint that each stands for: both ways.

`WORDS` is for policies in plain ODRL. A word takes a value and gives a constraint; of a constraint it says
with which value it would have written it, if with any. So what is written here can be read back.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any

from connector.odrl.authoring.faults import nearest
from connector.odrl.model import (
    Constraint,
    LogicalConstraint,
    Operator,
    Policy,
    Rule,
    text_of,
    to_document,
)
from connector.odrl.policy import texts_of
from connector.odrl.vocabulary import (
    CLAIM,
    COUNT,
    CREDENTIAL,
    CX,
    DATE_TIME,
    ELAPSED_TIME,
    ODRL,
    PARTICIPANT,
    PURPOSE,
    SECURITY_PROFILE,
    SPATIAL,
    TIME_INTERVAL,
    iri,
)

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_MIDNIGHT = "T00:00:00Z"
_SPAN = re.compile(r"([1-9][0-9]{0,5}) ?(second|minute|hour|day|week|month|year)s?\Z")
_LIKE_SPAN = re.compile(r"([0-9]+) ?([a-z]+)\Z", re.IGNORECASE)
_DURATION = re.compile(r"P(T?)([1-9][0-9]{0,5})([SMHDWY])\Z")
_SPANS = {
    "second": "PT{}S",
    "minute": "PT{}M",
    "hour": "PT{}H",
    "day": "P{}D",
    "week": "P{}W",
    "month": "P{}M",
    "year": "P{}Y",
}
_LONGEST = {"day": 365_250, "week": 52_178, "month": 12_000, "year": 1_000}
"""A thousand years in each unit: what is longer is a slip, and leaves the calendar."""
_CREDENTIAL = re.compile(r"[A-Z][A-Za-z0-9]{0,99}|[a-z][a-z0-9+.-]*:[^\s]{1,500}")


class Unwritable(ValueError):
    """A value that a word does not take. `at` is where in the value: an entry of a list."""

    def __init__(self, reason: str, *at: str | int) -> None:
        super().__init__(reason)
        self.at = at


@dataclass(frozen=True, slots=True)
class Word:
    """One word: `write(value)` raises Unwritable; `read(constraint)` is None for what it can't say."""

    write: Callable[[Any], Constraint | LogicalConstraint]
    read: Callable[[Constraint], Any]


def compact(full: str) -> str:
    """An operand or action as it goes on the wire: ODRL's with the prefix that the context defines."""
    return f"odrl:{full.removeprefix(ODRL)}" if full.startswith(ODRL) else full


def span(value: Any) -> str:
    """`90 days` as the ISO 8601 duration P90D."""
    match = _SPAN.match(value) if isinstance(value, str) else None
    if not match:
        raise Unwritable(f"must be a time span such as 90 days, 12 hours or 1 year{_meant(value)}")
    if _too_long(int(match[1]), match[2]):
        raise Unwritable("must be a time span of at most 1000 years; for no end leave it out")
    return _SPANS[match[2]].format(match[1])


def _meant(value: Any) -> str:
    """The span that was perhaps meant by one that is none."""
    like = _LIKE_SPAN.match(value) if isinstance(value, str) else None
    if not like or not int(like[1]):
        return ""
    end = "" if int(like[1]) == 1 else "s"
    return nearest(value, [f"{like[1]} {unit}{end}" for unit in _SPANS])


def _too_long(number: int, unit: str) -> bool:
    return number > _LONGEST.get(unit, number)


def span_words(duration: str) -> str | None:
    """P90D as `90 days`; None for a duration of several parts."""
    match = _DURATION.match(duration)
    if not match:
        return None
    for unit, pattern in _SPANS.items():
        if pattern == f"P{match[1]}{{}}{match[3]}" and not _too_long(int(match[2]), unit):
            return f"{match[2]} {unit}{'' if match[2] == '1' else 's'}"
    return None


def texts(value: Any, what: str, pattern: re.Pattern[str] = re.compile(r"\S{1,500}")) -> tuple[str, ...]:
    """One text or a list of texts."""
    items = value if isinstance(value, list) else [value]
    for n, item in enumerate(items):
        if not isinstance(item, str) or not pattern.fullmatch(item):
            hint = "; put numbers between quotes" if isinstance(item, int | float) else ""
            if isinstance(item, str) and pattern.fullmatch("-".join(item.split())):
                hint = f"; {item[:100]!r} has a space, which it can't have"
            raise Unwritable(f"must be {what}{hint}", *([n] if isinstance(value, list) else []))
    if not items:
        raise Unwritable(f"names none; write at least one, which must be {what}")
    return tuple(items)


def number(value: Any, least: int = 1, most: int = 999_999_999) -> str:
    """A whole number, as text: the protocol's schema takes no JSON number as a right operand."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Unwritable(f"must be a whole number from {least} to {most}, such as 10")
    return str(value)


def instant_word(operator: str) -> Word:
    """`from`, `until`: a day means the whole day in UTC, so `until` a day is before the next one."""

    def write(value: Any) -> Constraint:
        if not isinstance(value, str):
            raise Unwritable("must be a day such as 2027-12-31, or a time such as 2027-12-31T12:00:00Z")
        if not _DAY.match(value):
            return Constraint(compact(DATE_TIME), "gteq" if operator == "gteq" else "lteq", value)
        try:
            day = date.fromisoformat(value)
            if operator == "gteq":
                return Constraint(compact(DATE_TIME), "gteq", f"{day}{_MIDNIGHT}")
            return Constraint(compact(DATE_TIME), "lt", f"{day + timedelta(days=1)}{_MIDNIGHT}")
        except OverflowError:
            raise Unwritable(f"{value} is the calendar's last day; for no end leave it out") from None
        except ValueError:
            raise Unwritable(f"{value} is no day that exists") from None

    def read(constraint: Constraint) -> str | None:
        if iri(constraint.left_operand) != DATE_TIME or isinstance(constraint.right_operand, tuple):
            return None
        text = text_of(constraint.right_operand)
        day = text.removesuffix(_MIDNIGHT)
        if constraint.operator == operator == "gteq":
            return day if _DAY.match(day) else text
        if constraint.operator == "lt" and operator == "lteq" and day != text and _DAY.match(day):
            return str(date.fromisoformat(day) - timedelta(days=1))
        return text if constraint.operator == operator and not _DAY.match(text) else None

    return Word(write, read)


def span_word(left: str, operator: Operator) -> Word:
    """A constraint that compares with a duration."""

    def read(constraint: Constraint) -> str | None:
        if not _is(constraint, left, operator) or isinstance(constraint.right_operand, tuple):
            return None
        return span_words(text_of(constraint.right_operand))

    return Word(lambda value: Constraint(compact(left), operator, span(value)), read)


def list_word(
    left: str, operator: Operator, what: str, pattern: re.Pattern[str] = re.compile(r"\S{1,500}")
) -> Word:
    """A constraint that compares with a list of texts; one text alone is a list of one."""

    def write(value: Any) -> Constraint:
        return Constraint(compact(left), operator, texts(value, what, pattern))

    def read(constraint: Constraint) -> list[str] | str | None:
        found = texts_of(constraint.right_operand)
        if not _is(constraint, left, operator) or not found:
            return None
        if not all(pattern.fullmatch(text) for text in found):
            return None
        return found[0] if len(found) == 1 else found

    return Word(write, read)


def number_word(left: str, operator: Operator, least: int = 1, most: int = 999_999_999) -> Word:
    """A constraint that compares with a whole number."""

    def read(constraint: Constraint) -> int | None:
        if not _is(constraint, left, operator) or isinstance(constraint.right_operand, tuple):
            return None
        text = text_of(constraint.right_operand)
        return int(text) if re.fullmatch(r"[1-9][0-9]{0,8}", text) and least <= int(text) <= most else None

    return Word(lambda value: Constraint(compact(left), operator, number(value, least, most)), read)


def choice_word(left: str, operator: Operator, *values: str) -> Word:
    """A constraint that compares with one of few texts."""

    def write(value: Any) -> Constraint:
        if value not in values:
            raise Unwritable(f"must be one of {', '.join(values)}{nearest(value, values)}")
        return Constraint(compact(left), operator, value)

    def read(constraint: Constraint) -> str | None:
        found = texts_of(constraint.right_operand)
        fits = _is(constraint, left, operator) and len(found) == 1 and found[0] in values
        return found[0] if fits else None

    return Word(write, read)


def _is(constraint: Constraint, left: str, operator: Operator) -> bool:
    return iri(constraint.left_operand) == left and constraint.operator == operator and not constraint.unread


def rule_in_odrl(rule: Rule) -> dict[str, Any]:
    """A rule as it goes under `odrl`."""
    written: dict[str, Any] = to_document(Policy("Set", permission=(rule,)))["permission"][0]
    return written


def in_odrl(constraint: Constraint | LogicalConstraint) -> dict[str, Any]:
    """A constraint as it goes under `odrl`."""
    written: dict[str, Any] = rule_in_odrl(Rule("use", (constraint,)))["constraint"][0]
    return written


_CLAIM = re.compile(r"[A-Z][A-Za-z0-9]{0,99}\.[A-Za-z][A-Za-z0-9_.]{0,199}=\S(.{0,498}\S)?")
_GROUP = re.compile(r"\S(.{0,98}\S)?")
_PLACE = re.compile(r"[A-Z]{2}|EEA")

WORDS: Mapping[str, Word] = MappingProxyType(
    {
        "from": instant_word("gteq"),
        "until": instant_word("lteq"),
        "for": span_word(ELAPSED_TIME, "lteq"),
        "every": span_word(TIME_INTERVAL, "gteq"),
        "times": number_word(COUNT, "lteq"),
        "purpose": list_word(PURPOSE, "isAnyOf", "a purpose, such as repair"),
        "participant": list_word(
            PARTICIPANT, "isAnyOf", "a participant's id, such as did:web:partner.example"
        ),
        "group": list_word(
            f"{CX}BusinessPartnerGroup", "isAnyOf", "a group of partners, such as certified-recyclers", _GROUP
        ),
        "credential": list_word(
            CREDENTIAL, "isAnyOf", "a credential's type, such as MembershipCredential", _CREDENTIAL
        ),
        "claim": list_word(
            CLAIM, "isAnyOf", "a claim, such as MembershipCredential.memberOf=Catena-X", _CLAIM
        ),
        "region": list_word(SPATIAL, "isAnyOf", "a country such as DE, or EU or EEA", _PLACE),
        "security": choice_word(SECURITY_PROFILE, "gteq", "base", "trust", "trustPlus"),
    }
)
"""The conditions of a policy in plain ODRL."""
