"""A whole data space in one process: complete nodes, a network that misbehaves, a clock of our own.

Each node is the product's own, with its own store file and its own routes; only the wire and the time are
ours. The network loses requests, loses answers, delivers twice and late; the clock jumps to the next timer
when nothing is left to do, so that hours of retries take no time.
"""

import asyncio
import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from connector import config as settings
from connector.dsp.process import Process
from connector.dsp.terms import Role, Subject
from connector.errors import Unavailable
from connector.node import Node, Parts
from connector.peers.client import Answer
from connector.store import processes as rows
from connector.web import public
from tests.nodes import prepare

START = 1_800_000_000.0


class Timer:
    """A scheduled call."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class SimulatedClock:
    """Time that stands still until told to go on."""

    def __init__(self) -> None:
        self._now = START
        self._timers: list[tuple[float, int, Timer]] = []
        self._number = itertools.count()

    def now(self) -> float:
        return self._now

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._timers, (when, next(self._number), timer))
        return timer

    def advance(self, limit: float) -> bool:
        """Go to the next timer, if it is due before `limit`."""
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        if not self._timers or self._timers[0][0] > limit:
            self._now = max(self._now, limit if limit != float("inf") else self._now)
            return False
        when, _, timer = heapq.heappop(self._timers)
        self._now = max(self._now, when)
        call, timer.call = timer.call, None
        call()
        return True


@dataclass(frozen=True)
class Weather:
    """How often the network does what to a message, and by how much it delays (seconds)."""

    lose_request: float = 0.0
    lose_answer: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    longest: float = 5.0


class Network:
    """Carries requests between the nodes of a data space."""

    def __init__(self, clock: SimulatedClock, chance: random.Random, weather: Weather) -> None:
        self.clock, self.chance, self.weather = clock, chance, weather
        self.applications: dict[str, web.Application] = {}
        self.waiting = 0
        """Exchanges that wait for the clock."""
        self.beside: set[asyncio.Task[Any]] = set()
        """Second deliveries."""
        self.happened: Counter[str] = Counter()
        self.censor: Callable[[str], Answer | None] | None = None
        """Sees the URL of each message first; may answer in the peer's place, or raise."""
        self.silent: set[str] = set()
        """Addresses below which nobody ever answers."""
        self._under_way: Counter[tuple[str, str]] = Counter()
        self.most_under_way: Counter[tuple[str, str]] = Counter()
        """Messages of one process to one node, on the wire at the same time."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30,
        max_bytes: int = 0,
    ) -> Answer:
        """One exchange, weather permitting. Only messages have weather: what is asked with GET arrives."""
        self.happened["requests"] += 1
        if method != "POST":
            return await self._deliver(method, url, headers, body)
        process = urlsplit(url).netloc, str(orjson.loads(body or b"{}").get("consumerPid"))
        self._under_way[process] += 1
        self.most_under_way[process] = max(self.most_under_way[process], self._under_way[process])
        try:
            return await self._carry(url, headers, body, timeout)
        finally:
            self._under_way[process] -= 1

    async def _carry(
        self, url: str, headers: Mapping[str, str] | None, body: bytes | None, patience: float
    ) -> Answer:
        method, happens, weather = "POST", self.chance.random, self.weather
        if any(map(url.startswith, self.silent)):
            await self._wait(patience)
            raise Unavailable("no answer")
        if self.censor is not None and (answer := self.censor(url)) is not None:
            return answer
        if happens() < weather.late:
            await self._wait()
        if happens() < weather.lose_request:
            self.happened["lost requests"] += 1
            raise Unavailable("the request was lost")
        if happens() < weather.twice:
            self.happened["delivered twice"] += 1
            task = asyncio.create_task(self._again(method, url, headers, body))
            self.beside.add(task)
            task.add_done_callback(self.beside.discard)
        answer = await self._deliver(method, url, headers, body)
        if happens() < weather.late:
            await self._wait()
        if happens() < weather.lose_answer:
            self.happened["lost answers"] += 1
            raise Unavailable("the answer was lost")
        return answer

    async def _again(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None
    ) -> None:
        """The very same bytes once more: a replay of the token, which the receiver must refuse."""
        await self._deliver(method, url, headers, body)

    async def _wait(self, seconds: float | None = None) -> None:
        self.happened["late"] += 1
        self.waiting += 1
        done = asyncio.get_running_loop().create_future()

        def go_on() -> None:
            self.waiting -= 1
            done.set_result(None)

        pause = self.chance.uniform(0.001, self.weather.longest) if seconds is None else seconds
        self.clock.call_at(self.clock.now() + pause, go_on)
        await done

    async def _deliver(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None
    ) -> Answer:
        parts = urlsplit(url)
        application = self.applications.get(parts.netloc)
        if application is None:
            raise Unavailable(f"nobody at {parts.netloc}")
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        sent = {**(headers or {}), "Host": parts.netloc}
        match = await application.router.resolve(make_mocked_request(method, path, headers=sent))
        request = make_mocked_request(
            method, path, headers=sent, match_info=dict(match), app=application, payload=_Content(body or b"")
        )
        response = await match.handler(request)
        return Answer(
            response.status, {k.lower(): v for k, v in response.headers.items()}, response.body or b""
        )


class _Content:
    """A request body that is all there."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def is_eof(self) -> bool:
        return True

    def read_nowait(self, number: int) -> bytes:
        return self._body


class Dataspace:
    """Nodes that can reach each other over a simulated network."""

    def __init__(
        self,
        folder: Path,
        number: int,
        seed: int = 0,
        weather: Weather | None = None,
        by_hand: Callable[[int], bool] = lambda index: False,
        **files: Any,
    ) -> None:
        """`by_hand` says which nodes leave every decision in a negotiation to their operators."""
        self.clock = SimulatedClock()
        self.network = Network(self.clock, random.Random(seed), weather or Weather())
        self.nodes: list[Node] = []
        ids = itertools.count(1 + seed * 1_000_000)
        for index in range(number):
            port = 20_001 + index
            config = settings.load(prepare(folder / f"node{index}", port, **files))
            parts = Parts(
                clock=self.clock,
                transport=self.network,
                new_id=lambda: f"urn:uuid:{next(ids):032x}",
                jitter=random.Random(seed + index),
                negotiate=(lambda tx, process, now: None) if by_hand(index) else None,
            )
            node = Node(config, parts)
            self.nodes.append(node)
            application = public.application(node)
            for host in ("localhost", "127.0.0.1"):
                self.network.applications[f"{host}:{port}"] = application

    async def __aenter__(self) -> "Dataspace":
        for node in self.nodes:
            await node.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in self.nodes:
            await node.close()

    async def settle(self, seconds: float = float("inf")) -> None:
        """Let things happen for so long in simulated time, or until nothing more will happen."""
        limit = self.clock.now() + seconds
        while True:
            while self._busy():  # noqa: ASYNC110  # quiet is no event: the loop must go round
                await asyncio.sleep(0)
            if not self.clock.advance(limit):
                return

    def _busy(self) -> bool:
        carrying = sum(len(n.courier.carrying) - n.courier.queued for n in self.nodes)
        background = sum(len(n.tasks.running) for n in self.nodes)
        return bool(carrying + background + len(self.network.beside) - self.network.waiting)

    def processes(self, subject: Subject) -> list[tuple[int, Process]]:
        """All processes of all nodes, with the node's number."""
        return [
            (index, process)
            for index, node in enumerate(self.nodes)
            for _, _, _, process in rows.page(node.db.read, subject, None, 10_000)
        ]

    def pairs(self, subject: Subject) -> list[tuple[Process, Process | None]]:
        """Each consumer's process with its provider's; then those of providers that no consumer knows of."""
        found = [process for _, process in self.processes(subject)]
        providers = {p.pid: p for p in found if p.role is Role.PROVIDER}
        by_consumer = {p.peer_pid: p for p in providers.values() if p.peer_pid is not None}
        pairs: list[tuple[Process, Process | None]] = []
        for consumer in (p for p in found if p.role is Role.CONSUMER):
            provider = by_consumer.get(consumer.pid) or providers.get(consumer.peer_pid or "")
            pairs.append((consumer, provider and providers.pop(provider.pid)))
        return [*pairs, *((p, None) for p in providers.values())]
