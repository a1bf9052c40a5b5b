"""Durable transitions: our group commit against a transaction each through aiosqlite, 32 at once."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import aiosqlite
import orjson

from connector.dsp.process import Process
from connector.dsp.terms import Kind, Role, State, Subject
from connector.store import processes
from connector.store.database import Database
from connector.store.processes import Outgoing, Step
from connector.store.schema import STEPS

AT_ONCE = 32
BODY = b"x" * 600


_UPDATE = (
    "UPDATE processes SET peer_pid = ?, address = ?, state = ?, pending = ?, accepted = ?, steps = ?, "
    "reason = ?, details = ?, changed = ? WHERE pid = ?"
)
_HISTORY = "INSERT INTO history (pid, at, direction, kind, state, note) VALUES (?,?,?,?,?,?)"
_OUTBOX = "INSERT OR REPLACE INTO outbox VALUES (?,'m','agree','http://c','did:web:c',?,0,1,1,2,NULL,0)"


def value(number: int) -> Process:
    """A process as it is in the middle of a negotiation."""
    details = {"dataset": "urn:x:data", "offer": {"@id": "urn:x:offer", "permission": ["x" * 700]}}
    return Process(
        Subject.NEGOTIATION,
        Role.PROVIDER,
        f"urn:x:{number}",
        "did:web:c",
        f"urn:y:{number}",
        "http://c",
        State.REQUESTED,
        details=details,
    )


def step(tx: sqlite3.Connection, number: int) -> None:
    """One transition: read the process, save it, its history and its outgoing message."""
    found = processes.process(tx, f"urn:x:{number}")
    assert found is not None
    processes.save(tx, found, 1.0, [Step(1.0, "in", "request", "REQUESTED")])
    processes.put_out(
        tx, Outgoing(found.pid, "urn:m", Kind.AGREE, "http://c", "did:web:c", BODY, 0, 1.0, 1.0, 2.0)
    )


async def grouped(path: Path, number: int) -> float:
    """Transitions a second through our writer."""
    db = Database(path)
    for n in range(AT_ONCE):
        await db.write(lambda tx, n=n: processes.save(tx, value(n), 1.0))
    todo = iter(range(number))

    async def worker(n: int) -> None:
        for _ in todo:
            await db.write(lambda tx: step(tx, n))

    began = time.perf_counter()
    await asyncio.gather(*(worker(n) for n in range(AT_ONCE)))
    rate = number / (time.perf_counter() - began)
    await db.close()
    return rate


async def one_by_one(path: Path, number: int) -> float:
    """Transitions a second with a transaction each: the usual way with aiosqlite, one connection."""
    lock = asyncio.Lock()
    async with aiosqlite.connect(path, isolation_level=None) as db:
        await db.executescript("".join(STEPS))
        await db.execute("PRAGMA journal_mode = WAL")
        await db.execute("PRAGMA synchronous = FULL")
        for n in range(AT_ONCE):
            await db._execute(processes.save, db._conn, value(n), 1.0)
        todo = iter(range(number))

        async def worker(n: int) -> None:
            for _ in todo:
                async with lock:
                    await db.execute("BEGIN IMMEDIATE")
                    cursor = await db.execute("SELECT * FROM processes WHERE pid = ?", (f"urn:x:{n}",))
                    await cursor.fetchone()
                    now = value(n)
                    details = orjson.dumps(now.details).decode()
                    row = (now.peer_pid, now.address, now.state, None, "", 1, None, details, 1.0, now.pid)
                    await db.execute(_UPDATE, row)
                    await db.execute(_HISTORY, (now.pid, 1.0, "in", "request", "REQUESTED", None))
                    await db.execute(_OUTBOX, (now.pid, BODY))
                    await db.execute("COMMIT")

        began = time.perf_counter()
        await asyncio.gather(*(worker(n) for n in range(AT_ONCE)))
        return number / (time.perf_counter() - began)


async def compare(folder: Path, verdict: Callable[..., None]) -> None:
    """Both, in turn; best of three."""
    ours, theirs = [], []
    for number in range(3):
        theirs.append(await one_by_one(folder / f"one-{number}.sqlite", 1000))
        ours.append(await grouped(folder / f"group-{number}.sqlite", 10_000))
    print(f"    {max(ours):.0f} transitions a second, aiosqlite {max(theirs):.0f}")
    verdict("durable transitions at 32 at once, over aiosqlite", max(ours) / max(theirs), 10, True)
