"""The audit log: one line of JSON for each decision about data, written before the first byte goes out.

A line is handed to the operating system in one append, so it survives the death of this process; the
disk is asked to keep it within a second (`fdatasync`, in a thread, only when there is something new).
A line that can't be written denies the request: nothing is served unseen.
"""

import asyncio
import contextlib
import itertools
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from connector.errors import Unavailable
from connector.flows.clock import Clock, iso

_SYNC_AFTER = 1.0
_BLOCK = 1 << 20


class Audit:
    """An append-only file of decisions."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._cut_half_line()
        self._unsynced = False
        self._now, self._text = -1, b""
        self._run, self._number = secrets.token_hex(6), itertools.count(1)

    def next_id(self) -> str:
        """A name for a request, by which a counterparty can quote it and the operator find it here."""
        return f"{self._run}-{next(self._number)}"

    def find(self, request: str) -> dict[str, Any] | None:
        """The line about a request; None if there is none. Reads the file from its end: not for the loop."""
        mark = b'"request":%b' % orjson.dumps(request)
        for line in self._backwards():
            if mark in line:
                with contextlib.suppress(orjson.JSONDecodeError):
                    found: dict[str, Any] = orjson.loads(line)
                    return found
        return None

    def since(self, moment: str, most: int) -> list[dict[str, Any]]:
        """The newest lines from a moment on (as they have it: ISO 8601, UTC), newest first. As `find`."""
        entries: list[dict[str, Any]] = []
        for line in self._backwards():
            try:
                entry = orjson.loads(line)
            except orjson.JSONDecodeError:  # a foreign hand was at the file
                continue
            if entry["at"] < moment or len(entries) >= most:
                break
            entries.append(entry)
        return entries

    def _backwards(self) -> Iterator[bytes]:
        """The whole lines, the last first."""
        with self.path.open("rb") as file:
            end, rest = file.seek(0, os.SEEK_END), b""
            while end > 0:
                begin = max(0, end - _BLOCK)
                file.seek(begin)
                rest, *lines = (file.read(end - begin) + rest).split(b"\n")
                yield from filter(None, reversed(lines))
                end = begin
            if rest:
                yield rest

    def write(self, common: bytes, decision: Mapping[str, Any]) -> None:
        """Append a decision. `common` is what a grant's lines share, as inner JSON.

        :raises Unavailable: it can't be written; then nothing may be served.
        """
        octets = b'{"at":"%b",%b,%b\n' % (self._second(), common, orjson.dumps(decision)[1:])
        try:
            written = os.write(self._file, octets)
        except OSError as error:
            raise Unavailable(
                f"The audit log can't be written ({error.strerror}); without it no data is served."
            ) from None
        if written != len(octets):
            self._cut_half_line()
            raise Unavailable(
                "The audit log could be written only in part (disk full?); without it no data is served."
            )
        if not self._unsynced:
            self._unsynced = True
            self._clock.call_at(self._clock.now() + _SYNC_AFTER, self._sync_soon)

    def _second(self) -> bytes:
        """The time as text, made once a second."""
        now = int(self._clock.now())
        if now != self._now:
            self._now, self._text = now, iso(now).encode()
        return self._text

    def tail(self, number: int) -> list[dict[str, Any]]:
        """The newest lines, oldest first."""
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - number * 2000))
            lines = file.read().splitlines()
        entries = []
        for line in lines[-number:]:
            with contextlib.suppress(orjson.JSONDecodeError):  # the first may be cut in half
                entries.append(orjson.loads(line))
        return entries

    def close(self) -> None:
        """Bring it to disk and close it."""
        if self._file >= 0:
            with contextlib.suppress(OSError):  # a disk that fails now has failed its requests before
                os.fsync(self._file)
            os.close(self._file)
            self._file = -1

    def _sync_soon(self) -> None:
        self._unsynced = False
        if self._file >= 0:
            asyncio.get_running_loop().run_in_executor(None, self._sync)

    def _sync(self) -> None:
        with contextlib.suppress(OSError):  # closed meanwhile, which syncs too
            os.fdatasync(self._file)

    def _cut_half_line(self) -> None:
        """Remove what a crash or a full disk left of a last line, so that lines stay lines."""
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 65_536))
            tail = file.read()
        if tail and not tail.endswith(b"\n"):
            os.truncate(self.path, size - (len(tail) - tail.rfind(b"\n") - 1))
