"""Which keys a participant has: which of them signs when, and what of them is published when.

A key is announced (published, signs not yet, so that caches of DID documents learn it), signs until the next
of its kind does, speaks for its participant a while longer (the overlap: what is on its way still counts),
and is past from then on: what it has signed still verifies, and nothing new of it does. A retired key, one
that may be in wrong hands, is published no more.

All is a function of the entries and the time, so nothing has to happen at a certain time, and an entry is
written once. Times are epoch seconds, spans seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from connector.errors import InvalidFile, LocalProtocolError, NotFound, Untrusted
from connector.vc import did, multikey
from connector.vc.multikey import Kind, Public

Place = Literal["file", "pkcs11"]
State = Literal["announced", "signs", "speaks", "past", "retired"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A key. It signs from `signs_from` on; the one before it speaks for `overlap` from then on."""

    name: str
    place: Place
    public: Public
    signs_from: float
    overlap: float = 0.0
    retired: float | None = None

    @property
    def kind(self) -> Kind:
        """Which kind of key it is."""
        return multikey.kind(self.public)


Ring = tuple[Entry, ...]
"""A participant's keys, oldest first."""


def signing(ring: Ring, kind: Kind, now: float) -> Entry | None:
    """The key of a kind that signs now; the first one, should the clock be before all of them."""
    held = [entry for entry in ring if entry.kind == kind and entry.retired is None]
    begun = [entry for entry in reversed(held) if entry.signs_from <= now]  # of two alike the newer one
    return max(begun, key=lambda entry: entry.signs_from) if begun else next(iter(held), None)


def announced(ring: Ring, kind: Kind, now: float) -> Entry | None:
    """The key of a kind that is published and signs later."""
    held = (entry for entry in ring if entry.kind == kind and entry.retired is None)
    current = signing(ring, kind, now)
    return next((entry for entry in held if entry.signs_from > now and entry != current), None)


def speaks_until(ring: Ring, entry: Entry) -> float | None:
    """When a key ends to speak for its participant: at the overlap's end; None while it is the last one."""
    after = ring[ring.index(entry) + 1 :]
    # One that was retired before it signed came after nobody.
    followers = (
        one
        for one in after
        if one.kind == entry.kind and (one.retired is None or one.retired >= one.signs_from)
    )
    follower = next(followers, None)
    return None if follower is None else follower.signs_from + follower.overlap


def state(ring: Ring, entry: Entry, now: float) -> State:
    """What a key is for at a time."""
    if entry.retired is not None:
        return "retired"
    if entry == signing(ring, entry.kind, now):
        return "signs"
    if entry == announced(ring, entry.kind, now):
        return "announced"
    until = speaks_until(ring, entry)
    return "speaks" if until is None or now < until else "past"


def methods(ring: Ring, participant: str, now: float) -> list[did.Method]:
    """What the participant's DID document says of its keys: the one that signs before the others."""
    states = [(entry, state(ring, entry, now)) for entry in ring]
    ordered = sorted(states, key=lambda one: one[1] != "signs")
    return [
        did.method(f"{participant}#{entry.name}", entry.public, past=found == "past")
        for entry, found in ordered
        if found != "retired"
    ]


def hastened(ring: Ring, name: str, now: float) -> Ring:
    """The ring with an announced key signing from now on."""
    return tuple(replace(entry, signs_from=now) if entry.name == name else entry for entry in ring)


def without(ring: Ring, name: str, now: float) -> Ring:
    """The ring with a key retired. Raises NotFound, or LocalProtocolError if it is retired already."""
    found = named(ring, name)
    if found.retired is not None:
        raise LocalProtocolError(f"the key {name} is retired already")
    return tuple(replace(entry, retired=now) if entry == found else entry for entry in ring)


def named(ring: Ring, name: str) -> Entry:
    """The key called so. Raises NotFound."""
    found = next((entry for entry in ring if entry.name == name), None)
    if found is None:
        raise NotFound(f"there is no key {name!r}; there are {', '.join(entry.name for entry in ring)}")
    return found


def written(ring: Iterable[Entry]) -> dict[str, Any]:
    """The ring as a JSON value: public parts and times, no secret."""
    return {
        "keys": [
            {
                "name": entry.name,
                "place": entry.place,
                "public": multikey.jwk(entry.public),
                "signs_from": entry.signs_from,
                "overlap": entry.overlap,
                "retired": entry.retired,
            }
            for entry in ring
        ]
    }


def read(value: object, where: str) -> Ring:
    """The ring in a JSON value that `written` made. Raises InvalidFile."""
    try:
        ring = tuple(map(_entry, value["keys"]))  # type: ignore[index] # what is none is caught
    except (LookupError, TypeError, ValueError, AttributeError, Untrusted) as wrong:
        raise InvalidFile(f"{where}: not a keyring as Anode writes it; restore it from a backup") from wrong
    if len({entry.name for entry in ring}) < len(ring):
        raise InvalidFile(f"{where}: two keys have one name; restore it from a backup")
    return ring


def _entry(value: Mapping[str, Any]) -> Entry:
    retired = value["retired"]
    name, place = value["name"], value["place"]
    if not isinstance(name, str) or place not in ("file", "pkcs11"):
        raise ValueError
    public = multikey.from_jwk(value["public"])
    return Entry(
        name,
        place,
        public,
        float(value["signs_from"]),
        float(value["overlap"]),
        None if retired is None else float(retired),
    )
