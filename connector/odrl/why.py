"""Why a decision is as it is: the policy as a tree, and what each part came to. For people, not for speed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from connector.odrl import rules, truth
from connector.odrl.compile import Compiled
from connector.odrl.decision import Reason
from connector.odrl.facts import Facts
from connector.odrl.rules import Node
from connector.odrl.truth import Truth
from connector.odrl.vocabulary import Enforcement

_WORDS = {True: "yes", False: "no", None: "not known", truth.LATER: "at a request"}


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule, a connective or a term, and what it came to.

    `truth` is whether it holds: None for not known, "later" for what a request will tell. `stops` says that
    it stands in the way of a yes. `reason` is there where it does, and is a term.
    """

    path: str
    says: str
    truth: Truth
    stops: bool
    seen: str | None = None
    enforcement: Enforcement | None = None
    reason: Reason | None = None
    parts: tuple["Finding", ...] = ()

    def word(self) -> str:
        """What it came to, in a word."""
        return "agreed" if self.enforcement is Enforcement.AGREED else _WORDS[self.truth]

    def document(self) -> dict[str, Any]:
        """The finding as JSON; what it came to as `word` has it."""
        found: dict[str, Any] = {"path": self.path, "says": self.says, "holds": self.word()}
        found |= {"seen": self.seen} if self.seen else {}
        found |= {"enforcement": self.enforcement.value} if self.enforcement else {}
        found |= {"reason": self.reason.document()} if self.reason else {}
        return found | ({"parts": [part.document() for part in self.parts]} if self.parts else {})


def why(policy: Compiled, facts: Facts) -> Finding:
    """The whole policy with these facts: verdict, rules, constraints and duties, each with its outcome."""
    decision = policy.decide(facts)
    parts = tuple(_finding(node, facts) for node in policy.rules)
    reason = None if decision.permitted else decision.reasons[0]
    says = f"{policy.action} is {'permitted' if decision.permitted else 'refused'}"
    return Finding("", says, decision.permitted, not decision.permitted, reason=reason, parts=parts)


def lines(finding: Finding, depth: int = 0) -> Iterator[str]:
    """The tree as text, a line each, indented by two spaces a level."""
    seen = f" (seen: {finding.seen})" if finding.seen else ""
    how = f" [{finding.enforcement}]" if finding.enforcement else ""
    yield f"{'  ' * depth}{finding.word()}: {finding.says}{seen}{how}"
    for part in finding.parts:
        yield from lines(part, depth + 1)
    if finding.reason and not any(part.stops for part in finding.parts):
        yield f"{'  ' * (depth + 1)}{finding.reason.sentence()}"


def _finding(node: Node, facts: Facts) -> Finding:
    held = node.holds(facts)
    forbids = node.path.startswith("prohibition")
    stops = truth.bites(held) if forbids else truth.denied(held)
    seen = None
    if node.condition and node.enforcement is not Enforcement.AGREED:
        seen = node.condition.seen(facts)
    reason = None
    if not node.parts and (node.problem or (stops and not forbids)):
        reason = next(iter(rules.reasons([node], facts)), None)
    parts = tuple(_finding(part, facts) for part in node.parts)
    return Finding(node.path, node.label, held, stops, seen, node.enforcement, reason, parts)
