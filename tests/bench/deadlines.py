"""Deadlines: what 100,000 agreements with one each cost at a start and while idle, and how late they act."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from connector import config as settings
from connector.dsp.process import Process
from connector.dsp.terms import Role, State, Subject
from connector.node import Node
from connector.odrl.canonical import digest
from connector.odrl.model import parse
from connector.store import processes
from connector.store.database import Transaction
from connector.store.processes import Agreement
from tests.bench.measure import cpu_seconds
from tests.bench.processes import started
from tests.nodes import free_port, prepare

Verdict = Callable[..., None]
ALONE = 20
"""Agreements that end while they are watched, one after the other."""
APART = 0.25


def document(number: int, ends: str) -> dict:
    """An agreement that ends at its own time, and obliges to delete within a week of that."""
    week = [
        {"leftOperand": "odrl:delayPeriod", "operator": "lteq", "rightOperand": "P7D"},
        {"leftOperand": "event", "operator": "eq", "rightOperand": "agreement-end"},
    ]
    limit = {"leftOperand": "odrl:elapsedTime", "operator": "lt", "rightOperand": ends}
    return {
        "@type": "Agreement",
        "@id": f"urn:x:a:{number:06}",
        "target": "urn:x:data",
        "assigner": "did:web:p.example",
        "assignee": f"did:web:c{number % 500}.example",
        "permission": [{"action": "use", "constraint": [limit]}],
        "obligation": [{"action": "delete", "constraint": week}],
    }


def agreements(first: int, number: int, agreed: float, ends: str) -> Callable[[Transaction], None]:
    """A step that keeps so many agreements in force, each with a transfer that runs."""

    def step(tx: Transaction) -> None:
        for n in range(first, first + number):
            written = document(n, ends)
            who = written["assignee"]
            about = (written["@id"], who, "urn:x:data", written, digest(parse(written, "Agreement")))
            processes.save_agreement(tx, Agreement(Role.PROVIDER, *about, agreed, f"urn:x:n:{n}", True))
            details = {"agreement": written["@id"], "dataset": "urn:x:data", "format": "HttpData-PULL"}
            peer = (who, f"urn:x:c:{n}", "http://127.0.0.1:9/dsp", State.STARTED)
            transfer = Process(Subject.TRANSFER, Role.PROVIDER, f"urn:x:t:{n:06}", *peer, details=details)
            processes.save(tx, transfer, agreed)

    return step


async def lateness(node: Node) -> list[float]:
    """Milliseconds from an agreement's end to the cut of its transfer."""
    late: list[float] = []
    ends: dict[str, float] = {}
    cut = node.agreements._cut

    def noted(pid: str) -> None:
        late.append((time.time() - ends[pid]) * 1000)
        cut(pid)

    node.agreements._cut = noted
    now = time.time()
    for n in range(ALONE):
        # Agreed a second before it ends: ends lie apart, at no round times.
        ends[f"urn:x:t:{900_000 + n:06}"] = now + 1 + n * APART
        await node.db.write(agreements(900_000 + n, 1, now + n * APART, "PT1S"))
    node.moments.look()
    async with asyncio.timeout(60):
        while len(late) < ALONE:  # noqa: ASYNC110  # a benchmark may look now and then
            await asyncio.sleep(APART)
    return late


async def compare(folder: Path, verdict: Verdict, number: int = 100_000) -> None:
    """Run and print."""
    path = prepare(folder / "deadlines", free_port())
    config = settings.load(path)
    node = Node(config)
    for first in range(0, number, 5_000):
        await node.db.write(agreements(first, 5_000, time.time(), "P365D"))
    before, spent = time.perf_counter(), time.process_time()
    await node.start()
    async with asyncio.timeout(500):
        while (node.moments._awaited or 0.0) < time.time():  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.1)
    each = (time.process_time() - spent) / number * 1e6
    print(f"    working out the moments, once: {each:.0f} µs CPU an agreement", flush=True)
    print(f"    {number} agreements took {time.perf_counter() - before:.1f} s", flush=True)
    await node.close()

    empty = prepare(folder / "no-deadlines", free_port())
    with_none, with_all = [], []
    for _ in range(3):
        async with started("node", str(empty)) as child:
            with_none.append(child.ready_after)
        async with started("node", str(path)) as child:
            with_all.append(child.ready_after)
            await asyncio.sleep(1)
            used = cpu_seconds(child.pid)
            await asyncio.sleep(10)
            idle = (cpu_seconds(child.pid) - used) / 10
    print(
        f"    start to ready: {min(with_all):.2f} s; with an empty store {min(with_none):.2f} s", flush=True
    )
    longer = min(with_all) - min(with_none)
    verdict(f"what {number} agreements add to a start", longer, 0.1, False, " s")
    verdict(f"CPU of a core, idle with {number} deadlines", idle * 100, 0.1, False, " %")

    node = Node(config)
    await node.start()
    late = await lateness(node)
    await node.close()
    print(f"    ends acted on {min(late):.1f} … {sorted(late)[len(late) // 2]:.1f} … {max(late):.1f} ms late")
    verdict("latest end of access, after its moment", max(late), 50, False, " ms")
