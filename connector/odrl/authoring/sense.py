"""Whether a policy makes sense: that it can be met at all, and does not say the opposite of itself.

What doesn't is legal, and a counterparty's is decided as it stands: mostly denied for ever. In one's own file
it is a slip.
"""

import re
from collections.abc import Iterator
from dataclasses import fields

from connector.odrl import truth
from connector.odrl.catenax import plainly
from connector.odrl.compile import compile_policy
from connector.odrl.duties import PROJECT, PSEUDONYMIZE
from connector.odrl.explain import flat
from connector.odrl.model import Constraint, LogicalConstraint, Part, Policy, Rule
from connector.odrl.policy import texts_of
from connector.odrl.rules import Node, walk
from connector.odrl.truth import Timeline
from connector.odrl.vocabulary import (
    ANODE,
    ATTRIBUTE,
    COUNT,
    CX,
    PARTICIPANT,
    PURPOSE,
    RECIPIENT,
    action_name,
    includes,
    iri,
)

_DID = re.compile(r"did:[a-z0-9]+:\S+")
_ONE_OF = {PURPOSE: "purpose", f"{CX}UsagePurpose": "purpose", PARTICIPANT: "participant"}
"""Operands of which a request has one value at a time."""
_NO_USE = {("lt", "1"), ("lt", "0"), ("lteq", "0"), ("eq", "0")}


def nonsense(policy: Policy, action: str) -> Iterator[tuple[object, str]]:
    """What makes no sense about doing `action`: the part of the policy, and what is wrong with it."""
    for rule in policy.permission:
        yield from _apart(rule)
        yield from _both(rule)
    for part in _constraints(policy):
        if iri(part.left_operand) in (PARTICIPANT, RECIPIENT):
            for name in texts_of(part.right_operand):
                if not _DID.fullmatch(name):
                    what = "is no participant's id: it must be a DID, such as did:web:partner.example"
                    yield part, f'"{name[:100]}" {what}'
    if policy.permission and not any(includes(action_name(r.action), action) for r in policy.permission):
        names = " and ".join(
            sorted({action_name(rule.action).removeprefix(ANODE) for rule in policy.permission})
        )
        what = (
            f"every request for data is to use them, so who may only {names} gets nothing: write `allow: use`"
        )
        yield policy.permission[0], what
    for rule in dict.fromkeys(policy.permission):
        yield from _never(policy, rule)
    for n, rule in enumerate(policy.prohibition):
        if rule in policy.prohibition[:n]:
            yield rule, f"`{action_name(rule.action)}` is forbidden twice: leave one out"


def ended(policy: Policy, action: str) -> float | None:
    """The moment from which time alone keeps `action` from ever being allowed; None if there is none."""
    compiled = compile_policy(policy, action)
    permits = compiled.rules[: len(policy.permission)]
    lines = [_by_time(node) for node in permits if node.parts[0].fixed]
    if not lines or not all(line.turns and line.truths[-1] is False for line in lines):
        return None
    return max(line.turns[-1] for line in lines)


def _never(policy: Policy, rule: Rule) -> Iterator[tuple[object, str]]:
    """A permission that no moment opens, and one that a prohibition without conditions takes back."""
    action = action_name(rule.action)
    compiled = compile_policy(policy, action)
    if compiled.problems:
        return
    many = len(policy.permission)
    permit = compiled.rules[policy.permission.index(rule)]
    if _by_time(permit) == truth.always(False):
        yield (
            _last_in_time(permit) or rule,
            "no moment meets all the conditions on time, so it is never allowed",
        )
    for written, node in zip(policy.prohibition, compiled.rules[many:], strict=False):
        if node.fixed is True and policy.conflict != "perm":
            name = action_name(written.action)
            yield written, f"`{name}` is forbidden without conditions, so allowing `{action}` means nothing"


def _by_time(node: Node) -> Timeline:
    """What time alone makes of it; None where anything else counts."""
    if node.line is not None:
        return node.line
    if node.parts:
        return truth.combined(node.connective, [_by_time(part) for part in node.parts])
    return truth.always(None)


def _last_in_time(node: Node) -> Constraint | None:
    return next((n.constraint for n in reversed([*walk(node)]) if n.constraint and n.line is not None), None)


def _apart(rule: Rule) -> Iterator[tuple[object, str]]:
    """Conditions that must hold at once, and have no value in common."""
    left: dict[str, frozenset[str]] = {}
    for part in flat(rule.constraint):
        if not isinstance(part, Constraint):
            continue
        if iri(part.left_operand) == COUNT and (part.operator, *texts_of(part.right_operand)) in _NO_USE:
            yield part, "the first use is number 1, so no use is allowed"
        name = _ONE_OF.get(iri(part.left_operand))
        found = frozenset(map(plainly if name == "purpose" else str, texts_of(part.right_operand)))
        if name is None or not (part.operator in ("eq", "isAnyOf") or name in left):
            continue
        within = part.operator in ("eq", "isAnyOf")
        left[name] = left.get(name, found) & found if within else left[name] - found
        if not left[name]:
            yield part, f"no {name} meets this and the `{name}` before: put all that may be into one list"


def _both(rule: Rule) -> Iterator[tuple[object, str]]:
    """Attributes that are left out and replaced at once."""
    gone: dict[str, str] = {}
    for duty in rule.duty:
        name = action_name(duty.action)
        for part in flat(duty.constraint) if name in (PROJECT, PSEUDONYMIZE) else ():
            if isinstance(part, Constraint) and iri(part.left_operand) == ATTRIBUTE:
                for text in texts_of(part.right_operand):
                    if gone.setdefault(text.casefold(), name) != name:
                        yield duty, f'"{text}" is both dropped and pseudonymised: take it out of one of them'


def _constraints(part: object) -> Iterator[Constraint]:
    """Every constraint in a policy or rule, whatever it narrows."""
    if isinstance(part, Constraint):
        yield part
    elif isinstance(part, tuple):
        for item in part:
            yield from _constraints(item)
    elif isinstance(part, Policy | Rule | LogicalConstraint | Part):
        for field in fields(part):
            yield from _constraints(getattr(part, field.name))
