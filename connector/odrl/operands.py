"""The left operands that this node can evaluate. `OPERANDS` is the seam: one entry is one operand.

An operand reads its right operand once, when a policy is compiled, and gives a `Condition`. What it can't
read it refuses by ValueError with a reason; the policy then denies. ODRL operands for which no fact has a
source here (`event`, `industry`, `payAmount`, ...) have no entry, and deny.
"""

from collections.abc import Mapping
from types import MappingProxyType

from connector.odrl import catenax, proofs, times
from connector.odrl.conditions import Condition, Operand, either, one, quoted, texts, untold
from connector.odrl.facts import NO_CLAIMS, Claim, Claims, Facts
from connector.odrl.policy import Operator, Value
from connector.odrl.truth import Truth
from connector.odrl.vocabulary import (
    CLAIM,
    COUNT,
    CREDENTIAL,
    DATE_TIME,
    DELAY_PERIOD,
    ELAPSED_TIME,
    IN_FORCE_DATE,
    PARTICIPANT,
    PURPOSE,
    SECURITY_PROFILE,
    SPATIAL,
    TIME_INTERVAL,
    Enforcement,
    iri,
)

__all__ = [
    "CREDENTIAL",
    "DATE_TIME",
    "ELAPSED_TIME",
    "IN_FORCE_DATE",
    "NO_CLAIMS",
    "OPERANDS",
    "PARTICIPANT",
    "Claim",
    "Claims",
    "Condition",
    "Enforcement",
    "Facts",
    "Operand",
    "iri",
]


def _participant(operator: Operator, value: Value) -> Condition:
    names = frozenset(texts(operator, value, "participant" if operator in ("eq", "neq") else "participants"))
    included = operator in ("eq", "isAnyOf")
    listed = either(sorted(names))

    def refusal(facts: Facts, redacted: bool) -> str:
        if redacted:
            return "The permission is not for you: ask the provider whether it can be offered to you."
        return f"The data may be used {says}; this is {quoted(facts.participant)}."

    says = f"by {listed}" if included else f"by anyone but {listed}"
    return Condition(
        holds=(lambda facts: facts.participant in names)
        if included
        else (lambda facts: facts.participant not in names),
        says=says,
        public="by named participants" if included else "not by certain participants",
        seen=lambda facts: facts.participant,
        refusal=refusal,
    )


def _count(operator: Operator, value: Value) -> Condition:
    """How often: this use, if it is made, is the (`uses` + 1)th."""
    text = one(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise ValueError(f"{text[:60]!r} must be a whole number")
    limit, compare = int(text), times.COMPARE[operator]

    def holds(facts: Facts) -> Truth:
        return untold(facts) if facts.uses is None else compare(facts.uses + 1, limit)

    def refusal(facts: Facts, _: bool) -> str:
        if facts.uses is None:
            return "The permission is for a number of uses, and how many there have been is not known."
        used = _times(facts.uses, "time")
        return f"The data may be used {says}; it has been used {used}: ask for a new offer."

    # Each is true of a prohibition too: "at most twice" can't follow "must not be used".
    if operator in times.BEFORE:
        last = limit - (operator == "lt")
        says = "for the first use" if last == 1 else f"for the first {last} uses"
    else:
        word = {"gt": "after use", "gteq": "from use", "neq": "at any use but use"}
        says = f"{word.get(operator, 'exactly at use')} {limit}"
    says += " under one agreement"
    return Condition(
        holds=holds,
        says=says,
        public=says,
        seen=lambda facts: "not known" if facts.uses is None else _times(facts.uses, "use"),
        refusal=refusal,
        needs=frozenset({"uses"}),
    )


def _times(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


_PLACES: tuple[Operator, ...] = ("eq", "neq", "isAnyOf", "isNoneOf", "isPartOf")

OPERANDS: Mapping[str, Operand] = MappingProxyType(
    {
        DATE_TIME: Operand("date and time", times.ORDERED, times.date_time),
        ELAPSED_TIME: Operand("time since the agreement", times.ORDERED[:4], times.elapsed_time),
        DELAY_PERIOD: Operand("delay after the agreement", ("gt", "gteq", "eq"), times.delay_period),
        TIME_INTERVAL: Operand(
            "time between uses", ("gt", "gteq", "eq"), times.time_interval, Enforcement.PER_REQUEST
        ),
        COUNT: Operand("number of uses", times.ORDERED, _count, Enforcement.PER_REQUEST),
        PURPOSE: Operand(
            "purpose",
            ("eq", "neq", "isAnyOf", "isNoneOf", "isA"),
            catenax.purpose,
            Enforcement.PER_REQUEST,
        ),
        IN_FORCE_DATE: Operand("date in force", times.ORDERED, times.in_force_date),
        PARTICIPANT: Operand(
            "participant", ("eq", "neq", "isAnyOf", "isNoneOf"), _participant, refines=("party",)
        ),
        CREDENTIAL: Operand(
            "credential", ("eq", "isAnyOf", "isAllOf"), proofs.credential, refines=("party",)
        ),
        CLAIM: Operand("claim", ("eq", "isAnyOf", "isAllOf", "isNoneOf"), proofs.claim, refines=("party",)),
        SECURITY_PROFILE: Operand(
            "security profile", ("eq", "gteq", "isAnyOf"), proofs.security_profile, refines=("party",)
        ),
        SPATIAL: Operand("place", _PLACES, proofs.spatial, refines=("party",)),
        **catenax.OPERANDS,
    }
)
"""By full IRI. Give `compile_policy` another mapping to evaluate more."""
