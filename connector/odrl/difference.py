"""What changed between two versions of a policy, in words: who gains what, and who loses what."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from connector.odrl import moments
from connector.odrl.authoring import Authored
from connector.odrl.canonical import canonical
from connector.odrl.conditions import quoted
from connector.odrl.explain import Wording, audience, flat, listed
from connector.odrl.model import Constraint, LogicalConstraint, Policy, Rule
from connector.odrl.phrases import phrase
from connector.odrl.policy import texts_of
from connector.odrl.vocabulary import DATE_TIME, PARTICIPANT, action_name, iri

Effect: TypeAlias = Literal["gains", "loses", "changes"]
_Told: TypeAlias = tuple[Effect, str, str]
_Part: TypeAlias = Constraint | LogicalConstraint
_T = TypeVar("_T")
_USER, _EVERYBODY = "who agrees", "everybody else"
_OFFERED = "who is offered it"
_SEEING = "sees the offer"
_UPPER, _LOWER = ("lt", "lteq"), ("gt", "gteq")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: who gains or loses what; `changes` where it is neither, or can't be told."""

    policy: str
    effect: Effect
    who: str
    what: str


def changes(old: Authored | None, new: Authored | None) -> list[Change]:
    """What is different in the new version, of which at least one is there."""
    policy = new or old
    if policy is None:
        return []
    if old is None or new is None:
        said = audience(policy.access)
        who = said.removeprefix("to ").removesuffix(" only") if said.startswith("to ") else _OFFERED
        return [Change(policy.id, "gains" if old is None else "loses", who, f"all of it: {policy.sentence}")]
    found = [*_access(old.access, new.access), *_contract(old.contract, new.contract)]
    if old.data != new.data:
        data = [f"{name} {listed(map(quoted, values), 'or')}" for name, values in new.data.items()]
        found.append(("changes", "the provider", f"may offer so: {' and '.join(data) or 'all data'}"))
    return [Change(policy.id, *told) for told in found]


def _access(old: Policy, new: Policy) -> Iterator[_Told]:
    before, after = (
        [*flat(c for rule in policy.permission for c in rule.constraint)] for policy in (old, new)
    )
    if bool(before) != bool(after):
        yield "loses" if after else "gains", _EVERYBODY, _SEEING
    else:
        yield from _conditions(before, after, _SEEING, Wording(old), Wording(new))


def _contract(old: Policy, new: Policy) -> Iterator[_Told]:
    words = Wording(old), Wording(new)
    actions = [[action_name(rule.action) for rule in policy.permission] for policy in (old, new)]
    if all(len(set(names)) == len(names) for names in actions):
        before, after = ({action_name(rule.action): rule for rule in p.permission} for p in (old, new))
        for name in before | after:
            yield from _permission(before.get(name), after.get(name), *words)
    else:  # alternatives for the same action: each as a whole
        paired = _come_and_gone(old.permission, new.permission, rule_form)
        for rule, came in paired:
            said = words[came].rule(rule, "")
            yield ("gains", _USER, f"it may be {said}") if came else ("loses", _USER, f"it may be {said}")
    for rule, came in _come_and_gone(old.prohibition, new.prohibition, rule_form):
        said = words[came].rule(rule, "")
        yield (
            ("loses", _USER, f"must not: {said}")
            if came
            else ("gains", _USER, f"no longer forbidden: {said}")
        )
    for rule, came in _come_and_gone(old.obligation, new.obligation, rule_form):
        yield _duty(rule, came, words[came])
    if old.conflict != new.conflict:
        yield "changes", _USER, f"which rule wins: {new.conflict or 'the prohibition'}"
    if (old.profile, old.unread) != (new.profile, new.unread):
        yield "changes", _USER, "what the policy relies on beside its rules"


def _permission(old: Rule | None, new: Rule | None, was: Wording, now: Wording) -> Iterator[_Told]:
    if old is None or new is None:
        rule, words = (new, now) if new else (old, was)
        assert rule is not None  # noqa: S101  # one of the two is there
        yield "gains" if new else "loses", _USER, f"it may be {words.rule(rule, '')}"
        return
    done = f"it may be {phrase(new.action).done}"
    yield from _conditions([*flat(old.constraint)], [*flat(new.constraint)], done, was, now)
    for duty, came in _come_and_gone(old.duty, new.duty, rule_form):
        yield _duty(duty, came, now if came else was)
    if _beyond(old) != _beyond(new):
        yield "changes", _USER, f"{done}: to whom, of what, or how"


def _duty(duty: Rule, came: bool, words: Wording) -> _Told:
    said = words.duty(duty, "")
    return "changes", _USER, f"{said}: {'newly' if came else 'no longer'}"


def _beyond(rule: Rule) -> tuple[object, ...]:
    return rule.refinement, rule.target, rule.assignee, rule.assigner, rule.unread


def _conditions(
    before: Sequence[_Part], after: Sequence[_Part], done: str, was: Wording, now: Wording
) -> Iterator[_Told]:
    """Conditions that came, went, or became wider or narrower."""
    if len({_about(c) for c in before}) < len(before) or len({_about(c) for c in after}) < len(after):
        for part, came in _come_and_gone(before, after, _form):  # two about the same: each as a whole
            said = (now if came else was).constraint(part, "")
            yield (
                ("loses", _USER, f"{done}: now only {said}")
                if came
                else ("gains", _USER, f"{done}: not only {said}")
            )
        return
    old, new = ({_about(c): c for c in parts} for parts in (before, after))
    for about in old | new:
        first, second = old.get(about), new.get(about)
        if first is None and second is not None:
            yield "loses", _USER, f"{done}: now only {now.constraint(second, '')}"
        elif second is None and first is not None:
            yield "gains", _USER, f"{done}: no longer only {was.constraint(first, '')}"
        elif first and second and _form(first) != _form(second):
            yield from _changed(first, second, done, was, now)


def _changed(old: _Part, new: _Part, done: str, was: Wording, now: Wording) -> Iterator[_Told]:
    said = f"{done} {now.constraint(new, '')}; it was {was.constraint(old, '')}"
    if isinstance(old, LogicalConstraint) or isinstance(new, LogicalConstraint):
        yield "changes", _USER, said
    elif old.operator == new.operator == "isAnyOf":
        names = [set(texts_of(c.right_operand)) for c in (old, new)]
        named = iri(new.left_operand) == PARTICIPANT
        for name in map(quoted, sorted(names[1] - names[0])):
            yield "gains", name if named else _USER, done if named else f"{done}: also with {name}"
        for name in map(quoted, sorted(names[0] - names[1])):
            yield (
                "loses",
                name if named else _USER,
                done if named else f"{done}: no longer with {name}",
            )
    else:
        sizes = _size(old), _size(new)
        if sizes[0] is None or sizes[1] is None or sizes[0] == sizes[1]:
            yield "changes", _USER, said
        else:
            more = (sizes[1] > sizes[0]) == (new.operator in _UPPER)
            yield "gains" if more else "loses", _USER, said


def _size(constraint: Constraint) -> float | None:
    """What a constraint compares with as a number, if it compares by order."""
    text = texts_of(constraint.right_operand)[0]
    if constraint.operator not in (*_UPPER, *_LOWER):
        return None
    try:
        if iri(constraint.left_operand) == DATE_TIME:
            return moments.instant(text)
        return float(text) if text.isdecimal() else moments.duration(text).after(0.0)
    except ValueError:
        return None


def _about(constraint: _Part) -> tuple[str, str]:
    """What a constraint is about: an operand, and for an order the side on which it bounds."""
    if isinstance(constraint, LogicalConstraint):
        return constraint.operator, _form(constraint).decode()
    side = {"lt": "upper", "lteq": "upper", "gt": "lower", "gteq": "lower"}
    return iri(constraint.left_operand), side.get(constraint.operator, constraint.operator)


def _come_and_gone(
    before: Iterable[_T], after: Iterable[_T], form: Callable[[_T], bytes]
) -> Iterator[tuple[_T, bool]]:
    """What is only in the second, with True; then what is only in the first, with False."""
    old, new = ({form(item): item for item in items} for items in (before, after))
    yield from ((item, True) for key, item in new.items() if key not in old)
    yield from ((item, False) for key, item in old.items() if key not in new)


def _form(constraint: _Part) -> bytes:
    return rule_form(Rule("use", (constraint,)))


def rule_form(rule: Rule) -> bytes:
    """What a rule says, whatever its notation."""
    return canonical(Policy("Set", permission=(rule,)))
