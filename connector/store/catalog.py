"""Datasets, the policies they are offered under, and their properties, all indexed: no query walks the store.

A page is found by merging short runs of index entries, one run per visible policy (or per wanted property
value), each read from where the last page ended. So it costs the same at ten datasets and at a million.
"""

import heapq
import itertools
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson

_SCAN = 5000
"""Index entries looked at for one page. A filter that finds too little in them gives a short page with a
`next`, instead of walking on."""

Wanted = Sequence[tuple[str, Sequence[str]]]
"""A filter: each property must have one of its values."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A dataset: `members` is the inner JSON of its DCAT document (no braces, no id, no policies)."""

    id: str
    title: str
    members: bytes
    source: dict[str, Any]
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Datasets in id order: id, members, visible policies."""

    entries: list[tuple[str, bytes, list[str]]]
    edge: str | None
    """The last id that was looked at in the direction of reading; None if there is nothing beyond."""


@dataclass(frozen=True, slots=True)
class Window:
    """Where a page begins (exclusive id), in which direction it is read, how many it holds at most."""

    start: str = ""
    backwards: bool = False
    limit: int = 100
    skip: int = 0


def publish(
    tx: sqlite3.Connection,
    value: Stored,
    properties: Mapping[str, str],
    definition: Mapping[str, Any],
    origin: str,
    now: float,
) -> None:
    """Add a dataset, or replace the one with this id."""
    tx.execute(
        "INSERT OR REPLACE INTO datasets (id, title, body, source, definition, origin, changed) "
        "VALUES (?,?,?,?,?,?,?)",
        (
            value.id,
            value.title,
            value.members,
            orjson.dumps(value.source).decode(),
            orjson.dumps(definition).decode(),
            origin,
            now,
        ),
    )
    tx.execute("DELETE FROM offers WHERE dataset = ?", (value.id,))
    tx.execute("DELETE FROM properties WHERE dataset = ?", (value.id,))
    tx.executemany("INSERT INTO offers VALUES (?,?)", [(p, value.id) for p in dict.fromkeys(value.policies)])
    tx.executemany("INSERT INTO properties VALUES (?,?,?)", [(n, v, value.id) for n, v in properties.items()])


def withdraw(tx: sqlite3.Connection, dataset_id: str) -> bool:
    """Take a dataset out of the catalog. Agreements about it stay, its data is gone."""
    tx.execute("DELETE FROM offers WHERE dataset = ?", (dataset_id,))
    tx.execute("DELETE FROM properties WHERE dataset = ?", (dataset_id,))
    return tx.execute("DELETE FROM datasets WHERE id = ?", (dataset_id,)).rowcount > 0


def dataset(connection: sqlite3.Connection, dataset_id: str) -> Stored | None:
    """One dataset."""
    row = connection.execute(
        "SELECT id, title, body, source FROM datasets WHERE id = ?", (dataset_id,)
    ).fetchone()
    if row is None:
        return None
    policies = connection.execute(
        "SELECT policy FROM offers WHERE dataset = ? ORDER BY policy", (dataset_id,)
    )
    return Stored(row[0], row[1], row[2], orjson.loads(row[3]), tuple(p for (p,) in policies))


def definition(connection: sqlite3.Connection, dataset_id: str) -> tuple[dict[str, Any], str] | None:
    """What was published, as written by the operator, and where it came from."""
    row = connection.execute("SELECT definition, origin FROM datasets WHERE id = ?", (dataset_id,)).fetchone()
    return None if row is None else (orjson.loads(row[0]), row[1])


def listing(connection: sqlite3.Connection, after: str, limit: int) -> list[tuple[str, str, str]]:
    """Id, title and origin of all datasets, whoever may see them."""
    return connection.execute(
        "SELECT id, title, origin FROM datasets WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
    ).fetchall()


def page(connection: sqlite3.Connection, policies: Sequence[str], wanted: Wanted, window: Window) -> Page:
    """Datasets that are offered under one of these policies and have the wanted properties."""
    found: list[tuple[str, list[str]]] = []
    last, looked, enough = window.start, 0, window.limit + window.skip
    for candidate, offered in _candidates(connection, policies, wanted, window):
        if len(found) == enough or looked == _SCAN + window.skip:
            return Page(_bodies(connection, found[window.skip :], window.backwards), last)
        last, looked = candidate, looked + 1
        if wanted:
            offered = _offered(connection, policies, candidate)
        if offered and _has_properties(connection, wanted[1:], candidate):
            found.append((candidate, offered))
    return Page(_bodies(connection, found[window.skip :], window.backwards), None)


def _candidates(
    connection: sqlite3.Connection, policies: Sequence[str], wanted: Wanted, window: Window
) -> Iterator[tuple[str, list[str]]]:
    """Ids in the direction of reading, each with the policies (or property values) that led to it."""
    if wanted:
        name, values = wanted[0]
        runs = [_run(connection, _BY_PROPERTY[window.backwards], (name, v), window.start, v) for v in values]
    else:
        runs = [_run(connection, _BY_POLICY[window.backwards], (p,), window.start, p) for p in policies]
    merged = heapq.merge(*runs, reverse=window.backwards)
    for found, same in itertools.groupby(merged, key=itemgetter(0)):
        yield found, [label for _, label in same]


_BY_POLICY = (
    "SELECT dataset FROM offers WHERE policy = ? AND dataset > ? ORDER BY dataset",
    "SELECT dataset FROM offers WHERE policy = ? AND dataset < ? ORDER BY dataset DESC",
)
_BY_PROPERTY = (
    "SELECT dataset FROM properties WHERE name = ? AND value = ? AND dataset > ? ORDER BY dataset",
    "SELECT dataset FROM properties WHERE name = ? AND value = ? AND dataset < ? ORDER BY dataset DESC",
)


def _run(
    connection: sqlite3.Connection, query: str, key: tuple[str, ...], start: str, label: str
) -> Iterator[tuple[str, str]]:
    return ((found, label) for (found,) in connection.execute(query, (*key, start)))


def _offered(connection: sqlite3.Connection, policies: Sequence[str], dataset_id: str) -> list[str]:
    found = {p for (p,) in connection.execute("SELECT policy FROM offers WHERE dataset = ?", (dataset_id,))}
    return [p for p in policies if p in found]


def _has_properties(connection: sqlite3.Connection, wanted: Wanted, dataset_id: str) -> bool:
    """One look-up, however many values are asked for: a filter must not be able to buy work."""
    if not wanted:
        return True
    query = "SELECT name, value FROM properties WHERE dataset = ?"
    found = dict(connection.execute(query, (dataset_id,)).fetchall())
    return all(found.get(name) in values for name, values in wanted)


def rarest_first(connection: sqlite3.Connection, wanted: Wanted) -> Wanted:
    """The same filter, led by the property that the fewest datasets have (counted up to a bound)."""

    def commonness(item: tuple[str, Sequence[str]]) -> int:
        name, values = item
        return sum(
            connection.execute(
                "SELECT count(*) FROM (SELECT 1 FROM properties WHERE name = ? AND value = ? LIMIT 200)",
                (name, v),
            ).fetchone()[0]
            for v in values
        )

    return sorted(wanted, key=commonness) if len(wanted) > 1 else wanted


def _bodies(
    connection: sqlite3.Connection, found: list[tuple[str, list[str]]], backwards: bool
) -> list[tuple[str, bytes, list[str]]]:
    read = connection.execute
    bodies = (
        (dataset_id, read("SELECT body FROM datasets WHERE id = ?", (dataset_id,)).fetchone(), policies)
        for dataset_id, policies in (reversed(found) if backwards else found)
    )
    return [(dataset_id, row[0], policies) for dataset_id, row, policies in bodies if row is not None]


def total(connection: sqlite3.Connection) -> int:
    """How many datasets there are (walks an index; for `status`, not for requests of peers)."""
    return int(connection.execute("SELECT count(*) FROM datasets").fetchone()[0])


def file_digest(connection: sqlite3.Connection, origin: str) -> str | None:
    """The digest of a catalog file when it was last published."""
    row = connection.execute("SELECT digest FROM files WHERE origin = ?", (origin,)).fetchone()
    return None if row is None else str(row[0])


def files(connection: sqlite3.Connection) -> list[str]:
    """All catalog files that were published."""
    return [origin for (origin,) in connection.execute("SELECT origin FROM files")]


def note_file(tx: sqlite3.Connection, origin: str, digest: str) -> None:
    """Remember what a catalog file looked like."""
    tx.execute("INSERT OR REPLACE INTO files VALUES (?,?)", (origin, digest))


def forget_file(tx: sqlite3.Connection, origin: str) -> None:
    """A catalog file and all its datasets are gone."""
    for (dataset_id,) in tx.execute("SELECT id FROM datasets WHERE origin = ?", (origin,)).fetchall():
        withdraw(tx, dataset_id)
    tx.execute("DELETE FROM files WHERE origin = ?", (origin,))
