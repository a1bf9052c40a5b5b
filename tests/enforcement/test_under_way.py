"""What is being sent: it goes on no longer than the permission it was granted by."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from connector.dsp.terms import Kind
from connector.flows.clock import iso
from connector.odrl.vocabulary import ANODE
from tests.enforcement.lab import clock, lab, terms, use
from tests.pull import dataset, drained, pull, upstream
from tests.space import START

EARLY, LATE = iso(START + 100), iso(START + 5_000)
LASTING = {"token_lifetime": "2 days"}
MIXED = use(("odrl:purpose", "eq", "urn:x:one"), ("odrl:dateTime", "lteq", EARLY)) + use(
    ("odrl:purpose", "eq", "urn:x:two"), ("odrl:dateTime", "lteq", LATE)
)


def leaving_out(*names: str) -> dict[str, Any]:
    return {"action": f"{ANODE}project", "constraint": terms((f"{ANODE}attribute", "isAnyOf", [*names]))}


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


@pytest.mark.parametrize(
    ("later", "answered"),
    [
        ([{"action": "use", "duty": [leaving_out("b", "secret")]}], 503),
        ([{**use(("odrl:purpose", "eq", "urn:x:p"))[0], "duty": [leaving_out("b")]}], 403),
    ],
)
async def test_a_slow_source_makes_no_decision_old(
    tmp_path: Path, later: list[dict[str, Any]], answered: int
) -> None:
    """While the data are fetched and cut down the permission ends; what remains is not what was granted."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def source(request: web.Request) -> web.StreamResponse:
        asked.set()
        await answer.wait()
        return web.json_response({"a": 1, "secret": "xyzzy", "b": "bbbbbb"})

    soon = {**use(("odrl:dateTime", "lt", EARLY))[0], "duty": [leaving_out("b")]}
    async with (
        upstream(source) as address,
        lab(tmp_path, datasets=[dataset("slow", http={"url": address})]) as node,
    ):
        data = await pull(node, "slow", [soon, *later])
        reading = asyncio.create_task(data.read())
        await asked.wait()
        clock(node).advance(101)
        answer.set()
        status, body, _ = await reading
        assert status == answered
        assert b"xyzzy" not in body


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
