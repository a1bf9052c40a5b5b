"""When two policies say the same: one text for all ways to write the same rules.

An Offer in a catalog, the Offer a consumer sends back (Eclipse EDC adds `assigner` and `target`) and the
Agreement made of it compare equal exactly when their rules are. Ignored is who and what they are about
(`@id`, `@type`, `target`, `assigner`, `assignee`, `timestamp`), the order of everything but `andSequence`,
and notation: prefixes, datatypes, a list of one value against the value alone. The profile and
the conflict term count: they say how the rules are meant.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import orjson

from connector.odrl import vocabulary
from connector.odrl.policy import Constraint, LogicalConstraint, Part, Policy, Rule, Value, text_of


def canonical(policy: Policy) -> bytes:
    """The policy's rules and profile as JSON that two policies share exactly when they say the same."""
    form: list[Any] = [
        _sorted(_rule(rule) for rule in policy.permission),
        _sorted(_rule(rule) for rule in policy.prohibition),
        _sorted(_rule(rule) for rule in policy.obligation),
        sorted(set(policy.profile)),
        policy.unread,
    ]
    return orjson.dumps([*form, policy.conflict] if policy.conflict else form)


def digest(policy: Policy) -> str:
    """SHA-256 of the canonical form, as 64 hexadecimal digits: the policy's name in caches and rows."""
    return hashlib.sha256(canonical(policy)).hexdigest()


def _sorted(items: Iterable[Any]) -> list[Any]:
    return sorted(items, key=orjson.dumps)


def _rule(rule: Rule) -> list[Any]:
    """A rule; what DSP has no place for only where it is there."""
    name, duties = vocabulary.action_name(rule.action), _sorted(map(_rule, rule.duty))
    form = [name, _sorted(map(_constraint, rule.constraint)), duties, rule.unread]
    beyond = [
        _sorted(map(_constraint, rule.refinement)),
        *(_sorted(map(_rule, rules)) for rules in (rule.remedy, rule.consequence)),
        *(_part(part) for part in (rule.target, rule.assignee, rule.assigner)),
    ]
    return [*form, beyond] if any(beyond) else form


def _part(part: Part | None) -> list[Any]:
    return [part.id, part.collection, part.source, _sorted(map(_constraint, part.refinement))] if part else []


def _constraint(constraint: Constraint | LogicalConstraint) -> list[Any]:
    if isinstance(constraint, LogicalConstraint):
        inner = [_constraint(c) for c in constraint.constraints]
        return [constraint.operator, inner if constraint.operator == "andSequence" else _sorted(inner)]
    left = vocabulary.iri(constraint.left_operand)
    return [left, constraint.operator, _values(constraint.right_operand), constraint.unread]


def _values(value: Value) -> list[str]:
    return sorted(set(_values_in_order(value)))


def _values_in_order(value: Value) -> list[str]:
    if isinstance(value, tuple):
        return [text for item in value for text in _values_in_order(item)]
    return [text_of(value)]
