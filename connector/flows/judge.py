"""How a node negotiates by itself: it agrees within its terms, counters within them, or ends with the reason.

As provider: what is asked for is agreed to when its rules are those of an offer that the consumer sees, or
stay within one, and the policy holds now. Other terms are countered with the offer that is nearest. Where a
policy, or the settings, want a review, the operator is waited for: the process stays as it is.

As consumer: what was asked for is accepted. Another offer is accepted when it is acceptable by one of our own
requirements (`flows/requirements.py`); else we ask by the next of these; without any it waits for the
operator. Each side counters a limited number of times, so a negotiation always comes to an end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from connector.dsp.process import Process
from connector.dsp.terms import Kind, Role, State
from connector.errors import NotFound
from connector.flows.catalog import Catalog, Terms
from connector.flows.decisions import entry, kept, refusal
from connector.flows.exchange import Move, Reaction, Wait
from connector.flows.negotiate import read
from connector.flows.requirements import Requirements, asking, lack
from connector.odrl import canonical
from connector.odrl.compile import Decision, compiled_for
from connector.odrl.decision import Reason
from connector.odrl.facts import Facts
from connector.odrl.model import Policy
from connector.odrl.subset import beyond, demands
from connector.store.database import Transaction

_LATEST = 32
"""Digests of requirements that are remembered as asked for."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a node goes by itself. Times are seconds."""

    counters: int = 3
    review: bool = False
    review_deadline: float = 7 * 86_400.0


def policy_reaction(
    catalog: Catalog, limits: Limits | None = None, requirements: Requirements | None = None
) -> Reaction:
    """The reaction of a node that negotiates by its policies."""
    judge = _Judge(catalog, limits or Limits(), requirements or Requirements({}, catalog.groups))

    def react(tx: Transaction, process: Process, now: float) -> Move | Wait | None:
        if process.role is Role.CONSUMER:
            return judge.consumer(process, now)
        if process.state is State.VERIFIED:
            return Move(Kind.FINALIZE)
        return (
            judge.provider(tx, process, now) if process.state in (State.REQUESTED, State.ACCEPTED) else None
        )

    return react


class _Judge:
    def __init__(self, catalog: Catalog, limits: Limits, requirements: Requirements) -> None:
        self._catalog, self._limits, self._requirements = catalog, limits, requirements

    # -- as provider

    def provider(self, tx: Transaction, process: Process, now: float) -> Move | Wait:
        dataset, digest = process.details["dataset"], process.details["digest"]
        asked, _ = read(process.details["offer"], "Offer")
        claims = self._catalog.claims(process.participant)
        facts = Facts(now, process.participant, now, claims=claims, phase="negotiation", target=dataset)
        facts = facts._replace(groups=self._catalog.groups(process.participant), collections=frozenset())
        if process.details.get("by_hand") == digest and self._catalog.has(tx, dataset):
            if beyond_agreed := self._catalog.beyond_agreed(tx, dataset, asked, now):
                return refusal(beyond_agreed)  # our operator can't pass on more than we were given either
            return self._decided(process, compiled_for(asked).decide(facts), facts, asked, None)
        try:
            offers = self._catalog.offers(tx, process.participant, dataset, now)
        except NotFound as gone:
            return refusal((Reason("not-offered", "", str(gone)),))
        terms, over = self._nearest(offers, asked, digest)
        if not asked.permission:
            over = (Reason("empty-policy", "", "The terms asked for permit nothing."),)
        if not over:
            decision = terms.contract.decide(facts)
            if decision.permitted and terms.digest != digest:
                decision = compiled_for(asked).decide(facts)
            return self._decided(process, decision, facts, asked, terms)
        decision = Decision(False, over)
        known = {"decisions": kept(process, entry(decision, facts, terms.id))}
        if process.state is State.REQUESTED and self._may_counter(process):
            counter = {"offer": terms.document(dataset)}
            return Move(Kind.OFFER, "the terms asked for are not ours", counter, kept=known)
        return replace(refusal(over), kept=known)

    def _nearest(
        self, offers: Sequence[Terms], asked: Policy, digest: str
    ) -> tuple[Terms, tuple[Reason, ...]]:
        """The offer within which the terms asked for stay, or from which they are the least away."""
        for terms in offers:
            if terms.digest == digest:
                return terms, ()
        away = [(terms, (*beyond(asked, terms.policy), *demands(asked, terms.policy))) for terms in offers]
        return min(away, key=lambda pair: len(pair[1]))

    def _decided(
        self, process: Process, decision: Decision, facts: Facts, asked: Policy, terms: Terms | None
    ) -> Move | Wait:
        name = None if terms is None else terms.id
        known: dict[str, Any] = {
            "decisions": kept(process, entry(decision, facts, name, tree=compiled_for(asked))),
            **({"policy": name} if name else {}),
        }
        if not decision.permitted:
            return replace(refusal(decision.reasons), kept=known)
        if terms is not None and self._needs_review(terms):
            return self._reviewed(process, facts.now, known)
        return Move(Kind.AGREE, kept=known)

    def _needs_review(self, terms: Terms) -> bool:
        return not terms.statutory and (terms.review or self._limits.review)

    def _reviewed(self, process: Process, now: float, known: dict[str, Any]) -> Move | Wait:
        details = process.details
        if details.get("approved") == details["digest"]:
            return Move(Kind.AGREE, "approved by the operator", kept=known)
        if "rejected" in details:
            return replace(refusal((Reason("review-rejected", "", details["rejected"]),)), kept=known)
        until = now + self._limits.review_deadline
        if details.get("review_of") == details["digest"]:
            until = details["review_until"]
        if now >= until:
            late = Reason("review-overdue", "", "The provider's operator has not decided in time.")
            return replace(refusal((late,)), kept=known)
        return {**known, "review_until": until, "review_of": details["digest"]}

    # -- as consumer

    def consumer(self, process: Process, now: float) -> Move | Wait | None:
        if process.state is State.AGREED:
            return Move(Kind.VERIFY)
        if process.state is not State.OFFERED:
            return None
        if process.details.get("asked") == process.details["digest"]:
            return Move(Kind.ACCEPT)
        mine = self._requirements.of(process.participant, now)
        if not mine:
            return None
        offered, _ = read(process.details["offer"], "Offer")
        lacks = [(need, lack(need, offered)) for need in mine]
        facts = Facts(now, process.participant, now, phase="negotiation")
        facts = facts._replace(groups=self._catalog.groups(process.participant))
        for need, missing in lacks:
            if not missing:
                decided = entry(Decision(True), facts, need.id)
                return Move(Kind.ACCEPT, kept={"decisions": kept(process, decided)})
        nearest, missing = min(lacks, key=lambda pair: len(pair[1]))
        decided = entry(Decision(False, missing), facts, nearest.id)
        known: dict[str, Any] = {"decisions": kept(process, decided)}
        asked = process.details.get("requested", [])
        for need in mine if self._may_counter(process) else ():
            digest = canonical.digest(need.contract)
            if digest not in asked and digest != process.details.get("asked"):
                known["requested"] = [*asked, digest][-_LATEST:]
                return Move(
                    Kind.REQUEST,
                    f"the offer is not within our requirements: asking by {need.id}",
                    {"offer": asking(need, process.details["offer"]["@id"])},
                    kept=known,
                )
        return replace(refusal(missing), kept=known)

    def _may_counter(self, process: Process) -> bool:
        return int(process.details.get("counters", 0)) < self._limits.counters
