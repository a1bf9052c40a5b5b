"""The enforcement matrix: for each term of a policy, what becomes of it once it is agreed.

Both sides read it before they sign, so that a promise is not taken for a lock.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from connector.odrl.compile import compile_policy
from connector.odrl.explain import Wording, together
from connector.odrl.model import Policy, Rule
from connector.odrl.operands import OPERANDS
from connector.odrl.phrases import phrase
from connector.odrl.vocabulary import ACTIONS, Enforcement, action_name, includes

HOW: Mapping[Enforcement, str] = MappingProxyType(
    {
        Enforcement.ENFORCED: "decided by the provider's node at every step",
        Enforcement.PER_REQUEST: "decided or done by the provider's node at each request for data",
        Enforcement.TRACKED: "tracked: falls due, and needs evidence",
        Enforcement.AGREED: "agreed, not technically enforceable",
    }
)
_WEAKER = tuple(HOW)
_Terms = Mapping[str, Enforcement]


@dataclass(frozen=True, slots=True)
class Row:
    """One term in plain English, and its class; None if this node refuses the policy because of it."""

    says: str
    enforcement: Enforcement | None
    how: str
    path: str


def matrix(policy: Policy) -> list[Row]:
    """A row for each condition, prohibition and duty, in the policy's order."""
    words = Wording(policy, OPERANDS)
    action = action_name(policy.permission[0].action) if policy.permission else "use"
    terms = {term.path: term.enforcement for term in compile_policy(policy, action).terms}
    found: dict[tuple[str, str], Row] = {}
    for row in _rows(policy, words, terms):
        found.setdefault((row.says, row.how), row)
    return [*found.values()]


def _rows(policy: Policy, words: Wording, terms: _Terms) -> Iterator[Row]:
    for n, rule in enumerate(policy.permission):
        path = f"permission[{n}]"
        found = [*words.terms(rule, path)]
        if not _decided(rule):  # done elsewhere, out of this node's sight, whatever the conditions
            yield _row(words, f"may be {words.rule(rule, path)}", Enforcement.AGREED, path)
        elif not found:
            who = "everyone" if action_name(rule.action) == "access" else "who has agreed"
            yield _row(words, f"{phrase(rule.action).doing} by {who}", Enforcement.ENFORCED, path)
        else:
            yield from (_row(words, says, _weakest(where, terms), where) for says, where in found)
        for m, duty in enumerate(rule.duty):
            yield _duty(words, duty, f"{path}.duty[{m}]")
    for n, rule in enumerate(policy.prohibition):
        yield _forbidden(words, rule, f"prohibition[{n}]", terms)
    for n, duty in enumerate(policy.obligation):
        yield _duty(words, duty, f"obligation[{n}]")
    if says := words.conflict():
        yield _row(words, says, Enforcement.ENFORCED, "conflict")
    for says, path in words.relied():
        yield _row(words, f"relying on {says}", Enforcement.AGREED, path)


def _forbidden(words: Wording, rule: Rule, path: str, terms: _Terms) -> Row:
    """A prohibition is one term: only all of its conditions together forbid."""
    says = [says for says, _ in words.terms(rule, path)]
    doing = f"{phrase(rule.action).doing}{words.remedy(rule, path)}"
    if not _decided(rule):
        what = words.rule(rule, path) if says else doing
        return _row(words, f"not {what}", Enforcement.AGREED, path)
    if not says:
        return _row(words, f"not {doing}", Enforcement.ENFORCED, path)
    return _row(words, f"not {together(says)}{words.remedy(rule, path)}", _weakest(path, terms), path)


def _decided(rule: Rule) -> bool:
    """Whether the node is asked about the action, when the offer is shown or data are requested."""
    return includes(action_name(rule.action), "use") or action_name(rule.action) == "access"


def _weakest(path: str, terms: _Terms) -> Enforcement:
    """Of alternatives, the class of the one that is the least enforced: whoever wants can choose it."""
    classes = [found for at, found in terms.items() if at == path or at.startswith(f"{path}.")]
    return max(classes, key=_WEAKER.index, default=Enforcement.AGREED)


def _duty(words: Wording, duty: Rule, path: str) -> Row:
    known = ACTIONS.get(action_name(duty.action))
    says = words.duty(duty, path)
    if action_name(duty.action) == "use":  # Catena-X: how long the data are provided
        return _row(words, says, Enforcement.ENFORCED, path)
    return _row(words, says, (known and known.duty) or Enforcement.AGREED, path)


def _row(words: Wording, says: str, enforcement: Enforcement, path: str) -> Row:
    inside = [reason for at, reason in words.refused.items() if at == path or at.startswith(f"{path}.")]
    if inside:
        return Row(says, None, f"refused: {inside[0].sentence()}", path)
    return Row(says, enforcement, HOW[enforcement], path)
