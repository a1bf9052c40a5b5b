"""`python -m tests.bench.peers`: an Anode beside an Eclipse EDC, the same work through both in one run.

Ours are two node processes as in production: every message signed and verified, every step on disk before
it is answered. Theirs keep everything in memory and believe every caller. Rounds alternate; of each side
its best counts. CPU is the kernel's own count for each process, its ended threads included.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector import config as settings
from connector.flows.catalog import cursor
from connector.flows.clock import iso
from tests.bench import eclipse, seed
from tests.bench.catalog import Asker
from tests.bench.measure import exchange, request, resident_mib
from tests.bench.processes import Running, started
from tests.conformance.artifacts import CannotStart
from tests.nodes import free_port, prepare

POLICY = {"bench": {"offer": "everyone", "allow": "use", "when": [{"from": "2020-01-01T00:00:00Z"}]}}
DATA = {"id": "urn:x:data", "title": "Data", "offers": ["bench"], "source": {"inline": {"x": "y"}}}
RULE = {"leftOperand": "odrl:dateTime", "operator": "gteq", "rightOperand": "2020-01-01T00:00:00Z"}
IN_FLIGHT = 32
SECTIONS = ("footprint", "negotiation", "data", "catalog")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Row:
    """A line of the result; `factor` says how many times better than EDC we are."""

    what: str
    theirs: str
    ours: str
    factor: float
    target: float | None = None


class Table:
    """Collects the lines, and prints each at once and all at the end."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, what: str, theirs: float, ours: float, target: float | None, form: str) -> None:
        """`form` formats both values; where it ends in `/s`, more is better, else less."""
        factor = ours / theirs if form.endswith("/s") else theirs / ours
        row = Row(what, form.format(theirs), form.format(ours), factor, target)
        self.rows.append(row)
        print(f"    {row.what}: EDC {row.theirs}, Anode {row.ours}", flush=True)

    def print(self) -> bool:
        """The table; whether all targets are met."""
        width = max(len(row.what) for row in self.rows)
        print(f"\n{'':{width}} {'EDC ' + eclipse.VERSION:>14} {'Anode':>14} {'factor':>8}  target")
        for row in self.rows:
            verdict = "" if row.target is None else "met" if row.factor >= row.target else "MISSED"
            target = "" if row.target is None else f"{row.target:g}"
            values = f"{row.theirs:>14} {row.ours:>14} {row.factor:>7.1f}x"
            print(f"{row.what:{width}} {values} {target:>7} {verdict}")
        return all(row.target is None or row.factor >= row.target for row in self.rows)


def cpu(pid: int) -> float:
    """Seconds on the CPU so far, also of threads that have ended: a JVM's come and go."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def spent(pids: list[int], work: Awaitable[Any]) -> tuple[float, Any]:
    """CPU seconds of these processes while the work is done, and its result."""
    before = sum(map(cpu, pids))
    result = await work
    return sum(map(cpu, pids)) - before, result


async def quiet(pids: list[int], within: float = 15) -> None:
    """Wait until these processes have next to nothing left to do, so that they take no time from others."""
    for _ in range(int(within * 2)):
        used, _ = await spent(pids, asyncio.sleep(0.5))
        if used <= 0.03:
            return


async def best(rounds: int, *works: Callable[[], Awaitable[float]]) -> list[float]:
    """The least of each, measured in turn."""
    found: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for samples, work in zip(found, works, strict=True):
            samples.append(await work())
    return [min(samples) for samples in found]


@asynccontextmanager
async def served(path: Path) -> AsyncIterator[tuple[int, float]]:
    """A node as an operator starts it, with its management API: pid, seconds from start to ready."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "connector", "serve", "--config", str(path), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert b"ready" in await process.stdout.readline()
        yield process.pid, time.perf_counter() - began
    finally:
        process.terminate()
        await process.wait()


async def footprint(table: Table, theirs: eclipse.Pair, folder: Path, seconds: float) -> None:
    """Start, memory, and what it costs to do nothing, with one dataset on offer."""
    path, ready = prepare(folder / "served", free_port(), POLICY, [DATA]), []
    for _ in range(3):
        async with served(path) as (_, ready_after):
            ready.append(ready_after)
    async with served(path) as (pid, _):
        await asyncio.sleep(5)
        before = [cpu(theirs.provider.pid), cpu(pid)]
        await asyncio.sleep(seconds)
        idle = [cpu(p) - b for p, b in zip((theirs.provider.pid, pid), before, strict=True)]
        memory = [resident_mib(theirs.provider.pid), resident_mib(pid)]
    table.add("start to ready", theirs.ready_after, min(ready), None, "{:.2f} s")
    table.add("resident memory, idle", *memory, None, "{:.0f} MiB")
    shares = [max(share, 1 / TICKS) / seconds * 100 for share in idle]  # the clock's step at least
    table.add(f"idle, share of a core over {seconds:g} s", *shares, None, "{:.3f} %")


class Nodes:
    """Our provider and consumer as processes."""

    def __init__(self, provider: Running, consumer: Running, did: str) -> None:
        self.provider, self.consumer, self.did = provider, consumer, did

    @property
    def pids(self) -> list[int]:
        """Both processes."""
        return [self.consumer.pid, self.provider.pid]

    async def negotiate(self, number: int, at_once: int) -> dict[str, Any]:
        """So many negotiations, so many of them under way at a time."""
        return await self.consumer.command(
            peer=self.did, dataset="urn:x:data", number=number, at_once=at_once
        )


async def under_way(theirs: eclipse.Pair, ours: Nodes, options: argparse.Namespace) -> list[list[float]]:
    """Negotiations at 32 in flight. For each side: best rate, least CPU seconds a side, lost, made."""
    result = [[0.0, float("inf"), 0.0, 0.0] for _ in range(2)]

    def note(side: list[float], rate: float, used: float, lost: int, number: int) -> None:
        side[0], side[1] = max(side[0], rate), min(side[1], used / number / 2)
        side[2:] = side[2] + lost, side[3] + number

    for _ in range(options.rounds):
        number = options.negotiations
        used, load = await spent(theirs.pids, theirs.negotiate(number, IN_FLIGHT, ask_every=0.25))
        note(result[0], load.rate, used, load.lost, number)
        await quiet(theirs.pids)
        number *= 10  # so that both take about as long, and meet as much of the machine's noise
        used, answer = await spent(ours.pids, ours.negotiate(number, IN_FLIGHT))
        failed = answer["failed"]
        note(result[1], (number - failed) / answer["wall"], used, failed, number)
    return result


async def negotiations(
    table: Table, pace: str, theirs: eclipse.Pair, ours: Nodes, options: argparse.Namespace, least: float
) -> None:
    """How long one takes alone, and how many go through at once."""
    await theirs.negotiate(options.warm, IN_FLIGHT, ask_every=0.25)
    await quiet(theirs.pids)
    await ours.negotiate(options.warm, IN_FLIGHT)

    async def edc() -> float:
        return (await theirs.negotiate(3, 1, ask_every=0.01)).median * 1000

    async def mine() -> float:
        await quiet(theirs.pids)
        return float((await ours.negotiate(50, 1))["median"]) * 1000

    table.add(f"negotiation alone, {pace}", *await best(options.rounds, edc, mine), least, "{:.1f} ms")
    (rate, used, lost, made), (rate_, used_, lost_, made_) = await under_way(theirs, ours, options)
    table.add(f"negotiations at {IN_FLIGHT} in flight, {pace}", rate, rate_, 15, "{:.1f}/s")
    table.add(f"CPU a negotiation and node, {pace}", used * 1000, used_ * 1000, 10, "{:.2f} ms")
    print(f"    not finalized: EDC {lost:.0f} of {made:.0f}, Anode {lost_:.0f} of {made_:.0f}", flush=True)
    share, share_ = lost / made * 100, lost_ / made_ * 100
    table.rows.append(Row(f"not finalized, {pace}", f"{share:.2f} %", f"{share_:.2f} %", float(not lost_), 1))


async def data(
    table: Table, theirs: eclipse.Pair, upstream: str, folder: Path, options: argparse.Namespace
) -> None:
    """1 KiB with a warm token. EDC has the bytes from an upstream server; ours from its store, and so too."""
    address, number = await theirs.started(), options.gets
    sources: dict[str, dict[str, Any]] = {
        "1 KiB GET": {"inline": "x" * 1024},
        "1 KiB GET, ours from an upstream too": {"http": {"url": upstream, "headers": {}}},
    }
    used: list[float] = []
    for what, source in sources.items():
        path = prepare(folder / f"data{len(used)}", free_port(), POLICY)
        config = settings.load(path)
        agreement = {
            "@type": "Agreement",
            "@id": "urn:x:a",
            "target": "urn:x:data",
            "assigner": config.participant.did,
            "assignee": "did:web:consumer.example",
            "timestamp": iso(seed.AGREED),
            "permission": [{"action": "use", "constraint": [RULE]}],
        }
        source["media_type"] = "application/octet-stream"
        (token,) = await seed.transfers(config.store, agreement["assignee"], agreement, source, 1)
        async with started("node", str(path)) as node:
            asked = [request("GET", "/data", {"Authorization": token})] * number

            async def mine(pid: int = node.pid, port: int = node.port, asked: list[bytes] = asked) -> float:
                return (await spent([pid], exchange(port, asked)))[0] / number

            async def edc() -> float:
                return (await spent([theirs.provider.pid], theirs.get(address, number)))[0] / number

            await theirs.get(address, number)
            await mine()
            least = await best(options.rounds, edc, mine)
        used.append(least[1])
        table.add(what, *(x * 1000 for x in least), 20 if len(used) == 1 else None, "{:.3f} ms")


async def pages(table: Table, theirs: eclipse.Pair, folder: Path, options: argparse.Namespace) -> None:
    """A page of 100, anywhere in a large catalog."""
    size, chance = options.datasets, random.Random(7)
    print(f"    filling both catalogs with {size} datasets …", flush=True)
    path = prepare(folder / "catalog", free_port(), POLICY)
    config = settings.load(path)
    await seed.datasets(config.store, size)
    await theirs.fill(size)
    asker = Asker(folder / "asker", config.participant.did)
    async with started("node", str(path)) as node, started("node", str(asker.path)):

        async def edc() -> float:
            async def ask() -> None:
                for _ in range(options.pages):
                    if await theirs.page(chance.randrange(size - 100)) != 100:
                        raise RuntimeError("EDC's page is not of 100 datasets")

            return (await spent([theirs.provider.pid], ask()))[0] / options.pages

        async def mine() -> float:
            number = 100 * options.pages
            marks = [cursor(f"urn:x:battery:{chance.randrange(size - 100):09}", False) for _ in range(number)]
            asked = [asker.ask(mark=mark) for mark in marks]
            return (await spent([node.pid], exchange(node.port, asked)))[0] / number

        least = await best(options.rounds, edc, mine)
    table.add(f"catalog page of 100 at {size}", *(x * 1000 for x in least), 100, "{:.3f} ms")
    print(f"    EDC's provider now holds {resident_mib(theirs.provider.pid):.0f} MiB", flush=True)


async def compare(folder: Path, options: argparse.Namespace) -> bool:
    """Everything; whether all targets are met."""
    table = Table()
    provider = prepare(folder / "provider", free_port(), POLICY, [DATA])
    consumer = prepare(folder / "consumer", free_port())
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        bare = await enter(started("bare"))
        upstream = f"http://127.0.0.1:{bare.port}/"
        nodes = [await enter(started("node", str(path))) for path in (provider, consumer)]
        ours = Nodes(nodes[0], nodes[1], settings.load(provider).participant.did)
        print("EDC at its own pace, 1000 ms:", flush=True)
        async with eclipse.pair(folder / "default", upstream, None) as theirs:
            if "footprint" in options.sections:
                await footprint(table, theirs, folder, options.idle)
            if "negotiation" in options.sections:
                await negotiations(table, "own pace", theirs, ours, options, 50)
        print("EDC tuned to 50 ms:", flush=True)
        async with eclipse.pair(folder / "tuned", upstream, 50) as theirs:
            if "negotiation" in options.sections:
                await negotiations(table, "tuned", theirs, ours, options, 8)
            if "data" in options.sections:
                await data(table, theirs, upstream, folder, options)
            if "catalog" in options.sections:
                await pages(table, theirs, folder, options)
    return table.print()


def main() -> int:
    """Exit status 0: all targets met; 1: not; 2: EDC could not be started."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.peers", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "sections", nargs="*", default=list(SECTIONS), metavar="SECTION", help=", ".join(SECTIONS)
    )
    parser.add_argument("--rounds", type=int, default=5, help="samples of each figure; the best counts")
    parser.add_argument(
        "--negotiations", type=int, default=100, help="of EDC in a round; ours make ten times as many"
    )
    parser.add_argument("--warm", type=int, default=300, help="negotiations before anything is measured")
    parser.add_argument("--datasets", type=int, default=100_000, help="size of the catalog")
    parser.add_argument(
        "--pages", type=int, default=5, help="of EDC in a round; ours make a hundred times as many"
    )
    parser.add_argument("--gets", type=int, default=3000, help="requests for data in a round")
    parser.add_argument("--idle", type=float, default=20, help="seconds of doing nothing")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {min(unknown)!r}; there are {', '.join(SECTIONS)}")
    try:
        with tempfile.TemporaryDirectory(prefix="anode-peers-") as folder:
            return 0 if asyncio.run(compare(Path(folder), options)) else 1
    except CannotStart as reason:
        print(f"EDC could not start: {reason}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
