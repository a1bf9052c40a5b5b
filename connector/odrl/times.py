"""Conditions on time: instants, spans from the agreement on, and pauses between uses."""

import math
import operator as compare
from collections.abc import Callable, Mapping

from connector.odrl import moments
from connector.odrl.conditions import Condition, one, untold
from connector.odrl.facts import Facts
from connector.odrl.policy import Operator, Value
from connector.odrl.truth import Timeline, Truth

BEFORE: tuple[Operator, ...] = ("lt", "lteq")
AFTER: tuple[Operator, ...] = ("gt", "gteq")
ORDERED: tuple[Operator, ...] = (*BEFORE, *AFTER, "eq", "neq")
_DAY = 86_400.0

COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "lt": compare.lt,
    "lteq": compare.le,
    "gt": compare.gt,
    "gteq": compare.ge,
    "eq": compare.eq,
    "neq": compare.ne,
}


def _line(operator: str, instant: float) -> Timeline:
    """`now operator instant` over time: it turns at the instant, or at the first number after it."""
    after = math.nextafter(instant, math.inf)
    if operator in ("lt", "gteq"):
        return Timeline((instant,), (operator == "lt", operator != "lt"))
    if operator in ("lteq", "gt"):
        return Timeline((after,), (operator == "lteq", operator != "lteq"))
    return Timeline((instant, after), (operator != "eq", operator == "eq", operator != "eq"))


def _seen_now(facts: Facts) -> str:
    return moments.text(facts.now)


def _refusal(operator: str, instant: float, now: float) -> str:
    at, seen = moments.text(instant), moments.text(now)
    if operator in BEFORE:
        return f"The permission ended on {at}; it is now {seen}: ask the provider for a new offer."
    if operator in AFTER:
        return f"The permission begins on {at}; it is now {seen}: come back then."
    when = "only at" if operator == "eq" else "at any time but"
    return f"The permission holds {when} {at}; it is now {seen}."


def at(operator: Operator, instant: float) -> Condition:
    """A comparison of the time with an instant."""
    moment = moments.text(instant)
    word = {"lt": "until", "lteq": "until", "gt": "after", "gteq": "from", "eq": "exactly at"}
    says = f"{word.get(operator, 'at any time but')} {moment}"
    line, holds = _line(operator, instant), COMPARE[operator]
    return Condition(
        holds=lambda facts: holds(facts.now, instant),
        says=says,
        public=says,
        seen=_seen_now,
        refusal=lambda facts, _: _refusal(operator, instant, facts.now),
        changes=lambda _: line.turns,
        line=line,
    )


def since_agreement(operator: Operator, span: moments.Duration) -> Condition:
    """A comparison of the time with the instant that is a span after the agreement."""
    decide, end = COMPARE[operator], span.after

    def holds(facts: Facts) -> Truth:
        return None if facts.agreed_at is None else decide(facts.now, end(facts.agreed_at))

    if not span.months:  # the common case, without a call
        seconds = span.seconds
        holds = lambda facts: (  # noqa: E731 - the same as above
            None if facts.agreed_at is None else decide(facts.now, facts.agreed_at + seconds)
        )

    def refusal(facts: Facts, _: bool) -> str:
        if facts.agreed_at is None:
            return "The permission counts from the agreement, and there is none yet."
        return _refusal(operator, end(facts.agreed_at), facts.now)

    def changes(facts: Facts) -> tuple[float, ...]:
        return () if facts.agreed_at is None else _line(operator, end(facts.agreed_at)).turns

    if operator in BEFORE:
        says = f"for {span} from the agreement on"
    elif operator in AFTER:
        says = f"from {span} after the agreement"
    else:
        says = f"{'exactly' if operator == 'eq' else 'at any time but exactly'} {span} after the agreement"
    return Condition(holds, says, says, _seen_now, refusal, changes)


def date_time(operator: Operator, value: Value) -> Condition:
    """`odrl:dateTime`: an instant with a time zone."""
    return at(operator, moments.instant(one(value)))


def elapsed_time(operator: Operator, value: Value) -> Condition:
    """`odrl:elapsedTime`: a duration that begins with the agreement."""
    return since_agreement(operator, moments.duration(one(value)))


def delay_period(operator: Operator, value: Value) -> Condition:
    """`odrl:delayPeriod` of a permission: so long after the agreement it begins."""
    return since_agreement("gteq" if operator == "eq" else operator, moments.duration(one(value)))


def in_force_date(operator: Operator, value: Value) -> Condition:
    """Eclipse EDC's: an instant, or an offset from the agreement."""
    offset = moments.agreement_offset(one(value))
    return date_time(operator, value) if offset is None else since_agreement(operator, offset)


def end_date(_: Operator, value: Value) -> Condition:
    """Catena-X's end dates: an instant, which counts still, or a day, to its end in UTC."""
    text = one(value)
    if len(text) == len("2027-12-31"):
        return at("lt", moments.instant(f"{text}T00:00:00Z") + _DAY)
    return at("lteq", moments.instant(text))


def end_days(_: Operator, value: Value) -> Condition:
    """Catena-X's durations: whole days from the agreement on."""
    text = one(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise ValueError(f"{text[:60]!r} must be a number of days")
    return since_agreement("lteq", moments.Duration(0, int(text) * _DAY))


def time_interval(operator: Operator, value: Value) -> Condition:
    """`odrl:timeInterval`: so long must pass between one use and the next."""
    pause = moments.duration(one(value))
    decide = COMPARE["gteq" if operator == "eq" else operator]

    def free(facts: Facts) -> float:
        never = facts.last_use is None or facts.last_use == -math.inf
        return -math.inf if never else pause.after(facts.last_use or 0.0)

    def holds(facts: Facts) -> Truth:
        return untold(facts) if facts.last_use is None else decide(facts.now, free(facts))

    def refusal(facts: Facts, _: bool) -> str:
        if facts.last_use is None:
            return f"The permission needs {pause} between uses, and the last use is not known."
        until = moments.text(free(facts))
        return f"The permission needs {pause} between uses: come back after {until}."

    def seen(facts: Facts) -> str:
        if facts.last_use is None:
            return "not known"
        return "never used" if facts.last_use == -math.inf else f"used {moments.text(facts.last_use)}"

    least = "more than" if operator == "gt" else "at least"
    says = f"when the last use under the same agreement, if any, was {least} {pause} ago"
    line = "gteq" if operator == "eq" else operator
    return Condition(
        holds,
        says,
        says,
        seen,
        refusal,
        changes=lambda facts: _line(line, free(facts)).turns,
        needs=frozenset({"last_use"}),
    )
