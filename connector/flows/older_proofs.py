"""Linked-data proofs of VCDM 1.1, such as Ed25519Signature2020: checked by didkit, and by us on top.

didkit says whether a signature fits its document. It checks no dates, fetches DID documents by itself, and
may crash; so it works in a process that may die, is asked about keys that lie in their DIDs only, and all
that is said beside the signature is checked here.
"""

from collections.abc import Mapping
from typing import Any

from connector.errors import RemoteProtocolError, Untrusted
from connector.flows.workers import Workers
from connector.vc import credential as model
from connector.vc import methods
from connector.vc.dates import instant
from connector.vc.jose import shown

TYPES = (
    "Ed25519Signature2018",
    "Ed25519Signature2020",
    "EcdsaSecp256r1Signature2019",
    "JsonWebSignature2020",
)
PROGRAM = "connector.flows.didkit_worker"


def has_older_proof(document: Mapping[str, Any]) -> bool:
    """Whether one of the document's proofs is of a type that only didkit knows."""
    proof = document.get("proof")
    each = proof if isinstance(proof, list) else [proof]
    return any(isinstance(one, dict) and one.get("type") in TYPES for one in each)


class OlderProofs:
    """Verifies them. `workers` runs `PROGRAM`."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers

    async def verify(self, document: Mapping[str, Any], now: float) -> str:
        """The DID whose key made the document's only proof, which holds.

        Raises RemoteProtocolError or Untrusted; Unavailable where didkit is not installed.
        """
        if model.version(document) != "1.1":
            raise RemoteProtocolError("proofs of this type belong to data model 1.1")
        proofs = model.proofs(document)
        if len(proofs) != 1:
            raise RemoteProtocolError("a proof of this type must be the only one")
        (proof,) = proofs
        reference = proof.get("verificationMethod")
        if not isinstance(reference, str) or "#" not in reference:
            raise RemoteProtocolError("the proof's verificationMethod must be a DID URL with a fragment")
        did = reference.partition("#")[0]
        found = methods.local_document(did)
        if found is None:
            raise Untrusted(
                f"{shown(did)} signs with a proof of an older type, taken of did:key and did:jwk only"
            )
        methods.method_key(found, reference, "assertionMethod")
        if proof.get("proofPurpose") != "assertionMethod":
            raise Untrusted(f"the proof is for {shown(proof.get('proofPurpose'))}, not for assertionMethod")
        instant(proof.get("created"), "the proof's created", offset_needed=False)
        if (
            "expires" in proof
            and instant(proof["expires"], "the proof's expires", offset_needed=False) <= now
        ):
            raise Untrusted("the proof has expired")
        outcome = await self.workers.run("verify", document)
        if outcome.get("errors") or outcome.get("checks") != ["proof"]:
            raise Untrusted(f"the proof does not hold: {shown(outcome.get('errors'))}")
        return did
