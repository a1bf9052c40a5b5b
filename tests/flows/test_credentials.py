"""Credentials issued and verified with real keys, processes and a store."""

import gzip
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from connector.errors import AnodeError, NotFound, RemoteProtocolError, Unavailable, Untrusted
from connector.flows.credentials import Credentials, Issuer, key_issuer
from connector.flows.schemas import Schemas
from connector.flows.status import Statuses
from connector.flows.verify import Verifier, hashes
from connector.flows.workers import Workers
from connector.store.database import Database
from connector.vc import methods, multibase, multikey, status
from connector.vc.proofs import proof as proofs
from connector.vc.proofs import suites
from connector.vc.signers import InMemory
from tests.vc import cases
from tests.vc.cases import GOOD, changed

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = 1_790_000_000.0
SUITES = [
    (kind, suite.name) for suite in suites.SUITES.values() if suite.form != "sd" for kind in suite.kinds
]


class World:
    """An issuer with a key of each kind, the web as a dict, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.web: dict[str, bytes] = {}
        self.documents: dict[str, Mapping[str, Any]] = {}
        self.fetched = 0
        self.issuers = {kind: key_issuer(InMemory(multikey.generate(kind))) for kind in multikey.KINDS}
        self.workers = Workers()
        self.db = Database(folder / "store.sqlite")
        self.statuses = self.lists("https://us.example/status")
        self.credentials = self.issuing(self.issuers)
        self.verifier = self.verifying(self.statuses)

    def lists(self, base: str, **more: Any) -> Statuses:
        dids = {name: issuer.did for name, issuer in self.issuers.items()}
        return Statuses(self.db, lambda: self.now, base, dids, self.fetch, **more)

    def issuing(self, issuers: Mapping[str, Issuer]) -> Credentials:
        return Credentials(issuers, self.workers, lambda: self.now, self.statuses, resources=cases.RESOURCES)

    def verifying(self, statuses: Statuses, **more: Any) -> Verifier:
        more = {"resources": cases.RESOURCES, **more}
        schemas = Schemas(self.workers, lambda: self.now, self.fetch)
        return Verifier(self.workers, self.resolve, lambda: self.now, statuses, schemas, **more)

    async def fetch(self, url: str) -> bytes:
        self.fetched += 1
        if url not in self.web:
            raise Unavailable(f"{url} can't be reached")
        return self.web[url]

    async def resolve(self, did: str) -> Mapping[str, Any]:
        document = methods.local_document(did) or self.documents.get(did)
        if document is None:
            raise Untrusted(f"there is no {did}")
        return document

    async def forced(self, document: dict[str, Any], kind: str = "Ed25519", **members: Any) -> dict[str, Any]:
        """A document with a proof, whatever is wrong with it, as far as it can be hashed."""
        issuer = self.issuers[kind]
        suite = next(s for s in issuer.suites if s.form == "rdfc")
        document = {"issuer": issuer.did, **document}
        proof = {**proofs.unsigned(suite, issuer.method, "2026-01-01T00:00:00Z"), **members}
        proof = {key: value for key, value in proof.items() if value is not ...}
        try:
            found = await hashes(self.workers, suite, document, proof, issuer.signer.public)
        except AnodeError:
            found = (bytes(32), bytes(32))
        return {**document, "proof": {**proof, "proofValue": suites.sign(issuer.signer, found)}}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    made = World(tmp_path_factory.mktemp("credentials"))
    yield made
    await made.workers.close()
    await made.db.close()


@pytest.fixture(autouse=True)
def _today(world: World) -> None:
    world.now = NOW


@pytest.mark.parametrize(("kind", "suite"), SUITES)
async def test_what_each_suite_issues_verifies(world: World, kind: str, suite: str) -> None:
    """Both data models under each suite: proof members in order, and nothing else added."""
    for good in (cases.GOOD, cases.GOOD_1_1):
        issued = await world.credentials.issue(kind, suite, good)
        await world.verifier.verify(issued)
        assert issued.keys() == {*good, "issuer", "proof"}
        assert issued["issuer"] == world.issuers[kind].did
        proof = issued["proof"]
        assert proof["type"] == "DataIntegrityProof"
        assert proof["cryptosuite"] == suite
        assert proof["created"].endswith("Z")
        assert proof["proofPurpose"] == "assertionMethod"
        assert proof["verificationMethod"] == world.issuers[kind].method
        octets = multibase.decode(proof["proofValue"], "z")
        assert len(octets) == (96 if kind == "P-384" else 64)
        if good is cases.GOOD_1_1:
            assert issued["@context"] == [cases.V1, "https://w3id.org/security/data-integrity/v2"]
        if "jcs" in suite:
            assert proof["@context"] == issued["@context"]
        with pytest.raises(AnodeError):
            await world.verifier.verify({**issued, "credentialSubject": {"id": "did:example:other"}})


async def test_nothing_but_proof_status_and_issuer_is_added(world: World) -> None:
    """An empty issuer object gets an id; members, and the items of arrays, keep their order."""
    types = ["https://types.example/B", "VerifiableCredential", "https://types.example/A"]
    given = {"type": types, "issuer": {}, **{key: v for key, v in GOOD.items() if key != "type"}}
    issuer = world.issuers["Ed25519"]
    issued = await world.credentials.issue("Ed25519", "eddsa-rdfc-2022", given, revocable=True)
    assert [*issued] == [*given, "credentialStatus", "proof"]
    assert issued["issuer"] == {"id": issuer.did}
    assert issued["type"] == types
    for entry in issued["credentialStatus"]:
        assert entry.keys() == {"id", *cases.ENTRY}
        assert entry["id"] != entry["statusListCredential"]
        assert entry["statusListCredential"].startswith("https://us.example/status/")
        assert entry["statusListIndex"].isdigit()
    named = await world.credentials.issue("Ed25519", "eddsa-rdfc-2022", {**given, "issuer": {"name": "We"}})
    assert named["issuer"] == {"id": issuer.did, "name": "We"}
    listed = await world.credentials.status_list(
        issued["credentialStatus"][0]["statusListCredential"].rpartition("/")[2]
    )
    assert listed["type"] == ["VerifiableCredential", "BitstringStatusListCredential"]
    subject = listed["credentialSubject"]
    assert (subject["type"], subject["statusPurpose"]) == ("BitstringStatusList", "revocation")
    assert len(gzip.decompress(multibase.decode(subject["encodedList"], "u"))) * 8 >= 131_072


@pytest.mark.parametrize("name", cases.ISSUABLE)
async def test_what_must_be_issuable_is(world: World, name: str) -> None:
    """Unusual and still right: issued, and verified where it is valid now."""
    issued = await world.credentials.issue("Ed25519", "eddsa-rdfc-2022", cases.ISSUABLE[name])
    if "period" not in name:
        await world.verifier.verify(issued, status=False, schema=False)


@pytest.mark.parametrize("name", cases.REJECTED)
async def test_what_must_be_refused_is(world: World, name: str) -> None:
    """Refused at issuing under each form, and at verifying although its proof is right."""
    document = cases.REJECTED[name]
    for suite in ("eddsa-rdfc-2022", "eddsa-jcs-2022"):
        with pytest.raises(RemoteProtocolError):
            await world.credentials.issue("Ed25519", suite, document)
    with pytest.raises((RemoteProtocolError, Untrusted)):
        await world.verifier.verify(await world.forced(document), status=False)


@pytest.mark.parametrize("document", [None, "text", 7, [], [GOOD]])
async def test_a_credential_is_an_object(world: World, document: Any) -> None:
    """Wrong JSON types are an error, at issuing and verifying."""
    with pytest.raises(RemoteProtocolError):
        await world.credentials.issue("Ed25519", "eddsa-rdfc-2022", document)
    with pytest.raises(RemoteProtocolError):
        await world.verifier.verify(document)


async def test_an_issuer_issues_in_its_own_name_under_its_own_suites(world: World) -> None:
    """An unknown key, a suite that the key can't sign under, or another's name are refused."""
    for kind, suite in [("nobody", "eddsa-rdfc-2022"), ("P-256", "eddsa-rdfc-2022"), ("P-256", "x")]:
        with pytest.raises(NotFound):
            await world.credentials.issue(kind, suite, GOOD)
    with pytest.raises(RemoteProtocolError, match="issues as"):
        await world.credentials.issue("P-256", "ecdsa-rdfc-2019", changed("issuer", "did:web:other.example"))


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"type": ...}, "type"),
        ({"type": "Ed25519Signature2020"}, "type"),
        ({"cryptosuite": ...}, "cryptosuite"),
        ({"cryptosuite": "unknown-2099"}, "cryptosuite"),
        ({"cryptosuite": ["eddsa-rdfc-2022"]}, "cryptosuite"),
        ({"cryptosuite": "ecdsa-rdfc-2019"}, "needs a key"),
        ({"verificationMethod": ...}, "verificationMethod"),
        ({"verificationMethod": 7}, "verificationMethod"),
        ({"verificationMethod": "did:key:z6Mk"}, "verificationMethod"),
        ({"verificationMethod": "https://keys.example/#1"}, "verificationMethod"),
        ({"verificationMethod": "did:web:nobody.example#k"}, "no did:web:nobody"),
        ({"verificationMethod": "did:example:x#k"}, "no did:example"),
        ({"proofPurpose": ...}, "is for"),
        ({"proofPurpose": "authentication"}, "is for"),
        ({"created": "not a date"}, "created"),
        ({"created": 7}, "created"),
        ({"expires": "not a date"}, "expires"),
        ({"expires": "2026-01-01T00:00:00Z"}, "expired"),
        ({"expires": "2026-01-01T00:00:00"}, "expired"),
        ({"previousProof": "urn:x:absent"}, "previousProof"),
        ({"previousProof": ["urn:x:absent"]}, "previousProof"),
        ({"previousProof": 7}, "previousProof"),
        ({"id": 7}, "id"),
    ],
)
async def test_a_proof_that_is_not_one_is_refused(world: World, members: dict[str, Any], reason: str) -> None:
    """Each member of a proof missing, mistyped, or not the one wanted; signed over all the same."""
    with pytest.raises((RemoteProtocolError, Untrusted), match=reason):
        await world.verifier.verify(await world.forced(GOOD, **members))


async def test_a_proof_without_an_offset_is_in_utc(world: World) -> None:
    """`created` and `expires` without an offset mean UTC."""
    members = {"created": "2026-01-01T00:00:00", "expires": "2099-01-01T00:00:00"}
    await world.verifier.verify(await world.forced(GOOD, **members))


@pytest.mark.parametrize(
    "value", [None, 7, "", "z", "abc", "u" + "A" * 86, "z" + "1" * 64, "zzz!", ["z"], "z" + "1" * 5000]
)
async def test_a_proof_value_that_is_none_is_refused(world: World, value: Any) -> None:
    """Null, another base, no prefix, cut, too long, or just wrong."""
    issued = await world.credentials.issue("Ed25519", "eddsa-rdfc-2022", GOOD)
    for found in (value, issued["proof"]["proofValue"][1:], issued["proof"]["proofValue"][:-4]):
        with pytest.raises((RemoteProtocolError, Untrusted)):
            await world.verifier.verify({**issued, "proof": {**issued["proof"], "proofValue": found}})
    without = {key: found for key, found in issued["proof"].items() if key != "proofValue"}
    with pytest.raises((RemoteProtocolError, Untrusted)):
        await world.verifier.verify({**issued, "proof": without})


@pytest.mark.parametrize("proof", [None, [], "text", 7, [7], [{}] * 11])
async def test_there_must_be_a_proof(world: World, proof: Any) -> None:
    """No proof, a null one, none that is an object, or too many."""
    issued = await world.credentials.issue("Ed25519", "eddsa-rdfc-2022", GOOD)
    with pytest.raises((Untrusted, RemoteProtocolError)):
        await world.verifier.verify({**issued, "proof": proof})
    with pytest.raises(Untrusted, match="no proof"):
        await world.verifier.verify({key: value for key, value in issued.items() if key != "proof"})


@pytest.mark.parametrize("suite", ["eddsa-rdfc-2022", "eddsa-jcs-2022"])
async def test_what_is_added_after_signing_is_noticed(world: World, suite: str) -> None:
    """A term, a type, a null, or a context added behind the proof breaks the credential."""
    issued = await world.credentials.issue("Ed25519", suite, GOOD)
    for spoiled in [
        {**issued, "undefinedTerm": "x"},
        {**issued, "type": [*issued["type"], "Undefined"]},
        {
            **issued,
            "@context": [*issued["@context"], {"@base": "https://e.example/"}],
            "type": [*issued["type"], "U"],
        },
        {**issued, "@context": [*issued["@context"], "https://unknown.example/"]},
        {**issued, "credentialSubject": {**issued["credentialSubject"], "unsaid": None}},
    ]:
        with pytest.raises((RemoteProtocolError, Untrusted)):
            await world.verifier.verify(spoiled)


async def test_sets_and_chains_of_proofs(world: World) -> None:
    """All proofs of a set must hold; a proof made after another stands over it."""
    one = await world.credentials.issue(
        "Ed25519", "eddsa-rdfc-2022", {**GOOD, "issuer": world.issuers["Ed25519"].did}
    )
    two = await world.credentials.issue("Ed25519", "eddsa-jcs-2022", one)
    assert [proof["cryptosuite"] for proof in two["proof"]] == ["eddsa-rdfc-2022", "eddsa-jcs-2022"]
    await world.verifier.verify(two)
    spoiled = {**two["proof"][1], "created": "2020-01-01T00:00:00Z"}
    with pytest.raises(Untrusted):
        await world.verifier.verify({**two, "proof": [two["proof"][0], spoiled]})


async def test_others_may_sign_too(world: World) -> None:
    """A notary's proof beside the issuer's, or under it: both must hold, and one must be the issuer's."""
    issuer, notary = world.issuers["P-256"], world.issuers["Ed25519"]
    document = {**GOOD, "issuer": issuer.did}
    first = (await world.forced(document, id="urn:x:notary"))["proof"]
    assert first["verificationMethod"] == notary.method
    with pytest.raises(Untrusted, match="another one's key"):
        await world.verifier.verify({**document, "proof": first})
    beside = (await world.forced(document, "P-256"))["proof"]
    await world.verifier.verify({**document, "proof": [first, beside]})
    suite = next(s for s in issuer.suites if s.form == "rdfc")
    proof = {**proofs.unsigned(suite, issuer.method, "2026-01-01T00:00:00Z"), "previousProof": first["id"]}
    signed = {**document, "proof": [first]}
    found = await hashes(world.workers, suite, signed, proof, issuer.signer.public)
    over = {**proof, "proofValue": suites.sign(issuer.signer, found)}
    await world.verifier.verify({**document, "proof": [first, over]})
    spoiled = {**first, "created": "2025-01-01T00:00:00Z"}
    for wrong in ([spoiled, beside], [spoiled, over], [over], [{**first, "id": "urn:x:other"}, over]):
        with pytest.raises((Untrusted, RemoteProtocolError)):
            await world.verifier.verify({**document, "proof": wrong})


async def test_the_key_must_be_the_issuers(world: World) -> None:
    """A right proof by a key of another DID is refused, unless one asks for that."""
    document = {**GOOD, "issuer": world.issuers["P-256"].did}
    signed = await world.forced(document)
    with pytest.raises(Untrusted, match="another one's key"):
        await world.verifier.verify(signed)
    await world.verifying(world.statuses, bind_issuer=False).verify(signed)


async def test_a_credential_is_valid_in_its_period_only(world: World) -> None:
    """Before validFrom and after validUntil it is refused, in both data models."""
    for good, first, last in [
        (cases.GOOD, "validFrom", "validUntil"),
        (cases.GOOD_1_1, "issuanceDate", "expirationDate"),
    ]:
        document = {**good, first: "2026-02-01T00:00:00Z", last: "2026-03-01T00:00:00Z"}
        issued = await world.credentials.issue("P-384", "ecdsa-rdfc-2019", document)
        for now, reason in [(1769900000.0, "not valid yet"), (1772400000.0, "expired")]:
            world.now = now
            with pytest.raises(Untrusted, match=reason):
                await world.verifier.verify(issued)
        world.now = 1771000000.0
        await world.verifier.verify(issued)


async def test_a_did_web_issuer_is_resolved(world: World) -> None:
    """The key is read from the issuer's DID document, under assertionMethod."""
    private = InMemory(multikey.generate("P-256"))
    issuer = Issuer("did:web:maker.example", "did:web:maker.example#k", private)
    elsewhere = world.issuing({"maker": issuer})
    issued = await elsewhere.issue("maker", "ecdsa-rdfc-2019", GOOD)
    method = {"id": issuer.method, "type": "JsonWebKey2020", "controller": issuer.did}
    method["publicKeyJwk"] = multikey.jwk(private.public)  # type: ignore[assignment] # a dict in a dict
    document = {"id": issuer.did, "verificationMethod": [method], "assertionMethod": [issuer.method]}
    world.documents[issuer.did] = document
    await world.verifier.verify(issued)
    world.documents[issuer.did] = {**document, "assertionMethod": []}
    with pytest.raises(Untrusted, match="assertionMethod"):
        await world.verifier.verify(issued)


async def presented(
    world: World, *, kind: str = "Ed25519", proof: Mapping[str, Any] | None = None, **members: Any
) -> dict[str, Any]:
    issuer = world.issuers[kind]
    suite = next(s for s in issuer.suites if s.form == "rdfc")
    document = {"@context": [cases.V2], "type": ["VerifiablePresentation"], **members}
    unsigned = proofs.unsigned(suite, issuer.method, "2026-01-01T00:00:00Z", "authentication")
    unsigned |= {"challenge": "c1", "domain": "verifier.example", **(proof or {})}
    found = await hashes(world.workers, suite, document, unsigned, issuer.signer.public)
    return {**document, "proof": {**unsigned, "proofValue": suites.sign(issuer.signer, found)}}


async def test_presentations(world: World) -> None:
    """A presentation holds for its challenge, domain and holder, and with credentials that hold."""
    issued = await world.credentials.issue("P-256", "ecdsa-rdfc-2019", GOOD)
    holder = world.issuers["Ed25519"].did
    verify = world.verifier.verify_presentation
    good = await presented(world, holder=holder, verifiableCredential=[issued])
    await verify(good, "c1", "verifier.example")
    await verify(good, None, None)
    await verify(await presented(world, holder={"id": holder}, verifiableCredential=[]), "c1", None)
    await verify(await presented(world), "c1", None)
    own = {"kind": "P-256", "holder": world.issuers["P-256"].did}
    await verify(await presented(world, **own, verifiableCredential=[issued]), "c1", None)
    await verify(await presented(world, kind="P-256", verifiableCredential=[issued]), "c1", None)
    tampered = {**issued, "credentialSubject": {"id": "did:example:other"}}
    bare = {key: value for key, value in issued.items() if key != "proof"}
    wrong: list[tuple[Any, str | None, str | None]] = [
        (good, "c2", "verifier.example"),
        (good, "c1", "other.example"),
        ({**good, "proof": None}, "c1", None),
        ({**good, "type": ["VerifiableCredential"]}, "c1", None),
        ({**good, "@context": [cases.EXAMPLES, cases.V2]}, "c1", None),
        ({**good, "holder": "not-a-url"}, "c1", None),
        (await presented(world, holder=world.issuers["P-256"].did), "c1", None),
        (await presented(world, proof={"proofPurpose": "assertionMethod"}), "c1", None),
        (await presented(world, verifiableCredential=[tampered]), "c1", None),
        (await presented(world, verifiableCredential=[bare]), "c1", None),
        ({**good, "verifiableCredential": ["text"]}, "c1", None),
        ({**good, "verifiableCredential": [None]}, "c1", None),
        ("text", "c1", None),
    ]
    for document, challenge, domain in wrong:
        with pytest.raises((RemoteProtocolError, Untrusted)):
            await verify(document, challenge, domain)


async def test_a_credential_of_ours_is_revoked_and_reinstated(world: World) -> None:
    """Status entries are given out, the list is a credential that verifies, and bits count."""
    issued = await world.credentials.issue("P-256", "ecdsa-rdfc-2019", GOOD, revocable=True)
    other = await world.credentials.issue("P-256", "ecdsa-rdfc-2019", GOOD, revocable=True)
    revocation, suspension = issued["credentialStatus"]
    assert revocation["statusListIndex"] != other["credentialStatus"][0]["statusListIndex"]
    await world.verifier.verify(issued)
    for entry, reason in [(suspension, "suspended"), (revocation, "revoked")]:
        await world.statuses.set(entry, value=True)
        with pytest.raises(Untrusted, match=reason):
            await world.verifier.verify(issued)
        await world.verifier.verify(issued, status=False)
        await world.verifier.verify(other)
        await world.statuses.set(entry, value=False)
    await world.verifier.verify(issued)
    signed = await world.credentials.status_list(revocation["statusListCredential"].rpartition("/")[2])
    assert signed["credentialSubject"]["encodedList"].startswith("u")
    await world.verifier.verify(signed)
    for spoiled in (
        {**revocation, "statusListIndex": "131073"},
        {**revocation, "statusListCredential": "https://us.example/status/x-revocation-9"},
    ):
        with pytest.raises(NotFound):
            await world.statuses.set(spoiled, value=True)
    with pytest.raises(NotFound):
        await world.credentials.status_list("nobody-revocation-1")
    token = await world.credentials.issue_jwt("P-521", GOOD, revocable=True)
    found = (await world.verifier.verify_jwt(token)).document
    name = found["credentialStatus"][0]["statusListCredential"].rpartition("/")[2]
    with pytest.raises(NotFound, match="jwt"):  # no cryptosuite takes such a key
        await world.credentials.status_list(name)
    assert await world.credentials.status_list_jwt(name, older=False)


async def test_our_lists_are_signed_once(world: World) -> None:
    """Anybody may ask for them: the signature is the same for a minute, unless a bit has changed."""
    issued = await world.credentials.issue("P-256", "ecdsa-rdfc-2019", GOOD, revocable=True)
    entry = issued["credentialStatus"][0]
    name = entry["statusListCredential"].rpartition("/")[2]

    async def signatures() -> list[Any]:
        proof = (await world.credentials.status_list(name))["proof"]["proofValue"]
        return [proof, (await world.credentials.status_list_jwt(name, older=False))[0]]

    before = await signatures()  # of ECDSA no two are alike
    assert await signatures() == before
    await world.statuses.set(entry, value=True)
    changed_ones = await signatures()
    assert not set(before) & set(changed_ones)
    world.now += 61
    assert not set(await signatures()) & set(changed_ones)


async def listed(
    world: World,
    bits: bytes = bytes(16384),
    kind: str = "Ed25519",
    subject: Mapping[str, Any] | None = None,
    **members: Any,
) -> bytes:
    """A status list by somebody else, as found on the web."""
    document = {
        "@context": [cases.V2],
        "id": cases.LIST,
        "type": ["VerifiableCredential", "BitstringStatusListCredential"],
        "credentialSubject": {
            "type": "BitstringStatusList",
            "statusPurpose": "revocation",
            "encodedList": status.encoded(bits),
            **(subject or {}),
        },
        **members,
    }
    return orjson.dumps(await world.forced(document, kind))


async def test_lists_of_others_are_fetched_once_and_kept(world: World) -> None:
    """A foreign list is fetched, verified, kept for minutes, and then seen anew."""
    verify = world.verifying(world.lists("https://elsewhere.example")).verify
    issued = await world.credentials.issue(
        "Ed25519", "eddsa-rdfc-2022", changed("credentialStatus", cases.ENTRY)
    )
    world.web[cases.LIST] = await listed(world)
    before = world.fetched
    for _ in range(3):
        await verify(issued)
    assert world.fetched == before + 1
    world.web[cases.LIST] = await listed(world, status.with_bit(bytes(16384), 7, value=True))
    await verify(issued)
    world.now += 301
    with pytest.raises(Untrusted, match="revoked"):
        await verify(issued)


async def test_lists_that_are_none_do_not_pass(world: World) -> None:
    """Too short, a gzip bomb, another issuer's, another purpose, expired, tampered, unreachable: refused."""
    issued = await world.credentials.issue(
        "Ed25519", "eddsa-rdfc-2022", changed("credentialStatus", cases.ENTRY)
    )
    right = await listed(world)
    makers: list[tuple[Callable[[], Any] | bytes, str]] = [
        (await listed(world, bytes(16383)), "bits"),
        (await listed(world, bytes(64 << 20)), "unpacks to more"),
        (await listed(world, bytes(16384), subject={"encodedList": "z6Mk"}), "can't be used"),
        (await listed(world, kind="P-256"), "issued by"),
        (await listed(world, subject={"statusPurpose": "suspension"}), "is for suspension"),
        (await listed(world, subject={"encodedList": "uAAAA"}), "gzip"),
        (await listed(world, subject={"encodedList": status.encoded(bytes(16384))[:40]}), "cut|gzip"),
        (await listed(world, validUntil="2026-01-01T00:00:00Z"), "expired"),
        (await listed(world, id="https://issuer.example/status/2"), "has the id"),
        (await listed(world, type=["VerifiableCredential"]), "is not a"),
        (right.replace(b'"revocation"', b'"suspension"'), "match|is for"),
        (b"{}", "can't be used"),
        (b"[" * 10_000, "can't be used"),
        (b"not json", "can't be used"),
    ]
    for body, reason in makers:
        assert isinstance(body, bytes)
        world.web[cases.LIST] = body
        verify = world.verifying(world.lists("https://elsewhere.example")).verify
        with pytest.raises(Untrusted, match=reason):
            await verify(issued)
    world.web[cases.LIST] = right
    far = {**cases.ENTRY, "id": f"{cases.LIST}#9", "statusListIndex": "131072"}
    beyond = await world.credentials.issue("Ed25519", "eddsa-rdfc-2022", changed("credentialStatus", far))
    with pytest.raises(Untrusted, match="no entry 131072"):
        await world.verifying(world.lists("https://elsewhere.example")).verify(beyond)
    del world.web[cases.LIST]
    with pytest.raises(Unavailable):
        await world.verifying(world.lists("https://elsewhere.example")).verify(issued)


async def test_unknown_status_types_do_not_pass(world: World) -> None:
    """A status that nobody here can read is no reason to believe."""
    document = cases.ISSUABLE["unknown status"]
    issued = await world.credentials.issue("Ed25519", "eddsa-rdfc-2022", document)
    await world.verifier.verify(issued, status=False)
    with pytest.raises(RemoteProtocolError, match="not understood"):
        await world.verifier.verify(issued)


async def test_the_memory_of_lists_is_bounded(world: World) -> None:
    """More lists than there is room for push out the oldest."""
    lists = world.lists("https://elsewhere.example", capacity=2)
    verify = world.verifying(lists).verify
    for number in range(4):
        url = f"https://issuer.example/many/{number}"
        world.web[url] = await listed(world, id=url)
        entry = {**cases.ENTRY, "statusListCredential": url}
        await verify(
            await world.credentials.issue("Ed25519", "eddsa-rdfc-2022", changed("credentialStatus", entry))
        )
    assert len(lists._lists._kept) == 2
    assert lists._lists._bytes == 2 * 16384


async def test_a_holder_shows_a_part(world: World) -> None:
    """Issued with a base proof, which nobody but the holder may see; derived, and verified by others."""
    subject = {"id": "did:example:subject", "name": "A", "description": "B"}
    issued = await world.credentials.issue("P-256", "ecdsa-sd-2023", changed("credentialSubject", subject))
    with pytest.raises(RemoteProtocolError, match="only its holder"):
        await world.verifier.verify(issued)
    shown = await world.credentials.derive(issued, ["/credentialSubject/name"])
    assert shown["credentialSubject"] == {"id": "did:example:subject", "name": "A"}
    await world.verifier.verify(shown)
    with pytest.raises(Untrusted):
        await world.verifier.verify(
            {**shown, "credentialSubject": {"id": "did:example:subject", "name": "C"}}
        )
    for document, pointers in [
        (shown, ["/credentialSubject/name"]),
        (await world.credentials.issue("P-256", "ecdsa-rdfc-2019", GOOD), ["/credentialSubject"]),
        (issued, ["/nothing"]),
        (GOOD, []),
    ]:
        with pytest.raises((RemoteProtocolError, Untrusted)):
            await world.credentials.derive(document, pointers)
    with pytest.raises(RemoteProtocolError, match="matches nothing"):
        await world.credentials.issue("P-256", "ecdsa-sd-2023", GOOD, ["/nothing"])


async def test_a_holder_can_not_hide_the_end(world: World) -> None:
    """If nobody says otherwise, the period and the status are shown whatever the holder picks."""
    document = {**GOOD, "validUntil": "2099-01-01T00:00:00Z"}
    issued = await world.credentials.issue("P-256", "ecdsa-sd-2023", document, revocable=True)
    shown = await world.credentials.derive(issued, ["/credentialSubject/id"])
    assert shown["validUntil"] == document["validUntil"]
    await world.verifier.verify(shown)
    await world.statuses.set(shown["credentialStatus"][0], value=True)
    with pytest.raises(Untrusted, match="revoked"):
        await world.verifier.verify(shown)
