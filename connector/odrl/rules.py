"""A policy's rules as a tree of nodes, each ready to decide, to say why not, and to say when it changes.

The tree keeps the policy's shape, for people; the functions in it are folded for speed: what depends on
nothing but the time becomes one line over all time, whatever it was made of.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from connector.odrl import duties, moments, truth
from connector.odrl.conditions import Condition, Operand, RuleKind, either, quoted
from connector.odrl.decision import Reason, Term
from connector.odrl.facts import Facts
from connector.odrl.policy import Connective, Constraint, Constraints, LogicalConstraint, Part, Rule
from connector.odrl.truth import Holds, Timeline, Truth
from connector.odrl.vocabulary import ACTIONS, Enforcement, action_name, includes, iri

MAX_REASONS = 20


@dataclass(frozen=True, slots=True)
class Node:
    """A rule, a connective, or something that is decided: `condition` or `duty`; or else `fixed` already.

    What can't be evaluated has a `problem` and is fixed as False.
    """

    path: str
    label: str
    holds: Holds
    parts: tuple["Node", ...] = ()
    connective: Connective = "and"
    condition: Condition | None = None
    constraint: Constraint | None = None
    operand: str | None = None
    """The left operand of the constraint, as an IRI."""
    duty: duties.Duty | None = None
    enforcement: Enforcement | None = None
    fixed: Truth = None
    problem: Reason | None = None
    line: Timeline | None = None
    """The truth over all time, where nothing else counts."""


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    yield node
    for part in node.parts:
        yield from walk(part)


def problems(node: Node) -> Iterator[Reason]:
    """What can't be evaluated of it."""
    return (found.problem for found in walk(node) if found.problem)


def terms(node: Node) -> Iterator[Term]:
    """What it says, term by term, and how each is enforced."""
    return (Term(n.path, n.label, n.enforcement) for n in walk(node) if n.enforcement)


def fixed(path: str, label: str, value: Truth, enforcement: Enforcement | None = None) -> Node:
    """A node whose truth does not depend on facts."""
    holds, line = truth.steady(value), truth.always(value)
    return Node(path, label, holds, fixed=value, line=line, enforcement=enforcement)


def broken(code: str, path: str, text: str, constraint: Constraint | None = None) -> Node:
    """A node that can't be evaluated, and why."""
    about = (constraint.left_operand, constraint.operator) if constraint else (None, None)
    return replace(fixed(path, text, False), problem=Reason(code, path, text, *about))


def unread(names: Iterable[str], path: str) -> Iterator[Node]:
    """A node for each member of ODRL that is not evaluated."""
    for name in names:
        where = f"{path}.{name}".lstrip(".")
        yield broken("unread-term", where, f"{quoted(name[:100])} of ODRL is not evaluated by this node.")


def rule(kind: RuleKind, written: Rule, path: str, asked: str, known: Mapping[str, Operand]) -> Node:
    """A permission or prohibition: what makes it be about this party and this asset now, and its constraints.

    It is about the action asked for when its first part, the action, is true.
    """
    name = action_name(written.action)
    parts = [_action(kind, name, f"{path}.action", asked)]
    parts += unread((member for member, _ in written.unread), path)
    parts += unread(("assigner",) if written.assigner else (), path)
    for part, what, member in ((written.target, "asset", "target"), (written.assignee, "party", "assignee")):
        if part is not None:
            here = f"{path}.{member}"
            parts.append(_part(what, part, here))
            parts += _constraints(part.refinement, kind, f"{here}.refinement", known, what)
    parts += _constraints(written.refinement, kind, f"{path}.action.refinement", known, "action")
    parts += _constraints(written.constraint, kind, f"{path}.constraint", known)
    return group("and", parts, path, f"{kind} to {quoted(name)}")


def provision(written: Rule, path: str, known: Mapping[str, Operand]) -> Node:
    """An obligation of the provider to let use: where its constraints end it, this node's yes ends too."""
    parts = [*unread((member for member, _ in written.unread), path)]
    parts += unread((n for n in _PARTS if getattr(written, n)), path)
    parts += _constraints(written.constraint, "obligation", f"{path}.constraint", known)
    return group("and", parts, path, "obligation to provide")


def duty(written: Rule, path: str, *, first: bool, mode: duties.Mode) -> Node:
    """A duty of a permission (`first`), or an obligation."""
    try:
        read = duties.read(written)
    except ValueError as error:
        text = (
            f"The duty to {quoted(action_name(written.action)[:100])} can't be tracked by this node: {error}."
        )
        return broken("duty-not-tracked", path, text)
    label = f"with the duty to {read.says()}"
    if read.enforcement is Enforcement.AGREED:
        return replace(fixed(path, label, True, read.enforcement), duty=read)
    holds = duties.allows(read, path, first=first, mode=mode)
    return Node(path, label, holds, duty=read, enforcement=read.enforcement)


def group(connective: Connective, parts: Sequence[Node], path: str, label: str) -> Node:
    """Nodes under one connective."""
    if connective == "xone":
        loose = next((n for part in parts for n in walk(part) if n.enforcement is Enforcement.AGREED), None)
        if loose:
            text = f"That exactly one holds can't be decided: {loose.label} can only be agreed."
            parts = [*parts, broken("undecidable", loose.path, text)]
        if any(True for part in parts for _ in problems(part)):
            return replace(fixed(path, label, False), parts=tuple(parts), connective=connective)
    lines = [part.line for part in parts if part.line is not None]
    line = truth.combined(connective, lines)
    decided = not line.turns and connective != "xone" and line.truths[0] is (connective == "or")
    if decided or len(lines) == len(parts):
        outcome = None if line.turns else line.truths[0]
        holds = truth.over_time(line)
        return Node(path, label, holds, tuple(parts), connective, fixed=outcome, line=line)
    tests = [part.holds for part in parts if part.line is None]
    if connective == "xone":
        tests = [part.holds for part in parts]
    elif line.turns or line.truths[0] is not (connective != "or"):
        tests.insert(0, truth.over_time(line))  # the cheapest first
    return Node(path, label, truth.connected(connective, tests), tuple(parts), connective)


def said(node: Node, inside: bool = False) -> str:
    """The terms of a node in plain English, as they follow "may be used"; nothing if it has none."""
    if node.enforcement:
        return node.label
    found = [text for part in node.parts if (text := said(part, inside=True))]
    if node.connective == "xone":
        return f"where exactly one of these holds ({'; '.join(found)})"
    text = (" or " if node.connective == "or" else " and at once ").join(found)
    return f"({text})" if inside and len(found) > 1 else text


def about(what: str, part: Part) -> str:
    """The asset or the party that a rule is about, as it follows "may be used"."""
    names = [part.id, *([part.source] if part.source else [])]
    if what == "party":
        return f"by {'members of ' * part.collection}{either(names)}"
    return f"where the data {'belong to' if part.collection else 'are'} {either(names)}"


def reasons(nodes: Iterable[Node], facts: Facts) -> list[Reason]:
    """Why these nodes stand in the way of a yes, as far as they do; the first MAX_REASONS."""
    found: list[Reason] = []
    for node in nodes:
        held = node.holds(facts)
        if truth.denied(held):
            _tell(node, facts, held, found)
    return found[:MAX_REASONS]


def _tell(node: Node, facts: Facts, held: Truth, found: list[Reason]) -> None:
    if node.problem:
        found.append(node.problem)
    elif node.condition:
        found.append(_unsatisfied(node, node.condition, facts, held))
    elif node.duty:
        found.append(_undone(node, node.duty, facts, held))
    elif node.connective == "or" and node.line is not None and len(node.parts) > _SOME:
        found.append(_closed(node, node.line, facts.now))
    elif (
        node.connective == "xone"
        and (many := [truth.denied(p.holds(facts)) for p in node.parts].count(False)) > 1
    ):
        text = f"Exactly one of {len(node.parts)} conditions must hold; {many} do."
        found.append(Reason("constraint-not-satisfied", node.path, text, operator="xone"))
    else:
        for part in node.parts:
            if len(found) < MAX_REASONS and truth.denied(held := part.holds(facts)):
                _tell(part, facts, held, found)


def timeline(node: Node, facts: Facts) -> Timeline:
    """Its truth from now on, as long as nothing but the time changes. What it says of the past is void."""
    if node.line is not None:
        return node.line
    if node.parts:
        return truth.combined(node.connective, [timeline(part, facts) for part in node.parts])
    changes: tuple[float, ...] = ()
    if node.condition:
        changes = node.condition.changes(facts)
    elif node.duty:
        changes = (duties.due(node.duty, facts, duties.state(node.duty, node.path, facts)),)
    turns = tuple(sorted({turn for turn in changes if facts.now < turn < math.inf}))
    return Timeline(turns, (node.holds(facts), *(node.holds(facts._replace(now=turn)) for turn in turns)))


_SOME = 4  # alternatives that are told one by one
_PARTS = ("target", "assignee", "assigner", "refinement")


def _action(kind: RuleKind, name: str, path: str, asked: str) -> Node:
    if name not in ACTIONS:
        return broken("unknown-action", path, f"The action {quoted(name[:100])} is not one this node knows.")
    covers = includes(name, asked)
    promised = Enforcement.AGREED if kind == "prohibition" and not covers else None
    return fixed(path, f"not to {name}" if promised else name, covers, promised)


def _constraints(
    written: Constraints, kind: RuleKind, path: str, known: Mapping[str, Operand], narrows: str = ""
) -> Iterator[Node]:
    for n, constraint in enumerate(written):
        yield _constraint(constraint, kind, f"{path}[{n}]", known, narrows)


def _constraint(
    written: Constraint | LogicalConstraint,
    kind: RuleKind,
    path: str,
    known: Mapping[str, Operand],
    narrows: str,
) -> Node:
    if isinstance(written, LogicalConstraint):
        inner = f"{path}.{written.operator}"
        parts = [*_constraints(written.constraints, kind, inner, known, narrows)]
        if not parts:
            return broken("empty-constraint", inner, f"An empty {written.operator!r} says nothing.")
        return group(written.operator, parts, inner, written.operator)
    if written.unread:
        missed = [*unread((member for member, _ in written.unread), path)]
        return group("and", missed, path, quoted(written.left_operand))
    operand = known.get(iri(written.left_operand))
    if operand is None:
        text = f"{quoted(written.left_operand[:200])} is not an operand that this node can evaluate."
        return broken("unknown-operand", path, text, written)
    if written.operator not in operand.operators:
        allowed = ", ".join(operand.operators)
        text = f"{operand.name} can't be compared by {written.operator}, only by {allowed}."
        return broken("unknown-operator", path, text, written)
    if narrows not in ("", *operand.refines) or kind not in operand.rules:
        place = f"in a refinement of the {narrows}" if narrows else f"in a {kind}"
        return broken("misplaced-operand", path, f"{operand.name} means nothing {place}.", written)
    try:
        condition = operand.condition(written.operator, written.right_operand)
    except ValueError as error:
        return broken("unreadable-value", path, f"{operand.name}: {error}.", written)
    made = Node(path, condition.says, condition.holds, enforcement=operand.enforcement, line=condition.line)
    if operand.enforcement is Enforcement.AGREED:  # it permits, and forbids nothing
        made = fixed(path, condition.says, kind != "prohibition", operand.enforcement)
    return replace(made, condition=condition, constraint=written, operand=iri(written.left_operand))


def _part(what: str, part: Part, path: str) -> Node:
    """Whether it is this asset or party, or one of this collection."""
    names = {part.id, part.source}

    def holds(facts: Facts) -> Truth:
        one, many = (
            (facts.participant, facts.groups) if what == "party" else (facts.target, facts.collections)
        )
        if one == part.id:
            return True
        if one is None:
            return None
        if not part.collection:
            return False
        return None if many is None else not names.isdisjoint(many)

    def seen(facts: Facts) -> str:
        one = facts.participant if what == "party" else facts.target
        return quoted(one) if one else "not known"

    says = about(what, part)
    hidden = "by named participants" if what == "party" else says
    condition = Condition(
        holds,
        says,
        hidden,
        seen=seen,
        refusal=lambda _, redacted: f"The rule is only about use {hidden if redacted else says}.",
        needs=frozenset({"groups"} if what == "party" else {"target", "collections"}),
    )
    return Node(path, says, holds, condition=condition, enforcement=Enforcement.ENFORCED)


def _unsatisfied(node: Node, condition: Condition, facts: Facts, held: Truth) -> Reason:
    written = node.constraint
    return Reason(
        code="constraint-not-satisfied" if held is False else "fact-missing",
        path=node.path,
        text=condition.refusal(facts, False),
        operand=node.operand,
        operator=written.operator if written else None,
        expected=condition.says,
        seen=condition.seen(facts),
        public=condition.refusal(facts, True) if condition.public != condition.says else None,
        givers=condition.givers(facts),
    )


def _undone(node: Node, owed: duties.Duty, facts: Facts, held: Truth) -> Reason:
    found = duties.state(owed, node.path, facts)
    if held is False:
        text, code = f"The duty to {owed.says()} was not done in time.", "duty-violated"
    else:
        text, code = f"The duty to {owed.says()} comes first: do it, and give evidence.", "duty-unfulfilled"
    seen = found.state if found else "not known"
    return Reason(code, node.path, text, expected=f"{owed.says()}: done", seen=seen)


def _closed(node: Node, line: Timeline, now: float) -> Reason:
    """None of many windows of time is open: when the next one opens."""
    place = bisect_right(line.turns, now)
    opens = next(
        (turn for turn, held in zip(line.turns[place:], line.truths[place + 1 :], strict=True) if held), None
    )
    seen = moments.text(now)
    if opens is None:
        end = f"ended on {moments.text(line.turns[place - 1])}" if place else "is open at no time"
        text = f"The permission {end}; it is now {seen}: ask the provider for a new offer."
    else:
        text = f"The permission begins on {moments.text(opens)}; it is now {seen}: come back then."
    expected = f"one of {len(node.parts)} windows of time"
    return Reason("constraint-not-satisfied", node.path, text, operator="or", expected=expected, seen=seen)
