"""`python -m tests.bench [SECTION …] [--datasets N] [--rounds N]`: what an operation costs, and how that compares.

Prints each figure as a ratio to a bare aiohttp handler that was measured in between, with the target of the
design and whether it was met. Load goes to loopback only, for a counted number of operations.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

import orjson

from connector import config as settings
from connector.dcp import self_issued
from connector.flows.clock import iso
from connector.vc import jose, keys
from tests.bench import seed, storage, transfer_rate
from tests.bench.measure import Work, cpu_seconds, exchange, interleaved, request, resident_mib
from tests.bench.processes import started
from tests.nodes import prepare

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
    path = prepare(folder / "node", _port(), FIVE, [])
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
    """Full negotiations between two node processes: durable on both sides, each message signed and verified."""
    provider_path = prepare(folder / "provider", _port(), FIVE, [DATA])
    consumer_path = prepare(folder / "consumer", _port())
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
    print(
        f"        {best:.0f} negotiations a second at 32 in flight, {sum(a['failed'] for a in answers)} failed"
    )


async def catalog(folder: Path, rounds: int, large: int) -> None:
    """Pages and filtered look-ups at 10,000 datasets and at many."""
    base_work, cost = None, {}
    async with started("bare") as bare:
        base_work = Work(
            "bare aiohttp, 1 KiB", [bare.pid], 4000, lambda n: exchange(bare.port, [request("GET", "/")] * n)
        )
        for size in (10_000, large):
            home = folder / f"catalog-{size}"
            path = prepare(home, _port(), FIVE, [])
            config = settings.load(path)
            print(f"    filling a catalog with {size} datasets …", flush=True)
            await seed.datasets(config.store, size)
            asker = prepare(home / "asker", _port())
            who = settings.load(asker)
            key = keys.load(who.keys, who.participant.did)
            async with started("node", str(path)) as node, started("node", str(asker)):
                serial = iter(range(1 << 40))

                def ask(
                    body: dict, mark: str | None = None, *, key=key, who=who, config=config, serial=serial
                ) -> bytes:
                    now = __import__("time").time()
                    claims = self_issued.claims(
                        who.participant.did, config.participant.did, now, f"j{next(serial)}"
                    )
                    token = "Bearer " + jose.sign({"typ": "JWT"}, claims, key)
                    message = {
                        "@context": ["https://w3id.org/dspace/2025/1/context.jsonld"],
                        "@type": "CatalogRequestMessage",
                        **body,
                    }
                    where = "/dsp/catalog/request" + (f"?page={mark}" if mark else "")
                    return request("POST", where, {"Authorization": token}, orjson.dumps(message))

                def marks(n: int, *, size=size, serial=serial) -> list[str]:
                    from connector.flows.catalog import cursor

                    return [cursor(f"urn:x:battery:{next(serial) * 7919 % size:09}", False) for _ in range(n)]

                works = [
                    base_work,
                    Work(
                        f"page of 100, another each time, at {size}",
                        [node.pid],
                        300,
                        lambda n: exchange(node.port, [ask({}, m) for m in marks(n)]),
                    ),
                    Work(
                        f"first page, at {size}",
                        [node.pid],
                        1000,
                        lambda n: exchange(node.port, [ask({})] * 0 + [ask({}) for _ in range(n)]),
                    ),
                    Work(
                        f"look-up by serial, at {size}",
                        [node.pid],
                        1000,
                        lambda n: exchange(
                            node.port,
                            [ask({"filter": [{"serial": f"S{next(serial) % size}"}]}) for _ in range(n)],
                        ),
                    ),
                    Work(
                        f"two properties, page of 100, at {size}",
                        [node.pid],
                        200,
                        lambda n: exchange(
                            node.port,
                            [
                                ask({"filter": [{"category": "EV", "model": f"M{next(serial) % 997}"}]})
                                for _ in range(n)
                            ],
                        ),
                    ),
                ]
                cost[size] = await interleaved(works, rounds)
    small, big = (list(cost[size].values()) for size in (10_000, large))
    for index, what in ((1, "page of 100"), (3, "look-up by serial"), (4, "two properties")):
        verdict(f"{what}: cost at {large} over 10,000", big[index] / small[index], 2, False)
    verdict(f"page of 100 at {large}, bare over it", big[0] / big[1], 0.15, True)
    verdict(f"first page at {large}, bare over it", big[0] / big[2], 0.15, True)


async def footprint(folder: Path) -> None:
    """Start, memory, and what an idle node costs."""
    path = prepare(folder / "idle", _port(), FIVE, [DATA])
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


def _port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


SECTIONS = ("data", "negotiation", "storage", "catalog", "footprint", "download")


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
                await catalog(folder, options.rounds, options.datasets)
            elif section == "footprint":
                await footprint(folder)
            elif section == "download":
                await transfer_rate.compare(folder, verdict)
            else:
                parser.error(f"no section {section!r}; there are {', '.join(SECTIONS)}")


if __name__ == "__main__":
    asyncio.run(main())
