"""A participant's wallet is asked for credentials; what it presents is verified. DCP 1.0.1, as a verifier.

A participant chooses where we ask it and what comes back. What it presents must be its own, made for us, and
about itself. Of issuers that we believe each credential is verified whole; what others have issued is not
even looked at, since anybody can issue anything: neither its keys nor its status are fetched from anywhere.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from connector.dcp import messages
from connector.dcp.messages import PresentationQueryMessage, PresentationResponseMessage
from connector.dcp.profiles import Deviation, Profile
from connector.dcp.trust import Trust
from connector.errors import EgressDenied, NotFound, RemoteProtocolError, Unavailable, Untrusted
from connector.flows.identify import Caller, SelfIssued
from connector.flows.peers import reasons
from connector.flows.verify import Verifier
from connector.peers.client import Answer, Transport
from connector.peers.did_web import DidResolver
from connector.store import wallet as rows
from connector.vc import credential as model
from connector.vc import did as did_web
from connector.vc import envelope, jws
from connector.vc.jose import shown

TIMEOUT = 10.0
MAX_BYTES = 1 << 20
NOT_BELIEVED = 0.0
"""When a credential ends that we have not verified, since we don't believe its issuer: before it began."""


class Questions:
    """Asks participants for credentials of some types. A question needs the access token of its caller."""

    def __init__(
        self,
        identity: SelfIssued,
        resolver: DidResolver,
        transport: Transport,
        verifier: Verifier,
        now: Callable[[], float],
        trust: Callable[[], Trust],
        profile: Profile,
    ) -> None:
        self._identity, self._resolver, self._transport = identity, resolver, transport
        self._verifier, self._now, self._trust, self._profile = verifier, now, trust, profile

    async def presented(self, caller: Caller, types: frozenset[str]) -> list[Any]:
        """The credentials, not looked at so far, in presentations that the caller made, for us.

        :raises Untrusted: it has no wallet, none of its own, or one that is not in order.
        :raises Unavailable: its wallet can't be had now.
        """
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

    async def verified(
        self, caller: Caller, types: frozenset[str], entries: list[Any]
    ) -> list[rows.Presented]:
        """What is presented of what was asked for; all of it holds, or none of it counts.

        :raises Untrusted: a credential of an issuer that we believe does not hold, or is about another.
        :raises Unavailable: what it refers to can't be had now.
        """
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

        If not, its name is all that is kept.
        """
        if not isinstance(entry, str) and not envelope.is_enveloped(entry, "vc"):
            raise RemoteProtocolError("a credential must be a JWT: the profiles spoken here have no other")
        token, older = (entry, True) if isinstance(entry, str) else envelope.unwrapped(entry, "vc")
        loose = self._profile.has(Deviation.LOOSE_SHAPE)
        said = envelope.read(token, "vc", self._now(), older=older, loose=loose)
        named = [self._profile.plain_type(type_) for type_ in model.types(said.document)]
        wanted, trust = types & {*named}, self._trust()
        if not any(said.signer in trust.of(type_) for type_ in wanted):
            return rows.Presented(said.signer, {"type": sorted(wanted)}, NOT_BELIEVED, "")
        one = await self._verifier.verify_jwt(token, older=older, meaning=False)
        for subject in subjects(one.document):
            if subject.get("id") != caller.did:
                raise Untrusted(
                    f"a credential that {caller.did} presents is about {shown(subject.get('id'))}, not about "
                    "itself"
                )
        return rows.Presented(one.issuer, dict(one.document), one.until, token)


def subjects(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a credential is about: one, or several."""
    found = document.get("credentialSubject")
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]
