"""ODRL policies in their DSP 2025-1 compact form (`contract-schema.json`), and the values of `policy.py`.

Reading is strict in what changes a policy's meaning and deaf to the rest: members of other vocabularies
(`edc:...`) and empty arrays say nothing; a member of ODRL that we don't evaluate (`inheritFrom`, `unit`) is
kept as *unread*, and evaluation denies because of it. Beyond DSP's schema, full ODRL is read where DSP has no
place for it: refinements of action, party and asset, duties with consequences, remedies, the conflict term.
"""

from collections.abc import Mapping
from typing import Any, get_args

import orjson

from connector.errors import RemoteProtocolError
from connector.odrl.policy import (
    OPERATORS,
    Conflict,
    Connective,
    Constraint,
    Constraints,
    Kind,
    Literally,
    LogicalConstraint,
    Operator,
    Part,
    Policy,
    Reference,
    Rule,
    Unread,
    Value,
    agreement,
    offer,
    text_of,
)
from connector.odrl.vocabulary import ODRL, short

__all__ = [
    "ODRL",
    "OPERATORS",
    "Conflict",
    "Connective",
    "Constraint",
    "Constraints",
    "Kind",
    "Literally",
    "LogicalConstraint",
    "Operator",
    "Part",
    "Policy",
    "Reference",
    "Rule",
    "Unread",
    "Value",
    "agreement",
    "heard",
    "offer",
    "parse",
    "short",
    "text_of",
    "to_document",
]

MAX_RULES = 100
MAX_CONSTRAINTS = 1_000
MAX_STRANGE = 200
MAX_DEPTH = 8
MAX_VALUES = 1_000
MAX_TEXT = 2_048


def parse(document: Any, kind: Kind | None = None) -> Policy:
    """A policy from DSP compact JSON. With `kind`, it must be of that kind.

    :raises RemoteProtocolError: naming the JSON path and what is allowed there.
    """
    if not isinstance(document, dict):
        raise RemoteProtocolError("The policy must be a JSON object.")
    kinds = (kind,) if kind else get_args(Kind)
    written = short(_text(document, "@type", "", default=kind))
    if written not in kinds:
        raise RemoteProtocolError(f"@type: must be {' or '.join(kinds)}, not {written[:100]!r}.")
    parties = {name: _reference(document, name, "") for name in ("target", "assigner", "assignee")}
    profiles = document.get("profile", [])
    term, conflict = _conflict(document)
    policy = Policy(
        kind=next(k for k in kinds if k == written),
        id=_text(document, "@id", "", default="" if written == "Set" else None) or None,
        permission=_rules(document, "permission", "", parties),
        prohibition=_rules(document, "prohibition", "", parties),
        obligation=_rules(document, "obligation", "", parties),
        **parties,
        timestamp=_text(document, "timestamp", "", default="") or None,
        profile=tuple(
            _identifier(p, f"profile[{n}]")
            for n, p in enumerate(profiles if isinstance(profiles, list) else [profiles])
        ),
        unread=_unread(document, _POLICY_MEMBERS | {term} if conflict else _POLICY_MEMBERS),
        conflict=conflict,
    )
    if policy.kind == "Agreement" and (missing := [name for name, id_ in parties.items() if not id_]):
        raise RemoteProtocolError(f"{missing[0]}: an Agreement must have it.")
    rules = policy.permission + policy.prohibition + policy.obligation
    if sum(map(size, rules)) > MAX_CONSTRAINTS:
        raise RemoteProtocolError(f"The policy has more than {MAX_CONSTRAINTS} constraints and duties.")
    if len(policy.profile) + len(policy.unread) + sum(map(_strange, rules)) > MAX_STRANGE:
        what = "profiles and members of ODRL that this node does not evaluate"
        raise RemoteProtocolError(f"The policy has more than {MAX_STRANGE} {what}.")
    return policy


def to_document(policy: Policy) -> dict[str, Any]:
    """The policy as DSP compact JSON. Empty members are left out, as the schema demands.

    The schema calls a policy without permission and prohibition invalid: so will a strict peer.
    """
    profile = policy.profile[0] if len(policy.profile) == 1 else list(policy.profile)
    members = {
        "@type": policy.kind,
        "@id": policy.id,
        "target": policy.target,
        "assigner": policy.assigner,
        "assignee": policy.assignee,
        "timestamp": policy.timestamp,
        "profile": profile,
        "permission": [_rule_document(rule) for rule in policy.permission],
        "prohibition": [_rule_document(rule) for rule in policy.prohibition],
        "obligation": [_rule_document(rule) for rule in policy.obligation],
        "odrl:conflict": {"@id": f"odrl:{policy.conflict}"} if policy.conflict else None,
    }
    return {name: value for name, value in members.items() if value} | _reread(policy.unread)


_PARTIES = frozenset({"target", "assigner", "assignee"})
_POLICY_MEMBERS = _PARTIES | {"permission", "prohibition", "obligation", "profile", "timestamp"}
_RULE_MEMBERS = frozenset({"action", "constraint"})
_DUTIES: Mapping[str, tuple[str, ...]] = {
    "permission": ("duty",),
    "prohibition": ("remedy",),
    "obligation": ("consequence",),
    "duty": ("consequence",),
    "remedy": (),
    "consequence": (),
}
"""The members of each kind of rule that hold duties."""
_PART_MEMBERS = frozenset({"@id", "uid", "@type", "type", "source", "refinement"})
_CONSTRAINT_MEMBERS = frozenset({"leftOperand", "operator", "rightOperand"})
_SILENT = frozenset({"uid", "hasPolicy"})
_MEANINGFUL = frozenset(
    {"permission", "prohibition", "obligation", "action", "constraint", "duty", "target", "assigner"}
    | {"assignee", "refinement", "remedy", "consequence", "failure", "function", "relation", "output"}
    | {"conflict", "inheritFrom", "inheritAllowed", "inheritRelation", "unit", "dataType", "status"}
    | {"rightOperandReference", "and", "or", "xone", "andSequence", "timing", "scope"}
)
"""Members that change what a policy, rule or constraint means, wherever they are not expected."""


def heard(member: str) -> bool:
    """Whether a member that is not expected is kept as *unread*: all others say nothing here."""
    name = short(member)
    return (name != member or name in _MEANINGFUL) and name not in _SILENT


def _unread(node: Mapping[str, Any], read: frozenset[str]) -> Unread:
    """What of ODRL stands here beside the members in `read`; also those again under a prefix."""
    found = {}
    for key, value in node.items():
        if key in read or not heard(key) or value in ([], None):
            continue
        try:
            text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        except TypeError:
            text = ""
        if not 0 < len(text) <= 10 * MAX_TEXT:
            raise RemoteProtocolError(f"{key[:100]}: is not evaluated here, and too large to be kept.")
        found[key] = text
    return tuple(sorted(found.items()))


def _reread(unread: Unread) -> dict[str, Any]:
    return {name: orjson.loads(text) for name, text in unread}


def _text(node: Mapping[str, Any], name: str, path: str, default: str | None = None) -> str:
    value = node.get(name, default)
    if not isinstance(value, str) or (not value and default is None):
        raise RemoteProtocolError(f"{path}{name}: must be there, as text.")
    if len(value) > MAX_TEXT:
        raise RemoteProtocolError(f"{path}{name}: longer than {MAX_TEXT} characters.")
    return value


def _identifier(value: Any, path: str) -> str:
    if isinstance(value, dict) and value.keys() == {"@id"}:
        value = value["@id"]
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise RemoteProtocolError(f"{path}: must be text of 1 to {MAX_TEXT} characters.")
    return value


def _reference(node: Mapping[str, Any], name: str, path: str) -> str | None:
    return _identifier(node[name], f"{path}{name}") if node.get(name) is not None else None


def _array(node: Mapping[str, Any], name: str, path: str, most: int) -> list[Any]:
    value = node.get(name, [])
    items = value if isinstance(value, list) else [] if value is None else [value]
    if len(items) > most:
        raise RemoteProtocolError(f"{path}{name}: has {len(items)} entries; at most {most} are taken.")
    for n, item in enumerate(items):
        if not isinstance(item, dict):
            raise RemoteProtocolError(f"{path}{name}[{n}]: must be a JSON object.")
    return items


def _conflict(document: Mapping[str, Any]) -> tuple[str, Conflict | None]:
    """The conflict term and the member that has it; None for none, for another, or for more than one."""
    names = [name for name in document if short(name) == "conflict"]
    if len(names) != 1:
        return "", None
    value = document[names[0]]
    value = value.get("@id") if isinstance(value, dict) and value.keys() == {"@id"} else value
    known = (c for c in get_args(Conflict) if isinstance(value, str) and short(value) == c)
    return names[0], next(known, None)


def _rules(
    node: Mapping[str, Any], name: str, path: str, parties: Mapping[str, str | None]
) -> tuple[Rule, ...]:
    found = []
    for n, rule in enumerate(_array(node, name, path, MAX_RULES)):
        here = f"{path}{name}[{n}]."
        rule = _bare(rule, ("remedy", "consequence"))
        if "action" not in rule:
            raise RemoteProtocolError(f"{here}action: must be there, as text.")
        action, refinement = _action(rule["action"], f"{here}action")
        duties = _DUTIES[name]  # elsewhere a duty has no meaning in ODRL: kept as unread
        others: dict[str, Any] = {d: _rules(rule, d, here, parties) for d in duties}
        read = _RULE_MEMBERS.union(duties)
        for member in _PARTIES & rule.keys():
            part = None if rule[member] is None else _part(rule[member], f"{here}{member}")
            if part is not None:
                read |= {member}
            if part is not None and part != Part(parties[member] or ""):
                others[member] = part
        found.append(
            Rule(
                action=action,
                constraint=_constraints(rule, "constraint", here),
                unread=_unread(rule, read),
                refinement=refinement,
                **others,
            )
        )
    return tuple(found)


def _bare(node: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any]:
    """The node with these members bare: DSP's context does not define them, so others write them in full.

    What is there twice stays as it is, and is then not read.
    """
    found = [short(key) for key in node]
    return {
        name if name in names and found.count(name) == 1 else key: node[key]
        for key, name in zip(node, found, strict=True)
    }


def _action(value: Any, path: str) -> tuple[str, Constraints]:
    """An action: a name, or ODRL's object with a refinement."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict) or value.keys() == {"@id"}:
        return _identifier(value, path), ()
    value = _bare(value, ("refinement",))
    named = value.keys() & {"rdf:value", "@id"}
    if len(named) != 1 or value.keys() - named - {"refinement"}:
        raise RemoteProtocolError(f"{path}: must be text, or an object of rdf:value and refinement.")
    name = _identifier(value[named.pop()], f"{path}.rdf:value")
    return name, _constraints(value, "refinement", f"{path}.")


def _part(value: Any, path: str) -> Part | None:
    """An asset or a party; None for what has members that we do not read."""
    if isinstance(value, str):
        return Part(_identifier(value, path))
    value = _bare(value, ("refinement", "source")) if isinstance(value, dict) else value
    if not isinstance(value, dict) or value.keys() - _PART_MEMBERS or ("@id" in value) == ("uid" in value):
        return None
    id_ = _identifier(value.get("@id", value.get("uid")), f"{path}.@id")
    source = _reference(value, "source", f"{path}.")
    kinds = value.get("@type", value.get("type", ()))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not isinstance(kinds, list | tuple) or not all(isinstance(kind, str) for kind in kinds):
        return None
    refinement = _constraints(value, "refinement", f"{path}.")
    collection = bool(source or refinement or any(kind.endswith("Collection") for kind in kinds))
    return Part(id_, source, refinement, collection)


def _constraints(node: Mapping[str, Any], name: str, path: str, depth: int = 0) -> Constraints:
    if depth > MAX_DEPTH:
        raise RemoteProtocolError(f"{path}{name}: nested deeper than {MAX_DEPTH} levels.")
    found: list[Constraint | LogicalConstraint] = []
    for n, item in enumerate(_array(node, name, path, MAX_CONSTRAINTS)):
        here = f"{path}{name}[{n}]."
        logical = [c for c in get_args(Connective) if c in item]
        if len(logical) + ("leftOperand" in item) != 1:
            raise RemoteProtocolError(
                f"{here[:-1]}: must have either leftOperand, operator and rightOperand, "
                f"or one of {', '.join(get_args(Connective))}."
            )
        if logical and _unread(item, frozenset(logical)):
            raise RemoteProtocolError(f"{here[:-1]}: must have nothing of ODRL beside {logical[0]}.")
        if logical:
            found.append(LogicalConstraint(logical[0], _constraints(item, logical[0], here, depth + 1)))
            continue
        operator = short(_identifier(item.get("operator"), f"{here}operator"))
        if operator not in OPERATORS:
            raise RemoteProtocolError(f"{here}operator: must be one of {', '.join(OPERATORS)}.")
        if "rightOperand" not in item:
            raise RemoteProtocolError(f"{here}rightOperand: must be there.")
        found.append(
            Constraint(
                left_operand=_identifier(item["leftOperand"], f"{here}leftOperand"),
                operator=next(o for o in OPERATORS if o == operator),
                right_operand=_value(item["rightOperand"], f"{here}rightOperand"),
                unread=_unread(item, _CONSTRAINT_MEMBERS),
            )
        )
    return tuple(found)


def _value(value: Any, path: str, depth: int = 0) -> Value:
    if isinstance(value, dict) and len(value) == 1:
        value = value.get("@list", value.get("@set", value))
    if isinstance(value, list):
        if depth or len(value) > MAX_VALUES:
            raise RemoteProtocolError(f"{path}: must be one flat list of at most {MAX_VALUES} values.")
        return tuple(_value(item, f"{path}[{n}]", depth + 1) for n, item in enumerate(value))
    if isinstance(value, dict) and value.keys() == {"@id"}:
        return Reference(_identifier(value, path))
    if isinstance(value, dict) and "@value" in value:
        inner, datatype, language = (value.get(key) for key in ("@value", "@type", "@language"))
        texts = [text for text in (inner, datatype, language) if text is not None]
        notation = all(isinstance(text, str) for text in texts[1:])
        if isinstance(inner, str | int | float | bool) and notation and len(str(texts)) <= MAX_TEXT:
            return Literally(inner, datatype, language)
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    if isinstance(value, bool | int | float):  # outside the schema, but peers send numbers
        return text_of(Literally(value))
    raise RemoteProtocolError(
        f"{path}: must be text of at most {MAX_TEXT} characters, a value object, a reference, "
        "or a list of these."
    )


def _rule_document(rule: Rule) -> dict[str, Any]:
    document: dict[str, Any] = {"action": rule.action}
    if rule.refinement:
        refinement = [_constraint_document(c) for c in rule.refinement]
        document["action"] = {"rdf:value": {"@id": rule.action}, "odrl:refinement": refinement}
    for name in ("target", "assignee", "assigner"):
        part = getattr(rule, name)
        if part is not None:
            document[name] = _part_document(part, name)
    if rule.constraint:
        document["constraint"] = [_constraint_document(c) for c in rule.constraint]
    for name in ("duty", "remedy", "consequence"):
        if duties := getattr(rule, name):
            term = name if name == "duty" else f"odrl:{name}"  # as DSP's context does not define it
            document[term] = [_rule_document(duty) for duty in duties]
    return document | _reread(rule.unread)


def _part_document(part: Part, name: str) -> Any:
    if part == Part(part.id):
        return part.id
    kind = "AssetCollection" if name == "target" else "PartyCollection"
    document: dict[str, Any] = {"@type": f"odrl:{kind}", "@id": part.id}
    if part.source:
        document["odrl:source"] = {"@id": part.source}
    if part.refinement:
        document["odrl:refinement"] = [_constraint_document(c) for c in part.refinement]
    return document


def _constraint_document(constraint: Constraint | LogicalConstraint) -> dict[str, Any]:
    if isinstance(constraint, LogicalConstraint):
        return {constraint.operator: [_constraint_document(c) for c in constraint.constraints]}
    return {
        "leftOperand": constraint.left_operand,
        "operator": constraint.operator,
        "rightOperand": _value_document(constraint.right_operand),
    } | _reread(constraint.unread)


def _value_document(value: Value) -> Any:
    if isinstance(value, tuple):
        return [_value_document(item) for item in value]
    if isinstance(value, Reference):
        return {"@id": value.id}
    if isinstance(value, Literally):
        members = {"@value": value.value, "@type": value.datatype, "@language": value.language}
        return {key: item for key, item in members.items() if item is not None}
    return value


def _strange(rule: Rule) -> int:
    """Members that are not evaluated, wherever they are in a rule."""

    def count(constraints: Constraints) -> int:
        return sum(
            count(c.constraints) if isinstance(c, LogicalConstraint) else len(c.unread) for c in constraints
        )

    parts = [part.refinement for part in (rule.target, rule.assignee, rule.assigner) if part]
    own = len(rule.unread) + count(rule.constraint) + count(rule.refinement) + sum(map(count, parts))
    return own + sum(map(_strange, rule.duty + rule.remedy + rule.consequence))


def size(rule: Rule) -> int:
    """Constraints and duties of a rule, itself included, however deep."""

    def count(constraints: Constraints) -> int:
        return sum(1 + (count(c.constraints) if isinstance(c, LogicalConstraint) else 0) for c in constraints)

    parts = [part.refinement for part in (rule.target, rule.assignee, rule.assigner) if part]
    own = 1 + count(rule.constraint) + count(rule.refinement) + sum(map(count, parts))
    return own + sum(map(size, rule.duty + rule.remedy + rule.consequence))
