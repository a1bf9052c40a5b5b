"""Multibase and Multikey against published values, and what must be refused."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from connector.errors import RemoteProtocolError, Untrusted
from connector.vc import methods, multibase, multikey
from connector.vc.signers import InMemory

ED25519 = "z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2"
ED25519_SECRET = "z3u2en7t5LR2WtQH5PfFqMqwVHBeXouLzo6haApm8XHqvjxq"
P256 = "zDnaepBuvsQ8cpsWrVKw8fbpGpvPeNSjVPTWoq6cRqaYzBKVP"
P384 = "z82LkuBieyGShVBhvtE2zoiD6Kma4tJGFtkAhxR5pfkp5QPw4LutoYWhvQCnGjdVn14kujQ"
P521 = "z2J9gaYxrKVpdoG9A4gRnmpnRCcxU6agDtFVVBVdn1JedouoZN7SzcyREXXzWgt3gGiwpoHq7K68X4m32D8HgzG8wv3sY5j7"


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"", ""),
        (b"Hello World!", "2NEpo7TZRRrLZSi2U"),
        (
            b"The quick brown fox jumps over the lazy dog.",
            "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z",
        ),
        (bytes.fromhex("0000287fb4cd"), "11233QC4"),
    ],
)
def test_base58btc_is_written_and_read_as_published(octets: bytes, text: str) -> None:
    """The examples of the base58 draft come out, leading zeros included."""
    assert multibase.base58(octets) == text
    assert multibase.from_base58(text) == octets


@pytest.mark.parametrize("text", [None, 7, "", "mQUJD", "z0OIl", "u====", "uA", "uQUJD=", "z" + "1" * 2000])
def test_what_is_no_multibase_is_refused(text: object) -> None:
    """Other bases, foreign characters, padding and giant values are errors, not surprises."""
    with pytest.raises(RemoteProtocolError):
        multibase.decode(text)


@pytest.mark.parametrize(
    ("text", "kind"), [(ED25519, "Ed25519"), (P256, "P-256"), (P384, "P-384"), (P521, "P-521")]
)
def test_published_keys_read_and_write_alike(text: str, kind: str) -> None:
    """Keys of the Data Integrity test vectors, and one of did:key's, survive Multikey and JWK unchanged."""
    public = multikey.decode(text)
    assert multikey.kind(public) == kind
    assert multikey.encode(public) == text
    assert multikey.encode(multikey.from_jwk(multikey.jwk(public))) == text
    document = methods.local_document(methods.did_key(public))
    assert document is not None
    reference = f"did:key:{text}#{text}"
    assert multikey.encode(methods.method_key(document, reference, "assertionMethod")) == text


def test_a_secret_key_gives_its_public_key() -> None:
    """A `secretKeyMultibase` of the vectors belongs to the public key beside it."""
    assert multikey.encode(multikey.private_from_multibase(ED25519_SECRET).public_key()) == ED25519


@pytest.mark.parametrize("kind", multikey.KINDS)
def test_a_signature_verifies_only_with_its_key_and_message(kind: multikey.Kind) -> None:
    """Another message, another key, another kind of key and a cut signature all fail."""
    key = InMemory(multikey.generate(kind))
    signature = key.sign(b"message")
    multikey.verify(key.public, signature, b"message")
    other = multikey.generate("Ed25519" if kind != "Ed25519" else "P-256").public_key()
    for public, octets, message in [
        (key.public, signature, b"Message"),
        (key.public, signature[:-1], b"message"),
        (multikey.generate(kind).public_key(), signature, b"message"),
        (other, signature, b"message"),
    ]:
        with pytest.raises(Untrusted):
            multikey.verify(public, octets, message)


def test_did_jwk_holds_its_key() -> None:
    """A did:jwk's document is made from the DID; one with a private part is refused."""
    import orjson

    public = multikey.generate("P-256").public_key()
    did = "did:jwk:" + multibase.base64url(orjson.dumps(multikey.jwk(public)))
    document = methods.local_document(did)
    assert document is not None
    assert multikey.encode(methods.method_key(document, f"{did}#0", "authentication")) == multikey.encode(
        public
    )
    leaked = "did:jwk:" + multibase.base64url(orjson.dumps({**multikey.jwk(public), "d": "AA"}))
    with pytest.raises(Untrusted, match="private part"):
        methods.local_document(leaked)


@pytest.mark.parametrize(
    "did", ["did:key:z6Mk", "did:key:" + "z" * 60, "did:key:u7QE", "did:jwk:e30", "did:jwk:!!", "did:key:"]
)
def test_broken_local_dids_are_refused(did: str) -> None:
    """A did:key or did:jwk that holds no key of ours is not trusted."""
    with pytest.raises(Untrusted):
        methods.local_document(did)


def test_a_key_must_be_for_the_purpose_and_of_the_did() -> None:
    """A key of another relationship, another controller, a foreign document or a revoked key won't do."""
    public = multikey.encode(ec.generate_private_key(ec.SECP256R1()).public_key())
    did = "did:web:a.example"
    method = {"id": f"{did}#k", "type": "Multikey", "controller": did, "publicKeyMultibase": public}
    good = {"id": did, "verificationMethod": [method], "assertionMethod": ["#k"]}
    methods.method_key(good, f"{did}#k", "assertionMethod")
    embedded = {"id": did, "assertionMethod": [method]}
    methods.method_key(embedded, f"{did}#k", "assertionMethod")
    for wrong, purpose in [
        (good, "authentication"),
        ({**good, "id": "did:web:b.example"}, "assertionMethod"),
        ({**good, "verificationMethod": []}, "assertionMethod"),
        ({**good, "verificationMethod": [method, method]}, "assertionMethod"),
        ({**good, "verificationMethod": [{**method, "controller": "did:web:b"}]}, "assertionMethod"),
        ({**good, "verificationMethod": [{**method, "revoked": "2026-01-01T00:00:00Z"}]}, "assertionMethod"),
        ({**good, "verificationMethod": [{"id": f"{did}#k"}]}, "assertionMethod"),
    ]:
        with pytest.raises(Untrusted):
            methods.method_key(wrong, f"{did}#k", purpose)


def test_a_null_is_a_key_that_is_not_there() -> None:
    """Java programs write null for members without a value: the key is the other member's."""
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    did = "did:web:a.example"
    method = {"id": f"{did}#k", "publicKeyJwk": multikey.jwk(public), "publicKeyMultibase": None}
    document = {"id": did, "verificationMethod": [method], "assertionMethod": ["#k"]}
    assert multikey.encode(methods.method_key(document, f"{did}#k", "assertionMethod")) == multikey.encode(
        public
    )


def test_public_key_of_jwk() -> None:
    """A published JWK gives the key that signs."""
    for kind in multikey.KINDS:
        public = multikey.generate(kind).public_key()
        assert multikey.from_jwk(multikey.jwk(public)) == public


JWK = multikey.jwk(multikey.generate("P-256").public_key())
SHORT = base64.urlsafe_b64encode(b"\x01" * 31).decode().rstrip("=")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kty": "oct"}, "none of Ed25519, P-256"),
        ({"crv": "P-384"}, "coordinates of 48 bytes"),
        ({"crv": "secp256k1"}, "none of Ed25519, P-256"),
        ({"d": "AQ"}, "private part"),
        ({"x": None}, "coordinates of 32 bytes"),
        ({"x": 5}, "coordinates of 32 bytes"),
        ({"x": SHORT}, "coordinates of 32 bytes"),
        ({"x": "é" * 43}, "coordinates of 32 bytes"),
        ({"x": "!" * 43}, "coordinates of 32 bytes"),
        ({"y": JWK["x"] * 20}, "coordinates of 32 bytes"),
        ({"y": JWK["x"]}, "not a key of the kind P-256"),
    ],
)
def test_bad_jwk(change: dict[str, object], reason: str) -> None:
    """A published key that is no point of its curve, or not only public, is not trusted."""
    with pytest.raises(Untrusted, match=reason):
        multikey.from_jwk(JWK | change)
