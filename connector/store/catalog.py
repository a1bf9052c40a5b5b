"""Datasets, the policies they are offered under, and their properties, all indexed: no query walks the store.

A page is found by merging short runs of index entries, one run per visible policy (or per wanted property
value), each read from where the last page ended. So it costs the same at ten datasets and at a million.
"""

import heapq
import itertools
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson

_SCAN = 2500
"""Index entries looked at for one page. A filter that finds too little in them gives a short page with a
`next`, instead of walking on."""

_STRIDE = 100

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


Entry = tuple[str, bytes, list[str]]
"""A dataset on a page: id, members, visible policies."""


@dataclass(frozen=True, slots=True)
class Page:
    """Datasets in id order."""

    entries: list[Entry]
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
        "INSERT OR REPLACE INTO datasets VALUES (?,?,?,?,?,?)",
        (
            value.id,
            value.title,
            orjson.dumps(value.source).decode(),
            orjson.dumps(definition).decode(),
            origin,
            now,
        ),
    )
    tx.execute("DELETE FROM offers WHERE dataset = ?", (value.id,))
    tx.execute("DELETE FROM properties WHERE dataset = ?", (value.id,))
    offers = [(policy, value.id, value.members) for policy in dict.fromkeys(value.policies)]
    tx.executemany("INSERT INTO offers VALUES (?,?,?)", offers)
    tx.executemany("INSERT INTO properties VALUES (?,?,?)", [(n, v, value.id) for n, v in properties.items()])


def withdraw(tx: sqlite3.Connection, dataset_id: str) -> bool:
    """Take a dataset out of the catalog. Agreements about it stay, its data is gone."""
    tx.execute("DELETE FROM offers WHERE dataset = ?", (dataset_id,))
    tx.execute("DELETE FROM properties WHERE dataset = ?", (dataset_id,))
    return tx.execute("DELETE FROM datasets WHERE id = ?", (dataset_id,)).rowcount > 0


def dataset(connection: sqlite3.Connection, dataset_id: str) -> Stored | None:
    """One dataset."""
    row = connection.execute("SELECT id, title, source FROM datasets WHERE id = ?", (dataset_id,)).fetchone()
    if row is None:
        return None
    query = "SELECT policy, members FROM offers WHERE dataset = ? ORDER BY policy"
    offers = connection.execute(query, (dataset_id,)).fetchall()
    members = offers[0][1] if offers else b""
    return Stored(row[0], row[1], members, orjson.loads(row[2]), tuple(policy for policy, _ in offers))


def source(connection: sqlite3.Connection, dataset_id: str) -> dict[str, Any] | None:
    """Where the bytes of a dataset are."""
    row = connection.execute("SELECT source FROM datasets WHERE id = ?", (dataset_id,)).fetchone()
    return None if row is None else orjson.loads(row[0])


def derived(connection: sqlite3.Connection) -> dict[str, str]:
    """Datasets that are passed on, each with the agreement under which this node has them."""
    query = (
        "SELECT id, json_extract(source, '$.derived_from') FROM datasets "
        "WHERE json_extract(source, '$.derived_from') IS NOT NULL"
    )
    return dict(connection.execute(query).fetchall())


def upstream(connection: sqlite3.Connection, dataset_id: str) -> str | None:
    """The agreement under which this node has what a dataset was made from, if it is passed on."""
    declared = source(connection, dataset_id)
    return None if declared is None else declared.get("derived_from")


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
    found: list[Entry] = []
    last, looked, enough = window.start, 0, window.limit + window.skip
    edge: str | None = None
    for candidate, same in _candidates(connection, policies, wanted, window):
        if len(found) == enough or looked == _SCAN + window.skip:
            edge = last
            break
        last, looked = candidate, looked + 1
        if not wanted:
            found.append((candidate, same[0][2], [policy for _, policy, _ in same]))
        elif any(fits for _, _, fits in same):
            offers = _offered(connection, policies, candidate)
            found += [(candidate, offers[0][1], [policy for policy, _ in offers])] if offers else []
    entries = found[window.skip :]
    return Page(entries[::-1] if window.backwards else entries, edge)


def _candidates(
    connection: sqlite3.Connection, policies: Sequence[str], wanted: Wanted, window: Window
) -> Iterable[tuple[str, Sequence[tuple[str, str, Any]]]]:
    """Ids in the direction of reading, each with its rows of the runs that led to it."""
    runs = (_by_property if wanted else _by_policy)(connection, policies, wanted, window)
    if len(runs) == 1:
        return ((row[0], (row,)) for row in runs[0])
    merged = heapq.merge(*runs, reverse=window.backwards)
    return ((found, list(same)) for found, same in itertools.groupby(merged, key=_ID))


_ID = itemgetter(0)
_DIRECTION = (("> ?", "ORDER BY 1"), ("< ?", "ORDER BY 1 DESC"))


def _by_policy(
    connection: sqlite3.Connection, policies: Sequence[str], _: Wanted, window: Window
) -> list[Iterable[tuple[str, str, Any]]]:
    """A run per policy: id, policy, members."""
    beyond, order = _DIRECTION[window.backwards]
    query = f"SELECT dataset, policy, members FROM offers WHERE policy = ? AND dataset {beyond} {order}"  # noqa: S608  # fixed texts
    return [connection.execute(query, (policy, window.start)) for policy in policies]


def _by_property(
    connection: sqlite3.Connection, _: Sequence[str], wanted: Wanted, window: Window
) -> list[Iterable[tuple[str, str, Any]]]:
    """A run per value of the first property: id, value, whether the other properties fit.

    One look at a dataset's properties, however many values are asked for: no filter can buy more work.
    """
    beyond, order = _DIRECTION[window.backwards]
    (name, values), others = wanted[0], wanted[1:]
    fits, given = "1", []
    if others:
        terms = " + ".join(f"(q.name = ? AND q.value IN ({','.join('?' * len(v))}))" for _, v in others)
        fits = (
            f"(SELECT sum({terms}) FROM properties q INDEXED BY properties_dataset "  # noqa: S608  # only marks
            f"WHERE q.dataset = p.dataset) = {len(others)}"
        )
        given = [text for other, v in others for text in (other, *v)]
    query = (
        f"SELECT p.dataset, p.value, {fits} FROM properties p "  # noqa: S608  # only marks
        f"WHERE p.name = ? AND p.value = ? AND p.dataset {beyond} {order}"
    )
    return [connection.execute(query, (*given, name, value, window.start)) for value in dict.fromkeys(values)]


def _offered(
    connection: sqlite3.Connection, policies: Sequence[str], dataset_id: str
) -> list[tuple[str, bytes]]:
    """The policies among these that a dataset is offered under, in their order, with its members."""
    query = "SELECT policy, members FROM offers WHERE dataset = ?"
    found = dict(connection.execute(query, (dataset_id,)).fetchall())
    return [(policy, found[policy]) for policy in policies if policy in found]


def rarest_first(connection: sqlite3.Connection, wanted: Wanted) -> Wanted:
    """The same filter, led by the property that the fewest datasets have.

    All are counted in step until the first one ends, or to a bound: the cost is that of the rarest.
    """
    if len(wanted) < 2:
        return wanted
    query = "SELECT 1 FROM properties WHERE name = ? AND value = ?"
    runs = [
        (item, itertools.chain(*(connection.execute(query, (item[0], value)) for value in item[1])))
        for item in wanted
    ]
    for _ in range(_SCAN // _STRIDE):
        for item, run in runs:
            if len(list(itertools.islice(run, _STRIDE))) < _STRIDE:
                return [item, *(other for other in wanted if other is not item)]
    return wanted


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
