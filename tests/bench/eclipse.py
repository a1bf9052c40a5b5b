"""Eclipse EDC as the one we compare with: two connectors, and the work they are given.

EDC keeps everything in memory here and believes whoever calls (its mock identity). It is driven through its
management API on open connections; how a negotiation goes on can only be asked, so we ask seldom.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from connector.dsp.terms import CONTEXT
from tests.bench.seed import CATEGORIES, CHEMISTRIES
from tests.conformance import edc
from tests.conformance.edc import VERSION as VERSION
from tests.conformance.identities import MockIdentity

DATASET = "data"
JAVA = ("-Xmx1g",)
_CONTEXT = "https://w3id.org/edc/dspace/v0.0.1"
_LOST_AFTER = 20.0
"""Seconds without an end after which a negotiation counts as lost."""


@dataclass(frozen=True)
class Load:
    """What a number of negotiations took: seconds for all, seconds of each, and how many were lost."""

    wall: float
    took: list[float]
    lost: int

    @property
    def rate(self) -> float:
        """Finalized negotiations a second."""
        return (len(self.took) - self.lost) / self.wall

    @property
    def median(self) -> float:
        """Seconds of the middle one."""
        return sorted(self.took)[len(self.took) // 2]


@dataclass(frozen=True)
class Pair:
    """A consumer and a provider that offers `DATASET`."""

    consumer: edc.Connector
    provider: edc.Connector
    session: aiohttp.ClientSession
    ready_after: float
    """Seconds from start to ready, of the faster of the two."""

    @property
    def pids(self) -> list[int]:
        """Both processes."""
        return [self.consumer.pid, self.provider.pid]

    async def negotiate(self, number: int, at_once: int, ask_every: float) -> Load:
        """So many negotiations of one dataset, so many of them under way at a time."""
        shown = await self.consumer.dataset(self.provider.peer, DATASET)
        offer: Any = shown["hasPolicy"][0]
        todo, took, lost = iter(range(number)), [], 0

        async def worker() -> None:
            nonlocal lost
            for _ in todo:
                began = time.perf_counter()
                negotiation = await self.consumer.negotiate(self.provider.peer, DATASET, offer)
                state = ""
                while state not in ("FINALIZED", "TERMINATED", "TERMINATING"):
                    if time.perf_counter() - began > _LOST_AFTER:
                        break
                    await asyncio.sleep(ask_every)
                    state = await self.consumer.negotiation_state(negotiation)
                took.append(time.perf_counter() - began)
                lost += state != "FINALIZED"

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        return Load(time.perf_counter() - began, took, lost)

    async def fill(self, number: int) -> None:
        """So many datasets in the provider's catalog, like those that our node gets."""
        todo = iter(range(number))

        async def worker() -> None:
            for n in todo:
                properties = {
                    "name": f"Battery passport {n}",
                    "category": CATEGORIES[n % 4],
                    "chemistry": CHEMISTRIES[n % 5],
                    "model": f"M{n % 997}",
                    "serial": f"S{n}",
                }
                await self.provider.add_asset(f"urn:x:battery:{n:09}", "http://127.0.0.1:9/", properties)

        await asyncio.gather(*(worker() for _ in range(16)))
        await self.provider.offer("all", edc.SINCE_2020)

    async def page(self, offset: int) -> int:
        """A catalog request as a peer sends it, for a page of 100; how many datasets came."""
        spec = {"@type": "QuerySpec", "limit": 100, "offset": offset, "filterExpression": []}
        message = {"@context": [CONTEXT, _CONTEXT], "@type": "CatalogRequestMessage", "filter": [spec]}
        headers = {"Authorization": await MockIdentity("did:web:asker.example").authorization("")}
        url = f"{self.provider.peer.dsp}/catalog/request"
        async with self.session.post(url, json=message, headers=headers) as answer:
            return len((await answer.json(content_type=None)).get("dataset", []))

    async def started(self) -> tuple[str, str]:
        """Negotiate and start a transfer: where its data is, and the token."""
        shown = await self.consumer.dataset(self.provider.peer, DATASET)
        negotiation = await self.consumer.negotiate(self.provider.peer, DATASET, shown["hasPolicy"][0])
        agreed = await self.consumer.until_negotiation(negotiation, "FINALIZED")
        transfer = await self.consumer.transfer(self.provider.peer, agreed["contractAgreementId"])
        await self.consumer.until_transfer(transfer, "STARTED")
        return await self.consumer.data_address(transfer)

    async def get(self, address: tuple[str, str], number: int, at_once: int = 16) -> None:
        """So many requests for the data of a transfer."""
        todo, (endpoint, token) = iter(range(number)), address

        async def worker() -> None:
            for _ in todo:
                async with self.session.get(endpoint, headers={"Authorization": token}) as answer:
                    if answer.status != 200 or len(await answer.read()) != 1024:
                        raise RuntimeError(f"EDC answered {answer.status} to GET {urlsplit(endpoint).path}")

        await asyncio.gather(*(worker() for _ in range(at_once)))


@asynccontextmanager
async def pair(folder: Path, upstream: str, pace_ms: int | None) -> AsyncIterator[Pair]:
    """Start both. `pace_ms` is the period of their state machines; None is EDC's own, 1000."""
    os.mkdir(folder)
    began = time.perf_counter()
    with edc.start("provider", folder, pace_ms=pace_ms, java=JAVA) as provider:
        first = time.perf_counter() - began
        began = time.perf_counter()
        with edc.start("consumer", folder, pace_ms=pace_ms, java=JAVA) as consumer:
            ready_after = min(first, time.perf_counter() - began)
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
                both = Pair(
                    replace(consumer, session=session),
                    replace(provider, session=session),
                    session,
                    ready_after,
                )
                await both.provider.publish(DATASET, upstream)
                yield both
