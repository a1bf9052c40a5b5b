"""The engine: what was written is on disk before anyone is told, and what could not be leaves no trace."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from connector.dsp.terms import Role
from connector.errors import NotFound, Unavailable
from connector.store import courses
from connector.store.database import Database, Transaction
from connector.store.schema import STEPS, VERSION


@pytest.fixture
async def db(tmp_path: Path):
    database = Database(tmp_path / "anode.sqlite")
    await database.write(lambda tx: tx.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x TEXT)"))
    yield database
    await database.close()


def put(number: int, text: str = ""):
    def step(tx: Transaction) -> int:
        tx.execute("INSERT INTO t VALUES (?, ?)", (number, text))
        return number

    return step


def numbers(db: Database) -> list[int]:
    return [n for (n,) in db.read.execute("SELECT n FROM t ORDER BY n")]


def counting_commits(db: Database) -> list[str]:
    """The statements that the writer runs from now on."""
    seen: list[str] = []
    db._writer.set_trace_callback(seen.append)
    return seen


async def test_what_is_written_together_is_committed_together(db: Database) -> None:
    """A hundred steps that wait at the same time cost a commit or two, and each gets its own result."""
    seen = counting_commits(db)
    assert await asyncio.gather(*(db.write(put(n)) for n in range(100))) == list(range(100))
    assert seen.count("COMMIT") <= 2
    assert numbers(db) == list(range(100))


async def test_a_reader_sees_what_was_written(db: Database) -> None:
    """When a write returns, the reading connection, and any other, sees it."""
    await db.write(put(1))
    assert numbers(db) == [1]
    with sqlite3.connect(db._path) as other:
        assert other.execute("SELECT n FROM t").fetchall() == [(1,)]


async def test_a_failing_step_undoes_only_itself(db: Database) -> None:
    """What a step raises undoes that step, is raised to its caller, and harms no neighbour in the group."""

    def half(tx: Transaction) -> None:
        put(2)(tx)
        raise NotFound("no such thing")

    def twice(tx: Transaction) -> None:
        put(4)(tx)
        put(1)(tx)

    results = await asyncio.gather(
        *(db.write(s) for s in (put(1), half, put(3), twice, put(5))), return_exceptions=True
    )
    assert [type(r) for r in results] == [int, NotFound, int, sqlite3.IntegrityError, int]
    assert numbers(db) == [1, 3, 5]


async def test_a_caller_that_gives_up_does_not_undo(db: Database) -> None:
    """Whoever stops waiting stops waiting; the step is done all the same and the writer goes on."""
    task = asyncio.create_task(db.write(put(1)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await db.write(put(2))
    assert numbers(db) == [1, 2]


async def test_a_full_disk_keeps_nothing_and_says_so(db: Database) -> None:
    """When there is no room every step of the group is told so, nothing is kept, and later it goes on."""
    await db.write(put(0))
    (pages,) = db._writer.execute("PRAGMA page_count").fetchone()
    db._writer.execute(f"PRAGMA max_page_count = {pages}")
    results = await asyncio.gather(
        db.write(put(1)), db.write(put(2, "x" * 100_000)), db.write(put(3)), return_exceptions=True
    )
    assert all(isinstance(r, Unavailable) for r in results), results
    assert "full" in str(results[0])
    assert numbers(db) == [0]
    db._writer.execute("PRAGMA max_page_count = 1000000")
    await db.write(put(4))
    assert numbers(db) == [0, 4]


async def test_a_store_that_became_read_only_is_unavailable(db: Database) -> None:
    """A refusal of the disk is Unavailable for the step that met it, and reads go on."""
    db._writer.execute("PRAGMA query_only = 1")
    with pytest.raises(Unavailable, match="can't be written"):
        await db.write(put(1))
    assert numbers(db) == []


async def test_a_writer_that_broke_never_leaves_a_caller_waiting(db: Database) -> None:
    """Even when the connection itself is gone, each caller gets an answer."""
    db._writer.close()
    for _ in range(2):
        with pytest.raises(Unavailable):
            await db.write(put(1))


async def test_closing_finishes_what_was_asked_for(tmp_path: Path) -> None:
    """What was handed over before the close is on disk after it; what comes later is refused."""
    db = Database(tmp_path / "anode.sqlite")
    await db.write(lambda tx: tx.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x TEXT)"))
    late = [asyncio.create_task(db.write(put(n))) for n in range(10)]
    await asyncio.sleep(0)
    await db.close()
    assert [await task for task in late] == list(range(10))
    with pytest.raises(Unavailable, match="shutting down"):
        await db.write(put(11))
    with sqlite3.connect(tmp_path / "anode.sqlite") as other:
        assert other.execute("SELECT count(*) FROM t").fetchone() == (10,)
    await db.close()


def test_what_was_confirmed_survives_a_kill(tmp_path: Path) -> None:
    """A process that dies right after a write returned has written it."""
    code = (
        "import asyncio, os, sys\n"
        "from connector.store.database import Database\n"
        "async def main():\n"
        "    db = Database(sys.argv[1])\n"
        "    await db.write(lambda tx: tx.execute('CREATE TABLE t (n)'))\n"
        "    await asyncio.gather(*(db.write(lambda tx, n=n: tx.execute('INSERT INTO t VALUES (?)', (n,)))"
        " for n in range(50)))\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    path = tmp_path / "anode.sqlite"
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=30)
    assert done.returncode == -9
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM t").fetchone() == (50,)


def test_a_place_that_can_not_hold_a_store_is_named(tmp_path: Path) -> None:
    """A path that can't be opened, or is no database, is Unavailable with the path, not a stack of SQLite."""
    with pytest.raises(Unavailable, match="nowhere"):
        Database(tmp_path / "nowhere" / "anode.sqlite")
    (tmp_path / "text").write_text("this is not a database, and it is longer than a header " * 20)
    with pytest.raises(Unavailable, match="text"):
        Database(tmp_path / "text")


async def test_a_store_is_for_its_owner_only(db: Database, tmp_path: Path) -> None:
    """Tokens lie in it: neither the file nor those beside it can be read by others, whatever the umask."""
    await db.write(put(1))
    names = ("anode.sqlite", "anode.sqlite-wal", "anode.sqlite-shm")
    assert [os.stat(tmp_path / name).st_mode & 0o777 for name in names] == [0o600] * 3


def test_another_version_is_not_touched(tmp_path: Path) -> None:
    """A store of an unknown version is refused, and stays as it is."""
    with sqlite3.connect(tmp_path / "anode.sqlite") as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(Unavailable, match="version 99"):
        Database(tmp_path / "anode.sqlite")


@pytest.mark.parametrize("version", range(1, VERSION))
async def test_a_store_of_an_earlier_version_is_brought_up(tmp_path: Path, version: int) -> None:
    """Whatever version wrote a store, what is in it is still there, and it has the tables of today."""
    path = tmp_path / "anode.sqlite"
    older = sqlite3.connect(path)
    older.executescript("".join(STEPS[:version]) + f"PRAGMA user_version = {version};")
    older.execute("INSERT INTO agreements VALUES ('PROVIDER','a','did:web:x','d','{}','h',1.0,'n',1)")
    if older.execute("SELECT 1 FROM sqlite_master WHERE name = 'courses'").fetchone():
        courses.begin(older, Role.PROVIDER, "a", "did:web:x")  # as that version did beside it
    older.commit()
    older.close()
    db, fresh = Database(path), Database(":memory:")
    tables = "SELECT name, sql FROM sqlite_master ORDER BY name"
    assert db.read.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert db.read.execute(tables).fetchall() == fresh._writer.execute(tables).fetchall()
    assert db.read.execute("SELECT id FROM agreements").fetchall() == [("a",)]
    assert db.read.execute("SELECT agreement, state FROM courses").fetchall() == [("a", "running")]
    await db.close()
    await fresh.close()
