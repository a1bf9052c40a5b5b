"""From ODRL back to the blocks of a file. What no word says stands under `odrl`, as it is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connector.odrl.authoring import catenax
from connector.odrl.authoring.plain import AUDIENCE, DUTY, NAMES, NOTHING, TRANSFORM
from connector.odrl.authoring.reading import CONNECTIVES, VERBATIM, Condition
from connector.odrl.authoring.words import WORDS, Word, in_odrl, rule_in_odrl
from connector.odrl.canonical import canonical
from connector.odrl.explain import flat, itself
from connector.odrl.model import Constraint, LogicalConstraint, Policy, Rule, to_document
from connector.odrl.vocabulary import action_name

_WORD = {name: word for word, name in NAMES.items()}
_LOGIC = {operator: word for word, operator in CONNECTIVES.items()}
_BEYOND = ("refinement", "target", "assignee", "assigner", "remedy", "consequence", "unread")


def blocks(policy: Policy) -> dict[str, Any]:
    """A contract's blocks, without `offer`, which says who sees it."""
    found = _catena_x(policy) if of_catena_x(policy) else None
    return _plain(policy) if found is None else found


def audience(policy: Policy, *, catena_x: bool) -> dict[str, Any] | str | None:
    """An access policy as the block `offer` of a file; None if no word of the profile says it."""
    if len(policy.permission) != 1 or policy.prohibition or policy.obligation:
        return None
    rule = policy.permission[0]
    if action_name(rule.action) != "access" or rule.duty or _beyond(rule) or policy.conflict or policy.unread:
        return None
    conditions = [*flat(rule.constraint)]
    if not conditions:
        return "everyone"
    found = _words(conditions, catenax.OFFER if catena_x else AUDIENCE)
    if found is not None and len(found) == len(conditions):
        return found
    return None if catena_x else {"when": [_condition(condition) for condition in conditions]}


def of_catena_x(policy: Policy) -> bool:
    """Whether a condition of the first permission is in Catena-X's words."""
    return bool(policy.permission) and any(map(catenax.is_catena_x, policy.permission[0].constraint))


def is_access(policy: Policy) -> bool:
    """Whether the policy only says who sees an offer."""
    return bool(policy.permission) and all(action_name(r.action) == "access" for r in policy.permission)


def _words(conditions: Iterable[Condition], words: Mapping[str, Word]) -> dict[str, Any] | None:
    """Each condition as a word with its value; None if one has none."""
    found = {}
    for condition in conditions:
        said = _word(condition, words)
        if said is None:
            return None
        found[said[0]] = said[1]
    return found


def _word(condition: Condition, words: Mapping[str, Word]) -> tuple[str, Any] | None:
    """The word and value that would be written for just this condition."""
    if isinstance(condition, LogicalConstraint):
        return None
    for name, word in words.items():
        value = word.read(condition)
        if value is not None and _said(word.write(value)) == _said(condition):
            return name, value
    return None


def _said(condition: Condition) -> bytes:
    """What a condition says, whatever its notation."""
    return canonical(Policy("Set", permission=(Rule("use", (condition,)),)))


def _condition(condition: Condition) -> dict[str, Any]:
    if isinstance(condition, LogicalConstraint) and condition.operator in _LOGIC and condition.constraints:
        return {_LOGIC[condition.operator]: [_condition(inner) for inner in condition.constraints]}
    said = _word(condition, WORDS)
    return {said[0]: said[1]} if said else {VERBATIM: in_odrl(condition)}


def _beyond(rule: Rule) -> bool:
    return any(getattr(rule, member) for member in _BEYOND) or action_name(rule.action) not in _WORD


def _plain(policy: Policy) -> dict[str, Any]:
    permissions = policy.permission
    found: dict[str, Any] = {}
    simple = not any(map(_beyond, permissions))
    own = permissions[0].duty if simple and permissions else ()
    own = own if all(rule.duty == own for rule in permissions) and _sayable(own) else ()
    conditions = permissions[0].constraint if simple and permissions else ()
    conditions = conditions if all(rule.constraint == conditions for rule in permissions) else ()
    conditions = tuple(flat(conditions))
    allow = [_allowed(rule, bool(conditions), bool(own)) for rule in permissions]
    found["allow"] = (allow[0] if len(allow) == 1 else allow) if allow else NOTHING
    if conditions:
        found["when"] = [_condition(condition) for condition in conditions]
    if transform := {name: value for duty in own if (said := _transformed(duty)) for name, value in [said]}:
        found["transform"] = transform
    duties = [_duty(duty) for duty in own if not _transformed(duty)]
    duties += [_duty(duty, verbatim=itself(duty)) for duty in policy.obligation]
    if duties:
        found["duty"] = duties
    if policy.prohibition:
        found["never"] = [_forbidden(rule) for rule in policy.prohibition]
    document = to_document(
        Policy("Set", profile=policy.profile, unread=policy.unread, conflict=policy.conflict)
    )
    if rest := {name: value for name, value in document.items() if name != "@type"}:
        found[VERBATIM] = rest
    return found


def _sayable(duties: Sequence[Rule]) -> bool:
    """Whether duties of each permission can be said once for all: what the node does itself, in our words."""
    transforms = [said[0] for duty in duties if (said := _transformed(duty))]
    return all(itself(duty) for duty in duties) and len(set(transforms)) == len(transforms)


def _allowed(rule: Rule, conditions: bool, own: bool) -> Any:
    """One permission, without what is said once for all."""
    if _beyond(rule):
        return {VERBATIM: rule_in_odrl(rule)}
    more: dict[str, Any] = {}
    if rule.constraint and not conditions:
        more["when"] = [_condition(condition) for condition in flat(rule.constraint)]
    if rule.duty and not own:
        more["duty"] = [_duty(duty) for duty in rule.duty]
    word = _WORD[action_name(rule.action)]
    return {word: more} if more else word


def _forbidden(rule: Rule) -> Any:
    if _beyond(rule) or rule.duty:
        return {VERBATIM: rule_in_odrl(rule)}
    word = _WORD[action_name(rule.action)]
    conditions = [_condition(condition) for condition in flat(rule.constraint)]
    return {word: conditions} if conditions else word


def _transformed(duty: Rule) -> tuple[str, Any] | None:
    for name, (action, word) in TRANSFORM.items():
        if (
            action_name(duty.action) == action_name(action)
            and len(duty.constraint) == 1
            and not _beyond(duty)
        ):
            said = _word(duty.constraint[0], {name: word})
            if said is not None:
                return said
    return None


def _duty(duty: Rule, *, verbatim: bool = False) -> Any:
    detail = _words(duty.constraint, DUTY)
    same = detail is not None and len(detail) == len(duty.constraint)
    if verbatim or _beyond(duty) or duty.duty or not same:
        return {VERBATIM: rule_in_odrl(duty)}
    word = _WORD[action_name(duty.action)]
    return {word: detail} if detail else word


def _catena_x(policy: Policy) -> dict[str, Any] | None:
    """The blocks of a usage policy; None if it is more, or other, than the profile allows."""
    rules = policy.permission + policy.prohibition + policy.obligation
    single = all(len(found) < 2 for found in (policy.permission, policy.prohibition, policy.obligation))
    plain = not any(_beyond(rule) or rule.duty or action_name(rule.action) != "use" for rule in rules)
    if not single or not plain or policy.conflict or policy.unread:
        return None
    conditions = [*flat(policy.permission[0].constraint)]
    said = [_word(condition, catenax.WHEN) for condition in conditions]
    if None in said:
        return None
    found: dict[str, Any] = {"profile": "cx", "allow": "use"}
    found["when"] = [{word[0]: word[1]} for word in said if word]
    if policy.prohibition:
        never: list[Any] = []
        for condition in flat(policy.prohibition[0].constraint):
            named = catenax.restrictions(condition) if isinstance(condition, Constraint) else None
            word = _word(condition, catenax.NEVER)
            if named is None and word is None:
                return None
            never += named or [dict([word])]  # type: ignore[list-item]  # one of the two is there
        found["never"] = never
    if policy.obligation:
        ends = _words(flat(policy.obligation[0].constraint), catenax.STOP)
        if not ends:
            return None
        found["stop"] = ends
    return found
