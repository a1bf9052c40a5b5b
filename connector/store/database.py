"""The engine: one SQLite file in WAL mode, one writer thread that commits in groups, reads in the loop.

Every commit waits for the disk (`synchronous=FULL`), so one commit for each message would cost one disk
wait each. Instead the loop collects what its tasks want written, hands it over once an iteration, and
the thread runs all that has gathered in one transaction, each piece in a savepoint of its own. A task
goes on when its piece is on disk. Reads by key take microseconds and run in the loop, on a connection
of their own that sees the last commit.
"""

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from connector.errors import Unavailable
from connector.store.schema import STEPS, VERSION

T = TypeVar("T")
Transaction = sqlite3.Connection
"""What a write step gets. Only modules of `connector.store` run SQL on it."""

_Piece = tuple[Callable[[Transaction], Any], "asyncio.Future[Any]"]


class Database:
    """An open store. Use it from one event loop.

    :raises Unavailable: the file can't be opened, is no store, or one of another version.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = str(path)
        try:
            _keep_private(self._path)
            self._writer = _connect(self._path)
            _create(self._writer, self._path)
            self.read = _connect(self._path)
            """The connection for reads, in the loop only."""
            self.read.execute("PRAGMA query_only = 1")
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"The store {self._path} can't be opened: {error}.") from None
        self._gathered: list[_Piece] = []
        self._handed: queue.SimpleQueue[list[_Piece] | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._write_groups, name="anode-writer", daemon=True)
        self._thread.start()
        self._open = True

    async def write(self, step: Callable[[Transaction], T]) -> T:
        """Run `step` in a transaction; return its result once it is on disk.

        What `step` raises undoes `step` alone and is raised here. `step` runs in the writer's thread: it
        must not touch the loop.

        :raises Unavailable: the disk refused (full, read-only, gone); nothing of the step is kept.
        """
        if not self._open:
            raise Unavailable("This node is shutting down.")
        loop = self._loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        if not self._gathered:
            loop.call_soon(self._hand_over)
        self._gathered.append((step, done))
        return await done

    def aside(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        """A connection of one's own for reads that take long, in another thread. Raises Unavailable."""
        return reading(Path(self._path))

    async def close(self) -> None:
        """Finish what was handed over, then close."""
        if not self._open:
            return
        self._open = False
        self._hand_over()
        self._handed.put(None)
        await asyncio.to_thread(self._thread.join)
        self._writer.close()
        self.read.close()

    def _hand_over(self) -> None:
        if self._gathered:
            self._handed.put(self._gathered)
            self._gathered = []

    def _write_groups(self) -> None:
        while (group := self._handed.get()) is not None:
            ending = False
            while not self._handed.empty():
                more = self._handed.get()
                if more is None:
                    ending = True
                    break
                group += more
            outcomes = self._commit(group)
            assert self._loop is not None  # noqa: S101  # a group can only come from a loop
            try:
                self._loop.call_soon_threadsafe(_settle, outcomes)
            except RuntimeError:  # the loop was closed without waiting for us: nobody listens any more
                return
            if ending:
                return

    def _commit(self, group: list[_Piece]) -> list[tuple["asyncio.Future[Any]", Any, Exception | None]]:
        outcomes: list[tuple[asyncio.Future[Any], Any, Exception | None]] = []
        run = self._writer.execute
        try:
            run("BEGIN IMMEDIATE")
            for step, done in group:
                run("SAVEPOINT piece")
                try:
                    outcomes.append((done, step(self._writer), None))
                    run("RELEASE piece")
                except sqlite3.OperationalError:
                    raise
                except Exception as error:
                    run("ROLLBACK TO piece")
                    run("RELEASE piece")
                    outcomes.append((done, None, error))
            run("COMMIT")
        except Exception as error:  # whatever it is, no caller may be left waiting
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back already, or be gone
                run("ROLLBACK")
            trouble = Unavailable(f"The store {self._path} can't be written: {error}. Nothing was changed.")
            return [(done, None, trouble) for _, done in group]
        return outcomes


def _settle(outcomes: list[tuple["asyncio.Future[Any]", Any, Exception | None]]) -> None:
    for done, result, error in outcomes:
        if done.done():
            continue
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The store in this file, read only. A node may be using it.

    :raises Unavailable: it can't be read.
    """
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        with contextlib.closing(connection):
            yield connection
    except sqlite3.Error as error:
        raise Unavailable(f"The store {path} can't be read: {error}.") from None


def quick_check(path: Path) -> str | None:
    """What is wrong with the store in this file, read only; None if nothing is. A node may be using it.

    :raises Unavailable: it can't be read.
    """
    with reading(path) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if version > VERSION:
        return f"it has version {version}, this program knows {VERSION}"
    return None if found == "ok" else str(found)


def _keep_private(path: str) -> None:
    """Tokens of peers and keys of upstreams are in the store: it is for its owner only.

    SQLite gives the files beside it (`-wal`, `-shm`) the same mode.
    """
    if path != ":memory:":
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -16000")
    return connection


def _create(connection: sqlite3.Connection, path: str) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    if version > VERSION:
        raise Unavailable(
            f"The store {path} has version {version}, this program knows {VERSION}. "
            "Use the program that wrote it, or start with another file."
        )
    missing = "".join(STEPS[version:])
    connection.executescript(f"BEGIN; {missing} PRAGMA user_version = {VERSION}; COMMIT;")
