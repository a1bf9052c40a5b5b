"""Duties that are tracked, one row each, and what the two sides sign about their agreements."""

import sqlite3
from hashlib import sha256
from typing import Any, Literal, NamedTuple

import orjson

from connector.dsp.terms import Role
from connector.store.processes import cursor, position

State = Literal["pending", "due", "reminded", "fulfilled", "breached"]
Direction = Literal["in", "out"]
_HISTORY = 50
_DUTY = (
    "id, role, agreement, participant, path, action, says, event, ours, state, event_at, due, next_moment, "
    "evidence, history"
)
_STATEMENT = (
    "participant, jti, direction, role, agreement, kind, token, at, attempts, next_moment, told, problem"
)


class Mark(NamedTuple):
    """What happened to a duty, and when (epoch seconds)."""

    at: float
    state: State
    note: str


class Duty(NamedTuple):
    """A duty of an agreement. Times are epoch seconds.

    It is pending until its `event`, at `event_at`; from then on it is due, until `due`. `ours` says that this
    node's operator owes it. `evidence` names the statement that it was done.
    """

    id: str
    role: Role
    agreement: str
    participant: str
    path: str
    action: str
    says: str
    event: str
    ours: bool
    state: State = "pending"
    event_at: float | None = None
    due: float | None = None
    next_moment: float | None = None
    evidence: str | None = None
    history: tuple[Mark, ...] = ()

    def marked(self, at: float, state: State, note: str, next_moment: float | None) -> "Duty":
        """The duty after this happened. Of a long history the newest is kept."""
        history = (*self.history, Mark(at, state, note))[-_HISTORY:]
        return self._replace(state=state, next_moment=next_moment, history=history)


class Statement(NamedTuple):
    """What a side has signed about an agreement: `token` is the JWS.

    Of ours (`out`): when it is tried next, when it was told, and why not.
    """

    participant: str
    jti: str
    direction: Direction
    role: Role
    agreement: str
    kind: str
    token: str
    at: float
    attempts: int = 0
    next_moment: float | None = None
    told: float | None = None
    problem: str | None = None


def id_of(role: Role, agreement: str, participant: str, path: str) -> str:
    """The id of a duty: short enough to type, the same whenever it is derived."""
    return sha256("\n".join((role, agreement, participant, path)).encode()).hexdigest()[:16]


def add(tx: sqlite3.Connection, duty: Duty) -> bool:
    """Keep a duty, unless it is there already; whether it was new."""
    query = f"INSERT OR IGNORE INTO duties ({_DUTY}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608  # constants
    return tx.execute(query, _row(duty)).rowcount == 1


def save(tx: sqlite3.Connection, duty: Duty) -> None:
    """Replace a duty."""
    query = f"INSERT OR REPLACE INTO duties ({_DUTY}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608  # constants
    tx.execute(query, _row(duty))


def find(connection: sqlite3.Connection, id_: str) -> Duty | None:
    """A duty by its id."""
    row = connection.execute(f"SELECT {_DUTY} FROM duties WHERE id = ?", (id_,)).fetchone()  # noqa: S608  # constants
    return None if row is None else _duty(row)


def of_agreement(connection: sqlite3.Connection, role: Role, agreement: str, participant: str) -> list[Duty]:
    """The duties of an agreement, in the policy's order."""
    rows = connection.execute(
        f"SELECT {_DUTY} FROM duties WHERE role = ? AND agreement = ? AND participant = ? ORDER BY path",  # noqa: S608  # constants
        (role, agreement, participant),
    )
    return [_duty(row) for row in rows]


def page(connection: sqlite3.Connection, state: str | None, after: str, limit: int) -> list[tuple[str, Duty]]:
    """Duties, those of the newest agreement first, all or those in a state; each with its `cursor`.

    :raises ValueError: `after` is no cursor.
    """
    columns = f"d.{_DUTY.replace(', ', ', d.')}"
    rows = connection.execute(
        f"SELECT a.agreed, {columns} FROM agreements a CROSS JOIN duties d "  # noqa: S608  # constants
        "ON d.role = a.role AND d.agreement = a.id AND d.participant = a.participant "
        "WHERE a.agreed <= ?1 AND (a.agreed, d.id) < (?1, ?2) AND (?3 IS NULL OR d.state = ?3) "
        "ORDER BY a.agreed DESC, d.id DESC LIMIT ?4",
        (*position(after), state, limit),
    )
    return [(cursor(row[0], row[1]), _duty(row[1:])) for row in rows]


def to_do(connection: sqlite3.Connection, limit: int) -> list[Duty]:
    """Duties that are due or were not done in time, the most urgent first: ours and the others'."""
    rows = connection.execute(
        f"SELECT {_DUTY} FROM duties WHERE state IN ('due', 'reminded', 'breached') "  # noqa: S608  # constants
        "ORDER BY due IS NULL, due, id LIMIT ?",
        (limit,),
    )
    return [_duty(row) for row in rows]


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """How many duties are in which state."""
    return dict(connection.execute("SELECT state, count(*) FROM duties GROUP BY 1").fetchall())


def first(connection: sqlite3.Connection) -> float | None:
    """The earliest moment at which something becomes of any duty."""
    query = "SELECT min(next_moment) FROM duties WHERE next_moment IS NOT NULL"
    found: float | None = connection.execute(query).fetchone()[0]
    return found


def due(connection: sqlite3.Connection, now: float, limit: int) -> list[Duty]:
    """Duties whose moment has come, earliest first."""
    query = f"SELECT {_DUTY} FROM duties WHERE next_moment <= ? ORDER BY next_moment LIMIT ?"  # noqa: S608  # constants
    return [_duty(row) for row in connection.execute(query, (now, limit))]


def keep_statement(tx: sqlite3.Connection, one: Statement) -> None:
    """Keep a statement, or how its delivery stands."""
    query = f"INSERT OR REPLACE INTO statements ({_STATEMENT}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608  # constants
    tx.execute(query, one)


def statement(connection: sqlite3.Connection, participant: str, jti: str) -> Statement | None:
    """A statement to or from a participant."""
    query = f"SELECT {_STATEMENT} FROM statements WHERE participant = ? AND jti = ?"  # noqa: S608  # constants
    row = connection.execute(query, (participant, jti)).fetchone()
    return None if row is None else _statement(row)


def statements(connection: sqlite3.Connection, agreement: str, participant: str) -> list[Statement]:
    """What both sides have signed about an agreement, oldest first."""
    query = f"SELECT {_STATEMENT} FROM statements WHERE agreement = ? AND participant = ? ORDER BY at, jti"  # noqa: S608  # constants
    return [_statement(row) for row in connection.execute(query, (agreement, participant))]


def first_statement(connection: sqlite3.Connection) -> float | None:
    """When the next statement of ours is to be tried."""
    query = "SELECT min(next_moment) FROM statements WHERE next_moment IS NOT NULL"
    found: float | None = connection.execute(query).fetchone()[0]
    return found


def due_statements(connection: sqlite3.Connection, now: float, limit: int) -> list[Statement]:
    """Statements of ours that are to be tried now."""
    query = f"SELECT {_STATEMENT} FROM statements WHERE next_moment <= ? ORDER BY next_moment LIMIT ?"  # noqa: S608  # constants
    return [_statement(row) for row in connection.execute(query, (now, limit))]


def _row(duty: Duty) -> tuple[Any, ...]:
    return (*duty[:-1], orjson.dumps([list(mark) for mark in duty.history]).decode())


def _duty(row: tuple[Any, ...]) -> Duty:
    history = tuple(Mark(*mark) for mark in orjson.loads(row[14]))
    return Duty._make((row[0], Role(row[1]), *row[2:8], bool(row[8]), *row[9:14], history))


def _statement(row: tuple[Any, ...]) -> Statement:
    return Statement._make((*row[:3], Role(row[3]), *row[4:]))
