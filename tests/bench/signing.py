"""Signing a token for a peer, which each message needs: with a key in memory, and with one in SoftHSM."""

import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from connector.flows.identify import SelfIssued
from connector.peers.client import Client
from connector.peers.did_web import DidResolver
from connector.peers.egress import Egress
from connector.vc import keys
from connector.vc.keys import Key
from tests import softhsm

DID, PEER = "did:web:a.example", "did:web:b.example"
Verdict = Callable[..., None]


async def _each(number: int, run: Callable[[], Awaitable[Any]], clock: Callable[[], float]) -> float:
    """Best microseconds of one run."""
    best = float("inf")
    for _ in range(7):
        before = clock()
        for _ in range(number):
            await run()
        best = min(best, (clock() - before) / number * 1e6)
    return best


async def compare(folder: Path, verdict: Verdict) -> None:
    """Run and print."""
    client = Client(Egress("loopback"))
    resolver = DidResolver(client, "http", time.time)

    def identity(key: Key) -> SelfIssued:
        return SelfIssued(DID, lambda: key, resolver, time.time)

    held = identity(keys.generate(DID))
    spent = await _each(3000, lambda: held.authorization(PEER), time.process_time)
    verdict("token for a peer, key in memory", spent, 35, False, " µs CPU")
    if shutil.which("softhsm2-util"):
        token = softhsm.fresh(folder, folder).open()
        public = token.make("key-1", "P-256")
        remote = identity(Key(f"{DID}#key-1", token.key("key-1", public)))
        spent = await _each(300, lambda: remote.authorization(PEER), time.process_time)
        print(f"        {spent:.0f} µs CPU with the key in SoftHSM", flush=True)
        token.close()
    await client.close()
