"""When two policies say the same: one text for all ways to write the same rules.

An Offer in a catalog, the Offer a consumer sends back (Eclipse EDC adds `assigner` and `target`) and the
Agreement made of it compare equal exactly when their rules are. Ignored is who and what they are about
(`@id`, `@type`, `target`, `assigner`, `assignee`, `timestamp`), the order of everything but `andSequence`,
and notation: prefixes, datatypes, a list of one value against the value alone. The profile counts: it
says how the rules are meant.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import orjson

from connector.odrl import operands
from connector.odrl.model import Constraint, LogicalConstraint, Policy, Rule, Value, short, text_of


def canonical(policy: Policy) -> bytes:
    """The policy's rules and profile as JSON that two policies share exactly when they say the same."""
    return orjson.dumps(
        [
            _sorted(_rule(rule) for rule in policy.permission),
            _sorted(_rule(rule) for rule in policy.prohibition),
            _sorted(_rule(rule) for rule in policy.obligation),
            sorted(set(policy.profile)),
            policy.unread,
        ]
    )


def digest(policy: Policy) -> str:
    """SHA-256 of the canonical form, as 64 hexadecimal digits: the policy's name in caches and rows."""
    return hashlib.sha256(canonical(policy)).hexdigest()


def _sorted(items: Iterable[Any]) -> list[Any]:
    return sorted(items, key=orjson.dumps)


def _rule(rule: Rule) -> list[Any]:
    duties = _sorted(_rule(duty) for duty in rule.duty)
    return [short(rule.action), _sorted(map(_constraint, rule.constraint)), duties, rule.unread]


def _constraint(constraint: Constraint | LogicalConstraint) -> list[Any]:
    if isinstance(constraint, LogicalConstraint):
        inner = [_constraint(c) for c in constraint.constraints]
        return [constraint.operator, inner if constraint.operator == "andSequence" else _sorted(inner)]
    left = operands.iri(constraint.left_operand)
    return [left, constraint.operator, _values(constraint.right_operand), constraint.unread]


def _values(value: Value) -> list[str]:
    return sorted(set(_values_in_order(value)))


def _values_in_order(value: Value) -> list[str]:
    if isinstance(value, tuple):
        return [text for item in value for text in _values_in_order(item)]
    return [text_of(value)]
