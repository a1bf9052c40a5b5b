"""Policies made ready to decide: once per rules, then about a microsecond per decision.

The world is closed. Nothing is allowed that no permission allows; what this node cannot evaluate (an
operand, operator, action, profile, duty, or a member of ODRL it does not read) never widens a permission
and always forbids when it stands in a prohibition or an obligation. Of several permissions any one is enough;
a rule's constraints must all hold; a prohibition wins, unless the policy's conflict term says that
permissions do. By ODRL's default a conflict voids the policy, which is the same no. A duty of a permission
must have been done, or have time left; a violated obligation denies. What can only be agreed permits, is
named in the decision, and forbids nothing. A counterparty's policy never raises.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from connector.odrl import rules, truth
from connector.odrl.conditions import Operand, quoted
from connector.odrl.decision import Decision, Reason, Term
from connector.odrl.duties import PROJECT, PSEUDONYMIZE, Mode
from connector.odrl.facts import Facts
from connector.odrl.operands import OPERANDS
from connector.odrl.policy import Conflict, Policy, Rule, Unread
from connector.odrl.projection import Projection
from connector.odrl.rules import MAX_REASONS, Node
from connector.odrl.truth import Holds, Timeline, Truth
from connector.odrl.vocabulary import ACTIONS, PROFILES, Enforcement, action_name, includes

__all__ = [
    "Compiled",
    "Decision",
    "Facts",  # what it decides from, at hand where deciding is
    "Reason",
    "compile_policy",
    "compiled_for",
]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A policy ready to decide about one action."""

    action: str
    problems: tuple[Reason, ...]
    """What of it this node can't evaluate."""
    credentials: frozenset[str]
    """Types of credentials that the decision may depend on: what a participant is to be asked for."""
    needs: frozenset[str]
    """Facts, by their name in `Facts`, that must be found for a decision and cost something to find."""
    terms: tuple[Term, ...]
    """All that the policy says that is about this action or can only be agreed, and how it is enforced."""
    rules: tuple[Node, ...]
    """Permissions, prohibitions and obligations, in the policy's order."""
    _fatal: tuple[Reason, ...]
    _forbids: tuple[Node, ...]
    _musts: tuple[Node, ...]
    _grants: tuple[Node, ...]
    _stops: tuple[tuple[Holds, bool], ...]
    _yes: tuple[tuple[Holds, Decision], ...]

    def decide(self, facts: Facts) -> Decision:
        """Whether the policy allows it, from these facts."""
        if facts.action != self.action:
            return Decision(False, (_no_permission(facts.action),))
        for holds, forbids in self._stops:
            held = holds(facts)
            if (held is True or held is None) if forbids else (held is False or held is None):
                return self._no(facts)
        for holds, decision in self._yes:
            held = holds(facts)
            if held is True or held is truth.LATER:
                return decision
        return self._no(facts)

    def possible(self, facts: Facts) -> bool:
        """Whether it may be allowed once facts that are missing are known."""
        return (
            facts.action == self.action
            and not self._fatal
            and not any(node.holds(facts) is True for node in self._forbids)
            and not any(node.holds(facts) is False for node in self._musts)
            and any(node.holds(facts) is not False for node in self._grants)
        )

    def next_change(self, facts: Facts) -> float | None:
        """The first moment after `facts.now` at which the answer is another; None if time won't change it."""
        if facts.action != self.action or self._fatal:
            return None
        line = self._line(facts, truth.bites, truth.denied)
        place = bisect_right(line.turns, facts.now)
        return line.turns[place] if place < len(line.turns) else None

    def turn(self, facts: Facts) -> float | None:
        """The next moment at which `possible` becomes another; None if time won't change it."""
        if facts.action != self.action or self._fatal:
            return None
        turns = self._chances(facts).turns
        place = bisect_right(turns, facts.now)
        return turns[place] if place < len(turns) else None

    def over(self, facts: Facts) -> float | None:
        """The moment from which it is never `possible` again; None if there is none."""
        if facts.action != self.action or self._fatal:
            return facts.now
        line = self._chances(facts)
        if line.truths[-1] is not False:
            return None
        return max(facts.now, line.turns[-1]) if line.turns else facts.now

    def _chances(self, facts: Facts) -> Timeline:
        """Whether it is possible, from now on."""
        return self._line(facts, lambda held: held is True, lambda held: held is False)

    def _line(
        self, facts: Facts, bites: Callable[[Truth], bool], denied: Callable[[Truth], bool]
    ) -> Timeline:
        """Whether it is permitted, from now on, given which truths of prohibitions and of the rest say no."""
        bitten = (rules.timeline(node, facts) for node in self._forbids)
        free = [truth.mapped(line, lambda held: not bites(held)) for line in bitten]
        must = [rules.timeline(node, facts) for node in self._musts]
        grants = truth.combined("or", [rules.timeline(node, facts) for node in self._grants])
        met = [truth.mapped(line, lambda held: not denied(held)) for line in (*must, grants)]
        return truth.combined("and", [*free, *met])

    def _no(self, facts: Facts) -> Decision:
        if self._fatal:
            return Decision(False, self._fatal)
        found = [_forbidden(node, facts) for node in self._forbids if truth.bites(node.holds(facts))]
        if not found:
            found = rules.reasons(self._musts, facts) or rules.reasons(self._grants, facts)
        return Decision(False, tuple(found[:MAX_REASONS]) or (_no_permission(facts.action),))


def compiled_for(policy: Policy, action: str = "use") -> Compiled:
    """The policy ready to decide. Policies with the same rules share one; the 1,024 last used are kept."""
    parts = (policy.permission, policy.prohibition, policy.obligation)
    return _compiled(*parts, policy.profile, policy.unread, policy.conflict, action)


def compile_policy(
    policy: Policy, action: str = "use", known: Mapping[str, Operand] = OPERANDS, duties: Mode = "strict"
) -> Compiled:
    """The policy ready to decide about `action`, with the operands in `known`. Never raises."""
    forbids = [
        rules.rule("prohibition", rule, f"prohibition[{n}]", action, known)
        for n, rule in enumerate(policy.prohibition)
    ]
    musts = [
        _obligation(rule, f"obligation[{n}]", action, known, duties)
        for n, rule in enumerate(policy.obligation)
    ]
    permits = [
        _permission(rule, f"permission[{n}]", action, known, duties)
        for n, rule in enumerate(policy.permission)
    ]
    fatal = (*_policy_problems(policy), *(p for node in (*forbids, *musts) for p in rules.problems(node)))
    grants = tuple(node for node in permits if node.parts[0].problem or node.parts[0].fixed)
    about = tuple(node for node in forbids if node.parts[0].fixed and policy.conflict != "perm")
    common = tuple(term for node in (*forbids, *musts) for term in _terms(node))
    stops = [(node.holds, True) for node in about if node.fixed is not False]
    stops += [(node.holds, False) for node in musts if node.fixed is not True]
    yes = [
        (node.holds, Decision(True, (), node.path, (*_terms(node), *common), _view((node, *musts))))
        for node in grants
        if node.fixed is not False
    ]
    return Compiled(
        action,
        (*fatal, *(problem for node in permits for problem in rules.problems(node))),
        frozenset().union(
            *(n.condition.credentials for r in (*grants, *about) for n in rules.walk(r) if n.condition)
        ),
        frozenset().union(*(_needs(n) for r in (*grants, *about, *musts) for n in rules.walk(r))),
        (*(term for node in grants for term in _terms(node)), *common),
        (*permits, *forbids, *musts),
        fatal,
        about,
        tuple(musts),
        grants,
        () if fatal else tuple(stops),
        () if fatal else tuple(yes),
    )


@lru_cache(maxsize=1024)
def _compiled(
    permission: tuple[Rule, ...],
    prohibition: tuple[Rule, ...],
    obligation: tuple[Rule, ...],
    profile: tuple[str, ...],
    unread: Unread,
    conflict: Conflict | None,
    action: str,
) -> Compiled:
    policy = Policy("Set", None, permission, prohibition, obligation, profile=profile, unread=unread)
    return compile_policy(replace(policy, conflict=conflict), action)


def _permission(rule: Rule, path: str, action: str, known: Mapping[str, Operand], mode: Mode) -> Node:
    node = rules.rule("permission", rule, path, action, known)
    if not rule.duty:
        return node
    owed = [rules.duty(d, f"{path}.duty[{n}]", first=True, mode=mode) for n, d in enumerate(rule.duty)]
    return rules.group("and", (*node.parts, *owed), path, node.label)


def _obligation(rule: Rule, path: str, action: str, known: Mapping[str, Operand], mode: Mode) -> Node:
    """The provider's obligation to let do what is asked for, or a duty of the consumer."""
    name = action_name(rule.action)
    if ACTIONS.get(name) and ACTIONS[name].duty is None and rule.constraint and includes(name, action):
        return rules.provision(rule, path, known)
    return rules.duty(rule, path, first=False, mode=mode)


def _terms(node: Node) -> tuple[Term, ...]:
    """The terms of a rule. All of a prohibition of what is not done here can only be agreed."""
    found = tuple(rules.terms(node))
    if found and found[0].path == f"{node.path}.action":
        return tuple(replace(term, enforcement=Enforcement.AGREED) for term in found)
    return found


def _needs(node: Node) -> frozenset[str]:
    """A duty that counts from a use needs the uses counted."""
    if node.condition:
        return node.condition.needs
    return frozenset({"uses"} if node.duty and node.duty.event in ("use", "first-use") else ())


def _view(nodes: Iterable[Node]) -> Projection | None:
    """What the duties of a permission and the obligations say is done to the data."""
    owed = [node.duty for root in nodes for node in rules.walk(root) if node.duty]

    def named(action: str) -> frozenset[str]:
        return frozenset(name for duty in owed if duty.action == action for name in duty.attributes)

    made = Projection(named(PROJECT), named(PSEUDONYMIZE), max((duty.group for duty in owed), default=0))
    return made if made != Projection() else None


def _no_permission(action: str) -> Reason:
    return Reason("no-permission", "permission", f"No permission of the policy allows {action[:100]!r}.")


def _forbidden(node: Node, facts: Facts) -> Reason:
    held = "holds now" if node.holds(facts) is True else "can't be ruled out, as facts are missing"
    says = rules.said(node) or "always"
    return Reason(
        "prohibited",
        node.path,
        f"The policy forbids it {says}: {node.path} {held}.",
        expected=f"not {says}",
        public=f"The policy forbids it: {node.path} {held}.",
    )


def _policy_problems(policy: Policy) -> list[Reason]:
    problems = [
        Reason(
            "unknown-profile",
            "profile",
            f"The policy is of profile {quoted(name)}, which this node does not know.",
        )
        for name in policy.profile
        if name not in PROFILES
    ]
    names = (name for name, _ in policy.unread)
    problems += [node.problem for node in rules.unread(names, "") if node.problem]
    if not policy.permission and not policy.prohibition:
        problems.append(Reason("empty-policy", "", "The policy has no rules, so it allows nothing."))
    return problems
