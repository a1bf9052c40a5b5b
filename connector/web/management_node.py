"""Management API: the node itself, its catalog and policies, its peers, its audit log. Rendering only."""

import asyncio

from connector import __version__
from connector.errors import NotFound
from connector.flows.publish import Dataset, HttpSource
from connector.node import Node
from connector.store import catalog as catalog_rows
from connector.store import duties, issuance, wallet
from connector.store import processes as rows
from connector.web import management_models as model
from connector.web import terms
from connector.web.openapi import Call

_OUTBOX_SHOWN = 100
_HIDDEN = "(hidden)"


async def status(node: Node, call: Call) -> model.Status:
    """Who this node is, what it holds, and what it is waiting for."""
    counts, asked = rows.counts(node.db.read), wallet.counts(node.db.read)
    waiting, issued = issuance.counts(node.db.read)
    undecided, to_decide = rows.awaiting_operator(node.db.read, _OUTBOX_SHOWN)
    return model.Status(
        did=node.participant,
        name=node.config.participant.name,
        version=__version__,
        public_url=node.config.public.url,
        address=node.address,
        reach=node.config.network.reach,
        started=model.instant(node.started),
        datasets=catalog_rows.total(node.db.read),
        policies=len(node.catalog.terms),
        negotiations=counts["negotiation"],
        transfers=counts["transfer"],
        credentials=model.CredentialCounts(
            held=len(wallet.held(node.db.read)),
            requested=asked.get("REQUESTED", 0) + asked.get("RECEIVED", 0),
            offered=asked.get("OFFERED", 0),
            waiting=waiting,
            issued=issued,
        ),
        duties=duties.counts(node.db.read),
        waiting=undecided,
        to_decide=[model.ProcessEntry.of(p, created, changed) for created, changed, p in to_decide],
        to_do=[
            model.DutyToDo(
                id=duty.id,
                state=duty.state,
                ours=duty.ours,
                participant=duty.participant,
                says=duty.says,
                due=None if duty.due is None else model.instant(duty.due),
            )
            for duty in duties.to_do(node.db.read, _OUTBOX_SHOWN)
        ],
        deliveries=[model.Delivery.of(m) for m in rows.outbox(node.db.read, _OUTBOX_SHOWN)],
    )


async def reload(node: Node, call: Call) -> None:
    """Take up what has changed in the keys, and in whom the settings believe. SIGHUP does the same."""
    node.reload()


async def list_datasets(node: Node, call: Call) -> model.DatasetPage:
    """All datasets of this node, whoever may see them."""
    limit = call.query.limit
    found = catalog_rows.listing(node.db.read, call.query.after, limit + 1)
    datasets = [model.DatasetEntry(id=i, title=title, origin=origin) for i, title, origin in found[:limit]]
    return model.DatasetPage(datasets=datasets, next=datasets[-1].id if len(found) > limit else None)


async def publish_dataset(node: Node, call: Call) -> model.DatasetDetail:
    """Add a dataset, or replace the one with this id. A `file` must be an absolute path."""
    await node.publisher.publish(call.body)
    return _dataset(node, call.body.id)


async def show_dataset(node: Node, call: Call) -> model.DatasetDetail:
    """A dataset as it was declared."""
    return _dataset(node, call.path["id"])


async def withdraw_dataset(node: Node, call: Call) -> None:
    """Take a dataset out of the catalog. Agreements about it stay, but its data can't be read any more.

    What a catalog file declares comes back when that file is changed.
    """
    await node.publisher.withdraw(call.path["id"])


async def list_policies(node: Node, call: Call) -> model.Policies:
    """The policies that datasets can be offered under, with what each of them says."""
    entries = [
        model.PolicyEntry(id=name, sentence=terms.sentence, rules=terms.rules())
        for name, terms in sorted(node.catalog.terms.items())
    ]
    return model.Policies(policies=entries)


async def find_peer(node: Node, call: Call) -> model.Peer:
    """Find a participant's protocol endpoints by its DID, or its DID by its node's URL."""
    found = await node.peers.find(call.query.peer)
    return model.Peer(participant=found.participant, address=found.address)


async def show_peer_catalog(node: Node, call: Call) -> model.PeerCatalog:
    """Ask a peer for a page of its catalog: what it offers us."""
    peer = await node.peers.find(call.body.peer)
    filters = [call.body.filter] if call.body.filter else None
    catalog, following = await node.peers.catalog(peer, filters, call.body.next)
    listed = catalog.get("dataset")
    datasets = [d for d in (listed if isinstance(listed, list) else [listed]) if isinstance(d, dict)]
    return model.PeerCatalog(
        participant=peer.participant, address=peer.address, datasets=datasets, next=following
    )


async def show_peer_dataset(node: Node, call: Call) -> model.PeerDataset:
    """Ask a peer for one dataset: what it is, and what each of its offers to us says, term by term."""
    peer = await node.peers.find(call.query.peer)
    dataset = await node.peers.dataset(peer, call.query.dataset)
    said = await asyncio.to_thread(terms.offers, dataset)  # many and long ones take their time
    return model.PeerDataset(participant=peer.participant, address=peer.address, dataset=dataset, offers=said)


async def show_audit(node: Node, call: Call) -> model.Audit:
    """The newest decisions about data requests: who asked for what, under which agreement, and the answer."""
    return model.Audit(entries=node.audit.tail(call.query.limit))


def _dataset(node: Node, dataset_id: str) -> model.DatasetDetail:
    found = catalog_rows.definition(node.db.read, dataset_id)
    if found is None:
        raise NotFound(f"There is no dataset {dataset_id} in this node's catalog.")
    dataset, origin = Dataset.model_validate(found[0]), found[1]
    if dataset.source.http is not None and dataset.source.http.headers:
        headers = dict.fromkeys(dataset.source.http.headers, _HIDDEN)
        http = HttpSource(url=dataset.source.http.url, headers=headers)
        source = dataset.source.model_copy(update={"http": http})
        dataset = dataset.model_copy(update={"source": source})
    return model.DatasetDetail(dataset=dataset, origin=origin)
