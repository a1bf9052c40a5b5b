"""The proof that a policy says on the wire what it says here: nothing dropped, nothing made up.

A policy is put into the message that carries it, expanded under the frozen contexts, and every action,
operand and operator looked up by its full IRI; what is read back must be the same policy.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from connector.errors import RemoteProtocolError
from connector.jsonld import documents, lossless
from connector.jsonld.contexts import CATENA_X, DSP, DSP_ODRL, DSPACE
from connector.odrl.canonical import canonical
from connector.odrl.model import (
    OPERATORS,
    Constraint,
    LogicalConstraint,
    Policy,
    Rule,
    offer,
    parse,
    to_document,
)
from connector.odrl.operands import OPERANDS
from connector.odrl.vocabulary import ACTIONS, CX_OPERANDS, EVENT, ODRL, RECIPIENT, action_name, iri

_OPERATORS = frozenset(ODRL + name for name in OPERATORS)


def contexts_of(policy: Policy) -> list[str]:
    """The JSON-LD contexts that a message needs to carry the policy: Catena-X's terms are written bare.

    Catena-X's comes first, since the protocol's is protected: nothing may redefine its terms after it.
    """
    bare = any(left in CX_OPERANDS for left in _left_operands(policy)) or any(
        rule.action == "access" for rule in policy.permission
    )
    return [CATENA_X, DSP] if bare else [DSP]


def document(policy: Policy) -> dict[str, Any]:
    """The policy by itself as JSON-LD: outside a message its terms have a context of their own."""
    contexts = [DSP_ODRL if url == DSP else url for url in contexts_of(policy)]
    return {"@context": contexts, **to_document(policy)}


def message(policy: Policy) -> dict[str, Any]:
    """The policy as the protocol carries it, in an offer."""
    return {
        "@context": contexts_of(policy),
        "@type": "ContractOfferMessage",
        "providerPid": "urn:example:provider",
        "offer": to_document(offer(policy, "urn:example:offer", "urn:example:dataset")),
    }


def problems(policy: Policy) -> list[str]:
    """What a peer that reads JSON-LD would read otherwise; empty when the proof holds."""
    try:
        reading = lossless.read(message(policy))
    except RemoteProtocolError as error:
        return [str(error)]
    found = [
        f"{name!r} has no meaning in the protocol's context and would be dropped" for name in reading.dropped
    ]
    found += [f"{word!r} would become an address that nobody defines" for word in reading.invented]
    found += [f"{full} is no term that this node knows" for full in sorted(_strange(list(reading.nodes)))]
    if found:
        return found
    try:
        back = parse(documents.message(list(reading.nodes))["offer"], "Offer")
    except RemoteProtocolError as error:
        return [f"it can't be read back: {error}"]
    return [] if canonical(back) == canonical(policy) else ["it reads back as another policy"]


def _left_operands(policy: Policy) -> Iterator[str]:
    def inside(constraints: tuple[Constraint | LogicalConstraint, ...]) -> Iterator[str]:
        for constraint in constraints:
            if isinstance(constraint, LogicalConstraint):
                yield from inside(constraint.constraints)
            else:
                yield constraint.left_operand

    def rules(found: tuple[Rule, ...]) -> Iterator[str]:
        for rule in found:
            yield from inside(rule.constraint + rule.refinement)
            yield from rules(rule.duty + rule.remedy + rule.consequence)

    return rules(policy.permission + policy.prohibition + policy.obligation)


def _strange(value: Any) -> set[str]:
    """What of an expanded document is in no registry: members, actions, operands, operators."""
    found: set[str] = set()
    if isinstance(value, list):
        return found.union(*map(_strange, value))
    if isinstance(value, Mapping):
        for name, known in _REGISTRY.items():
            ids = {item["@id"] for item in value.get(ODRL + name, []) if "@id" in item}
            found |= {full for full in ids if not known(full) and not full.startswith(lossless.BASE)}
        for name, item in value.items():
            found |= _strange(item)
            if not name.startswith(("@", ODRL, DSPACE)):
                found.add(name)
    return found


def _action(full: str) -> bool:
    return action_name(full) in ACTIONS


def _operand(full: str) -> bool:
    return iri(full) in OPERANDS or full in (EVENT, RECIPIENT)


def _operator(full: str) -> bool:
    return full in _OPERATORS


_REGISTRY = {"action": _action, "leftOperand": _operand, "operator": _operator}
