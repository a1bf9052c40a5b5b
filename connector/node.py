"""One node, wired from its settings: read this to see what there is and what knows what.

Nothing here is global: several nodes run in one process. Listeners are `connector.web`'s business; a
transport, a clock and an identity can be handed in, which is how the simulator and the conformance
kits run whole nodes.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from connector.config import Config, Limits
from connector.dsp.process import Process
from connector.dsp.terms import Kind, Subject
from connector.errors import LocalProtocolError, NotFound, Unavailable
from connector.flows import ids, negotiate, older_proofs, transfer
from connector.flows.audit import Audit
from connector.flows.catalog import Catalog
from connector.flows.clock import Clock
from connector.flows.credentials import Credentials, Issuer, key_issuer
from connector.flows.data import DataPlane
from connector.flows.deliver import Courier
from connector.flows.events import Events
from connector.flows.exchange import Conduct, Exchange, Reaction
from connector.flows.identify import Identity, SelfIssued
from connector.flows.negotiate import Negotiation, Negotiations
from connector.flows.older_proofs import OlderProofs
from connector.flows.peers import Peers
from connector.flows.publish import Publisher
from connector.flows.pull import Pull
from connector.flows.schemas import MAX_BYTES as SCHEMA_BYTES
from connector.flows.schemas import Schemas
from connector.flows.sources import Sources
from connector.flows.status import Statuses
from connector.flows.tasks import Tasks
from connector.flows.transfer import DataEndpoint, Policies, Transfer, Transfers
from connector.flows.verify import Verifier
from connector.flows.workers import Workers
from connector.odrl import authoring
from connector.peers.client import Client, Transport
from connector.peers.did_web import DidResolver
from connector.peers.egress import Egress
from connector.store import processes as rows
from connector.store.database import Database
from connector.vc import did as did_web
from connector.vc import keys

_FETCH = 10.0
"""Seconds that fetching a status list, or a schema, may take."""
_LIST_BYTES = 2 << 20
_LIST_TYPES = ("application/vc+jwt, application/jwt, application/vc, application/json", "application/vc+jwt")
_SCHEMA_TYPES = ("application/schema+json, application/vc+jwt, application/vc, application/json",)
"""What status lists are asked for as; issuers of Eclipse's take one type alone, and answer 415 to more."""

_REFRESH_LIFETIME = 30 * 86_400.0
"""Seconds a refresh token lives: long, since every use needs the consumer's signature as well."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What may be other than a product's own: by the simulator, by conformance kits; never by settings."""

    clock: Clock | None = None
    transport: Transport | None = None
    identity: Identity | None = None
    negotiate: Reaction | None = None
    transfer: Reaction | None = None
    new_id: Callable[[], str] | None = None
    jitter: random.Random | None = None


class Node:
    """A running node without its listeners. `start()` it inside an event loop, `close()` it at the end."""

    def __init__(self, config: Config, parts: Parts | None = None) -> None:
        parts = parts or Parts()
        self.config = config
        self.participant = config.participant.did
        self.address = f"{config.public.url.rstrip('/')}/dsp"
        """Base URL of our protocol endpoints: what we give as callback address."""
        self.limits: Limits = config.limits
        self.clock = parts.clock or Clock()
        self.started = self.clock.now()
        new_id = parts.new_id or ids.new_id

        egress = Egress(config.network.reach)
        self.check_address = egress.check
        self.client = Client(egress)
        self.upstream = Client(Egress("any"))
        transport = parts.transport or self.client
        self.resolver = DidResolver(
            transport, "http" if config.network.reach == "loopback" else "https", self.clock.now
        )
        self.key = None if parts.identity else keys.load(config.keys, self.participant)
        self.identity = parts.identity or SelfIssued(
            self.participant, _some(self.key), self.resolver, self.clock.now
        )

        self.db = Database(config.store)
        self.events = Events()
        self.tasks = Tasks()
        self.audit = Audit(Path(f"{config.store}.audit.jsonl"), self.clock)
        policies = authoring.load(config.policies)
        self.catalog = Catalog(self.db, self.clock, self.participant, self.address, policies)
        self.sources = Sources(self.db)
        self.publisher = Publisher(self.db, self.clock, self.catalog, self.sources)
        agreed = Policies()
        self.data = DataPlane(self.db, self.clock, self.audit, agreed, self._end_transfer)
        endpoint = DataEndpoint(
            f"{config.public.url.rstrip('/')}/data",
            f"{config.public.url.rstrip('/')}/data/refresh",
            config.data.token_lifetime,
            _REFRESH_LIFETIME,
        )
        self._transfer = Transfer(
            self.address,
            endpoint,
            self.data.cut,
            self.data.watch,
            new_id,
            parts.transfer or transfer.policy_reaction(agreed),
        )
        negotiation = Negotiation(
            self.participant,
            self.address,
            self.catalog,
            new_id,
            self._void,
            parts.negotiate or negotiate.policy_reaction(self.catalog),
        )
        conducts: dict[Subject, Conduct] = {
            Subject.NEGOTIATION: negotiation,
            Subject.TRANSFER: self._transfer,
        }
        delivery = config.delivery
        self.exchange = Exchange(
            self.db,
            self.clock,
            self.events,
            conducts,
            new_id,
            delivery.deadline,
            config.limits.open_processes,
        )
        self.courier = Courier(
            self.exchange,
            transport,
            self.identity,
            delivery.first_retry,
            delivery.longest_retry,
            parts.jitter or random.Random(),  # noqa: S311  # spreads retries, guards nothing
        )
        self.negotiations = Negotiations(self.exchange)
        self.transfers = Transfers(self.exchange)
        self.peers = Peers(transport, self.identity, self.resolver, self.db)
        self.credentials, self.verifier = self._credentials(transport)
        self.pull = Pull(self.db, self.clock, self.client, self.peers, self.transfers)

    async def start(self) -> None:
        """Publish what the catalog files declare, take up what an earlier run left undone."""
        await self.publisher.files(self.config.catalog)
        self.data.start()
        self.courier.start()

    async def close(self) -> None:
        """Stop. Nothing that was acknowledged or promised is lost: it is in the store."""
        self.events.close()
        await self.courier.close()
        await self.tasks.close()
        await self.client.close()
        await self.upstream.close()
        await self.credentials.workers.close()
        await self.verifier.close()
        await self.db.close()
        self.audit.close()

    def _credentials(self, transport: Transport) -> tuple[Credentials, Verifier]:
        issuers = {name: key_issuer(key) for name, key in keys.load_issuers(self.config.keys).items()}
        if self.key is not None:
            issuers[self.key.name] = Issuer(self.participant, self.key.kid, self.key.private)

        async def fetched(url: str, types: tuple[str, ...], max_bytes: int) -> bytes:
            for accept in types:
                answer = await transport.request(
                    "GET", url, headers={"accept": accept}, timeout=_FETCH, max_bytes=max_bytes
                )
                if answer.status not in (406, 415):
                    break
            if answer.status != 200:
                raise Unavailable(f"{url} answered {answer.status}")
            return answer.body

        statuses = Statuses(
            self.db,
            self.clock.now,
            f"{self.config.public.url.rstrip('/')}/status",
            {name: issuer.did for name, issuer in issuers.items()},
            partial(fetched, types=_LIST_TYPES, max_bytes=_LIST_BYTES),
        )
        workers = Workers()
        own = {issuer.method: issuer.private.public_key() for issuer in issuers.values()}
        older = OlderProofs(Workers(number=1, program=older_proofs.PROGRAM))
        schemas = Schemas(
            workers, self.clock.now, partial(fetched, types=_SCHEMA_TYPES, max_bytes=SCHEMA_BYTES)
        )
        verifier = Verifier(
            workers, self.resolver.resolve, self.clock.now, statuses, schemas, own, older_proofs=older
        )
        return Credentials(issuers, workers, self.clock.now, statuses), verifier

    def did_document(self) -> dict[str, object]:
        """Our DID document, for `/.well-known/did.json` or the DID's path."""
        if self.key is None:
            raise NotFound("This node has no DID document.")
        return did_web.document(self.participant, [self.key], self.config.public.url)

    async def refresh(self, participant: str, refresh_token: str) -> tuple[str, str, float]:
        """New tokens for a transfer: access token, refresh token, seconds of the first."""
        token, new = await self.data.refresh(participant, refresh_token, self._transfer.new_tokens)
        return token, new, self.config.data.token_lifetime

    def _void(self, agreement_id: str, participant: str) -> None:
        for pid in rows.transfers_under(self.db.read, agreement_id, participant):
            self._end_transfer(pid, "The negotiation of its agreement was terminated.")

    def _end_transfer(self, pid: str, reason: str) -> None:
        self.tasks.run(self._terminate(pid, reason))

    async def _terminate(self, pid: str, reason: str) -> Process | None:
        try:
            return await self.transfers.move(pid, Kind.TERMINATE, reason)
        except (LocalProtocolError, NotFound, Unavailable):
            return None  # it is ending already, or the node is


def _some(key: keys.Key | None) -> keys.Key:
    assert key is not None  # noqa: S101  # loaded just above when no identity was handed in
    return key
