"""How often agreements have been used, and the keys of the pseudonyms that are given under them."""

import math
import sqlite3
from typing import NamedTuple


class Uses(NamedTuple):
    """Uses of an agreement: how many, and when the first and the last were (epoch seconds)."""

    number: int = 0
    first: float = math.inf
    last: float = -math.inf

    def one_more(self, now: float) -> "Uses":
        """With a use now. A clock that was set back does not make the last use earlier."""
        return Uses(
            self.number + 1, self.first if self.first < now else now, self.last if self.last > now else now
        )

    def one_less(self) -> "Uses":
        """Without one that is not the last."""
        return Uses(self.number - 1, self.first, self.last) if self.number > 1 else Uses()


def of(connection: sqlite3.Connection, agreement: str, participant: str) -> Uses:
    """The uses of an agreement with this participant, as its provider."""
    row = connection.execute(
        "SELECT number, first, last FROM uses WHERE agreement = ? AND participant = ?",
        (agreement, participant),
    ).fetchone()
    return Uses() if row is None else Uses(*row)


def keep(tx: sqlite3.Connection, agreement: str, participant: str, uses: Uses) -> None:
    """So many, or more if more are there already."""
    tx.execute(
        "INSERT INTO uses VALUES (?, ?, ?, ?, ?) ON CONFLICT (agreement, participant) "
        "DO UPDATE SET number = max(number, excluded.number), last = max(last, excluded.last)",
        (agreement, participant, uses.number, uses.first, uses.last),
    )


def settle(tx: sqlite3.Connection, agreement: str, participant: str, uses: Uses) -> None:
    """So many and no more, where more had been kept than there were."""
    tx.execute(
        "UPDATE uses SET number = ?, first = ?, last = ? WHERE agreement = ? AND participant = ?",
        (uses.number, uses.first, uses.last, agreement, participant),
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
