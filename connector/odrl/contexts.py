"""Which JSON-LD contexts a document needs so that the policies in it mean what they say."""

from typing import Any

from connector.jsonld.contexts import CATENA_X, DSP
from connector.odrl.vocabulary import CX_OPERANDS


def contexts_of(document: Any) -> list[str]:
    """The protocol's context, and Catena-X's where its terms are written bare, as its schemas want them.

    Catena-X's comes first, since the protocol's is protected: nothing may define its terms anew after it.
    A peer that doesn't know Catena-X is not asked to, by a document that has nothing of it.
    """
    return [CATENA_X, DSP] if _bare(document) else [DSP]


def _bare(value: Any) -> bool:
    """Whether an operand or action of Catena-X's stands somewhere under its bare name."""
    if isinstance(value, dict):
        left, action = value.get("leftOperand"), value.get("action")
        known = isinstance(left, str) and left in CX_OPERANDS
        return known or action == "access" or any(map(_bare, value.values()))
    return isinstance(value, list) and any(map(_bare, value))
