"""Two nodes that have never met: catalog, negotiation, transfer, bytes, over real sockets."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from connector.dsp.process import Process
from connector.dsp.terms import Kind, State
from connector.errors import Denied, LocalProtocolError
from connector.flows.exchange import Move
from connector.flows.judge import policy_reaction
from connector.flows.peers import Peer
from connector.node import Parts
from connector.store.database import Transaction
from tests.nodes import Running, running, until

OPEN = {"open": {"offer": "everyone", "allow": "use"}}
PASSPORT = {
    "id": "urn:uuid:5f0d9e3c-6f1d-4c0c-9d9b-0d6f6f1c2a10",
    "title": "Passport",
    "properties": {"category": "EV"},
    "offers": ["open"],
    "source": {"inline": {"hello": "battery"}},
}


async def agree(consumer: Running, provider: Running, dataset_id: str = PASSPORT["id"]) -> str:
    """Negotiate the first offer for a dataset; the agreement's id."""
    peer = await consumer.node.peers.find(provider.did)
    dataset = await consumer.node.peers.dataset(peer, dataset_id)
    offer = {**dataset["hasPolicy"][0], "target": dataset_id}
    process = await consumer.node.negotiations.request(peer.participant, peer.address, offer)
    done = await until(consumer, process.pid, "FINALIZED")
    assert done.state == "FINALIZED", done.reason
    return done.details["agreement"]


async def test_a_consumer_gets_the_bytes_of_a_dataset(tmp_path: Path) -> None:
    """From a DID alone a consumer finds the catalog, negotiates, transfers and reads the data."""
    async with running(tmp_path / "p", OPEN, [PASSPORT]) as provider, running(tmp_path / "c") as consumer:
        peer = await consumer.node.peers.find(provider.did)
        assert peer == Peer(provider.did, f"{provider.url}/dsp")
        catalog, following = await consumer.node.peers.catalog(peer)
        assert [d["@id"] for d in catalog["dataset"]] == [PASSPORT["id"]]
        assert following is None
        agreement = await agree(consumer, provider)
        transfer = await consumer.node.transfers.request(agreement)
        started = await until(consumer, transfer.pid, "STARTED")
        assert started.state == "STARTED", started.reason
        address = consumer.node.peers.data_address(transfer.pid)
        async with aiohttp.ClientSession() as session:
            async with session.get(
                address.endpoint, headers={"Authorization": address.authorization}
            ) as answer:
                assert answer.status == 200
                assert await answer.json() == {"hello": "battery"}
            async with session.get(address.endpoint) as answer:
                assert answer.status == 401
    lines = provider.node.audit.tail(10)
    assert [line["permitted"] for line in lines] == [True]


async def test_a_url_finds_a_peer_too(tmp_path: Path) -> None:
    """The version document says who the participant is."""
    async with running(tmp_path / "p") as provider, running(tmp_path / "c") as consumer:
        assert await consumer.node.peers.find(provider.url) == await consumer.node.peers.find(provider.did)


async def test_a_url_that_claims_to_be_another_is_not_believed(tmp_path: Path) -> None:
    """Who only says that it is a participant gets no token for it: it could use that one there, as us."""
    async with running(tmp_path / "p") as provider, running(tmp_path / "c") as consumer:

        async def lie(request: web.Request) -> web.Response:
            entry = {"version": "2025-1", "path": "/dsp", "binding": "HTTPS", "serviceId": provider.did}
            return web.json_response({"protocolVersions": [entry]})

        app = web.Application()
        app.router.add_get("/.well-known/dspace-version", lie)
        async with TestServer(app) as liar:
            with pytest.raises(Denied, match="whose DID document names"):
                await consumer.node.peers.find(str(liar.make_url("")))


@pytest.mark.parametrize(
    "rules", [{"permission": [{"action": "sell"}]}, {"prohibition": [{"action": "use"}]}]
)
async def test_other_terms_are_countered_with_ours(tmp_path: Path, rules: dict) -> None:
    """A consumer that asks for other terms gets the provider's own as a counter-offer, to decide about."""
    async with running(tmp_path / "p", OPEN, [PASSPORT]) as provider, running(tmp_path / "c") as consumer:
        offer = {"@type": "Offer", "@id": "urn:uuid:mine", "target": PASSPORT["id"], **rules}
        process = await consumer.node.negotiations.request(provider.did, f"{provider.url}/dsp", offer)
        offered = await until(consumer, process.pid, "OFFERED")
        assert offered.details["offer"]["permission"] == [{"action": "use"}]


def use(operator: str) -> dict[str, Any]:
    """Rules that allow use before, or from, a moment that is past."""
    moment = {"leftOperand": "dateTime", "operator": operator, "rightOperand": "2020-01-01T00:00:00Z"}
    return {"permission": [{"action": "use", "constraint": [moment]}]}


BY_HAND, OVER = use("gteq"), use("lt")


@pytest.mark.parametrize(("rules", "end"), [(BY_HAND, "FINALIZED"), (OVER, "TERMINATED")])
async def test_what_an_operator_offers_is_agreed_to(tmp_path: Path, rules: dict, end: str) -> None:
    """Terms offered by hand need not be in the catalog: once accepted, their own policy decides."""
    async with running(tmp_path / "p", OPEN, [PASSPORT]) as provider, running(tmp_path / "c") as consumer:
        offer = {"@type": "Offer", "@id": "urn:uuid:ours", "target": PASSPORT["id"], **rules}
        ours = await provider.node.negotiations.offer(consumer.did, f"{consumer.url}/dsp", offer)
        offered = await until(provider, ours.pid, "OFFERED")
        await consumer.node.negotiations.move(offered.peer_pid, Kind.ACCEPT)
        done = await until(consumer, offered.peer_pid, "FINALIZED")
        assert done.state == end
        assert (done.reason or "").startswith("The permission ended" if rules is OVER else "")


async def test_what_an_operator_offered_of_a_dataset_that_is_gone_is_not_agreed_to(tmp_path: Path) -> None:
    """An offer by hand does not outlive its dataset."""
    async with running(tmp_path / "p", OPEN, [PASSPORT]) as provider, running(tmp_path / "c") as consumer:
        offer = {"@type": "Offer", "@id": "urn:uuid:ours", "target": PASSPORT["id"], **BY_HAND}
        ours = await provider.node.negotiations.offer(consumer.did, f"{consumer.url}/dsp", offer)
        offered = await until(provider, ours.pid, "OFFERED")
        await provider.node.publisher.withdraw(PASSPORT["id"])
        await consumer.node.negotiations.move(offered.peer_pid, Kind.ACCEPT)
        done = await until(consumer, offered.peer_pid, "FINALIZED")
        assert done.state == "TERMINATED"
        assert PASSPORT["id"] in done.reason


async def test_a_counter_offer_by_hand_is_agreed_to(tmp_path: Path) -> None:
    """So does an operator's answer to a request: about the same dataset, which it need not name."""

    def patient(tx: Transaction, process: Process, now: float) -> Move | None:
        """Requests wait for the operator; all else goes by itself."""
        asked = process.state is State.REQUESTED
        return None if asked else policy_reaction(provider.node.catalog)(tx, process, now)

    parts = Parts(negotiate=patient)
    async with (
        running(tmp_path / "p", OPEN, [PASSPORT], parts) as provider,
        running(tmp_path / "c") as consumer,
    ):
        offer = {"@type": "Offer", "@id": "urn:uuid:mine", "permission": [{"action": "sell"}]}
        process = await consumer.node.negotiations.request(
            provider.did, f"{provider.url}/dsp", {**offer, "target": PASSPORT["id"]}
        )
        asked = await until(consumer, process.pid, "REQUESTED")
        counter = {"@type": "Offer", "@id": "urn:uuid:ours", **BY_HAND}
        move = provider.node.negotiations.move
        with pytest.raises(LocalProtocolError, match="urn:x:other"):
            await move(asked.peer_pid, Kind.OFFER, offer={**counter, "target": "urn:x:other"})
        await move(asked.peer_pid, Kind.OFFER, offer=counter)
        await until(consumer, process.pid, "OFFERED")
        await consumer.node.negotiations.move(process.pid, Kind.ACCEPT)
        done = await until(consumer, process.pid, "FINALIZED")
        assert done.state == "FINALIZED", done.reason
