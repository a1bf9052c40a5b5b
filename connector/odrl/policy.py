"""ODRL policies as values: ODRL 2.2's information model, as far as DSP 2025-1 carries it, and refinements.

All are frozen and hashable, so that a policy's rules are the key of what has been made of them.
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

Kind: TypeAlias = Literal["Offer", "Agreement", "Set"]
Ordering: TypeAlias = Literal["eq", "neq", "lt", "lteq", "gt", "gteq", "term-lteq"]
Membership: TypeAlias = Literal["isA", "hasPart", "isPartOf", "isAllOf", "isAnyOf", "isNoneOf"]
Operator: TypeAlias = Ordering | Membership
OPERATORS: tuple[Operator, ...] = (*get_args(Ordering), *get_args(Membership))
Connective: TypeAlias = Literal["and", "andSequence", "or", "xone"]
Conflict: TypeAlias = Literal["perm", "prohibit", "invalid"]


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


Constraints: TypeAlias = tuple[Constraint | LogicalConstraint, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """The asset or a party that one rule is about: itself, or a collection's members, narrowed or not."""

    id: str
    source: str | None = None
    """What the collection is made from: where another name than `id` is known for it."""
    refinement: Constraints = ()
    collection: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A permission, prohibition, obligation or duty. Its constraints must all hold.

    `target`, `assignee` and `assigner` are there where they are others than the policy's. `duty` belongs to a
    permission, `remedy` to a prohibition, `consequence` to a duty or an obligation.
    """

    action: str
    constraint: Constraints = ()
    duty: tuple["Rule", ...] = ()
    unread: Unread = ()
    refinement: Constraints = ()
    """Of the action."""
    target: Part | None = None
    assignee: Part | None = None
    assigner: Part | None = None
    remedy: tuple["Rule", ...] = ()
    consequence: tuple["Rule", ...] = ()


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
    conflict: Conflict | None = None
    """Which rule wins where a permission and a prohibition meet. ODRL's default is `invalid`: neither."""


def offer(policy: Policy, id_: str, target: str | None = None) -> Policy:
    """The same rules as an Offer. In a message it names its target, in a dataset it must not."""
    return replace(policy, kind="Offer", id=id_, target=target, assigner=None, assignee=None, timestamp=None)


def agreement(
    policy: Policy, *, id_: str, target: str, assigner: str, assignee: str, timestamp: str
) -> Policy:
    """The same rules as an Agreement; `timestamp` is an xsd:dateTime."""
    named = replace(policy, kind="Agreement", id=id_, target=target)
    return replace(named, assigner=assigner, assignee=assignee, timestamp=timestamp)


def texts_of(value: "Value") -> list[str]:
    """The texts of a right operand, one or many."""
    return (
        [text for item in value for text in texts_of(item)] if isinstance(value, tuple) else [text_of(value)]
    )


def text_of(value: str | Literally | Reference) -> str:
    """The text that a right operand is compared by, whatever its notation: 90, "90" and a typed 90 agree."""
    if isinstance(value, Literally):
        inner = value.value
        return ("false", "true")[inner] if isinstance(inner, bool) else str(inner)
    return value.id if isinstance(value, Reference) else value
