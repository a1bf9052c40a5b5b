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
from typing import Any

from connector.config import Config, Limits
from connector.dcp.profiles import PROFILES, Deviation, Profile
from connector.dsp.process import Process
from connector.dsp.terms import Kind, Subject
from connector.errors import LocalProtocolError, NotFound, Unavailable
from connector.flows import configured, ids, issuable, judge, older_proofs, transfer
from connector.flows.agreements import Agreements
from connector.flows.answers import Answers
from connector.flows.audit import Audit
from connector.flows.catalog import Catalog
from connector.flows.claims import Presentations
from connector.flows.clock import Clock
from connector.flows.credentials import Credentials
from connector.flows.data import DataPlane
from connector.flows.decisions import ended
from connector.flows.deliver import Courier
from connector.flows.duties import Duties, standing
from connector.flows.events import Events
from connector.flows.exchange import Conduct, Exchange, Move, Reaction
from connector.flows.grants import Grants
from connector.flows.identify import Caller, Identity, SelfIssued
from connector.flows.issue import CredentialIssuer
from connector.flows.membership import Membership
from connector.flows.moments import Moments
from connector.flows.needs import Needs
from connector.flows.negotiate import Negotiation, Negotiations
from connector.flows.older_proofs import OlderProofs
from connector.flows.own_keys import OwnKeys
from connector.flows.peers import Peers
from connector.flows.publish import Publisher
from connector.flows.pull import Pull
from connector.flows.questions import Questions
from connector.flows.requirements import Requirements
from connector.flows.review import Reviews
from connector.flows.schemas import MAX_BYTES as SCHEMA_BYTES
from connector.flows.schemas import Schemas
from connector.flows.sources import Sources
from connector.flows.statements import Statements
from connector.flows.status import Statuses
from connector.flows.tasks import Tasks
from connector.flows.transfer import DataEndpoint, Policies, Transfer, Transfers
from connector.flows.uses import Counter
from connector.flows.verify import Verifier
from connector.flows.views import Views
from connector.flows.wallet import Wallet
from connector.flows.whatif import WhatIf
from connector.flows.workers import Workers
from connector.odrl import authoring
from connector.odrl.decision import Reason
from connector.odrl.operands import NO_CLAIMS, Claims
from connector.peers.client import Client, Transport
from connector.peers.did_web import DidResolver
from connector.peers.egress import Egress
from connector.store import access
from connector.store import processes as rows
from connector.store.database import Database
from connector.vc import did as did_web
from connector.vc import keystore
from connector.vc.jose import shown

_FETCH = 10.0
"""Seconds that fetching a status list, or a schema, may take."""
_LIST_BYTES = 2 << 20
_LIST_TYPES = ("application/vc+jwt, application/jwt, application/vc, application/json", "application/vc+jwt")
"""What status lists are asked for as; issuers of Eclipse's take one type alone, and answer 415 to more."""
_SCHEMA_TYPES = ("application/schema+json, application/vc+jwt, application/vc, application/json",)

CREDENTIAL_SERVICE = "/dcp/credential-service"
ISSUER_SERVICE = "/dcp/issuer-service"
"""Paths of the claims protocol's services below the public URL."""
_REFRESH_LIFETIME = 30 * 86_400.0
"""Seconds a refresh token lives: long, since every use needs the consumer's signature as well."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What may be other than a product's own: by the simulator, by conformance kits; never by settings."""

    clock: Clock | None = None
    transport: Transport | None = None
    identity: Identity | None = None
    profile: Profile | None = None
    negotiate: Reaction | None = None
    transfer: Reaction | None = None
    new_id: Callable[[], str] | None = None
    jitter: random.Random | None = None


class Node:
    """A running node without its listeners. `start()` it inside an event loop, `close()` it at the end."""

    def __init__(
        self, config: Config, parts: Parts | None = None, reread: Callable[[], Config] | None = None
    ) -> None:
        """`reread` gives the settings as they are now, for `reload`."""
        parts = parts or Parts()
        self.config = config
        self._reread = reread or (lambda: config)
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
            transport,
            "http" if config.network.reach == "loopback" else "https",
            self.clock.now,
            own=lambda did: self.did_document() if did == self.participant and self.keys else None,
        )
        self.profile = parts.profile or PROFILES[config.credentials.profile]
        self.trust = configured.trust(config)
        self.keys = None if parts.identity else OwnKeys(keystore.configured(config), self.clock.now)
        self.own = (
            None
            if self.keys is None
            else SelfIssued(
                self.participant,
                self.keys.key,
                self.resolver,
                self.clock.now,
                profile=self.profile,
                shows=self._shows,
            )
        )
        """How we prove who we are, unless something else was handed in for that."""
        self.identity: Identity = parts.identity or _some(self.own)

        self.db = Database(config.store)
        self.events = Events()
        self.tasks = Tasks()
        self.audit = Audit(Path(f"{config.store}.audit.jsonl"), self.clock)
        self.credentials, self.verifier = self._credentials(transport)
        self.presentations, self.wallet, self.issuer = self._claims(transport, new_id)
        self.membership = None if self.wallet is None else self._membership(self.wallet)
        policies = authoring.load(config.policies)
        self.groups = configured.groups(config)
        self.catalog = Catalog(
            self.db, self.clock, self.participant, self.address, policies, self._claims_of, self._groups_of
        )
        self.sources = Sources(self.db)
        self.publisher = Publisher(self.db, self.clock, self.catalog, self.sources)
        agreed = Policies()
        self.statements, self.duties, self.agreements, self.moments = self._course(transport, new_id, agreed)
        self.needs = Needs(self.db, self.catalog, agreed)
        self.answers = Answers(self.db, self.audit, agreed)
        self.what_if = WhatIf(self.db, self.audit)
        self.grants, self.uses = Grants(self.db, agreed), Counter(self.db)
        self.data = DataPlane(
            self.clock,
            self.audit,
            self.grants,
            self.uses,
            self._end_transfer,
            self.tasks,
            self.sources,
            Views(self.db, self.upstream, config.limits.projected_bytes),
            self._groups_of,
            self.duties,
            self.presentations,
        )
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
            self.agreements.watch,
            new_id,
            parts.transfer
            or transfer.policy_reaction(agreed, self._claims_of, self._groups_of, standing, self.uses.number),
        )
        own = config.negotiation
        limits = judge.Limits(own.counters, own.review, own.review_deadline)
        self.requirements = Requirements(configured.requirements(config), self._groups_of)
        negotiation = Negotiation(
            self.participant,
            self.address,
            self.catalog,
            new_id,
            self._void,
            self.moments.look,
            parts.negotiate or judge.policy_reaction(self.catalog, limits, self.requirements),
            self._awaited,
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
            self.needs.of_process if self.wallet is not None else lambda _: frozenset(),
        )
        self.reviews = Reviews(self.exchange, self.tasks)
        self.negotiations = Negotiations(self.exchange)
        self.transfers = Transfers(self.exchange)
        self.peers = Peers(transport, self.identity, self.resolver, self.db)
        self.pull = Pull(self.db, self.clock, self.client, self.peers, self.transfers, agreed, self.duties)

    async def start(self) -> None:
        """Publish what the catalog files declare, take up what an earlier run left undone."""
        await self.publisher.files(self.config.catalog)
        self.reviews.start()
        self.courier.start()
        self.moments.look()
        if self.issuer is not None:
            self.issuer.start()
        if self.membership is not None:
            self.membership.look()

    async def close(self) -> None:
        """Stop. Nothing that was acknowledged or promised is lost: it is in the store."""
        self.events.close()
        self.moments.close()
        if self.membership is not None:
            self.membership.close()
        if self.issuer is not None:
            self.issuer.close()
        await self.courier.close()
        await self.tasks.close()
        await self.client.close()
        await self.upstream.close()
        await self.credentials.workers.close()
        await self.verifier.close()
        await self.data.close()
        await self.db.close()
        self.audit.close()
        if self.keys is not None:
            self.keys.close()

    def reload(self) -> None:
        """Read anew what may change while the node runs: its keys, and whom it believes.

        Of the settings these count: groups, and credentials.authority, trusted, require and present. Raises
        InvalidFile if something is wrong with any of it; then what held before goes on to hold.
        """
        settings = self._reread()
        trust = configured.trust(settings)
        if self.keys is not None:
            self.keys.reload()
        self.trust, self.groups = trust, configured.groups(settings)
        if self.presentations is not None:
            self.presentations.forget()
        if self.membership is not None:
            self.membership.authority = settings.credentials.authority
            self.membership.look()
        self.data.reconsider()

    async def prove(self, caller: Caller, types: frozenset[str] = frozenset()) -> None:
        """See that what policies ask of a caller is known. Raises as `Presentations.ensure`."""
        if self.presentations is not None:
            await self.presentations.ensure(caller, types)

    def _course(
        self, transport: Transport, new_id: Callable[[], str], policies: Policies
    ) -> tuple[Statements, Duties, Agreements, Moments]:
        """Agreements in force: their moments, their duties, what is said about them."""
        db, clock, events, tasks = self.db, self.clock, self.events, self.tasks
        shared = (self.resolver, transport, db, clock, events, tasks, new_id, self.config.delivery)
        said = Statements(self.own, *shared)
        owed = Duties(db, clock, policies, said, events, tasks)
        agreements = Agreements(
            db,
            clock,
            policies,
            owed,
            said,
            events,
            self._claims_of,
            self._groups_of,
            self._cut,
            self._terminate,
            self._end_transfer,
        )
        moments = Moments(clock, tasks, (agreements, owed, said))

        def look() -> None:
            owed.forget()
            moments.look()

        said.take = {"evidence": owed.take, "retirement": agreements.take}
        said.look = look
        owed.look = agreements.look = moments.look
        return said, owed, agreements, moments

    def _claims_of(self, participant: str) -> Claims:
        return NO_CLAIMS if self.presentations is None else self.presentations.of(participant)

    def _groups_of(self, participant: str) -> frozenset[str]:
        """The groups of partners that a participant is in, by the settings."""
        return self.groups.get(participant, frozenset())

    def _shows(self, types: frozenset[str]) -> frozenset[str]:
        """What of our credentials a peer may read, when policies in play name these types."""
        return frozenset() if self.wallet is None else (types | self.trust.shown) & self.wallet.types

    def _claims(
        self, transport: Transport, new_id: Callable[[], str]
    ) -> tuple[Presentations | None, Wallet | None, CredentialIssuer | None]:
        """The three roles of the claims protocol: verifier, holder, issuer."""
        if self.own is None or self.keys is None:
            return None, None, None
        settings, now, url = self.config.credentials, self.clock.now, self.config.public.url.rstrip("/")
        shared = (self.own, self.resolver, transport)
        believed = (now, lambda: self.trust, self.profile)
        questions = Questions(*shared, self.verifier, *believed)
        presentations = Presentations(questions, self.verifier, self.db, *believed, settings.lifetime)
        wallet = Wallet(
            *shared, self.keys.key, self.verifier, self.db, now, new_id, lambda: self.trust, self.profile
        )
        issuer = CredentialIssuer(
            *shared,
            next(name for name, kind in self.keys.names.items() if kind == "P-256"),
            f"{url}{ISSUER_SERVICE}",
            issuable.load(settings.issue) if settings.issue is not None else {},
            self.credentials,
            self.db,
            self.clock,
            self.tasks,
            new_id,
            self.config.delivery,
            self.profile,
        )
        return presentations, wallet, issuer

    def _membership(self, wallet: Wallet) -> Membership:
        authority, delivery = self.config.credentials.authority, self.config.delivery
        made = Membership(wallet, authority, lambda: self.trust.required, self.clock, self.tasks, delivery)
        wallet.received = made.look
        return made

    def _credentials(self, transport: Transport) -> tuple[Credentials, Verifier]:
        issuers = self.keys.issuers if self.keys else {}
        resources = configured.resources(self.config)

        async def fetched(url: str, types: tuple[str, ...], max_bytes: int) -> bytes:
            for accept in types:
                answer = await transport.request(
                    "GET", url, headers={"accept": accept}, timeout=_FETCH, max_bytes=max_bytes
                )
                if answer.status not in (406, 415):
                    break
            if answer.status != 200:
                raise Unavailable(f"{shown(url)} answered {answer.status}")
            return answer.body

        statuses = Statuses(
            self.db,
            self.clock.now,
            f"{self.config.public.url.rstrip('/')}/status",
            self.keys.dids if self.keys else {},
            partial(fetched, types=_LIST_TYPES, max_bytes=_LIST_BYTES),
            lifetime=self.config.credentials.lifetime,
            demands=self.profile.lists,
        )
        workers = Workers()
        older = OlderProofs(Workers(number=1, program=older_proofs.PROGRAM))
        schemas = Schemas(
            workers, self.clock.now, partial(fetched, types=_SCHEMA_TYPES, max_bytes=SCHEMA_BYTES)
        )
        verifier = Verifier(
            workers,
            self.resolver.resolve,
            self.clock.now,
            statuses,
            schemas,
            resources=resources,
            older_proofs=older,
            relationships=self.profile.relationships,
            loose_shape=self.profile.has(Deviation.LOOSE_SHAPE),
        )
        issuing = Credentials(issuers, workers, self.clock.now, statuses, resources=resources)
        return issuing, verifier

    def did_document(self) -> dict[str, Any]:
        """Our DID document, for `/.well-known/did.json` or the DID's path. Raises NotFound."""
        if self.keys is None:
            raise NotFound("This node has no DID document.")
        services = did_web.services(self.config.public.url, self.config.participant.services)
        return did_web.document(self.participant, self.keys.methods(), services)

    async def refresh(self, participant: str, refresh_token: str) -> tuple[str, str, float]:
        """New tokens for a transfer: access token, refresh token, seconds of the first."""
        issue, now = self._transfer.new_tokens, self.clock.now()
        token, new = await self.grants.refresh(participant, refresh_token, now, issue)
        return token, new, self.config.data.token_lifetime

    def _awaited(self, process: Process) -> None:
        self.reviews.watch(process)

    def _cut(self, pid: str) -> None:
        self.data.cut(pid)

    def _void(self, agreement_id: str, participant: str) -> None:
        for pid in rows.transfers_under(self.db.read, agreement_id, participant):
            self._end_transfer(pid, "The negotiation of its agreement was terminated.")

    def _end_transfer(self, pid: str, reason: str, reasons: tuple[Reason, ...] = ()) -> None:
        self.tasks.run(self._terminate(pid, reason, reasons))

    async def _terminate(self, pid: str, reason: str, reasons: tuple[Reason, ...]) -> Process | None:
        process, move = rows.process(self.db.read, pid), Move(Kind.TERMINATE, reason)
        if process is not None and reasons:
            move = ended(process, reasons, self.clock.now())
        try:
            # Tokens first: a start that waits for its acknowledgement can't be taken back by a message.
            await self.db.write(lambda tx: access.revoke(tx, pid))
            self.data.cut(pid)
            return await self.exchange.send(Subject.TRANSFER, pid, move)
        except (LocalProtocolError, NotFound, Unavailable):
            return None  # it is ending already, or is looked at once it has started; or the node ends


def _some(own: SelfIssued | None) -> SelfIssued:
    assert own is not None  # noqa: S101  # made just above when no identity was handed in
    return own
