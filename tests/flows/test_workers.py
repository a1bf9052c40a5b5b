"""Documents are read in processes that die without harm."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connector.errors import RemoteProtocolError, Unavailable
from connector.flows import worker
from connector.flows.workers import Workers
from connector.jsonld import graph

DOCUMENT = {"@context": "https://www.w3.org/ns/credentials/v2", "type": "VerifiableCredential"}


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    made = Workers(deadline=30)
    yield made
    await made.close()


def processes(workers: Workers) -> set[int]:
    return {process.pid for process in workers._all}


def ring(edges: int = 140) -> dict[str, Any]:
    """A graph that the guard just allows: about 0.3 s of work."""
    link = "http://x.example/p"
    return {
        "@context": {"p": link},
        "p": [{"@id": f"_:n{i}", link: {"@id": f"_:n{(i + 1) % edges}"}} for i in range(edges)],
    }


async def test_an_operation_gives_its_result_or_its_error(workers: Workers) -> None:
    """Hashes come back; what the document did wrong comes back as the same error with its reasons."""
    found = await workers.run("digests", "rdfc", DOCUMENT, DOCUMENT, "sha256")
    assert found == worker.OPERATIONS["digests"]("rdfc", DOCUMENT, DOCUMENT, "sha256")
    with pytest.raises(RemoteProtocolError, match="undefinedTerm"):
        await workers.run("check", {**DOCUMENT, "undefinedTerm": 1})
    await asyncio.gather(*(workers.run("check", DOCUMENT) for _ in range(20)))
    assert len(processes(workers)) <= 2


async def test_a_process_past_its_deadline_is_killed_and_replaced() -> None:
    """One document that takes too long ends in an error of its own; the next is checked as ever."""
    workers = Workers(number=1, deadline=30)
    try:
        await workers.run("check", DOCUMENT)
        before = processes(workers)
        workers._deadline = 0.01
        with pytest.raises(RemoteProtocolError, match="longer than"):
            await workers.run("digests", "rdfc", DOCUMENT, ring(), "sha256")
        workers._deadline = 30
        await workers.run("check", DOCUMENT)
        assert not before & processes(workers)
    finally:
        await workers.close()


async def test_a_process_that_dies_harms_only_its_document(workers: Workers) -> None:
    """A crash ends in an error; a killed idle process is noticed, and another serves on."""
    await workers.run("check", DOCUMENT)
    (process,) = workers._all
    process.send_signal(signal.SIGSEGV)
    await process.wait()
    with pytest.raises(RemoteProtocolError, match="fail"):
        await workers.run("check", DOCUMENT)
    await workers.run("check", DOCUMENT)


async def test_who_goes_away_takes_his_answer_along(workers: Workers) -> None:
    """A cancelled request's answer is never given to somebody else."""
    await workers.run("check", DOCUMENT)
    task = asyncio.create_task(workers.run("digests", "rdfc", DOCUMENT, ring(), "sha256"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await workers.run("check", DOCUMENT) is None


async def test_the_loop_goes_on_while_a_graph_is_canonicalised(workers: Workers) -> None:
    """What holds the interpreter's lock there does not hold it here."""
    await workers.run("check", DOCUMENT)
    task = asyncio.create_task(workers.run("digests", "rdfc", DOCUMENT, ring(), "sha256"))
    longest, last = 0.0, time.perf_counter()
    while not task.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    await task
    assert longest < 0.5


async def test_too_many_waiting_are_told_to_come_back() -> None:
    """The queue is bounded."""
    workers = Workers(number=1, waiting=1)
    try:
        asked = [asyncio.create_task(workers.run("check", DOCUMENT)) for _ in range(3)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(outcome) for outcome in found] == [type(None), type(None), Unavailable]
    finally:
        await workers.close()
    with pytest.raises(Unavailable):
        await workers.run("check", DOCUMENT)


def test_whatever_a_library_raises_is_the_documents_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception in the process becomes an error with a name, not a dead process."""
    monkeypatch.setattr(graph, "dataset", lambda _: 1 // 0)
    assert worker.answer(b'["check",{}]')["error"] == RemoteProtocolError.code
