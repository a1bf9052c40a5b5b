"""Management API: negotiations, transfers, agreements. Rendering only: what may happen, flows decide."""

import asyncio
from collections.abc import Mapping
from typing import Any

from connector.dsp.process import Process
from connector.dsp.terms import Kind, Role, Subject
from connector.errors import NotFound, RemoteProtocolError
from connector.flows import negotiate, retirement, standing
from connector.node import Node
from connector.store import courses
from connector.store import processes as rows
from connector.web import management_models as model
from connector.web.openapi import BadRequest, Call
from connector.web.terms import Terms


async def list_negotiations(node: Node, call: Call) -> model.ProcessPage:
    """Negotiations, newest first."""
    return _page(node, Subject.NEGOTIATION, call)


async def show_negotiation(node: Node, call: Call) -> model.ProcessDetail:
    """A negotiation with all that happened in it, what its terms say, and when our message is tried again."""
    return await detail(node, Subject.NEGOTIATION, call.path["pid"])


async def request_negotiation(node: Node, call: Call) -> model.ProcessDetail:
    """Ask a provider for a contract about one of its datasets: by an offer of its, by other terms, or, where
    neither is named, by what this node's own requirements make of its offers.

    Answers as soon as the request is kept; follow the negotiation with `/events`.
    """
    asked: model.NegotiationRequest = call.body
    _check(asked.terms)
    peer = await node.peers.find(asked.peer)
    if asked.terms:
        offer = {**asked.terms, "target": asked.dataset}
    elif asked.offer is not None:
        offer = await node.peers.offer(peer, asked.dataset, asked.offer)
    else:
        offers = await node.peers.offers(peer, asked.dataset)
        choose = node.requirements.choose  # many and long ones take their time
        offer = await asyncio.to_thread(choose, peer.participant, offers, node.clock.now())
    process = await node.negotiations.request(peer.participant, peer.address, offer)
    return await detail(node, Subject.NEGOTIATION, process.pid)


async def offer_negotiation(node: Node, call: Call) -> model.ProcessDetail:
    """Offer a consumer a contract about a dataset of this node, unasked."""
    asked: model.NegotiationOffer = call.body
    peer = await node.peers.find(asked.peer)
    offer = node.catalog.offer(peer.participant, asked.dataset, asked.policy)
    process = await node.negotiations.offer(peer.participant, peer.address, offer)
    return await detail(node, Subject.NEGOTIATION, process.pid)


def _check(terms: Mapping[str, Any] | None) -> None:
    """Raises BadRequest for terms of our own that can't be sent: no peer is to blame for those."""
    try:
        if terms is not None:
            negotiate.read(dict(terms), "Offer")
    except RemoteProtocolError as wrong:
        raise BadRequest(*(f"terms of this node's own: {reason}" for reason in wrong.reasons)) from None


async def move_negotiation(node: Node, call: Call) -> model.ProcessDetail:
    """Counter (`request`, `offer`), accept, agree, verify, finalize or terminate.

    A node does by itself what its policies decide; by hand it is what those leave open, or cancel.
    """
    asked: model.NegotiationMove = call.body
    if asked.kind in ("request", "offer") and asked.terms is None:
        raise BadRequest(f"terms: must be there for {asked.kind}, which counters with other terms.")
    _check(asked.terms)
    await node.negotiations.move(call.path["pid"], Kind(asked.kind), asked.reason, asked.terms)
    return await detail(node, Subject.NEGOTIATION, call.path["pid"])


async def list_transfers(node: Node, call: Call) -> model.ProcessPage:
    """Transfers, newest first."""
    return _page(node, Subject.TRANSFER, call)


async def show_transfer(node: Node, call: Call) -> model.ProcessDetail:
    """A transfer with all that happened in it, and when our message is tried again."""
    return await detail(node, Subject.TRANSFER, call.path["pid"])


async def request_transfer(node: Node, call: Call) -> model.ProcessDetail:
    """Ask the provider of an agreement for its data. Once STARTED, read `/transfers/{pid}/data`."""
    asked: model.TransferRequest = call.body
    try:
        process = await node.transfers.request(asked.agreement, asked.format)
    except NotFound:
        _retired(node, asked.agreement)
        raise
    return await detail(node, Subject.TRANSFER, process.pid)


def _retired(node: Node, agreement_id: str) -> None:
    """Raises NotFound if it is no longer in force because a side retired it: who, when, and why."""
    for stored in rows.agreements_with_id(node.db.read, agreement_id):
        course = courses.find(node.db.read, stored.role, stored.id, stored.participant)
        if stored.role is Role.CONSUMER and course is not None and course.state == "retired":
            raise NotFound(retirement.sentence(course))


async def move_transfer(node: Node, call: Call) -> model.ProcessDetail:
    """Start (resume), suspend, complete or terminate."""
    asked: model.TransferMove = call.body
    await node.transfers.move(call.path["pid"], Kind(asked.kind), asked.reason)
    return await detail(node, Subject.TRANSFER, call.path["pid"])


async def show_data_address(node: Node, call: Call) -> model.DataAddress:
    """Where the data of a running transfer is, and the token for it, for programs that fetch by themselves.

    The token is refreshed if it is about to end. It is a secret: keep it out of logs.
    """
    address = await node.pull.address(call.path["pid"])
    expires = None if address.expires is None else model.instant(address.expires)
    return model.DataAddress(
        endpoint=address.endpoint,
        authorization=address.authorization,
        expires=expires,
        purposes=node.pull.purposes(call.path["pid"]),
    )


async def list_agreements(node: Node, call: Call) -> model.AgreementPage:
    """All agreements, newest first, as provider and as consumer, also those not in force."""
    limit = call.query.limit
    try:
        found = rows.agreements(node.db.read, None, call.query.after, limit + 1)
    except ValueError:
        raise BadRequest("after: must be the `next` of a page before.") from None
    shown = found[:limit]
    following = rows.cursor(shown[-1].agreed, shown[-1].id) if len(found) > limit else None
    return model.AgreementPage(agreements=[agreement(node, a) for a in shown], next=following)


def agreement(node: Node, stored: rows.Agreement) -> model.Agreement:
    """An agreement with how it stands."""
    course = courses.find(node.db.read, stored.role, stored.id, stored.participant)
    runs = stored.in_force and course is not None and course.state == "running"
    refused = standing.refusal(stored, node.db, node.clock, node.uses, node.catalog.groups) if runs else None
    return model.Agreement.of(stored, course, refused)


def _page(node: Node, subject: Subject, call: Call) -> model.ProcessPage:
    limit = call.query.limit
    found = rows.page(node.db.read, subject, call.query.before, limit + 1)
    processes = [model.ProcessEntry.of(p, created, changed) for _, created, changed, p in found[:limit]]
    return model.ProcessPage(processes=processes, next=found[limit - 1][0] if len(found) > limit else None)


async def detail(node: Node, subject: Subject, pid: str) -> model.ProcessDetail:
    """A process as the API tells it. Raises NotFound."""
    process: Process | None = rows.process(node.db.read, pid)
    if process is None or process.subject is not subject:
        raise NotFound(f"There is no {subject} {pid} in this node.")
    message, offer = rows.outgoing(node.db.read, pid), process.details.get("offer")
    return model.ProcessDetail(
        process=model.ProcessEntry.of(process, *rows.times(node.db.read, pid)),
        history=[model.HistoryStep.of(step) for step in rows.history(node.db.read, pid)],
        delivery=None if message is None else model.Delivery.of(message),
        terms=None if offer is None else await asyncio.to_thread(Terms.of, offer, "Offer"),
    )
