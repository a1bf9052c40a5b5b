"""The proof that a policy says on the wire what it says here: nothing dropped, nothing made up.

A policy is put into the message that carries it, expanded under the frozen contexts, and every action,
operand and operator looked up by its full IRI; what is read back must be the same policy.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from connector.errors import RemoteProtocolError
from connector.jsonld import documents, lossless
from connector.jsonld.contexts import DSP, DSP_ODRL, DSPACE
from connector.odrl.canonical import canonical
from connector.odrl.contexts import contexts_of
from connector.odrl.model import (
    OPERATORS,
    Policy,
    offer,
    parse,
    to_document,
)
from connector.odrl.operands import OPERANDS
from connector.odrl.vocabulary import (
    ACTIONS,
    ODRL,
    OF_DUTIES,
    action_name,
    iri,
)

_OPERATORS = frozenset(ODRL + name for name in OPERATORS)


def document(policy: Policy) -> dict[str, Any]:
    """The policy by itself as JSON-LD: outside a message its terms have a context of their own."""
    written = to_document(policy)
    contexts = [DSP_ODRL if url == DSP else url for url in contexts_of(written)]
    return {"@context": contexts, **written}


def message(policy: Policy) -> dict[str, Any]:
    """The policy as the protocol carries it, in an offer."""
    written = to_document(offer(policy, "urn:example:offer", "urn:example:dataset"))
    return {
        "@context": contexts_of(written),
        "@type": "ContractOfferMessage",
        "providerPid": "urn:example:provider",
        "offer": written,
    }


def problems(policy: Policy) -> list[str]:
    """What a peer that reads JSON-LD would read otherwise; empty when the proof holds."""
    written = message(policy)
    try:
        documents.message(documents.loads(orjson.dumps(written), what="The message that carries it"))
        reading = lossless.read(written)
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
        back = parse(documents.in_compact_form(reading.nodes[0])["offer"], "Offer")
    except RemoteProtocolError as error:
        return [f"it can't be read back: {error}"]
    return [] if canonical(back) == canonical(policy) else ["it reads back as another policy"]


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
    return iri(full) in OPERANDS or full in OF_DUTIES


def _operator(full: str) -> bool:
    return full in _OPERATORS


_REGISTRY = {"action": _action, "leftOperand": _operand, "operator": _operator}
