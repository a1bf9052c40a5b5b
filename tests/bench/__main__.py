"""`python -m tests.bench [SECTION …]`: what an operation costs, and how that compares.

Prints each figure as a ratio to a bare aiohttp handler that was measured in between, with the target of the
design and whether it was met. Load goes to loopback only, for a counted number of operations.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

from connector import config as settings
from connector.flows.clock import iso
from connector.flows.pull import PURPOSE
from connector.odrl.vocabulary import ANODE
from tests.bench import (
    catalog,
    claims,
    credentials,
    deadlines,
    policy,
    seed,
    signing,
    storage,
    transfer_rate,
)
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
CONSUMER = "did:web:consumer.example"
DATA = {"id": "urn:x:data", "title": "Data", "offers": ["bench"], "source": {"inline": {"x": "y"}}}


def verdict(what: str, value: float, target: float, at_least: bool, unit: str = "") -> None:
    """A line of the result."""
    met = value >= target if at_least else value <= target
    relation = "at least" if at_least else "at most"
    print(
        f"  {'met ' if met else 'MISS'}  {what}: {value:.3g}{unit} ({relation} {target:g}{unit})", flush=True
    )


def agreed(assigner: str, name: str, *more: dict[str, str]) -> dict[str, Any]:
    """An agreement of five constraints, and `more`: two moments, a span, the participant, the purpose."""
    term = ("leftOperand", "operator", "rightOperand")
    five = (
        ("odrl:dateTime", "gteq", "2020-01-01T00:00:00Z"),
        ("odrl:dateTime", "lteq", "2100-01-01T00:00:00Z"),
        ("odrl:elapsedTime", "lteq", "P36500D"),
        (f"{ANODE}participant", "isAnyOf", [CONSUMER]),
        ("odrl:purpose", "isAnyOf", ["repair"]),
    )
    return {
        "@type": "Agreement",
        "@id": f"urn:x:{name}",
        "target": f"urn:x:{name}:data",
        "assigner": assigner,
        "assignee": CONSUMER,
        "timestamp": iso(seed.AGREED),
        "permission": [
            {"action": "use", "constraint": [*(dict(zip(term, c, strict=True)) for c in five), *more]}
        ],
    }


async def data_plane(folder: Path, rounds: int) -> None:
    """1 KiB GETs with policy and audit: warm token, first use of a token, counted, and cut down."""
    path = prepare(folder / "node", free_port(), FIVE, [])
    config = settings.load(path)
    number = 2000
    source = {"inline": "x" * 1024, "media_type": "application/octet-stream"}
    own = config.participant.did
    tokens = await seed.transfers(config.store, CONSUMER, agreed(own, "a"), source, number * (rounds + 1) + 1)
    often = {"leftOperand": "odrl:count", "operator": "lteq", "rightOperand": "999999999"}
    (counted,) = await seed.transfers(config.store, CONSUMER, agreed(own, "counted", often), source, 1)
    less = agreed(own, "less")
    attribute = {"leftOperand": f"{ANODE}attribute", "operator": "isAnyOf", "rightOperand": ["operatorId"]}
    less["permission"][0]["duty"] = [{"action": f"{ANODE}project", "constraint": [attribute]}]
    record = {"inline": orjson.dumps({"operatorId": "x" * 9, "v": "x" * 1000}).decode(), "media_type": None}
    (cut,) = await seed.transfers(config.store, CONSUMER, less, record, 1)

    def get(token: str) -> bytes:
        return request("GET", "/data", {"Authorization": token, PURPOSE: "repair"})

    async with started("bare") as bare, started("node", str(path)) as node:
        fresh = iter(tokens[:-1])

        def again(token: str) -> Callable[[int], Awaitable[None]]:
            return lambda n: exchange(node.port, [get(token)] * n)

        works = [
            Work(
                "bare aiohttp, 1 KiB",
                [bare.pid],
                6000,
                lambda n: exchange(bare.port, [request("GET", "/")] * n),
            ),
            Work("GET, warm token", [node.pid], 6000, again(tokens[-1])),
            Work("GET, warm token, counted", [node.pid], 3000, again(counted)),
            Work("GET, warm token, an attribute left out", [node.pid], 6000, again(cut)),
            Work(
                "GET, first use of a token",
                [node.pid],
                number,
                lambda n: exchange(node.port, [get(next(fresh)) for _ in range(n)]),
            ),
        ]
        found = await interleaved(works, rounds)
    base = found["bare aiohttp, 1 KiB"]
    verdict("1 KiB GET, five constraints, audited, warm token", base / found["GET, warm token"], 0.60, True)
    verdict("the same, counted", base / found["GET, warm token, counted"], 0.60, True)
    verdict("the same, cut down", base / found["GET, warm token, an attribute left out"], 0.50, True)
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
