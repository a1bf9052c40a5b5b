"""A real Eclipse EDC connector and an Anode trade, in both directions."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from connector.dsp.terms import Kind, Role, Subject
from connector.node import Parts
from connector.store import processes
from tests.conformance import edc
from tests.conformance.identities import MockIdentity
from tests.conformance.trade import (
    DATASET,
    DIGEST,
    PACE,
    PAYLOAD,
    agreed,
    fetched,
    ours,
    payload_file,
    peer_of,
    policy_of,
    published,
    seen_by,
    seen_from,
    started,
    until_ours,
)
from tests.nodes import Running, running

ECLIPSE = "did:web:eclipse.example"
POLICIES = {
    "partner": {
        "offer": {"partners": [ECLIPSE]},
        "allow": "use",
        "when": [{"from": "2020-01-01"}, {"for": "90 days"}],
    },
    "asked": {"offer": {"partners": [ECLIPSE]}, "allow": "use", "review": "yes"},
    "others": {"offer": {"partners": ["did:web:someone-else.example"]}, "allow": "use"},
}

ENDED = ("TERMINATED", "DEPROVISIONED")
"""How EDC as provider calls a transfer that was terminated: the second soon after the first."""

pytestmark = [pytest.mark.conformance, pytest.mark.needs("java", "javac", "mvn")]


@pytest.fixture(scope="module")
def eclipse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edc.Connector]:
    """One EDC, which plays provider and consumer."""
    with edc.start(ECLIPSE, tmp_path_factory.mktemp("eclipse"), pace_ms=PACE) as connector:
        yield connector


@asynccontextmanager
async def anode(folder: Path, offer: str = "partner") -> AsyncIterator[Running]:
    """A node that offers a file to EDC and another to someone else, and believes EDC's mock identity."""
    did = "did:web:anode.example"
    source = {"file": str(payload_file(folder)), "media_type": "application/octet-stream"}
    datasets = [
        {"id": DATASET, "title": "Payload", "offers": [offer], "source": source},
        {"id": f"{DATASET}-hidden", "title": "Payload", "offers": ["others"], "source": dict(source)},
    ]
    async with running(
        folder,
        POLICIES,
        datasets,
        Parts(identity=MockIdentity(did)),
        participant={"did": did, "name": "Anode"},
        delivery={"first_retry": "100ms"},
    ) as node:
        yield node


# -- Anode consumes what EDC provides


async def test_anode_gets_the_bytes_from_eclipse(eclipse: edc.Connector, tmp_path: Path) -> None:
    """Catalog, negotiation, pull: the digest is right. A transfer ended by its consumer is ended for both."""
    async with anode(tmp_path / "node") as node, published(eclipse, "bytes", edc.SINCE_2020):
        catalog, _ = await node.node.peers.catalog(seen_from(eclipse))
        assert "bytes" in [dataset["@id"] for dataset in catalog["dataset"]]
        transfer = await node.node.transfers.request(await agreed(node, eclipse, "bytes"))
        await until_ours(node, transfer, "STARTED")
        assert await fetched(node, transfer.pid) == DIGEST

        await node.node.transfers.move(transfer.pid, Kind.TERMINATE, "read all of it")
        await until_ours(node, transfer, "TERMINATED")
        theirs = await peer_of(eclipse, Subject.TRANSFER, transfer.pid)
        await eclipse.until_transfer(theirs, *ENDED)


async def test_anode_as_consumer_pauses_and_goes_on(eclipse: edc.Connector, tmp_path: Path) -> None:
    """Suspended and resumed by either side, the transfer is in one state on both, and data flows again."""
    async with anode(tmp_path / "node") as node, published(eclipse, "pauses", edc.SINCE_2020):
        transfer = await node.node.transfers.request(await agreed(node, eclipse, "pauses"))
        await until_ours(node, transfer, "STARTED")
        theirs = await peer_of(eclipse, Subject.TRANSFER, transfer.pid)
        old = node.node.peers.data_address(transfer.pid)

        await node.node.transfers.move(transfer.pid, Kind.SUSPEND, "a pause of the consumer")
        await until_ours(node, transfer, "SUSPENDED")
        await eclipse.until_transfer(theirs, "SUSPENDED")
        await node.node.transfers.move(transfer.pid, Kind.START)
        await new_address(node, transfer.pid, old.authorization)
        await eclipse.until_transfer(theirs, "STARTED")
        assert await fetched(node, transfer.pid) == DIGEST

        await eclipse.suspend(theirs, "a pause of the provider")
        await until_ours(node, transfer, "SUSPENDED")
        await eclipse.until_transfer(theirs, "SUSPENDED")
        await eclipse.resume(theirs)
        await until_ours(node, transfer, "STARTED")
        await eclipse.until_transfer(theirs, "STARTED")
        assert await fetched(node, transfer.pid) == DIGEST

        await eclipse.terminate(theirs, "the provider has had enough")
        ended = await until_ours(node, transfer, "TERMINATED")
        assert "had enough" in str(ended.reason)
        await eclipse.until_transfer(theirs, *ENDED)


async def new_address(node: Running, transfer: str, old: str) -> None:
    """Wait until the provider has answered a resume with a new token."""
    async with asyncio.timeout(10), node.node.events.listen(transfer) as events:
        while True:
            process = processes.process(node.node.db.read, transfer)
            settled = process and process.state == "STARTED" and not process.pending
            if settled and node.node.peers.data_address(transfer).authorization != old:
                return
            await anext(events)


async def test_anode_refuses_an_agreement_on_other_terms(eclipse: edc.Connector, tmp_path: Path) -> None:
    """EDC looks only at an offer's id and agrees to its own rules: Anode, which asked for others, refuses,
    and the negotiation is TERMINATED on both sides."""
    async with anode(tmp_path / "node") as node, published(eclipse, "terms", edc.SINCE_2020):
        peer = seen_from(eclipse)
        dataset = await node.node.peers.dataset(peer, "terms")
        offer = {**dataset["hasPolicy"][0], "target": "terms", "permission": [{"action": "use"}]}
        process = await node.node.negotiations.request(peer.participant, peer.address, offer)
        ended = await until_ours(node, process, "TERMINATED")
        assert ended.reason
        theirs = await peer_of(eclipse, Subject.NEGOTIATION, process.pid)
        await eclipse.until_negotiation(theirs, "TERMINATED")


async def test_eclipse_refuses_an_offer_it_never_made(eclipse: edc.Connector, tmp_path: Path) -> None:
    """Our request for it ends as TERMINATED, with EDC's reason; EDC opens no negotiation."""
    async with anode(tmp_path / "node") as node, published(eclipse, "unknown", edc.SINCE_2020):
        peer = seen_from(eclipse)
        offer = {"@type": "Offer", "@id": "urn:uuid:never", "target": "unknown", "permission": [edc.USE]}
        process = await node.node.negotiations.request(peer.participant, peer.address, offer)
        ended = await until_ours(node, process, "TERMINATED")
        assert "HTTP 4" in str(ended.reason)
        assert process.pid not in [entry.get("correlationId") for entry in await eclipse.negotiations()]


# -- EDC consumes what Anode provides


async def test_eclipse_gets_the_bytes_from_anode(eclipse: edc.Connector, tmp_path: Path) -> None:
    """Catalog, negotiation, pull: the digest is right. A transfer ended by its consumer is ended for both."""
    async with anode(tmp_path / "node") as node:
        transfer, mine = await started(eclipse, node)
        address = await eclipse.data_address(transfer)
        assert hashlib.sha256(await edc.fetch(address)).hexdigest() == DIGEST

        await eclipse.terminate(transfer, "read all of it")
        ended = await until_ours(node, mine, "TERMINATED")
        assert "read all of it" in str(ended.reason)
        await eclipse.until_transfer(transfer, "TERMINATED")
        with pytest.raises(edc.EdcRefused, match="401"):
            await edc.fetch(address)
    assert [line["permitted"] for line in node.node.audit.tail(10)] == [True]


async def test_eclipse_as_consumer_pauses_and_goes_on(eclipse: edc.Connector, tmp_path: Path) -> None:
    """Suspended and resumed by either side, the transfer is in one state on both, and data flows again."""
    async with anode(tmp_path / "node") as node:
        transfer, mine = await started(eclipse, node)
        address = await eclipse.data_address(transfer)

        await eclipse.suspend(transfer, "a pause of the consumer")
        await until_ours(node, mine, "SUSPENDED")
        await eclipse.until_transfer(transfer, "SUSPENDED")
        with pytest.raises(edc.EdcRefused, match="401"):
            await edc.fetch(address)
        await eclipse.resume(transfer)
        await until_ours(node, mine, "STARTED")
        await eclipse.until_transfer(transfer, "STARTED")
        address = await eclipse.data_address(transfer, other_than=address)
        assert await edc.fetch(address) == PAYLOAD

        await node.node.transfers.move(mine.pid, Kind.SUSPEND, "a pause of the provider")
        await until_ours(node, mine, "SUSPENDED")
        await eclipse.until_transfer(transfer, "SUSPENDED")
        await node.node.transfers.move(mine.pid, Kind.START)
        await until_ours(node, mine, "STARTED")
        await eclipse.until_transfer(transfer, "STARTED")
        address = await eclipse.data_address(transfer, other_than=address)
        assert await edc.fetch(address) == PAYLOAD

        await node.node.transfers.move(mine.pid, Kind.TERMINATE, "the provider has had enough")
        await until_ours(node, mine, "TERMINATED")
        await eclipse.until_transfer(transfer, "TERMINATED")


async def test_anode_hides_from_eclipse_what_is_for_others(eclipse: edc.Connector, tmp_path: Path) -> None:
    """A request for a dataset that EDC may not see is refused, and TERMINATED there."""
    async with anode(tmp_path / "node") as node:
        provider = seen_by(node)
        offer = policy_of(await eclipse.dataset(provider, DATASET))
        negotiation = await eclipse.negotiate(provider, f"{DATASET}-hidden", offer)
        ended = await eclipse.until_negotiation(negotiation, "TERMINATED")
        assert "No dataset" in str(ended.get("errorDetail"))
        assert processes.page(node.node.db.read, Subject.NEGOTIATION, None, 10) == []


@pytest.mark.parametrize("who", ["provider", "consumer"])
async def test_either_declines_other_terms(eclipse: edc.Connector, tmp_path: Path, who: str) -> None:
    """EDC asks for terms that are not on offer; Anode counters with its own; one of them declines, and the
    negotiation is TERMINATED on both sides."""
    async with anode(tmp_path / "node") as node:
        provider = seen_by(node)
        offer = policy_of(await eclipse.dataset(provider, DATASET))
        negotiation = await eclipse.negotiate(provider, DATASET, {**offer, "permission": [edc.USE]})
        await eclipse.until_negotiation(negotiation, "OFFERED")
        mine = await until_ours(node, ours(node, Subject.NEGOTIATION, Role.PROVIDER), "OFFERED")
        if who == "provider":
            await node.node.negotiations.move(mine.pid, Kind.TERMINATE, "only on our terms")
        else:
            await eclipse.terminate_negotiation(negotiation, "not on your terms")
        await until_ours(node, mine, "TERMINATED")
        await eclipse.until_negotiation(negotiation, "TERMINATED")


async def test_a_refusal_with_codes_ends_it_for_eclipse(eclipse: edc.Connector, tmp_path: Path) -> None:
    """Reasons that are objects, beside the sentences, do not stop EDC from taking a termination. It keeps the
    reason of none, plain text or not."""
    async with anode(tmp_path / "node", "asked") as node:
        provider = seen_by(node)
        offer = policy_of(await eclipse.dataset(provider, DATASET))
        negotiation = await eclipse.negotiate(provider, DATASET, offer)
        await eclipse.until_negotiation(negotiation, "REQUESTED")
        mine = await until_ours(node, ours(node, Subject.NEGOTIATION, Role.PROVIDER), "REQUESTED")
        await node.node.negotiations.reject(mine.pid, "Ask us again in spring.")
        await until_ours(node, mine, "TERMINATED")
        await eclipse.until_negotiation(negotiation, "TERMINATED")


# -- the control


async def test_two_eclipse_connectors_trade(
    eclipse: edc.Connector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """EDC, driven as here, trades with its like: what fails elsewhere is between us."""
    folder = tmp_path_factory.mktemp("control")
    with edc.start("did:web:control.example", folder, pace_ms=PACE) as consumer:
        async with published(eclipse, "control", edc.SINCE_2020):
            provider = eclipse.peer
            shown = await consumer.dataset(provider, "control")
            negotiation = await consumer.negotiate(provider, "control", policy_of(shown))
            done = await consumer.until_negotiation(negotiation, "FINALIZED", "TERMINATED")
            assert done["state"] == "FINALIZED"
            transfer = await consumer.transfer(provider, done["contractAgreementId"])
            await consumer.until_transfer(transfer, "STARTED")
            data = await edc.fetch(await consumer.data_address(transfer))
            assert hashlib.sha256(data).hexdigest() == DIGEST

            await consumer.terminate(transfer, "enough")
            await consumer.until_transfer(transfer, "TERMINATED")
