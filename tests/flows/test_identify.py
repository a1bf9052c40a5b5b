"""Two participants prove to each other who they are, and a third one tries everything else."""

import asyncio
import base64
import json

import pytest

from connector.dcp import self_issued
from connector.dcp.profiles import PROFILES
from connector.errors import Unavailable, Untrusted
from connector.flows.identify import Identity, SelfIssued
from connector.peers.client import Answer, Client
from connector.peers.did_web import DidResolver
from connector.peers.egress import Egress
from connector.vc import did as did_web
from connector.vc import jose, jws, keys, methods, multikey
from tests.peers.hosts import Clock, Hosts

A, B, M = "did:web:a.example", "did:web:b.example", "did:web:mallory.example"


def published(key: keys.Key) -> did_web.Method:
    return did_web.method(key.kid, key.signer.public)


class World:
    """Three participants with published keys, a clock, and B's identity, which is under test."""

    def __init__(self) -> None:
        self.clock, self.hosts = Clock(), Hosts()
        self.keys = {did: keys.generate(did) for did in (A, B, M)}
        for did in self.keys:
            self.publish(did)
        self.b = self.start(B)
        self.a = self.start(A)

    def publish(self, did: str, *more: keys.Key, **changes: object) -> None:
        own = did_web.document(did, list(map(published, [self.keys[did], *more])), [])
        self.hosts.publish(own | changes, did)

    def start(self, did: str, profile: str = "strict") -> SelfIssued:
        resolver = DidResolver(self.hosts, "https", self.clock)
        return SelfIssued(did, lambda: self.keys[did], resolver, self.clock, profile=PROFILES[profile])

    def token(
        self, key: keys.Key | None = None, header: dict[str, object] | None = None, **claims: object
    ) -> str:
        """A token of A for B, with changes; `...` takes a claim away."""
        sound = self_issued.claims(A, B, self.clock(), f"jti-{len(self.hosts.asked)}")
        full = {name: value for name, value in (sound | claims).items() if value is not ...}
        return "Bearer " + jose.sign(header or {}, full, key or self.keys[A])


@pytest.fixture
def world() -> World:
    return World()


def altered(authorization: str, **changes: object) -> str:
    """The token with members of its header changed (`...`: removed), and its signature kept."""
    header, rest = authorization.removeprefix("Bearer ").split(".", 1)
    members = json.loads(base64.urlsafe_b64decode(header + "==")) | changes
    members = {name: value for name, value in members.items() if value is not ...}
    return f"Bearer {base64.urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip('=')}.{rest}"


async def test_both_ways(world: World) -> None:
    """Each takes the other's token and learns its DID."""
    a: Identity = world.a
    b: Identity = world.b
    assert (await b.authenticate(await a.authorization(B))).did == A
    assert (await a.authenticate(await b.authorization(A))).did == B


async def test_scheme_case_is_free(world: World) -> None:
    """`bearer` is `Bearer` (RFC 9110 §11.1)."""
    token = (await world.a.authorization(B)).removeprefix("Bearer ")
    assert (await world.b.authenticate(f"bearer  {token} ")).did == A


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "no Authorization header"),
        ("", "no Authorization header"),
        ("Bearer", "is not `Bearer"),
        ("Bearer ", "is not `Bearer"),
        ("Basic YTpi", "is not `Bearer"),
        ("Bearer x", "three parts"),
        ('{"clientId": "a"}', "is not `Bearer"),
        ("Bearer " + "x" * 10_000, "longer than"),
    ],
)
async def test_no_token(world: World, authorization: str | None, reason: str) -> None:
    """A request without a token is told what to send; nothing is fetched."""
    with pytest.raises(Untrusted, match=reason):
        await world.b.authenticate(authorization)
    assert world.hosts.asked == []


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": ...}, "aud must be"),
        ({"aud": A}, "aud must be"),
        ({"iss": ...}, "iss must be"),
        ({"iss": M}, "sub must equal its iss"),
        ({"sub": ...}, "sub must equal"),
        ({"sub": M}, "sub must equal"),
        ({"exp": ...}, "exp must be"),
        ({"exp": 1_799_999_990, "iat": 1_799_999_900}, "expired"),
        ({"exp": 1_900_000_000}, "is the most"),
        ({"nbf": 1_800_000_100}, "valid only in"),
        ({"iat": ...}, "iat must be"),
        ({"jti": ...}, "jti must be"),
    ],
)
async def test_claims_are_judged_before_anything_is_fetched(
    world: World, claims: dict[str, object], reason: str
) -> None:
    """A token whose claims are wrong costs no signature check and no request."""
    with pytest.raises(Untrusted, match=reason):
        await world.b.authenticate(world.token(**claims))
    assert world.hosts.asked == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"alg": "none"}, "only ES256"),
        ({"alg": "HS256"}, "only ES256"),
        ({"typ": "vp+jwt"}, "typ is"),
        ({"kid": 5}, "kid must be a string"),
        ({"kid": f"{M}#key-1"}, "not a key of did:web:a.example"),
        ({"kid": f"{A}#key-9"}, "has no verification method"),
        ({"kid": "key-1"}, "signature does not match"),
        ({"kid": ...}, "signature does not match"),
        ({"jwk": {"kty": "EC"}}, "signature does not match"),
    ],
)
async def test_header_altered(world: World, changes: dict[str, object], reason: str) -> None:
    """No change to the header after signing gets through."""
    with pytest.raises(Untrusted, match=reason):
        await world.b.authenticate(altered(await world.a.authorization(B), **changes))


async def test_signed_by_another(world: World) -> None:
    """A token in A's name signed with Mallory's key is refused, under either kid."""
    stolen = keys.Key(f"{A}#key-1", world.keys[M].signer)
    with pytest.raises(Untrusted, match="signature does not match"):
        await world.b.authenticate(world.token(stolen))
    with pytest.raises(Untrusted, match=r"not a key of did:web:a\.example"):
        await world.b.authenticate(world.token(world.keys[M]))


async def test_key_for_another_purpose(world: World) -> None:
    """A key not listed for capabilityInvocation does not speak for its owner, unless so configured."""
    world.publish(A, capabilityInvocation=[])
    with pytest.raises(Untrusted, match="does not list"):
        await world.b.authenticate(world.token())
    assert (await world.start(B, profile="edc").authenticate(world.token())).did == A


def by_ed25519(world: World, key: keys.Key) -> str:
    """A token of A for B by an Ed25519 key."""
    claims = self_issued.claims(A, B, world.clock(), "jti")
    return "Bearer " + jws.sign({"typ": "JWT", "kid": key.kid}, claims, key.signer)


@pytest.mark.parametrize("form", ["Multikey", "Ed25519VerificationKey2020", "JsonWebKey2020"])
async def test_wallets_with_ed25519_keys(world: World, form: str) -> None:
    """A participant whose own key is Ed25519 is known by it, in each form that such keys are published in."""
    key = keys.generate(A, "ed", "Ed25519")
    how = (
        {"publicKeyJwk": key.public_jwk}
        if form == "JsonWebKey2020"
        else {"publicKeyMultibase": multikey.encode(key.signer.public)}
    )
    method = {"id": key.kid, "type": form, "controller": A, **how}
    world.publish(A, verificationMethod=[method], capabilityInvocation=[key.kid])
    assert (await world.b.authenticate(by_ed25519(world, key))).did == A


@pytest.mark.parametrize("profile", ["strict", "edc", "catena-x"])
async def test_keys_that_are_listed_for_something_else(world: World, profile: str) -> None:
    """Where a document says what its keys are for, each profile listens: no key for documents, nor past."""
    own = keys.generate(A, "ed25519-1", "Ed25519")
    past = keys.generate(A, "key-0")
    all_three = [
        published(world.keys[A]),
        published(own),
        did_web.method(past.kid, past.signer.public, past=True),
    ]
    world.hosts.publish(did_web.document(A, all_three, []), A)
    b = world.start(B, profile)
    for token in (by_ed25519(world, own), world.token(past)):
        with pytest.raises(Untrusted, match="does not list"):
            await b.authenticate(token)


async def test_replay(world: World) -> None:
    """A token is good once, also when both uses come at the same time."""
    token = await world.a.authorization(B)
    results = await asyncio.gather(*(world.b.authenticate(token) for _ in range(5)), return_exceptions=True)
    assert [r.did for r in results if not isinstance(r, Untrusted)] == [A]
    world.clock.now += 59
    with pytest.raises(Untrusted, match="used before"):
        await world.b.authenticate(token)
    world.clock.now += 6
    with pytest.raises(Untrusted, match="expired"):
        await world.b.authenticate(token)


async def test_jti_is_not_used_up_by_a_forger(world: World) -> None:
    """A forged token with a jti does not make the real one a replay."""
    stolen = keys.Key(f"{A}#key-1", world.keys[M].signer)
    with pytest.raises(Untrusted, match="signature"):
        await world.b.authenticate(world.token(stolen, jti="j"))
    assert (await world.b.authenticate(world.token(jti="j"))).did == A


async def test_jtis_are_fresh(world: World) -> None:
    """No two of our tokens are alike, in the same instant to the same peer."""
    assert len({await world.a.authorization(B) for _ in range(50)}) == 50


async def test_restart(world: World) -> None:
    """After a restart, which forgets what was used, older tokens are refused and new ones taken."""
    token = await world.a.authorization(B)
    await world.b.authenticate(token)
    world.clock.now += 5
    restarted = world.start(B)
    with pytest.raises(Untrusted, match="before this node restarted; sign a new one"):
        await restarted.authenticate(token)
    assert (await restarted.authenticate(await world.a.authorization(B))).did == A
    almost = world.token(iat=int(world.clock.now) - 2)
    assert (await restarted.authenticate(almost)).did == A


async def test_known_peer_costs_no_request(world: World) -> None:
    """A peer's document is fetched once, not for each token."""
    for _ in range(20):
        await world.b.authenticate(await world.a.authorization(B))
    assert len(world.hosts.asked) == 1


@pytest.mark.parametrize("name", ["key-1", "key-2"])
async def test_key_rotation(world: World, name: str) -> None:
    """A peer's new key, under a new name or the old one, is found at once; the old key is then refused."""
    await world.b.authenticate(await world.a.authorization(B))
    old, world.keys[A] = world.keys[A], keys.generate(A, name)
    world.publish(A)
    world.clock.now += 31
    assert (await world.b.authenticate(world.token())).did == A
    assert len(world.hosts.asked) == 2
    with pytest.raises(Untrusted, match=r"has no verification method|signature does not match"):
        await world.b.authenticate(world.token(old))


async def test_unknown_keys_do_not_make_us_ask_again_and_again(world: World) -> None:
    """However many tokens name a key that is not there, a document is fetched at most every 30 s."""
    await world.b.authenticate(await world.a.authorization(B))
    ghost = keys.generate(A, "ghost")
    for _ in range(100):
        with pytest.raises(Untrusted, match="has no verification method"):
            await world.b.authenticate(world.token(ghost))
        world.clock.now += 1
    assert len(world.hosts.asked) == 4


async def test_key_withdrawn(world: World) -> None:
    """A key that its owner no longer publishes stops working when our copy of the document is over."""
    await world.b.authenticate(await world.a.authorization(B))
    stolen, world.keys[A] = world.keys[A], keys.generate(A, "key-2")
    world.publish(A)
    world.clock.now += 301
    with pytest.raises(Untrusted, match="has no verification method"):
        await world.b.authenticate(world.token(stolen))


async def test_document_away(world: World) -> None:
    """A peer whose document can't be had now is asked to come back; its token is not used up."""
    where = did_web.document_url(A)
    good, world.hosts.answers[where] = world.hosts.answers[where], Answer(503, {}, b"")
    token = await world.a.authorization(B)
    with pytest.raises(Unavailable, match="can't be fetched now"):
        await world.b.authenticate(token)
    world.hosts.answers[where] = good
    world.clock.now += 6
    assert (await world.b.authenticate(token)).did == A


@pytest.mark.parametrize("method", ["key", "jwk"])
async def test_participants_are_known_by_did_web(world: World, method: str) -> None:
    """A token that is sound but by a did:key or did:jwk is refused: such a DID anybody makes in a moment."""
    public = world.keys[M].signer.public
    jwk = base64.urlsafe_b64encode(json.dumps(multikey.jwk(public)).encode()).decode().rstrip("=")
    did, fragment = {
        "key": (methods.did_key(public), multikey.encode(public)),
        "jwk": (f"did:jwk:{jwk}", "0"),
    }[method]
    anybody = keys.Key(f"{did}#{fragment}", world.keys[M].signer)
    with pytest.raises(Untrusted, match=f"'did:{method}:.* is not a did:web, by which alone participants"):
        await world.b.authenticate(world.token(anybody, iss=did, sub=did))


async def test_document_out_of_reach(world: World) -> None:
    """A peer that lives where this node must not connect is Untrusted: it is its choice, not our trouble."""
    client = Client(Egress("internet"))
    b = SelfIssued(B, lambda: world.keys[B], DidResolver(client, "https", world.clock), world.clock)
    local = "did:web:localhost%3A8080"
    with pytest.raises(Untrusted, match=r"out of reach; https://localhost:8080/\S+ is loopback"):
        await b.authenticate(world.token(keys.generate(local), iss=local, sub=local))
    await client.close()
