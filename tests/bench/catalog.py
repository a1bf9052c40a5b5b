"""Catalog pages and filtered look-ups, at ten thousand datasets and at many."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from connector import config as settings
from connector.dcp import self_issued
from connector.dsp.terms import CONTEXT
from connector.flows.catalog import cursor
from connector.vc import jose, keys
from tests.bench import seed
from tests.bench.measure import Work, bare_work, exchange, interleaved, request
from tests.bench.processes import started
from tests.nodes import free_port, prepare

SMALL = 10_000
POLICY = {"bench": {"offer": "everyone", "allow": "use", "when": [{"until": "2100-01-01T00:00:00Z"}]}}


class Asker:
    """A consumer that signs a token for each catalog request, as a node does."""

    def __init__(self, folder: Path, provider: str) -> None:
        self.path = prepare(folder, free_port())
        config = settings.load(self.path)
        self._did, self._provider = config.participant.did, provider
        self._key = keys.load(config.keys.folder, self._did, passphrase_file=config.keys.passphrase_file)
        self._number: Iterator[int] = itertools.count()

    def ask(self, wanted: dict[str, Any] | None = None, mark: str | None = None) -> bytes:
        """A catalog request, ready to be sent."""
        claims = self_issued.claims(self._did, self._provider, time.time(), f"j{next(self._number)}")
        token = "Bearer " + jose.sign({"typ": "JWT"}, claims, self._key)
        message: dict[str, Any] = {"@context": [CONTEXT], "@type": "CatalogRequestMessage"}
        if wanted:
            message["filter"] = [wanted]
        where = "/dsp/catalog/request" + (f"?page={mark}" if mark else "")
        return request("POST", where, {"Authorization": token}, orjson.dumps(message))


async def measure(folder: Path, size: int, rounds: int) -> list[float]:
    """CPU µs: bare, a page somewhere, the first page, look-ups by one and two properties, a filtered page."""
    path = prepare(folder / "node", free_port(), POLICY, [])
    config = settings.load(path)
    print(f"    filling a catalog with {size} datasets …", flush=True)
    await seed.datasets(config.store, size)
    asker = Asker(folder / "asker", config.participant.did)
    numbers = itertools.count()

    def somewhere() -> str:
        return cursor(f"urn:x:battery:{next(numbers) * 7919 % size:09}", backwards=False)

    def serial() -> dict[str, str]:
        return {"serial": f"S{next(numbers) * 7919 % size}"}

    def one() -> dict[str, str]:
        number = next(numbers) * 7919 % size
        return {"category": seed.CATEGORIES[number % 4], "serial": f"S{number}"}

    def many() -> dict[str, str]:
        number = next(numbers)
        return {"category": seed.CATEGORIES[number % 4], "chemistry": seed.CHEMISTRIES[number % 5]}

    async with started("bare") as bare, started("node", str(path)) as node, started("node", str(asker.path)):

        def work(name: str, number: int, make: Callable[[], bytes]) -> Work:
            return Work(name, [node.pid], number, lambda n: exchange(node.port, [make() for _ in range(n)]))

        works = [
            bare_work(bare),
            work(f"a page of 100 somewhere, at {size}", 300, lambda: asker.ask(mark=somewhere())),
            work(f"the first page of 100, at {size}", 1000, asker.ask),
            work(f"look-up by serial number, at {size}", 1000, lambda: asker.ask(serial())),
            work(f"look-up by two properties, at {size}", 300, lambda: asker.ask(one())),
            work(f"a page of 100 by two common properties, at {size}", 60, lambda: asker.ask(many())),
        ]
        return list((await interleaved(works, rounds)).values())


async def compare(folder: Path, verdict: Callable[..., None], rounds: int, large: int) -> None:
    """Both sizes; the large one may cost at most twice the small one."""
    small = await measure(folder / "small", SMALL, rounds)
    big = await measure(folder / "big", large, rounds)
    for index, what in (
        (1, "page of 100"),
        (3, "look-up by serial number"),
        (4, "look-up by two"),
        (5, "page by two"),
    ):
        verdict(f"{what}: cost at {large} over {SMALL}", big[index] / small[index], 2, at_least=False)
    verdict(f"page of 100 somewhere at {large}, bare over it", big[0] / big[1], 0.15, at_least=True)
    verdict(f"first page of 100 at {large}, bare over it", big[0] / big[2], 0.15, at_least=True)
