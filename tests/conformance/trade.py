"""What an Eclipse connector and an Anode do with each other, step by step, whatever proves who they are."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from connector.dsp.process import Process
from connector.dsp.terms import Role, Subject
from connector.flows.peers import Peer
from connector.store import processes
from tests.conformance import edc
from tests.nodes import Running, until

PAYLOAD = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(PAYLOAD).hexdigest()
DATASET = "urn:uuid:0a8e7f1c-1c0b-4f0e-9d5b-3f6f0d8f5e11"

PACE = 200
"""Milliseconds. At 50 EDC sends some 0.3 % of its agreements twice, with different ids: the negotiation is
lost, whoever the consumer is. At its own 1000 that was never seen."""


def payload_file(folder: Path) -> Path:
    folder.mkdir()
    path = folder / "payload.bin"
    path.write_bytes(PAYLOAD)
    return path


def seen_from(eclipse: edc.Connector) -> Peer:
    return Peer(eclipse.peer.participant, eclipse.peer.dsp)


def seen_by(node: Running) -> edc.Peer:
    return edc.Peer(node.did, node.node.address)


@asynccontextmanager
async def published(eclipse: edc.Connector, asset: str, permission: edc.Json) -> AsyncIterator[None]:
    """EDC offers our payload, served by a source of its own."""

    async def payload(request: web.Request) -> web.Response:
        return web.Response(body=PAYLOAD, content_type="application/octet-stream")

    source = web.Application()
    source.router.add_get("/file", payload)
    async with TestServer(source) as server:
        await eclipse.publish(asset, str(server.make_url("/file")), permission)
        yield


async def agreed(node: Running, eclipse: edc.Connector, asset: str) -> str:
    """Anode negotiates for EDC's asset; the agreement's id."""
    peer = seen_from(eclipse)
    dataset = await node.node.peers.dataset(peer, asset)
    offer = {**dataset["hasPolicy"][0], "target": asset}
    process = await node.node.negotiations.request(peer.participant, peer.address, offer)
    process = await until(node, process.pid, "FINALIZED")
    assert process.state == "FINALIZED", process.reason
    return str(process.details["agreement"])


async def fetched(node: Running, transfer: str) -> str:
    """Digest of the data of a started transfer, or the HTTP status that refused it."""
    address = node.node.peers.data_address(transfer)
    headers = {"Authorization": address.authorization}
    async with aiohttp.request("GET", address.endpoint, headers=headers) as answer:
        return hashlib.sha256(await answer.read()).hexdigest() if answer.status == 200 else str(answer.status)


async def peer_of(eclipse: edc.Connector, subject: Subject, pid: str) -> str:
    """EDC's own id for the process that we call `pid`."""
    listed = await eclipse.negotiations() if subject is Subject.NEGOTIATION else await eclipse.transfers()
    return next(str(entry["@id"]) for entry in listed if entry["correlationId"] == pid)


def ours(node: Running, subject: Subject, role: Role) -> Process:
    """The newest process of this node in this role."""
    listed = [entry[-1] for entry in processes.page(node.node.db.read, subject, None, 10)]
    return next(process for process in listed if process.role is role)


async def until_ours(node: Running, process: Process, state: str) -> Process:
    found: Process = await until(node, process.pid, state)
    assert found.state == state, f"{found.state}, not {state}: {found.reason}"
    return found


async def started(eclipse: edc.Connector, node: Running) -> tuple[str, Process]:
    """EDC finds Anode's dataset, negotiates and asks for the data: the transfer's id there, and here."""
    provider = seen_by(node)
    catalog = await eclipse.catalog(provider)
    assert [entry["@id"] for entry in catalog["dataset"]] == [DATASET]
    shown = await eclipse.dataset(provider, DATASET)
    negotiation = await eclipse.negotiate(provider, DATASET, policy_of(shown))
    done = await eclipse.until_negotiation(negotiation, "FINALIZED", "TERMINATED")
    assert done["state"] == "FINALIZED", done
    await until_ours(node, ours(node, Subject.NEGOTIATION, Role.PROVIDER), "FINALIZED")
    transfer = await eclipse.transfer(provider, done["contractAgreementId"])
    await eclipse.until_transfer(transfer, "STARTED")
    mine = await until_ours(node, ours(node, Subject.TRANSFER, Role.PROVIDER), "STARTED")
    return transfer, mine


def policy_of(shown: edc.Json) -> edc.Json:
    listed: Any = shown["hasPolicy"]
    return dict(listed[0] if isinstance(listed, list) else listed)
