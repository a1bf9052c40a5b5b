"""Processes that read what strangers wrote, and that can be killed: canonicalisation, above all.

pyoxigraph holds the interpreter's lock while it works, dies of deep nesting, and can't be interrupted; a few
blank nodes suffice to keep it busy for hours. So it works elsewhere, under a deadline (design decision 6).
"""

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import orjson

import connector
from connector.errors import RemoteProtocolError, Unavailable
from connector.flows.worker import ERRORS

NUMBER = 2
DEADLINE = 5.0
WAITING = 64
_READY = 60.0
_MAX_ANSWER = 64 << 20
_SOURCE = str(Path(connector.__file__).resolve().parent.parent)


class Workers:
    """Runs operations of `connector.flows.worker`, each in a process of its own while it lasts.

    `number` processes at most, started when first needed; `deadline` seconds for an operation; `waiting`:
    how many may queue before the next is told to come back. `program` is the module whose `main` they run.
    """

    def __init__(
        self,
        number: int = NUMBER,
        deadline: float = DEADLINE,
        waiting: int = WAITING,
        program: str = "connector.flows.worker",
    ) -> None:
        self._program = program
        self._places = asyncio.Semaphore(number)
        self._deadline = deadline
        self._waiting = waiting + number
        self._idle: list[asyncio.subprocess.Process] = []
        self._all: set[asyncio.subprocess.Process] = set()
        self._asked = 0
        self._closed = False

    async def run(self, operation: str, *arguments: Any) -> Any:
        """The operation's result. `arguments` are JSON values.

        Raises what the operation raises; RemoteProtocolError if it took too long or its process died, since
        the document made it so; Unavailable if too many are waiting.
        """
        try:
            frame = orjson.dumps([operation, *arguments])
        except TypeError as wrong:
            raise RemoteProtocolError(f"the document can't be written as JSON: {wrong}") from None
        if self._asked >= self._waiting or self._closed:
            raise Unavailable("too many credentials wait to be checked", retry_after=1)
        self._asked += 1
        try:
            async with self._places:
                answer = await self._exchange(frame)
        finally:
            self._asked -= 1
        if "error" in answer:
            raise ERRORS[answer["error"]](*answer["reasons"])
        return answer["result"]

    async def close(self) -> None:
        """End all processes."""
        self._closed = True
        for process in list(self._all):
            await self._end(process)

    async def _exchange(self, frame: bytes) -> Any:
        process = self._idle.pop() if self._idle else await self._start()
        try:
            assert process.stdin is not None  # noqa: S101  # made with pipes
            process.stdin.write(len(frame).to_bytes(4, "big") + frame)
            async with asyncio.timeout(self._deadline):
                await process.stdin.drain()
                answer = await _read(process)
        except TimeoutError:
            await self._end(process)
            raise RemoteProtocolError(
                f"checking the document took longer than {self._deadline:g} s: either its nodes look too "
                "much alike and need an id, or its schema is too costly"
            ) from None
        except (OSError, asyncio.IncompleteReadError):
            await self._end(process)
            raise RemoteProtocolError("the document made the process that reads it fail") from None
        except BaseException:
            # Whoever waited has gone away: its answer must not be taken for the next one's.
            await self._end(process)
            raise
        self._idle.append(process)
        return answer

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            f"from {self._program} import main; main()",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # a stranger's document decides what a parser says there
            env={"PATH": os.defpath, "PYTHONPATH": _SOURCE, "LC_ALL": "C.UTF-8"},
            start_new_session=True,  # the terminal's Ctrl-C is the node's to handle
            limit=_MAX_ANSWER,
        )
        self._all.add(process)
        try:
            async with asyncio.timeout(_READY):
                await _read(process)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            await self._end(process)
            raise Unavailable("the process that checks credentials did not start", retry_after=5) from None
        except BaseException:
            await self._end(process)
            raise
        return process

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        self._all.discard(process)
        if process in self._idle:
            self._idle.remove(process)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())


async def _read(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None  # noqa: S101  # made with pipes
    length = int.from_bytes(await process.stdout.readexactly(4), "big")
    return orjson.loads(await process.stdout.readexactly(length))
