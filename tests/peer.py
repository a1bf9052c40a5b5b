"""A peer made by hand: what a node sends it is kept, what it says to the node a test decides."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from yarl import URL

from connector.dsp.process import Process
from connector.dsp.terms import CONTEXT, Kind, Role, State, Subject
from connector.flows.clock import Clock
from connector.flows.exchange import Reaction
from connector.node import Node, Parts
from connector.odrl import canonical
from connector.odrl.model import parse
from connector.peers.client import Answer
from connector.store import processes as rows
from connector.store.processes import Agreement
from tests import schemas
from tests.conformance.identities import MockIdentity
from tests.nodes import Running, running

PEER = "did:web:peer.example"
STRANGER = "did:web:stranger.example"
DATASET = "urn:x:battery"
POLICIES = {"open": {"offer": "everyone", "allow": "use"}}
DATASETS = [{"id": DATASET, "title": "Battery", "offers": ["open"], "source": {"inline": {"a": 1}}}]
OFFER = {"@type": "Offer", "@id": f"{DATASET}#o", "target": DATASET, "permission": [{"action": "use"}]}
AGREEMENT_ID = "urn:x:agreement"
CALLBACK = "http://127.0.0.1:9/dsp"


@dataclass
class Mailbox:
    """A transport on which every message is valid, arrives, and is answered as told."""

    answer: Callable[[str, dict[str, Any]], Answer] = lambda url, message: Answer(200, {}, b"")
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30,
        max_bytes: int = 0,
    ) -> Answer:
        message = orjson.loads(body or b"{}")
        if message:
            schemas.check(message)
        self.messages.append((url, message))
        return self.answer(url, message)


@dataclass
class Talk:
    """A node, and a session that speaks to it as anybody."""

    running: Running
    mailbox: Mailbox
    session: aiohttp.ClientSession

    @property
    def node(self) -> Node:
        return self.running.node

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        who: str | None = PEER,
        content_type: str = "application/json",
        **headers: str,
    ) -> tuple[int, Any]:
        """Status and body; every JSON body that names a type is checked against its schema."""
        octets = body if isinstance(body, bytes | None) else orjson.dumps(body)
        if who is not None:
            headers["Authorization"] = json.dumps({"clientId": who})
        if octets is not None:
            headers["Content-Type"] = content_type
        url = URL(
            f"http://127.0.0.1:{self.running.port}{path}", encoded=path.isascii()
        )  # sent as it is written
        async with self.session.request(method, url, data=octets, headers=headers) as response:
            content = await response.read()
            if response.content_type != "application/json":
                return response.status, content
            document = orjson.loads(content)
            if "@type" in document:
                schemas.check(document)
            return response.status, document

    async def post(self, path: str, body: Any, **options: Any) -> tuple[int, Any]:
        return await self.call("POST", "/dsp" + path, body, **options)

    async def place(self, subject: Subject, role: Role, state: State | None, pid: str = "ours") -> Process:
        """Put a process into the store, as it is in this state."""
        return await self.node.db.write(lambda tx: place(tx, self.node, subject, role, state, pid))

    async def quiet(self) -> None:
        """Wait until the node has nothing to carry."""
        while tasks := list(self.node.courier.carrying.values()):
            await asyncio.gather(*tasks)
            await asyncio.sleep(0)

    def contents(self) -> dict[str, list[Any]]:
        """All of the store, to see that nothing has changed."""
        tables = ("processes", "outbox", "history", "agreements", "tokens")
        read = self.node.db.read.execute
        return {t: read(f"SELECT * FROM {t} ORDER BY 1").fetchall() for t in tables}  # noqa: S608  # fixed


def agreement(node: Node, role: Role) -> dict[str, Any]:
    """What the provider of the two would write for `OFFER`; `role` is the node's."""
    parties = (node.participant, PEER) if role is Role.PROVIDER else (PEER, node.participant)
    assigner, assignee = parties
    stamp = {"timestamp": "2026-01-01T00:00:00Z"}
    return {
        **OFFER,
        "@type": "Agreement",
        "@id": AGREEMENT_ID,
        "assigner": assigner,
        "assignee": assignee,
        **stamp,
    }


def place(tx: Any, node: Node, subject: Subject, role: Role, state: State | None, pid: str) -> Process:
    """See `Talk.place`."""
    digest = canonical.digest(parse(OFFER, "Offer"))
    details = (
        {"dataset": DATASET, "offer": OFFER, "digest": digest, "asked": digest, "agreement": AGREEMENT_ID}
        if subject is Subject.NEGOTIATION
        else {"agreement": AGREEMENT_ID, "dataset": DATASET, "format": "HttpData-PULL"}
    )
    process = Process(subject, role, pid, PEER, "theirs", CALLBACK, state, details=details)
    now = node.clock.now()
    rows.save(tx, process, now)
    in_force = subject is Subject.TRANSFER
    document = agreement(node, role)
    rows.save_agreement(
        tx, Agreement(role, AGREEMENT_ID, PEER, DATASET, document, digest, now, pid, in_force)
    )
    return process


def message(type_: str, process: Process | None = None, **members: Any) -> dict[str, Any]:
    """A message in the protocol's plain form, without `@id`, with the pids of a process."""
    pids = {}
    if process is not None:
        pids = {"providerPid": process.provider_pid, "consumerPid": process.consumer_pid}
    return {"@context": [CONTEXT], "@type": type_, **pids, **members}


_SAID: dict[Kind, tuple[str, str, dict[str, Any]]] = {
    Kind.REQUEST: ("request", "ContractRequestMessage", {"offer": OFFER}),
    Kind.OFFER: ("offers", "ContractOfferMessage", {"offer": OFFER}),
    Kind.ACCEPT: ("events", "ContractNegotiationEventMessage", {"eventType": "ACCEPTED"}),
    Kind.FINALIZE: ("events", "ContractNegotiationEventMessage", {"eventType": "FINALIZED"}),
    Kind.AGREE: ("agreement", "ContractAgreementMessage", {}),
    Kind.VERIFY: ("agreement/verification", "ContractAgreementVerificationMessage", {}),
    Kind.START: ("start", "TransferStartMessage", {}),
    Kind.SUSPEND: ("suspension", "TransferSuspensionMessage", {"reason": ["a pause"]}),
    Kind.COMPLETE: ("completion", "TransferCompletionMessage", {}),
}


def say(node: Node, process: Process, kind: Kind) -> tuple[str, dict[str, Any]]:
    """Path and body of a peer's message of this kind to a process, as the specification wants it."""
    base = f"/{process.subject}s/{process.pid}/"
    if kind is Kind.TERMINATE:
        whole = "ContractNegotiation" if process.subject is Subject.NEGOTIATION else "Transfer"
        body = message(f"{whole}TerminationMessage", process, code="1", reason=["enough"])
        return f"{base}termination", body
    segment, type_, members = _SAID[kind]
    if kind is Kind.AGREE:
        members = {"agreement": agreement(node, process.role)}
    return base + segment, message(type_, process, **members)


def quiet(tx: Any, process: Process, now: float) -> None:
    """A reaction that leaves everything to the test."""


@asynccontextmanager
async def talk(
    folder: Path, reaction: Reaction | None = quiet, clock: Clock | None = None, **files: Any
) -> AsyncIterator[Talk]:
    """A node that believes what its callers say of themselves, and sends what it has to say to a mailbox."""
    mailbox = Mailbox()
    parts = Parts(
        clock=clock,
        transport=mailbox,
        identity=MockIdentity("did:web:us"),
        negotiate=reaction,
        transfer=reaction,
    )
    files = {"policies": POLICIES, "datasets": DATASETS, **files}
    async with running(folder, parts=parts, **files) as node, aiohttp.ClientSession() as session:
        yield Talk(node, mailbox, session)
