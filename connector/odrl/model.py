"""ODRL policies as values, and their DSP 2025-1 compact form (`contract-schema.json`).

Reading is strict in what changes a policy's meaning and deaf to the rest: members of other vocabularies
(`edc:...`) and empty arrays say nothing; a member of ODRL that we don't evaluate (`refinement`, `remedy`,
`inheritFrom`) is kept as *unread*, and evaluation denies because of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

import orjson

from connector.errors import RemoteProtocolError

ODRL = "http://www.w3.org/ns/odrl/2/"
MAX_RULES = 100
MAX_CONSTRAINTS = 1_000
MAX_DEPTH = 8
MAX_VALUES = 1_000
MAX_TEXT = 2_048

Kind: TypeAlias = Literal["Offer", "Agreement", "Set"]
Ordering: TypeAlias = Literal["eq", "neq", "lt", "lteq", "gt", "gteq", "term-lteq"]
Membership: TypeAlias = Literal["isA", "hasPart", "isPartOf", "isAllOf", "isAnyOf", "isNoneOf"]
Operator: TypeAlias = Ordering | Membership
OPERATORS: tuple[Operator, ...] = (*get_args(Ordering), *get_args(Membership))
Connective: TypeAlias = Literal["and", "andSequence", "or", "xone"]


@dataclass(frozen=True, slots=True)
class Literally:
    """A JSON-LD value object: text or a number with a datatype or a language."""

    value: str | int | float | bool
    datatype: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A JSON-LD reference, `{"@id": ...}`."""

    id: str


Value: TypeAlias = "str | Literally | Reference | tuple[Value, ...]"
Unread: TypeAlias = tuple[tuple[str, str], ...]
"""Members of ODRL that are not evaluated: name and JSON text of each."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """`left_operand operator right_operand`; the left operand as it was written."""

    left_operand: str
    operator: Operator
    right_operand: Value
    unread: Unread = ()


@dataclass(frozen=True, slots=True)
class LogicalConstraint:
    """Constraints under `and`, `or`, `xone` (exactly one) or `andSequence`."""

    operator: Connective
    constraints: tuple["Constraint | LogicalConstraint", ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A permission, prohibition, obligation or duty. Its constraints must all hold."""

    action: str
    constraint: tuple[Constraint | LogicalConstraint, ...] = ()
    duty: tuple["Rule", ...] = ()
    unread: Unread = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """An Offer, an Agreement, or a Set: rules that nobody has offered yet."""

    kind: Kind
    id: str | None = None
    permission: tuple[Rule, ...] = ()
    prohibition: tuple[Rule, ...] = ()
    obligation: tuple[Rule, ...] = ()
    target: str | None = None
    assigner: str | None = None
    assignee: str | None = None
    timestamp: str | None = None
    profile: tuple[str, ...] = ()
    unread: Unread = ()


def offer(policy: Policy, id_: str, target: str | None = None) -> Policy:
    """The same rules as an Offer. In a message it names its target, in a dataset it must not."""
    return replace(policy, kind="Offer", id=id_, target=target, assigner=None, assignee=None, timestamp=None)


def agreement(
    policy: Policy, *, id_: str, target: str, assigner: str, assignee: str, timestamp: str
) -> Policy:
    """The same rules as an Agreement; `timestamp` is an xsd:dateTime."""
    named = replace(policy, kind="Agreement", id=id_, target=target)
    return replace(named, assigner=assigner, assignee=assignee, timestamp=timestamp)


def short(term: str) -> str:
    """An ODRL term without its prefix or namespace; any other text as it is."""
    return term.removeprefix("odrl:").removeprefix(ODRL)


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
        unread=_unread(document, _POLICY_MEMBERS),
    )
    if policy.kind == "Agreement" and (missing := [name for name, id_ in parties.items() if not id_]):
        raise RemoteProtocolError(f"{missing[0]}: an Agreement must have it.")
    rules = policy.permission + policy.prohibition + policy.obligation
    if sum(map(_size, rules)) > MAX_CONSTRAINTS:
        raise RemoteProtocolError(f"The policy has more than {MAX_CONSTRAINTS} constraints and duties.")
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
    }
    return {name: value for name, value in members.items() if value} | _reread(policy.unread)


_PARTIES = frozenset({"target", "assigner", "assignee"})
_POLICY_MEMBERS = _PARTIES | {"permission", "prohibition", "obligation", "profile", "timestamp"}
_RULE_MEMBERS = _PARTIES | {"action", "constraint"}
_CONSTRAINT_MEMBERS = frozenset({"leftOperand", "operator", "rightOperand"})
_SILENT = frozenset({"uid", "hasPolicy"})
_MEANINGFUL = frozenset(
    {"permission", "prohibition", "obligation", "action", "constraint", "duty", "target", "assigner"}
    | {"assignee", "refinement", "remedy", "consequence", "failure", "function", "relation", "output"}
    | {"conflict", "inheritFrom", "inheritAllowed", "inheritRelation", "unit", "dataType", "status"}
    | {"rightOperandReference", "and", "or", "xone", "andSequence", "timing", "scope"}
)
"""Members that change what a policy, rule or constraint means, wherever they are not expected."""


def _unread(node: Mapping[str, Any], read: frozenset[str]) -> Unread:
    """What of ODRL stands here beside the members in `read`; also those again under a prefix."""
    found = {}
    for key, value in node.items():
        name = short(key)
        changes = name != key or name in _MEANINGFUL
        if key in read or not changes or name in _SILENT or value in ([], None):
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


def _rules(
    node: Mapping[str, Any], name: str, path: str, parties: Mapping[str, str | None]
) -> tuple[Rule, ...]:
    found = []
    for n, rule in enumerate(_array(node, name, path, MAX_RULES)):
        here = f"{path}{name}[{n}]."
        if "action" not in rule:
            raise RemoteProtocolError(f"{here}action: must be there, as text.")
        duties = name == "permission"  # elsewhere a duty has no meaning in ODRL: kept as unread
        own = {p for p in _PARTIES if p in rule and _reference(rule, p, here) not in (None, parties[p])}
        found.append(
            Rule(
                action=_identifier(rule["action"], f"{here}action"),
                constraint=_constraints(rule, "constraint", here),
                duty=_rules(rule, "duty", here, parties) if duties else (),
                unread=_unread(rule, (_RULE_MEMBERS | {"duty"} if duties else _RULE_MEMBERS) - own),
            )
        )
    return tuple(found)


def _constraints(
    node: Mapping[str, Any], name: str, path: str, depth: int = 0
) -> tuple[Constraint | LogicalConstraint, ...]:
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


def text_of(value: str | Literally | Reference) -> str:
    """The text that a right operand is compared by, whatever its notation: 90, "90" and a typed 90 agree."""
    if isinstance(value, Literally):
        inner = value.value
        return ("false", "true")[inner] if isinstance(inner, bool) else str(inner)
    return value.id if isinstance(value, Reference) else value


def _rule_document(rule: Rule) -> dict[str, Any]:
    document: dict[str, Any] = {"action": rule.action}
    if rule.constraint:
        document["constraint"] = [_constraint_document(c) for c in rule.constraint]
    if rule.duty:
        document["duty"] = [_rule_document(duty) for duty in rule.duty]
    return document | _reread(rule.unread)


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


def _size(rule: Rule) -> int:
    def count(constraints: tuple[Constraint | LogicalConstraint, ...]) -> int:
        return sum(1 + (count(c.constraints) if isinstance(c, LogicalConstraint) else 0) for c in constraints)

    return 1 + count(rule.constraint) + sum(map(_size, rule.duty))
