"""The cases of a policy: facts, and what must come out of them. They stand in the policy's own file.

A case without times is about an agreement made and used on 1 January 2026; `after` counts from the
agreement. What it doesn't give isn't so: nobody holds a credential that the case doesn't name. A case that
says `who` is judged by the offer too, as far as its facts tell: nobody agrees to what he is not offered.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from connector.errors import Place
from connector.odrl import moments
from connector.odrl.authoring.plain import NAMES
from connector.odrl.authoring.reading import Reader
from connector.odrl.authoring.words import Unwritable, span, texts
from connector.odrl.compile import Decision, Reason, compile_policy
from connector.odrl.conditions import quoted
from connector.odrl.duties import DONE_HERE
from connector.odrl.explain import audience
from connector.odrl.facts import Claim, Claims, Facts, Performance
from connector.odrl.policy import Policy, Rule
from connector.odrl.vocabulary import ACTIONS, ANODE, Enforcement, action_name
from connector.yamlfile import Where

if TYPE_CHECKING:
    from connector.odrl.authoring import Authored

Outcome: TypeAlias = Literal["seen", "unseen", "allowed", "refused"]
_NOBODY = "did:web:somebody.example"
_DAY_ONE = moments.instant("2026-01-01T00:00:00Z")
_LEAST = 4
"""Characters of a reason: fewer are in nearly all of them."""
WORDS: tuple[str, ...] = ("who", "holds", "groups", "agreed", "after", "at", "doing", "purpose", "used")
WORDS += ("last_used", "duties", "expect", "because")


@dataclass(frozen=True, slots=True)
class Case:
    """What is so, what is expected, and a part of the reason for a refusal, or its code."""

    facts: Facts
    expect: Outcome
    because: str | None
    duties: Mapping[str, Performance]
    """By action, as a file names it."""
    place: Place
    offered: Facts | None = None
    """What is so where it is asked whether the offer is for `who`; None if the case says nobody."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a case came out: `says` is empty when it did as expected."""

    case: Case
    outcome: Outcome
    reasons: tuple[str, ...]
    says: str


def read(reader: Reader, contract: Policy) -> tuple[Case, ...]:
    """The cases in a policy's block; `contract` is what it offers."""
    items = reader.blocks["cases"]
    if not isinstance(items, list) or not items:
        reader.wrong(("cases",), "must be a list of cases, such as `- {after: 91 days, expect: refused}`")
        return ()
    owed = {_word(rule) for _, rule in _owed(contract)}
    found = (_case(reader, item, ("cases", n), owed) for n, item in enumerate(items))
    return tuple(case for case in found if case is not None)


def run(policy: "Authored") -> list[Result]:
    """Each case of the policy, decided as the node decides it."""
    return [_run(policy, case) for case in policy.cases]


def _owed(contract: Policy) -> Iterator[tuple[str, Rule]]:
    """The duties that a case can say how they stand, each with its path: the node's own are always done."""
    found = [(f"obligation[{n}]", rule) for n, rule in enumerate(contract.obligation)]
    for n, permission in enumerate(contract.permission):
        found += [(f"permission[{n}].duty[{m}]", rule) for m, rule in enumerate(permission.duty)]
    for path, rule in found:
        known = ACTIONS.get(action_name(rule.action))
        if known and known.duty not in (None, Enforcement.PER_REQUEST):
            yield path, rule


def _word(rule: Rule) -> str:
    return action_name(rule.action).removeprefix(ANODE)


def _case(reader: Reader, item: Any, where: Where, owed: set[str]) -> Case | None:
    if not isinstance(item, dict):
        reader.wrong(where, "must map words such as `who` and `expect` to values")
        return None
    reader.faults.only(item, WORDS, (*reader.where, *where), "word of a case")
    expect = item.get("expect")
    if expect is None:
        reader.wrong(where, "`expect` must say what comes of it: seen, unseen, allowed or refused")
    elif expect not in get_args(Outcome):
        reader.unknown(expect, get_args(Outcome), (*where, "expect"), "outcome")
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
        if duration is not None and agreed is not None:
            moment = moments.duration(duration).after(agreed)
    elif moment is not None and agreed is not None and agreed > moment:
        reader.wrong((*where, "agreed"), "must not be later than `at`: first it is agreed, then used")
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
    for name in duties:
        if name not in owed:
            _unowed(reader, name, owed, (*where, "duties", name))
    place = reader.faults.document.place(*reader.where, *where)
    because = item.get("because")
    if because is not None and (not isinstance(because, str) or len(because.strip()) < _LEAST):
        what = f"must be a part of the reason, of {_LEAST} characters or more, or its code"
        reader.wrong((*where, "because"), what)
    offered = None
    if "who" in item:
        known_groups = facts.groups if "groups" in item else None
        asked = agreed if agreed is not None else facts.now
        offered = facts._replace(now=asked, action="access", phase="catalog", groups=known_groups)
    known: dict[Any, Outcome] = {outcome: outcome for outcome in get_args(Outcome)}
    return Case(facts, known[expect], because, duties, place, offered) if expect in known else None


def _run(policy: "Authored", case: Case) -> Result:
    facts = case.facts
    if case.expect in ("seen", "unseen"):
        action = policy.access.permission[0].action
        facts = facts._replace(phase="catalog", action=action, agreed_at=facts.now)
        compiled = compile_policy(policy.access, action)
    else:
        compiled = compile_policy(policy.contract, facts.action)
    pending = Performance("pending")
    stated = {path: case.duties.get(_word(rule), pending) for path, rule in _owed(policy.contract)}
    asked = dict.fromkeys(compiled.credentials, ())
    claims = facts.claims._replace(held={**asked, **facts.claims.held})
    decision = compiled.decide(facts._replace(claims=claims, duties={**DONE_HERE, **stated}))
    if case.expect in ("seen", "unseen") and decision.permitted:
        contract = compile_policy(policy.contract)
        plain = Facts(facts.now, facts.participant, facts.now, phase="catalog", groups=facts.groups)
        if not contract.possible(plain):  # what one like this can never agree to is not shown
            decision = contract.decide(plain)
    if case.offered is not None and case.expect in ("allowed", "refused"):
        access = compile_policy(policy.access, "access")
        if not access.possible(case.offered):
            who = quoted(facts.participant)
            text = f"The policy is not offered to {who}: it is offered {audience(policy.access)}."
            decision = Decision(False, (*decision.reasons, Reason("not-offered", "offer", text)))
    return _result(case, decision)


def _result(case: Case, decision: Decision) -> Result:
    yes: Outcome = "seen" if case.expect in ("seen", "unseen") else "allowed"
    no: Outcome = "unseen" if case.expect in ("seen", "unseen") else "refused"
    outcome = yes if decision.permitted else no
    reasons = tuple(reason.sentence() for reason in decision.reasons)
    says = ""
    if outcome != case.expect:
        says = f"expected {case.expect}, is {outcome}{': ' if reasons else ''}{'; '.join(reasons)}"
    elif case.because and not any(_meant(case.because, reason) for reason in decision.reasons):
        says = f'refused as expected, but not because "{case.because}": {"; ".join(reasons)}'
    return Result(case, outcome, reasons, says)


def _meant(because: str, reason: Reason) -> bool:
    """Whether it is the reason's code or operand, or whole words of its sentence."""
    if because in (reason.code, reason.operand):
        return True
    words = rf"(?<!\w){re.escape(because.strip())}(?!\w)"
    return re.search(words, reason.sentence(), re.IGNORECASE) is not None


def _unowed(reader: Reader, name: str, owed: set[str], where: Where) -> None:
    """A duty whose state can't be told, since the policy doesn't have it, or the node does it itself."""
    if not owed:
        what = f"{quoted(name)} is no duty of this policy that somebody could miss: leave `duties` out"
        reader.wrong(where, what)
    else:
        reader.unknown(name, tuple(sorted(owed)), where, "duty of this policy")


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
