"""How often agreements have been used, and the keys of the pseudonyms that are given under them."""

import math
import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Uses:
    """Uses of an agreement: how many, and when the first and the last were (epoch seconds)."""

    number: int = 0
    first: float = math.inf
    last: float = -math.inf


def of(connection: sqlite3.Connection, agreement: str, participant: str) -> Uses:
    """The uses of an agreement with this participant, as its provider."""
    row = connection.execute(
        "SELECT number, first, last FROM uses WHERE agreement = ? AND participant = ?",
        (agreement, participant),
    ).fetchone()
    return Uses() if row is None else Uses(*row)


def count(tx: sqlite3.Connection, agreement: str, participant: str, now: float) -> None:
    """One more. A clock that was set back does not make the last use earlier."""
    tx.execute(
        "INSERT INTO uses VALUES (?1, ?2, 1, ?3, ?3) ON CONFLICT (agreement, participant) "
        "DO UPDATE SET number = number + 1, last = max(last, excluded.last)",
        (agreement, participant, now),
    )


def pseudonym_key(connection: sqlite3.Connection, agreement: str, participant: str) -> bytes | None:
    """The key of the pseudonyms under an agreement, if there is one already."""
    row = connection.execute(
        "SELECT key FROM pseudonyms WHERE agreement = ? AND participant = ?", (agreement, participant)
    ).fetchone()
    return None if row is None else bytes(row[0])


def keep_pseudonym_key(tx: sqlite3.Connection, agreement: str, participant: str, key: bytes) -> bytes:
    """Keep a new key, unless there is one; the one that counts."""
    tx.execute("INSERT OR IGNORE INTO pseudonyms VALUES (?, ?, ?)", (agreement, participant, key))
    found = pseudonym_key(tx, agreement, participant)
    assert found is not None  # noqa: S101  # it was just put there
    return found
