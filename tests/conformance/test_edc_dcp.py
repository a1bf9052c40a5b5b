"""A real Eclipse EDC connector with DCP, whose wallet and token service an Anode is, trades with an Anode.

The authority of their data space is an Anode, too. Each asks the other for its membership.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from connector.errors import Denied
from connector.web import management
from tests.conformance import edc
from tests.conformance.artifacts import free_ports
from tests.conformance.trade import (
    DATASET,
    DIGEST,
    PACE,
    agreed,
    fetched,
    payload_file,
    policy_of,
    published,
    seen_by,
    started,
    until_ours,
)
from tests.nodes import Running
from tests.space import MEMBER, Space, space

CLIENT, SECRET = "eclipse", "a-secret-of-the-connector"
POLICIES = {"members": {"offer": "everyone", "allow": "use", "when": [{"credential": MEMBER}]}}
ISSUED = {MEMBER: {"claims": {"memberOf": "Batteries"}}}
"""Nobody gets it for the asking: each test says who is a member."""
AT_ONCE = {"edc.iam.credential.revocation.cache.validity": "0"}
"""EDC keeps status lists for 15 minutes otherwise."""

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.needs("java", "javac", "mvn"),
    pytest.mark.asyncio(loop_scope="module"),
]


@dataclass(frozen=True, slots=True)
class World:
    """The data space, the connector, and the node that is its wallet."""

    space: Space
    eclipse: edc.Connector
    wallet: Running

    async def add(self, name: str, folder: Path, **credentials: str) -> Running:
        """An Anode that offers a file to members; no member itself so far."""
        source = {"file": str(payload_file(folder / name)), "media_type": "application/octet-stream"}
        dataset = {"id": DATASET, "title": "Payload", "offers": ["members"], "source": source}
        return await self.space.add(
            name,
            policies=POLICIES,
            datasets=[dataset],
            credentials={"profile": "edc", **credentials},
            delivery={"first_retry": "100ms"},
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """All that runs while the tests do. The connector is a member."""
    folder, (port,) = tmp_path_factory.mktemp("dcp"), free_ports(1)
    clients = folder / "clients"
    clients.write_text(f"{CLIENT} {SECRET}\n")
    clients.chmod(0o600)
    protocol = f"http://127.0.0.1:{port}/protocol/.well-known/dspace-version"
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(space(folder, ISSUED))
        wallet = await made.add(
            "wallet",
            participant={"services": {"DataService": protocol}},
            credentials={"clients": str(clients)},
        )
        runner, tokens = await management.start(wallet.node)
        stack.push_async_callback(runner.cleanup)
        await made.give(wallet, MEMBER)
        told = edc.Wallet(f"http://127.0.0.1:{tokens}/sts/token", CLIENT, SECRET, made.authority.did)
        connector = edc.start(
            wallet.did,
            folder,
            wallet=told,
            protocol_port=port,
            pace_ms=PACE,
            settings=AT_ONCE,
            log_level="debug",
        )
        yield World(made, stack.enter_context(connector), wallet)


@pytest.mark.parametrize("profile", ["strict", "edc"])
async def test_anode_gets_the_bytes_from_eclipse(world: World, tmp_path: Path, profile: str) -> None:
    """Found by its DID, EDC shows its catalog to a member, agrees, and serves; the digest is right."""
    asset = f"bytes-{profile}"
    async with published(world.eclipse, asset, edc.SINCE_2020):
        node = await world.add(f"consumer-{profile}", tmp_path, profile=profile)
        await world.space.give(node, MEMBER)
        peer = await node.node.peers.find(world.eclipse.peer.participant)
        assert peer.address == world.eclipse.peer.dsp
        catalog, _ = await node.node.peers.catalog(peer)
        assert asset in [dataset["@id"] for dataset in catalog["dataset"]]
        transfer = await node.node.transfers.request(await agreed(node, world.eclipse, asset))
        await until_ours(node, transfer, "STARTED")
        assert await fetched(node, transfer.pid) == DIGEST
        (claim,) = node.node.presentations.of(world.wallet.did).held[MEMBER]
        assert claim.issuer == world.space.authority.did


@pytest.mark.parametrize("profile", ["strict", "edc"])
async def test_eclipse_gets_the_bytes_from_anode(world: World, tmp_path: Path, profile: str) -> None:
    """As a member EDC sees the catalog of a member, negotiates and gets the data; the digest is right."""
    node = await world.add(f"provider-{profile}", tmp_path, profile=profile)
    await world.space.give(node, MEMBER)
    transfer, _ = await started(world.eclipse, node)
    assert hashlib.sha256(await edc.fetch(await world.eclipse.data_address(transfer))).hexdigest() == DIGEST


async def test_each_refuses_who_is_no_member(world: World, tmp_path: Path) -> None:
    """EDC refuses an Anode without membership, and an Anode EDC; the refusal says what is missing."""
    stranger = await world.add("stranger", tmp_path)
    peer = await stranger.node.peers.find(world.eclipse.peer.participant)
    with pytest.raises(Denied, match="401"):
        await stranger.node.peers.catalog(peer)
    for held in world.wallet.node.wallet.held():
        await world.wallet.node.wallet.drop(held.id)
    with pytest.raises(edc.EdcRefused, match=f"no {MEMBER} that is valid now.*get it from did:web"):
        await world.eclipse.catalog(seen_by(stranger))
    await world.space.give(world.wallet, MEMBER)
    await world.eclipse.catalog(seen_by(stranger))


async def test_eclipse_refuses_a_revoked_credential(world: World, tmp_path: Path) -> None:
    """The holder, whose copy of the list is old, presents it as before; EDC looks at the list itself."""
    node = await world.add("revoked", tmp_path)
    id_ = await world.space.give(node, MEMBER)
    peer = await node.node.peers.find(world.eclipse.peer.participant)
    await node.node.peers.catalog(peer)
    await world.space.authority.node.issuer.set_state(id_, "revoked")
    with pytest.raises(Denied, match="401"):
        await node.node.peers.catalog(peer)
    assert "Credential status is 'revocation'" in world.eclipse.log.read_text()


async def test_anode_refuses_a_revoked_credential(world: World, tmp_path: Path) -> None:
    """EDC is shut out of the catalog, of new agreements, and of the data of a transfer that runs."""
    node = await world.add("checking", tmp_path, lifetime="1ms")
    await world.space.give(node, MEMBER)
    transfer, _ = await started(world.eclipse, node)
    address = await world.eclipse.data_address(transfer)
    assert hashlib.sha256(await edc.fetch(address)).hexdigest() == DIGEST
    offer = policy_of(await world.eclipse.dataset(seen_by(node), DATASET))

    (held,) = world.wallet.node.wallet.held()
    await world.space.authority.node.issuer.set_state(held.id, "revoked")
    with pytest.raises(edc.EdcRefused, match="revoked by its issuer"):
        await edc.fetch(address)
    with pytest.raises(edc.EdcRefused, match="revoked by its issuer"):
        await world.eclipse.catalog(seen_by(node))
    negotiation = await world.eclipse.negotiate(seen_by(node), DATASET, offer)
    ended = await world.eclipse.until_negotiation(negotiation, "TERMINATED")
    assert "revoked by its issuer" in str(ended.get("errorDetail"))
    await world.space.give(world.wallet, MEMBER)
    node.node.presentations.forget()  # else the refusal is remembered for some seconds more
    await world.eclipse.catalog(seen_by(node))
