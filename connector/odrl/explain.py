"""What a policy says, in one plain English sentence."""

from collections.abc import Iterable, Mapping, Sequence

from connector.odrl import operands
from connector.odrl.model import Constraint, LogicalConstraint, Policy, Rule, Value, short, text_of
from connector.odrl.operands import OPERANDS, Operand

_SHOWN = 5


def explain(policy: Policy, known: Mapping[str, Operand] = OPERANDS) -> str:
    """The policy in plain English; what this node can't evaluate is said to be refused.

    >>> from connector.odrl.model import parse
    >>> explain(parse({"@type": "Set", "permission": [{"action": "use"}]}))
    'The data may be used.'
    """
    sentences = ["The data may be " + "; or it may be ".join(_rule(r, known) for r in policy.permission)]
    if not policy.permission:
        sentences = ["Nothing is allowed"]
    if policy.prohibition:
        sentences.append("It must not be " + "; nor be ".join(_rule(r, known) for r in policy.prohibition))
    if policy.obligation:
        duties = _list([short(rule.action) for rule in policy.obligation], "and")
        sentences.append(f"It obliges to {duties}, which this node can't track and so refuses")
    conflict = [f"the conflict term {policy.conflict}"] if policy.conflict else []
    if policy.profile or policy.unread or conflict:
        terms = _list([*policy.profile, *conflict, *(name for name, _ in policy.unread)], "and")
        sentences.append(f"It relies on {terms}, which this node does not evaluate and so refuses")
    return ". ".join(sentences) + "."


def _rule(rule: Rule, known: Mapping[str, Operand]) -> str:
    action = short(rule.action)
    parts = ["used" if action == "use" else f"used by {action!r} (refused: not an action this node knows)"]
    parts += [_constraint(c, known) for c in rule.constraint]
    parts += [f"with the duty to {short(d.action)} (refused: can't be tracked)" for d in rule.duty]
    parts += [f"with {name} (refused: not evaluated)" for name, _ in rule.unread]
    return f"{parts[0]} {', '.join(parts[1:])}".strip()


def _constraint(constraint: Constraint | LogicalConstraint, known: Mapping[str, Operand]) -> str:
    if isinstance(constraint, LogicalConstraint):
        parts = [_constraint(c, known) for c in constraint.constraints]
        if constraint.operator == "or":
            return f"either {_list(parts, 'or')}" if len(parts) > 1 else _list(parts, "or")
        if constraint.operator == "xone":
            return f"by exactly one of: {'; '.join(parts)}"
        return _list(parts, "and")
    operand = known.get(operands.iri(constraint.left_operand))
    if operand and not constraint.unread and constraint.operator in operand.operators:
        try:
            return operand.condition(constraint.operator, constraint.right_operand).says
        except ValueError:
            pass
    left, right = short(constraint.left_operand), _values(constraint.right_operand)
    return f"if {left} {constraint.operator} {right} (refused: this node can't evaluate it)"


def _values(value: Value) -> str:
    return _list([_values(item) for item in value], "or") if isinstance(value, tuple) else text_of(value)


def _list(parts: Iterable[str], word: str) -> str:
    """`a, b or c`; of many the first few.

    >>> _list(["a", "b", "c"], "or")
    'a, b or c'
    """
    items: Sequence[str] = list(parts)
    if len(items) > _SHOWN:
        items = [*items[: _SHOWN - 1], f"{len(items) - _SHOWN + 1} more"]
    return " ".join(filter(None, (", ".join(items[:-1]), word if items[:-1] else "", *items[-1:])))
