"""Whether one constraint implies another: wherever the first lets through, so does the second.

Known for the constraints that people write: bounds of time, spans, counts and pauses; lists of texts; types
of credentials; alternatives. Everything else implies only itself. Calendar spans are compared by the shortest
and the longest that they can be: a month lies within 31 days, and neither within 30 days nor the reverse. No
is always a safe answer.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from connector.odrl import moments, truth
from connector.odrl.canonical import canonical
from connector.odrl.conditions import one
from connector.odrl.operands import OPERANDS
from connector.odrl.policy import (
    Constraint,
    Constraints,
    LogicalConstraint,
    Operator,
    Policy,
    Rule,
    texts_of,
)
from connector.odrl.truth import Timeline
from connector.odrl.vocabulary import (
    CLAIM,
    COUNT,
    CREDENTIAL,
    CX,
    DELAY_PERIOD,
    ELAPSED_TIME,
    IN_FORCE_DATE,
    PARTICIPANT,
    PURPOSE,
    SPATIAL,
    TIME_INTERVAL,
    iri,
)

_Any: TypeAlias = Constraint | LogicalConstraint
_DAY = 86_400.0
_LAST = 253_402_300_799.0  # the end of the year 9999
_ONE = ("eq", "isAnyOf")
_NONE = ("neq", "isNoneOf")
_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        PURPOSE: (*_ONE, *_NONE, "isA"),
        PARTICIPANT: (*_ONE, *_NONE),
        CREDENTIAL: (*_ONE, "isAllOf"),
        CLAIM: (*_ONE, "isAllOf"),
        SPATIAL: _ONE,
        f"{CX}UsagePurpose": _ONE,
        f"{CX}BusinessPartnerNumber": _ONE,
        f"{CX}BusinessPartnerGroup": (*_ONE, *_NONE),
    }
)
"""Operands that compare texts, by the operators of which a longer or a shorter list says more."""


class Budget:
    """How many comparisons are made before it is given up: policies are written by strangers."""

    def __init__(self, left: int = 5_000) -> None:
        self.left = left

    def spend(self) -> bool:
        """Whether there is one more."""
        self.left -= 1
        return self.left >= 0


def flat(constraints: Constraints) -> list[_Any]:
    """The constraints, with those of an `and` in its place."""
    found: list[_Any] = []
    for constraint in constraints:
        if isinstance(constraint, LogicalConstraint) and constraint.operator == "and":
            found += flat(constraint.constraints)
        else:
            found.append(constraint)
    return found


@lru_cache(maxsize=4096)
def form(constraint: _Any) -> bytes:
    """What a constraint says, whatever its notation."""
    return canonical(Policy("Set", permission=(Rule("use", (constraint,)),)))


def implies(given: Sequence[_Any], wanted: _Any, budget: Budget) -> bool:
    """Whether the wanted constraint lets through whatever all the given ones together let through."""
    if not budget.spend():
        return False
    if isinstance(wanted, LogicalConstraint):
        if wanted.operator == "and" and wanted.constraints:
            return all(implies(given, part, budget) for part in wanted.constraints)
        if wanted.operator == "or" and any(implies(given, part, budget) for part in wanted.constraints):
            return True
    return any(_implies(constraint, wanted, budget) for constraint in given)


def _implies(given: _Any, wanted: _Any, budget: Budget) -> bool:
    if not budget.spend():
        return False
    if isinstance(given, LogicalConstraint):
        if given.operator == "or" and given.constraints:
            parts = (flat((part,)) for part in given.constraints)
            if all(implies(part, wanted, budget) for part in parts):
                return True
        return form(given) == form(wanted)
    if isinstance(wanted, LogicalConstraint):
        return False
    return form(given) == form(wanted) or _compared(given, wanted)


def _compared(given: Constraint, wanted: Constraint) -> bool:
    if given.unread or wanted.unread:
        return False
    line, other = _line(given), _line(wanted)
    if line is not None and other is not None:
        return _within(line, other)
    bound, outer = _bound(given), _bound(wanted)
    if bound is not None and outer is not None:
        return bound.about == outer.about and bound.within(outer)
    return _listed(given, wanted)


@lru_cache(maxsize=4096)
def _line(constraint: Constraint) -> Timeline | None:
    """The truth over all time of a constraint on nothing but the time."""
    operand = OPERANDS.get(iri(constraint.left_operand))
    if operand is None or constraint.operator not in operand.operators:
        return None
    try:
        return operand.condition(constraint.operator, constraint.right_operand).line
    except ValueError:
        return None


def _within(line: Timeline, other: Timeline) -> bool:
    """Whether there is no instant at which the first holds and the second doesn't."""
    denied = truth.mapped(other, truth.denied)
    return True not in truth.combined("and", [line, denied]).truths


class _Bound:
    """A comparison with a number whose exact size may depend on the calendar: `least` to `most`."""

    __slots__ = ("about", "least", "most", "operator")

    def __init__(self, about: str, operator: str, least: float, most: float) -> None:
        self.about, self.operator, self.least, self.most = about, operator, least, most

    def within(self, outer: "_Bound") -> bool:
        """Whether all that this bound lets through, the outer one does too."""
        mine, theirs = self.operator, outer.operator
        if mine == "eq" and theirs in ("lt", "lteq", "gt", "gteq"):
            mine = f"{theirs[:2]}eq"
        if mine[:2] != theirs[:2] or mine[:2] not in ("lt", "gt"):
            return False
        strict = theirs in ("lt", "gt") and mine not in ("lt", "gt")
        inner, border = (self.most, outer.least) if mine[:2] == "lt" else (outer.most, self.least)
        return inner < border or (inner == border and not strict)


def _bound(constraint: Constraint) -> _Bound | None:
    left, operator = iri(constraint.left_operand), constraint.operator
    operand = OPERANDS.get(left)
    if operand is None or operator not in operand.operators:
        return None
    try:
        text = one(constraint.right_operand)
        if left == COUNT:
            return _Bound(left, operator, float(text), float(text))
        if left == TIME_INTERVAL:
            return _spanning(left, "gteq" if operator == "eq" else operator, moments.duration(text))
        found = _span(constraint)
    except ValueError:
        return None
    return None if found is None else _spanning("agreement", *found)


def _span(constraint: Constraint) -> tuple[Operator, moments.Duration] | None:
    """A comparison with a span that counts from the agreement on; None if it is another."""
    left, operator = iri(constraint.left_operand), constraint.operator
    operand = OPERANDS.get(left)
    if operand is None or operator not in operand.operators:
        return None
    try:
        text = one(constraint.right_operand)
        if left == ELAPSED_TIME:
            return operator, moments.duration(text)
        if left == DELAY_PERIOD:
            return "gteq" if operator == "eq" else operator, moments.duration(text)
        if left == f"{CX}DataUsageEndDurationDays":
            return "lteq", moments.Duration(0, int(text) * _DAY)
        offset = moments.agreement_offset(text) if left == IN_FORCE_DATE else None
    except ValueError:
        return None
    return None if offset is None else (operator, offset)


def _spanning(about: str, operator: str, span: moments.Duration) -> _Bound:
    """A span as seconds: a year has 365 or 366 days, and no months are shorter than the shortest in a row."""
    years, months = divmod(span.months, 12)
    least = years * 365 + months * 28
    most = years * 366 + months * 31
    return _Bound(about, operator, least * _DAY + span.seconds, most * _DAY + span.seconds)


def _listed(given: Constraint, wanted: Constraint) -> bool:
    """Lists of texts: fewer that may be, more that must be, more that must not be."""
    left = iri(given.left_operand)
    known = _SETS.get(left, ())
    if left != iri(wanted.left_operand) or given.operator not in known or wanted.operator not in known:
        return False
    mine, theirs = frozenset(texts_of(given.right_operand)), frozenset(texts_of(wanted.right_operand))
    if not mine or not theirs:
        return False
    kind, other = _kind(given), _kind(wanted)
    if kind == other == "any":
        return mine <= theirs
    if kind == other:  # all of them, or none of them
        return mine >= theirs
    if (kind, other) == ("all", "any"):
        return not mine.isdisjoint(theirs)
    return (kind, other) == ("any", "none") and left in (PURPOSE, PARTICIPANT) and mine.isdisjoint(theirs)


def _kind(constraint: Constraint) -> str:
    if constraint.operator in _NONE:
        return "none"
    return "all" if constraint.operator == "isAllOf" else "any"


def ground(constraint: _Any, agreed_at: float) -> _Any:
    """The constraint with a span from the agreement on as the instant at which it ends or begins."""
    if isinstance(constraint, LogicalConstraint):
        parts = tuple(ground(part, agreed_at) for part in constraint.constraints)
        return LogicalConstraint(constraint.operator, parts)
    found = None if constraint.unread else _span(constraint)
    if found is None:
        return constraint
    operator, span = found
    moment = min(span.after(agreed_at), _LAST)
    return Constraint("odrl:dateTime", operator, datetime.fromtimestamp(moment, UTC).isoformat())
