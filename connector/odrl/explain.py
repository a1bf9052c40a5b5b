"""What a policy says, in plain English: a few sentences that a lawyer can read, from the rules themselves.

What this node can't evaluate, track or keep is said to be refused: `compile.py` decides that, not this.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from connector.odrl.compile import Reason, compile_policy
from connector.odrl.conditions import quoted
from connector.odrl.duties import EVENTS, TOLD
from connector.odrl.model import Constraint, LogicalConstraint, Policy, Rule, short
from connector.odrl.moments import duration, instant
from connector.odrl.moments import text as moment
from connector.odrl.operands import OPERANDS, PARTICIPANT, Operand
from connector.odrl.phrases import phrase
from connector.odrl.policy import texts_of
from connector.odrl.rules import about
from connector.odrl.vocabulary import (
    ACTIONS,
    ANODE,
    ATTRIBUTE,
    DATE_TIME,
    DELAY_PERIOD,
    ELAPSED_TIME,
    EVENT,
    GROUP_SIZE,
    RECIPIENT,
    Enforcement,
    action_name,
    iri,
)

_MEET = "Where a permission and a prohibition meet"
_CONFLICTS = {
    "perm": f"{_MEET}, the permission wins",
    "prohibit": f"{_MEET}, the prohibition wins",
    "invalid": f"{_MEET}, nothing is allowed",
}
_Part = Constraint | LogicalConstraint


def explain(policy: Policy) -> str:
    """The policy in plain English; what this node can't evaluate is said to be refused.

    >>> from connector.odrl.model import parse
    >>> explain(parse({"@type": "Set", "permission": [{"action": "use"}]}))
    'The data may be used.'
    """
    return Wording(policy, OPERANDS).policy()


def audience(access: Policy) -> str:
    """Who sees an offer, in plain English, with names: for this node's operator."""
    words = Wording(access, OPERANDS, by="to")
    parts = [*flat(c for rule in access.permission for c in rule.constraint)]
    says = [words.constraint(part, "") for part in parts]
    if len(parts) != 1:
        return f"only {together(says)}" if parts else "to everyone"
    ((part,), (said,)) = parts, says
    if isinstance(part, Constraint) and part.left_operand == PARTICIPANT and " anyone but " not in said:
        said = f"to {listed(map(quoted, texts_of(part.right_operand)), 'and')}"
    if said.startswith("to anyone but "):
        return said
    return f"{said} only" if said.startswith("to ") else f"only {said}"


def flat(constraints: Iterable[_Part]) -> Iterator[_Part]:
    """The constraints with those of each `and` in its place."""
    return (constraint for constraint, _ in placed(constraints, ""))


def placed(constraints: Iterable[_Part], path: str) -> Iterator[tuple[_Part, str]]:
    """The same, each with where it stands: `path[0]`, or `path[0].and[1]`."""
    for n, constraint in enumerate(constraints):
        here = f"{path}[{n}]"
        logical = isinstance(constraint, LogicalConstraint) and constraint.operator == "and"
        if logical and isinstance(constraint, LogicalConstraint) and constraint.constraints:
            yield from placed(constraint.constraints, f"{here}.and")
        else:
            yield constraint, here


def itself(duty: Rule) -> bool:
    """Whether the provider's node does the duty by itself, at each request."""
    known = ACTIONS.get(action_name(duty.action))
    return known is not None and known.duty is Enforcement.PER_REQUEST


class Wording:
    """Says the parts of one policy. `refused` are the reasons why this node can't keep one, by path.

    `by` is the word before a party: "by" whom the data may be used, or "to" whom they are offered.
    """

    def __init__(self, policy: Policy, known: Mapping[str, Operand] = OPERANDS, by: str = "by") -> None:
        self._policy, self._known, self._by = policy, known, by
        problems = compile_policy(policy, known=known).problems
        self.refused: dict[str, Reason] = {reason.path: reason for reason in problems}

    def policy(self) -> str:
        """All of it."""
        policy = self._policy
        allowed = [self.rule(rule, f"permission[{n}]") for n, rule in enumerate(policy.permission)]
        sentences = [f"{'It may also' if n else 'The data may'} be {said}" for n, said in enumerate(allowed)]
        if not policy.permission:
            sentences = ["Nothing is allowed"]
        for n, rule in enumerate(policy.permission):
            own = (self.duty(d, f"permission[{n}].duty[{m}]") for m, d in enumerate(rule.duty) if itself(d))
            sentences += [sentence for sentence in own if sentence not in sentences]
        sentences += [f"It must not be {said}" for said in self._forbidden()]
        sentences += [self.duty(d, f"obligation[{n}]") for n, d in enumerate(policy.obligation)]
        sentences += [said] if (said := self.conflict()) else []
        if terms := [says for says, _ in self.relied()]:
            sentences.append(
                f"It relies on {listed(terms, 'and')}, which this node does not evaluate and so refuses"
            )
        return ". ".join(sentences) + "."

    def conflict(self) -> str:
        """Which rule wins, where the policy says it and has rules that can meet."""
        return _CONFLICTS.get(self._policy.conflict or "", "") if self._policy.prohibition else ""

    def constraint(self, constraint: _Part, path: str) -> str:
        """A constraint, as it follows "the data may be used"."""
        if isinstance(constraint, LogicalConstraint):
            return self._logical(constraint, path)
        operand, says = self._known.get(iri(constraint.left_operand)), ""
        if operand and not constraint.unread and constraint.operator in operand.operators:
            with suppress(ValueError):
                says = operand.condition(constraint.operator, constraint.right_operand).says
        if says and path not in self.refused:
            return f"{self._by} {says.removeprefix('by ')}" if says.startswith("by ") else says
        left, values = quoted(short(constraint.left_operand)), map(quoted, texts_of(constraint.right_operand))
        says = says or f"if {left} {constraint.operator} {listed(values, 'or')}"
        return f"{says} (refused: this node can't evaluate it)"

    def _logical(self, constraint: LogicalConstraint, path: str) -> str:
        inner = f"{path}.{constraint.operator}"
        parts = [self.constraint(c, f"{inner}[{n}]") for n, c in enumerate(constraint.constraints)]
        if not parts:
            return f"if {constraint.operator} of nothing (refused: this node can't evaluate it)"
        if constraint.operator == "xone":
            return f"where exactly one of these holds ({'; '.join(parts)})"
        if len(parts) == 1:
            return parts[0]
        if constraint.operator == "or":
            return f"either {', or '.join(parts)}"
        ordered = ", in this order, which is not checked" if constraint.operator == "andSequence" else ""
        return f"where all of this holds at once{ordered} ({'; '.join(parts)})"

    def terms(self, rule: Rule, path: str) -> Iterator[tuple[str, str]]:
        """Each condition of a rule, as it follows "may be used", and where it stands. All must hold."""
        for what, part, name in (("asset", rule.target, "target"), ("party", rule.assignee, "assignee")):
            if part is not None:
                yield about(what, part), f"{path}.{name}"
                yield from self._each(part.refinement, f"{path}.{name}.refinement")
        yield from self._each(rule.refinement, f"{path}.action.refinement")
        yield from self._each(rule.constraint, f"{path}.constraint")
        for name in (*(("assigner",) if rule.assigner else ()), *(name for name, _ in rule.unread)):
            yield f"with {quoted(name)} (refused: not evaluated)", f"{path}.{name}"

    def _each(self, constraints: Iterable[_Part], path: str) -> Iterator[tuple[str, str]]:
        return ((self.constraint(part, here), here) for part, here in placed(constraints, path))

    def rule(self, rule: Rule, path: str) -> str:
        """What may, or must not, be done: as it follows "may be"."""
        done = phrase(rule.action).done
        if f"{path}.action" in self.refused:
            done += " (refused: not an action this node decides about)"
        parts = [says for says, _ in self.terms(rule, path)]
        for n, duty in enumerate(rule.duty):
            if not itself(duty):
                parts.append(f"on condition to {self._duty(duty, f'{path}.duty[{n}]')}")
        return f"{done} {together(parts)}".strip() + self.remedy(rule, path)

    def remedy(self, rule: Rule, path: str) -> str:
        """What must be done by whoever does what a prohibition forbids, in brackets."""
        owed = [self._duty(duty, f"{path}.remedy[{n}]") for n, duty in enumerate(rule.remedy)]
        return f" (whoever does so must {listed(owed, 'and')}: agreed, not tracked)" if owed else ""

    def duty(self, duty: Rule, path: str) -> str:
        """What must be done, and by whom, as a sentence."""
        by = "The provider" if itself(duty) or action_name(duty.action) == "use" else "The user"
        return f"{by} must {self._duty(duty, path)}"

    def _duty(self, duty: Rule, path: str) -> str:
        name = action_name(duty.action)
        does = "provide the data" if name == "use" else phrase(duty.action).do
        before, _, behind = does.partition("{}")
        within = after = what = whom = ""
        rest: list[str] = []
        for constraint, here in placed(duty.constraint, f"{path}.constraint"):
            values = texts_of(constraint.right_operand) if isinstance(constraint, Constraint) else []
            left = iri(constraint.left_operand) if isinstance(constraint, Constraint) else ""
            most = isinstance(constraint, Constraint) and constraint.operator in ("lt", "lteq", "eq")
            said, names = (*values, "")[0], listed(map(quoted, values), "and")
            if left in (ATTRIBUTE, GROUP_SIZE):
                what = names
            elif left in (DELAY_PERIOD, ELAPSED_TIME) and most and name != "use":
                within = f"within {_span(said)}"
            elif left == DATE_TIME and most and name != "use":
                rest.append(f"by {_moment(said)}")
            elif left == EVENT:
                after = EVENTS.get(said.removeprefix(ANODE).removeprefix("anode:"), quoted(said))
            elif left == RECIPIENT:
                whom = names
            else:
                rest.append(self.constraint(constraint, here))
        does = f"{before}{what}{behind}".rstrip()
        if whom:
            does = f"{TOLD[name]} {whom}" if name in TOLD else f"{does} with {whom} as recipient"
        if within:
            after = "it" if after and does.endswith(after) else after or EVENTS["agreement"]
            within = f"{within} of {after}"
        elif after and not does.endswith(after):
            within = f"at {after}"
        said = " ".join(filter(None, (does, within, together(rest))))
        if path in self.refused:
            said += " (refused: can't be tracked)"
        if more := [self._duty(d, f"{path}.consequence[{n}]") for n, d in enumerate(duty.consequence)]:
            said += f" (whoever fails to must also {listed(more, 'and')}: agreed, not tracked)"
        return said

    def _forbidden(self) -> Iterator[str]:
        """Prohibitions without conditions in one list, then each other by itself."""
        rules = [(rule, f"prohibition[{n}]") for n, rule in enumerate(self._policy.prohibition)]
        said = [
            (self.rule(rule, path), bool(rule.remedy) or any(self.terms(rule, path))) for rule, path in rules
        ]
        if bare := [text for text, more in said if not more]:
            yield listed(bare, "or")
        yield from (text for text, more in said if more)

    def relied(self) -> Iterator[tuple[str, str]]:
        """What of the whole policy is refused, and where it stands."""
        if "profile" in self.refused:
            yield from ((quoted(name), "profile") for name in self._policy.profile)
        yield from ((quoted(name), name) for name, _ in self._policy.unread)


def _span(text: str) -> str:
    try:
        return str(duration(text))
    except ValueError:
        return quoted(text)


def _moment(text: str) -> str:
    try:
        return moment(instant(text))
    except ValueError:
        return quoted(text)


def together(parts: Iterable[str]) -> str:
    """Conditions that must all hold, so that nobody takes them for alternatives.

    >>> together(["for repair"]), together(["for repair", "until noon"])
    ('for repair', 'where all of this holds at once: for repair; until noon')
    """
    items = list(parts)
    return f"where all of this holds at once: {'; '.join(items)}" if len(items) > 1 else "".join(items)


def listed(parts: Iterable[str], word: str) -> str:
    """`a, b or c`.

    >>> listed(["a", "b", "c"], "or")
    'a, b or c'
    """
    items = list(parts)
    return " ".join(filter(None, (", ".join(items[:-1]), word if items[:-1] else "", *items[-1:])))
