"""A key's life: announced, signing, speaking on, past; or retired. Told by entries and the time alone."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import InvalidFile, LocalProtocolError, NotFound
from connector.vc import keyring, multikey
from connector.vc.keyring import Entry, Ring

P256 = [multikey.generate("P-256").public_key() for _ in range(4)]
ED = multikey.generate("Ed25519").public_key()
DID = "did:web:a.example"
ROTATED: Ring = (
    Entry("key-1", "file", P256[0], 0.0),
    Entry("ed25519-1", "file", ED, 0.0),
    Entry("key-2", "file", P256[1], 1000.0, 500.0),
)


def states(ring: Ring, now: float) -> dict[str, str]:
    return {entry.name: keyring.state(ring, entry, now) for entry in ring}


@pytest.mark.parametrize(
    ("now", "first", "second"),
    [
        (-1.0, "signs", "announced"),
        (0.0, "signs", "announced"),
        (999.9, "signs", "announced"),
        (1000.0, "speaks", "signs"),
        (1499.9, "speaks", "signs"),
        (1500.0, "past", "signs"),
        (9e9, "past", "signs"),
    ],
)
def test_a_rotation_by_the_clock(now: float, first: str, second: str) -> None:
    """The new key is announced, then signs; the old one speaks through the overlap, then is past."""
    assert states(ROTATED, now) == {"key-1": first, "ed25519-1": "signs", "key-2": second}
    signing = keyring.signing(ROTATED, "P-256", now)
    assert signing is not None
    assert signing.name == ("key-1" if first == "signs" else "key-2")


@pytest.mark.parametrize(
    ("now", "speaking", "first"),
    [(0.0, ["key-1", "key-2"], "key-1"), (1200.0, ["key-1", "key-2"], "key-2"), (1500.0, ["key-2"], "key-2")],
)
def test_what_is_published(now: float, speaking: list[str], first: str) -> None:
    """All keys are for what they have signed; only those that may speak are for more; who signs is first."""
    methods = keyring.methods(ROTATED, DID, now)
    assert next(m.kid for m in methods if "key-" in m.kid) == f"{DID}#{first}"
    assert {m.kid for m in methods if "assertionMethod" in m.relationships} == {
        f"{DID}#{entry.name}" for entry in ROTATED
    }
    for purpose, more in (("authentication", ["ed25519-1"]), ("capabilityInvocation", [])):
        listed = {m.kid for m in methods if purpose in m.relationships}
        assert listed == {f"{DID}#{name}" for name in speaking + more}


def test_a_retired_key_is_published_no_more() -> None:
    """From its retirement on nothing of it counts, whatever it was before."""
    for name in ("key-1", "key-2"):
        ring = keyring.without(ROTATED, name, 1100.0)
        assert states(ring, 1100.0)[name] == "retired"
        assert f"{DID}#{name}" not in {m.kid for m in keyring.methods(ring, DID, 1100.0)}
        with pytest.raises(LocalProtocolError, match=f"{name} is retired already"):
            keyring.without(ring, name, 1200.0)
    with pytest.raises(NotFound, match="no key 'key-9'; there are key-1, ed25519-1, key-2"):
        keyring.without(ROTATED, "key-9", 0.0)


def test_an_announced_key_that_is_retired_ends_nobody() -> None:
    """The key before it signs on, without an end."""
    ring = keyring.without(ROTATED, "key-2", 500.0)
    assert states(ring, 9e9)["key-1"] == "signs"
    assert keyring.speaks_until(ring, ring[0]) is None


def test_a_past_key_stays_past() -> None:
    """Retiring the key after it, and a third one in that one's place, bring no past key back to life."""
    ring = keyring.without(ROTATED, "key-2", 2000.0)
    ring = (*ring, Entry("key-3", "file", P256[2], 2000.0, 500.0))
    assert states(ring, 2000.0) == {
        "key-1": "past",
        "ed25519-1": "signs",
        "key-2": "retired",
        "key-3": "signs",
    }


def test_an_announced_key_can_be_hastened() -> None:
    """It signs from now on."""
    ring = keyring.hastened(ROTATED, "key-2", 100.0)
    assert states(ring, 100.0) == {"key-1": "speaks", "ed25519-1": "signs", "key-2": "signs"}


times = st.floats(0, 1e4)


@given(
    st.lists(st.tuples(times, times, st.none() | times), min_size=1, max_size=4),
    times,
)
def test_one_key_signs_at_any_time(lives: list[tuple[float, float, float | None]], now: float) -> None:
    """Whatever was rotated and retired: unless all are, one key signs; what may speak is published so."""
    ring = tuple(
        Entry(f"key-{number}", "file", P256[number], begun, overlap, retired)
        for number, (begun, overlap, retired) in enumerate(sorted(lives, key=lambda life: life[0]))
    )
    found = list(states(ring, now).values())
    assert found.count("signs") == (1 if any(entry.retired is None for entry in ring) else 0)
    assert found.count("announced") <= 3
    for entry, state in zip(ring, found, strict=True):
        method = [m for m in keyring.methods(ring, DID, now) if m.kid.endswith(f"#{entry.name}")]
        assert len(method) == (0 if state == "retired" else 1)
        if method:
            assert ("capabilityInvocation" in method[0].relationships) == (state != "past")


def test_written_and_read() -> None:
    """What is written is read again, and holds no private part."""
    ring = keyring.without(ROTATED, "key-1", 1234.5)
    value = json.loads(json.dumps(keyring.written(ring)))
    assert keyring.read(value, "x") == ring
    assert all("d" not in key["public"] for key in value["keys"])


WRITTEN = keyring.written(ROTATED)


@pytest.mark.parametrize(
    "value",
    [
        None, [], {}, {"keys": None}, {"keys": [7]}, {"keys": [{}]},
        {"keys": [{**WRITTEN["keys"][0], "name": 7}]},
        {"keys": [{**WRITTEN["keys"][0], "place": "cloud"}]},
        {"keys": [{**WRITTEN["keys"][0], "signs_from": "soon"}]},
        {"keys": [{**WRITTEN["keys"][0], "public": {"kty": "EC"}}]},
        {"keys": [{**WRITTEN["keys"][0], "public": None}]},
        {"keys": [WRITTEN["keys"][0], WRITTEN["keys"][0]]},
    ],
)  # fmt: skip
def test_what_is_no_keyring(value: object) -> None:
    """A damaged file is refused by its name, never half read."""
    with pytest.raises(InvalidFile, match=r"^keys/keyring\.json: .*restore it from a backup"):
        keyring.read(value, "keys/keyring.json")


def test_an_entry_says_its_kind() -> None:
    """It follows from the key, so that it can't be another."""
    assert (ROTATED[0].kind, ROTATED[1].kind) == ("P-256", "Ed25519")
    assert replace(ROTATED[0], public=ED).kind == "Ed25519"
