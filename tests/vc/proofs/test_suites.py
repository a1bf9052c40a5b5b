"""Data Integrity proofs over whole documents: published vectors, and what must not verify."""

from typing import Any

import pytest

from connector.errors import AnodeError, RemoteProtocolError, Untrusted
from connector.vc import methods, multikey
from connector.vc.proofs import suites
from connector.vc.signers import InMemory
from tests.vc.proofs import vectors

V2 = "https://www.w3.org/ns/credentials/v2"
DOCUMENT = {
    "@context": [V2, "https://www.w3.org/ns/credentials/examples/v2"],
    "type": ["VerifiableCredential", "AlumniCredential"],
    "issuer": "https://vc.example/issuers/5678",
    "validFrom": "2023-01-01T00:00:00Z",
    "credentialSubject": {"id": "did:example:abc", "alumniOf": "The School of Examples"},
}
SIGNED = {
    "eddsa/TestVectors": [
        "eddsa-rdfc-2022/signedDataInt",
        "eddsa-rdfc-2022/employ/signedDataInt",
        "eddsa-jcs-2022/signedJCS",
        "proof-set-chain/signedProofChain1",
        "proof-set-chain/signedProofChain2",
        "proof-set-chain/signedProofSet1",
        "proof-set-chain/signedProofSet2",
    ],
    "ecdsa/TestVectors": [
        "ecdsa-rdfc-2019-p256/signedECDSAP256",
        "ecdsa-rdfc-2019-p256/employ/signedECDSAP256",
        "ecdsa-rdfc-2019-p384/signedECDSAP384",
        "ecdsa-rdfc-2019-p384/employ/signedECDSAP384",
        "ecdsa-jcs-2019-p256/signedJCSECDSAP256",
        "ecdsa-jcs-2019-p384/signedJCSECDSAP384",
    ],
}


def config(name: str, reference: str) -> dict[str, Any]:
    return {
        "type": "DataIntegrityProof",
        "cryptosuite": name,
        "created": "2026-01-01T00:00:00Z",
        "verificationMethod": reference,
        "proofPurpose": "assertionMethod",
    }


def hashes(document: dict[str, Any], proof: dict[str, Any], kind: multikey.Kind) -> tuple[bytes, bytes]:
    form = suites.SUITES[proof["cryptosuite"]].form
    document = suites.input_of(document, proof, form)
    return suites.digests(form, document, suites.options(proof, document), suites.algorithm(kind))


@vectors.present
@pytest.mark.parametrize("path", [f"{folder}/{name}.json" for folder in SIGNED for name in SIGNED[folder]])
def test_published_vectors_verify(path: str) -> None:
    """Each signed document of the vectors verifies, proof sets and chains among them."""
    document = vectors.read(path)
    proofs = document.pop("proof")
    proofs = proofs if isinstance(proofs, list) else [proofs]
    for proof in proofs:
        reference = proof["verificationMethod"]
        found = methods.local_document(reference.partition("#")[0])
        assert found is not None
        key = methods.method_key(found, reference, proof["proofPurpose"])
        earlier = proof.get("previousProof", [])
        earlier = earlier if isinstance(earlier, list) else [earlier]
        matching = [other for other in proofs if other.get("id") in earlier]
        whole = {**document, "proof": matching} if matching else document
        suites.verify(key, proof["proofValue"], hashes(whole, proof, multikey.kind(key)))


@vectors.present
@pytest.mark.parametrize(
    ("name", "folder", "stem"),
    [("eddsa-rdfc-2022", "eddsa-rdfc-2022", "DataInt"), ("eddsa-jcs-2022", "eddsa-jcs-2022", "JCS")],
)
def test_published_vectors_are_reproduced(name: str, folder: str, stem: str) -> None:
    """Ed25519 is deterministic: our own signature is the published one, to the byte."""
    secret = vectors.read("eddsa/TestVectors/keyPair.json")["privateKeyMultibase"]
    signed = vectors.read(f"eddsa/TestVectors/{folder}/signed{stem}.json")
    proof = signed.pop("proof")
    key = InMemory(multikey.private_from_multibase(secret))
    assert suites.sign(key, hashes(signed, proof, "Ed25519")) == proof["proofValue"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [(suite.name, kind) for suite in suites.SUITES.values() if suite.form != "sd" for kind in suite.kinds],
)
def test_a_change_anywhere_breaks_the_proof(name: str, kind: multikey.Kind) -> None:
    """The document, the proof's own members, the key and the value: all are covered."""
    key = InMemory(multikey.generate(kind))
    reference = f"{methods.did_key(key.public)}#{multikey.encode(key.public)}"
    proof = config(name, reference)
    if suites.SUITES[name].form == "jcs":
        proof["@context"] = DOCUMENT["@context"]
    value = suites.sign(key, hashes(DOCUMENT, proof, kind))
    suites.verify(key.public, value, hashes(DOCUMENT, proof, kind))
    subject = {"id": "did:example:abc", "alumniOf": "Another School"}
    for document, changed in [
        ({**DOCUMENT, "credentialSubject": subject}, proof),
        ({**DOCUMENT, "validUntil": "2099-01-01T00:00:00Z"}, proof),
        (DOCUMENT, {**proof, "created": "2026-01-01T00:00:01Z"}),
        (DOCUMENT, {**proof, "proofPurpose": "authentication"}),
        (DOCUMENT, {**proof, "challenge": "other"}),
    ]:
        with pytest.raises(AnodeError):
            suites.verify(key.public, value, hashes(document, changed, kind))
    right = hashes(DOCUMENT, proof, kind)
    for wrong in (None, 7, "", value[1:], "u" + value[1:], value[:-1], value + "1", "z" + value[1:] * 20):
        with pytest.raises((Untrusted, RemoteProtocolError)):
            suites.verify(key.public, wrong, right)
    with pytest.raises(Untrusted):
        suites.verify(multikey.generate(kind).public_key(), value, right)


def test_contexts_added_behind_a_jcs_proof_are_left_out() -> None:
    """A jcs proof with contexts of its own stands when contexts were appended, not when changed."""
    proof = {**config("eddsa-jcs-2022", "did:example:k#k"), "@context": DOCUMENT["@context"]}
    longer = {**DOCUMENT, "@context": [*DOCUMENT["@context"], {"x": "http://x.example/"}]}
    assert hashes(longer, proof, "Ed25519") == hashes(DOCUMENT, proof, "Ed25519")
    with pytest.raises(Untrusted, match="does not start"):
        hashes({**DOCUMENT, "@context": list(reversed(DOCUMENT["@context"]))}, proof, "Ed25519")


def test_a_jcs_proof_allows_no_undefined_terms_either() -> None:
    """JCS covers every byte, but a term without a meaning is refused all the same."""
    document = {**DOCUMENT, "@context": [V2]}
    with pytest.raises(RemoteProtocolError, match="do not define"):
        hashes(document, config("eddsa-jcs-2022", "did:example:k#k"), "Ed25519")
