"""Policies made ready to decide: once per rules, then about a microsecond per decision.

The world is closed. Nothing is allowed that no permission allows; what this node cannot evaluate (an
operand, operator, action, profile, duty, or a member of ODRL it does not read) never widens a permission
and always forbids when it stands in a prohibition. Of several permissions any one is enough; a rule's
constraints must all hold; a prohibition wins over every permission. A counterparty's policy never raises.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from connector.odrl import operands
from connector.odrl.model import Connective, Constraint, LogicalConstraint, Policy, Rule, Unread, short
from connector.odrl.operands import OPERANDS, Condition, Facts, Operand
from connector.odrl.truth import Holds, Truth

__all__ = [
    "PERMITTED",
    "Compiled",
    "Decision",
    "Facts",  # what it decides from, at hand where deciding is
    "Reason",
    "compile_policy",
    "compiled_for",
]

ACTIONS = frozenset({"use"})
PROFILES: frozenset[str] = frozenset()
MAX_REASONS = 20
_MANY_TURNS = 256


@dataclass(frozen=True, slots=True)
class Reason:
    """Why not. `code` is stable; `path` is the rule or constraint, as in the policy's JSON.

    `expected` and `seen` are for the operator of this node; the counterparty gets `sentence(redacted=True)`.
    """

    code: str
    path: str
    text: str
    operand: str | None = None
    operator: str | None = None
    expected: str | None = None
    seen: str | None = None
    public: str | None = field(default=None, repr=False)

    def sentence(self, redacted: bool = False) -> str:
        """The reason in plain English; `redacted` leaves out what is only the provider's business."""
        return self.public if redacted and self.public is not None else self.text


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes, or no with reasons."""

    permitted: bool
    reasons: tuple[Reason, ...] = ()


PERMITTED = Decision(permitted=True)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A policy ready to decide. `problems` is what of it this node can't evaluate, found once."""

    action: str
    problems: tuple[Reason, ...]
    _allows: Holds
    _why: Callable[[Facts], list[Reason]]
    _turns: tuple[Callable[[Facts], tuple[float, ...]], ...]
    credentials: frozenset[str] = frozenset()
    """Types of credentials that the decision may depend on: what a participant is to be asked for."""

    def decide(self, facts: Facts) -> Decision:
        """Whether the policy allows it, from these facts."""
        if facts.action != self.action:
            return Decision(False, (_no_permission(facts.action),))
        if self._allows(facts) is True:
            return PERMITTED
        return Decision(False, tuple(self._why(facts)[:MAX_REASONS]))

    def possible(self, facts: Facts) -> bool:
        """Whether it may be allowed once facts that are missing are known."""
        return facts.action == self.action and self._allows(facts) is not False

    def next_change(self, facts: Facts) -> float | None:
        """The first moment after `facts.now` at which the answer is another; None if time won't change it.

        Decide again then: of very long policies this is the first moment at which it may be another.
        """
        if facts.action != self.action:
            return None
        moments = sorted({t for turns in self._turns for t in turns(facts) if facts.now < t < math.inf})
        if len(moments) > _MANY_TURNS:  # trying them all would cost their square
            return moments[0]
        now = self._allows(facts) is True
        return next((t for t in moments if (self._allows(facts._replace(now=t)) is True) != now), None)


def compiled_for(policy: Policy, action: str = "use") -> Compiled:
    """The policy ready to decide. Policies with the same rules share one; the 1,024 last used are kept."""
    rules = (policy.permission, policy.prohibition, policy.obligation)
    return _compiled(*rules, policy.profile, policy.unread, action)


def compile_policy(policy: Policy, action: str = "use", known: Mapping[str, Operand] = OPERANDS) -> Compiled:
    """The policy ready to decide about `action`, with the operands in `known`. Never raises."""
    fatal = _policy_problems(policy)
    forbids: list[_Node] = []
    for path, rule in _numbered("prohibition", policy.prohibition):
        node = _rule(rule, path, known)
        fatal += node.problems
        if short(rule.action) == action:
            forbids.append(node)
    grants = []
    problems = list(fatal)
    for path, rule in _numbered("permission", policy.permission):
        node = _rule(rule, path, known)
        problems += node.problems
        if short(rule.action) == action or short(rule.action) not in ACTIONS:
            grants.append(node)
    if fatal:
        return Compiled(action, tuple(problems), _never, lambda _: list(fatal), ())

    def why(facts: Facts) -> list[Reason]:
        bitten = [node for node in forbids if node.holds(facts) is not False]
        if bitten:
            return [
                Reason("prohibited", node.path, f"The policy forbids it: {node.path} holds now.", public=None)
                for node in bitten
            ]
        return [r for node in grants for r in node.why(facts)] or [_no_permission(action)]

    allows = _any([node.holds for node in grants if node.holds is not _never])
    if forbids:
        allows = _unless([node.holds for node in forbids], allows)
    turns = tuple(turn for node in (*grants, *forbids) for turn in node.turns)
    credentials = _credentials((*grants, *forbids))
    return Compiled(action, tuple(problems), allows, why, turns, credentials)


@lru_cache(maxsize=1024)
def _compiled(
    permission: tuple[Rule, ...],
    prohibition: tuple[Rule, ...],
    obligation: tuple[Rule, ...],
    profile: tuple[str, ...],
    unread: Unread,
    action: str,
) -> Compiled:
    policy = Policy("Set", None, permission, prohibition, obligation, profile=profile, unread=unread)
    return compile_policy(policy, action)


@dataclass(frozen=True, slots=True)
class _Node:
    """A rule or constraint on the way: `holds` is `_never` when `problems` leave nothing to decide."""

    path: str
    holds: Holds
    why: Callable[[Facts], list[Reason]]
    problems: tuple[Reason, ...] = ()
    turns: tuple[Callable[[Facts], tuple[float, ...]], ...] = ()
    credentials: frozenset[str] = frozenset()


def _credentials(nodes: Sequence[_Node]) -> frozenset[str]:
    return frozenset().union(*(node.credentials for node in nodes))


def _never(_: Facts) -> bool:
    return False


def _always(_: Facts) -> bool:
    return True


def _no_permission(action: str) -> Reason:
    return Reason("no-permission", "permission", f"No permission of the policy allows {action[:100]!r}.")


def _policy_problems(policy: Policy) -> list[Reason]:
    problems = [
        Reason(
            "unknown-profile", "profile", f"The policy is of profile {name}, which this node does not know."
        )
        for name in policy.profile
        if name not in PROFILES
    ]
    problems += _unread(policy.unread, "")
    problems += _unread((("conflict", ""),) if policy.conflict else (), "")
    problems += [_duty(rule, path) for path, rule in _numbered("obligation", policy.obligation)]
    if not policy.permission and not policy.prohibition:
        problems.append(Reason("empty-policy", "", "The policy has no rules, so it allows nothing."))
    return problems


def _numbered(name: str, rules: Sequence[Rule]) -> list[tuple[str, Rule]]:
    return [(f"{name}[{n}]", rule) for n, rule in enumerate(rules)]


def _unread(unread: Sequence[tuple[str, str]], path: str) -> list[Reason]:
    return [
        Reason(
            "unread-term",
            f"{path}.{name}".lstrip("."),
            f"{name[:100]} of ODRL is not evaluated by this node.",
        )
        for name, _ in unread
    ]


def _duty(duty: Rule, path: str) -> Reason:
    text = f"The duty to {short(duty.action)[:100]} can't be tracked by this node, so it counts as not done."
    return Reason("duty-not-tracked", path, text)


def _rule(rule: Rule, path: str, known: Mapping[str, Operand]) -> _Node:
    problems = _unread(rule.unread, path)
    for name in ("refinement", "target", "assignee", "assigner", "remedy"):
        problems += _unread(((name, ""),) if getattr(rule, name) else (), path)
    problems += [_duty(duty, f"{path}.{name}") for name, duty in _numbered("duty", rule.duty)]
    if short(rule.action) not in ACTIONS:
        text = f"The action {rule.action[:100]} is not one this node knows ({', '.join(sorted(ACTIONS))})."
        problems.append(Reason("unknown-action", f"{path}.action", text))
    parts = [_constraint(c, f"{path}.constraint[{n}]", known) for n, c in enumerate(rule.constraint)]
    whole = _joined("and", parts, path)
    if not problems:
        return whole
    stated = tuple(problems) + whole.problems
    return _Node(path, _never, lambda _: list(stated), stated)


def _constraint(constraint: Constraint | LogicalConstraint, path: str, known: Mapping[str, Operand]) -> _Node:
    if isinstance(constraint, LogicalConstraint):
        inner = f"{path}.{constraint.operator}"
        parts = [_constraint(c, f"{inner}[{n}]", known) for n, c in enumerate(constraint.constraints)]
        if not parts:
            return _unusable(
                "empty-constraint", inner, f"An empty {constraint.operator!r} says nothing.", None
            )
        return _joined(constraint.operator, parts, inner)
    left = operands.iri(constraint.left_operand)
    operand = known.get(left)
    if constraint.unread:
        problems = tuple(_unread(constraint.unread, path))
        return _Node(path, _never, lambda _: list(problems), problems)
    if operand is None:
        text = f"{constraint.left_operand[:200]} is not an operand that this node can evaluate."
        return _unusable("unknown-operand", path, text, constraint)
    if constraint.operator not in operand.operators:
        allowed = ", ".join(operand.operators)
        text = f"{operand.name} can't be compared by {constraint.operator}, only by {allowed}."
        return _unusable("unknown-operator", path, text, constraint)
    try:
        condition = operand.condition(constraint.operator, constraint.right_operand)
    except ValueError as error:
        return _unusable("unreadable-value", path, f"{operand.name}: {error}.", constraint)
    why = _unsatisfied(condition, path, left, constraint.operator)
    return _Node(path, condition.holds, why, (), (condition.changes,), condition.credentials)


def _unusable(code: str, path: str, text: str, constraint: Constraint | None) -> _Node:
    about = (constraint.left_operand, constraint.operator) if constraint else (None, None)
    reason = Reason(code, path, text, *about)
    return _Node(path, _never, lambda _: [reason], (reason,))


def _unsatisfied(
    condition: Condition, path: str, left: str, operator: str
) -> Callable[[Facts], list[Reason]]:
    def why(facts: Facts) -> list[Reason]:
        held = condition.holds(facts)
        if held:
            return []
        return [
            Reason(
                code="constraint-not-satisfied" if held is False else "fact-missing",
                path=path,
                text=condition.refusal(facts, False),
                operand=left,
                operator=operator,
                expected=condition.says,
                seen=condition.seen(facts),
                public=condition.refusal(facts, True),
            )
        ]

    return why


def _joined(connective: Connective, parts: Sequence[_Node], path: str) -> _Node:
    """The parts under one connective. A part that can't be decided spoils all but an `or` with others."""
    problems = tuple(problem for part in parts for problem in part.problems)
    usable = [part for part in parts if part.holds is not _never]
    turns = tuple(turn for part in usable for turn in part.turns)
    asked = _credentials(usable)
    if connective == "or":
        if not usable:
            return _Node(path, _never, lambda _: list(problems), problems)
        return _Node(path, _any([p.holds for p in usable]), _all_reasons(parts), problems, turns, asked)
    if len(usable) < len(parts):
        return _Node(path, _never, lambda _: list(problems), problems)
    if connective == "xone":
        return _Node(
            path, _one([p.holds for p in usable]), _xone_reasons(parts, path), problems, turns, asked
        )
    return _Node(path, _all([p.holds for p in usable]), _all_reasons(parts), problems, turns, asked)


def _all_reasons(parts: Sequence[_Node]) -> Callable[[Facts], list[Reason]]:
    return lambda facts: [r for part in parts if part.holds(facts) is not True for r in part.why(facts)]


def _xone_reasons(parts: Sequence[_Node], path: str) -> Callable[[Facts], list[Reason]]:
    def why(facts: Facts) -> list[Reason]:
        holding = sum(part.holds(facts) is True for part in parts)
        if holding < 2:
            return _all_reasons(parts)(facts)
        text = f"Exactly one of {len(parts)} conditions must hold; {holding} do."
        return [Reason("constraint-not-satisfied", path, text, operator="xone")]

    return why


def _all(tests: Sequence[Holds]) -> Holds:
    """False if one is, else None if one is, else True (Kleene's logic, as `_any` and `_one`)."""
    if not tests:
        return _always
    if len(tests) == 1:
        return tests[0]

    def holds(facts: Facts) -> Truth:
        outcome: Truth = True
        for test in tests:
            held = test(facts)
            if held is False:
                return False
            if held is None:
                outcome = None
        return outcome

    return holds


def _any(tests: Sequence[Holds]) -> Holds:
    if not tests:
        return _never
    if len(tests) == 1:
        return tests[0]

    def holds(facts: Facts) -> Truth:
        outcome: Truth = False
        for test in tests:
            held = test(facts)
            if held is True:
                return True
            if held is None:
                outcome = None
        return outcome

    return holds


def _one(tests: Sequence[Holds]) -> Holds:
    def holds(facts: Facts) -> Truth:
        held = [test(facts) for test in tests]
        if held.count(True) > 1:
            return False
        return None if None in held else True in held

    return holds


def _unless(forbids: Sequence[Holds], allows: Holds) -> Holds:
    """A prohibition bites unless it certainly does not hold."""

    def holds(facts: Facts) -> Truth:
        for forbidden in forbids:
            if forbidden(facts) is not False:
                return False
        return allows(facts)

    return holds
