"""ecdsa-sd-2023: a credential whose holder shows parts of it, each part still signed by its issuer.

ECDSA Cryptosuites 1.0 §3.4-3.7. `base_parts`, `derived_parts` and `shown_parts` do the RDF work, costly and
without keys; the rest signs, takes apart and verifies. Each N-Quad that is not mandatory has a signature of
its own by a key made for this one proof; blank nodes are named by an HMAC, so they tell nothing of the rest.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from connector.errors import RemoteProtocolError, Untrusted
from connector.jsonld import graph
from connector.jsonld.labels import canonical_labels, renamed
from connector.vc import multibase, multikey
from connector.vc.multikey import Public
from connector.vc.proofs import cbor
from connector.vc.proofs.selection import marked, select, statements, unique
from connector.vc.signers import Signer

BASE = bytes.fromhex("d95d00")
Parts = tuple[list[str], list[str]]
"""The N-Quads of a document that are mandatory, and those that are not."""
DERIVED = bytes.fromhex("d95d01")
_KEY_BYTES = 35
_SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class BaseProof:
    """A base proof taken apart."""

    signature: bytes
    public_key: bytes
    hmac_key: bytes = field(repr=False)
    signatures: list[bytes]
    pointers: list[str]


@dataclass(frozen=True, slots=True)
class DerivedProof:
    """A derived proof taken apart. `labels`: number of a canonical label → HMAC."""

    signature: bytes
    public_key: bytes
    signatures: list[bytes]
    labels: dict[int, bytes]
    mandatory: list[int]


def base_parts(document: Mapping[str, Any], pointers: Sequence[str], hmac_key: bytes) -> Parts:
    """The N-Quads, HMAC-labelled and sorted, that are mandatory and that are not. Costly."""
    whole = marked(document)
    every = statements(whole)
    labels = _hmac_labels(canonical_labels(every), hmac_key)
    mandatory = set(renamed(_part(whole, pointers), labels))
    ordered = renamed(every, labels)
    return [q for q in ordered if q in mandatory], [q for q in ordered if q not in mandatory]


def derived_parts(
    document: Mapping[str, Any], mandatory: Sequence[str], selective: Sequence[str], hmac_key: bytes
) -> tuple[dict[str, Any], dict[int, bytes], list[int], list[int]]:
    """What a derived proof shows: the document, its label map, and which quads of it are mandatory.

    The last list says which of the base proof's signatures go along. Costly. Raises RemoteProtocolError:
    pointers that match nothing, or none at all.
    """
    combined = unique([*mandatory, *selective])
    if not combined:
        raise RemoteProtocolError(
            "selectivePointers is empty, and nothing is mandatory: nothing would be shown"
        )
    whole = marked(document)
    every = statements(whole)
    labels = _hmac_labels(canonical_labels(every), hmac_key)
    ordered = renamed(every, labels)
    parts = [_part(whole, pointers) for pointers in (mandatory, selective)]
    always, chosen = (set(renamed(part, labels)) for part in parts)
    visible = (line for line in ordered if line in always or line in chosen)
    relative = [n for n, line in enumerate(visible) if line in always]
    optional = [line for line in ordered if line not in always]
    wanted = [n for n, line in enumerate(optional) if line in chosen]
    verifier = canonical_labels(unique([*parts[0], *parts[1]]))
    label_map = {
        int(verifier[label].removeprefix("c14n")): multibase.from_base64url(labels[label][1:])
        for label in verifier
    }
    reveal = select(document, combined)
    assert reveal is not None  # noqa: S101  # there are pointers
    return reveal, label_map, relative, wanted


def shown_parts(document: Mapping[str, Any], labels: Mapping[int, bytes], mandatory: Sequence[int]) -> Parts:
    """The N-Quads of a derived document that are mandatory and that are not. Costly."""
    names = {f"c14n{number}": "u" + multibase.base64url(octets) for number, octets in labels.items()}
    ordered = renamed(graph.canonical(document), names)
    chosen = set(mandatory)
    if chosen and max(chosen) >= len(ordered):
        raise RemoteProtocolError("the proof counts more mandatory statements than the document makes")
    return (
        [line for n, line in enumerate(ordered) if n in chosen],
        [line for n, line in enumerate(ordered) if n not in chosen],
    )


def sign(
    key: Signer,
    once: Signer,
    hmac_key: bytes,
    config_hash: bytes,
    parts: Parts,
    pointers: Sequence[str],
) -> str:
    """The base proof's value: `key` is the issuer's, `once` a P-256 key made for this proof alone."""
    mandatory, optional = parts
    public = multikey.public_bytes(once.public)
    signature = key.sign(config_hash + public + _hash(mandatory))
    signatures = [once.sign(line.encode()) for line in optional]
    value = [signature, public, hmac_key, signatures, list(pointers)]
    return multibase.encode("u", BASE + cbor.dumps(value))


def read_base(value: object) -> BaseProof:
    """A base proof's value taken apart. Raises RemoteProtocolError."""
    items = _items(value, BASE)
    match items:
        case [bytes(s), bytes(p), bytes(h), list(sigs), list(pointers)] if (
            len(h) == 32 and _sound(s, p, sigs) and all(isinstance(pointer, str) for pointer in pointers)
        ):
            return BaseProof(s, p, h, sigs, pointers)
    raise RemoteProtocolError("the base proof's CBOR does not hold what an ecdsa-sd-2023 base proof holds")


def read_derived(value: object) -> DerivedProof:
    """A derived proof's value taken apart. Raises RemoteProtocolError, also for a base proof."""
    items = _items(value, DERIVED)
    match items:
        case [bytes(s), bytes(p), list(sigs), dict(labels), list(mandatory)] if (
            _sound(s, p, sigs)
            and all(isinstance(k, int) and isinstance(v, bytes) and len(v) == 32 for k, v in labels.items())
            and all(isinstance(index, int) for index in mandatory)
        ):
            return DerivedProof(s, p, sigs, labels, mandatory)
    raise RemoteProtocolError(
        "the derived proof's CBOR does not hold what an ecdsa-sd-2023 derived proof holds"
    )


def derived(
    base: BaseProof, labels: Mapping[int, bytes], mandatory: Sequence[int], wanted: Sequence[int]
) -> str:
    """A derived proof's value. Raises RemoteProtocolError: the base proof has not the signatures for it."""
    if wanted and max(wanted) >= len(base.signatures):
        raise RemoteProtocolError("the base proof has fewer signatures than the document has statements")
    signatures = [base.signatures[index] for index in wanted]
    value = [base.signature, base.public_key, signatures, dict(labels), list(mandatory)]
    return multibase.encode("u", DERIVED + cbor.dumps(value))


def verify(key: Public, proof: DerivedProof, config_hash: bytes, parts: Parts) -> None:
    """Raise Untrusted unless the issuer's `key` stands behind each statement of a derived document."""
    mandatory, optional = parts
    if len(optional) != len(proof.signatures):
        raise Untrusted(
            f"the document makes {len(optional)} statements that {len(proof.signatures)} signatures cover"
        )
    multikey.verify(key, proof.signature, config_hash + proof.public_key + _hash(mandatory))
    once = multikey.from_bytes(proof.public_key)
    for line, signature in zip(optional, proof.signatures, strict=True):
        multikey.verify(once, signature, line.encode())


def _items(value: object, header: bytes) -> Any:
    octets = multibase.decode(value, "u")
    if octets[:3] == (DERIVED if header == BASE else BASE):
        what = (
            "a derived proof; a base proof is needed"
            if header == BASE
            else "a base proof, which only its holder may see"
        )
        raise RemoteProtocolError(f"the proofValue is {what}")
    if octets[:3] != header:
        raise RemoteProtocolError("the proofValue does not begin as one of ecdsa-sd-2023 does")
    return cbor.loads(octets[3:])


def _sound(signature: bytes, public: bytes, signatures: list[Any]) -> bool:
    each = [signature, *signatures]
    right = all(isinstance(s, bytes) and len(s) == _SIGNATURE_BYTES for s in each)
    return right and len(public) == _KEY_BYTES


def _hash(statements: Sequence[str]) -> bytes:
    return sha256("".join(statements).encode()).digest()


def _hmac_labels(canonical: Mapping[str, str], key: bytes) -> dict[str, str]:
    return {
        label: "u" + multibase.base64url(hmac.digest(key, name.encode(), "sha256"))
        for label, name in canonical.items()
    }


def _part(whole: Mapping[str, Any], pointers: Sequence[str]) -> list[str]:
    return statements(select(whole, unique(pointers)))
