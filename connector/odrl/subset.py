"""Whether a policy stays within another: all that it permits, the other permits, and it promises no less.

`beyond` is the question that both sides of a negotiation ask, and a provider that passes data on. It is
answered for the language that people write here: each permission must lie within one of the other's, each
prohibition and each duty of the other must be kept, terms that can only be agreed must be the same. What
can't be told is not within: deny when in doubt.
"""

from collections.abc import Iterator
from dataclasses import replace

from connector.odrl import duties
from connector.odrl.canonical import canonical
from connector.odrl.compile import compile_policy
from connector.odrl.decision import Reason
from connector.odrl.explain import Wording, itself
from connector.odrl.implication import Budget, flat, form, ground, implies
from connector.odrl.moments import Duration
from connector.odrl.operands import OPERANDS
from connector.odrl.policy import Constraint, LogicalConstraint, Policy, Rule
from connector.odrl.vocabulary import ACTIONS, COUNT, EVENT, Enforcement, action_name, includes, iri

MAX_REASONS = 10
_PARTS = ("target", "assignee", "assigner")


def beyond(policy: Policy, within: Policy) -> tuple[Reason, ...]:
    """In what a policy goes beyond another, or can't be compared; nothing, if it stays within it.

    Each reason has the code `wider-terms` and the path in `policy`, or in `within` where something of that is
    missing. They are about terms that both sides have, so nothing of them is secret.
    """
    if canonical(policy) == canonical(within):
        return ()
    found = [*_uncertain(policy), *_uncertain(within)]
    if found:
        return tuple(found[:MAX_REASONS])
    budget, words = Budget(), Wording(within)
    for n, rule in enumerate(policy.permission):
        path = f"permission[{n}]"
        tried: list[list[Reason]] = [
            [*_permission(rule, path, other, words, budget)] for other in within.permission
        ]
        tried = tried or [[_wider(path, "nothing is permitted")]]
        found += sorted(tried, key=len)[0]
    for n, rule in enumerate(within.prohibition):
        if not any(_forbids(other, rule) for other in policy.prohibition):
            found.append(_wider(f"prohibition[{n}]", f"it must not be {words.rule(rule, '')}"))
    for n, rule in enumerate(within.obligation):
        if not any(_keeps(other, rule, budget, first=False) for other in policy.obligation):
            found.append(_wider(f"obligation[{n}]", words.duty(rule, "")))
    if budget.left < 0:
        found.insert(0, Reason("wider-terms", "", "The two policies are too large to be compared."))
    return tuple(found[:MAX_REASONS])


def demands(policy: Policy, within: Policy) -> tuple[Reason, ...]:
    """What a policy asks of the provider that the other doesn't offer. Codes are `demands-more`.

    A condition more is the consumer's restraint; but a duty of the provider's node, an obligation to provide,
    or a term that is only agreed, such as a warranty, may bind the provider.
    """
    offered = {form(c) for rule in within.permission for c in flat(rule.constraint)}
    found = []
    for n, rule in enumerate(policy.permission):
        path, own = f"permission[{n}]", {canonical(_alone(d)) for p in within.permission for d in p.duty}
        found += [
            _more(path, constraint.left_operand)
            for constraint in _atoms(flat(rule.constraint))
            if _promise(constraint) and form(constraint) not in offered
        ]
        found += [_more(path, d.action) for d in rule.duty if canonical(_alone(d)) not in own]
    known = {canonical(_alone(rule)) for rule in within.obligation}
    found += [
        _more(f"obligation[{n}]", rule.action)
        for n, rule in enumerate(policy.obligation)
        if _binds_provider(rule) and canonical(_alone(rule)) not in known
    ]
    return tuple(found[:MAX_REASONS])


def passed_on(policy: Policy, agreed: Policy, agreed_at: float, now: float) -> tuple[Reason, ...]:
    """In what an offer of `policy` goes beyond what was `agreed` by who offers it.

    Times that count from an agreement count from another one here, so both are compared as they would be if
    the offer were agreed to `now`. A number of uses can't be shared out, so it can't be passed on.
    """
    counted = [
        constraint.left_operand
        for rule in agreed.permission
        for constraint in _atoms(flat(rule.constraint))
        if iri(constraint.left_operand) == COUNT
    ]
    if counted:
        return (_wider("permission", "what was agreed is a number of uses, which can't be passed on"),)
    decided = compile_policy(agreed, "distribute")
    if any(node.parts[0].fixed and node.fixed is not False for node in decided.rules if _bans(node.path)):
        return (_wider("prohibition", "what was agreed forbids passing it on"),)
    if not decided.rules or not any(
        node.parts and node.parts[0].fixed for node in decided.rules if node.path.startswith("permission")
    ):
        return (_wider("permission", "what was agreed does not permit passing it on"),)
    return beyond(_grounded(policy, now), _grounded(agreed, agreed_at, bare=True))


def _bans(path: str) -> bool:
    return path.startswith("prohibition")


def _uncertain(policy: Policy) -> Iterator[Reason]:
    """What stands in the way of comparing it at all."""
    if policy.conflict == "perm" and policy.prohibition:
        yield _wider("conflict", "where permissions win over prohibitions, nothing can be compared")
    yield from compile_policy(policy).problems


def _permission(rule: Rule, path: str, other: Rule, words: Wording, budget: Budget) -> Iterator[Reason]:
    """In what a permission goes beyond another."""
    if not includes(action_name(other.action), action_name(rule.action)):
        yield _wider(f"{path}.action", f"it may only be {words.rule(replace(other, constraint=()), '')}")
    for part in _PARTS:
        if getattr(other, part) not in (None, getattr(rule, part)):
            yield _wider(path, f"it is only about a certain {part}")
    if other.refinement and {*map(form, other.refinement)} != {*map(form, rule.refinement)}:
        yield _wider(path, "it is only about certain ways to use it")
    given = flat(rule.constraint)
    kept = {form(constraint) for constraint in given}
    for constraint in flat(other.constraint):
        promise = any(_promise(atom) for atom in _atoms([constraint]))
        if not (form(constraint) in kept if promise else implies(given, constraint, budget)):
            yield _wider(path, f"it may be used only {words.constraint(constraint, '')}")
    for duty in other.duty:
        if not any(_keeps(own, duty, budget, first=True) for own in rule.duty):
            yield _wider(path, words.duty(duty, ""))


def _forbids(rule: Rule, other: Rule) -> bool:
    """Whether a prohibition forbids all that another does."""
    narrower = any(getattr(rule, part) not in (None, getattr(other, part)) for part in _PARTS)
    if narrower or not includes(action_name(rule.action), action_name(other.action)):
        return False
    if any(getattr(rule, part) for part in ("refinement", "remedy")) or other.remedy:
        return canonical(_alone(rule, "prohibition")) == canonical(_alone(other, "prohibition"))
    return not rule.constraint or {*map(form, rule.constraint)} == {*map(form, other.constraint)}


def _keeps(rule: Rule, other: Rule, budget: Budget, *, first: bool) -> bool:
    """Whether who does a duty does another one with it. A `first` one must have been done before."""
    if canonical(_alone(rule)) == canonical(_alone(other)):
        return True
    bare = (canonical(_alone(replace(r, constraint=()))) for r in (rule, other))
    if next(bare) != next(bare):
        return False
    if _provides(rule):
        return all(implies(flat(rule.constraint), c, budget) for c in flat(other.constraint))
    try:
        mine, theirs = duties.read(rule), duties.read(other)
    except ValueError:
        return False
    if mine.event != theirs.event or mine.recipients != theirs.recipients:
        return False
    if first and not (mine.has_deadline() and theirs.has_deadline()):
        return False
    return mine.until <= theirs.until and (
        theirs.within is None or (mine.within is not None and _shorter(mine.within, theirs.within))
    )


def _shorter(span: Duration, other: Duration) -> bool:
    """Whether a span is at most as long as another wherever it begins."""
    return span.months <= other.months and span.seconds <= other.seconds


def _provides(rule: Rule) -> bool:
    """Whether an obligation is the provider's, to let use."""
    known = ACTIONS.get(action_name(rule.action))
    return known is not None and known.duty is None


def _binds_provider(rule: Rule) -> bool:
    known = ACTIONS.get(action_name(rule.action))
    return known is None or known.duty is None or known.duty is Enforcement.PER_REQUEST


def _atoms(constraints: "list[Constraint | LogicalConstraint]") -> Iterator[Constraint]:
    for constraint in constraints:
        if isinstance(constraint, LogicalConstraint):
            yield from _atoms([*constraint.constraints])
        else:
            yield constraint


def _promise(constraint: Constraint) -> bool:
    operand = OPERANDS.get(iri(constraint.left_operand))
    return operand is not None and operand.enforcement is Enforcement.AGREED


def _grounded(policy: Policy, agreed_at: float, *, bare: bool = False) -> Policy:
    """The policy with times that count from the agreement made instants.

    An obligation to provide binds who provided it, and is left out; with `bare` so is what the provider's
    node did itself at each request.
    """

    def rule(written: Rule) -> Rule:
        constraints = tuple(ground(constraint, agreed_at) for constraint in written.constraint)
        duties_ = tuple(owed(duty) for duty in written.duty if not (bare and itself(duty)))
        return replace(written, constraint=constraints, duty=duties_)

    def owed(written: Rule) -> Rule:
        events = {c for c in _atoms([*written.constraint]) if iri(c.left_operand) == EVENT}
        return written if events else rule(written)

    return replace(
        policy,
        permission=tuple(map(rule, policy.permission)),
        prohibition=tuple(map(rule, policy.prohibition)),
        obligation=tuple(owed(written) for written in policy.obligation if not _provides(written)),
    )


def _alone(rule: Rule, kind: str = "obligation") -> Policy:
    return Policy("Set", prohibition=(rule,)) if kind == "prohibition" else Policy("Set", obligation=(rule,))


def _wider(path: str, what: str) -> Reason:
    text = f"The terms go beyond what is offered: there {what[:1].lower()}{what[1:]}."
    return Reason("wider-terms", path, text)


def _more(path: str, what: str) -> Reason:
    return Reason("demands-more", path, f"The terms ask the provider for more than is offered: {what[:100]}.")
