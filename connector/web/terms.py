"""What an offer or an agreement says, for those who are to sign it: in English, each term with its class."""

import logging
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from connector.errors import RemoteProtocolError
from connector.odrl.conditions import visible
from connector.odrl.explain import explain
from connector.odrl.matrix import matrix
from connector.odrl.model import Kind, parse
from connector.odrl.vocabulary import Enforcement
from connector.web.openapi import Model

_log = logging.getLogger(__name__)

_MOST = 100
"""Offers of one dataset that are said: a peer may send any number."""


class Term(Model):
    """One term."""

    says: str = Field(description="The term in plain English.")
    enforcement: Enforcement | None = Field(
        None, description="Its class; none if this node refuses the policy because of it."
    )
    how: str = Field(description="What becomes of it, in plain English.")
    path: str = Field(description="Where it stands in the policy, such as `permission[0].constraint[1]`.")


class Terms(Model):
    """What a policy says, as this node reads it, and what an Anode as provider makes of each term."""

    id: str | None = Field(None, description="The `@id` of the offer or agreement.")
    readable: bool = Field(description="False: this node can't read it, and `sentence` says why.")
    sentence: str = Field(description="What it says, in plain English.")
    terms: list[Term] = Field(description="Each term, and whether it is enforced, tracked or only agreed.")

    @classmethod
    def of(cls, document: Mapping[str, Any], kind: Kind) -> "Terms":
        """The terms of a policy in the words of the protocol, whoever wrote it: it never raises."""
        named = document.get("@id")
        name = named if isinstance(named, str) else None
        try:
            # As it would be asked for: `Peers.offer` takes what a catalog lists as an offer for one too.
            policy = parse({**document, "@type": kind}, kind)
            rows = matrix(policy)
            terms = [
                Term(says=r.says, enforcement=r.enforcement, how=r.how, path=visible(r.path)) for r in rows
            ]
            return cls(id=name, readable=True, sentence=explain(policy), terms=terms)
        except RemoteProtocolError as wrong:
            why = str(wrong)
        except Exception:
            _log.exception("The terms of %r can't be said, by our own fault", name)
            why = "it has a term that this node has no words for"
        article = "an agreement" if kind == "Agreement" else "an offer"
        says = f"not {article} that this node can read: {why}"
        return cls(id=name, readable=False, sentence=says, terms=[])


def offers(dataset: Mapping[str, Any]) -> list[Terms]:
    """What each offer of a peer's dataset says, in its order: of very many the first."""
    listed = dataset.get("hasPolicy")
    found = [o for o in (listed if isinstance(listed, list) else [listed]) if isinstance(o, dict)]
    return [Terms.of(offer, "Offer") for offer in found[:_MOST]]
