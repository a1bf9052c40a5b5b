"""What is being sent: it goes on no longer than the permission it was granted by."""

import asyncio
from pathlib import Path
from typing import Any

from connector.dsp.terms import Kind
from connector.flows.clock import iso
from tests.enforcement.lab import clock, lab, use
from tests.pull import drained, pull
from tests.space import START

EARLY, LATE = iso(START + 100), iso(START + 5_000)
LASTING = {"token_lifetime": "2 days"}
MIXED = use(("odrl:purpose", "eq", "urn:x:one"), ("odrl:dateTime", "lteq", EARLY)) + use(
    ("odrl:purpose", "eq", "urn:x:two"), ("odrl:dateTime", "lteq", LATE)
)


async def test_another_permission_that_remains_does_not_carry_a_download(tmp_path: Path) -> None:
    """A download for one purpose breaks off when that purpose's time is over, though another's is not."""
    async with lab(tmp_path, data=LASTING) as node:
        large = await pull(node, "large", MIXED)
        one, two = ({"Usage-Purpose": f"urn:x:{name}"} for name in ("one", "two"))
        async with large.get(**one) as first, large.get(**two) as second:
            await first.content.readexactly(1000)
            await second.content.readexactly(1000)
            clock(node).advance(101)
            await asyncio.gather(*node.node.tasks.running)
            got, broken = await drained(first)
            assert broken
            assert len(got) < 1 << 30


async def test_what_ends_a_transfer_ends_a_request_that_is_being_decided(tmp_path: Path) -> None:
    """A transfer that is terminated while one of its uses is counted gives that use nothing."""
    async with lab(tmp_path) as node:
        large = await pull(node, "large", use(("odrl:count", "lteq", "5")))
        uses = node.node.data._uses
        count = uses.count

        async def interrupted(*arguments: Any) -> Any:
            found = await count(*arguments)
            await node.node.transfers.move(large.pid, Kind.TERMINATE, "enough")
            return found

        uses.count = interrupted  # type: ignore[method-assign]  # the same, with something in between
        status, *body = await large.read()
        assert status == 401
        assert "made void a moment ago" in str(body)
