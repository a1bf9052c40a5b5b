"""What holders have asked this issuer for, what is still to be delivered, and what was issued."""

import sqlite3
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import orjson

Status = Literal["RECEIVED", "ISSUED", "REJECTED"]
State = Literal["valid", "suspended", "revoked"]
_ISSUANCE = (
    "pid, holder, holder_pid, objects, status, reason, message, attempts, next_try, problem, token, created, "
    "changed"
)
_ISSUED = "id, type, holder, format, document, issued, until, state"


@dataclass(frozen=True, slots=True)
class Issuance:
    """A holder's request, or credentials given unasked (`holder_pid` None).

    `message` is a CredentialMessage that the holder has not taken yet; `problem` says why. `token` is the
    access token that came with the request: with it the holder lets us write into its wallet.
    """

    pid: str
    holder: str
    holder_pid: str | None
    objects: tuple[str, ...]
    status: Status
    created: float
    changed: float
    reason: str | None = None
    message: bytes | None = None
    attempts: int = 0
    next_try: float = 0.0
    problem: str | None = None
    token: str | None = field(default=None, repr=False)


class Issued(NamedTuple):
    """A credential of ours in a holder's hands."""

    id: str
    type: str
    holder: str
    format: str
    document: dict[str, Any]
    issued: float
    until: float | None
    state: State


def find(connection: sqlite3.Connection, pid: str) -> Issuance | None:
    """A request."""
    row = connection.execute(f"SELECT {_ISSUANCE} FROM issuances WHERE pid = ?", (pid,)).fetchone()  # noqa: S608  # fixed
    return _issuance(row) if row else None


def listing(connection: sqlite3.Connection, limit: int = 1_000) -> list[Issuance]:
    """Requests, newest first."""
    rows = connection.execute(
        f"SELECT {_ISSUANCE} FROM issuances ORDER BY created DESC, pid LIMIT ?",  # noqa: S608  # fixed
        (limit,),
    )
    return [_issuance(row) for row in rows]


def waiting(connection: sqlite3.Connection, holder: str | None = None) -> list[Issuance]:
    """Requests that are not decided, oldest first: of all, or of one holder."""
    which = "holder = ?1 AND " if holder is not None else ""
    query = f"SELECT {_ISSUANCE} FROM issuances WHERE {which}status = 'RECEIVED' ORDER BY created"  # noqa: S608  # fixed
    rows = connection.execute(query, () if holder is None else (holder,))
    return [_issuance(row) for row in rows]


def counts(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many requests are not decided; how many credentials are issued and not revoked."""
    found: tuple[int, int] = connection.execute(
        "SELECT (SELECT count(*) FROM issuances WHERE status = 'RECEIVED'),"
        " (SELECT count(*) FROM issued WHERE state != 'revoked')"
    ).fetchone()
    return found


def lately(connection: sqlite3.Connection, holder: str, since: float) -> int:
    """How many requests of a holder were made since then, or are still to be delivered."""
    found: tuple[int] = connection.execute(
        "SELECT count(*) FROM issuances WHERE holder = ? AND (created > ? OR message IS NOT NULL)",
        (holder, since),
    ).fetchone()
    return found[0]


def open_ones(connection: sqlite3.Connection) -> int:
    """How many requests are not decided, or not delivered."""
    found: tuple[int] = connection.execute(
        "SELECT (SELECT count(*) FROM issuances WHERE status = 'RECEIVED')"
        " + (SELECT count(*) FROM issuances WHERE message IS NOT NULL)"
    ).fetchone()
    return found[0]


def undelivered(connection: sqlite3.Connection) -> list[tuple[str, float]]:
    """Requests with a message to deliver, and when."""
    return connection.execute("SELECT pid, next_try FROM issuances WHERE message IS NOT NULL").fetchall()


def save(tx: sqlite3.Connection, one: Issuance) -> None:
    """Add a request, or replace it."""
    tx.execute(
        f"INSERT OR REPLACE INTO issuances ({_ISSUANCE}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608  # fixed
        (
            one.pid,
            one.holder,
            one.holder_pid,
            orjson.dumps(one.objects).decode(),
            one.status,
            one.reason,
            one.message,
            one.attempts,
            one.next_try,
            one.problem,
            one.token,
            one.created,
            one.changed,
        ),
    )


def _issuance(row: tuple[Any, ...]) -> Issuance:
    pid, holder, holder_pid, objects, status, reason, message, attempts, next_try, problem, token, *times = (
        row
    )
    return Issuance(
        pid,
        holder,
        holder_pid,
        tuple(orjson.loads(objects)),
        status,
        times[0],
        times[1],
        reason,
        message,
        attempts,
        next_try,
        problem,
        token,
    )


def keep_issued(tx: sqlite3.Connection, one: Issued) -> None:
    """Add a credential that was issued, or replace it."""
    values = (*one[:4], orjson.dumps(one.document).decode(), *one[5:])
    tx.execute(f"INSERT OR REPLACE INTO issued ({_ISSUED}) VALUES (?,?,?,?,?,?,?,?)", values)  # noqa: S608  # fixed


def issued(connection: sqlite3.Connection, id_: str) -> Issued | None:
    """A credential that was issued."""
    row = connection.execute(f"SELECT {_ISSUED} FROM issued WHERE id = ?", (id_,)).fetchone()  # noqa: S608  # fixed
    return _issued(row) if row else None


def all_issued(connection: sqlite3.Connection, holder: str | None = None, limit: int = 1_000) -> list[Issued]:
    """Credentials that were issued, newest first: all, or a holder's."""
    which = "WHERE holder = ?1 " if holder is not None else ""
    query = f"SELECT {_ISSUED} FROM issued {which}ORDER BY issued DESC, id LIMIT ?2"  # noqa: S608  # fixed
    return [_issued(row) for row in connection.execute(query, (holder, limit))]


def _issued(row: tuple[Any, ...]) -> Issued:
    return Issued._make((*row[:4], orjson.loads(row[4]), *row[5:]))
