"""Credentials of this participant, what was asked of issuers, and what peers have presented."""

import math
import sqlite3
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import orjson

RequestStatus = Literal["OFFERED", "REQUESTED", "RECEIVED", "ISSUED", "REJECTED"]
_HELD = "id, type, issuer, format, token, document, request, received, until"
_REQUEST = "pid, issuer, objects, status, issuer_pid, reason, created, changed"


class Held(NamedTuple):
    """A credential of ours. `format` is its DCP profile, `until` when it ends (None: never)."""

    id: str
    type: str
    issuer: str
    format: str
    token: str
    document: dict[str, Any]
    request: str | None
    received: float
    until: float | None


@dataclass(frozen=True, slots=True)
class Request:
    """What we asked an issuer for: `pid` is our holderPid, `objects` the ids of its credential objects.

    OFFERED is an issuer's offer that nobody has taken up yet.
    """

    pid: str
    issuer: str
    objects: tuple[str, ...]
    status: RequestStatus
    issuer_pid: str | None
    reason: str | None
    created: float
    changed: float


def held(connection: sqlite3.Connection) -> list[Held]:
    """All credentials of ours, newest first."""
    rows = connection.execute(f"SELECT {_HELD} FROM wallet ORDER BY received DESC, id").fetchall()  # noqa: S608  # fixed
    return [Held._make((*row[:5], orjson.loads(row[5]), *row[6:])) for row in rows]


def keep(tx: sqlite3.Connection, one: Held) -> None:
    """Add a credential. It takes the place of earlier ones of its type, issuer and format."""
    tx.execute(
        "DELETE FROM wallet WHERE type = ? AND issuer = ? AND format = ?", (one.type, one.issuer, one.format)
    )
    values = (*one[:5], orjson.dumps(one.document).decode(), *one[6:])
    tx.execute(f"INSERT OR REPLACE INTO wallet ({_HELD}) VALUES (?,?,?,?,?,?,?,?,?)", values)  # noqa: S608  # fixed


def drop(tx: sqlite3.Connection, id_: str) -> bool:
    """Remove a credential; whether there was one."""
    return tx.execute("DELETE FROM wallet WHERE id = ?", (id_,)).rowcount > 0


def request(connection: sqlite3.Connection, pid: str) -> Request | None:
    """A request of ours."""
    row = connection.execute(f"SELECT {_REQUEST} FROM credential_requests WHERE pid = ?", (pid,)).fetchone()  # noqa: S608  # fixed
    return _request(row) if row else None


def requests(connection: sqlite3.Connection, limit: int = 1_000) -> list[Request]:
    """Requests of ours and offers to us, newest first."""
    rows = connection.execute(
        f"SELECT {_REQUEST} FROM credential_requests ORDER BY created DESC, pid LIMIT ?",  # noqa: S608  # fixed
        (limit,),
    )
    return [_request(row) for row in rows]


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """How many requests and offers are in which status."""
    return dict(connection.execute("SELECT status, count(*) FROM credential_requests GROUP BY status"))


def offers_of(connection: sqlite3.Connection, issuer: str) -> int:
    """How many offers of an issuer wait."""
    found: tuple[int] = connection.execute(
        "SELECT count(*) FROM credential_requests WHERE issuer = ? AND status = 'OFFERED'", (issuer,)
    ).fetchone()
    return found[0]


def save_request(tx: sqlite3.Connection, one: Request) -> None:
    """Add a request, or replace it."""
    tx.execute(
        f"INSERT OR REPLACE INTO credential_requests ({_REQUEST}) VALUES (?,?,?,?,?,?,?,?)",  # noqa: S608  # fixed
        (
            one.pid,
            one.issuer,
            orjson.dumps(one.objects).decode(),
            one.status,
            one.issuer_pid,
            one.reason,
            one.created,
            one.changed,
        ),
    )


def _request(row: tuple[Any, ...]) -> Request:
    return Request(row[0], row[1], tuple(orjson.loads(row[2])), *row[3:])


class Presented(NamedTuple):
    """A credential that a participant has presented, in the JWT `token`: it counts before `until`."""

    issuer: str
    document: dict[str, Any]
    until: float
    token: str


class Stored(NamedTuple):
    """What a participant presented when it was asked for these credential types, and when it was verified."""

    asked: frozenset[str]
    credentials: tuple[Presented, ...]
    verified: float


def presented_by(connection: sqlite3.Connection, participant: str) -> Stored | None:
    """What a participant presented last."""
    row = connection.execute(
        "SELECT asked, credentials, verified FROM presented WHERE participant = ?", (participant,)
    ).fetchone()
    if row is None:
        return None
    credentials = (
        Presented(issuer, document, math.inf if until is None else until, token)
        for issuer, document, until, token in orjson.loads(row[1])
    )
    return Stored(frozenset(orjson.loads(row[0])), tuple(credentials), row[2])


def keep_presented(tx: sqlite3.Connection, participant: str, stored: Stored) -> None:
    """Keep what a participant has presented, in place of what it had before."""
    asked = orjson.dumps(sorted(stored.asked)).decode()
    # An end that is never comes is null: JSON has no infinity.
    credentials = orjson.dumps([list(one) for one in stored.credentials]).decode()
    tx.execute(
        "INSERT OR REPLACE INTO presented (participant, asked, credentials, verified) VALUES (?,?,?,?)",
        (participant, asked, credentials, stored.verified),
    )
