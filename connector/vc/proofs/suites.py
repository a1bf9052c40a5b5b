"""The cryptosuites: which keys they take, and the bytes that their signatures stand over.

Data Integrity 1.0 §4, EdDSA Cryptosuites 1.0, ECDSA Cryptosuites 1.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256, sha384
from types import MappingProxyType
from typing import Any, Literal

import rfc8785

from connector.errors import RemoteProtocolError, Untrusted
from connector.jsonld import graph
from connector.jsonld.graph import Algorithm
from connector.vc import multibase, multikey
from connector.vc.multikey import Kind, Public
from connector.vc.signers import Signer

Form = Literal["rdfc", "jcs", "sd"]


@dataclass(frozen=True, slots=True)
class Suite:
    """A cryptosuite: `kinds` of keys it takes, `form` in which it makes bytes of a document."""

    name: str
    form: Form
    kinds: tuple[Kind, ...]


SUITES: Mapping[str, Suite] = MappingProxyType(
    {
        suite.name: suite
        for suite in (
            Suite("eddsa-rdfc-2022", "rdfc", ("Ed25519",)),
            Suite("eddsa-jcs-2022", "jcs", ("Ed25519",)),
            Suite("ecdsa-rdfc-2019", "rdfc", ("P-256", "P-384")),
            Suite("ecdsa-jcs-2019", "jcs", ("P-256", "P-384")),
            Suite("ecdsa-sd-2023", "sd", ("P-256",)),
        )
    }
)


_V2 = "https://www.w3.org/ns/credentials/v2"
_CONFIG = {"@context", "id", "type", "cryptosuite", "created", "expires", "verificationMethod"}
_CONFIG |= {"proofPurpose", "challenge", "domain", "nonce", "previousProof"}


def algorithm(kind: Kind) -> Algorithm:
    """The hash that goes with a kind of key, in canonicalisation too."""
    return "sha384" if kind == "P-384" else "sha256"


def digest(octets: bytes, name: Algorithm) -> bytes:
    """SHA-256 or SHA-384 of `octets`."""
    return (sha384 if name == "sha384" else sha256)(octets).digest()


def options(proof: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """The proof configuration of `proof`: all but the proof's value, under the document's contexts.

    `document` is what `input_of` gave. The contexts count even if a `jcs` proof does not carry them itself
    (EdDSA Cryptosuites §3.3.5).
    """
    config = {key: value for key, value in proof.items() if key != "proofValue"}
    return {**config, "@context": document.get("@context")}


def input_of(document: Mapping[str, Any], proof: Mapping[str, Any], form: Form) -> dict[str, Any]:
    """The document that a `jcs` proof stands over: with the contexts that were there when it was signed.

    Raises Untrusted if the document's contexts do not start with those.
    """
    if form != "jcs" or "@context" not in proof:
        return dict(document)
    signed, found = proof["@context"], document.get("@context")
    first = signed if isinstance(signed, list) else [signed]
    whole = found if isinstance(found, list) else [found]
    if whole[: len(first)] != first:
        raise Untrusted("the document's @context does not start with the one that its proof was made under")
    return {**document, "@context": signed}


def digests(
    form: Form, document: Mapping[str, Any], config: Mapping[str, Any], name: Algorithm
) -> tuple[bytes, bytes]:
    """Hashes of the proof configuration and of the document (both suites' "Hashing"). Costly.

    Raises RemoteProtocolError: data would be lost, or the guards of `connector.jsonld.graph` say no.
    """
    if form == "jcs":
        graph.dataset(document)  # what has no meaning in JSON-LD is refused under this form too
        return digest(jcs(config), name), digest(jcs(document), name)
    return config_digest(config, name), digest(_quads(document, name), name)


def config_digest(config: Mapping[str, Any], name: Algorithm = "sha256") -> bytes:
    """Hash of a proof configuration's canonical N-Quads. Costly."""
    first = config.get("@context")
    if isinstance(first, list) and first[:1] == [_V2] and config.keys() <= _CONFIG:
        # Its terms are protected there: no later context can change what they mean, so none need be read.
        config = {**config, "@context": _V2}
    return digest(_quads(config, name), name)


def jcs(value: Any) -> bytes:
    """RFC 8785. Raises RemoteProtocolError for what it has no form for, such as 2^60."""
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError) as wrong:
        raise RemoteProtocolError(f"the document has no canonical JSON form: {wrong}") from None


def sign(key: Signer, hashes: tuple[bytes, bytes]) -> str:
    """The `proofValue` over the two hashes."""
    return multibase.encode("z", key.sign(hashes[0] + hashes[1]))


def verify(key: Public, value: object, hashes: tuple[bytes, bytes]) -> None:
    """Raise Untrusted or RemoteProtocolError unless `value` is the `proofValue` of `key` over the hashes."""
    multikey.verify(key, multibase.decode(value, "z"), hashes[0] + hashes[1])


def _quads(document: Mapping[str, Any], name: Algorithm) -> bytes:
    return "".join(graph.canonical(document, name)).encode()
