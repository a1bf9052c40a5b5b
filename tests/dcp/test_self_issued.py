"""Self-issued ID tokens: Decentralized Claims Protocol 1.0.1, "Validating Self-Issued ID Tokens"."""

import pytest

from connector.dcp import self_issued
from connector.errors import Untrusted

A, B = "did:web:a.example", "did:web:b.example"
NOW = 1_800_000_000.7
GOOD = self_issued.claims(A, B, NOW, "j-1")


def test_claims() -> None:
    """A token holds the claims that the protocol demands, in whole seconds, and no more."""
    assert GOOD == {"iss": A, "sub": A, "aud": B, "iat": 1_800_000_000, "exp": 1_800_000_060, "jti": "j-1"}


def test_sound() -> None:
    """Our own claims are sound to the other side."""
    assert self_issued.check(GOOD, B, NOW) == (A, "j-1", 1_800_000_000, 1_800_000_060, None)


@pytest.mark.parametrize(
    "change",
    [
        {"aud": [B]},
        {"aud": ["did:web:c.example", B]},
        {"nbf": NOW},
        {"nbf": NOW + 4.9},
        {"iat": NOW + 4.9},
        {"iat": NOW - 60, "exp": NOW - 4.9},
        {"exp": 1_800_000_600},
        {"token": "opaque"},
        {"jti": "x" * 256},
    ],
)
def test_also_sound(change: dict[str, object]) -> None:
    """Several audiences, clocks a little apart, an access token within: all taken."""
    self_issued.check(GOOD | change, B, NOW)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iss": ...}, "iss must be the sender's DID"),
        ({"iss": "a.example"}, "iss must be the sender's DID"),
        ({"iss": [A]}, "iss must be the sender's DID"),
        ({"iss": A + "x" * 600, "sub": A + "x" * 600}, "iss must be the sender's DID"),
        ({"sub": ...}, "sub must equal"),
        ({"sub": B}, "sub must equal"),
        ({"aud": ...}, f"aud must be {B}"),
        ({"aud": A}, f"aud must be {B}"),
        ({"aud": []}, f"aud must be {B}"),
        ({"aud": [[B]]}, f"aud must be {B}"),
        ({"aud": {B: 1}}, f"aud must be {B}"),
        ({"aud": B + "/"}, f"aud must be {B}"),
        ({"jti": ...}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": 7}, "jti"),
        ({"jti": "x" * 257}, "jti"),
        ({"exp": ...}, "exp must be a number"),
        ({"exp": "1800000060"}, "exp must be a number"),
        ({"exp": True}, "exp must be a number"),
        ({"exp": -1}, "exp must be a number"),
        ({"exp": 1e300}, "exp must be a number"),
        ({"exp": float("nan")}, "exp must be a number"),
        ({"exp": 1_800_000_601}, "lives for 601 s; 600 s is the most"),
        ({"exp": 1_799_999_990, "iat": 1_799_999_900}, "expired 11 s ago"),
        ({"iat": ...}, "iat must be a number"),
        ({"iat": None}, "iat must be a number"),
        ({"iat": NOW + 6}, "from 6 s in the future"),
        ({"iat": NOW + 4, "exp": NOW + 3}, "expires before"),
        ({"nbf": NOW + 6}, "valid only in 6 s"),
        ({"nbf": None}, "nbf must be a number"),
        ({"nbf": "x"}, "nbf must be a number"),
        ({"vp": {}}, "credential or presentation"),
        ({"vc": {}}, "credential or presentation"),
    ],
)
def test_unsound(change: dict[str, object], reason: str) -> None:
    """Each rule that a token breaks is named."""
    claims = {name: value for name, value in (GOOD | change).items() if value is not ...}
    with pytest.raises(Untrusted, match=reason):
        self_issued.check(claims, B, NOW)


def test_limits_are_arguments() -> None:
    """A stricter verifier sets its own lifetime and leeway."""
    with pytest.raises(Untrusted, match="30 s is the most"):
        self_issued.check(GOOD, B, NOW, max_lifetime=30)
    with pytest.raises(Untrusted, match="expired"):
        self_issued.check(GOOD, B, NOW + 60, leeway=0)
