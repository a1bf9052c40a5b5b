"""Credentials and presentations as JWTs: what we make, what Eclipse connectors make, what must not pass."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from connector.errors import AnodeError, NotFound, RemoteProtocolError, Untrusted
from connector.flows.credentials import Issuer
from connector.vc import envelope, jws, multibase, multikey, status
from tests.flows.test_credentials import NOW, World
from tests.vc import cases
from tests.vc.cases import GOOD, V2, changed

pytestmark = pytest.mark.asyncio(loop_scope="module")
AUDIENCE = "did:web:verifier.example"
REFUSED = (RemoteProtocolError, Untrusted)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    made = World(tmp_path_factory.mktemp("envelopes"))
    yield made
    await made.workers.close()
    await made.db.close()


def signed(issuer: Issuer, claims: dict[str, Any], **header: Any) -> str:
    full = {"typ": "vc+jwt", "cty": "vc", "kid": issuer.method, **header}
    return jws.sign({key: value for key, value in full.items() if value is not ...}, claims, issuer.signer)


def document(by: Issuer, **members: Any) -> dict[str, Any]:
    return {**GOOD, "issuer": by.did, **members}


def presentation(holder: Issuer, *credentials: str, **more: Any) -> str:
    settings = {"audience": AUDIENCE, "now": NOW, "lifetime": 60, "token_id": "urn:uuid:1", **more}
    return envelope.presentation_jwt(credentials, holder.signer, holder.method, **settings)


@pytest.mark.parametrize("kind", multikey.KINDS)
async def test_a_credential_is_issued_and_verified_as_jwt(world: World, kind: str) -> None:
    """The envelope has exactly three members; the JWT its header; each kind of key its algorithm."""
    token = await world.credentials.issue_jwt(kind, GOOD)
    header = jws.parse(token).header
    assert (header["typ"], header["cty"], header["kid"]) == ("vc+jwt", "vc", world.issuers[kind].method)
    issued = envelope.envelope(token, "vc")
    assert issued.keys() == {"@context", "id", "type"}
    assert issued["id"] == f"data:application/vc+jwt,{token}"
    await world.verifier.verify(issued)
    found = await world.verifier.verify_jwt(token)
    assert found.document == {**GOOD, "issuer": world.issuers[kind].did}
    assert (found.issuer, found.token) == (world.issuers[kind].did, token)


@pytest.mark.parametrize("kind", multikey.KINDS)
async def test_a_credential_of_data_model_1_1_is_issued_and_verified_as_jwt(world: World, kind: str) -> None:
    """Its `vc` claim holds all of it; registered claims repeat what VCDM 1.1 §6.3.1 says they stand for."""
    given = {**cases.GOOD_1_1, "id": "urn:x:1", "expirationDate": "2099-01-01T00:00:00Z"}
    token = await world.credentials.issue_jwt(kind, given)
    parsed = jws.parse(token)
    issuer = world.issuers[kind]
    assert parsed.header["typ"] == "JWT"
    assert parsed.header["kid"] == issuer.method
    assert parsed.payload == {
        "iss": issuer.did,
        "jti": "urn:x:1",
        "sub": "did:example:subject",
        "nbf": 1767225600,
        "exp": 4070908800,
        "vc": {**given, "issuer": issuer.did},
    }
    found = await world.verifier.verify_jwt(token, older=True)
    assert found.document == {**given, "issuer": issuer.did}
    await world.verifier.verify(envelope.envelope(token, "vc", older=True))


async def test_terms_without_a_meaning_are_issued_to_who_reads_by_name(world: World) -> None:
    """A type that no context defines is an error, unless one says that the JSON is read as it is."""
    for good in (GOOD, cases.GOOD_1_1):
        named = {**good, "type": ["VerifiableCredential", "MembershipCredential"]}
        with pytest.raises(RemoteProtocolError, match="MembershipCredential"):
            await world.credentials.issue_jwt("P-256", named)
        token = await world.credentials.issue_jwt("P-256", named, meaning=False)
        older = good is cases.GOOD_1_1
        with pytest.raises(RemoteProtocolError, match="MembershipCredential"):
            await world.verifier.verify_jwt(token, older=older)
        found = await world.verifier.verify_jwt(token, older=older, meaning=False)
        assert found.document["type"] == named["type"]


@pytest.mark.parametrize("name", ["type missing", "issuer null", "undefined term", "context unknown"])
async def test_a_jwt_is_held_to_the_same_rules(world: World, name: str) -> None:
    """What no proof could be put on is not enveloped, and not believed in an envelope."""
    with pytest.raises(RemoteProtocolError):
        await world.credentials.issue_jwt("P-256", cases.REJECTED[name])
    issuer = world.issuers["P-256"]
    with pytest.raises(REFUSED):
        await world.verifier.verify_jwt(signed(issuer, {"issuer": issuer.did, **cases.REJECTED[name]}))


async def test_envelopes_that_are_none(world: World) -> None:
    """Another or no context, another type, another or no data URL."""
    good = envelope.envelope(await world.credentials.issue_jwt("P-256", GOOD), "vc")
    await world.verifier.verify({**good, "@context": [V2]})
    for wrong in [
        {**good, "@context": []},
        {**good, "@context": [cases.EXAMPLES]},
        {**good, "@context": None},
        {**good, "type": [envelope.CREDENTIAL, "VerifiableCredential"]},
        {**good, "type": envelope.PRESENTATION},
        {**good, "id": good["id"].partition(",")[2]},
        {**good, "id": good["id"].replace("vc+jwt", "vc+cose")},
        {**good, "id": good["id"].replace("vc+jwt", "vp+jwt")},
        {**good, "id": None},
        {**good, "id": "data:application/vc+jwt,"},
        {**good, "id": good["id"][:-8]},
    ]:
        with pytest.raises(REFUSED):
            await world.verifier.verify(wrong)


@pytest.mark.parametrize(
    ("header", "claims", "reason"),
    [
        ({"typ": "JWT"}, {}, "typ"),
        ({"typ": "vp+jwt"}, {}, "typ"),
        ({"typ": 7}, {}, "typ"),
        ({"cty": "vp"}, {}, "cty"),
        ({"kid": ...}, {}, "kid"),
        ({"kid": 7}, {}, "kid"),
        ({"kid": "did:web:other.example#k"}, {}, "which is none of"),
        ({"kid": "a-thumbprint-of-nobody"}, {}, "thumbprint"),
        ({"alg": "none"}, {}, "alg"),
        ({"alg": "HS256"}, {}, "alg"),
        ({"alg": "ES384"}, {}, "not that of its key"),
        ({"alg": "EdDSA"}, {}, "not that of its key"),
        ({"crit": ["x"]}, {}, "crit"),
        ({}, {"vc": {}}, "no vc or vp claim"),
        ({}, {"vp": {}}, "no vc or vp claim"),
        ({}, {"iss": "did:web:other.example"}, "iss"),
        ({}, {"exp": NOW - 1}, "expired"),
        ({}, {"exp": "soon"}, "exp"),
        ({}, {"nbf": NOW + 60}, "not valid yet"),
        ({}, {"iat": "yesterday"}, "iat"),
        ({}, {"iat": NOW + 60}, "in the future"),
        ({}, {"exp": 1e300}, "exp"),
        ({}, {"nbf": -1}, "nbf"),
        ({}, {"exp": True}, "exp"),
        ({}, {"validUntil": "2020-01-01T00:00:00Z"}, "expired"),
        ({}, {"issuer": "did:web:other.example"}, "which is none of"),
    ],
)
async def test_jwts_that_are_not_believed(world: World, header: Any, claims: Any, reason: str) -> None:
    """Each member of a header or payload that is missing, mistyped, or tells of somebody else."""
    issuer = world.issuers["P-256"]
    with pytest.raises(REFUSED, match=reason):
        await world.verifier.verify_jwt(signed(issuer, document(issuer, **claims), **header))


async def test_jwts_that_are_believed(world: World) -> None:
    """Without typ and cty, with `iat` as an instant, with a key named by its thumbprint."""
    issuer = world.issuers["P-256"]
    await world.verifier.verify_jwt(signed(issuer, document(issuer), typ=..., cty=...))
    await world.verifier.verify_jwt(signed(issuer, document(issuer, iat="2026-01-01T00:00:00Z")))
    maker = Issuer("did:web:maker.example", "did:web:maker.example#k", issuer.signer)
    key = {"id": maker.method, "type": "JsonWebKey", "controller": maker.did}
    key["publicKeyJwk"] = multikey.jwk(issuer.signer.public)  # type: ignore[assignment] # a dict in a dict
    world.documents[maker.did] = {
        "id": maker.did, "verificationMethod": [key], "assertionMethod": [maker.method]
    }  # fmt: skip
    kid = jws.thumbprint(issuer.signer.public)
    await world.verifier.verify_jwt(signed(maker, document(maker), kid=kid))


async def test_tokens_that_are_none(world: World) -> None:
    """Cut, altered, too long, not three parts, not JSON, deep: never more than an error."""
    issuer = world.issuers["P-256"]
    token = signed(issuer, document(issuer))
    head, body, tail = token.split(".")
    deep = multibase.base64url(b"[" * 10_000)
    other = multibase.base64url(b'{"alg":"ES256"}')
    parts = [
        (head, body, ""),
        (head, body, tail[:-4]),
        (head, deep, tail),
        (deep, body, tail),
        (other, body, tail),
        (head, head, tail),
        (head, "bm90IGpzb24", tail),
        (head, "W10", tail),
    ]
    joined = [".".join(part) for part in parts]
    for wrong in ["", "a.b", f"{head}.{body}", token + ".x", "é." * 2, "a" * (2 << 20), *joined]:
        with pytest.raises(REFUSED):
            await world.verifier.verify_jwt(wrong)


@pytest.mark.parametrize("double", [False, True])
async def test_presentations_as_jwt(world: World, double: bool) -> None:
    """A `vp+jwt`, plain or in the double envelope, holds for its audience, nonce, holder and time."""
    holder, issuer = world.issuers["Ed25519"], world.issuers["P-256"]
    held = envelope.credential_jwt(document(issuer), issuer.signer, issuer.method)
    token = presentation(holder, held, nonce="n1", double=double)
    verify = world.verifier.verify_presentation_jwt
    found = await verify(token, AUDIENCE, "n1")
    assert found.holder == holder.did
    assert [(c.issuer, c.token) for c in found.credentials] == [(issuer.did, held)]
    assert found.credentials[0].document == document(issuer)
    if not double:
        await world.verifier.verify_presentation(envelope.envelope(token, "vp"), "n1", AUDIENCE)
        with pytest.raises(REFUSED):
            await world.verifier.verify_presentation(envelope.envelope(token, "vp"), "n2", AUDIENCE)
    for audience, nonce, reason in [("did:web:else.example", "n1", "audience"), (AUDIENCE, "n2", "nonce")]:
        with pytest.raises(Untrusted, match=reason):
            await verify(token, audience, nonce)
    world.now = NOW + 61
    with pytest.raises(Untrusted, match="expired"):
        await verify(token, AUDIENCE, "n1")
    world.now = NOW
    spoiled = held[:-6] + "AAAAAA"
    for credentials in ([spoiled], [held, spoiled]):
        with pytest.raises(REFUSED):
            await verify(presentation(holder, *credentials, double=double), AUDIENCE, None)


async def test_the_outer_envelope_is_checked_too(world: World) -> None:
    """Eclipse connectors check neither its audience nor its key: somebody else's envelope is refused here."""
    holder, thief = world.issuers["Ed25519"], world.issuers["P-384"]
    inner = presentation(holder)
    claims = {"iss": thief.did, "aud": AUDIENCE, **envelope.envelope(inner, "vp")}
    stolen = jws.sign({"typ": "JWT", "kid": thief.method}, claims, thief.signer)
    with pytest.raises(Untrusted, match="different parties"):
        await world.verifier.verify_presentation_jwt(stolen, AUDIENCE, None)
    forged = jws.sign({"typ": "JWT", "kid": thief.method}, {**claims, "iss": holder.did}, thief.signer)
    with pytest.raises(Untrusted, match="which is none of"):
        await world.verifier.verify_presentation_jwt(forged, AUDIENCE, None)
    elsewhere = {**claims, "iss": holder.did, "aud": "did:web:else.example"}
    replayed = jws.sign({"typ": "JWT", "kid": holder.method}, elsewhere, holder.signer)
    with pytest.raises(Untrusted, match="audience"):
        await world.verifier.verify_presentation_jwt(replayed, AUDIENCE, None)
    nested = envelope.envelope(presentation(holder, double=True), "vp")
    twice = jws.sign(
        {"typ": "JWT", "kid": holder.method}, {"iss": holder.did, "aud": AUDIENCE, **nested}, holder.signer
    )
    with pytest.raises(REFUSED):
        await world.verifier.verify_presentation_jwt(twice, AUDIENCE, None)


async def test_a_presentation_holds_no_bare_credentials(world: World) -> None:
    """A credential without any proof, or a JWT as plain text, is refused in a `vp+jwt`."""
    holder = world.issuers["Ed25519"]
    held = envelope.credential_jwt(document(holder), holder.signer, holder.method)
    for entry in (document(holder), held, None, 7):
        claims = {"@context": [V2], "type": ["VerifiablePresentation"], "holder": holder.did, "aud": AUDIENCE}
        token = signed(holder, {**claims, "verifiableCredential": [entry]}, typ="vp+jwt", cty="vp")
        with pytest.raises(REFUSED):
            await world.verifier.verify_presentation_jwt(token, AUDIENCE, None)


async def test_the_older_form(world: World) -> None:
    """JWTs with `vc` and `vp` claims: mapped, verified, and refused where the switch is off."""
    issuer, holder = world.issuers["P-256"], world.issuers["Ed25519"]
    older = {**cases.GOOD_1_1, "issuer": issuer.did}
    held = envelope.older_credential_jwt(older, issuer.signer, issuer.method, "urn:uuid:2")
    found = await world.verifier.verify_jwt(held, older=True)
    assert found.document["credentialSubject"]["id"] == "did:example:subject"
    token = envelope.older_presentation_jwt(
        [held], holder.signer, holder.method, audience=AUDIENCE, now=NOW, lifetime=60, token_id="urn:uuid:3"
    )
    await world.verifier.verify_presentation_jwt(token, AUDIENCE, None, older=True)
    with pytest.raises(Untrusted, match="audience"):
        await world.verifier.verify_presentation_jwt(token, "did:web:else.example", None, older=True)
    with pytest.raises(Untrusted, match="nonce"):
        await world.verifier.verify_presentation_jwt(token, AUDIENCE, "n1", older=True)
    shown = envelope.envelope(token, "vp", older=True)
    await world.verifier.verify_presentation(shown, None, AUDIENCE)
    with pytest.raises(Untrusted, match="nonce"):
        await world.verifier.verify_presentation(shown, "n1", AUDIENCE)
    strict = world.verifying(world.statuses, older_jwt=False)
    with pytest.raises(RemoteProtocolError, match="not taken"):
        await strict.verify_jwt(held, older=True)
    with pytest.raises(RemoteProtocolError, match="not taken"):
        await strict.verify_presentation_jwt(token, AUDIENCE, None, older=True)
    claims = {"iss": issuer.did, "vc": {**older, "issuer": holder.did}}
    for wrong in [
        claims,
        {"iss": issuer.did},
        {"vc": older},
        {"iss": issuer.did, "sub": "did:example:other", "vc": older},
        {"iss": issuer.did, "vc": document(issuer)},
        {"iss": issuer.did, "vc": older, "exp": NOW - 1},
    ]:
        with pytest.raises(AnodeError):
            await world.verifier.verify_jwt(signed(issuer, wrong, typ="JWT", cty=...), older=True)


async def test_status_counts_in_envelopes_too(world: World) -> None:
    """A revoked credential in a JWT is as revoked as any."""
    for older, good in ((False, changed("name", "x")), (True, cases.GOOD_1_1)):
        token = await world.credentials.issue_jwt("P-256", good, revocable=True)
        found = (await world.verifier.verify_jwt(token, older=older)).document
        kind = "StatusList2021Entry" if older else "BitstringStatusListEntry"
        assert [entry["type"] for entry in found["credentialStatus"]] == [kind] * 2
        await world.statuses.set(found["credentialStatus"][0], value=True)
        with pytest.raises(Untrusted, match="revoked"):
            await world.verifier.verify_jwt(token, older=older)
        with pytest.raises(Untrusted, match="revoked"):
            await world.verifier.verify(envelope.envelope(token, "vc", older=older))


@pytest.mark.parametrize("older", [False, True])
async def test_our_lists_are_read_by_others_in_each_form(world: World, older: bool) -> None:
    """With a proof, as `vc+jwt`, as JWT with a `vc` claim: somebody else's node reads the same bits."""
    good = cases.GOOD_1_1 if older else GOOD
    token = await world.credentials.issue_jwt("P-256", good, revocable=True)
    found = (await world.verifier.verify_jwt(token, older=older)).document
    entry, other = found["credentialStatus"]
    name, beside = (e["statusListCredential"].rpartition("/")[2] for e in (entry, other))
    world.web[other["statusListCredential"]] = orjson.dumps(await world.credentials.status_list(beside))
    for value in (False, True):
        await world.statuses.set(entry, value=value)
        bodies = [orjson.dumps(await world.credentials.status_list(name))]
        for claim in (False, True):
            text, form = await world.credentials.status_list_jwt(name, older=claim)
            assert form == ("application/jwt" if older or claim else "application/vc+jwt")
            assert ("vc" in jws.parse(text).payload) == (older or claim)
            bodies.append(text.encode())
        for body in bodies:
            world.web[entry["statusListCredential"]] = body
            elsewhere = world.verifying(world.lists("https://elsewhere.example"))
            if value:
                with pytest.raises(Untrusted, match="revoked"):
                    await elsewhere.verify_jwt(token, older=older)
            else:
                await elsewhere.verify_jwt(token, older=older)
    with pytest.raises(NotFound):
        await world.credentials.status_list_jwt("nobody-revocation-1", older=False)


@pytest.mark.parametrize("older", [False, True])
async def test_status_lists_come_as_jwt_too(world: World, older: bool) -> None:
    """A Bitstring list as `vc+jwt`, plain and enveloped, and a StatusList2021 in the older form."""
    issuer = world.issuers["P-256"]
    kind = status.STATUS_LIST_2021 if older else status.BITSTRING
    entry = {**cases.ENTRY, "type": kind[0]}
    bits = status.with_bit(bytes(16384), 8, value=True)
    subject = {"type": kind[2], "statusPurpose": "revocation", "encodedList": status.encoded(bits, kind[0])}
    names = {*kind, *entry, *subject} - {"id", "type"}
    terms = {name: f"https://w3id.org/vc/status-list#{name}" for name in sorted(names)}
    base = cases.GOOD_1_1 if older else GOOD
    shared = {"@context": [*base["@context"], *([terms] if older else [])], "issuer": issuer.did}
    types = ["VerifiableCredential", kind[1]]
    listed = {**base, **shared, "id": cases.LIST, "type": types, "credentialSubject": subject}
    if older:
        bodies = [envelope.older_credential_jwt(listed, issuer.signer, issuer.method, "urn:uuid:1").encode()]
    else:
        token = envelope.credential_jwt(listed, issuer.signer, issuer.method)
        bodies = [token.encode(), orjson.dumps(envelope.envelope(token, "vc"))]
    for body in bodies:
        world.web[cases.LIST] = body
        verifier = world.verifying(world.lists("https://elsewhere.example"))
        for index, outcome in (("7", None), ("8", "revoked")):
            held = {**base, **shared, "credentialStatus": {**entry, "statusListIndex": index}}
            make = envelope.older_credential_jwt if older else envelope.credential_jwt
            more = ("urn:uuid:2",) if older else ()
            signed_one = make(held, issuer.signer, issuer.method, *more)
            if outcome is None:
                await verifier.verify_jwt(signed_one, older=older)
            else:
                with pytest.raises(Untrusted, match=outcome):
                    await verifier.verify_jwt(signed_one, older=older)
