"""A Data Integrity proof's own members: what they must be, before its value is looked at.

Data Integrity 1.0 §2.1 (proofs) and §4.5 (verify proof).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connector.errors import RemoteProtocolError, Untrusted
from connector.vc import multikey
from connector.vc.dates import instant
from connector.vc.jose import shown
from connector.vc.multikey import Public
from connector.vc.proofs.suites import SUITES, Suite

KIND = "DataIntegrityProof"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a proof must be for: its purpose, and the challenge and domain that were asked for, if any."""

    purpose: str = "assertionMethod"
    challenge: str | None = None
    domain: str | None = None


def check(proof: Mapping[str, Any], expected: Expected, now: float) -> Suite:
    """The suite of `proof`. Raises RemoteProtocolError (malformed) or Untrusted (not the one expected)."""
    if proof.get("type") != KIND:
        raise RemoteProtocolError(f"the proof's type is {shown(proof.get('type'))}; {KIND} is what is taken")
    suite = SUITES.get(proof["cryptosuite"]) if isinstance(proof.get("cryptosuite"), str) else None
    if suite is None:
        known = ", ".join(SUITES)
        raise RemoteProtocolError(f"the cryptosuite {shown(proof.get('cryptosuite'))} is not one of {known}")
    method = proof.get("verificationMethod")
    if not isinstance(method, str) or not method.startswith("did:") or "#" not in method:
        raise RemoteProtocolError("the proof's verificationMethod must be a DID URL with a fragment")
    if not isinstance(proof.get("proofValue"), str):
        raise RemoteProtocolError("the proof has no proofValue, or it is not a string")
    if proof.get("proofPurpose") != expected.purpose:
        found = shown(proof.get("proofPurpose"))
        raise Untrusted(f"the proof is for {found}; here it must be for {expected.purpose}")
    if "id" in proof and (not isinstance(proof["id"], str) or ":" not in proof["id"]):
        raise RemoteProtocolError("the proof's id must be a URL")
    if "created" in proof:
        instant(proof["created"], "the proof's created", offset_needed=False)
    if "expires" in proof and instant(proof["expires"], "the proof's expires", offset_needed=False) <= now:
        raise Untrusted("the proof has expired")
    if expected.challenge is not None and proof.get("challenge") != expected.challenge:
        raise Untrusted("the proof's challenge is not the one that was asked for")
    if expected.domain is not None and expected.domain not in _domains(proof.get("domain")):
        raise Untrusted("the proof's domain is not the one that was asked for")
    return suite


def fits(suite: Suite, key: Public) -> None:
    """Raise Untrusted unless `key` is of a kind that `suite` signs with."""
    if multikey.kind(key) not in suite.kinds:
        raise Untrusted(
            f"{suite.name} needs a key of {' or '.join(suite.kinds)}, not of {multikey.kind(key)}"
        )


def unsigned(suite: Suite, method: str, created: str, purpose: str = "assertionMethod") -> dict[str, Any]:
    """A proof yet without its value."""
    return {
        "type": KIND,
        "cryptosuite": suite.name,
        "created": created,
        "verificationMethod": method,
        "proofPurpose": purpose,
    }


def _domains(found: object) -> list[Any]:
    return found if isinstance(found, list) else [found]
