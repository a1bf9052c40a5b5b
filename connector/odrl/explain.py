"""What a policy says, in plain English: a few sentences that a lawyer can read, from the rules themselves.

What this node can't evaluate, track or keep is said to be refused: `compile.py` decides that, not this.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from connector.odrl.compile import Reason, compile_policy
from connector.odrl.model import Constraint, LogicalConstraint, Policy, Rule, Value, short, text_of
from connector.odrl.moments import duration
from connector.odrl.operands import OPERANDS, PARTICIPANT, Operand
from connector.odrl.phrases import phrase
from connector.odrl.vocabulary import (
    ACTIONS,
    ATTRIBUTE,
    DELAY_PERIOD,
    EVENT,
    GROUP_SIZE,
    RECIPIENT,
    Enforcement,
    action_name,
    iri,
)

_EVENTS = {
    "agreement": "the agreement",
    "first-use": "the first use",
    "use": "each use",
    "agreement-end": "the agreement's end",
}
_SHOWN = 5
_Part = Constraint | LogicalConstraint


def explain(policy: Policy, known: Mapping[str, Operand] = OPERANDS) -> str:
    """The policy in plain English; what this node can't evaluate is said to be refused.

    >>> from connector.odrl.model import parse
    >>> explain(parse({"@type": "Set", "permission": [{"action": "use"}]}))
    'The data may be used.'
    """
    return Wording(policy, known).policy()


def audience(access: Policy) -> str:
    """Who sees an offer, in plain English, with names: for this node's operator."""
    words = Wording(access, OPERANDS)
    parts = []
    for constraint in flat(c for rule in access.permission for c in rule.constraint):
        says = words.constraint(constraint, "")
        if isinstance(constraint, Constraint) and constraint.left_operand == PARTICIPANT:
            says = f"by {listed(_texts(constraint.right_operand), 'and', len(says))}"
        parts.append(says.removeprefix("by "))
    if len(parts) > 1:
        return f"only to those who are at once {listed(parts, 'and')}"
    return f"to {parts[0]} only" if parts else "to everyone"


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
    """Says the parts of one policy. `refused` are the reasons why this node can't keep one, by path."""

    def __init__(self, policy: Policy, known: Mapping[str, Operand] = OPERANDS) -> None:
        self._policy, self._known = policy, known
        problems = compile_policy(policy, known=known).problems
        self.refused: dict[str, Reason] = {reason.path: reason for reason in problems}

    def policy(self) -> str:
        """All of it."""
        policy = self._policy
        sentences = [f"The data may be {'; or it may be '.join(self._allowed())}"]
        if not policy.permission:
            sentences = ["Nothing is allowed"]
        for n, rule in enumerate(policy.permission):
            said = (self.duty(d, f"permission[{n}].duty[{m}]") for m, d in enumerate(rule.duty) if itself(d))
            sentences += [sentence for sentence in said if sentence not in sentences]
        if forbidden := list(self._forbidden()):
            sentences.append(f"It must not be {'; nor be '.join(forbidden)}")
        sentences += [self.duty(d, f"obligation[{n}]") for n, d in enumerate(policy.obligation)]
        if policy.conflict == "perm" and policy.prohibition:
            sentences.append("Where both meet, the permission wins")
        if terms := [*self._relied()]:
            sentences.append(
                f"It relies on {listed(terms, 'and')}, which this node does not evaluate and so refuses"
            )
        return ". ".join(sentences) + "."

    def constraint(self, constraint: _Part, path: str) -> str:
        """A constraint, as it follows "the data may be used"."""
        if isinstance(constraint, LogicalConstraint):
            inner = f"{path}.{constraint.operator}"
            parts = [self.constraint(c, f"{inner}[{n}]") for n, c in enumerate(constraint.constraints)]
            if constraint.operator == "or":
                return f"either {listed(parts, 'or')}" if len(parts) > 1 else listed(parts, "or")
            if constraint.operator == "xone":
                return f"by exactly one of: {'; '.join(parts)}"
            return listed(parts, "and")
        operand = self._known.get(iri(constraint.left_operand))
        if operand and not constraint.unread and constraint.operator in operand.operators:
            try:
                return operand.condition(constraint.operator, constraint.right_operand).says
            except ValueError:
                pass
        left, right = short(constraint.left_operand), listed(_texts(constraint.right_operand), "or")
        return f"if {left} {constraint.operator} {right} (refused: this node can't evaluate it)"

    def rule(self, rule: Rule, path: str) -> str:
        """What may, or must not, be done: as it follows "may be"."""
        done = phrase(rule.action).done
        if self._refuses(f"{path}.action"):
            done += " (refused: not an action this node decides about)"
        parts = [self.constraint(c, here) for c, here in placed(rule.constraint, f"{path}.constraint")]
        for n, duty in enumerate(rule.duty):
            if not itself(duty):
                here = f"{path}.duty[{n}]"
                parts.append(f"on condition to {self._duty(duty, here)}")
        names = ("refinement", "target", "assignee", "assigner", "remedy", *(name for name, _ in rule.unread))
        refused = [name for name in names if self._refuses(f"{path}.{name}")]
        parts += [f"with {name} (refused: not evaluated)" for name in refused]
        return f"{done} {', '.join(parts)}".strip()

    def duty(self, duty: Rule, path: str) -> str:
        """What must be done, and by whom, as a sentence."""
        by = "The provider" if itself(duty) or action_name(duty.action) == "use" else "The user"
        return f"{by} must {self._duty(duty, path)}"

    def _duty(self, duty: Rule, path: str) -> str:
        does = "provide the data" if action_name(duty.action) == "use" else phrase(duty.action).do
        about = whom = within = after = ""
        rest: list[str] = []
        for constraint, here in placed(duty.constraint, f"{path}.constraint"):
            values = _texts(constraint.right_operand) if isinstance(constraint, Constraint) else []
            left = iri(constraint.left_operand) if isinstance(constraint, Constraint) else ""
            if left in (ATTRIBUTE, GROUP_SIZE):
                about = listed(values, "and", len(values))
            elif left == DELAY_PERIOD:
                within = f"within {_span(values[0])}"
            elif left == EVENT:
                after = _EVENTS.get(values[0], values[0])
            elif left == RECIPIENT:
                whom = f"to {listed(values, 'and')}"
            else:
                rest.append(self.constraint(constraint, here))
        when = f"{within} of {after}" if within and after else within or (f"at {after}" if after else "")
        said = " ".join(filter(None, (does.replace("{}", about), whom, when, *rest)))
        return f"{said} (refused: can't be tracked)" if self._refuses(path) else said

    def _allowed(self) -> list[str]:
        return [self.rule(rule, f"permission[{n}]") for n, rule in enumerate(self._policy.permission)]

    def _forbidden(self) -> Iterator[str]:
        """Prohibitions without conditions in one list, then each other by itself."""
        said = [
            (self.rule(rule, f"prohibition[{n}]"), bool(rule.constraint))
            for n, rule in enumerate(self._policy.prohibition)
        ]
        if bare := [text for text, conditional in said if not conditional]:
            yield listed(bare, "or", len(bare))
        yield from (text for text, conditional in said if conditional)

    def _relied(self) -> Iterator[str]:
        """What of the whole policy is refused."""
        if self._refuses("profile"):
            yield from self._policy.profile
        yield from (name for name, _ in self._policy.unread)

    def _refuses(self, *paths: str) -> bool:
        return any(path in self.refused for path in paths)


def _span(text: str) -> str:
    try:
        return str(duration(text))
    except ValueError:
        return text


def _texts(value: Value) -> list[str]:
    return [text for item in value for text in _texts(item)] if isinstance(value, tuple) else [text_of(value)]


def listed(parts: Iterable[str], word: str, most: int = _SHOWN) -> str:
    """`a, b or c`; of many the first few.

    >>> listed(["a", "b", "c"], "or")
    'a, b or c'
    """
    items: Sequence[str] = list(parts)
    if len(items) > most:
        items = [*items[: most - 1], f"{len(items) - most + 1} more"]
    return " ".join(filter(None, (", ".join(items[:-1]), word if items[:-1] else "", *items[-1:])))
