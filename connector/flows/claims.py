"""What participants have proved: asked for when a policy needs it, remembered, looked at again.

Decentralized Claims Protocol 1.0.1, "Verifiable Presentation Protocol", as a verifier. A participant sends an
access token with each request; with it we ask its credential service for the credential types that the
policies in play name (`flows/questions.py`). What it presents is kept: a later request costs a look into
memory. Kept or not, a credential counts only until it ends, and only while its issuer speaks for it: now and
then its status list is fetched anew, and its signature checked by the keys that the issuer publishes then. So
long what was proved stays proved: a request that lets us read less, or a wallet that shows nothing, takes
nothing back.

It is remembered for seconds that no wallet of a participant's own answered, what waits is limited for each
host, and of what was presented we keep what was asked for.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from connector.dcp.profiles import Profile
from connector.dcp.trust import Trust
from connector.errors import AnodeError, Denied, RemoteProtocolError, Unavailable, Untrusted
from connector.flows.identify import Caller
from connector.flows.questions import NOT_BELIEVED, Questions, subjects
from connector.flows.verify import Verifier
from connector.odrl.operands import NO_CLAIMS, Claim, Claims
from connector.peers.places import Places
from connector.store import wallet as rows
from connector.store.database import Database
from connector.vc import credential as model
from connector.vc import jws

_DOUBT = 5.0
"""Seconds for which a participant that lacks a credential is not asked for it again."""
_CAPACITY = 10_000
_AT_ONCE, _OF_HOST = 64, 16
_FAILURE_LIFETIME = 5.0


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
        questions: Questions,
        verifier: Verifier,
        db: Database,
        now: Callable[[], float],
        trust: Callable[[], Trust],
        profile: Profile,
        lifetime: float,
    ) -> None:
        self._questions = questions
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
            entries = await self._questions.presented(caller, types)
        except AnodeError as trouble:
            # What answered is not the caller's wallet, or not in order. But one that has presented an ended
            # credential may have a new one in a moment.
            self._failures.pop(caller.did, None)
            self._failures[caller.did] = (trouble, self._now() + _FAILURE_LIFETIME)
            if len(self._failures) > _CAPACITY:
                del self._failures[next(iter(self._failures))]
            raise
        found = await self._questions.verified(caller, types, entries)
        before, checked = self._proved_before(caller.did, [one for one in found if one.until > NOT_BELIEVED])
        types |= {type_ for one in before for type_ in self._types(one.document)}
        credentials = (*found, *before)
        # What was not verified stays in memory, and of strangers nothing else is there.
        worth = tuple(one for one in credentials if one.until > NOT_BELIEVED)
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
                if why is None and issuer in trust.of(type_) and until > NOT_BELIEVED:
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


def _subject(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a credential says of its holder; of several subjects, which are all the holder, taken together."""
    return {name: value for subject in subjects(document) for name, value in subject.items()}
