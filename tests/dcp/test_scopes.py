"""Scopes, written and read in two parts and in three; profiles; whom a node believes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.dcp import scopes
from connector.dcp.profiles import FORMATS, JWT_11, JWT_20, OLDER_FORMATS, PROFILES, Deviation, Profile
from connector.dcp.scopes import EDC_ALIAS, ID_ALIAS, TRACTUSX_ALIAS, TYPE_ALIAS, Scope
from connector.dcp.trust import Trust
from connector.errors import RemoteProtocolError
from connector.vc.status import MIN_BITS

ANY = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


@pytest.mark.parametrize("alias", [TYPE_ALIAS, EDC_ALIAS, TRACTUSX_ALIAS])
@pytest.mark.parametrize("end", ["", ":read", ":*", ":all"])
def test_a_type_is_read_however_it_is_written(alias: str, end: str) -> None:
    """Each alias, in two parts and in three, asks for the same."""
    assert scopes.parse(f"{alias}:Member{end}") == Scope("type", "Member")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{ID_ALIAS}:urn:uuid:1", Scope("id", "urn:uuid:1")),
        (f"{ID_ALIAS}:https://x.example/1:read", Scope("id", "https://x.example/1")),
        (f"{TYPE_ALIAS}:Member:write", Scope("type", "Member:write")),
        (f"{TYPE_ALIAS}:read", Scope("type", "read")),
        (f"{TYPE_ALIAS}:*", Scope("type", "*")),
        ("unknown.alias:Member", None),
    ],
)
def test_what_a_scope_asks_for(text: str, found: Any) -> None:
    """Colons in an id are its own; a star is no wildcard; an unknown operation or alias matches nothing."""
    assert scopes.parse(text) == found


@pytest.mark.parametrize("text", ["", "x", ":x", "x:", "a:b c", "a:\n", None, 7, [], "a:" + "b" * 1_024])
def test_what_is_no_scope(text: Any) -> None:
    """Without an alias, a discriminator, or of another kind: refused."""
    with pytest.raises(RemoteProtocolError, match="scope"):
        scopes.parse(text)


def test_scopes_have_an_end() -> None:
    """Fifty-one scopes are one too many; those that are not understood are left out."""
    assert scopes.parse_all([f"{TYPE_ALIAS}:A", "other:B"]) == {Scope("type", "A")}
    with pytest.raises(RemoteProtocolError, match="50 is the most"):
        scopes.parse_all([f"{TYPE_ALIAS}:A"] * 51)


@ANY
@given(type_=st.from_regex(r"[A-Z][A-Za-z0-9]{0,40}", fullmatch=True))
def test_each_profile_reads_what_it_writes(profile: Profile, type_: str) -> None:
    """A scope in a profile's own form asks for the type that it was made of."""
    assert scopes.parse(profile.scope(type_)) == Scope("type", type_)


@given(st.text(max_size=60) | st.integers() | st.lists(st.text()))
def test_any_text_is_a_scope_or_an_error(text: Any) -> None:
    """Nothing else than RemoteProtocolError comes of any value."""
    try:
        found = scopes.parse(text)
    except RemoteProtocolError:
        return
    assert found is None or text.endswith(
        (found.value, f"{found.value}:read", f"{found.value}:*", f"{found.value}:all")
    )


def test_strict_deviates_in_nothing() -> None:
    """The strict profile is the specification; the others give a reason for each deviation."""
    assert PROFILES["strict"] == Profile("strict")
    assert all(len(reason) > 20 for profile in PROFILES.values() for reason in profile.deviations.values())


@ANY
def test_lists_are_signed_in_every_profile(profile: Profile) -> None:
    """No profile that settings can choose takes unsigned lists or a loose shape; only length is let be."""
    assert profile.lists.signed
    assert profile.lists.shaped
    assert not profile.has(Deviation.LOOSE_SHAPE)
    assert profile.lists.min_bits == (MIN_BITS if profile.name == "strict" else 1)
    assert profile.relationships == (profile.name == "strict")


@ANY
def test_names_of_formats(profile: Profile) -> None:
    """The specification's names are read everywhere, Eclipse's older ones where they are used."""
    assert [profile.format(name) for name in FORMATS] == [JWT_11, JWT_20]
    assert profile.format("ldp_vc") is None
    expected = None if profile.name == "strict" else "same"
    for name, meant in OLDER_FORMATS.items():
        assert profile.format(name) == (meant if expected else None)


def test_prefixes_of_types() -> None:
    """Catena-X's prefix is taken off where it is used, and is a part of the name elsewhere."""
    name = "https://w3id.org/catenax/credentials/MembershipCredential"
    assert PROFILES["catena-x"].plain_type(name) == "MembershipCredential"
    assert PROFILES["strict"].plain_type(name) == name
    assert (
        PROFILES["catena-x"].plain_type("https://evil.example/MembershipCredential") != "MembershipCredential"
    )


def test_whom_a_node_believes() -> None:
    """An issuer is believed for the types it is named for, or for all; what all may read is told."""
    trust = Trust({"*": ("a",), "Member": ("b",)}, frozenset({"Member"}), frozenset({"Other"}))
    assert (trust.of("Member"), trust.of("Else")) == (("b", "a"), ("a",))
    assert trust.shown == {"Member", "Other"}
    assert Trust().of("Member") == ()
