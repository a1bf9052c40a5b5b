"""Credentials given to others: requests taken, decided, and what was issued brought to its holder.

Decentralized Claims Protocol 1.0.1, "Credential Issuance Protocol", as an issuer. A request is kept before it
is acknowledged; so is what is to be delivered, which is tried until its holder has it or the deadline of
deliveries has passed. A credential can be revoked from the moment on that it is signed.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from connector.config import Delivery
from connector.dcp import profiles
from connector.dcp.messages import (
    CredentialContainer,
    CredentialMessage,
    CredentialRequestMessage,
    CredentialStatus,
    IssuerMetadata,
)
from connector.dcp.profiles import Deviation, Profile
from connector.errors import AnodeError, LocalProtocolError, NotFound, RemoteProtocolError, Unavailable
from connector.flows.clock import Clock, Handle
from connector.flows.credentials import Credentials
from connector.flows.identify import Caller, SelfIssued
from connector.flows.issuable import RESERVED, Issuable, Kind, kinds
from connector.flows.peers import reasons
from connector.flows.tasks import Tasks
from connector.peers.client import Transport
from connector.peers.did_web import DidResolver
from connector.store import issuance as rows
from connector.store.database import Database, Transaction
from connector.store.issuance import Issuance, Issued
from connector.vc import credential as model
from connector.vc import did as did_web
from connector.vc.jose import shown

_MAX_WAITING = 20
_MAX_RECENT, _RECENT = 100, 3600.0
"""Requests of one holder, in so many seconds, or that it has not taken yet what it asked for."""
_MAX_OPEN = 10_000
"""Requests of all that wait for a decision or for their holder."""
_TIMEOUT = 30.0
_FORMAT_NAMES = {kind: name for name, kind in profiles.OLDER_FORMATS.items() if name.startswith("VC")}


class CredentialIssuer:
    """Issues the credentials of `issuable`, under the key called `key`, for the participant of `identity`."""

    def __init__(
        self,
        identity: SelfIssued,
        resolver: DidResolver,
        transport: Transport,
        key: str,
        address: str,
        issuable: Mapping[str, Issuable],
        credentials: Credentials,
        db: Database,
        clock: Clock,
        tasks: Tasks,
        new_id: Callable[[], str],
        delivery: Delivery,
        profile: Profile,
    ) -> None:
        self._identity, self._key, self.address = identity, key, address
        self.kinds = kinds(issuable)
        self._credentials, self._resolver, self._transport = credentials, resolver, transport
        self._db, self._clock, self._tasks, self._new_id = db, clock, tasks, new_id
        self._delivery, self._profile = delivery, profile
        self._timers: dict[str, Handle] = {}
        self._under_way: dict[str, asyncio.Event] = {}

    def start(self) -> None:
        """Take up what an earlier run has not delivered, or not issued although the file allows it."""
        for pid, when in rows.undelivered(self._db.read):
            self._wake(pid, when)
        for one in rows.waiting(self._db.read):
            self._issue_if_allowed(one)

    def close(self) -> None:
        """Stop; what is not delivered stays in the store."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def metadata(self) -> IssuerMetadata:
        """What this node issues ("Issuer Metadata API")."""
        objects = [kind.object(f"{self.address}/schemas/{kind.type}") for kind in self.kinds.values()]
        return IssuerMetadata(issuer=self._identity.did, credentials_supported=objects)

    def schema(self, type_: str) -> dict[str, Any]:
        """The JSON schema of a type. Raises NotFound."""
        return self._kind(type_).schema()

    # -- requests

    async def request(self, caller: Caller, message: CredentialRequestMessage) -> str:
        """Take a holder's request; its id. What the file allows is issued at once, the rest waits.

        Raises RemoteProtocolError: an id that is none of our credential objects.
        """
        wanted = tuple(dict.fromkeys(reference.id for reference in message.credentials))
        unknown = [one for one in wanted if one not in self.kinds]
        if unknown:
            given = ", ".join(self.kinds) or "none"
            raise RemoteProtocolError(
                f"credentials: {shown(unknown[0])} is not issued here; these are: {given}"
            )
        now = self._clock.now()
        one = Issuance(
            self._new_id(), caller.did, message.holder_pid, wanted, "RECEIVED", now, now, token=caller.token
        )
        await self._db.write(lambda tx: _taken(tx, one))
        self._issue_if_allowed(one)
        return one.pid

    def status(self, caller: Caller, pid: str) -> CredentialStatus:
        """How a request stands, for who made it. Raises NotFound."""
        one = rows.find(self._db.read, pid)
        if one is None or one.holder != caller.did or one.holder_pid is None:
            raise NotFound(f"there is no request {shown(pid)} of {caller.did} here")
        return CredentialStatus(issuer_pid=one.pid, holder_pid=one.holder_pid, status=one.status)

    async def approve(self, pid: str, claims: Mapping[str, Any] | None = None) -> Issuance:
        """Issue what a request asks for. `claims` are said of the holder beside those of the file.

        Raises NotFound; LocalProtocolError: it is decided already.
        """
        one = self._undecided(pid)
        signed = [await self._signed(self.kinds[id_], one.holder, claims or {}) for id_ in one.objects]
        return await self._decide(one, signed)

    async def reject(self, pid: str, reason: str) -> Issuance:
        """Refuse a request; its holder is told why. Raises as `approve`."""
        one = self._undecided(pid)
        message = CredentialMessage(
            issuer_pid=one.pid, holder_pid=one.holder_pid, status="REJECTED", rejection_reason=reason
        )
        return await self._put(replace(one, status="REJECTED", reason=reason), message, [])

    async def give(self, holder: str, types: Sequence[str], claims: Mapping[str, Any]) -> Issuance:
        """Issue credentials that nobody has asked for, and bring them to the holder.

        A request of the holder for just these that waits is approved instead. Raises NotFound (no such type,
        or no such participant), LocalProtocolError (a claim that can't be made).
        """
        wanted = [self._kind(type_) for type_ in types]
        for one in rows.waiting(self._db.read, holder):
            if {self.kinds[id_].type for id_ in one.objects if id_ in self.kinds} == set(types):
                return await self.approve(one.pid, claims)
        await self._resolver.resolve(holder)  # before anything is signed: is there such a participant?
        signed = [await self._signed(kind, holder, claims) for kind in wanted]
        now = self._clock.now()
        ids = tuple(kind.id for kind in wanted)
        return await self._decide(Issuance(self._new_id(), holder, None, ids, "RECEIVED", now, now), signed)

    def find(self, pid: str) -> Issuance:
        """A request. Raises NotFound."""
        one = rows.find(self._db.read, pid)
        if one is None:
            raise NotFound(f"nobody has made a request {shown(pid)} here")
        return one

    def requests(self) -> list[Issuance]:
        """Requests, newest first, decided or not."""
        return rows.listing(self._db.read)

    def issued(self, holder: str | None = None) -> list[Issued]:
        """What was issued, newest first: to all, or to one holder."""
        return rows.all_issued(self._db.read, holder)

    def find_issued(self, id_: str) -> Issued:
        """A credential that was issued. Raises NotFound."""
        one = rows.issued(self._db.read, id_)
        if one is None:
            raise NotFound(f"this node has issued no credential {shown(id_)}")
        return one

    async def set_state(self, id_: str, state: rows.State) -> Issued:
        """Revoke or suspend a credential, or make it valid again after it was suspended.

        Raises NotFound; LocalProtocolError: it was revoked, which can't be undone.
        """
        self.find_issued(id_)

        def step(tx: Transaction) -> Issued:
            # Read where it is written: what comes after a revocation must see it.
            one = rows.issued(tx, id_)
            assert one is not None  # noqa: S101  # found above, and none is ever removed
            if one.state == "revoked" and state != "revoked":
                raise LocalProtocolError(f"{id_} was revoked; that can't be undone: issue a new one")
            entries = model.statuses(one.document)
            if state == "suspended" and not any(e["statusPurpose"] == "suspension" for e in entries):
                raise LocalProtocolError(f"{id_} can only be revoked: it has no status for suspension")
            for entry in entries:
                is_set = state == {"revocation": "revoked", "suspension": "suspended"}[entry["statusPurpose"]]
                self._credentials.statuses.set_within(tx, entry, value=is_set)
            changed = one._replace(state=state)
            rows.keep_issued(tx, changed)
            return changed

        return await self._db.write(step)

    # -- within

    def _kind(self, type_: str) -> Kind:
        for kind in self.kinds.values():
            if kind.type == type_:
                return kind
        given = ", ".join(sorted({kind.type for kind in self.kinds.values()}))
        mend = f"it issues: {given}" if given else "it issues none: credentials.issue names the file for that"
        raise NotFound(f"this node issues no {shown(type_)}; {mend}")

    def _issue_if_allowed(self, one: Issuance) -> None:
        """Approve a request of which the file allows all."""
        if all(id_ in self.kinds and self.kinds[id_].issuable.permits(one.holder) for id_ in one.objects):
            self._tasks.run(self.approve(one.pid))

    def _undecided(self, pid: str) -> Issuance:
        one = self.find(pid)
        if one.status != "RECEIVED":
            raise LocalProtocolError(f"the request {pid} is decided: {one.status}")
        missing = [id_ for id_ in one.objects if id_ not in self.kinds]
        if missing:
            raise NotFound(f"{missing[0]} is not issued here any more; reject the request")
        return one

    async def _signed(
        self, kind: Kind, holder: str, claims: Mapping[str, Any]
    ) -> tuple[Issued, CredentialContainer]:
        if reserved := sorted(RESERVED & claims.keys()):
            raise LocalProtocolError(f"a claim can't be called {reserved[0]}: that is not for anybody to say")
        now = self._clock.now()
        document = kind.document(self._new_id(), self._identity.did, holder, claims, now)
        document = await self._credentials.statuses.assigned(self._key, document, kind.issuable.status)
        token = await self._credentials.issue_jwt(self._key, document, meaning=False)
        until = now + kind.issuable.lasts
        record = Issued(document["id"], kind.type, holder, kind.format, document, now, until, "valid")
        older = self._profile.has(Deviation.OLDER_FORMAT_NAMES)
        name = _FORMAT_NAMES[kind.format] if older else kind.format
        return record, CredentialContainer(credential_type=kind.type, format=name, payload=token)

    async def _decide(self, one: Issuance, signed: Sequence[tuple[Issued, CredentialContainer]]) -> Issuance:
        message = CredentialMessage(
            issuer_pid=one.pid,
            holder_pid=one.holder_pid or one.pid,
            status="ISSUED",
            credentials=[container for _, container in signed],
        )
        return await self._put(replace(one, status="ISSUED"), message, [record for record, _ in signed])

    async def _put(self, one: Issuance, message: CredentialMessage, issued: Sequence[Issued]) -> Issuance:
        """Keep a decision, what it issued and the message about it, all together; then deliver."""
        now = self._clock.now()
        decided = replace(one, changed=now, message=orjson.dumps(message.document()), next_try=now)

        def step(tx: Transaction) -> None:
            found = rows.find(tx, one.pid)
            if found is not None and found.status != "RECEIVED":
                raise LocalProtocolError(f"the request {one.pid} is decided: {found.status}")
            rows.save(tx, decided)
            for record in issued:
                rows.keep_issued(tx, record)

        await self._db.write(step)
        self._wake(one.pid, now)
        return decided

    async def _save(self, one: Issuance) -> None:
        await self._db.write(lambda tx: rows.save(tx, one))

    # -- delivery

    def _wake(self, pid: str, when: float) -> None:
        if when > self._clock.now():
            self._timers[pid] = self._clock.call_at(when, lambda: self._wake(pid, 0.0))
            return
        self._timers.pop(pid, None)
        if pid not in self._under_way:
            self._under_way[pid] = asyncio.Event()
            self._tasks.run(self._deliver(pid))

    async def attempted(self, pid: str, patience: float) -> Issuance:
        """A request once its message was tried to be delivered, or after so many seconds. Raises NotFound."""
        if (event := self._under_way.get(pid)) is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), patience)
        return self.find(pid)

    async def _deliver(self, pid: str) -> None:
        try:
            await self._try(pid)
        finally:
            self._under_way.pop(pid).set()
        if (one := rows.find(self._db.read, pid)) is not None and one.message is not None:
            self._wake(pid, one.next_try)

    async def _try(self, pid: str) -> None:
        one = rows.find(self._db.read, pid)
        if one is None or one.message is None:
            return
        problem, final = await self._attempt(one)
        now = self._clock.now()
        if problem is None:
            await self._save(replace(one, message=None, problem=None, token=None, attempts=one.attempts + 1))
            return
        if final or now >= one.changed + self._delivery.deadline:
            await self._save(
                replace(one, message=None, problem=problem, token=None, attempts=one.attempts + 1)
            )
            return
        pause = min(self._delivery.longest_retry, self._delivery.first_retry * 2**one.attempts)
        await self._save(replace(one, problem=problem, attempts=one.attempts + 1, next_try=now + pause))

    async def _attempt(self, one: Issuance) -> tuple[str | None, bool]:
        """Why a message could not be delivered (None: it was), and whether it never will be."""
        try:
            document = await self._resolver.resolve(one.holder)
            service = did_web.service_endpoint(document, "CredentialService").rstrip("/")
            answer = await self._transport.request(
                "POST",
                f"{service}/credentials",
                headers={
                    "Authorization": f"Bearer {await self._identity.token(one.holder, one.token)}",
                    "Content-Type": "application/json",
                },
                body=one.message,
                timeout=_TIMEOUT,
            )
        except AnodeError as wrong:
            return str(wrong), False
        if 200 <= answer.status < 300:
            return None, False
        said = "; ".join(reasons(answer))[:500]
        problem = f"the credential service of {one.holder} answered {answer.status}{said and f': {said}'}"
        return problem, answer.status in (400, 403, 413, 422)


def _taken(tx: Transaction, one: Issuance) -> None:
    """Keep a request, unless there are too many; asked where it is kept, so that no two are taken for one."""
    if len(rows.waiting(tx, one.holder)) >= _MAX_WAITING:
        raise Unavailable(f"{_MAX_WAITING} requests of {one.holder} wait here already", retry_after=_RECENT)
    if rows.lately(tx, one.holder, one.created - _RECENT) >= _MAX_RECENT:
        raise Unavailable(
            f"{one.holder} has made {_MAX_RECENT} requests in an hour, or does not take what it gets",
            retry_after=_RECENT,
        )
    if rows.open_ones(tx) >= _MAX_OPEN:
        raise Unavailable("too many requests wait here", retry_after=_RECENT)
    rows.save(tx, one)
