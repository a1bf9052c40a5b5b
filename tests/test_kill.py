"""Two real processes trade while they are killed at random moments: all ends right, none twice, none lost."""

import asyncio
import contextlib
import random
import socket
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from connector.dsp.process import Process
from connector.dsp.terms import State, Subject
from connector.store import processes as rows
from connector.store.processes import Agreement, Step
from tests.nodes import prepare
from tests.served import Served, start

POLICIES = {"open": {"offer": "everyone", "allow": "use"}}
DATASETS = [{"id": "urn:x:battery", "title": "B", "offers": ["open"], "source": {"inline": 1}}]
DELIVERY = {"first_retry": 0.05, "longest_retry": 0.5, "deadline": 300}
TRADERS = 4
MOVES = ("suspend", "start", "complete", "terminate")


class Site:
    """A node's folder, its process of the moment, and its operator."""

    def __init__(self, folder: Path, session: aiohttp.ClientSession) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.folder, self._session = folder, session
        prepare(folder, port, POLICIES, DATASETS, delivery=DELIVERY)
        self.process: Served | None = None
        self.up = asyncio.Event()
        self.logs: list[str] = []

    @property
    def did(self) -> str:
        assert self.process is not None
        return self.process.ready["did"]

    async def start(self) -> None:
        self.process = await asyncio.to_thread(start, self.folder)
        self.up.set()

    async def kill(self) -> None:
        assert self.process is not None
        self.up.clear()
        self.process.process.kill()
        _, log = await asyncio.to_thread(self.process.process.communicate)
        self.logs.append(log.decode())

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The management API; None if the node was killed meanwhile, or would not do it now."""
        await self.up.wait()
        assert self.process is not None
        token = (self.folder / "management.token").read_text().strip()
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self._session.request(
                method,
                self.process.ready["management"] + path,
                data=None if body is None else orjson.dumps(body),
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            ) as response:
                answer = await response.json()
                return answer if response.status < 300 else None
        return None

    def stored(self) -> tuple[list[Process], list[Agreement], dict[str, list[str]], int]:
        """Processes, agreements, the messages that moved each process, how many are on their way."""
        with contextlib.closing(sqlite3.connect(self.folder / "anode.sqlite")) as store:
            found = [row[3] for s in Subject for row in rows.page(store, s, None, 100_000)]
            agreements = rows.agreements(store, None, "", 100_000)
            reached = {p.pid: [s.kind for s in rows.history(store, p.pid) if counts(s)] for p in found}
            return found, agreements, reached, len(rows.due(store))


def counts(step: Step) -> bool:
    """Whether a step moved the process: a message taken, or one of ours known to be accepted."""
    note = step.note or ""
    return step.direction == "in" or note == "acknowledged" or note.startswith("taken as accepted")


async def trade(site: Site, peer: Site, chance: random.Random, until: asyncio.Event, told: list[str]) -> None:
    """Negotiate, transfer, interfere; `told` are the processes that the node has confirmed."""
    transfers: list[str] = []
    while not until.is_set():
        answer = await site.ask("POST", "/negotiations", {"peer": peer.did, "dataset": "urn:x:battery"})
        if answer is None:
            await asyncio.sleep(0.02)
            continue
        told.append(answer["process"]["pid"])
        page = await site.ask("GET", "/agreements") or {"agreements": []}
        mine = [a["id"] for a in page["agreements"] if a["role"] == "CONSUMER" and a["in_force"]]
        if mine:
            answer = await site.ask("POST", "/transfers", {"agreement": chance.choice(mine)})
            if answer is not None:
                told.append(answer["process"]["pid"])
                transfers.append(answer["process"]["pid"])
        if transfers and chance.random() < 0.5:
            move = {"kind": chance.choice(MOVES), "reason": "a whim"}
            await site.ask("POST", f"/transfers/{chance.choice(transfers)}/moves", move)
        await asyncio.sleep(chance.uniform(0, 0.05))


async def rest(sites: list[Site], seconds: float) -> None:
    """Wait until neither has a message on its way, twice in a row."""
    quiet = 0
    async with asyncio.timeout(seconds):
        while quiet < 2:
            statuses = [await site.ask("GET", "/status") for site in sites]
            still = all(s is not None and s["deliveries"] == [] for s in statuses)
            quiet = quiet + 1 if still else 0
            await asyncio.sleep(0.2)


async def story(folder: Path, seed: int, kills: int) -> Counter[str]:
    chance = random.Random(seed)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        sites = [Site(folder / name, session) for name in ("a", "b")]
        try:
            await asyncio.gather(*(s.start() for s in sites))
            until, told = asyncio.Event(), ([], [])
            traders = [
                asyncio.create_task(
                    trade(sites[n % 2], sites[1 - n % 2], random.Random(seed + n), until, told[n % 2])
                )
                for n in range(TRADERS)
            ]
            for _ in range(kills):
                await asyncio.sleep(chance.uniform(0.0, 0.5))
                victims = chance.choice([sites[:1], sites[1:], sites])
                await asyncio.gather(*(s.kill() for s in victims))
                await asyncio.gather(*(s.start() for s in victims))
            until.set()
            await asyncio.gather(*traders)
            await rest(sites, 60)
        finally:
            for site in sites:
                if site.process is not None and site.up.is_set():
                    await site.kill()
    ends = check(sites, told)
    for site in sites:
        assert "Traceback" not in "".join(site.logs), site.logs
    return ends


def check(sites: list[Site], told: Any) -> Counter[str]:
    """Every process has its one counterpart in the same state, every contract is known to both, once."""
    ends: Counter[str] = Counter()
    everything = [site.stored() for site in sites]
    for (mine, agreements, reached, waiting), (theirs, other, _, _), confirmed in zip(
        everything, reversed(everything), told, strict=True
    ):
        assert waiting == 0
        pids = {p.pid for p in mine}
        assert not set(confirmed) - pids, "a process that was confirmed is lost"
        for process in mine:
            ends[f"{process.subject} {process.state}"] += 1
            assert process.pending is None, process
            pairs = [p for p in theirs if p.peer_pid == process.pid or p.pid == process.peer_pid]
            if not pairs and process.state is State.TERMINATED and process.peer_pid is None:
                continue  # withdrawn before the peer heard of it
            assert len(pairs) == 1, (process, pairs)
            [pair] = pairs
            assert pair.state is process.state, (process, pair)
            if process.subject is Subject.NEGOTIATION:
                assert process.state is State.FINALIZED, (process, reached[process.pid])
                assert reached[process.pid] == ["request", "agree", "verify", "finalize"], process
        by_negotiation = Counter(a.negotiation for a in agreements)
        assert set(by_negotiation.values()) <= {1}
        assert all(a.in_force for a in agreements)
        assert {a.id for a in agreements} == {a.id for a in other}
    return ends


async def test_a_few_kills_at_random_moments(tmp_path: Path) -> None:
    """Both nodes, or one, are killed with SIGKILL while dozens of processes run, and started again: every
    process has exactly one counterpart in the same state, every negotiation one agreement on both sides."""
    ends = await story(tmp_path, seed=1, kills=4)
    assert ends["negotiation FINALIZED"] > 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_many_kills_at_random_moments(tmp_path: Path, seed: int) -> None:
    """The same with twenty-five kills, from three seeds."""
    ends = await story(tmp_path, seed=100 + seed, kills=25)
    assert ends["negotiation FINALIZED"] > 100
    assert sum(n for end, n in ends.items() if end.startswith("transfer")) > 100
