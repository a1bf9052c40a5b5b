"""The processes that are measured: a bare aiohttp server, a node. `python -m tests.bench.processes`.

Both say `ready PORT` on standard output. A node then takes commands, a JSON object a line on standard
input, and answers each with one; this is how a consumer is made to negotiate without an API in between.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from connector import config as settings
from connector.dsp.process import Process
from connector.node import Node
from connector.web import public


async def bare() -> None:
    """What aiohttp costs by itself: one route, a constant body."""
    body = b"x" * 1024

    async def hello(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/octet-stream")

    app = web.Application()
    app.router.add_get("/", hello)
    _, port = await public.listen(app, "127.0.0.1", 0)
    print("ready", port, flush=True)
    await asyncio.Event().wait()


async def node(path: Path) -> None:
    """A product's node from its settings."""
    running = Node(settings.load(path))
    _, port = await public.start(running)
    await running.start()
    public.calm_collector()
    print("ready", port, flush=True)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        command = json.loads(line)
        print(json.dumps(await negotiate(running, **command)), flush=True)
    await running.close()


async def negotiate(running: Node, peer: str, dataset: str, number: int, at_once: int) -> dict[str, Any]:
    """Negotiate a dataset so many times; how long each took, until FINALIZED here."""
    found = await running.peers.find(peer)
    offered = await running.peers.dataset(found, dataset)
    offer = {**offered["hasPolicy"][0], "target": dataset}
    ended: dict[str, asyncio.Future[str]] = {}
    took: list[float] = []
    todo = iter(range(number))
    failed = 0

    def watch(process: Process, steps: object) -> None:
        done = ended.get(process.pid)
        if process.ended and done is not None and not done.done():
            done.set_result(str(process.state))

    async def worker() -> None:
        nonlocal failed
        for _ in todo:
            began = time.perf_counter()
            process = await running.negotiations.request(found.participant, found.address, offer)
            ended[process.pid] = asyncio.get_running_loop().create_future()
            state = await asyncio.wait_for(ended[process.pid], 60)
            del ended[process.pid]
            took.append(time.perf_counter() - began)
            failed += state != "FINALIZED"

    running.events.publish = watch  # type: ignore[method-assign]  # a listener would cost what is measured
    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    wall = time.perf_counter() - began
    took.sort()
    return {
        "wall": wall,
        "best": took[0],
        "median": took[len(took) // 2],
        "worst": took[-1],
        "failed": failed,
    }


class Running:
    """A measured process."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, ready_after: float) -> None:
        self.process, self.pid, self.port, self.ready_after = process, process.pid, port, ready_after

    async def command(self, **command: Any) -> dict[str, Any]:
        """Have a node do something, and wait for it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await self.process.stdout.readline())
        return answer


@asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[Running]:
    """Start one of the above, wait until it is ready, end it at the end."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.processes",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).split()
        if line[:1] != [b"ready"]:
            raise RuntimeError(f"{arguments} did not start")
        yield Running(process, int(line[1]), time.perf_counter() - began)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(bare() if sys.argv[1] == "bare" else node(Path(sys.argv[2])))
