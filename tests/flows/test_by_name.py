"""JWTs whose JSON is read as it stands, as data spaces do it; and what a profile may forgive, each alone."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from connector.errors import AnodeError, RemoteProtocolError, Untrusted
from connector.flows.credentials import Issuer
from connector.vc import credential as model
from connector.vc import envelope, jws, multikey, status
from connector.vc.signers import InMemory
from connector.vc.status import Demands
from tests.flows.test_credentials import NOW, World
from tests.vc import cases
from tests.vc.cases import V1, V2

pytestmark = pytest.mark.asyncio(loop_scope="module")
AUDIENCE = "did:web:verifier.example"
TYPES = ["VerifiableCredential", "MembershipCredential"]
UUID = "7d6a1f0e-0b0a-4a52-8a54-6a2c1f3f7a11"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    made = World(tmp_path_factory.mktemp("by_name"))
    yield made
    await made.workers.close()
    await made.db.close()


def membership(by: Issuer, holder: Issuer, *, older: bool, **members: Any) -> str:
    """A credential as data spaces issue it: its type and its claims are in no context, its id is a UUID."""
    subject = {"id": holder.did, "memberOf": "Example-X"}
    document = {"@context": [V1 if older else V2], "id": UUID, "type": TYPES, "issuer": by.did}
    document |= {"credentialSubject": subject}
    document |= {"issuanceDate" if older else "validFrom": "2026-01-01T00:00:00Z", **members}
    if older:
        return envelope.older_credential_jwt(document, by.signer, by.method, UUID)
    return envelope.credential_jwt(document, by.signer, by.method)


def presentation(holder: Issuer, *tokens: str, older: bool, **more: Any) -> str:
    settings = {"audience": AUDIENCE, "now": NOW, "lifetime": 60, "token_id": "urn:uuid:1", **more}
    make = envelope.older_presentation_jwt if older else envelope.presentation_jwt
    return make(tokens, holder.signer, holder.method, **settings)


@pytest.mark.parametrize("older", [False, True])
async def test_a_presentation_gives_back_what_it_presents(world: World, older: bool) -> None:
    """The holder, and each credential with its issuer and its token, in order."""
    holder = world.issuers["Ed25519"]
    issuers = [world.issuers["P-256"], world.issuers["P-384"]]
    tokens = [membership(issuer, holder, older=older) for issuer in issuers]
    for double in [False] if older else [False, True]:
        token = presentation(holder, *tokens, older=older, **({} if older else {"double": double}))
        found = await world.verifier.verify_presentation_jwt(
            token, AUDIENCE, None, older=older, meaning=False
        )
        assert found.holder == holder.did
        assert [c.issuer for c in found.credentials] == [issuer.did for issuer in issuers]
        assert [c.token for c in found.credentials] == tokens
        for credential in found.credentials:
            assert credential.document["type"] == TYPES
            assert credential.document["credentialSubject"] == {"id": holder.did, "memberOf": "Example-X"}
        with pytest.raises(RemoteProtocolError):  # where terms must have a meaning, these have none
            await world.verifier.verify_presentation_jwt(token, AUDIENCE, None, older=older)


@pytest.mark.parametrize("older", [False, True])
async def test_no_check_but_that_of_the_meaning_is_skipped(world: World, older: bool) -> None:
    """Key of another, expiry, unknown status types, another's credential: refused by name as well."""
    holder, issuer, thief = (world.issuers[kind] for kind in ("Ed25519", "P-256", "P-384"))
    verify = world.verifier.verify_presentation_jwt
    end = "expirationDate" if older else "validUntil"
    unknown = {"id": "urn:x:1", "type": "SomeStatus"}
    stolen = Issuer(issuer.did, thief.method, thief.signer)
    forged = Issuer(issuer.did, issuer.method, thief.signer)
    for token, reason in [
        (membership(issuer, holder, older=older, **{end: "2026-01-02T00:00:00Z"}), "expired"),
        (membership(issuer, holder, older=older, credentialStatus=unknown), "not understood"),
        (membership(issuer, holder, older=older, credentialStatus=[unknown] * 21), "more than 20"),
        (membership(stolen, holder, older=older), "none of"),
        (membership(forged, holder, older=older), "not that of its key"),
        (membership(issuer, holder, older=older, issuer={"id": "no-url"}), "issuer"),
        (membership(issuer, holder, older=older, id=7), "id of the credential"),
        (membership(issuer, holder, older=older, type="MembershipCredential"), "VerifiableCredential"),
        (membership(issuer, holder, older=older)[:-8] + "AAAAAAAA", "signature"),
    ]:
        with pytest.raises((RemoteProtocolError, Untrusted), match=reason):
            await verify(presentation(holder, token, older=older), AUDIENCE, None, older=older, meaning=False)
    good = membership(issuer, holder, older=older)
    for token, reason in [
        (presentation(holder, good, older=older, audience="did:web:else.example"), "audience"),
        (presentation(holder, good, older=older, lifetime=-1), "expired"),
        (presentation(holder, good, older=older, now=NOW + 60), "not valid yet"),
        (presentation(holder, *[good] * 101, older=older), "more than 100"),
    ]:
        with pytest.raises((RemoteProtocolError, Untrusted), match=reason):
            await verify(token, AUDIENCE, None, older=older, meaning=False)
    own = await verify(presentation(thief, good, older=older), AUDIENCE, None, older=older, meaning=False)
    assert own.holder == thief.did  # so whoever asks must compare it with the credential's subject
    assert own.credentials[0].document["credentialSubject"]["id"] == holder.did


async def test_registered_claims_stand_for_missing_members(world: World) -> None:
    """`nbf` is the issuanceDate, `exp` the expirationDate, `jti` the id, `sub` the subject's."""
    issuer = world.issuers["P-256"]
    inner = {"@context": [V1], "type": TYPES, "credentialSubject": {"memberOf": "Example-X"}}
    claims = {
        "iss": issuer.did,
        "sub": "did:web:a.example",
        "jti": "urn:x:1",
        "nbf": NOW - 10,
        "exp": NOW + 10,
    }
    token = jws.sign({"typ": "JWT", "kid": issuer.method}, {**claims, "vc": inner}, issuer.signer)
    found = (await world.verifier.verify_jwt(token, older=True, meaning=False)).document
    assert found["issuer"] == issuer.did
    assert found["id"] == "urn:x:1"
    assert found["credentialSubject"] == {"id": "did:web:a.example", "memberOf": "Example-X"}
    assert model.period(found) == (NOW - 10, NOW + 10)


def listed(by: Issuer, bits: int, **members: Any) -> dict[str, Any]:
    """A status list as Eclipse's issuer makes it: in the older data model, its id a UUID, one type."""
    subject = {"id": UUID, "type": status.BITSTRING[2], "statusPurpose": "revocation"}
    subject |= {"encodedList": status.encoded(status.with_bit(bytes(bits // 8), 8, value=True))}
    return {
        "@context": [V1],
        "id": UUID,
        "type": [status.BITSTRING[1]],
        "issuer": by.did,
        "issuanceDate": "2026-01-01T00:00:00Z",
        "credentialSubject": subject,
        **members,
    }


async def outcome(world: World, body: bytes, index: Any, demands: Demands) -> str:
    """What is said of a credential with that index in that list: nothing, or why not."""
    issuer = world.issuers["P-256"]
    world.web[cases.LIST] = body
    entry = {**cases.ENTRY, "id": UUID, "statusListIndex": index}
    token = membership(issuer, issuer, older=True, credentialStatus=entry)
    verifier = world.verifying(world.lists("https://elsewhere.example", demands=demands))
    try:
        await verifier.verify_jwt(token, older=True, meaning=False)
    except AnodeError as wrong:
        return str(wrong)
    return ""


async def test_lists_of_eclipse_issuers(world: World) -> None:
    """Too short, and not in the shape of a list: each is forgiven only where a profile says so; numbers are
    taken for indexes."""
    issuer = world.issuers["P-256"]
    token = envelope.older_credential_jwt(listed(issuer, 16384), issuer.signer, issuer.method, UUID)
    body = token.encode()
    both = Demands(min_bits=1, shaped=False)
    assert await outcome(world, body, 7, both) == ""
    assert await outcome(world, body, "7", both) == ""
    assert "revoked" in await outcome(world, body, 8, both)
    assert "no entry 16384" in await outcome(world, body, 16384, both)
    assert "statusListIndex" in await outcome(world, body, True, both)
    assert "VerifiableCredential" in await outcome(world, body, 7, Demands(min_bits=1))
    assert "must have 131072" in await outcome(world, body, 7, Demands(shaped=False))
    assert "VerifiableCredential" in await outcome(world, body, 7, status.STRICT)
    spoiled = token[:-8] + "AAAAAAAA"
    assert "signature" in await outcome(world, spoiled.encode(), 7, both)
    for members, reason in [
        ({"id": "https://issuer.example/status/2"}, "has the id"),
        ({"issuer": world.issuers["P-384"].did}, "the document's issuer another"),
        ({"expirationDate": "2026-01-02T00:00:00Z"}, "expired"),
    ]:
        other = listed(issuer, 16384, **members)
        signed = {"iss": issuer.did, "vc": other}
        text = jws.sign({"typ": "JWT", "kid": issuer.method}, signed, issuer.signer)
        assert reason in await outcome(world, text.encode(), 7, both)


async def test_unsigned_lists(world: World) -> None:
    """A list without any proof is believed only where a profile says so; one with a false proof never."""
    issuer = world.issuers["P-256"]
    forgiving = Demands(min_bits=1, signed=False, shaped=False)
    document = {**listed(issuer, 16384), "expirationDate": None}
    body = orjson.dumps(document)
    assert await outcome(world, body, 7, forgiving) == ""
    assert "revoked" in await outcome(world, body, 8, forgiving)
    for demands in (status.STRICT, Demands(min_bits=1, shaped=False)):
        assert "can't be used" in await outcome(world, body, 7, demands)
    assert "must have 131072" in await outcome(world, body, 7, Demands(signed=False, shaped=False))
    assert "has the id" in await outcome(world, body, 7, Demands(min_bits=1, signed=False))
    for members, reason in [
        ({"proof": {"type": "DataIntegrityProof"}}, "can't be used"),
        ({"proof": None}, "can't be used"),
        ({"issuer": "did:web:other.example"}, "issued by"),
        ({"expirationDate": "2026-01-02T00:00:00Z"}, "expired"),
        ({"validUntil": 7}, "validUntil"),
    ]:
        assert reason in await outcome(world, orjson.dumps({**document, **members}), 7, forgiving)
    for wrong in (b"[]", b"7", b"null", b'"text"'):
        assert "can't be used" in await outcome(world, wrong, 7, forgiving)
    assert "is not a" in await outcome(world, b"{}", 7, forgiving)


async def test_keys_that_are_listed_for_nothing(world: World) -> None:
    """A DID document without relationships is refused, unless a profile says so; its keys must still fit."""
    signer = InMemory(multikey.generate("P-256"))
    maker = Issuer("did:web:maker.example", "did:web:maker.example#k", signer)
    method = {"id": maker.method, "type": "JsonWebKey2020", "controller": maker.did}
    method["publicKeyJwk"] = multikey.jwk(signer.public)  # type: ignore[assignment] # a dict in a dict
    world.documents[maker.did] = {"id": maker.did, "verificationMethod": [method]}
    token = membership(maker, maker, older=False)
    shown = presentation(maker, token, older=False)
    with pytest.raises(Untrusted, match="assertionMethod"):
        await world.verifier.verify_jwt(token, meaning=False)
    with pytest.raises(Untrusted, match="authentication"):
        await world.verifier.verify_presentation_jwt(shown, AUDIENCE, None, meaning=False)
    loose = world.verifying(world.statuses, relationships=False)
    await loose.verify_jwt(token, meaning=False)
    found = await loose.verify_presentation_jwt(shown, AUDIENCE, None, meaning=False)
    assert found.holder == maker.did
    by_thumbprint = Issuer(maker.did, jws.thumbprint(signer.public), signer)
    await loose.verify_jwt(membership(by_thumbprint, maker, older=False), meaning=False)
    other = Issuer(maker.did, maker.method, InMemory(multikey.generate("P-256")))
    absent = Issuer(maker.did, f"{maker.did}#other", signer)
    for wrong in (other, absent):
        with pytest.raises(Untrusted):
            await loose.verify_jwt(membership(wrong, maker, older=False), meaning=False)


async def test_the_shape_of_an_older_kit(world: World) -> None:
    """Its mistakes are taken where one says so, and nowhere else; who signed what is checked all the same."""
    issuer = world.issuers["P-256"]
    inner = {"@context": V1, "id": UUID, "type": ["MembershipCredential"], "issuer": issuer.did}
    inner |= {"issuanceDate": "2026-01-01T00:00:00Z", "expirationDate": None}
    inner |= {"credentialSubject": {"id": issuer.did, "memberOf": "Example-X"}}

    def credential(key: Issuer = issuer, **claims: Any) -> str:
        full = {"iss": issuer.did, "sub": UUID, "vc": inner, **claims}
        return jws.sign({"kid": issuer.method}, full, key.signer)

    def shown(*tokens: str) -> str:
        vp = {"context": [V1], "type": "VerifiablePresentation", "verifiableCredential": [*tokens]}
        claims = {"iss": issuer.did, "aud": AUDIENCE, "exp": NOW + 60, "vp": vp}
        return jws.sign({"kid": issuer.method}, claims, issuer.signer)

    loose = world.verifying(world.statuses, loose_shape=True)
    found = await loose.verify_presentation_jwt(
        shown(credential()), AUDIENCE, None, older=True, meaning=False
    )
    assert found.credentials[0].document["credentialSubject"]["id"] == issuer.did
    with pytest.raises((RemoteProtocolError, Untrusted)):
        await world.verifier.verify_jwt(credential(), older=True, meaning=False)
    with pytest.raises(RemoteProtocolError, match="@context"):
        await world.verifier.verify_presentation_jwt(shown(), AUDIENCE, None, older=True, meaning=False)
    for wrong in (credential(world.issuers["P-384"]), credential(exp=NOW - 1), credential(iss="did:web:x.y")):
        with pytest.raises((RemoteProtocolError, Untrusted)):
            await loose.verify_presentation_jwt(shown(wrong), AUDIENCE, None, older=True, meaning=False)
