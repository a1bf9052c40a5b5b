"""`python -m tests.bench [SECTION …]`: what an operation costs, and how that compares.

Prints each figure as a ratio to a bare aiohttp handler that was measured in between, with the target of the
design and whether it was met. Load goes to loopback only, for a counted number of operations.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from connector import config as settings
from connector.flows.clock import iso
from tests.bench import catalog, claims, credentials, deadlines, policy, seed, signing, storage, transfer_rate
from tests.bench.measure import (
    Work,
    cpu_seconds,
    exchange,
    interleaved,
    request,
    resident_mib,
)
from tests.bench.processes import started
from tests.nodes import free_port, prepare

FIVE = {
    "bench": {
        "offer": "everyone",
        "allow": "use",
        "when": [{"from": "2020-01-01T00:00:00Z"}, {"until": "2100-01-01T00:00:00Z"}, {"for": "36500 days"}],
    }
}
DATA = {"id": "urn:x:data", "title": "Data", "offers": ["bench"], "source": {"inline": {"x": "y"}}}


def verdict(what: str, value: float, target: float, at_least: bool, unit: str = "") -> None:
    """A line of the result."""
    met = value >= target if at_least else value <= target
    relation = "at least" if at_least else "at most"
    print(
        f"  {'met ' if met else 'MISS'}  {what}: {value:.3g}{unit} ({relation} {target:g}{unit})", flush=True
    )


async def data_plane(folder: Path, rounds: int) -> None:
    """1 KiB GETs with policy and audit: warm token, and the first use of a token."""
    path = prepare(folder / "node", free_port(), FIVE, [])
    config = settings.load(path)
    rules = [
        {"leftOperand": "odrl:dateTime", "operator": "gteq", "rightOperand": "2020-01-01T00:00:00Z"},
        {"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": "2100-01-01T00:00:00Z"},
        {"leftOperand": "odrl:elapsedTime", "operator": "lteq", "rightOperand": "P36500D"},
    ]
    agreement = {
        "@type": "Agreement",
        "@id": "urn:x:a",
        "target": "urn:x:data",
        "assigner": config.participant.did,
        "assignee": "did:web:consumer.example",
        "timestamp": iso(seed.AGREED),
        "permission": [{"action": "use", "constraint": rules}],
    }
    number = 2000
    source = {"inline": "x" * 1024, "media_type": "application/octet-stream"}
    tokens = await seed.transfers(
        config.store, "did:web:consumer.example", agreement, source, number * (rounds + 1) + 1
    )
    async with started("bare") as bare, started("node", str(path)) as node:
        warm = request("GET", "/data", {"Authorization": tokens[-1]})
        fresh = iter(tokens[:-1])
        works = [
            Work(
                "bare aiohttp, 1 KiB",
                [bare.pid],
                6000,
                lambda n: exchange(bare.port, [request("GET", "/")] * n),
            ),
            Work("GET, warm token", [node.pid], 6000, lambda n: exchange(node.port, [warm] * n)),
            Work(
                "GET, first use of a token",
                [node.pid],
                number,
                lambda n: exchange(
                    node.port, [request("GET", "/data", {"Authorization": next(fresh)}) for _ in range(n)]
                ),
            ),
        ]
        found = await interleaved(works, rounds)
    base = found["bare aiohttp, 1 KiB"]
    verdict("policy-checked, audited 1 KiB GET, warm token", base / found["GET, warm token"], 0.60, True)
    verdict("the same, first use of a token", base / found["GET, first use of a token"], 0.20, True)


async def negotiation(folder: Path, rounds: int) -> None:
    """Full negotiations between two node processes: durable on both sides, signed and verified."""
    provider_path = prepare(folder / "provider", free_port(), FIVE, [DATA])
    consumer_path = prepare(folder / "consumer", free_port())
    did = settings.load(provider_path).participant.did
    async with (
        started("bare") as bare,
        started("node", str(provider_path)) as provider,
        started("node", str(consumer_path)) as consumer,
    ):
        answers: list[dict[str, float]] = []

        async def run(number: int) -> None:
            answers.append(await consumer.command(peer=did, dataset="urn:x:data", number=number, at_once=32))

        works = [
            Work(
                "bare aiohttp, 1 KiB",
                [bare.pid],
                6000,
                lambda n: exchange(bare.port, [request("GET", "/")] * n),
            ),
            Work("negotiation, both nodes", [provider.pid, consumer.pid], 300, run),
        ]
        found = await interleaved(works, rounds)
        alone = await consumer.command(peer=did, dataset="urn:x:data", number=100, at_once=1)
    per_node = found["negotiation, both nodes"] / 2 / found["bare aiohttp, 1 KiB"]
    verdict("CPU of a negotiation per node, in bare requests", per_node, 60, False)
    verdict("negotiation alone on loopback, median", alone["median"] * 1000, 20, False, " ms")
    best = max(300 / a["wall"] for a in answers)
    failed = sum(a["failed"] for a in answers)
    print(f"        {best:.0f} negotiations a second at 32 in flight, {failed} failed")


async def footprint(folder: Path) -> None:
    """Start, memory, and what an idle node costs."""
    path = prepare(folder / "idle", free_port(), FIVE, [DATA])
    ready = []
    for _ in range(3):
        async with started("node", str(path)) as node:
            ready.append(node.ready_after)
    async with started("node", str(path)) as node:
        await asyncio.sleep(1)
        before = cpu_seconds(node.pid)
        await asyncio.sleep(10)
        idle = (cpu_seconds(node.pid) - before) / 10
        memory = resident_mib(node.pid)
    verdict("start to ready", min(ready), 1, False, " s")
    verdict("resident memory, idle", memory, 90, False, " MiB")
    verdict("CPU of a core, idle", idle * 100, 0.1, False, " %")


SECTIONS = (
    "data",
    "negotiation",
    "storage",
    "catalog",
    "footprint",
    "download",
    "credentials",
    "claims",
    "signing",
    "policy",
    "deadlines",
)


async def main() -> None:
    """Run the sections that were asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "sections", nargs="*", default=list(SECTIONS), metavar="SECTION", help=", ".join(SECTIONS)
    )
    parser.add_argument("--datasets", type=int, default=1_000_000, help="size of the large catalog")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each figure; the best counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="anode-bench-") as temporary:
        folder = Path(temporary)
        for section in options.sections:
            print(f"{section}:", flush=True)
            if section == "data":
                await data_plane(folder, options.rounds)
            elif section == "negotiation":
                await negotiation(folder, options.rounds)
            elif section == "storage":
                await storage.compare(folder, verdict)
            elif section == "catalog":
                await catalog.compare(folder, verdict, options.rounds, options.datasets)
            elif section == "footprint":
                await footprint(folder)
            elif section == "download":
                await transfer_rate.compare(folder, verdict)
            elif section == "credentials":
                await credentials.compare(folder, verdict)
            elif section == "claims":
                await claims.compare(folder, verdict)
            elif section == "signing":
                await signing.compare(folder, verdict)
            elif section == "policy":
                policy.compare(verdict)
            elif section == "deadlines":
                await deadlines.compare(folder, verdict)
            else:
                parser.error(f"no section {section!r}; there are {', '.join(SECTIONS)}")


if __name__ == "__main__":
    asyncio.run(main())
