"""What a participant presents, and what its proofs lead to: each thing that can be wrong with it is refused,
with the reason, in every profile; and nothing of it is kept."""

import gzip
import json
import re
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from connector import node as nodes
from connector.dcp.profiles import PROFILES
from connector.vc import multibase, status
from connector.vc.dates import iso
from connector.web import management
from tests.nodes import TOKEN, Running, running
from tests.rogue import MEMBER, Party, Rogue, ed25519, hmac_by, jwt, rogue, twice
from tests.space import Shifted, settled

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("older", [True, False], ids=["vc11", "vc20"])
SECRETS = re.compile(r"Traceback|BEGIN .*KEY|/tmp/|\.py\b|" + TOKEN)


class World:
    """A node that wants a membership from one issuer, and the rogue's parties: that issuer, and others."""

    def __init__(self, node: Running, host: Rogue, issuer: Party, clock: Shifted) -> None:
        self.node, self.host, self.issuer, self.clock = node, host, issuer, clock
        self.other = host.party()

    async def ask(self, party: Party, *presentations: Any) -> tuple[int, str]:
        """What the node answers a party that presents these: the status, and the reasons in one."""
        party.presents = [*presentations]
        code, body = await party.ask(self.node.url, self.node.did)
        reasons = body.get("reason", [])
        return code, "; ".join(r.get("@value", r) if isinstance(r, dict) else r for r in reasons)

    async def refused(self, party: Party, *presentations: Any, code: int = 401, why: str) -> None:
        """Fail unless the node refuses it so, says why and nothing that it should not, and keeps nothing."""
        found, reason = await self.ask(party, *presentations)
        assert (found, bool(re.search(why, reason))) == (code, True), (found, reason)
        assert not SECRETS.search(reason), reason
        assert self.stored(party) is None

    def stored(self, party: Party) -> Any:
        query = "SELECT credentials FROM presented WHERE participant = ?"
        return self.node.node.db.read.execute(query, (party.did,)).fetchone()


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=PROFILES)
async def world(request: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    clock = Shifted()
    async with rogue(clock.now) as host:
        issuer = host.party("issuer")
        settings = {"profile": request.param, "authority": issuer.did, "require": [MEMBER]}
        parts = nodes.Parts(clock=clock)
        async with running(tmp_path_factory.mktemp("node"), parts=parts, credentials=settings) as node:
            await settled(node)
            yield World(node, host, issuer, clock)


@BOTH
async def test_what_is_right_is_taken(world: World, older: bool) -> None:
    """The rogue's sound presentation is believed: so what is refused below is so for its fault alone."""
    party = world.host.party()
    held = world.issuer.credential(party.did, older=older)
    assert await world.ask(party, party.presentation(world.node.did, held, older=older)) == (200, "")
    assert world.stored(party) is not None


CREDENTIALS: dict[str, tuple[dict[str, Any], str]] = {
    "exp past": ({"claims": {"exp": 1}}, r"expired \(exp\)"),
    "exp null": ({"claims": {"exp": None}}, "exp is None, not a time"),
    "exp text": ({"claims": {"exp": "2099"}}, "exp is '2099', not a time"),
    "exp true": ({"claims": {"exp": True}}, "exp is True, not a time"),
    "nbf future": ({"claims": {"nbf": 9e9}}, r"not valid yet \(nbf\)"),
    "nbf null": ({"claims": {"nbf": None}}, "nbf is None, not a time"),
    "iat future": ({"claims": {"iat": 9e9}}, r"in the future \(iat\)"),
    "kid missing": ({"header": {"kid": ...}}, "needs a kid"),
    "kid a number": ({"header": {"kid": 7}}, "needs a kid"),
    "kid of nobody": ({"header": {"kid": "key-9"}}, "no key with the thumbprint"),
    "alg none": ({"header": {"alg": "none"}, "by": lambda _: b""}, "alg is 'none'"),
    "alg HS256": ({"header": {"alg": "HS256"}}, "alg is 'HS256'"),
    "alg ES384": ({"header": {"alg": "ES384"}}, "alg ES384 is not that of its key"),
    "alg EdDSA": ({"header": {"alg": "EdDSA"}, "by": ed25519()}, "alg EdDSA is not that of its key"),
    "signed by another": ({"by": ed25519()}, "signature"),
    "crit": ({"header": {"crit": ["exp"]}}, "critical extensions"),
    "typ of a presentation": ({"header": {"typ": "vp+jwt"}}, "typ is"),
    "no type": ({"type": [MEMBER]}, "type does not contain VerifiableCredential"),
    "no context": ({"@context": ...}, "no @context"),
    "foreign context first": ({"@context": ["https://x.example/"]}, "@context begins with"),
    "no subject": ({"credentialSubject": ...}, "credentialSubject must be"),
    "no issuer that is a URL": ({"issuer": {"name": "x"}}, "issuer"),
}


@BOTH
@pytest.mark.parametrize("name", CREDENTIALS)
async def test_a_credential_that_is_wrong(world: World, older: bool, name: str) -> None:
    """Wrong or missing claims, confused algorithms, keys of others: refused, though all else is right."""
    changes, why = CREDENTIALS[name]
    party = world.host.party()
    held = world.issuer.credential(party.did, older=older, **changes)
    await world.refused(party, party.presentation(world.node.did, held, older=older), why=why)


@BOTH
async def test_a_key_that_is_not_the_issuers(world: World, older: bool) -> None:
    """The believed issuer's name over somebody else's signature, under his kid, theirs, or as HS256."""
    party, other = world.host.party(), world.other
    for changes, why in [
        ({"by": other.key.signer}, "signature does not match"),
        ({"by": other.key.signer, "header": {"kid": other.key.kid}}, "which is none of"),
        ({"by": hmac_by(world.issuer.key.signer.public), "header": {"alg": "HS256"}}, "alg is 'HS256'"),
    ]:
        party = world.host.party()
        held = world.issuer.credential(party.did, older=older, **changes)
        await world.refused(party, party.presentation(world.node.did, held, older=older), why=why)


@BOTH
@pytest.mark.parametrize("member", ["iss", "sub", "exp", "nbf", "jti", "aud"])
async def test_claims_that_are_there_twice(world: World, older: bool, member: str) -> None:
    """A claim, or a kid, that stands twice in a credential or presentation: no parser's choice decides."""
    party = world.host.party()
    sound = world.issuer.credential(party.did, older=older)

    def doubled(payload: dict[str, Any]) -> str:
        return twice(member, payload.get(member, "x"), {member: "y", **payload})

    held = world.issuer.credential(party.did, older=older, claims=doubled)
    why = f"payload has '{member}' more than once"
    await world.refused(party, party.presentation(world.node.did, held, older=older), why=why)
    party = world.host.party()
    made = party.presentation(world.node.did, sound, older=older, claims=doubled)
    await world.refused(party, made, why=why)
    for token in (sound, made):
        head = json.loads(jose_part(token))
        again = jwt(twice("kid", "x", head), jose_part(token, 1), party.key.signer)
        party = world.host.party()
        made = again if token is made else party.presentation(world.node.did, again, older=older)
        await world.refused(party, made, why="header has 'kid' more than once")


def jose_part(token: str, number: int = 0) -> str:
    return multibase.from_base64url(token.split(".")[number]).decode()


@BOTH
async def test_a_credential_about_somebody_else(world: World, older: bool) -> None:
    """Somebody else's membership, alone or beside one's own, or about nobody, lets nobody in."""
    other = world.other.did
    for subject in ({"id": other, "a": 1}, [{"id": other, "a": 1}, {"a": 1}], [{"a": 1}]):
        party = world.host.party()
        stolen = world.issuer.credential(other, older=older, credentialSubject=subject, claims={"sub": ...})
        own = world.issuer.credential(party.did, older=older)
        why = "not about itself"
        await world.refused(party, party.presentation(world.node.did, stolen, older=older), why=why)
        party = world.host.party()
        own = world.issuer.credential(party.did, older=older)
        await world.refused(party, party.presentation(world.node.did, own, stolen, older=older), why=why)


@BOTH
async def test_time_that_is_over_or_has_not_come(world: World, older: bool) -> None:
    """An expired or a future credential is refused by its own dates, too; one that ends later then ends."""
    names = ("issuanceDate", "expirationDate") if older else ("validFrom", "validUntil")
    for changes, why in [
        ({names[1]: "2020-01-01T00:00:00Z", names[0]: "2019-01-01T00:00:00Z"}, "the credential has expired"),
        ({names[0]: "2098-01-01T00:00:00Z", names[1]: "2099-01-01T00:00:00Z"}, "not valid yet"),
        ({names[1]: "2019-01-01T00:00:00Z"}, "is before"),
        ({names[1]: "soon"}, "must be like"),
        ({names[0]: 7}, "must be like"),
    ]:
        party = world.host.party()
        held = world.issuer.credential(party.did, older=older, claims={"nbf": ..., "exp": ...}, **changes)
        await world.refused(party, party.presentation(world.node.did, held, older=older), why=why)
    party = world.host.party()
    held = world.issuer.credential(party.did, older=older, claims={"exp": int(world.clock.now()) + 30})
    assert (await world.ask(party, party.presentation(world.node.did, held, older=older)))[0] == 200
    world.clock.ahead += 31
    code, reason = await world.ask(party)
    assert (code, f"no {MEMBER} that is valid now" in reason) == (403, True)


@BOTH
async def test_issuers_that_nobody_believes(world: World, older: bool) -> None:
    """Anybody may issue himself anything: it is told by name; neither its key nor its status is fetched."""
    party = world.host.party()
    stranger = world.host.party()
    url = f"{world.host.url}/{stranger.name}/list"
    held = [party.credential(party.did, older=older), stranger.listed(party.did, url, older=older)]
    code, reason = await world.ask(party, party.presentation(world.node.did, *held, older=older))
    assert (code, f"{stranger.did} is not trusted to issue it" in reason) == (403, True)
    assert world.stored(party) is None
    assert world.host.asked[f"/{stranger.name}/did.json"] == world.host.asked[f"/{stranger.name}/list"] == 0
    kept = world.node.node.presentations.of(party.did)
    assert "Batteries" not in repr(kept)
    assert kept.held == {MEMBER: ()}


PRESENTATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "aud missing": ({"claims": {"aud": ...}}, "another audience"),
    "aud of another": ({"claims": {"aud": "did:web:else.example"}}, "another audience"),
    "aud a list without us": ({"claims": {"aud": ["did:web:else.example"]}}, "another audience"),
    "aud an object": ({"claims": {"aud": {"a": 1}}}, "another audience"),
    "exp missing": ({"claims": {"exp": ...}}, "does not say when it expires"),
    "exp past": ({"claims": {"exp": 1}}, "expired"),
    "exp null": ({"claims": {"exp": None}}, "exp is None"),
    "nbf future": ({"claims": {"nbf": 9e9}}, "not valid yet"),
    "iss of another": ({"claims": {"iss": "did:web:else.example"}}, "iss is"),
    "kid missing": ({"header": {"kid": ...}}, "needs a kid"),
    "kid of another DID": ({"header": {"kid": "did:web:else.example#key-1"}}, "which is none of"),
    "kid of nobody": ({"header": {"kid": "x"}}, "no key with the thumbprint"),
    "alg none": ({"header": {"alg": "none"}, "by": lambda _: b""}, "alg is 'none'"),
    "alg HS256": ({"header": {"alg": "HS256"}}, "alg is 'HS256'"),
    "alg ES384": ({"header": {"alg": "ES384"}}, "alg ES384 is not that of its key"),
    "alg EdDSA": ({"header": {"alg": "EdDSA"}, "by": ed25519()}, "alg EdDSA is not that of its key"),
    "signed by another": ({"by": ed25519()}, "signature"),
    "typ of a credential": ({"header": {"typ": "vc+jwt"}}, "typ is"),
    "no type": ({"type": ["X"]}, "does not contain VerifiablePresentation"),
    "holder another": ({"holder": "did:web:else.example"}, "another|which is none of|iss is"),
    "entry a number": ({"verifiableCredential": [7]}, "not an object"),
    "entry bare": ({"verifiableCredential": [{"issuer": "x"}]}, "a credential must be a JWT"),
    "entry with a proof": (
        {"verifiableCredential": [{"issuer": "x", "proof": {}}]},
        "a credential must be a JWT",
    ),
}


@BOTH
@pytest.mark.parametrize("name", PRESENTATIONS)
async def test_a_presentation_that_is_wrong(world: World, older: bool, name: str) -> None:
    """Made for another audience, over, of another's key, of no known form: refused, whatever is in it."""
    changes, why = PRESENTATIONS[name]
    party = world.host.party()
    held = world.issuer.credential(party.did, older=older)
    await world.refused(party, party.presentation(world.node.did, held, older=older, **changes), why=why)


@BOTH
async def test_presentations_of_others(world: World, older: bool) -> None:
    """A member's own presentation, or one that it made for somebody else, is nobody else's ticket."""
    member, thief = world.host.party(), world.host.party()
    held = world.issuer.credential(member.did, older=older)
    relayed = member.presentation(world.node.did, held, older=older)
    await world.refused(thief, relayed, why="must be its own")
    thief = world.host.party()
    replayed = member.presentation(thief.did, held, older=older)
    await world.refused(thief, replayed, why="another audience")
    await world.refused(member, replayed, why="another audience")


async def test_both_layers_of_a_double_envelope(world: World) -> None:
    """Audience, end and key are asked of the outer and of the inner token, of each alone."""
    us = world.node.did
    outer = {"aud": us, "exp": int(world.clock.now()) + 60}
    for inner_claims, outer_claims, by_other, why in [
        ({}, {}, False, None),
        ({"aud": "did:web:else.example"}, {}, False, "another audience"),
        ({"exp": ...}, {}, False, "does not say when it expires"),
        ({"exp": 1}, {}, False, "expired"),
        ({}, {"aud": "did:web:else.example"}, False, "another audience"),
        ({}, {"aud": ...}, False, "another audience"),
        ({}, {"exp": ...}, False, "does not say when it expires"),
        ({}, {"exp": 1}, False, "expired"),
        ({}, {"iss": world.other.did}, False, "different parties"),
        ({}, {}, True, "signature does not match"),
    ]:
        party = world.host.party()
        held = world.issuer.credential(party.did, older=False)
        inner = party.presentation(us, held, older=False, claims=inner_claims)
        claims = {
            "iss": party.did,
            **outer,
            "type": "EnvelopedVerifiablePresentation",
            "id": f"data:application/vp+jwt,{inner}",
            **outer_claims,
        }
        claims = {name: value for name, value in claims.items() if value is not ...}
        by = world.other.key.signer if by_other else party.key.signer
        wrapped = jwt({"alg": "ES256", "typ": "JWT", "kid": party.key.kid}, claims, by)
        if why is None:
            assert await world.ask(party, wrapped) == (200, "")
        else:
            await world.refused(party, wrapped, why=why)


# -- status lists


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes wait for a list for half a second."""
    monkeypatch.setattr(nodes, "_FETCH", 0.5)


@cache
def bomb() -> str:
    """A list of 16 MiB in a few kilobytes."""
    return status.encoded(bytes(16 << 20))


def redirect(where: str) -> web.Response:
    return web.Response(status=302, headers={"Location": where})


def packed() -> web.Response:
    """64 MiB of blanks, packed for the way."""
    return web.Response(body=gzip.compress(b" " * (64 << 20), 1), headers={"Content-Encoding": "gzip"})


def over(older: bool) -> dict[str, str]:
    """Dates of a credential that has expired."""
    begins, ends = ("issuanceDate", "expirationDate") if older else ("validFrom", "validUntil")
    return {begins: "2019-01-01T00:00:00Z", ends: "2020-01-01T00:00:00Z"}


def with_key(party: Party, **members: Any) -> dict[str, Any]:
    """The party's DID document with its key changed, behind entries that are none."""
    key = {**party.document["verificationMethod"][0], **members}
    return {**party.document, "verificationMethod": [None, 7, [], key]}


LISTS: dict[str, tuple[Any, int, str]] = {
    "revoked": (
        lambda i, u, o: i.status_list(u, bits=b"\x01" + bytes(1 << 14), older=o),
        401,
        "revoked by its issuer",
    ),
    "another purpose": (
        lambda i, u, o: i.status_list(u, purpose="suspension", older=o),
        401,
        "is for suspension",
    ),
    "no purpose": (lambda i, u, o: i.status_list(u, purpose="", older=o), 401, "status list"),
    "unpacks too large": (
        lambda i, u, o: i.status_list(u, encoded=bomb(), older=o),
        401,
        "unpacks to more than",
    ),
    "not gzip": (lambda i, u, o: i.status_list(u, encoded="uAAAA", older=o), 401, "not gzip"),
    "cut": (
        lambda i, u, o: i.status_list(u, encoded=status.encoded(bytes(1 << 14))[:-8], older=o),
        401,
        "cut|not gzip",
    ),
    "of another id": (lambda i, u, o: i.status_list(u + "x", older=o), 401, "has the id"),
    "of another type": (
        lambda i, u, o: i.status_list(u, older=o, type=["VerifiableCredential", "X"]),
        401,
        "is not a",
    ),
    "expired": (lambda i, u, o: i.status_list(u, older=o, **over(o)), 401, "expired"),
    "empty": (lambda i, u, o: b"", 401, "is empty"),
    "a page": (lambda i, u, o: b"<html>", 401, "not JSON"),
    "deep": (lambda i, u, o: b"[" * 10_000, 401, "not JSON"),
    "a redirect": (lambda i, u, o: redirect(u + "x"), 503, "answered 302"),
    "gone": (lambda i, u, o: web.Response(status=404), 503, "answered 404"),
    "a bomb on the wire": (lambda i, u, o: packed(), 401, "more than 2097152 bytes"),
}


@BOTH
@pytest.mark.parametrize("name", LISTS)
async def test_a_status_list_that_is_wrong(world: World, older: bool, name: str) -> None:
    """A status that can't be told is no status: huge, foreign, broken, missing lists are told by address."""
    make, code, why = LISTS[name]
    party = world.host.party()
    path = f"/lists/{party.name}"
    url = f"{world.host.url}{path}"
    made = make(world.issuer, url, older)
    world.host.bent[path] = made.encode() if isinstance(made, str) else made
    held = world.issuer.listed(party.did, url, older=older)
    await world.refused(party, party.presentation(world.node.did, held, older=older), code=code, why=why)


@BOTH
async def test_lists_of_others_and_entries_that_are_wrong(world: World, older: bool) -> None:
    """The list of another issuer, an index out of range, another type or none, our own list that is not."""
    private = "http://10.0.0.1/list"
    for entry, by_other, why in [
        ({}, True, "the status list is issued by"),
        ({"statusListIndex": "131072000"}, False, "has no entry"),
        ({"statusListIndex": "-1"}, False, "statusListIndex must be"),
        ({"type": "UnknownStatus2099"}, False, "is not understood"),
        ({"type": ["X"]}, False, "is not understood"),
        ({"statusPurpose": "message"}, False, "is for revocation, not for"),
        ({"statusListCredential": f"{world.node.url}/status/key-1-revocation-9"}, False, "no status list"),
        ({"statusListCredential": private}, False, "is private; this node"),
        ({"statusListCredential": "file:///etc/passwd"}, False, "is not an https address"),
        ({"statusListCredential": 7}, False, "statusListCredential"),
    ]:
        party = world.host.party()
        path = f"/lists/{party.name}"
        url = f"{world.host.url}{path}"
        by = world.other if by_other else world.issuer
        world.host.bent[path] = by.status_list(url, older=older).encode()
        held = world.issuer.listed(party.did, url, older=older, **entry)
        await world.refused(party, party.presentation(world.node.did, held, older=older), why=why)


@BOTH
async def test_short_lists(world: World, older: bool) -> None:
    """A list of 16,384 bits is refused; Eclipse's profiles take it, since Identity Hub has no longer ones."""
    party = world.host.party()
    path = f"/lists/{party.name}"
    url = f"{world.host.url}{path}"
    world.host.bent[path] = world.issuer.status_list(url, bits=bytes(2048), older=older).encode()
    held = party.presentation(world.node.did, world.issuer.listed(party.did, url, older=older), older=older)
    if world.node.node.profile.name == "strict":
        await world.refused(party, held, why="has 16384 bits; it must have 131072 or more")
    else:
        assert (await world.ask(party, held))[0] == 200


async def test_a_list_that_never_comes(world: World, impatient: None) -> None:
    """Nothing is believed while a list can't be had; it is not our fault, and the answer says come again."""
    party = world.host.party()
    path = f"/lists/{party.name}"
    world.host.bent[path] = world.host.nothing
    held = world.issuer.listed(party.did, f"{world.host.url}{path}")
    made = party.presentation(world.node.did, held)
    await world.refused(party, made, code=503, why="did not answer within")


@BOTH
async def test_a_list_that_ends(world: World, older: bool) -> None:
    """A list is used no longer than it says, though that be sooner than lists are looked at anew."""
    party = world.host.party()
    path = f"/{world.issuer.name}/{party.name}-list"
    url = f"{world.host.url}{path}"
    end = {"expirationDate" if older else "validUntil": iso(world.clock.now() + 60)}
    world.host.bent[path] = world.issuer.status_list(url, older=older, **end).encode()
    presentation = party.presentation(
        world.node.did, world.issuer.listed(party.did, url, older=older), older=older
    )
    assert (await world.ask(party, presentation))[0] == 200
    world.clock.ahead += 61
    code, reason = await world.ask(party)
    assert (code, "can't be used" in reason) == (403, True), reason
    assert world.host.asked[path] == 2


@BOTH
async def test_suspended_for_a_while(world: World, older: bool) -> None:
    """A suspended credential counts no more, and counts again when it is no longer suspended."""
    party = world.host.party()
    path = f"/lists/{party.name}"
    url = f"{world.host.url}{path}"
    world.host.bent[path] = world.issuer.status_list(url, purpose="suspension", older=older).encode()
    held = world.issuer.listed(party.did, url, older=older, statusPurpose="suspension")
    made = party.presentation(world.node.did, held, older=older)
    assert (await world.ask(party, made))[0] == 200
    bits = b"\x01" + bytes(1 << 14)
    world.host.bent[path] = world.issuer.status_list(
        url, purpose="suspension", bits=bits, older=older
    ).encode()
    world.clock.ahead += 301
    made = party.presentation(
        world.node.did,
        world.issuer.listed(party.did, url, older=older, statusPurpose="suspension"),
        older=older,
    )
    code, reason = await world.ask(party, made)
    assert (code, "suspended by its issuer" in reason) == (401, True)
    world.host.bent[path] = world.issuer.status_list(url, purpose="suspension", older=older).encode()
    world.clock.ahead += 301
    made = party.presentation(
        world.node.did,
        world.issuer.listed(party.did, url, older=older, statusPurpose="suspension"),
        older=older,
    )
    assert (await world.ask(party, made))[0] == 200


# -- where participants lead us

DOCUMENTS: dict[str, tuple[Any, int, str]] = {
    "a foreign id": (
        lambda p: {**p.document, "id": "did:web:else.example"},
        401,
        "has the id 'did:web:else.example'",
    ),
    "no id": (lambda p: {"verificationMethod": []}, 401, "has the id None"),
    "a list": (lambda p: [p.document], 401, "not a JSON object"),
    "a redirect": (lambda p: redirect("http://127.0.0.1/did.json"), 401, "redirects elsewhere"),
    "gone": (lambda p: web.Response(status=404), 401, "answered 404"),
    "away": (lambda p: web.Response(status=502), 503, "can't be fetched now"),
    "fifty megabytes": (lambda p: p.rogue.endless, 401, "more than 65536 bytes"),
    "a bomb": (lambda p: packed(), 401, "more than 65536 bytes"),
    "deep": (lambda p: b"[" * 10_000, 401, "not JSON"),
    "deeper than read": (lambda p: b"[" * 100 + b"]" * 100, 401, "nested deeper than 16"),
    "a page": (lambda p: b"<html>", 401, "not JSON"),
    "no keys": (lambda p: {"id": p.did}, 401, "has no verification method"),
    "another's key": (lambda p: with_key(p, controller="did:web:else.example"), 401, "is controlled by"),
    "a private key": (
        lambda p: with_key(p, publicKeyJwk={"kty": "EC", "crv": "P-256", "d": "z"}),
        401,
        "private part",
    ),
    "keys of nonsense": (lambda p: with_key(p, publicKeyJwk={"kty": 1}), 401, "none of Ed25519, P-256"),
    "the key twice": (
        lambda p: {**p.document, "verificationMethod": p.document["verificationMethod"] * 2},
        401,
        "twice",
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_did_document_that_is_wrong(world: World, name: str) -> None:
    """Foreign, elsewhere, huge, deep, empty or broken: the sender is told what its document lacks."""
    make, code, why = DOCUMENTS[name]
    party = world.host.party()
    made = make(party)
    made = json.dumps(made).encode() if isinstance(made, dict | list) else made
    world.host.bent[f"/{party.name}/did.json"] = made
    await world.refused(party, code=code, why=why)


@pytest.mark.parametrize(
    ("did", "why"),
    [
        ("did:web:10.0.0.1", "not an IP address"),
        ("did:web:localhost%3A99999", "not a number from 1 to 65535"),
        ("did:web:localhost:..:etc", "not a path segment"),
        ("did:web:localhost%2Fx", "not a host name"),
        ("did:web:169.254.169.254:latest", "not an IP address"),
        ("did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169", "is not a did:web"),
        ("did:web:", "is not a DID"),
    ],
)
async def test_dids_that_lead_astray(world: World, did: str, why: str) -> None:
    """A DID that names an address and no host, or climbs out of its path, is refused as it is written."""
    party = world.host.party()
    token = party.token(world.node.did, iss=did, sub=did, header={"kid": f"{did}#key-1"})
    code, body = await party.ask(world.node.url, world.node.did, token)
    assert (code, why in str(body)) == (401, True), body


async def test_a_did_document_that_never_comes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that takes the question and gives no answer costs its own request a while, and is told so."""
    monkeypatch.setattr(world.node.node.resolver, "_timeout", 0.5)
    party = world.host.party()
    world.host.bent[f"/{party.name}/did.json"] = world.host.nothing
    await world.refused(party, code=503, why="can't be fetched now.*did not answer within")


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("http://10.0.0.1/wallet", "out of reach of this node.*is private; this node"),
        ("http://169.254.169.254/latest", "out of reach of this node.*is link-local"),
        ("http://user:secret@localhost/", "user information"),
        ("https://wallet.example\\@localhost/", "out of reach"),
        ("file:///etc/passwd", "is not an https address"),
        ("http://localhost:1/x?y=", "has an address with"),
        ("http://localhost:1/x#", "has an address with"),
        (None, "names no CredentialService"),
        (7, "names no CredentialService"),
    ],
)
async def test_wallets_in_forbidden_places(world: World, endpoint: Any, why: str) -> None:
    """An address that only we can reach, or that is no base for paths, is refused with the reason."""
    party = world.host.party()
    party.services = {"CredentialService": endpoint} if endpoint is not None else {}
    await world.refused(party, why=why)


async def test_our_own_management_as_a_wallet(world: World) -> None:
    """Even where loopback is in reach, our management listener takes no peer's question: it has no token."""
    runner = web.AppRunner(management.application(world.node.node, TOKEN), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        port = runner.addresses[0][1]
        for path in ("", "/reload", "/negotiations", "/sts/token", "/vc"):
            party = world.host.party()
            party.services = {"CredentialService": f"http://127.0.0.1:{port}{path}"}
            await world.refused(party, why="answered 40[134]")
    finally:
        await runner.cleanup()


WALLETS: dict[str, tuple[Any, int, str]] = {
    "an error": (web.Response(status=500), 503, "answered 500"),
    "a refusal": (
        web.Response(body=b'{"reason": ["no, \\u0000 and \\u001b[31m no"]}', status=403),
        401,
        "answered 403",
    ),
    "a redirect": (redirect("http://127.0.0.1/"), 401, "answered 302"),
    "a page": (b"<html>", 401, "not JSON"),
    "nothing": (b"", 401, "is empty"),
    "deep": (b"[" * 10_000, 401, "not JSON"),
    "deeper than read": (b'{"presentation":' + b"[" * 100 + b"]" * 100 + b"}", 401, "nested deeper"),
    "another message": (
        b'{"@context":["https://w3id.org/dspace-dcp/v1.0/dcp.jsonld"],"type":"CredentialMessage"}',
        401,
        "PresentationResponseMessage is expected",
    ),
    "no context": (b'{"type":"PresentationResponseMessage","presentation":[]}', 401, "@context must be"),
    "a bomb": (packed(), 401, "more than 1048576 bytes"),
}


@pytest.mark.parametrize("name", WALLETS)
async def test_a_wallet_that_answers_anything(world: World, name: str) -> None:
    """Whatever comes instead of presentations is told as the wallet's fault, with what was expected."""
    made, code, why = WALLETS[name]
    party = world.host.party()
    world.host.bent[f"/{party.name}/wallet/presentations/query"] = made
    await world.refused(party, code=code, why=f"credential service of {party.did}.*{why}|{why}")


@pytest.mark.parametrize(
    ("presentations", "why"),
    [
        ([7], "presentation.0"),
        ([None], "presentation.0"),
        ([{"proof": {}}], "a presentation must be a JWT"),
        (["x"], "not a JWS"),
        (["a.b.c"], "JWS's header"),
        (["x.y.z"] * 51, "at most 50"),
        ("text", "presentation: "),
    ],
)
async def test_presentations_that_are_none(world: World, presentations: Any, why: str) -> None:
    """Numbers, texts, objects with proofs, too many: each is told by its place."""
    party = world.host.party()
    party.presents = presentations
    code, body = await party.ask(world.node.url, world.node.did)
    assert (code, bool(re.search(why, str(body)))) == (401, True), body


async def test_more_credentials_than_are_read(world: World) -> None:
    """Hundreds of credentials, in one presentation or in many, are not even looked at."""
    party = world.host.party()
    held = world.issuer.credential(party.did)
    many = [party.presentation(world.node.did, *[held] * 26) for _ in range(2)]
    await world.refused(party, *many, why="more than 50 credentials")


async def test_a_new_credential_counts_at_once(world: World) -> None:
    """A participant whose credential was refused is asked again as soon as it comes back with another."""
    party = world.host.party()
    expired = world.issuer.credential(party.did, claims={"exp": 1})
    await world.refused(party, party.presentation(world.node.did, expired), why="expired")
    held = world.issuer.credential(party.did)
    assert await world.ask(party, party.presentation(world.node.did, held)) == (200, "")


async def test_a_failure_is_remembered_for_seconds(world: World) -> None:
    """However often a participant with a broken wallet asks, its wallet is asked once in five seconds."""
    party = world.host.party()
    path = f"/{party.name}/wallet/presentations/query"
    world.host.bent[path] = web.Response(status=500)
    for _ in range(20):
        await world.refused(party, code=503, why="answered 500")
    assert world.host.asked[path] == 1
    world.clock.ahead += 6
    del world.host.bent[path]
    held = world.issuer.credential(party.did)
    assert (await world.ask(party, party.presentation(world.node.did, held)))[0] == 200
