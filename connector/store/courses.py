"""How agreements in force go on: when their terms turn next, and how they ended."""

import sqlite3
from typing import Literal, NamedTuple

from connector.dsp.terms import Role

State = Literal["running", "ended", "retired"]
_COLUMNS = "role, agreement, participant, state, next_moment, ends, ended, retired_by, reason"
_AGAIN = "next_moment = min(coalesce(next_moment, 0), 0) - 1"
_KEY = "role = ? AND agreement = ? AND participant = ?"


class Course(NamedTuple):
    """How far an agreement has come. Times are epoch seconds.

    `next_moment` is when its terms turn next, 0 or less if that is to be worked out (less with each reason);
    `ends` is when they allow nothing any more, `ended` when that was noticed, or when `retired_by` ended it
    with a `reason`.
    """

    role: Role
    agreement: str
    participant: str
    state: State = "running"
    next_moment: float | None = 0.0
    ends: float | None = None
    ended: float | None = None
    retired_by: str | None = None
    reason: str | None = None


def begin(tx: sqlite3.Connection, role: Role, agreement: str, participant: str) -> None:
    """The agreement is in force. Its moments are worked out as soon as somebody looks."""
    tx.execute(
        "INSERT OR IGNORE INTO courses (role, agreement, participant, state, next_moment) "
        "VALUES (?,?,?,'running',0)",
        (role, agreement, participant),
    )


def find(connection: sqlite3.Connection, role: Role, agreement: str, participant: str) -> Course | None:
    """The course of an agreement; None if it never came into force."""
    query = f"SELECT {_COLUMNS} FROM courses WHERE {_KEY}"  # noqa: S608  # constants
    row = connection.execute(query, (role, agreement, participant)).fetchone()
    return None if row is None else _course(row)


def first(connection: sqlite3.Connection) -> float | None:
    """The earliest moment at which any agreement's terms turn."""
    query = "SELECT min(next_moment) FROM courses WHERE next_moment IS NOT NULL"
    found: float | None = connection.execute(query).fetchone()[0]
    return found


def due(connection: sqlite3.Connection, now: float, limit: int) -> list[Course]:
    """Agreements whose moment has come, earliest first."""
    query = f"SELECT {_COLUMNS} FROM courses WHERE next_moment <= ? ORDER BY next_moment LIMIT ?"  # noqa: S608  # constants
    return [_course(row) for row in connection.execute(query, (now, limit))]


def save(tx: sqlite3.Connection, value: Course) -> None:
    """Replace what is known of an agreement's course."""
    query = f"INSERT OR REPLACE INTO courses ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)"  # noqa: S608  # constants
    tx.execute(query, value)


def look_again(tx: sqlite3.Connection, role: Role, agreement: str, participant: str) -> None:
    """Something that the terms depend on has changed."""
    query = f"UPDATE courses SET {_AGAIN} WHERE {_KEY} AND state = 'running'"  # noqa: S608  # constants
    tx.execute(query, (role, agreement, participant))


def look_at_derived(tx: sqlite3.Connection, upstream: str) -> None:
    """An agreement of ours has ended: those about what was made from its data turn now."""
    derived = "SELECT id FROM datasets WHERE json_extract(source, '$.derived_from') = ?"
    for dataset in tx.execute(derived, (upstream,)).fetchall():
        query = (
            f"UPDATE courses SET {_AGAIN} WHERE role = 'PROVIDER' AND state = 'running' AND (agreement, "  # noqa: S608  # constants
            "participant) IN (SELECT id, participant FROM agreements WHERE role = 'PROVIDER' AND dataset = ?)"
        )
        tx.execute(query, dataset)


def _course(row: tuple[str, ...]) -> Course:
    return Course(Role(row[0]), *row[1:])  # type: ignore[arg-type]  # as the columns are declared
