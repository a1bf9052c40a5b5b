"""Our own credentials: presented to those we have allowed to read them, taken from issuers, asked for.

Decentralized Claims Protocol 1.0.1 as a holder: the credential service ("Resolution API", "Storage API",
"Credential Offer API") and the holder's side of the issuance protocol. Nothing is presented without an access
token that we gave to this very verifier, and nothing beyond its scopes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from connector.dcp import messages, scopes
from connector.dcp.messages import (
    CredentialContainer,
    CredentialMessage,
    CredentialObject,
    CredentialOfferMessage,
    CredentialReference,
    CredentialRequestMessage,
    PresentationQueryMessage,
    PresentationResponseMessage,
)
from connector.dcp.profiles import FORMATS, JWT_11, Deviation, Profile
from connector.dcp.scopes import Scope
from connector.dcp.trust import Trust
from connector.errors import AnodeError, Denied, NotFound, RemoteProtocolError, Unavailable
from connector.flows import issuers
from connector.flows.identify import Caller, SelfIssued
from connector.flows.signing import signed
from connector.flows.verify import Verifier
from connector.peers.client import Transport
from connector.peers.did_web import DidResolver
from connector.store import wallet as rows
from connector.store.database import Database, Transaction
from connector.store.wallet import Held, Request
from connector.vc import credential as model
from connector.vc import envelope
from connector.vc.jose import shown
from connector.vc.keys import Key

_LIFETIME = 300.0
"""Seconds that a presentation lives: long enough for a verifier with a slow clock, too short to be kept."""
_MAX_OFFERS = 20
_MAX_HELD = 500


class Wallet:
    """The credentials of this participant."""

    def __init__(
        self,
        identity: SelfIssued,
        resolver: DidResolver,
        transport: Transport,
        key: Callable[[], Key],
        verifier: Verifier,
        db: Database,
        now: Callable[[], float],
        new_id: Callable[[], str],
        trust: Callable[[], Trust],
        profile: Profile,
    ) -> None:
        self._identity, self._key, self._resolver, self._transport = identity, key, resolver, transport
        self._verifier, self._db, self._now, self._new_id = verifier, db, now, new_id
        self._trust, self._profile = trust, profile
        self._held: frozenset[str] | None = None
        self.received: Callable[[], None] = lambda: None
        """Called when credentials have come."""

    @property
    def types(self) -> frozenset[str]:
        """The types of credentials that we hold."""
        if self._held is None:
            self._held = frozenset(one.type for one in rows.held(self._db.read))
        return self._held

    def held(self) -> list[Held]:
        """All credentials that we hold, newest first."""
        return rows.held(self._db.read)

    def requests(self) -> list[Request]:
        """What we asked issuers for, and what they have offered, newest first."""
        return rows.requests(self._db.read)

    def find(self, pid: str) -> Request:
        """A request of ours, or an offer to us. Raises NotFound."""
        found = rows.request(self._db.read, pid)
        if found is None:
            raise NotFound(f"this node has made no request {shown(pid)}, nor was it offered one")
        return found

    async def drop(self, id_: str) -> None:
        """Remove a credential. Raises NotFound."""
        if not await self._db.write(lambda tx: rows.drop(tx, id_)):
            raise NotFound(f"this wallet holds no credential {shown(id_)}")
        self._changed()

    def _changed(self) -> None:
        self._held = None
        self._identity.renew_access()

    # -- presenting

    async def present(self, caller: Caller, query: PresentationQueryMessage) -> PresentationResponseMessage:
        """Presentations of what a verifier asks for, as far as we have allowed it to read that.

        One for each credential profile, made for this verifier only. Raises Untrusted (no access token of
        ours, or one that we gave to somebody else), RemoteProtocolError (malformed).
        """
        if query.scope is not None and query.presentation_definition is not None:
            raise RemoteProtocolError("send scope or presentationDefinition, not both")
        asked = scopes.parse_all(query.scope or [])
        if not query.scope:
            raise RemoteProtocolError("scope must name at least one credential")
        granted = await self._identity.granted(caller)
        chosen = [one for one in await self._presentable() if self._may_read(one, asked, granted)]
        made = [await self._presentation(caller.did, kind, chosen) for kind in FORMATS]
        return PresentationResponseMessage(presentation=[one for one in made if one is not None])

    def _may_read(self, one: Held, asked: frozenset[Scope], granted: frozenset[Scope]) -> bool:
        by_type = {Scope("type", type_) for type_ in self._types(one.document)}
        ways = by_type | {Scope("id", one.id)}
        if not ways & asked:
            return False
        return bool(ways & asked & granted or by_type & granted)

    def _types(self, document: Mapping[str, Any]) -> set[str]:
        """The types of a credential, with the prefix of its data space and without."""
        found = set(model.types(document))
        return found | {self._profile.plain_type(type_) for type_ in found}

    async def _presentable(self) -> list[Held]:
        """What is valid now; a verifier would refuse the whole presentation for one that is not."""
        now = self._now()
        found = []
        for one in rows.held(self._db.read):
            if one.until is not None and one.until <= now:
                continue
            try:
                await self._verifier.check_status(one.document, one.issuer)
            except Unavailable:
                pass  # the verifier will look for itself
            except AnodeError:
                continue
            found.append(one)
        return found

    async def _presentation(self, audience: str, kind: str, chosen: list[Held]) -> str | None:
        tokens = [one.token for one in chosen if one.format == kind]
        if not tokens:
            return None
        key = self._key()
        about: dict[str, Any] = {"audience": audience, "now": self._now(), "lifetime": _LIFETIME}
        about["token_id"] = self._new_id()
        if kind == JWT_11:
            make = partial(envelope.older_presentation_jwt, tokens, key.signer, key.kid, **about)
        else:
            about["double"] = self._profile.has(Deviation.WRAPPED_PRESENTATIONS)
            make = partial(envelope.presentation_jwt, tokens, key.signer, key.kid, **about)
        return await signed(key.signer, make)

    # -- taking

    async def receive(self, caller: Caller, message: CredentialMessage) -> None:
        """Take what an issuer hands over: what we asked for, or what one that we trust sends unasked.

        All of it or nothing. Raises RemoteProtocolError, Untrusted (a credential does not hold, or is not
        ours) or Denied (we have not asked, and do not trust it).
        """
        # Optional in the specification; but its own kit wants a message refused that says nothing.
        if message.holder_pid is None:
            raise RemoteProtocolError("holderPid is missing: say which request these credentials answer")
        request = rows.request(self._db.read, message.holder_pid)
        if request is not None and request.issuer != caller.did:
            request = None
        now = self._now()
        if message.status == "REJECTED":
            if request is None:
                raise NotFound(f"there is no request {shown(message.holder_pid)} of ours to {caller.did}")
            await self._moved(request.pid, status="REJECTED", reason=message.rejection_reason)
            return
        if not message.credentials:
            raise RemoteProtocolError("credentials must hold at least one credential when status is ISSUED")
        received = [await self._read(caller, one, request) for one in message.credentials]

        def step(tx: Transaction) -> None:
            held = {one.id: one.issuer for one in rows.held(tx)}
            if len(held) + len(received) > _MAX_HELD:
                raise Unavailable(f"this wallet holds {_MAX_HELD} credentials, the most that it takes")
            for one in received:
                if held.get(one.id, one.issuer) != one.issuer:
                    raise Denied(f"this wallet holds a credential {shown(one.id)} of another issuer")
                rows.keep(tx, one)
            if request is not None:
                rows.save_request(
                    tx, replace(request, status="ISSUED", issuer_pid=message.issuer_pid, changed=now)
                )

        await self._db.write(step)
        self._changed()
        self.received()

    async def _read(self, caller: Caller, given: CredentialContainer, request: Request | None) -> Held:
        """A credential out of its container, verified: issued by the caller, about us.

        What can be told without asking anybody comes first: a stranger must not choose what we fetch.
        """
        kind = self._profile.format(given.format)
        if kind is None:
            raise RemoteProtocolError(
                f"format is {shown(given.format)}; {' and '.join(FORMATS)} are taken here"
            )
        loose = self._profile.has(Deviation.LOOSE_SHAPE)
        said = envelope.read(given.payload, "vc", self._now(), older=kind == JWT_11, loose=loose)
        if said.signer != caller.did:
            raise Denied(f"the credential is issued by {shown(said.signer)}, but {caller.did} hands it over")
        document = envelope.unclaimed(said.document)
        # EDC's issuer names every credential VerifiableCredential in its container; the credential knows.
        types = [self._profile.plain_type(t) for t in model.types(document) if t != "VerifiableCredential"]
        if not types:
            raise RemoteProtocolError("the credential has no type besides VerifiableCredential")
        if request is None and not any(caller.did in self._trust().of(type_) for type_ in types):
            raise Denied(
                f"{types[0]}: this participant has not asked {caller.did} for it, nor does it trust it so far"
            )
        subjects = document.get("credentialSubject")
        for subject in subjects if isinstance(subjects, list) else [subjects]:
            if not isinstance(subject, dict) or subject.get("id") != self._identity.did:
                raise Denied(f"the credential is not about {self._identity.did}")
        one = await self._verifier.verify_jwt(given.payload, older=kind == JWT_11, meaning=False)
        until = None if one.until == float("inf") else one.until
        id_ = str(document["id"]) if isinstance(document.get("id"), str) else self._new_id()
        pid = request.pid if request is not None else None
        return Held(id_, types[0], one.issuer, kind, given.payload, document, pid, self._now(), until)

    async def offered(self, caller: Caller, message: CredentialOfferMessage) -> None:
        """Keep an offer until the operator takes it up. Raises Denied: we do not trust who makes it."""
        if not any(caller.did in issuers for issuers in self._trust().issuers.values()):
            raise Denied(f"this participant takes offers of issuers that it trusts; {caller.did} is none")
        now = self._now()
        objects = tuple(one.id for one in message.credentials)
        offer = Request(self._new_id(), caller.did, objects, "OFFERED", None, None, now, now)

        def step(tx: Transaction) -> None:
            if rows.offers_of(tx, caller.did) >= _MAX_OFFERS:
                raise Unavailable(f"{_MAX_OFFERS} offers of {caller.did} wait here already", retry_after=3600)
            rows.save_request(tx, offer)

        await self._db.write(step)

    # -- asking

    async def metadata(self, issuer: str) -> list[CredentialObject]:
        """What an issuer can give. Raises as `issuers.metadata`."""
        return await issuers.metadata(self._resolver, self._transport, issuer)

    async def request(self, issuer: str, types: tuple[str, ...]) -> Request:
        """Ask an issuer for credentials of these types; it hands them over when it has decided.

        Raises NotFound: it gives none of a type; Denied: it refuses.
        """
        return await self._ask(issuer, await self._objects(issuer, types))

    async def ask_once(self, issuer: str, types: frozenset[str]) -> None:
        """Ask an issuer for what no request that waits for it asks for already. Raises as `request`."""
        waiting: set[str] = set()
        for one in rows.requests(self._db.read):
            if one.issuer == issuer and one.status in ("REQUESTED", "RECEIVED") and one.issuer_pid:
                waiting.update(one.objects if await self._waits(one) else ())
        objects = await self._objects(issuer, sorted(types))
        if missing := tuple(object_ for object_ in objects if object_ not in waiting):
            await self._ask(issuer, missing)

    async def _objects(self, issuer: str, types: Sequence[str]) -> tuple[str, ...]:
        """The issuer's credential objects of these types, each in the best format that both know."""
        offered = await self.metadata(issuer)
        objects = []
        for type_ in types:
            fit = [o for o in offered if o.credential_type == type_ and self._format(o) is not None]
            if not fit:
                given = ", ".join(sorted({str(o.credential_type) for o in offered})) or "none"
                raise NotFound(f"{issuer} gives no {type_}; it gives: {given}")
            objects.append(min(fit, key=lambda o: FORMATS.index(str(self._format(o)))).id)
        return tuple(objects)

    async def take_up(self, pid: str) -> Request:
        """Ask for what an issuer has offered. Raises NotFound."""
        offer = rows.request(self._db.read, pid)
        if offer is None or offer.status != "OFFERED":
            raise NotFound(f"there is no offer {shown(pid)} that waits")
        return await self._ask(offer.issuer, offer.objects, pid)

    async def _ask(self, issuer: str, objects: tuple[str, ...], pid: str | None = None) -> Request:
        now = self._now()
        request = Request(pid or self._new_id(), issuer, objects, "REQUESTED", None, None, now, now)
        await self._save(request)  # before it is sent: the answer may overtake the acknowledgement
        message = CredentialRequestMessage(
            holder_pid=request.pid, credentials=[CredentialReference(id=one) for one in objects]
        )
        try:
            answer = await self._transport.request(
                "POST",
                f"{await issuers.service(self._resolver, issuer)}/credentials",
                headers={
                    "Authorization": f"Bearer {await self._identity.token(issuer)}",
                    "Content-Type": "application/json",
                },
                body=orjson.dumps(message.document()),
                timeout=issuers.TIMEOUT,
            )
            issuers.expect(answer, issuer, {200, 201, 202})
        except AnodeError as wrong:
            await self._moved(request.pid, status="REJECTED", reason=str(wrong))
            raise
        location = answer.headers.get("location", "").rstrip("/").rpartition("/")[2]
        return await self._moved(request.pid, issuer_pid=location or None)

    async def refresh(self, pid: str) -> Request:
        """How a request of ours stands with its issuer. Raises NotFound."""
        request = self.find(pid)
        if request.issuer_pid is None:
            raise NotFound(f"the request {pid} has not reached its issuer")
        status = await self._stands(request)
        return request if status == "ISSUED" else await self._moved(pid, status=status)

    async def _waits(self, request: Request) -> bool:
        """Whether its issuer has yet to decide a request; if not, nothing more will come of it."""
        try:
            status = await self._stands(request)
        except (RemoteProtocolError, Denied) as wrong:
            why = f"its issuer knows it no more: {wrong}"
        else:
            if status == "RECEIVED":
                return True
            why = f"its issuer says {status}, and nothing has come"
        await self._moved(request.pid, status="REJECTED", reason=why)
        return False

    async def _stands(self, request: Request) -> str:
        """How a request stands, as its issuer tells it."""
        answer = await self._transport.request(
            "GET",
            f"{await issuers.service(self._resolver, request.issuer)}/requests/{request.issuer_pid}",
            headers={"Authorization": f"Bearer {await self._identity.token(request.issuer)}"},
            timeout=issuers.TIMEOUT,
        )
        issuers.expect(answer, request.issuer, {200})
        return messages.parse(answer.json(), messages.CredentialStatus).status

    async def _moved(self, pid: str, **changes: Any) -> Request:
        """A request with what has changed, unless its credentials have come meanwhile."""

        def step(tx: Transaction) -> Request:
            found = rows.request(tx, pid)
            assert found is not None  # noqa: S101  # kept by whoever calls
            if found.status == "ISSUED":
                return found
            changed = replace(found, changed=self._now(), **changes)
            rows.save_request(tx, changed)
            return changed

        return await self._db.write(step)

    def _format(self, one: CredentialObject) -> str | None:
        return self._profile.format(one.profile) if one.profile else None

    async def _save(self, request: Request) -> None:
        await self._db.write(lambda tx: rows.save_request(tx, request))
