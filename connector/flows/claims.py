"""What participants have proved: asked for when a policy needs it, remembered, looked at again.

Decentralized Claims Protocol 1.0.1, "Verifiable Presentation Protocol", as a verifier. A participant sends an
access token with each request; with it we ask its credential service for the credential types that the
policies in play name. What it presents of issuers that we believe is verified whole: one credential in it
that does not hold, and none of it counts. What others have issued is not even looked at, since anybody can
issue anything. Then it is kept: a later request costs a look into memory. Kept or not, a credential counts
only until it ends, and only while its issuer speaks for it: now and then its status list is fetched anew, and
its signature checked by the keys that the issuer publishes then. So long what was proved stays proved: a
request that lets us read less, or a wallet that shows nothing, takes nothing back.

A participant chooses where we ask it and what comes back. So it is remembered for seconds that no wallet of
its own answered, what waits is limited for each host, and of what was presented we keep what was asked for.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from connector.dcp import messages
from connector.dcp.messages import PresentationQueryMessage, PresentationResponseMessage
from connector.dcp.profiles import Deviation, Profile
from connector.dcp.trust import Trust
from connector.errors import (
    AnodeError,
    Denied,
    EgressDenied,
    NotFound,
    RemoteProtocolError,
    Unavailable,
    Untrusted,
)
from connector.flows.identify import Caller, SelfIssued
from connector.flows.peers import reasons
from connector.flows.verify import Verifier
from connector.odrl.operands import NO_CLAIMS, Claim, Claims
from connector.peers.client import Answer, Transport
from connector.peers.did_web import DidResolver
from connector.peers.places import Places
from connector.store import wallet as rows
from connector.store.database import Database
from connector.vc import credential as model
from connector.vc import did as did_web
from connector.vc import envelope, jws
from connector.vc.jose import shown

TIMEOUT = 10.0
MAX_BYTES = 1 << 20
_DOUBT = 5.0
"""Seconds for which a participant that lacks a credential is not asked for it again."""
_CAPACITY = 10_000
_AT_ONCE, _OF_HOST = 64, 16
_FAILURE_LIFETIME = 5.0
_FOREIGN = 0.0
"""When a credential ends that we have not verified, since we don't believe its issuer: before it began."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a participant presented when it was asked for the types `asked`; to be asked again at `ends`.

    `made` is when, `token` the digest of the access token that it was asked with. `claims` is what counts of
    it until `settled`, when status lists must be looked at again; signatures, at `checked` plus a lifetime.
    """

    asked: frozenset[str]
    credentials: tuple[rows.Presented, ...]
    ends: float
    checked: float
    made: float = -math.inf
    token: int = 0
    claims: Claims = NO_CLAIMS
    settled: float = -math.inf


class Presentations:
    """The claims of participants. `lifetime`: seconds after which a participant is asked again."""

    def __init__(
        self,
        identity: SelfIssued,
        resolver: DidResolver,
        transport: Transport,
        verifier: Verifier,
        db: Database,
        now: Callable[[], float],
        trust: Callable[[], Trust],
        profile: Profile,
        lifetime: float,
    ) -> None:
        self._identity, self._resolver, self._transport = identity, resolver, transport
        self._verifier, self._db, self._now = verifier, db, now
        self._trust, self._profile, self._lifetime = trust, profile, lifetime
        self._kept: dict[str, _Kept] = {}
        self._under_way: dict[str, asyncio.Task[_Kept]] = {}
        self._places = Places(_AT_ONCE, _OF_HOST)
        self._failures: dict[str, tuple[AnodeError, float]] = {}

    def of(self, participant: str) -> Claims:
        """What is known of a participant now, without asking anybody."""
        kept = self._kept.get(participant)
        return NO_CLAIMS if kept is None else kept.claims

    async def ensure(self, caller: Caller, types: frozenset[str] = frozenset()) -> None:
        """See that the caller's credentials of these types, and those that everybody needs, are known.

        Raises Denied (a credential that everybody needs is missing), Untrusted or RemoteProtocolError (what
        it presents does not hold), Unavailable (its credential service, or a status list, can't be had now).
        """
        trust = self._trust()
        wanted = types | trust.required
        if not wanted:
            return
        kept = self._known(caller.did)
        if kept is not None:
            kept = await self._settled(caller.did, kept)
        while kept is None or self._outdated(kept, wanted, caller.token):
            before = kept.asked if kept is not None and self._now() < kept.ends else frozenset()
            kept, alone = await self._asked(caller, wanted | before)
            kept = await self._settled(caller.did, kept)
            if alone:
                break
        self._demand(caller.did, kept.claims, trust)

    async def current(self, participant: str, types: frozenset[str]) -> Claims:
        """What counts of a participant's claims now, for a request that brings no access token.

        Raises Denied: a credential that everybody needs is missing.
        """
        trust = self._trust()
        if not types and not trust.required:
            return NO_CLAIMS
        kept = self._known(participant)
        if kept is None:
            kept = _Kept(frozenset(), (), -math.inf, -math.inf)
        else:
            kept = await self._settled(participant, kept)
        self._demand(participant, kept.claims, trust)
        return kept.claims

    @property
    def demanding(self) -> bool:
        """Whether there are credentials that everybody needs."""
        return bool(self._trust().required)

    def good_until(self, participant: str) -> float:
        """When what counts of a participant's claims must be looked at again."""
        kept = self._kept.get(participant)
        if kept is None:
            return self._now()
        ends = [c.until for claims in kept.claims.held.values() for c in claims if c.until > self._now()]
        return min([kept.settled, *ends])

    def forget(self) -> None:
        """Whom we believe has changed: judge what was presented anew."""
        self._kept.clear()
        self._failures.clear()

    def _demand(self, participant: str, claims: Claims, trust: Trust) -> None:
        now = self._now()
        for type_ in sorted(trust.required):
            if not any(claim.until > now for claim in claims.held.get(type_, ())):
                from_whom = f" from {' or '.join(trust.of(type_))}" if trust.of(type_) else ""
                why = claims.refused.get(type_)
                raise Denied(
                    f"{participant} has presented no {type_} that is valid now"
                    f"{f' ({why})' if why else ''}; every participant of this data space needs one: get it"
                    f"{from_whom}, and let this node read it."
                )

    def _outdated(self, kept: _Kept, wanted: frozenset[str], token: str | None) -> bool:
        """Whether to ask a participant again: after a while, for more, for what it may have by now."""
        now = self._now()
        if now >= kept.ends or not wanted <= kept.asked:
            return True
        held = kept.claims.held
        if all(any(claim.until > now for claim in held.get(type_, ())) for type_ in wanted):
            return False
        return now >= kept.made + _DOUBT or hash(token) != kept.token

    def _known(self, participant: str) -> _Kept | None:
        kept = self._kept.get(participant)
        if kept is None and (stored := rows.presented_by(self._db.read, participant)) is not None:
            kept = _Kept(stored.asked, stored.credentials, -math.inf, stored.verified)
            self._keep(participant, kept)
        return kept

    def _keep(self, participant: str, kept: _Kept) -> None:
        self._kept.pop(participant, None)
        self._kept[participant] = kept
        if len(self._kept) > _CAPACITY:
            del self._kept[next(iter(self._kept))]

    # -- asking

    async def _asked(self, caller: Caller, types: frozenset[str]) -> tuple[_Kept, bool]:
        """What the caller presents; and whether it was asked just now, for us."""
        task = self._under_way.get(caller.did)
        if task is not None:
            return await asyncio.shield(task), False
        now = self._now()
        proved = self._known(caller.did)
        if caller.token is None:  # what is known must do for this request: the next may bring a token
            return proved or _Kept(types, (), now, now), True
        trouble, ends = self._failures.get(caller.did, (None, now))
        if trouble is not None and now < ends:
            raise _again(trouble, ends - now)
        known = proved is not None and any(one.until > now for one in proved.credentials)
        if not self._places.take(caller.did, known=known):
            raise Unavailable("this node asks too many participants for credentials now", retry_after=2)
        task = self._under_way[caller.did] = asyncio.create_task(self._ask(caller, types))
        task.add_done_callback(lambda _: self._places.leave(caller.did, known=known))
        # Shielded: who stops waiting must not stop it for the others.
        return await asyncio.shield(task), True

    async def _ask(self, caller: Caller, types: frozenset[str]) -> _Kept:
        try:
            return await self._renewed(caller, types)
        finally:
            # Here and not when the task's callbacks run: who finds it ended and not to its liking would ask
            # for it for ever, since to wait for what has ended gives nobody else a turn.
            del self._under_way[caller.did]

    async def _renewed(self, caller: Caller, types: frozenset[str]) -> _Kept:
        now = self._now()
        try:
            entries = await self._presented(caller, types)
        except AnodeError as trouble:
            # What answered is not the caller's wallet, or not in order. But one that has presented an ended
            # credential may have a new one in a moment.
            self._failures.pop(caller.did, None)
            self._failures[caller.did] = (trouble, self._now() + _FAILURE_LIFETIME)
            if len(self._failures) > _CAPACITY:
                del self._failures[next(iter(self._failures))]
            raise
        found = await self._verified(caller, types, entries)
        before, checked = self._proved_before(caller.did, [one for one in found if one.until > _FOREIGN])
        types |= {type_ for one in before for type_ in self._types(one.document)}
        credentials = (*found, *before)
        # What was not verified stays in memory, and of strangers nothing else is there.
        worth = tuple(one for one in credentials if one.until > _FOREIGN)
        ends = min([now + self._lifetime, *(one.until for one in worth)])
        kept = _Kept(types, credentials, ends, checked, now, hash(caller.token))
        stored = rows.presented_by(self._db.read, caller.did)
        if (worth or stored) and (stored is None or (stored.asked, stored.credentials) != (types, worth)):
            await self._db.write(
                lambda tx: rows.keep_presented(tx, caller.did, rows.Stored(types, worth, checked))
            )
        self._keep(caller.did, kept)
        return kept

    def _proved_before(
        self, participant: str, found: list[rows.Presented]
    ) -> tuple[list[rows.Presented], float]:
        """What it presented earlier and nothing newer replaces; and when all that it has was verified."""
        kept, now = self._known(participant), self._now()
        if kept is None:
            return [], now
        newer = frozenset().union(*(self._types(one.document) for one in found))
        stays = [one for one in kept.credentials if one.until > now and not self._types(one.document) & newer]
        return stays, kept.checked if stays else now

    def _types(self, document: Mapping[str, Any]) -> frozenset[str]:
        found = frozenset(self._profile.plain_type(type_) for type_ in model.types(document))
        return found - {"VerifiableCredential"}

    async def _presented(self, caller: Caller, types: frozenset[str]) -> list[Any]:
        """The credentials, not looked at so far, in presentations that the caller made, for us."""
        document = await self._resolver.resolve(caller.did)
        required = self._trust().required
        fewer = self._profile.has(Deviation.OVER_ASKING_REFUSED) and required and required < types
        try:
            service = did_web.service_endpoint(document, "CredentialService").rstrip("/")
            answer = await self._query(service, caller, types)
            if fewer and 400 <= answer.status < 500:
                answer = await self._query(service, caller, required)
        except RemoteProtocolError as wrong:
            what = f"the credential service of {caller.did} can't be used"
            raise Untrusted(what, *wrong.reasons) from None
        except NotFound as missing:
            raise Untrusted(*missing.reasons) from None
        except EgressDenied as denied:
            what = f"the credential service of {caller.did} is out of reach of this node"
            raise Untrusted(what, *denied.reasons) from None
        if answer.status not in range(200, 300):
            said = "; ".join(reasons(answer))[:500]
            what = f"the credential service of {caller.did} answered {answer.status}{said and f': {said}'}"
            raise Unavailable(what) if answer.status >= 500 else Untrusted(what)
        try:
            return await self._opened(caller, answer)
        except RemoteProtocolError as wrong:
            what = f"what the credential service of {caller.did} answers is wrong"
            raise Untrusted(what, *wrong.reasons) from None

    async def _query(self, service: str, caller: Caller, types: frozenset[str]) -> Answer:
        query = PresentationQueryMessage(scope=[self._profile.scope(type_) for type_ in sorted(types)])
        return await self._transport.request(
            "POST",
            f"{service}/presentations/query",
            headers={
                "Authorization": f"Bearer {await self._identity.token(caller.did, caller.token)}",
                "Content-Type": "application/json",
            },
            body=orjson.dumps(query.document()),
            timeout=TIMEOUT,
            max_bytes=MAX_BYTES,
        )

    async def _opened(self, caller: Caller, answer: Answer) -> list[Any]:
        entries: list[Any] = []
        for presentation in messages.parse(answer.json(), PresentationResponseMessage).presentation:
            if not isinstance(presentation, str):
                raise RemoteProtocolError(
                    "a presentation must be a JWT: the profiles spoken here have no other"
                )
            older = "vp" in jws.parse(presentation).payload
            made = await self._verifier.presentation_jwt(
                presentation, self._identity.did, None, older=older, meaning=False
            )
            if made.holder != caller.did:
                raise Untrusted(
                    f"{caller.did} has sent a presentation that {shown(made.holder)} made; it must be its own"
                )
            entries += model.credentials(made.document)
            if len(entries) > messages.MAX_CREDENTIALS:
                raise RemoteProtocolError(f"more than {messages.MAX_CREDENTIALS} credentials are presented")
        return entries

    async def _verified(
        self, caller: Caller, types: frozenset[str], entries: list[Any]
    ) -> list[rows.Presented]:
        try:
            return [await self._credential(caller, types, entry) for entry in entries]
        except RemoteProtocolError as wrong:
            what = f"a credential that {caller.did} presents is wrong"
            raise Untrusted(what, *wrong.reasons) from None
        except EgressDenied as denied:
            what = f"what a credential of {caller.did} refers to is out of reach of this node"
            raise Untrusted(what, *denied.reasons) from None

    async def _credential(self, caller: Caller, types: frozenset[str], entry: Any) -> rows.Presented:
        """A credential in a presentation: verified and about the caller, if we asked for one of its types and
        believe its issuer.

        If not, neither its keys nor its status are fetched from anywhere: its name is all that is kept.
        """
        if not isinstance(entry, str) and not envelope.is_enveloped(entry, "vc"):
            raise RemoteProtocolError("a credential must be a JWT: the profiles spoken here have no other")
        token, older = (entry, True) if isinstance(entry, str) else envelope.unwrapped(entry, "vc")
        loose = self._profile.has(Deviation.LOOSE_SHAPE)
        said = envelope.read(token, "vc", self._now(), older=older, loose=loose)
        named = [self._profile.plain_type(type_) for type_ in model.types(said.document)]
        wanted, trust = types & {*named}, self._trust()
        if not any(said.signer in trust.of(type_) for type_ in wanted):
            return rows.Presented(said.signer, {"type": sorted(wanted)}, _FOREIGN, "")
        one = await self._verifier.verify_jwt(token, older=older, meaning=False)
        for subject in _subjects(one.document):
            if subject.get("id") != caller.did:
                raise Untrusted(
                    f"a credential that {caller.did} presents is about {shown(subject.get('id'))}, not about "
                    "itself"
                )
        return rows.Presented(one.issuer, dict(one.document), one.until, token)

    # -- judging

    async def _settled(self, participant: str, kept: _Kept) -> _Kept:
        """The same with claims that count now: what its issuer speaks for no more, does not."""
        now = self._now()
        if now < kept.settled:
            return kept
        trust = self._trust()
        again = now >= kept.checked + self._lifetime
        sound = True
        held: dict[str, list[Claim]] = {type_: [] for type_ in kept.asked}
        refused: dict[str, str] = {}
        settled = math.inf
        for one in kept.credentials:
            issuer, document, until, _ = one
            why = await self._unsound(one) if again and until > now else None
            sound = sound and why is None
            try:
                if why is None:
                    settled = min(settled, await self._verifier.check_status(document, issuer))
            except (Untrusted, RemoteProtocolError) as wrong:
                why = str(wrong)
            for type_ in self._types(document):
                if why is None and issuer in trust.of(type_) and until > _FOREIGN:
                    claim = Claim(type_, issuer, _subject(document), until)
                    held.setdefault(type_, []).append(claim)
                else:
                    refused[type_] = why or f"{issuer} is not trusted to issue it"
        claims = Claims(
            {type_: tuple(found) for type_, found in held.items()},
            {type_: trust.of(type_) for type_ in held},
            refused,
        )
        # What did not hold is looked at again, soon: it may be carried on beside what is presented by then.
        checked = now if again and sound else kept.checked
        settled = min(settled, checked + self._lifetime if sound else now + _DOUBT)
        judged = replace(kept, claims=claims, settled=settled, checked=checked)
        if self._kept.get(participant) is kept:
            self._kept[participant] = judged
        return judged

    async def _unsound(self, one: rows.Presented) -> str | None:
        """Why a credential does not hold any more, by its own word and its issuer's keys; None if it does."""
        try:
            older = "vc" in jws.parse(one.token).payload
            await self._verifier.verify_jwt(one.token, older=older, status=False, schema=False, meaning=False)
        except (Untrusted, RemoteProtocolError) as wrong:
            return str(wrong)
        return None


def _again(trouble: AnodeError, seconds: float) -> AnodeError:
    """A fresh error like one that is remembered for so many seconds more."""
    if isinstance(trouble, Unavailable):
        return Unavailable(*trouble.reasons, retry_after=seconds)
    return type(trouble)(*trouble.reasons, f"it will be asked again in {max(1, round(seconds))} s")


def _subjects(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = document.get("credentialSubject")
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]


def _subject(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a credential says of its holder; of several subjects, which are all the holder, taken together."""
    return {name: value for subject in _subjects(document) for name, value in subject.items()}
