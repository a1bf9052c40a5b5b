"""Who is speaking: prove it to peers, and check it of them, request by request.

Both are one HTTP header. Each request carries a token that its sender signed for this one recipient and
this one time (Decentralized Claims Protocol 1.0.1, "Self-Issued ID Tokens"); the recipient checks it
against the DID document that the sender publishes. Cheap checks come first: what is not addressed to us,
too old or seen before costs a few microseconds, no signature check and no request to the outside.
"""

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from connector.dcp import scopes, self_issued
from connector.dcp.profiles import PROFILES, Profile
from connector.dcp.replays import Replays
from connector.dcp.scopes import Scope
from connector.errors import EgressDenied, Untrusted
from connector.flows.signing import signed
from connector.peers.did_web import DidResolver
from connector.vc import jose, methods
from connector.vc.keys import Key
from connector.vc.multikey import Public

REFETCH_AFTER = 30.0
"""Seconds: a key that a DID document lacks makes us fetch it anew at most this often."""
_RESTART_MARGIN = 2.0
_HEADER = {"typ": "JWT"}
_ACCESS = "at+jwt"
_ACCESS_HEADER = {"typ": _ACCESS}
_MAX_KEYS = 4096
_MAX_ACCESS = 10_000


class Caller(NamedTuple):
    """Who sent a request (a DID), and the access token by which its credentials can be asked for."""

    did: str
    token: str | None = None


class Identity(Protocol):
    """How a node proves who it is and learns who its peers are.

    A product has `SelfIssued`. The conformance kits need fixed identities; theirs live in the tests.
    """

    async def authorization(self, audience: str, types: frozenset[str] = frozenset()) -> str:
        """The `Authorization` header for one request to the participant `audience` (a DID).

        `types`: credentials that policies in play name, which it may want to read for this request.
        """
        ...

    async def authenticate(self, authorization: str | None) -> Caller:
        """Who sent a request with this `Authorization` header. Raises Untrusted."""
        ...


class SelfIssued:
    """Identity by self-issued tokens. `did` is our own, `key` gives the P-256 key we sign with now.

    `clock` gives epoch seconds. `profile` is the data space's; `shows(types)` says what of our credentials a
    peer may read when policies in play name these types.
    """

    def __init__(
        self,
        did: str,
        key: Callable[[], Key],
        resolver: DidResolver,
        clock: Callable[[], float],
        *,
        profile: Profile = PROFILES["strict"],
        shows: Callable[[frozenset[str]], frozenset[str]] = lambda _: frozenset(),
        replays: Replays | None = None,
    ) -> None:
        self.did = did
        self._key = key
        self._resolver = resolver
        self._clock = clock
        self._profile = profile
        self._shows = shows
        self._replays = replays or Replays()
        # Replays are remembered in memory only, so what was signed before we started could be one.
        self._oldest = clock() - _RESTART_MARGIN
        self._keys: dict[tuple[str, str | None], tuple[dict[str, Any], Public]] = {}
        self._access: dict[tuple[str, frozenset[str], str], tuple[str, float]] = {}

    async def authorization(self, audience: str, types: frozenset[str] = frozenset()) -> str:
        """`Bearer …` with a token that only `audience` will take, once, within a minute."""
        shown = self._shows(types)
        token = await self._access_token(audience, shown) if shown else None
        return "Bearer " + await self.token(audience, token)

    async def token(self, audience: str, access: str | None = None) -> str:
        """A self-issued ID token for `audience`, with this access token in it."""
        jti = base64.urlsafe_b64encode(os.urandom(15)).decode()
        claims = self_issued.claims(self.did, audience, self._clock(), jti, token=access)
        key = self._key()
        return await signed(key.signer, partial(jose.sign, _HEADER, claims, key))

    async def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        """A JWS of ours with these claims, for who keeps it; `typ` says what it is."""
        key = self._key()
        return await signed(key.signer, partial(jose.sign, {"typ": typ}, claims, key))

    async def signed_by(self, did: str, token: str, typ: str) -> dict[str, Any]:
        """The claims of a JWS that the participant `did` has signed. Raises Untrusted, as `authenticate`."""
        jws = jose.parse(token, typ=typ)
        kid = jws.header.get("kid")
        if jws.header.get("typ") is None or not isinstance(kid, str | None):
            raise Untrusted(f"the token's header needs the typ {typ}, and a kid that is a string")
        await self._check_signature(jws, did, kid)
        return jws.claims

    def renew_access(self) -> None:
        """What our access tokens open has changed: new ones from now on, so that peers look again."""
        self._access.clear()

    async def access_token(self, bearer: str, scopes_: Sequence[str]) -> str:
        """An access token of ours for these scopes, which only the participant `bearer` can use."""
        claims, key = self_issued.access_claims(self.did, bearer, scopes_, self._clock()), self._key()
        return await signed(key.signer, partial(jose.sign, _ACCESS_HEADER, claims, key))

    async def granted(self, caller: Caller) -> frozenset[Scope]:
        """What the access token of a caller allows it to read of our credentials. Raises Untrusted."""
        if caller.token is None:
            raise Untrusted(
                "the self-issued token carries no access token (token); send the one that came with a "
                "request of ours"
            )
        jws = jose.parse(caller.token, typ=_ACCESS)
        kid, own = jws.header.get("kid"), await self._resolver.resolve(self.did)
        jose.verify(jws, methods.verification_key(own, self.did, kid if isinstance(kid, str) else None))
        return scopes.parse_all(self_issued.check_access(jws.claims, self.did, caller.did, self._clock()))

    async def _access_token(self, audience: str, types: frozenset[str]) -> str:
        """One that was signed a while ago will do, so that a request costs one signature and not two."""
        now, key = self._clock(), (audience, types, self._key().kid)
        kept = self._access.get(key)
        if kept is not None and now < kept[1]:
            return kept[0]
        token = await self.access_token(audience, [self._profile.scope(type_) for type_ in sorted(types)])
        if len(self._access) >= _MAX_ACCESS:
            del self._access[next(iter(self._access))]
        self._access[key] = (token, now + self_issued.ACCESS_LIFETIME / 2)
        return token

    async def authenticate(self, authorization: str | None) -> Caller:
        """The DID that signed this token, for us, now, for the first time.

        Raises Untrusted with the reason; Unavailable if the sender's DID document can't be had at present.
        """
        jws = jose.parse(_bearer(authorization))
        kid = jws.header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise Untrusted("the token's kid must be a string: the id of the key that signed it")
        said = self_issued.check(jws.claims, self.did, self._clock())
        if said.iat < self._oldest:
            raise Untrusted("the token was signed before this node restarted; sign a new one")
        if not said.did.startswith("did:web:"):
            # did:key and did:jwk resolve too, and would let anybody be a participant of his own making.
            raise Untrusted(
                f"{jose.shown(said.did)} is not a did:web, by which alone participants are known here"
            )
        self._replays.check(said.did, said.jti)
        try:
            await self._check_signature(jws, said.did, kid)
        except EgressDenied as denied:
            raise Untrusted(f"the DID document of {said.did} is out of reach", *denied.reasons) from None
        # Only now, so that nobody can use up another's jti. And it refuses what was taken while we waited.
        self._replays.add(said.did, said.jti, said.exp + self_issued.LEEWAY, self._clock())
        return Caller(said.did, said.token)

    async def _check_signature(self, jws: jose.Jws, did: str, kid: str | None) -> None:
        document = await self._resolver.resolve(did)
        try:
            jose.verify(jws, self._public_key(document, did, kid))
        except Untrusted:
            # The key may be newer than our copy of the document.
            latest = await self._resolver.resolve(did, max_age=REFETCH_AFTER)
            if latest is document:
                raise
            jose.verify(jws, self._public_key(latest, did, kid))

    def _public_key(self, document: dict[str, Any], did: str, kid: str | None) -> Public:
        known = self._keys.get((did, kid))
        if known is not None and known[0] is document:  # the very document that the key was read from
            return known[1]
        purpose = methods.asked(document, "capabilityInvocation", demanded=self._profile.relationships)
        public = methods.verification_key(document, did, kid, purpose)
        if len(self._keys) >= _MAX_KEYS:
            del self._keys[next(iter(self._keys))]
        self._keys[did, kid] = (document, public)
        return public


def _bearer(authorization: str | None) -> str:
    if not authorization:
        raise Untrusted("no Authorization header; send `Authorization: Bearer <self-issued ID token>`")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Untrusted("the Authorization header is not `Bearer <self-issued ID token>`")
    return token.strip()
