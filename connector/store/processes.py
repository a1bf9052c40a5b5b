"""Negotiations, transfers, their outbox and history, agreements. Functions over a transaction or a reader."""

import math
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from connector.dsp.process import Process
from connector.dsp.terms import Kind, Role, State, Subject
from connector.store import courses

_COLUMNS = (
    "pid, subject, role, participant, peer_pid, address, state, pending, accepted, steps, reason, details"
)

_SELECT = f"SELECT {_COLUMNS} FROM processes WHERE "  # noqa: S608  # a constant


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way: what is sent, how often it was tried, when it is tried next."""

    pid: str
    message_id: str
    kind: Kind
    url: str
    participant: str
    body: bytes
    attempts: int
    created: float
    next_try: float
    deadline: float
    problem: str | None = None
    doubts: int = 0
    """Answers in a row that may mean never, or not yet."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a process's history. `direction` is `in`, `out` or `own` (decided here alone)."""

    at: float
    direction: str
    kind: str
    state: str | None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """A contract, as the provider wrote it. `in_force` once the negotiation is FINALIZED."""

    role: Role
    id: str
    participant: str
    dataset: str
    document: dict[str, Any]
    digest: str
    """Of its rules, in canonical form."""
    agreed: float
    negotiation: str
    in_force: bool


def process(connection: sqlite3.Connection, pid: str) -> Process | None:
    """The process with this identifier of ours."""
    row = connection.execute(_SELECT + "pid = ?", (pid,)).fetchone()
    return None if row is None else _process(row)


def process_of_peer(
    connection: sqlite3.Connection, subject: Subject, role: Role, participant: str, peer_pid: str
) -> Process | None:
    """The process that a participant knows by its own identifier."""
    row = connection.execute(
        _SELECT + "subject = ? AND role = ? AND participant = ? AND peer_pid = ?",
        (subject, role, participant, peer_pid),
    ).fetchone()
    return None if row is None else _process(row)


def page(
    connection: sqlite3.Connection, subject: Subject, before: int | None, limit: int
) -> list[tuple[int, float, float, Process]]:
    """Newest first: cursor, created, changed, process."""
    rows = connection.execute(
        f"SELECT rowid, created, changed, {_COLUMNS} FROM processes WHERE subject = ? AND rowid < ? "  # noqa: S608  # a constant
        "ORDER BY rowid DESC LIMIT ?",
        (subject, before if before is not None else 1 << 62, limit),
    )
    return [(row[0], row[1], row[2], _process(row[3:])) for row in rows]


def times(connection: sqlite3.Connection, pid: str) -> tuple[float, float]:
    """When the process was created and last changed."""
    row = connection.execute("SELECT created, changed FROM processes WHERE pid = ?", (pid,)).fetchone()
    return row[0], row[1]


def awaiting_review(connection: sqlite3.Connection) -> list[Process]:
    """Negotiations in which our operator is to decide, as provider."""
    where = (
        "subject = 'negotiation' AND role = 'PROVIDER' AND state IN ('REQUESTED', 'ACCEPTED') "
        "AND pending IS NULL AND json_extract(details, '$.review_until') IS NOT NULL"
    )
    return [_process(row) for row in connection.execute(_SELECT + where)]


def awaiting_operator(
    connection: sqlite3.Connection, limit: int
) -> tuple[int, list[tuple[float, float, Process]]]:
    """Negotiations in which our operator is to decide (`flows/negotiate.py`): how many, and the most urgent,
    each with when it was created and last changed."""
    rows = connection.execute(
        f"SELECT count(*) OVER (), created, changed, {_COLUMNS} "  # noqa: S608  # a constant
        "FROM processes INDEXED BY processes_open WHERE subject = 'negotiation' "
        "AND state NOT IN ('FINALIZED', 'COMPLETED', 'TERMINATED') AND pending IS NULL "
        "AND ((role = 'CONSUMER' AND state = 'OFFERED') "
        "OR (state IN ('REQUESTED', 'ACCEPTED') "
        "AND json_extract(details, '$.review_of') = json_extract(details, '$.digest'))) "
        "ORDER BY role = 'CONSUMER', json_extract(details, '$.review_until'), rowid LIMIT ?",
        (limit,),
    ).fetchall()
    return rows[0][0] if rows else 0, [(row[1], row[2], _process(row[3:])) for row in rows]


def transfer_refused(connection: sqlite3.Connection, request: str) -> Process | None:
    """The transfer in which a provider refused this request of ours for data, by the name it has there."""
    where = "json_extract(details, '$.told[0].request') = ? AND role = 'CONSUMER' LIMIT 1"
    row = connection.execute(_SELECT + where, (request,)).fetchone()
    return None if row is None else _process(row)


def transfers_under(connection: sqlite3.Connection, agreement_id: str, participant: str) -> list[str]:
    """The transfers under an agreement that have not ended, as provider."""
    rows = connection.execute(
        "SELECT pid FROM processes WHERE participant = ? AND subject = 'transfer' AND role = 'PROVIDER' "
        "AND state NOT IN ('FINALIZED', 'COMPLETED', 'TERMINATED') "
        "AND json_extract(details, '$.agreement') = ?",
        (participant, agreement_id),
    )
    return [pid for (pid,) in rows]


def open_transfers(
    connection: sqlite3.Connection, role: Role, agreement_id: str, participant: str
) -> list[str]:
    """The transfers under an agreement that have not ended, also those that nobody has answered yet."""
    rows = connection.execute(
        "SELECT pid FROM processes WHERE json_extract(details, '$.agreement') = ? AND subject = 'transfer' "
        "AND role = ? AND participant = ? "
        "AND coalesce(state, '') NOT IN ('FINALIZED', 'COMPLETED', 'TERMINATED')",
        (agreement_id, role, participant),
    )
    return [pid for (pid,) in rows]


def counts(connection: sqlite3.Connection) -> dict[str, dict[str, int]]:
    """How many processes are in which state, by subject."""
    answer: dict[str, dict[str, int]] = {"negotiation": {}, "transfer": {}}
    for subject, state, number in connection.execute(
        "SELECT subject, coalesce(state, 'NEW'), count(*) FROM processes GROUP BY 1, 2"
    ):
        answer[subject][state] = number
    return answer


def open_with(connection: sqlite3.Connection, subject: Subject, participant: str, most: int) -> int:
    """How many processes with a participant have not ended, counted up to `most`."""
    query = (
        "SELECT count(*) FROM (SELECT 1 FROM processes WHERE participant = ? AND subject = ? "
        "AND state NOT IN ('FINALIZED', 'COMPLETED', 'TERMINATED') LIMIT ?)"
    )
    return int(connection.execute(query, (participant, subject, most)).fetchone()[0])


def save(tx: sqlite3.Connection, value: Process, now: float, steps: Iterable[Step] = ()) -> None:
    """Insert or update, with what is to be remembered of how it came about."""
    tx.execute(
        f"INSERT INTO processes ({_COLUMNS}, created, changed) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?) "  # noqa: S608  # a constant
        "ON CONFLICT (pid) DO UPDATE SET peer_pid = excluded.peer_pid, address = excluded.address, "
        "state = excluded.state, pending = excluded.pending, accepted = excluded.accepted, "
        "steps = excluded.steps, reason = excluded.reason, details = excluded.details, "
        "changed = excluded.changed",
        (
            value.pid,
            value.subject,
            value.role,
            value.participant,
            value.peer_pid,
            value.address,
            value.state,
            value.pending,
            " ".join(value.accepted),
            value.steps,
            value.reason,
            orjson.dumps(value.details).decode(),
            now,
            now,
        ),
    )
    remember(tx, value.pid, steps)


def remember(tx: sqlite3.Connection, pid: str, steps: Iterable[Step]) -> None:
    """Add to what has happened in a process."""
    tx.executemany(
        "INSERT INTO history (pid, at, direction, kind, state, note) VALUES (?,?,?,?,?,?)",
        [(pid, s.at, s.direction, s.kind, s.state, s.note) for s in steps],
    )


def history(connection: sqlite3.Connection, pid: str, limit: int = 1000) -> list[Step]:
    """What happened in a process, oldest first."""
    rows = connection.execute(
        "SELECT at, direction, kind, state, note FROM history WHERE pid = ? ORDER BY number LIMIT ?",
        (pid, limit),
    )
    return [Step(*row) for row in rows]


def steps_after(
    connection: sqlite3.Connection, after: int, pid: str | None, limit: int
) -> list[tuple[int, str, Step]]:
    """What happened after the step with this number, in one process or in all: number, process, step."""
    where, values = ("pid = ? AND ", (pid,)) if pid is not None else ("", ())
    rows = connection.execute(
        "SELECT number, pid, at, direction, kind, state, note FROM history "  # noqa: S608  # constants
        f"WHERE {where}number > ? ORDER BY number LIMIT ?",
        (*values, after, limit),
    )
    return [(row[0], row[1], Step(*row[2:])) for row in rows]


def last_step(connection: sqlite3.Connection) -> int:
    """The number of the newest step; 0 if nothing has happened yet."""
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM history").fetchone()[0])


def put_out(tx: sqlite3.Connection, message: Outgoing) -> None:
    """Put a message on its way, or change when and why it is tried again."""
    tx.execute(
        "INSERT OR REPLACE INTO outbox VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            message.pid,
            message.message_id,
            message.kind,
            message.url,
            message.participant,
            message.body,
            message.attempts,
            message.created,
            message.next_try,
            message.deadline,
            message.problem,
            message.doubts,
        ),
    )


def outgoing(connection: sqlite3.Connection, pid: str) -> Outgoing | None:
    """The message of this process that is on its way."""
    row = connection.execute("SELECT * FROM outbox WHERE pid = ?", (pid,)).fetchone()
    return None if row is None else Outgoing(row[0], row[1], Kind(row[2]), *row[3:])


def is_outgoing(connection: sqlite3.Connection, pid: str, message_id: str) -> bool:
    """Whether this very message is still on its way."""
    query = "SELECT 1 FROM outbox WHERE pid = ? AND message_id = ?"
    return connection.execute(query, (pid, message_id)).fetchone() is not None


def take_out(tx: sqlite3.Connection, pid: str) -> None:
    """Nothing of this process is on its way any more."""
    tx.execute("DELETE FROM outbox WHERE pid = ?", (pid,))


def due(connection: sqlite3.Connection) -> list[tuple[str, float]]:
    """All that is on its way: process and next try."""
    return connection.execute("SELECT pid, next_try FROM outbox").fetchall()


def outbox(connection: sqlite3.Connection, limit: int) -> list[Outgoing]:
    """What is on its way, next try first."""
    rows = connection.execute("SELECT * FROM outbox ORDER BY next_try LIMIT ?", (limit,))
    return [Outgoing(row[0], row[1], Kind(row[2]), *row[3:]) for row in rows]


def save_agreement(tx: sqlite3.Connection, value: Agreement) -> None:
    """Keep a contract, or bring it into force."""
    tx.execute(
        "INSERT OR REPLACE INTO agreements VALUES (?,?,?,?,?,?,?,?,?)",
        (
            value.role,
            value.id,
            value.participant,
            value.dataset,
            orjson.dumps(value.document).decode(),
            value.digest,
            value.agreed,
            value.negotiation,
            value.in_force,
        ),
    )
    if value.in_force:
        courses.begin(tx, value.role, value.id, value.participant)


def bring_into_force(tx: sqlite3.Connection, role: Role, agreement_id: str, participant: str) -> None:
    """The negotiation is FINALIZED: transfers may start, unless a side has retired the agreement already."""
    tx.execute(
        "UPDATE agreements SET in_force = 1 WHERE role = ?1 AND id = ?2 AND participant = ?3 AND NOT EXISTS "
        "(SELECT 1 FROM courses WHERE role = ?1 AND agreement = ?2 AND participant = ?3 "
        "AND state = 'retired')",
        (role, agreement_id, participant),
    )
    courses.begin(tx, role, agreement_id, participant)


def forget_agreement(tx: sqlite3.Connection, role: Role, agreement_id: str, participant: str) -> None:
    """The negotiation ended as TERMINATED: there is no contract."""
    tx.execute(
        "UPDATE agreements SET in_force = 0 WHERE role = ? AND id = ? AND participant = ?",
        (role, agreement_id, participant),
    )


def agreement(
    connection: sqlite3.Connection, role: Role, agreement_id: str, participant: str
) -> Agreement | None:
    """The contract with this participant."""
    row = connection.execute(
        "SELECT * FROM agreements WHERE role = ? AND id = ? AND participant = ?",
        (role, agreement_id, participant),
    ).fetchone()
    return None if row is None else _agreement(row)


def agreements_with_id(connection: sqlite3.Connection, agreement_id: str) -> list[Agreement]:
    """Contracts with this id, as provider first: several only if several participants chose the same."""
    rows = connection.execute(
        "SELECT * FROM agreements WHERE role IN ('PROVIDER', 'CONSUMER') AND id = ? "
        "ORDER BY role DESC LIMIT 10",
        (agreement_id,),
    )
    return [_agreement(row) for row in rows]


def cursor(agreed: float, id_: str) -> str:
    """Where a page ended whose order is newest agreement first."""
    return f"{agreed!r} {id_}"


def position(cursor_: str) -> tuple[float, str]:
    """What a `cursor` says; without one, before everything. Raises ValueError."""
    agreed, _, id_ = cursor_.partition(" ")
    return (float(agreed) if cursor_ else math.inf), id_


def agreements(
    connection: sqlite3.Connection, agreement_id: str | None, after: str, limit: int
) -> list[Agreement]:
    """Contracts by id, or a page of all of them, newest first, after a `cursor`.

    :raises ValueError: `after` is none.
    """
    if agreement_id is not None:
        rows = connection.execute("SELECT * FROM agreements WHERE id = ?", (agreement_id,))
    else:
        rows = connection.execute(
            "SELECT * FROM agreements WHERE (agreed, id) < (?, ?) ORDER BY agreed DESC, id DESC LIMIT ?",
            (*position(after), limit),
        )
    return [_agreement(row) for row in rows]


def _process(row: tuple[Any, ...]) -> Process:
    return Process(
        Subject(row[1]),
        Role(row[2]),
        row[0],
        row[3],
        row[4],
        row[5],
        None if row[6] is None else State(row[6]),
        None if row[7] is None else Kind(row[7]),
        tuple(row[8].split()),
        row[9],
        row[10],
        orjson.loads(row[11]),
    )


def _agreement(row: tuple[Any, ...]) -> Agreement:
    return Agreement(
        Role(row[0]), row[1], row[2], row[3], orjson.loads(row[4]), row[5], row[6], row[7], bool(row[8])
    )
