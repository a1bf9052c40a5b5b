"""CPU time of other processes, and the wire client that makes them work.

Wall-clock rates mean little on a shared machine: the processor is taken away for minutes. What a process
spent on the CPU (the kernel's own count, in nanoseconds, over all its threads) for a known number of
operations holds, above all as a ratio to something measured between its samples.
"""

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.processes import Running


def cpu_seconds(pid: int) -> float:
    """Seconds on the CPU so far, of all threads that live."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def resident_mib(pid: int) -> float:
    """Resident memory in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


@dataclass(frozen=True)
class Work:
    """Something that can be measured: run `operations` of it; which processes do it."""

    name: str
    pids: Sequence[int]
    operations: int
    run: Callable[[int], Awaitable[None]]


async def interleaved(works: Sequence[Work], rounds: int = 5) -> dict[str, float]:
    """Best CPU microseconds per operation of each, sampled in turn. The first round warms up."""
    samples: dict[str, list[float]] = {work.name: [] for work in works}
    for number in range(rounds + 1):
        for work in works:
            before = sum(map(cpu_seconds, work.pids))
            await work.run(work.operations)
            spent = sum(map(cpu_seconds, work.pids)) - before
            if number:
                samples[work.name].append(spent / work.operations * 1e6)
    for name, found in samples.items():
        spread = f"{min(found):.0f} … {statistics.median(found):.0f} … {max(found):.0f}"
        print(f"    {name:<44} {spread:>24} µs CPU", flush=True)
    return {name: min(found) for name, found in samples.items()}


class Wire:
    """A keep-alive HTTP/1.1 connection, as thin as can be, so that the load costs less than the server."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port

    async def __aenter__(self) -> "Wire":
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=1 << 22)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """One exchange: status and body (with a Content-Length)."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        position = head.lower().find(b"content-length:")
        if position < 0:
            return status, b""
        length = int(head[position + 15 : head.index(b"\r\n", position)])
        return status, await self._reader.readexactly(length) if length else b""


def request(
    method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"", host: str = "127.0.0.1"
) -> bytes:
    """An HTTP request as bytes."""
    fields = {"Host": host, **(headers or {})}
    if body:
        fields |= {"Content-Length": str(len(body)), "Content-Type": "application/json"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


async def exchange(port: int, requests: Sequence[bytes], at_once: int = 16, status: int = 200) -> None:
    """Send all requests over a few connections; each must be answered with that status."""
    waiting = iter(requests)

    async def worker() -> None:
        async with Wire("127.0.0.1", port) as wire:
            for sent in waiting:
                found, body = await wire.send(sent)
                if found != status:
                    raise RuntimeError(f"{found} instead of {status}: {body[:500]!r}")

    await asyncio.gather(*(worker() for _ in range(at_once)))


def bare_work(bare: "Running") -> Work:
    """The unit of all ratios: aiohttp answering 1 KiB."""
    requests = [request("GET", "/")] * 6000
    return Work("bare aiohttp, 1 KiB", [bare.pid], len(requests), lambda _: exchange(bare.port, requests))
