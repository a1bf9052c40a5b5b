"""The cases of a policy: facts, and what must come out of them. They stand in the policy's own file.

A case without times is about an agreement made and used on 1 January 2026; `after` counts from the
agreement. What it doesn't give isn't so: nobody holds a credential that the case doesn't name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from connector.errors import Place
from connector.odrl import moments
from connector.odrl.authoring.plain import NAMES
from connector.odrl.authoring.reading import Reader
from connector.odrl.authoring.words import Unwritable, span, texts
from connector.odrl.compile import Decision, compile_policy
from connector.odrl.duties import DONE_HERE
from connector.odrl.facts import Claim, Claims, Facts, Performance
from connector.yamlfile import Where

if TYPE_CHECKING:
    from connector.odrl.authoring import Authored

Outcome: TypeAlias = Literal["seen", "unseen", "allowed", "refused"]
_NOBODY = "did:web:somebody.example"
_DAY_ONE = moments.instant("2026-01-01T00:00:00Z")
WORDS: tuple[str, ...] = ("who", "holds", "groups", "agreed", "after", "at", "doing", "purpose", "used")
WORDS += ("last_used", "duties", "expect", "because")


@dataclass(frozen=True, slots=True)
class Case:
    """What is so, what is expected, and a part of the reason for a refusal, or its code."""

    facts: Facts
    expect: Outcome
    because: str | None
    duties: Mapping[str, Performance]
    place: Place


@dataclass(frozen=True, slots=True)
class Result:
    """How a case came out: `says` is empty when it did as expected."""

    case: Case
    outcome: Outcome
    reasons: tuple[str, ...]
    says: str


def read(reader: Reader) -> tuple[Case, ...]:
    """The cases in a policy's block."""
    items = reader.blocks["cases"]
    if not isinstance(items, list) or not items:
        reader.wrong(("cases",), "must be a list of cases, such as `- {after: 91 days, expect: refused}`")
        return ()
    found = (_case(reader, item, ("cases", n)) for n, item in enumerate(items))
    return tuple(case for case in found if case is not None)


def run(policy: "Authored") -> list[Result]:
    """Each case of the policy, decided as the node decides it."""
    return [_run(policy, case) for case in policy.cases]


def _case(reader: Reader, item: Any, where: Where) -> Case | None:
    if not isinstance(item, dict):
        reader.wrong(where, "must map words such as `who` and `expect` to values")
        return None
    reader.faults.only(item, WORDS, (*reader.where, *where), "word of a case")
    expect = item.get("expect")
    if expect not in get_args(Outcome):
        reader.unknown(expect, get_args(Outcome), (*where, "expect") if expect else where, "outcome")
    if (expect == "refused") != ("because" in item):
        reader.wrong(where, "`because` must tell the reason of a refusal, and only of one")

    def given(word: str, make: Callable[[Any], Any], default: Any) -> Any:
        return reader.word(make, item[word], (*where, word)) if word in item else default

    moment = given("at", _moment, None)
    agreed = given("agreed", _moment, _DAY_ONE if moment is None else moment)
    if "after" in item:
        if moment is not None:
            reader.wrong(where, "`after` counts from the agreement, `at` is a moment: give one of them")
        duration = given("after", span, "PT0S")
        moment = agreed if duration is None else moments.duration(duration).after(agreed)
    facts = Facts(
        now=agreed if moment is None else moment,
        participant=given("who", _one, _NOBODY),
        agreed_at=agreed,
        action=given("doing", _doing, "use"),
        claims=Claims(given("holds", _holds, {}) or {}),
        purpose=given("purpose", _one, None),
        uses=given("used", _count, 0),
        last_use=given("last_used", _moment, float("-inf")),
        groups=frozenset(given("groups", _many, ()) or ()),
    )
    duties = given("duties", _duties, {}) or {}
    place = reader.faults.document.place(*reader.where, *where)
    because = item.get("because")
    if because is not None and (not isinstance(because, str) or not because):
        reader.wrong((*where, "because"), "must be a part of the reason, or its code")
    known: dict[Any, Outcome] = {outcome: outcome for outcome in get_args(Outcome)}
    return Case(facts, known[expect], because, duties, place) if expect in known else None


def _run(policy: "Authored", case: Case) -> Result:
    facts = case.facts
    if case.expect in ("seen", "unseen"):
        action = policy.access.permission[0].action
        facts = facts._replace(phase="catalog", action=action, agreed_at=facts.now)
        compiled = compile_policy(policy.access, action)
    else:
        compiled = compile_policy(policy.contract, facts.action)
    named = [f"obligation[{n}]" for n, _ in enumerate(policy.contract.obligation)]
    stated = {
        path: case.duties.get(rule.action.removeprefix("odrl:"), Performance("pending"))
        for path, rule in zip(named, policy.contract.obligation, strict=True)
    }
    asked = dict.fromkeys(compiled.credentials, ())
    claims = facts.claims._replace(held={**asked, **facts.claims.held})
    decision = compiled.decide(facts._replace(claims=claims, duties={**DONE_HERE, **stated}))
    return _result(case, decision)


def _result(case: Case, decision: Decision) -> Result:
    yes: Outcome = "seen" if case.expect in ("seen", "unseen") else "allowed"
    no: Outcome = "unseen" if case.expect in ("seen", "unseen") else "refused"
    outcome = yes if decision.permitted else no
    reasons = tuple(reason.sentence() for reason in decision.reasons)
    says = ""
    if outcome != case.expect:
        says = f"expected {case.expect}, is {outcome}{': ' if reasons else ''}{'; '.join(reasons)}"
    elif case.because and not any(
        case.because in (reason.code, reason.operand) or case.because.lower() in reason.sentence().lower()
        for reason in decision.reasons
    ):
        says = f'refused as expected, but not because "{case.because}": {"; ".join(reasons)}'
    return Result(case, outcome, reasons, says)


def _moment(value: Any) -> float:
    if not isinstance(value, str):
        raise Unwritable("must be a day such as 2026-03-01, or a time such as 2026-03-01T12:00:00Z")
    try:
        return moments.instant(value if "T" in value else f"{value}T00:00:00Z")
    except ValueError as error:
        raise Unwritable(str(error)) from None


def _one(value: Any) -> str:
    if isinstance(value, list):
        raise Unwritable("must be one text")
    return texts(value, "one text, such as did:web:partner.example")[0]


def _many(value: Any) -> tuple[str, ...]:
    return texts(value, "a group of partners, such as certified-recyclers")


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Unwritable("must be how often it has been used before, such as 9")
    return value


def _doing(value: Any) -> str:
    if value not in NAMES:
        raise Unwritable(f"{str(value)[:100]!r} is no action that Anode knows, such as use or display")
    return NAMES[value]


def _holds(value: Any) -> dict[str, tuple[Claim, ...]]:
    """Credential types, alone or with the claims in them."""
    named = (
        value
        if isinstance(value, dict)
        else {type_: {} for type_ in texts(value, "a credential's type, such as RecyclerCredential")}
    )
    if not all(isinstance(subject, dict) for subject in named.values()):
        raise Unwritable(
            "must map a credential's type to what it says, such as {RecyclerCredential: {country: DE}}"
        )
    return {type_: (Claim(type_, "did:web:issuer.example", subject),) for type_, subject in named.items()}


def _duties(value: Any) -> dict[str, Performance]:
    states = ("fulfilled", "pending", "violated")
    if not isinstance(value, dict) or not all(state in states for state in value.values()):
        raise Unwritable("must map a duty's action to fulfilled, pending or violated")
    return {name: Performance(state) for name, state in value.items()}
