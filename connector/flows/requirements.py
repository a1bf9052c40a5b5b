"""What this node needs as consumer: policies of its own, by which it asks, and by which offers are judged.

A requirement permits what is needed, under the conditions that we meet, with the prohibitions and duties that
we are ready to take on. An offer is acceptable when all of that lies within it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connector.errors import RemoteProtocolError
from connector.flows.negotiate import read
from connector.odrl.authoring import Authored
from connector.odrl.compile import compile_policy
from connector.odrl.decision import Reason
from connector.odrl.facts import Facts
from connector.odrl.model import Policy, offer, size, to_document
from connector.odrl.subset import beyond

_MOST, _LONG = 100, 200
"""Offers that are looked at, and conditions of one: strangers make offers, also unasked."""


class Requirements:
    """The requirements of a node, best first. Of which providers one takes offers is its access policy."""

    def __init__(self, own: Mapping[str, Authored], groups: Callable[[str], frozenset[str]]) -> None:
        self._own, self._groups = own, groups

    def of(self, provider: str, now: float) -> list[Authored]:
        """Those that are for a provider's offers."""
        facts = Facts(now, provider, now, action="access", phase="catalog", groups=self._groups(provider))
        found = self._own.values()
        return [one for one in found if compile_policy(one.access, "access").decide(facts).permitted]

    def choose(self, provider: str, offers: Sequence[dict[str, Any]], now: float) -> dict[str, Any]:
        """What to ask for when nobody has chosen: the first of a provider's offers that is acceptable.

        If none is, what is needed first is asked for, within the first offer: the provider may agree, or
        counter. Without requirements for this provider, the first offer as it is.
        """
        mine = self.of(provider, now)
        for offered in offers[:_MOST] if mine else ():
            try:
                policy, _ = read(offered, "Offer")
            except RemoteProtocolError:  # of a kind that can't be read here, so it is not acceptable either
                continue
            if any(not lack(one, policy) for one in mine):
                return offered
        return {**asking(mine[0], offers[0]["@id"]), "target": offers[0]["target"]} if mine else offers[0]


def lack(needed: Authored, offered: Policy) -> tuple[Reason, ...]:
    """What of a requirement does not lie within an offer. One that is very long is not compared."""
    if sum(map(size, offered.permission + offered.prohibition + offered.obligation)) > _LONG:
        return (Reason("wider-terms", "", f"The offer has more than {_LONG} terms, too many to compare."),)
    return beyond(needed.contract, offered)


def asking(needed: Authored, offer_id: str) -> dict[str, Any]:
    """The terms to ask for by a requirement, in answer to an offer."""
    return to_document(offer(needed.contract, offer_id))
