"""Fills a node's store before it starts, with the product's own store functions."""

import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from connector.dcat import model as dcat
from connector.dsp.process import Process
from connector.dsp.terms import Role, State, Subject
from connector.odrl.canonical import digest
from connector.odrl.model import parse
from connector.store import access, catalog, processes
from connector.store.access import digest_of
from connector.store.catalog import Stored
from connector.store.database import Database
from connector.store.processes import Agreement

AGREED = 1_700_000_000.0
CATEGORIES = ("EV", "LMT", "industrial", "SLI")
CHEMISTRIES = ("NMC622", "NMC811", "LFP", "NCA", "LMFP")


async def datasets(store: Path, number: int, policy: str = "bench") -> None:
    """So many datasets with four properties each, in key order, as a bulk load would do it."""
    db = Database(store)

    def batch(start: int, stop: int):  # a closure for one loop
        def step(tx: sqlite3.Connection) -> None:
            for n in range(start, stop):
                properties = {
                    "category": CATEGORIES[n % 4],
                    "chemistry": CHEMISTRIES[n % 5],
                    "model": f"M{n % 997}",
                    "serial": f"S{n}",
                }
                members = dcat.dataset_members(
                    f"Battery passport {n}",
                    "Points 1 of Annex XIII",
                    ["passport"],
                    "application/ld+json",
                    properties,
                )
                stored = Stored(
                    f"urn:x:battery:{n:09}", f"Battery passport {n}", members, {"inline": "{}"}, (policy,)
                )
                catalog.publish(tx, stored, properties, {}, "api", AGREED)

        return step

    for start in range(0, number, 5000):
        await db.write(batch(start, min(number, start + 5000)))
    await db.close()


async def transfers(store: Path, participant: str, document: dict, source: dict, number: int) -> list[str]:
    """So many started transfers of an agreement's dataset, each with a token; the tokens."""
    db = Database(store)
    tokens = [secrets.token_urlsafe(32) for _ in range(number)]
    dataset, agreed = document["target"], document["@id"]

    def step(tx: sqlite3.Connection) -> None:
        members = dcat.dataset_members("Data", None, [], "application/octet-stream", {})
        catalog.publish(tx, Stored(dataset, "Data", members, source, ("bench",)), {}, {}, "api", AGREED)
        agreement = Agreement(
            Role.PROVIDER,
            agreed,
            participant,
            dataset,
            document,
            digest(parse(document)),
            AGREED,
            "urn:x:n",
            True,
        )
        processes.save_agreement(tx, agreement)
        details = {"agreement": agreed, "dataset": dataset, "format": "HttpData-PULL"}
        for n, token in enumerate(tokens):
            transfer = Process(
                Subject.TRANSFER,
                Role.PROVIDER,
                f"{agreed}:t:{n}",
                participant,
                f"{agreed}:c:{n}",
                "http://127.0.0.1:9/dsp",
                State.STARTED,
                details=details,
            )
            processes.save(tx, transfer, AGREED)
            ends = AGREED + 1e9
            access.issue(tx, transfer.pid, digest_of(token), digest_of("r" + token), ends, ends)

    await db.write(step)
    await db.close()
    return tokens


def pieces(total: int) -> Iterator[bytes]:
    """A file's content that no file system can skip."""
    block = secrets.token_bytes(1 << 20)
    for _ in range(total >> 20):
        yield block
