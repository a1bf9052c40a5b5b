"""Credentials exchanged with openvc-core, which shares no code with us: Data Integrity and JWT, each way."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from connector.flows.credentials import Issuer
from connector.jsonld import contexts
from connector.vc import envelope, jws, multikey
from tests.flows.test_credentials import NOW, World
from tests.vc.cases import EXAMPLES, V2

pytest.importorskip("openvc", reason="openvc-core is not installed")

pytestmark = pytest.mark.asyncio(loop_scope="module")
DOCUMENT: dict[str, Any] = {
    "@context": [V2, EXAMPLES],
    "type": ["VerifiableCredential", "AlumniCredential"],
    "validFrom": "2026-01-01T00:00:00Z",
    "credentialSubject": {"id": "urn:x:s", "alumniOf": [{"name": "A", "since": 1999}, {"name": "B"}]},
}
HELD = {"extra_contexts": {EXAMPLES: {"@context": contexts.held(EXAMPLES)}}}
TODAY = datetime.fromtimestamp(NOW, UTC)


class Key:
    """One of our keys as openvc's signer."""

    def __init__(self, issuer: Issuer) -> None:
        self.alg = {"Ed25519": "EdDSA", "P-256": "ES256", "P-384": "ES384"}[
            multikey.kind(issuer.signer.public)
        ]
        self.kid = issuer.method
        self.public_jwk = multikey.jwk(issuer.signer.public)
        self._signer = issuer.signer

    def sign(self, signing_input: bytes) -> bytes:
        return self._signer.sign(signing_input)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    made = World(tmp_path_factory.mktemp("openvc"))
    yield made
    await made.workers.close()
    await made.db.close()


def suite(name: str) -> Any:
    from openvc.proof import data_integrity, di_ecdsa_rdfc, di_jcs

    made = {
        "eddsa-rdfc-2022": data_integrity.DataIntegrityProofSuite,
        "ecdsa-rdfc-2019": di_ecdsa_rdfc.EcdsaRdfcProofSuite,
        "eddsa-jcs-2022": di_jcs.EddsaJcsProofSuite,
        "ecdsa-jcs-2019": di_jcs.EcdsaJcsProofSuite,
    }
    return made[name]()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Ed25519", "eddsa-rdfc-2022"), ("Ed25519", "eddsa-jcs-2022"), ("P-256", "ecdsa-rdfc-2019"),
        ("P-384", "ecdsa-rdfc-2019"), ("P-256", "ecdsa-jcs-2019"), ("P-384", "ecdsa-jcs-2019"),
    ],
)  # fmt: skip
async def test_whole_documents(world: World, kind: str, name: str) -> None:
    """They accept ours and we accept theirs, under each suite and kind of key."""
    issuer = world.issuers[kind]
    key = Key(issuer)
    more = {} if "jcs" in name else HELD
    # Its RDF canonicalisation knows SHA-256 only, which shows as soon as blank nodes are more than a few.
    document = (
        {**DOCUMENT, "id": "urn:x:1", "credentialSubject": {"id": "urn:x:s"}} if kind == "P-384" else DOCUMENT
    )
    ours = await world.credentials.issue(kind, name, document)
    suite(name).verify(ours, public_key_jwk=key.public_jwk, now=TODAY, **more)
    unsigned = {**document, "issuer": issuer.did}
    theirs = suite(name).add_proof(
        unsigned, signing_key=key, verification_method=issuer.method, created=TODAY, **more
    )
    await world.verifier.verify(theirs)


async def test_selective_disclosure(world: World) -> None:
    """Base proofs of either side, parts shown by either side, verified by the other."""
    from openvc.proof.ecdsa_sd import EcdsaSdProofSuite

    issuer = world.issuers["P-256"]
    key = Key(issuer)
    # Where arrays or blank nodes are in it, it can't derive from its own proofs either.
    document = {**DOCUMENT, "id": "urn:x:1", "credentialSubject": {"id": "urn:x:s", "name": "n"}}
    ours = await world.credentials.issue("P-256", "ecdsa-sd-2023", document, ["/issuer"])
    theirs = EcdsaSdProofSuite().add_base_proof(
        {**document, "issuer": issuer.did},
        signing_key=key,
        verification_method=issuer.method,
        mandatory_pointers=["/issuer"],
        **HELD,
    )
    pointers = ["/credentialSubject/id", "/validFrom"]
    for base in (ours, theirs):
        await world.verifier.verify(
            EcdsaSdProofSuite().derive_proof(base, selective_pointers=pointers, **HELD)
        )
        shown = await world.credentials.derive(base, pointers)
        EcdsaSdProofSuite().verify(shown, public_key_jwk=key.public_jwk, now=TODAY, **HELD)


@pytest.mark.parametrize("kind", ["Ed25519", "P-256"])
async def test_jwts(world: World, kind: str) -> None:
    """A `vc` claim of theirs verifies here, ours there."""
    from openvc.proof.vc_jwt import VcJwtProofSuite

    issuer = world.issuers[kind]
    key = Key(issuer)
    older = {
        "@context": ["https://www.w3.org/2018/credentials/v1"],
        "type": ["VerifiableCredential"],
        "issuer": issuer.did,
        "issuanceDate": "2026-01-01T00:00:00Z",
        "credentialSubject": {"id": "did:example:subject"},
    }
    ours = envelope.older_credential_jwt(older, issuer.signer, issuer.method, "urn:uuid:1")
    VcJwtProofSuite().verify(ours, public_key_jwk=key.public_jwk)
    world.now = time.time()  # it takes the system's clock for `nbf`
    theirs = VcJwtProofSuite().sign(older, signing_key=key)
    assert jws.parse(theirs).payload["vc"]
    await world.verifier.verify_jwt(theirs, older=True)
