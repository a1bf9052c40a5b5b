"""Selective disclosure: the published vectors to the byte, and what must not pass."""

from hashlib import sha256
from typing import Any

import pytest

from connector.errors import RemoteProtocolError, Untrusted
from connector.vc import multibase, multikey
from connector.vc.proofs import cbor, sd, selection, suites
from connector.vc.signers import InMemory
from tests.vc.proofs import vectors

V2 = "https://www.w3.org/ns/credentials/v2"
EXAMPLES = "https://www.w3.org/ns/credentials/examples/v2"
HMAC_KEY = bytes(range(32))
DOCUMENT: dict[str, Any] = {
    "@context": [V2, EXAMPLES],
    "type": ["VerifiableCredential"],
    "issuer": "did:example:issuer",
    "credentialSubject": {
        "sails": [{"size": 5.5, "name": "a"}, {"size": 6.1, "name": "b"}, {"size": 6.1, "name": "b"}],
        "boards": [{"brand": "X", "parts": {"fin": 1, "mast": 2}}],
        "name": "Regatta",
    },
}
CONFIG_HASH = sha256(b"config").digest()


class Issued:
    """A base proof over a document, and what is derived of it."""

    def __init__(self, document: dict[str, Any] = DOCUMENT, pointers: tuple[str, ...] = ("/issuer",)) -> None:
        self.document = document
        self.key = InMemory(multikey.generate("P-256"))
        parts = sd.base_parts(document, pointers, HMAC_KEY)
        once = InMemory(multikey.generate("P-256"))
        self.value = sd.sign(self.key, once, HMAC_KEY, CONFIG_HASH, parts, pointers)

    def derive(self, *pointers: str) -> tuple[dict[str, Any], str]:
        base = sd.read_base(self.value)
        shown, labels, mandatory, wanted = sd.derived_parts(
            self.document, base.pointers, pointers, base.hmac_key
        )
        return shown, sd.derived(base, labels, mandatory, wanted)

    def verify(self, shown: dict[str, Any], value: Any) -> None:
        proof = sd.read_derived(value)
        parts = sd.shown_parts(shown, proof.labels, proof.mandatory)
        sd.verify(self.key.public, proof, CONFIG_HASH, parts)


@vectors.present
@pytest.mark.parametrize(("name", "file"), [("prc", "prCred"), ("employ", "employ")])
def test_published_vectors_are_reproduced(name: str, file: str) -> None:
    """Groups, hashes, label map, indexes, the revealed document and the derived value: as published."""
    folder = f"ecdsa/TestVectors/ecdsa-sd-2023/{name}"
    signed = vectors.read(f"{folder}/addSignedSDBase.json")
    proof = signed.pop("proof")
    base = sd.read_base(proof["proofValue"])
    parts = sd.base_parts(signed, base.pointers, base.hmac_key)
    transform = vectors.read(f"{folder}/addBaseTransform.json")
    groups = [transform[part]["value"] for part in ("mandatory", "nonMandatory")]
    assert [list(part) for part in parts] == [[line for _, line in group] for group in groups]
    config_hash = suites.config_digest(suites.options(proof, signed))
    assert config_hash.hex() == vectors.read(f"{folder}/addHashData.json")["proofHash"]
    selective = vectors.read(f"ecdsa/TestVectors/{file}Selective.json")
    shown, labels, mandatory, wanted = sd.derived_parts(signed, base.pointers, selective, base.hmac_key)
    published = vectors.read(f"{folder}/derivedRevealDocument.json")
    value = published.pop("proof")["proofValue"]
    assert shown == published
    assert sd.derived(base, labels, mandatory, wanted) == value
    material = vectors.read("ecdsa/TestVectors/ecdsa-sd-2023/SDKeyMaterial.json")["baseKeyPair"]
    key = multikey.decode(material["publicKeyMultibase"])
    found = sd.read_derived(value)
    sd.verify(key, found, config_hash, sd.shown_parts(published, found.labels, found.mandatory))


@pytest.mark.parametrize(
    "pointers",
    [
        [],
        ["/credentialSubject/name"],
        ["/credentialSubject/sails/1"],
        ["/credentialSubject/sails/0/size", "/credentialSubject/sails/2/name"],
        ["/credentialSubject/boards/0/parts/fin", "/credentialSubject/boards/0"],
        ["/credentialSubject/boards/0", "/credentialSubject/boards/0/parts/fin"],
        ["/credentialSubject/sails", "/credentialSubject/sails/1/name"],
        ["/credentialSubject"],
        ["/type", "/issuer"],
        [""],
    ],
)
def test_each_part_verifies(pointers: list[str]) -> None:
    """Whatever is shown, nodes that look alike among it, verifies, and nothing else is in it."""
    issued = Issued()
    shown, value = issued.derive(*pointers)
    issued.verify(shown, value)
    assert shown["issuer"] == DOCUMENT["issuer"]
    if pointers == ["/credentialSubject/name"]:
        assert shown["credentialSubject"] == {"name": "Regatta"}
    if pointers == [""]:
        assert shown == DOCUMENT


def test_what_is_shown_can_not_be_changed() -> None:
    """A value, a statement more or less, another issuer, another configuration: nothing of it verifies."""
    issued = Issued()
    shown, value = issued.derive("/credentialSubject/boards", "/credentialSubject/name")
    subject = shown["credentialSubject"]
    for changed in [
        {**shown, "issuer": "did:example:other"},
        {**shown, "credentialSubject": {**subject, "name": "Other"}},
        {**shown, "credentialSubject": {**subject, "more": 1}},
        {**shown, "credentialSubject": {key: v for key, v in subject.items() if key != "name"}},
    ]:
        with pytest.raises((Untrusted, RemoteProtocolError)):
            issued.verify(changed, value)
    proof = sd.read_derived(value)
    parts = sd.shown_parts(shown, proof.labels, proof.mandatory)
    with pytest.raises(Untrusted):
        sd.verify(multikey.generate("P-256").public_key(), proof, CONFIG_HASH, parts)
    with pytest.raises(Untrusted):
        sd.verify(issued.key.public, proof, sha256(b"other").digest(), parts)


def test_parts_of_two_credentials_do_not_mix() -> None:
    """A statement signed in another credential of the same issuer fits nowhere else."""
    first, second = Issued(), Issued({**DOCUMENT, "credentialSubject": {"name": "Stolen"}})
    second.key = first.key
    _, value = first.derive("/credentialSubject/name")
    other, other_value = second.derive("/credentialSubject/name")
    ours, theirs = sd.read_derived(value), sd.read_derived(other_value)
    mixed = [ours.signature, ours.public_key, theirs.signatures, theirs.labels, theirs.mandatory]
    with pytest.raises(Untrusted):
        first.verify(other, multibase.encode("u", sd.DERIVED + cbor.dumps(mixed)))


@pytest.mark.parametrize(
    "pointer",
    [
        "issuer",
        "/nothing",
        "/credentialSubject/sails/9",
        "/credentialSubject/sails/x",
        "/issuer/x",
        "/@context/0",
        7,
    ],
)
def test_pointers_that_match_nothing_are_refused(pointer: Any) -> None:
    """At issuing and at deriving."""
    with pytest.raises(RemoteProtocolError):
        sd.base_parts(DOCUMENT, [pointer], HMAC_KEY)
    with pytest.raises(RemoteProtocolError):
        sd.derived_parts(DOCUMENT, ["/issuer"], [pointer], HMAC_KEY)


def test_nothing_at_all_can_not_be_shown() -> None:
    """Without mandatory parts and without a choice there is nothing to derive."""
    with pytest.raises(RemoteProtocolError, match="nothing would be shown"):
        sd.derived_parts(DOCUMENT, [], [], HMAC_KEY)


@pytest.mark.parametrize(
    "value",
    [
        None, 7, "", "z" + "1" * 40, "u", "uAAAA",
        "u" + multibase.base64url(sd.DERIVED), "u" + multibase.base64url(sd.DERIVED + b"\x80"),
        "u" + multibase.base64url(b"\xd9\x5d\x02" + cbor.dumps([])),
    ],
)  # fmt: skip
def test_values_that_are_none_are_refused(value: Any) -> None:
    """No prefix, wrong prefix, wrong header, cut, or other CBOR."""
    with pytest.raises(RemoteProtocolError):
        sd.read_derived(value)
    with pytest.raises(RemoteProtocolError):
        sd.read_base(value)


def test_mistyped_cbor_is_refused() -> None:
    """Each item must be of its type and length; tags are none; a base proof is not a derived one."""
    issued = Issued()
    shown, value = issued.derive("/credentialSubject/name")
    with pytest.raises(RemoteProtocolError, match="only its holder"):
        sd.read_derived(issued.value)
    with pytest.raises(RemoteProtocolError, match="derived"):
        sd.read_base(value)
    good = cbor.loads(multibase.decode(value)[3:])
    for place, item in enumerate([b"short", b"short", [b"short"], {"0": bytes(32)}, ["0"]]):
        wrong = [*good[:place], item, *good[place + 1 :]]
        with pytest.raises(RemoteProtocolError):
            sd.read_derived(multibase.encode("u", sd.DERIVED + cbor.dumps(wrong)))
    tagged = b"\x85\xd8\x40" + cbor.dumps(good)[1:]
    with pytest.raises(RemoteProtocolError, match="tags"):
        sd.read_derived(multibase.encode("u", sd.DERIVED + tagged))
    many = [good[0], good[1], good[2], good[3], [10_000]]
    with pytest.raises(RemoteProtocolError, match="more mandatory"):
        issued.verify(shown, multibase.encode("u", sd.DERIVED + cbor.dumps(many)))


@pytest.mark.parametrize(
    "subject",
    [
        {"id": "_:b0", "name": "x"},
        {"@context": {"m": {"@id": "http://x.example/m", "@container": "@language"}}, "m": {"en": "a"}},
        {"name": "urn:x-anode-node:1"},
    ],
)
def test_what_selection_can_not_keep_apart_is_refused(subject: Any) -> None:
    """Blank node identifiers, language maps, and identifiers that only this program makes."""
    with pytest.raises(RemoteProtocolError):
        selection.marked({**DOCUMENT, "credentialSubject": subject})
