"""Compact and combined rules as single ones (ODRL 2.2, 2.7): each with one action, asset, and party.

What stands at a policy counts for each of its rules; a rule with several actions, targets or parties is one
rule for each combination. This is for import alone: the protocol's own policies are read as they stand.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from connector.errors import RemoteProtocolError
from connector.odrl.model import MAX_RULES, short

RULES = ("permission", "prohibition", "obligation")
PARTS = ("target", "assigner", "assignee")
"""What a rule is about, and between whom."""
_DUTIES = ("duty", "remedy", "consequence")
_CONSTRAINTS = ("constraint", "refinement", "and", "or", "xone", "andSequence")


def single(policy: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    """A Set of single rules, and the assets and parties that all of them share.

    Those that are one stand at the policy too, where the model looks for them. `policy` is in compact form.

    :raises RemoteProtocolError: a part that stands elsewhere; a rule with an action, asset or party of its
        own where the policy has some for all, so that either could be meant.
    """
    _written_out(policy, "")
    found = {name: value for name, value in policy.items() if name != "action"} | {"@type": "Set"}
    inherited: dict[str, list[Any]] = {"action": _list(policy.get("action"))}
    for name in PARTS:
        values = [_named(value) for value in _list(policy.get(name))]
        if len(values) == 1 and isinstance(values[0], str):
            found[name] = values[0]  # a rule's own may differ: the model keeps it
        else:
            found.pop(name, None)
            inherited[name] = values
    rules = {
        kind: [_whole(rule, inherited, f"{kind}[{n}].") for n, rule in enumerate(_list(policy.get(kind)))]
        for kind in RULES
        if kind in policy
    }
    shared = _shared(found, [rule for many in rules.values() for rule in many])
    for kind, many in rules.items():
        found[kind] = [one for n, rule in enumerate(many) for one in _split(rule, f"{kind}[{n}]")]
    return found, shared


def foreign(member: str) -> bool:
    """Whether a member is of another vocabulary than ODRL: a policy can't be read to mean it."""
    return ":" in short(member) and not member.startswith("rdf:")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _named(value: Any) -> Any:
    """An asset or a party by its id, where the object says nothing else that counts in ODRL."""
    if isinstance(value, dict) and "@id" in value:
        members = {name for name in value if not foreign(name)}
        collection = any(str(kind).endswith("Collection") for kind in _list(value.get("@type")))
        if members <= {"@id", "@type"} and not collection:
            return value["@id"]
    return value


def _whole(rule: Any, inherited: Mapping[str, list[Any]], path: str) -> dict[str, Any]:
    """A rule with what it has from its policy."""
    if not isinstance(rule, dict):
        raise RemoteProtocolError(f"{path[:-1]}: must be a JSON object.")
    found = dict(rule)
    for name, values in inherited.items():
        if values and name in rule:
            raise RemoteProtocolError(
                f"{path}{name}: the policy has {name} for all its rules too; write it in one of these places."
            )
        if values:
            found[name] = list(values)
    return found


def _shared(policy: dict[str, Any], rules: list[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """What all rules are about, taken out of them; the policy keeps what is one."""
    shared: dict[str, tuple[str, ...]] = {}
    for name in PARTS:
        if name in policy:
            shared[name] = (policy[name],)
            continue
        alike = [[_named(value) for value in _list(rule.get(name))] for rule in rules]
        plain = all(isinstance(value, str) for values in alike for value in values)
        if not alike or not alike[0] or not plain or any(set(values) != set(alike[0]) for values in alike):
            continue
        shared[name] = tuple(dict.fromkeys(alike[0]))
        for rule in rules:
            del rule[name]
        if len(shared[name]) == 1:
            policy[name] = shared[name][0]
    return shared


def _split(rule: Any, path: str) -> Iterator[Any]:
    """One rule for each combination of its actions, assets and parties; its duties likewise."""
    if not isinstance(rule, dict):
        yield rule  # the model says what is wrong with it
        return
    found = dict(rule)
    for name in rule:
        if short(name) in _DUTIES:
            found[name] = [
                one for n, duty in enumerate(_list(rule[name])) for one in _split(duty, f"{path}.{name}[{n}]")
            ]
    many = {name: values for name in ("action", *PARTS) if (values := _list(found.get(name)))}
    if math.prod(map(len, many.values())) > MAX_RULES:
        raise RemoteProtocolError(f"{path}: stands for more than {MAX_RULES} single rules.")
    for each in itertools.product(*many.values()):
        yield found | {name: _named(value) for name, value in zip(many, each, strict=True)}


def _written_out(node: Mapping[str, Any], path: str) -> None:
    """Refuse what only points at a rule, a constraint or a value: none is fetched, and none may be missed."""
    for member, value in node.items():
        name = short(member)
        if name == "rightOperandReference":
            raise RemoteProtocolError(
                f"{path}{name}: a value that lies elsewhere is not evaluated; write it here, as rightOperand."
            )
        if name not in (*RULES, *_DUTIES, *_CONSTRAINTS, "action", *PARTS):
            continue
        for n, item in enumerate(_list(value)):
            here = f"{path}{name}[{n}]"
            id_ = item.get("@id") if isinstance(item, dict) and item.keys() == {"@id"} else item
            if isinstance(id_, str) and name in (*RULES, *_DUTIES, *_CONSTRAINTS):
                raise RemoteProtocolError(
                    f"{here}: is only a reference, to {id_[:100]}: write what it means in its place."
                )
            if isinstance(item, dict):
                _written_out(item, f"{here}.")
