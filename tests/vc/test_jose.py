"""Tokens: ours are everybody's, and only sound ones are taken. joserfc is the second opinion."""

import base64
import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives import serialization
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey

from connector.errors import Untrusted
from connector.vc import jose, keys, multikey
from connector.vc.signers import InMemory

KEY = keys.generate("did:web:a.example")
OTHER = keys.generate("did:web:a.example")
PUBLIC = KEY.signer.public
CLAIMS = {"iss": "did:web:a.example", "text": "Löwe", "n": 1.5}


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def forged(header: object, claims: object = CLAIMS, signature: bytes = b"\0" * 64) -> str:
    return f"{part(header)}.{part(claims)}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def as_joserfc(key: keys.Key) -> ECKey:
    assert isinstance(key.signer, InMemory)
    return ECKey.import_key(
        key.signer.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def test_joserfc_takes_ours() -> None:
    """What we sign, another implementation verifies, and reads the same claims and header."""
    token = jwt.decode(jose.sign({"typ": "JWT"}, CLAIMS, KEY), as_joserfc(KEY), algorithms=["ES256"])
    assert token.claims == CLAIMS
    assert token.header == {"typ": "JWT", "alg": "ES256", "kid": "did:web:a.example#key-1"}


def test_we_take_joserfcs() -> None:
    """What another implementation signs, we verify. Many, so that leading zeros of r and s are met."""
    key = as_joserfc(KEY)
    for n in range(300):
        jws = jose.parse(jwt.encode({"alg": "ES256", "kid": "k"}, {"n": n}, key))
        jose.verify(jws, PUBLIC)
        assert jws.claims == {"n": n}


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # that is why both names are tried
@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
def test_we_take_eddsa(alg: str) -> None:
    """A token by an Ed25519 key counts, under both names of its algorithm; changed, it does not."""
    key = OKPKey.generate_key("Ed25519")
    public = multikey.from_jwk(key.as_dict(private=False))
    token = jwt.encode({"alg": alg, "kid": "k"}, {"n": 1}, key, algorithms=[alg])
    jws = jose.parse(token)
    jose.verify(jws, public)
    assert jws.claims == {"n": 1}
    with pytest.raises(Untrusted, match="does not match"):
        jose.verify(jws._replace(signing_input=jws.signing_input + b"x"), public)


def test_the_algorithm_is_the_keys() -> None:
    """A header can't have one kind of key taken for another; a key of a third kind signs no token."""
    es256 = jose.parse(jose.sign({}, CLAIMS, KEY))
    eddsa = jose.parse(forged({"alg": "EdDSA"}))
    ed25519, p384 = (multikey.generate(kind).public_key() for kind in ("Ed25519", "P-384"))
    for jws, public in ((es256, ed25519), (eddsa, PUBLIC), (es256, p384), (eddsa, p384)):
        with pytest.raises(Untrusted, match="and the published key is a"):
            jose.verify(jws, public)


def test_round_trip_always_64_bytes() -> None:
    """Each of our signatures is 64 bytes, however small its numbers."""
    for n in range(300):
        jws = jose.parse(jose.sign({}, {"n": n}, KEY))
        assert len(jws.signature) == 64
        jose.verify(jws, PUBLIC)


def test_header_cannot_choose_algorithm_or_key() -> None:
    """`alg` and `kid` of a token we sign are the key's, whatever the caller's header says."""
    header = jose.parse(jose.sign({"alg": "none", "kid": "x"}, {}, KEY)).header
    assert header == {"alg": "ES256", "kid": KEY.kid}


def test_other_key() -> None:
    """A signature by another key fails."""
    with pytest.raises(Untrusted, match="does not match the published key"):
        jose.verify(jose.parse(jose.sign({}, CLAIMS, OTHER)), PUBLIC)


def test_changed_claims() -> None:
    """Claims changed after signing fail."""
    header, _, signature = jose.sign({}, CLAIMS, KEY).split(".")
    with pytest.raises(Untrusted, match="does not match"):
        jose.verify(jose.parse(f"{header}.{part({'iss': 'did:web:b.example'})}.{signature}"), PUBLIC)


@pytest.mark.parametrize("signature", [b"\0" * 64, b"\xff" * 64, b"\0" * 63 + b"\1"])
def test_degenerate_signature(signature: bytes) -> None:
    """Zeros and numbers beyond the curve's order are no signature (CVE-2022-21449 was that)."""
    with pytest.raises(Untrusted, match="does not match"):
        jose.verify(jose.parse(forged({"alg": "ES256"}, signature=signature)), PUBLIC)


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "", "HS256", "es256", "ES384", "eddsa", None, ["ES256"], 7]
)
def test_only_what_is_taken(alg: object) -> None:
    """Any other algorithm, or none, is refused before anything else is looked at."""
    for header in ({"alg": alg}, {}):
        with pytest.raises(Untrusted, match="only ES256 and EdDSA are taken"):
            jose.parse(forged(header))


def test_hmac_with_the_public_key() -> None:
    """The classic confusion (the public key as an HMAC secret) has nowhere to happen."""
    spki = PUBLIC.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(CLAIMS)}"
    mac = hmac.new(spki, signed.encode(), hashlib.sha256).digest()
    with pytest.raises(Untrusted, match="'HS256'; only ES256"):
        jose.parse(f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}")


@pytest.mark.parametrize(
    "extra", [{"crit": ["exp"], "exp": 1}, {"b64": False, "crit": ["b64"]}, {"b64": False}]
)
def test_critical_extensions(extra: dict[str, object]) -> None:
    """Extensions that must be understood are not understood (RFC 7515 §4.1.11)."""
    with pytest.raises(Untrusted, match="critical extensions"):
        jose.parse(forged({"alg": "ES256"} | extra))


def test_typ() -> None:
    """A token made for another purpose is refused; `typ` may be absent and its case is free."""
    for header in ({}, {"typ": "JWT"}, {"typ": "jwt"}):
        jose.parse(jose.sign(header, CLAIMS, KEY))
    for typ in ("vp+jwt", "", 5, ["JWT"]):
        with pytest.raises(Untrusted, match="typ is"):
            jose.parse(jose.sign({"typ": typ}, CLAIMS, KEY))
    assert jose.parse(jose.sign({"typ": "vp+jwt"}, CLAIMS, KEY), typ="vp+jwt").claims == CLAIMS
    assert jose.parse(jose.sign({"typ": "other"}, CLAIMS, KEY), typ=None).claims == CLAIMS


GOOD = jose.sign({}, CLAIMS, KEY)
H, P, S = GOOD.split(".")


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "three parts"),
        ("a", "three parts"),
        (f"{H}.{P}", "three parts"),
        (f"{GOOD}.{S}", "three parts"),
        (f"{H}.{P}.", "0 bytes"),
        (f".{P}.{S}", "header is empty"),
        (f"{H}..{S}", "payload is empty"),
        (f"{H}.{P}.{S[:-2]}", "63 bytes"),
        (f"{H}.{P}.{S[:-1]}!", "signature is not base64url"),
        (f"{H}=.{P}.{S}", "header is not base64url"),
        (f"{H} .{P}.{S}", "header is not base64url"),
        (f"{H}\n.{P}.{S}", "header is not base64url"),
        (f"+{H[1:]}.{P}.{S}", "header is not base64url"),
        (f"{part(['a'])}.{P}.{S}", "header is not a JSON object"),
        (f"{H}.{part('text')}.{S}", "payload is not a JSON object"),
        (f"{H}.{base64.urlsafe_b64encode(bytes([0xFF, 0xFE, 0xFD])).decode()}.{S}", "payload is not UTF-8"),
        (f"{H}.{part(None)[:-4]}.{S}", "payload is not JSON"),
        ("é" * 20, "ASCII"),
        (f"{H}.{'A' * 9000}.{S}", "longer than 8192 bytes"),
    ],
)
def test_malformed(token: str, reason: str) -> None:
    """Each way of not being a token has its own reason."""
    with pytest.raises(Untrusted, match=reason):
        jose.parse(token)


def test_shown_is_short() -> None:
    """What a stranger chose appears in messages shortened, however long or deep."""
    deep: object = 1
    for _ in range(5000):
        deep = [deep]
    for value in ("x" * 10_000, ["y" * 10_000] * 50, {str(n): "z" * 999 for n in range(99)}, deep):
        assert len(jose.shown(value)) < 1200
    assert jose.shown("did:web:a.example") == "'did:web:a.example'"
