"""The node that the DSP kit tests: the product's own, with the kit's script for reactions, and its hooks.

    python -m tests.conformance.tck_node FOLDER

Prints the kit's settings for it as one line of JSON once it listens, and runs until it is terminated.
"""

import argparse
import asyncio
import json
import signal
import uuid
from pathlib import Path
from typing import Any

from aiohttp import web

from connector import config as settings
from connector.dcat import model as dcat
from connector.dsp import negotiation, transfer
from connector.dsp.process import Process
from connector.dsp.terms import Kind, Role, State, Subject
from connector.flows.clock import iso
from connector.flows.exchange import Move
from connector.node import Node, Parts
from connector.odrl import canonical
from connector.odrl.model import parse
from connector.store import catalog as datasets
from connector.store import processes
from connector.store.database import Transaction
from connector.web import public
from tests.conformance import script
from tests.conformance.artifacts import free_ports
from tests.conformance.identities import FixedIdentity
from tests.nodes import prepare

DELAY = 0.3
"""Seconds before a reaction: the kit registers what it expects only after it has read our answer."""

POLICIES = {"tck": {"offer": "everyone", "allow": "use"}}
REACHED_BY: dict[State | None, Kind] = {
    state: kind
    for table in (negotiation.TRANSITIONS, transfer.TRANSITIONS)
    for by_state in table.values()
    for kinds in by_state.values()
    for kind, state in kinds.items()
}
"""Each state of the protocol is reached by one kind of message."""


class Scripted:
    """A reaction that follows `script.py`. What a process has exchanged is kept by its number of steps, so
    that a decision made twice (a transaction was undone) is the same."""

    def __init__(self) -> None:
        self._exchanged: dict[str, dict[int, Kind]] = {}

    def react(self, tx: Transaction, process: Process, now: float) -> Move | None:
        exchanged = self._exchanged.setdefault(process.pid, {})
        exchanged[process.steps] = REACHED_BY[process.state]
        subject = "dataset" if process.subject is Subject.NEGOTIATION else "agreement"
        due = _due(process.details[subject], [exchanged[step] for step in sorted(exchanged)])
        if due is None:
            return None
        repeats_offer = due in (Kind.REQUEST, Kind.OFFER)
        content = {"offer": process.details["offer"]} if repeats_offer else {}
        return Move(due, "the kit's script says so", content, DELAY)


def _due(case: str, exchanged: list[Kind]) -> Kind | None:
    """What the node is to send next, if anything."""
    due: list[Kind] = []
    for number, kind in enumerate(exchanged, 1):
        if due and due[0] is kind:
            del due[0]
        due += script.steps(case, kind, exchanged[:number].count(kind))
    return due[0] if due else None


async def seed(node: Node) -> None:
    """The datasets and agreements that the kit relies on."""
    now = node.clock.now()
    members = dcat.dataset_members("Conformance", None, (), "application/json", {})
    source = {"inline": "{}", "media_type": "application/json"}

    def step(tx: Transaction) -> None:
        for dataset in script.DATASETS:
            stored = datasets.Stored(dataset, dataset, members, source, tuple(POLICIES))
            datasets.publish(tx, stored, {}, {}, "conformance", now)
        for role, cases in (
            (Role.PROVIDER, script.PROVIDER_TRANSFERS),
            (Role.CONSUMER, script.CONSUMER_TRANSFERS),
        ):
            for case in cases:
                processes.save_agreement(tx, _agreement(node, role, case, now))

    await node.db.write(step)
    node.catalog.changed()


def _agreement(node: Node, role: Role, case: str, now: float) -> processes.Agreement:
    parties = [node.participant, script.KIT]
    assigner, assignee = parties if role is Role.PROVIDER else reversed(parties)
    dataset = script.DATASETS[0]
    document = {
        "@type": "Agreement",
        "@id": case,
        "target": dataset,
        "assigner": assigner,
        "assignee": assignee,
        "timestamp": iso(now),
        "permission": [{"action": "use"}],
    }
    negotiated = f"urn:uuid:{uuid.uuid4()}"
    digest = canonical.digest(parse(document, "Agreement"))
    return processes.Agreement(
        role, case, script.KIT, dataset, document, digest, now, negotiated, in_force=True
    )


def hooks(node: Node) -> web.Application:
    """The two places where the kit makes the node start a process."""

    async def negotiate(request: web.Request) -> web.Response:
        asked = await request.json()
        offer = {
            "@type": "Offer",
            "@id": asked["offerId"],
            "target": asked["datasetId"],
            "permission": [{"action": "use"}],
        }
        await node.negotiations.request(asked["providerId"], asked["connectorAddress"], offer)
        return web.Response()

    async def request_transfer(request: web.Request) -> web.Response:
        asked = await request.json()
        content = {"agreement": asked["agreementId"], "dataset": "", "format": asked["format"]}
        await node.exchange.open(
            Subject.TRANSFER,
            asked["providerId"],
            asked["connectorAddress"],
            Move(Kind.REQUEST, content=content),
        )
        return web.Response()

    application = web.Application()
    application.add_routes([web.post("/negotiations", negotiate), web.post("/transfers", request_transfer)])
    return application


async def serve(folder: Path) -> None:
    config = settings.load(prepare(folder, free_ports(1)[0], POLICIES))
    identity, reaction = FixedIdentity(script.KIT), Scripted().react
    node = Node(config, Parts(identity=identity, negotiate=reaction, transfer=reaction))
    listening, _ = await public.start(node)
    beside, port = await public.listen(hooks(node), "127.0.0.1", 0)
    await node.start()
    await seed(node)
    url = config.public.url
    told: dict[str, Any] = script.settings(node.participant, url, node.address, f"http://127.0.0.1:{port}")
    print(json.dumps(told), flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await beside.cleanup()
    await listening.cleanup()
    await node.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where its files go")
    asyncio.run(serve(parser.parse_args().folder))
