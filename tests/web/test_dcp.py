"""The endpoints of the claims protocol, from outside: who may do what there, what all others are told."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio
import yaml

from connector.dcp.messages import CONTEXT
from connector.dcp.scopes import ID_ALIAS, TYPE_ALIAS
from connector.node import CREDENTIAL_SERVICE, ISSUER_SERVICE, Parts
from connector.vc import jws, multibase
from tests.nodes import Running, running
from tests.rogue import MEMBER, Party, Rogue, ed25519, hmac_by, jwt, rogue, twice
from tests.space import RECYCLER, Shifted, settled

pytestmark = pytest.mark.asyncio(loop_scope="module")
QUERY, STORE, OFFER = (
    f"{CREDENTIAL_SERVICE}/{path}" for path in ("presentations/query", "credentials", "offers")
)
REQUEST, STATUS = f"{ISSUER_SERVICE}/credentials", f"{ISSUER_SERVICE}/requests/x"
ENDPOINTS = (QUERY, STORE, OFFER, REQUEST, STATUS)
ISSUES = {MEMBER: {"to": "everyone"}, RECYCLER: {"formats": ["vc11-sl2021/jwt", "vc20-bssl/jwt"]}}
DEFINITION = {"id": "x", "input_descriptors": []}
FOREIGN = {"credentialType": "X", "format": "ldp_vc", "payload": "x"}
TABLES = ("wallet", "credential_requests", "issuances", "issued", "presented")


def said(kind: str, **members: Any) -> dict[str, Any]:
    return {"@context": [CONTEXT], "type": kind, **members}


def query(*scopes: str, **more: Any) -> dict[str, Any]:
    return said("PresentationQueryMessage", scope=[*scopes], **more)


def delivery(*tokens: str, holder_pid: str = "unasked", **more: Any) -> dict[str, Any]:
    """A message that brings credentials of data model 1.1."""
    held = [{"credentialType": MEMBER, "format": "vc11-sl2021/jwt", "payload": token} for token in tokens]
    found = {"issuerPid": "i", "holderPid": holder_pid, "status": "ISSUED", "credentials": held, **more}
    return said("CredentialMessage", **found)


def request(*ids: str) -> dict[str, Any]:
    return said("CredentialRequestMessage", holderPid="h", credentials=[{"id": id_} for id_ in ids])


class World:
    """A node that issues, and holds; an issuer that it believes; a host full of strangers."""

    def __init__(self, node: Running, host: Rogue, issuer: Party, clock: Shifted) -> None:
        self.node, self.host, self.issuer, self.clock = node, host, issuer, clock

    async def send(self, party: Party, path: str, body: Any, token: str | None = None) -> tuple[int, Any]:
        """What a party is answered there."""
        return await self.host.post(self.node.url + path, token or party.token(self.node.did), body)

    async def refused(
        self, party: Party, path: str, body: Any, code: int, why: str, token: str | None = None
    ) -> None:
        """Fail unless it is refused so, with the reason, and nothing has changed."""
        before = self.contents()
        found, answer = await self.send(party, path, body, token)
        reason = "; ".join(answer["reason"])
        assert (found, bool(re.search(why, reason))) == (code, True), (found, reason)
        assert self.contents() == before

    def contents(self) -> Any:
        return {name: self.node.node.db.read.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}  # noqa: S608  # ours

    async def access(self, party: Party, *types: str) -> str:
        """An access token of the node's for this party, to read these types."""
        own = self.node.node.own
        return await own.access_token(party.did, [f"{TYPE_ALIAS}:{type_}" for type_ in types])


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    clock, folder = Shifted(), tmp_path_factory.mktemp("node")
    (folder / "issuer.yaml").write_text(yaml.safe_dump(ISSUES))
    async with rogue(clock.now) as host:
        issuer = host.party("issuer")
        settings = {"authority": issuer.did, "require": [MEMBER], "issue": str(folder / "issuer.yaml")}
        async with running(folder / "node", parts=Parts(clock=clock), credentials=settings) as node:
            await settled(node)
            made = World(node, host, issuer, clock)
            for type_ in (MEMBER, RECYCLER):
                held = issuer.credential(node.did, id=f"urn:x:{type_}", type=["VerifiableCredential", type_])
                assert await made.send(issuer, STORE, delivery(held)) == (200, {})
            yield made


# -- who is speaking


def nothing(_: bytes) -> bytes:
    """The signature of `none`."""
    return b""


def doubled(member: str) -> Any:
    def make(party: Party, us: str) -> str:
        sound = party.token(us)
        header, payload = (multibase.from_base64url(part).decode() for part in sound.split(".")[:2])
        members = json.loads(payload)
        text = twice(member, members.get(member, "x"), {member: "y", **members})
        return jwt(header, text, party.key.signer)

    return make


def doubled_kid(party: Party, us: str) -> str:
    header, payload = (multibase.from_base64url(part).decode() for part in party.token(us).split(".")[:2])
    return jwt(twice("kid", f"{us}#key-1", json.loads(header)), payload, party.key.signer)


TOKENS: dict[str, tuple[Any, str]] = {
    **{f"{name} twice": (doubled(name), f"payload has '{name}' more than once")
       for name in ("aud", "iss", "sub", "exp", "iat", "nbf", "jti", "token")},
    "kid twice": (doubled_kid, "header has 'kid' more than once"),
    **{f"{name} missing": (lambda p, us, n=name: p.token(us, **{n: ...}), f"{name} must|sub must")
       for name in ("aud", "iss", "sub", "exp", "iat", "jti")},
    "aud of another": (lambda p, us: p.token(p.did), "its aud must be"),
    "iss of another": (lambda p, us: p.token(us, iss=us), "sub must equal its iss"),
    "sub of another": (lambda p, us: p.token(us, sub=us), "sub must equal its iss"),
    "us as the sender": (
        lambda p, us: p.token(us, iss=us, sub=us, header={"kid": f"{us}#key-1"}), "signature"),
    "exp past": (lambda p, us: p.token(us, exp=1, iat=0), "expired"),
    "exp far": (lambda p, us: p.token(us, exp=9e9), "is the most"),
    "nbf future": (lambda p, us: p.token(us, nbf=9e9), "valid only in"),
    "iat future": (lambda p, us: p.token(us, iat=9e9, exp=9e9 + 1), "in the future"),
    "jti a number": (lambda p, us: p.token(us, jti=7), "jti must be"),
    "kid a number": (lambda p, us: p.token(us, header={"kid": 7}), "kid must be a string"),
    "kid of another DID": (lambda p, us: p.token(us, header={"kid": f"{us}#key-1"}), "is not a key of"),
    "kid of nobody": (lambda p, us: p.token(us, header={"kid": f"{p.did}#x"}), "has no verification method"),
    "key of another DID": (
        lambda p, us: p.token(us, by=p.rogue.parties["issuer"].key.signer), "does not match"),
    "alg none": (lambda p, us: p.token(us, header={"alg": "none"}, by=nothing), "alg is 'none'; only ES256"),
    "alg NONE": (lambda p, us: p.token(us, header={"alg": "NoNe"}, by=nothing), "only ES256"),
    "alg missing": (lambda p, us: p.token(us, header={"alg": ...}), "alg is None"),
    "HS256 with the public key": (
        lambda p, us: p.token(us, header={"alg": "HS256"}, by=hmac_by(p.key.signer.public)), "only ES256"),
    "alg ES384": (lambda p, us: p.token(us, header={"alg": "ES384"}), "only ES256"),
    "alg EdDSA": (lambda p, us: p.token(us, header={"alg": "EdDSA"}, by=ed25519()), "is a P-256 key"),
    "EdDSA called ES256": (lambda p, us: p.token(us, by=ed25519()), "does not match"),
    "signature of nothing": (lambda p, us: p.token(us, by=lambda _: bytes(64)), "does not match"),
    "signature cut": (lambda p, us: p.token(us)[:-8], "has 58 bytes"),
    "crit": (lambda p, us: p.token(us, header={"crit": ["b64"], "b64": False}), "critical extensions"),
    "a presentation": (lambda p, us: p.presentation(us), "credential or presentation|must"),
    "a vp+jwt": (lambda p, us: p.presentation(us, older=False), "typ is 'vp\\+jwt'"),
    "a credential": (lambda p, us: p.credential(us), "must"),
    "deep": (lambda p, us: p.token(us, x=deep(60)), "nested deeper than 16"),
    "very deep": (lambda p, us: jwt({"alg": "ES256"}, "[" * 4_000, p.key.signer), "not JSON"),
    "a list": (lambda p, us: jwt({"alg": "ES256"}, [], p.key.signer), "not a JSON object"),
    "nonsense": (lambda p, us: "x", "three parts"),
    "a did:key": (lambda p, us: p.token(us, iss="did:key:z6Mk", sub="did:key:z6Mk"), "is not a did:web"),
}  # fmt: skip


def deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("name", TOKENS)
async def test_tokens_that_prove_nothing(world: World, name: str) -> None:
    """Wrong, missing, repeated claims, confused algorithms, others' keys: 401 with the reason, everywhere."""
    make, why = TOKENS[name]
    for path in ENDPOINTS:
        party = world.host.party()
        token = make(party, world.node.did)
        if path == STATUS:
            code, answer = await world.host.get(world.node.url + path, token)
            assert (code, bool(re.search(why, str(answer)))) == (401, True), answer
        else:
            await world.refused(party, path, query(f"{TYPE_ALIAS}:{MEMBER}"), 401, why, token)


async def test_a_sound_token_is_good_for_one_endpoint_once(world: World) -> None:
    """The rogue's token opens, and does so once, wherever it is used first."""
    party = world.host.party()
    token = party.token(world.node.did)
    assert (await world.host.get(world.node.url + STATUS, token))[0] == 404
    for path in (QUERY, STORE, OFFER, REQUEST):
        await world.refused(party, path, {}, 401, "was used before", token)


@pytest.mark.parametrize("path", [QUERY, STORE, OFFER, REQUEST])
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "is empty"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 10_000 + b"]" * 10_000, "not JSON|nested deeper"),
        (b'{"type":' * 10_000, "not JSON"),
        (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "nested deeper"),
        (b'"x"', "must be a JSON object"),
        (b"[]", "must be a JSON object"),
        (b"{}", "@context must be"),
        (b'{"@context":["https://w3id.org/dspace-dcp/v1.0/dcp.jsonld"],"type":"X"}', "is expected here"),
        (b'{"@context":{"a":"b"}}', "@context must be"),
        (b"x" * (1 << 21), "larger than"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_bodies_that_are_no_message(world: World, path: str, body: bytes, why: str) -> None:
    """Deep, large, broken or other JSON is 400, and told as what it is."""
    await world.refused(world.host.party(), path, body, 400, why)


# -- what may be read of us


async def presented(world: World, party: Party, granted: tuple[str, ...], *scopes: str) -> list[str]:
    """The types that a verifier with such an access token reads when it asks for these scopes."""
    token = party.token(world.node.did, token=await world.access(party, *granted))
    code, answer = await world.send(party, QUERY, query(*scopes), token)
    assert code == 200, answer
    found = [
        held
        for made in answer["presentation"]
        for held in jws.parse(made).payload["vp"]["verifiableCredential"]
    ]
    return sorted(jws.parse(held).payload["vc"]["type"][1] for held in found)


async def test_a_verifier_reads_what_it_was_granted(world: World) -> None:
    """Who asks for more than the access token allows gets less: by type, by id, by all types at once."""
    member, recycler = (f"{TYPE_ALIAS}:{type_}" for type_ in (MEMBER, RECYCLER))
    party = world.host.party()
    assert await presented(world, party, (MEMBER, RECYCLER), member, recycler) == [MEMBER, RECYCLER]
    assert await presented(world, party, (MEMBER,), member, recycler) == [MEMBER]
    assert await presented(world, party, (MEMBER,), recycler) == []
    assert await presented(world, party, (MEMBER,), f"{ID_ALIAS}:urn:x:{RECYCLER}") == []
    assert await presented(world, party, (MEMBER,), f"{ID_ALIAS}:urn:x:{MEMBER}") == [MEMBER]
    assert await presented(world, party, (MEMBER,), f"{TYPE_ALIAS}:VerifiableCredential") == [MEMBER]
    assert await presented(world, party, (MEMBER,), f"{TYPE_ALIAS}:*", "other.alias:x", f"{recycler}:*") == []


async def test_access_tokens_of_others(world: World) -> None:
    """Only the participant that an access token was given to can use it, until it ends, and only as such."""
    party, thief = world.host.party(), world.host.party()
    us, own = world.node.did, world.node.node.own
    ask = query(f"{TYPE_ALIAS}:{MEMBER}")
    access = await world.access(party, MEMBER)
    for token, why in [
        (thief.token(us, token=access), "was given to another participant"),
        (thief.token(us, token=...), "carries no access token"),
        (thief.token(us, token="opaque"), "three parts"),
        (thief.token(us, token=await own.token(thief.did)), "typ is 'JWT'; expected at\\+jwt"),
        (thief.token(us, token=thief.token(us)), "typ is 'JWT'"),
        (thief.token(us, token=thief.token(us, header={"typ": "at+jwt"})), "is not a key of"),
        (thief.token(us, token=forged(access, thief)), "does not match"),
        (thief.token(us, token=""), "must be a string that is not empty"),
        (thief.token(us, token={"a": 1}), "must be a string"),
        (access, "typ is 'at\\+jwt'; expected JWT"),
    ]:
        await world.refused(thief, QUERY, ask, 401, why, token)
    world.clock.ahead += 301
    await world.refused(party, QUERY, ask, 401, "has expired", party.token(us, token=access))


def forged(access: str, by: Party) -> str:
    """The access token with all rights, under the node's kid, and another's signature."""
    header, claims = (json.loads(multibase.from_base64url(part)) for part in access.split(".")[:2])
    return jwt(header, {**claims, "sub": by.did}, by.key.signer)


@pytest.mark.parametrize(
    ("body", "code", "why"),
    [
        (query(), 400, "scope must name at least one"),
        (said("PresentationQueryMessage"), 400, "scope must name at least one|scope"),
        (query("x"), 400, "is not a scope"),
        (query(f"{TYPE_ALIAS}:a b"), 400, "is not a scope"),
        (query("a:" + "b" * 2_000), 400, "at most 1024 characters"),
        (said("PresentationQueryMessage", scope=[7]), 400, "must be a string"),
        (said("PresentationQueryMessage", scope="x"), 400, "scope"),
        (query(*["a:b"] * 51), 400, "scope"),
        (query("a:b", presentationDefinition=DEFINITION), 400, "not both"),
        (said("PresentationQueryMessage", presentationDefinition=DEFINITION), 501, "by scope"),
    ],
)  # fmt: skip
async def test_queries_that_are_wrong(world: World, body: Any, code: int, why: str) -> None:
    """Scopes that are none, too many, too long, or with a definition: told by what they must be."""
    party = world.host.party()
    token = party.token(world.node.did, token=await world.access(party, MEMBER))
    await world.refused(party, QUERY, body, code, why, token)


# -- what is put into our wallet


async def test_credentials_that_nobody_asked_for(world: World) -> None:
    """A stranger's credential, ours from another hand, or spoiled: none gets in, nothing is fetched."""
    us, issuer, stranger = world.node.did, world.issuer, world.host.party()
    list_ = f"{world.host.url}/lists/strangers"
    listed = stranger.listed(us, list_)
    for sender, message, code, why in [
        (stranger, delivery(listed), 403, "has not asked .* for it"),
        (stranger, delivery(issuer.credential(us)), 403, "but .* hands it over"),
        (issuer, delivery(stranger.credential(us)), 403, "is issued by"),
        (issuer, delivery(issuer.credential(stranger.did)), 403, "is not about"),
        (issuer, delivery(issuer.credential(us, by=stranger.key.signer)), 401, "does not match"),
        (issuer, delivery(issuer.credential(us, claims={"exp": 1})), 401, "expired"),
        (issuer, delivery(issuer.credential(us, claims={"nbf": 9e9})), 401, "not valid yet"),
        (issuer, delivery(issuer.credential(us), stranger.credential(us)), 403, "is issued by"),
        (issuer, delivery(issuer.credential(us, type=["VerifiableCredential"])), 400, "no type besides"),
        (issuer, delivery(issuer.credential(us, older=False)), 400, "typ is|no vc claim"),
        (issuer, delivery(issuer.credential(us, credentialStatus={"type": "X"})), 400, "is not understood"),
        (issuer, delivery(issuer.credential(us, header={"alg": "none"}, by=nothing)), 400, "alg is 'none'"),
        (issuer, delivery("x"), 400, "not a JWS"),
        (issuer, delivery(), 400, "at least one credential"),
        (issuer, delivery(*["x"] * 51), 400, "at most 50"),
        (issuer, delivery("x", holder_pid="p" * 3_000), 400, "holderPid"),
        (issuer, {**delivery(), "credentials": [FOREIGN]}, 400, "format is"),
        (stranger, delivery(status="REJECTED", credentials=None), 404, "there is no request"),
        (issuer, delivery(status="MAYBE"), 400, "status"),
    ]:  # fmt: skip
        await world.refused(sender, STORE, message, code, why)
    assert world.host.asked["/lists/strangers"] == 0


async def test_no_issuer_displaces_a_credential_of_another(world: World) -> None:
    """An issuer that we believe takes the id of another's credential for its own: ours stays."""
    node = world.node.node
    other = world.host.party()
    trusted = {**node.trust.issuers, "X": (other.did,)}
    before, node.trust = node.trust, type(node.trust)(trusted, node.trust.required, node.trust.present)
    try:
        made = other.credential(world.node.did, id=f"urn:x:{MEMBER}", type=["VerifiableCredential", "X"])
        await world.refused(other, STORE, delivery(made), 403, "of another issuer")
    finally:
        node.trust = before


async def test_offers_have_an_end(world: World) -> None:
    """Strangers offer nothing; an issuer that we believe offers twenty times, then waits."""
    offer = said("CredentialOfferMessage", issuer=world.issuer.did, credentials=[{"id": "x"}])
    await world.refused(world.host.party(), OFFER, offer, 403, "takes offers of issuers that it trusts")
    for _ in range(20):
        assert (await world.send(world.issuer, OFFER, offer))[0] == 200
    await world.refused(world.issuer, OFFER, offer, 503, "wait here already")


# -- what is asked of us as an issuer


async def test_requests_for_what_is_not_issued(world: World) -> None:
    """Another id, none, or fifty-one are 400; another's request is as good as none."""
    for body, why in [
        (request("X"), "is not issued here"),
        (request(), "credentials"),
        (request(*["X"] * 51), "credentials"),
        ({**request("X"), "holderPid": 7}, "holderPid"),
        ({**request("X"), "credentials": [7]}, "credentials.0"),
    ]:
        await world.refused(world.host.party(), REQUEST, body, 400, why)


async def test_one_request_gives_one_credential(world: World) -> None:
    """An id that a request names fifty times is one credential; only who asked may see how it stands."""
    party = world.host.party()
    code, _ = await world.send(party, REQUEST, request(*[f"{MEMBER}:vc11-sl2021/jwt"] * 50))
    await settled(world.node)
    issuer = world.node.node.issuer
    (one,) = [each for each in issuer.requests() if each.holder == party.did]
    assert (code, len(issuer.issued(party.did)), one.status, one.message) == (201, 1, "ISSUED", None)
    where = f"{world.node.url}{ISSUER_SERVICE}/requests/{one.pid}"
    assert (await world.host.get(where, party.token(world.node.did)))[0] == 200
    code, answer = await world.host.get(where, world.host.party().token(world.node.did))
    assert (code, "there is no request" in answer["reason"][0]) == (404, True)


async def test_a_flood_of_requests(world: World) -> None:
    """One holder is given a hundred credentials in an hour, and others go on to get theirs."""
    party = world.host.party()
    body = request(f"{MEMBER}:vc11-sl2021/jwt")
    codes = [(await world.send(party, REQUEST, body))[0] for _ in range(101)]
    assert codes == [201] * 100 + [503]
    await settled(world.node)
    await world.refused(party, REQUEST, body, 503, "100 requests in an hour")
    assert (await world.send(world.host.party(), REQUEST, body))[0] == 201
    world.clock.ahead += 3601
    assert (await world.send(party, REQUEST, body))[0] == 201
    await settled(world.node)


async def test_requests_that_wait_for_us(world: World) -> None:
    """Twenty requests of a holder wait for a decision, no more."""
    party = world.host.party()
    body = request(f"{RECYCLER}:vc11-sl2021/jwt", f"{RECYCLER}:vc20-bssl/jwt")
    codes = [(await world.send(party, REQUEST, body))[0] for _ in range(21)]
    assert codes == [201] * 20 + [503]


async def test_a_holder_that_takes_nothing(world: World) -> None:
    """What is not taken is brought again, later each time; a hundred such, and no more are issued."""
    party = world.host.party()
    party.services = {"CredentialService": f"{world.host.url}/nowhere"}
    body = request(f"{MEMBER}:vc11-sl2021/jwt")
    for _ in range(100):
        assert (await world.send(party, REQUEST, body))[0] == 201
    await settled(world.node)
    world.clock.ahead += 3601
    code, answer = await world.send(party, REQUEST, body)
    assert (code, "does not take what it gets" in answer["reason"][0]) == (503, True)


async def test_errors_hold_no_secrets(world: World) -> None:
    """A refusal names what was wrong, not where our files lie, what our keys are or which line failed."""
    party = world.host.party()
    seen = []
    for path in (QUERY, STORE, OFFER, REQUEST):
        for body in (b"{", {}, query("x"), delivery("x"), request("x")):
            code, answer = await world.send(party, path, body)
            assert code < 500
            seen.append(orjson.dumps(answer).decode())
    told = "\n".join(seen)
    assert not re.search(r"Traceback|\.py|PRIVATE|pydantic|/tmp|object at 0x", told)
