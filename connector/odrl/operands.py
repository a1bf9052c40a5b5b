"""The left operands that this node can evaluate. `OPERANDS` is the seam: one entry is one operand.

An operand reads its right operand once, when a policy is compiled, and gives a `Condition`: how to decide
from `Facts`, when the outcome next changes, and how to say it in plain English. What it can't read it
refuses by ValueError with a reason; the policy then denies.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from connector.odrl import moments
from connector.odrl.model import ODRL, Operator, Value, short, text_of

EDC = "https://w3id.org/edc/v0.0.1/ns/"
ANODE = "https://w3id.org/anode/v1/"
DATE_TIME = ODRL + "dateTime"
ELAPSED_TIME = ODRL + "elapsedTime"
PARTICIPANT = ANODE + "participant"
CREDENTIAL = ANODE + "credential"
IN_FORCE_DATE = EDC + "inForceDate"

_ODRL_OPERANDS = frozenset(
    (
        "absolutePosition",
        "absoluteSize",
        "absoluteSpatialPosition",
        "absoluteTemporalPosition",
        "count",
        "dateTime",
        "delayPeriod",
        "deliveryChannel",
        "device",
        "elapsedTime",
        "event",
        "fileFormat",
        "industry",
        "language",
        "media",
        "meteredTime",
        "payAmount",
        "percentage",
        "product",
        "purpose",
        "recipient",
        "relativePosition",
        "relativeSize",
        "relativeSpatialPosition",
        "relativeTemporalPosition",
        "resolution",
        "spatial",
        "spatialCoordinates",
        "systemDevice",
        "timeInterval",
        "unitOfCount",
        "version",
        "virtualLocation",
    )
)
"""ODRL 2.2's left operands. DSP's examples write them bare, although its context does not define them."""


def iri(left_operand: str) -> str:
    """A left operand in full, however it was written.

    >>> iri("dateTime") == iri("odrl:dateTime") == DATE_TIME
    True
    >>> iri("edc:inForceDate") == iri("inForceDate") == IN_FORCE_DATE
    True
    """
    name = short(left_operand)
    if name != left_operand or name in _ODRL_OPERANDS:
        return ODRL + name
    if name.removeprefix("edc:") == "inForceDate":
        return IN_FORCE_DATE
    return left_operand


class Claim(NamedTuple):
    """A verified credential of the participant, as policies see it: it counts before `until`."""

    type: str
    issuer: str
    subject: Mapping[str, Any]
    until: float = math.inf


class Claims(NamedTuple):
    """What a participant has proved, by credential type.

    An empty entry says that it was asked and has presented none; no entry, that it was not asked. `issuers`
    are those whose credentials of a type are believed, and who could give one; `refused` is why a credential
    of a type does not count.
    """

    held: Mapping[str, tuple[Claim, ...]] = MappingProxyType({})
    issuers: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    refused: Mapping[str, str] = MappingProxyType({})


NO_CLAIMS = Claims()


class Facts(NamedTuple):
    """What a decision is made from. Times are epoch seconds.

    `agreed_at` is when the agreement was made; at negotiation, where the question is whether one may be
    made, it is `now`. A tuple, because one is built for each data request.
    """

    now: float
    participant: str
    agreed_at: float | None = None
    action: str = "use"
    claims: Claims = NO_CLAIMS


@dataclass(frozen=True, slots=True)
class Condition:
    """One constraint, ready to decide.

    `holds` is None when the facts don't tell. `says` is the condition in plain English, after "may be used";
    `public` the same without what is only the provider's business. `refusal(facts, redacted)` is a sentence.
    `changes` are the instants at which `holds` may turn, those past included. `credentials` are the types
    that it looks for among the claims.
    """

    holds: Callable[[Facts], bool | None]
    says: str
    public: str
    seen: Callable[[Facts], str]
    refusal: Callable[[Facts, bool], str]
    changes: Callable[[Facts], tuple[float, ...]]
    credentials: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Operand:
    """A left operand: its name for people, its operators, and how a constraint on it is read.

    `condition(operator, right_operand)` raises ValueError, with a reason, for a value it can't read.
    """

    name: str
    operators: tuple[Operator, ...]
    condition: Callable[[Operator, Value], Condition]


_BEFORE = ("lt", "lteq")
_AFTER = ("gt", "gteq")

_AT_INSTANT: Mapping[str, Callable[[float], Callable[[Facts], bool | None]]] = {
    "lt": lambda instant: lambda facts: facts.now < instant,
    "lteq": lambda instant: lambda facts: facts.now <= instant,
    "gt": lambda instant: lambda facts: facts.now > instant,
    "gteq": lambda instant: lambda facts: facts.now >= instant,
    "eq": lambda instant: lambda facts: facts.now == instant,
    "neq": lambda instant: lambda facts: facts.now != instant,
}


def _turns(operator: str, instant: float) -> tuple[float, ...]:
    """When `now operator instant` turns: at the instant, or at the first number after it."""
    after = math.nextafter(instant, math.inf)
    if operator in ("lt", "gteq"):
        return (instant,)
    return (after,) if operator in ("lteq", "gt") else (instant, after)


def _seen_now(facts: Facts) -> str:
    return moments.text(facts.now)


def _time_refusal(operator: str, instant: float, now: float) -> str:
    at, seen = moments.text(instant), moments.text(now)
    if operator in _BEFORE:
        return f"The permission ended on {at}; it is now {seen}: ask the provider for a new offer."
    if operator in _AFTER:
        return f"The permission begins on {at}; it is now {seen}: come back then."
    when = "only at" if operator == "eq" else "at any time but"
    return f"The permission holds {when} {at}; it is now {seen}."


def _at(operator: Operator, instant: float) -> Condition:
    at = moments.text(instant)
    word = {"lt": "until", "lteq": "until", "gt": "after", "gteq": "from", "eq": "exactly at"}
    says = f"{word.get(operator, 'at any time but')} {at}"
    turns = _turns(operator, instant)
    return Condition(
        holds=_AT_INSTANT[operator](instant),
        says=says,
        public=says,
        seen=_seen_now,
        refusal=lambda facts, _: _time_refusal(operator, instant, facts.now),
        changes=lambda _: turns,
    )


def _since_agreement(operator: Operator, end: Callable[[float], float], span: str) -> Condition:
    """A time that counts from the agreement: `end(agreed_at)` is the instant meant."""
    decide = _AT_INSTANT[operator]

    def holds(facts: Facts) -> bool | None:
        return None if facts.agreed_at is None else decide(end(facts.agreed_at))(facts)

    def refusal(facts: Facts, _: bool) -> str:
        if facts.agreed_at is None:
            return "The permission counts from the agreement, and there is none yet."
        return _time_refusal(operator, end(facts.agreed_at), facts.now)

    def changes(facts: Facts) -> tuple[float, ...]:
        return () if facts.agreed_at is None else _turns(operator, end(facts.agreed_at))

    if operator in _BEFORE:
        says = f"for {span} from the agreement on"
    elif operator in _AFTER:
        says = f"from {span} after the agreement"
    else:
        says = f"{'exactly' if operator == 'eq' else 'at any time but exactly'} {span} after the agreement"
    return Condition(holds, says, says, _seen_now, refusal, changes)


def _one(value: Value) -> str:
    if isinstance(value, tuple):
        if len(value) != 1:
            raise ValueError(f"must be one value, not a list of {len(value)}")
        return _one(value[0])
    return text_of(value)


def _date_time(operator: Operator, value: Value) -> Condition:
    return _at(operator, moments.instant(_one(value)))


def _elapsed_time(operator: Operator, value: Value) -> Condition:
    duration = moments.duration(_one(value))
    return _since_agreement(operator, duration.after, str(duration))


def _in_force_date(operator: Operator, value: Value) -> Condition:
    offset = moments.agreement_offset(_one(value))
    if offset is None:
        return _date_time(operator, value)
    return _since_agreement(operator, offset.after, str(offset))


def _participant(operator: Operator, value: Value) -> Condition:
    names = frozenset(map(text_of, _flat(value)))
    if not names or (operator in ("eq", "neq") and len(names) != 1):
        raise ValueError(
            "must name one participant" if operator in ("eq", "neq") else "must name participants"
        )
    included = operator in ("eq", "isAnyOf")
    listed = " or ".join(sorted(names))

    def refusal(facts: Facts, redacted: bool) -> str:
        if redacted:
            return "The permission is not for you: ask the provider whether it can be offered to you."
        return f"The data may be used {says}; this is {facts.participant}."

    says = f"by {listed}" if included else f"by anyone but {listed}"
    return Condition(
        holds=(lambda facts: facts.participant in names)
        if included
        else (lambda facts: facts.participant not in names),
        says=says,
        public="by named participants" if included else "not by certain participants",
        seen=lambda facts: facts.participant,
        refusal=refusal,
        changes=lambda _: (),
    )


def _credential(operator: Operator, value: Value) -> Condition:
    types = tuple(sorted(set(map(text_of, _flat(value)))))
    if not types or (operator == "eq" and len(types) != 1):
        raise ValueError("must name one credential" if operator == "eq" else "must name credentials")
    every = operator == "isAllOf"
    listed = f" {'and' if every else 'or'} ".join(types)

    def proved(facts: Facts, type_: str) -> bool | None:
        claims = facts.claims.held.get(type_)
        return None if claims is None else any(claim.until > facts.now for claim in claims)

    def holds(facts: Facts) -> bool | None:
        found = [proved(facts, type_) for type_ in types]
        if (not every) in found:  # one that decides: a yes among any, a no among all
            return not every
        return None if None in found else every

    def refusal(facts: Facts, _: bool) -> str:
        from_whom = sorted({i for type_ in types for i in facts.claims.issuers.get(type_, ())})
        ask = f" from {' or '.join(from_whom)}" if from_whom else ""
        why = "; ".join(facts.claims.refused[t] for t in types if t in facts.claims.refused)
        return (
            f"The permission needs a {listed}; {facts.participant} has presented none that is valid now"
            f"{f' ({why})' if why else ''}: get one{ask}, and present it."
        )

    def seen(facts: Facts) -> str:
        return " and ".join(t for t in types if proved(facts, t)) or "none of these"

    says = f"by holders of a {listed}"
    return Condition(
        holds=holds,
        says=says,
        public=says,
        seen=seen,
        refusal=refusal,
        changes=lambda facts: tuple(c.until for t in types for c in facts.claims.held.get(t, ())),
        credentials=frozenset(types),
    )


def _flat(value: Value) -> list[str]:
    return [text for item in value for text in _flat(item)] if isinstance(value, tuple) else [text_of(value)]


OPERANDS: Mapping[str, Operand] = MappingProxyType(
    {
        DATE_TIME: Operand("date and time", ("lt", "lteq", "gt", "gteq", "eq", "neq"), _date_time),
        ELAPSED_TIME: Operand("time since the agreement", ("lt", "lteq", "gt", "gteq"), _elapsed_time),
        IN_FORCE_DATE: Operand("date in force", ("lt", "lteq", "gt", "gteq", "eq", "neq"), _in_force_date),
        CREDENTIAL: Operand("credential", ("eq", "isAnyOf", "isAllOf"), _credential),
        PARTICIPANT: Operand("participant", ("eq", "neq", "isAnyOf", "isNoneOf"), _participant),
    }
)
"""By full IRI. Give `compile_policy` another mapping to evaluate more."""
