"""ODRL that stands in a file of policies as it is, in the protocol's own JSON: what may stand there.

What the protocol's reader does not listen to would be lost, and a bare word that no context defines would
become an address that nobody knows. In a counterparty's policy both are met; in one's own they are mistakes.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from connector.errors import RemoteProtocolError
from connector.odrl.authoring.faults import nearest, unknown
from connector.odrl.authoring.words import Unwritable, compact
from connector.odrl.model import OPERATORS, Constraint, LogicalConstraint, Policy, Rule, heard, parse
from connector.odrl.operands import OPERANDS
from connector.odrl.vocabulary import ACTIONS, CX, CX_OPERANDS, OF_DUTIES, action_name, iri, short
from connector.yamlfile import Where

Kind: TypeAlias = Literal["policy", "permission", "prohibition", "obligation", "duty", "constraint"]

_PARTS = dict.fromkeys(("target", "assigner", "assignee"), "part")
_RULE = {"action": "action", "constraint": "constraint", **_PARTS}
_RULES = {name: name for name in ("permission", "prohibition", "obligation")}
_LOGIC = dict.fromkeys(("and", "or", "xone", "andSequence"), "constraint")
_SIDES = {"leftOperand": "left operand", "operator": "operator", "rightOperand": "right operand"}
_MEMBERS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "policy": {"profile": "text", "conflict": "text", **_RULES},
        "permission": {**_RULE, "duty": "duty"},
        "prohibition": {**_RULE, "remedy": "remedy"},
        "obligation": {**_RULE, "consequence": "consequence"},
        "duty": {**_RULE, "consequence": "consequence"},
        "remedy": _RULE,
        "consequence": _RULE,
        "action": {"@id": "action", "rdf:value": "action", "refinement": "constraint"},
        "part": {
            **dict.fromkeys(("@id", "uid", "source"), "part"),
            **dict.fromkeys(("@type", "type"), "text"),
            "refinement": "constraint",
        },
        "constraint": {**_SIDES, **_LOGIC},
        "left operand": {"@id": "left operand"},
        "operator": {"@id": "operator"},
        "right operand": {
            **dict.fromkeys(("@list", "@set"), "right operand"),
            **dict.fromkeys(("@value", "@type", "@language"), "text"),
            "@id": "part",
        },
        "text": {"@id": "text"},
    }
)
"""The members of each kind of node, and the kind of what is in them."""
_OF_NODE = frozenset({"@context", "@id", "@type", "uid", "target", "assigner", "assignee", "timestamp"})
"""What the node says itself of each policy that it offers."""


def policy(value: Any, within: str = "") -> Policy:
    """A policy, or members of one; `within` is the path that is of our making, not the writer's.

    :raises Unwritable: what the protocol does not take.
    """
    if not isinstance(value, dict):
        raise Unwritable("must be ODRL: a mapping in the words of the protocol")
    try:
        return parse({**value, "@type": "Set"})
    except RemoteProtocolError as error:
        raise Unwritable(str(error).removeprefix(within).removeprefix(".").removeprefix(": ")) from None


def rule(kind: Kind) -> Callable[[Any], Rule]:
    """The same of one rule: a permission, prohibition or obligation, or a duty of a permission."""

    def write(value: Any) -> Rule:
        if kind == "duty":
            owed = {"permission": [{"action": "use", "duty": [value]}]}
            return policy(owed, "permission[0].duty[0]").permission[0].duty[0]
        found: Rule = getattr(policy({kind: [value]}, f"{kind}[0]"), kind)[0]
        return found

    return write


def constraint(value: Any) -> Constraint | LogicalConstraint:
    """The same of one constraint."""
    rule = {"action": "use", "constraint": [value]}
    return policy({"permission": [rule]}, "permission[0].constraint[0]").permission[0].constraint[0]


def faults(kind: str, value: Any, *, evaluable: bool, at: Where = ()) -> Iterator[tuple[Where, str]]:
    """What would be lost of it, and with `evaluable` which words nobody would understand, with places."""
    if isinstance(value, list):
        for n, item in enumerate(value):
            yield from faults(kind, item, evaluable=evaluable, at=(*at, n))
    elif isinstance(value, dict):
        members = _MEMBERS[kind]
        for key, inner in value.items():
            here = (*at, key)
            name = key if key in members else short(key)
            if inner is None:
                yield here, f"`{key}` says nothing: give it a value, or leave it out"
            elif name in members:
                yield from faults(members[name], inner, evaluable=evaluable, at=here)
            elif kind == "policy" and name in _OF_NODE:
                yield here, f"`{key}` can't stand here: your node sets it; leave it out"
            elif not heard(key):
                yield here, unknown(key, members, f"member of {'an' if kind[0] in 'ao' else 'a'} {kind}")
    elif isinstance(value, str) and (fault := _word(kind, value, evaluable)):
        yield at, fault


def _word(kind: str, word: str, evaluable: bool) -> str | None:
    """What is wrong with a word that ODRL or its profiles must define; None for nothing."""
    if kind == "operator" and short(word) not in OPERATORS:
        return unknown(word, OPERATORS, "operator")
    if not evaluable:
        return None
    if kind == "left operand":
        full = iri(word)
        if full not in OPERANDS and full not in OF_DUTIES:
            return f"{word[:200]} is not an operand that this node can evaluate{_meant(word, _OPERANDS)}"
        return _undefined(word, compact(full)) if word not in CX_OPERANDS else None
    if kind == "action":
        name = action_name(word)
        if name not in ACTIONS:
            return f'unknown action "{word[:100]}"{_meant(word, _ACTIONS)}'
        return _undefined(word, written(name)) if word not in ("use", "access") else None
    if kind == "part":
        return _undefined(word, "all of it, such as did:web:partner.example")
    return None


def _undefined(word: str, instead: str) -> str | None:
    """A bare word that none of the protocol's contexts defines is an address for a peer: a made-up one."""
    return (
        None
        if ":" in word
        else f'"{word[:100]}" would become an address that nobody defines; write {instead}'
    )


def written(action: str) -> str:
    """An action on the wire: `use` is the only one that the protocol's context defines."""
    return action if action == "use" else action if "/" in action else f"odrl:{action}"


def _meant(word: str, known: Mapping[str, str]) -> str:
    near = nearest(_name(word), known)
    return re.sub('"(.*)"', lambda found: f'"{known[found[1]]}"', near)


def _name(word: str) -> str:
    return re.split("[:/#]", word)[-1]


_OPERANDS = {
    _name(full): _name(full) if full.startswith(CX) else compact(full) for full in (*OPERANDS, *OF_DUTIES)
}
_ACTIONS = {_name(action): written(action) for action in ACTIONS}
"""By the last part of their names, how they are written here."""
