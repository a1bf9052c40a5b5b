"""Contract negotiations: what their messages carry, what we answer, and what an operator may do by hand."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal

import orjson

from connector.dsp import messages, negotiation
from connector.dsp.messages import Message
from connector.dsp.process import Process
from connector.dsp.terms import Kind, Role, State, Subject
from connector.errors import LocalProtocolError, RemoteProtocolError
from connector.flows.catalog import Catalog
from connector.flows.clock import iso
from connector.flows.decisions import with_told
from connector.flows.exchange import Exchange, Move, Reaction
from connector.odrl import canonical
from connector.odrl.model import Policy, parse, to_document
from connector.store import processes as rows
from connector.store.database import Transaction
from connector.store.processes import Agreement

_OFFER_BYTES = 64 * 1024
_RULES = ("profile", "permission", "prohibition", "obligation")
"""What an agreement repeats of its offer, unchanged."""
_KEPT_BYTES = 16_384
"""The largest policy that stays in memory: strangers write them, so their number alone is no limit."""


def read(document: dict[str, Any], kind: Literal["Offer", "Agreement"]) -> tuple[Policy, str]:
    """A policy and the digest of its rules."""
    octets = orjson.dumps(document)
    return _kept(octets, kind) if len(octets) <= _KEPT_BYTES else _kept.__wrapped__(octets, kind)


@lru_cache(maxsize=1024)
def _kept(document: bytes, kind: Literal["Offer", "Agreement"]) -> tuple[Policy, str]:
    """The same offers come again and again."""
    policy = parse(orjson.loads(document), kind)
    return policy, canonical.digest(policy)


class Negotiation:
    """The content of negotiation messages (a `Conduct`).

    A process's details: `dataset`, `offer` (the current one, with target), `digest` (of its rules),
    `asked` (digest of what we as consumer asked for), `counters` (how often we have countered by
    ourselves), `by_hand` (digest of what our operator offered as provider), `agreement` (its id); what
    `flows/judge.py` keeps of its deciding; `told`, the codes with which the peer ended it.
    """

    table = negotiation.TRANSITIONS

    def __init__(
        self,
        participant: str,
        address: str,
        catalog: Catalog,
        new_id: Callable[[], str],
        void: Callable[[str, str], None],
        began: Callable[[], None],
        react: Reaction,
        awaited: Callable[[Process], None] = lambda _: None,
    ) -> None:
        self._awaited = awaited
        """Told of each process after a commit: some wait for this node's operator, until a moment."""
        self._participant, self._address, self._catalog, self._new_id = participant, address, catalog, new_id
        self._void, self._began = void, began
        """Ends the transfers under an agreement (id, participant) that is not in force any more; the second
        hears that there is an agreement in force."""
        self.react = react

    def take(self, tx: Transaction, process: Process, message: Message, now: float) -> Process:
        """Check an offer or an agreement, keep a reason."""
        if isinstance(message, messages.ContractRequestMessage | messages.ContractOfferMessage):
            return self._take_offer(tx, process, message, now)
        if isinstance(message, messages.ContractAgreementMessage):
            return self._take_agreement(tx, process, message, now)
        if isinstance(message, messages.ContractNegotiationTerminationMessage):
            return replace(process, reason=message.why, details=with_told(process, message.reason))
        return process

    def _take_offer(
        self,
        tx: Transaction,
        process: Process,
        message: messages.ContractRequestMessage | messages.ContractOfferMessage,
        now: float,
    ) -> Process:
        if len(orjson.dumps(message.offer)) > _OFFER_BYTES:
            raise RemoteProtocolError(f"offer: larger than {_OFFER_BYTES} bytes, the most that is kept here.")
        offer, digest = read(message.offer, "Offer")
        known = process.details.get("dataset")
        dataset = offer.target or known
        if dataset is None:
            raise RemoteProtocolError(
                "offer.target is missing: it names the dataset that the offer is about."
            )
        if known is not None and dataset != known:
            raise RemoteProtocolError(f"This negotiation is about dataset {known}, not {dataset}.")
        if process.role is Role.PROVIDER and known is None:
            self._catalog.require(tx, process.participant, dataset, now)
        details = {
            **process.details,
            "dataset": dataset,
            "offer": message.offer,
            "digest": digest,
        }
        return replace(process, details=details)

    def _take_agreement(
        self, tx: Transaction, process: Process, message: messages.ContractAgreementMessage, now: float
    ) -> Process:
        agreement, digest = read(message.agreement, "Agreement")
        wrong = [
            f"agreement.{name} is {found!r}, expected {expected!r}."
            for name, found, expected in (
                ("target", agreement.target, process.details["dataset"]),
                ("assignee", agreement.assignee, self._participant),
                ("assigner", agreement.assigner, process.participant),
            )
            if found != expected
        ]
        if digest != process.details["digest"]:
            wrong.append(
                "The agreement's rules differ from the offer's: an agreement repeats what was offered."
            )
        earlier = rows.agreement(tx, process.role, str(agreement.id), process.participant)
        if earlier is not None and earlier.negotiation != process.pid:
            wrong.append(f"agreement.@id is that of another agreement between us, {agreement.id}.")
        if any(a.participant != process.participant for a in rows.agreements_with_id(tx, str(agreement.id))):
            wrong.append(f"agreement.@id is that of an agreement with another participant, {agreement.id}.")
        if wrong:
            raise RemoteProtocolError(*wrong)
        rows.save_agreement(
            tx,
            Agreement(
                process.role,
                str(agreement.id),
                process.participant,
                process.details["dataset"],
                message.agreement,
                process.details["digest"],
                now,
                process.pid,
                in_force=False,
            ),
        )
        return replace(process, details={**process.details, "agreement": agreement.id})

    def compose(self, tx: Transaction, process: Process, move: Move, now: float) -> tuple[Process, Message]:
        """Write our message."""
        pids: dict[str, Any] = {"consumer_pid": process.consumer_pid, "provider_pid": process.provider_pid}
        message_id = self._new_id()
        if move.kind in (Kind.REQUEST, Kind.OFFER):
            known = process.details.get("dataset")
            offer = {"target": known, **move.content["offer"]}
            if known is not None and offer["target"] != known:
                raise LocalProtocolError(
                    f"This negotiation is about dataset {known}; the offer's target is {offer['target']}."
                )
            digest = read(offer, "Offer")[1]
            mine: dict[str, Any] = {"asked": digest} if move.kind is Kind.REQUEST else {}
            if not move.content.get("by_hand"):
                mine["counters"] = process.details.get("counters", 0) + 1
            elif move.kind is Kind.OFFER:
                mine["by_hand"] = digest
            details = {
                **process.details,
                "dataset": offer["target"],
                "offer": offer,
                "digest": digest,
                **mine,
            }
            callback = self._address if process.peer_pid is None else None
            type_ = (
                messages.ContractRequestMessage
                if move.kind is Kind.REQUEST
                else messages.ContractOfferMessage
            )
            message: Message = type_(id=message_id, offer=offer, callback_address=callback, **pids)
            return replace(process, details=details), message
        if move.kind is Kind.AGREE:
            process, agreement = self._agree(tx, process, now)
            return process, messages.ContractAgreementMessage(id=message_id, agreement=agreement, **pids)
        if move.kind is Kind.VERIFY:
            return process, messages.ContractAgreementVerificationMessage(id=message_id, **pids)
        if move.kind is Kind.TERMINATE:
            return process, messages.ContractNegotiationTerminationMessage(
                id=message_id, reason=move.told, code=move.code, **pids
            )
        if move.kind is Kind.FINALIZE:
            # The consumer may ask for data as soon as it has this message, before we know that it has.
            rows.bring_into_force(tx, process.role, process.details["agreement"], process.participant)
        event = "ACCEPTED" if move.kind is Kind.ACCEPT else "FINALIZED"
        return process, messages.ContractNegotiationEventMessage(id=message_id, event_type=event, **pids)

    def _agree(self, tx: Transaction, process: Process, now: float) -> tuple[Process, dict[str, Any]]:
        agreement_id = self._new_id()
        # Written from what was understood of the offer: nothing that a consumer slipped in beside it.
        offer, _ = read(process.details["offer"], "Offer")
        document = {
            "@type": "Agreement",
            "@id": agreement_id,
            "target": process.details["dataset"],
            "assigner": self._participant,
            "assignee": process.participant,
            "timestamp": iso(now),
            **{name: value for name, value in to_document(offer).items() if name in _RULES},
        }
        agreement = Agreement(
            process.role,
            agreement_id,
            process.participant,
            process.details["dataset"],
            document,
            process.details["digest"],
            now,
            process.pid,
            in_force=False,
        )
        rows.save_agreement(tx, agreement)
        return replace(process, details={**process.details, "agreement": agreement_id}), document

    def entered(self, tx: Transaction, process: Process) -> None:
        """FINALIZED brings the agreement into force, TERMINATED takes it out."""
        agreement_id = process.details.get("agreement")
        if agreement_id is None:
            return
        if process.state is State.FINALIZED:
            rows.bring_into_force(tx, process.role, agreement_id, process.participant)
        elif process.state is State.TERMINATED:
            rows.forget_agreement(tx, process.role, agreement_id, process.participant)

    def settled(self, process: Process) -> None:
        """A contract that came to nothing ends the transfers that were begun under it; another begins."""
        self._awaited(process)
        if process.state is State.FINALIZED or process.pending is Kind.FINALIZE:
            self._began()
        agreement_id = process.details.get("agreement")
        if process.state is State.TERMINATED and process.role is Role.PROVIDER and agreement_id is not None:
            self._void(agreement_id, process.participant)


def awaits_review(process: Process) -> bool:
    """Whether it waits for the operator, as provider, to say yes or no."""
    details = process.details
    asked = process.state in (State.REQUESTED, State.ACCEPTED) and process.pending is None
    return asked and "review_of" in details and details["review_of"] == details["digest"]


def waits_for(process: Process) -> Literal["review", "offer"] | None:
    """What this node's operator is to decide: a review, as provider, or about the provider's offer."""
    if awaits_review(process):
        return "review"
    offered = process.role is Role.CONSUMER and process.state is State.OFFERED and process.pending is None
    return "offer" if offered else None


def _require_waiting(process: Process) -> None:
    if not awaits_review(process):
        raise LocalProtocolError(f"The negotiation {process.pid} does not wait for this node's operator.")


class Negotiations:
    """What an operator can do with negotiations."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def request(self, participant: str, address: str, offer: dict[str, Any]) -> Process:
        """Ask a provider for a contract: `offer` is one of its catalog's, with `target` added."""
        return await self._open(Kind.REQUEST, participant, address, offer)

    async def offer(self, participant: str, address: str, offer: dict[str, Any]) -> Process:
        """Offer a consumer a contract, unasked."""
        return await self._open(Kind.OFFER, participant, address, offer)

    async def _open(self, kind: Kind, participant: str, address: str, offer: dict[str, Any]) -> Process:
        if not isinstance(offer.get("target"), str) or not isinstance(offer.get("@id"), str):
            raise RemoteProtocolError("The offer needs an @id and a target (the dataset's id).")
        read(offer, "Offer")
        return await self._exchange.open(
            Subject.NEGOTIATION, participant, address, Move(kind, content={"offer": offer, "by_hand": True})
        )

    async def approve(self, pid: str) -> Process:
        """Let the node agree to what waits for its operator, if its policies still say yes.

        :raises LocalProtocolError: it waits for nothing.
        """

        def approved(process: Process) -> Process:
            _require_waiting(process)
            return replace(process, details={**process.details, "approved": process.details["digest"]})

        return await self._exchange.reconsider(Subject.NEGOTIATION, pid, approved)

    async def reject(self, pid: str, reason: str | None = None) -> Process:
        """End what waits for the operator; the consumer is told the reason, and its code.

        :raises LocalProtocolError: it waits for nothing.
        """

        def rejected(process: Process) -> Process:
            _require_waiting(process)
            text = reason or "The provider's operator has declined."
            return replace(process, details={**process.details, "rejected": text})

        return await self._exchange.reconsider(Subject.NEGOTIATION, pid, rejected)

    async def move(
        self, pid: str, kind: Kind, reason: str | None = None, offer: dict[str, Any] | None = None
    ) -> Process:
        """Send any message that is legal now: counter with an offer, accept, agree, terminate, …"""
        if kind in (Kind.REQUEST, Kind.OFFER):
            if offer is None:
                raise RemoteProtocolError("A counter-offer needs an offer.")
            read(offer, "Offer")
        content = {"offer": offer, "by_hand": True}
        return await self._exchange.send(Subject.NEGOTIATION, pid, Move(kind, reason, content))
