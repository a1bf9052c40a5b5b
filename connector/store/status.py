"""Status lists of credentials that this node issued: which indexes are given away, and which bits are set."""

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A list: `given` marks the indexes in use, `bits` is the list, `number` its place in its series."""

    series: str
    number: int
    given: bytes
    used: int
    bits: bytes
    changed: float


def newest(connection: sqlite3.Connection, series: str) -> Row | None:
    """The list of a series that indexes are given from."""
    return _row(
        connection.execute(
            "SELECT series, number, given, used, bits, changed FROM status_lists WHERE series = ? "
            "ORDER BY number DESC LIMIT 1",
            (series,),
        ).fetchone()
    )


def find(connection: sqlite3.Connection, series: str, number: int) -> Row | None:
    """One list."""
    return _row(
        connection.execute(
            "SELECT series, number, given, used, bits, changed FROM status_lists "
            "WHERE series = ? AND number = ?",
            (series, number),
        ).fetchone()
    )


def save(tx: sqlite3.Connection, row: Row) -> None:
    """Add a list, or replace it."""
    tx.execute(
        "INSERT OR REPLACE INTO status_lists (series, number, given, used, bits, changed) "
        "VALUES (?,?,?,?,?,?)",
        (row.series, row.number, row.given, row.used, row.bits, row.changed),
    )


def _row(found: tuple[str, int, bytes, int, bytes, float] | None) -> Row | None:
    return None if found is None else Row(*found)
