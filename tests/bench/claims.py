"""Claims: CPU of authenticating a request of a participant that is known, and of the first contact with one.

All nodes run in this process, so a first contact counts both sides: our query, its presentation, our look at
both signatures and the status lists. Beside it stands a bare ES256 check, the dearest part of the former.
"""

import time
from pathlib import Path

from connector.node import Node
from connector.vc import jose
from tests.bench.credentials import Verdict
from tests.nodes import Running
from tests.space import space

_REQUESTS = 1_000
_CONTACTS = 8


async def _cpu(requests: list[str], node: Node, types: frozenset[str]) -> float:
    """Microseconds of CPU for each of these requests, as the protocol's endpoints authenticate them."""
    before = time.process_time()
    for header in requests:
        await node.prove(await node.identity.authenticate(header), types)
    return (time.process_time() - before) / len(requests) * 1e6


async def compare(path: Path, verdict: Verdict) -> None:
    """Run and print."""
    async with space(path) as made:
        provider = await made.add("provider")
        members = [await made.add(f"member-{number}") for number in range(_CONTACTS)]
        node, types = provider.node, frozenset({"MembershipCredential"})

        async def headers(member: Running, number: int) -> list[str]:
            return [await member.node.identity.authorization(provider.did) for _ in range(number)]

        # The first of them also has the issuer's DID document and status list fetched.
        first = [await _cpu(await headers(member, 1), node, types) for member in members]
        member = members[0]
        known = min([await _cpu(await headers(member, _REQUESTS), node, types) for _ in range(5)])
        token = jose.parse((await headers(member, 1))[0].removeprefix("Bearer "))
        key = member.node.keys.key().signer.public  # type: ignore[union-attr]  # the same
        before = time.process_time()
        for _ in range(_REQUESTS):
            jose.verify(token, key)
        reference = (time.process_time() - before) / _REQUESTS * 1e6
    verdict("authenticated request, known participant", known, 150, False, " µs CPU")
    print(f"        {known / reference:.2f} times a bare ES256 check ({reference:.0f} µs)", flush=True)
    verdict("first contact, both sides", max(first[1:]) / 1000, 25, False, " ms CPU")
    print(f"        {first[0] / 1000:.1f} ms for the very first, which fetches the issuer's list", flush=True)
