"""Counts and pauses where they are hardest: what is taken back, goes on, waits, or outlives the process."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from connector.dsp.terms import Kind, Role
from connector.flows.uses import Counter
from connector.odrl.vocabulary import ANODE, COUNT, TIME_INTERVAL
from connector.store import processes
from connector.web.management_answers import Why
from tests.enforcement.lab import another, broken_off, clock, ended, lab, renewed, status, terms, use
from tests.enforcement.test_uses import HOURLY, counted
from tests.peer import PEER, Talk
from tests.pull import Pull, agree, begin, dataset, drained, pull, state, upstream

ONCE = use(("odrl:count", "lteq", "1"))
BEYOND = "bytes=999999-"
PURPOSE = {"Usage-Purpose": "urn:x:p"}
TWO = [dataset("two", inline={"a": 1, "secret": "xyzzy"})]
SECRET = terms((f"{ANODE}attribute", "eq", "secret"))
LATER = [
    {**use(("odrl:count", "lteq", "200"))[0], "duty": [{"action": f"{ANODE}project", "constraint": SECRET}]},
    *use(("odrl:count", "gt", "200")),
]


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes die instead of stopping: what is counted ahead stays on disk."""

    async def nothing(_: Counter) -> None: ...

    monkeypatch.setattr(Counter, "close", nothing)


async def owing(node: Talk, permissions: list[dict[str, Any]]) -> Pull:
    """A transfer of the large file, which is to be deleted seven days after its first use."""
    first_use = terms(("odrl:event", "eq", "first-use"), ("odrl:delayPeriod", "lteq", "P7D"))
    data = await pull(
        node, "large", permissions, obligation=[{"action": "odrl:delete", "constraint": first_use}]
    )
    db, duties, agreed = node.node.db, node.node.duties, state(data).details["agreement"]
    agreement = processes.agreement(db.read, Role.PROVIDER, agreed, PEER)
    assert agreement is not None
    policy = duties._policies.of(agreement)
    await db.write(lambda tx: duties.begin(tx, agreement, policy, node.node.clock.now()))
    duties.forget()
    return data


@pytest.mark.enforces(TIME_INTERVAL)
async def test_a_pause_outlives_the_process(tmp_path: Path) -> None:
    """The last use is on disk, also when the number there was ahead of it by a use that was taken back."""
    async with lab(tmp_path, data={"token_lifetime": "2 days"}) as node:
        time = clock(node)
        agreement = await agree(node, "urn:x:record", HOURLY)
        data = await begin(node, agreement)
        assert await status(data, Range=BEYOND) == 416
        time.ahead = 3599
        assert await status(data) == 200
    async with lab(tmp_path, time) as node:
        time.ahead = 3601
        assert await status(await begin(node, agreement)) == 403


@pytest.mark.enforces(COUNT)
async def test_a_death_opens_nothing_that_comes_with_more_uses(tmp_path: Path, killed: None) -> None:
    """What is there from the 201st use on is not there after one use and a death."""
    async with lab(tmp_path, datasets=TWO) as node:
        time = clock(node)
        agreement = await agree(node, "urn:x:two", LATER)
        assert b"xyzzy" not in (await (await begin(node, agreement)).read())[1]
    async with lab(tmp_path, time, datasets=TWO) as node:
        assert b"xyzzy" not in (await (await begin(node, agreement)).read())[1]


@pytest.mark.enforces(COUNT)
async def test_a_death_costs_no_uses_of_another_permission(tmp_path: Path, killed: None) -> None:
    """Three uses, and for a purpose as many as one likes: one of those, and a death, leave the others."""
    permissions = [*use(("odrl:count", "lteq", "3")), *use(("odrl:purpose", "eq", "urn:x:p"))]
    async with lab(tmp_path) as node:
        time = clock(node)
        agreement = await agree(node, "urn:x:record", permissions)
        assert await status(await begin(node, agreement), **PURPOSE) == 200
    async with lab(tmp_path, time) as node:
        data = await begin(node, agreement)
        assert [await status(data) for _ in range(3)] == [200, 200, 403]


async def test_a_new_token_serves_all_who_bring_it(tmp_path: Path) -> None:
    """Requests at the same moment, the first with a refreshed token, don't make it void for each other."""
    async with lab(tmp_path) as node:
        data = await renewed(await pull(node, "record", use(("odrl:count", "lteq", "100"))))
        assert await asyncio.gather(*(status(data) for _ in range(10))) == [200] * 10


@pytest.mark.enforces(COUNT)
async def test_the_rest_is_there_after_a_refusal(tmp_path: Path) -> None:
    """Who asks for the rest in the wrong way may ask again in the right one."""
    async with lab(tmp_path) as node:
        data = await pull(node, "large", use(("odrl:count", "lteq", "1"), ("odrl:purpose", "eq", "urn:x:p")))
        rest = {"Range": f"bytes={(1 << 30) - 10}-", "If-Range": await broken_off(data, **PURPOSE)}
        assert await status(data, **rest) == 403
        await asyncio.gather(*node.node.tasks.running)
        assert state(data).state == "STARTED"
        assert await status(data, **rest, **PURPOSE) == 206


@pytest.mark.enforces(COUNT)
async def test_the_rest_is_one_range(tmp_path: Path) -> None:
    """An upstream that takes several ranges, or says not which it sends, gives no second reading."""
    asked: list[str] = []

    async def source(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Range", ""))
        response = web.StreamResponse(status=206 if asked[-1] else 200, headers={"ETag": '"v"'})
        response.content_length = 8 << 20
        await response.prepare(request)
        await response.write(b"x" * (8 << 20))
        return response

    async with (
        upstream(source) as address,
        lab(tmp_path, datasets=[dataset("http", http={"url": address})]) as node,
    ):
        data = await pull(node, "http", ONCE)
        etag = await broken_off(data)
        for parts in ("bytes=1-,0-", "bytes=1-"):
            assert await status(data, Range=parts, **{"If-Range": etag}) == 403
        assert asked == ["", "bytes=1-"]


@pytest.mark.enforces(COUNT)
async def test_a_use_taken_back_starts_another_transfer(tmp_path: Path) -> None:
    """What was not served stands in the way of no transfer, nor of going on with one."""
    async with lab(tmp_path) as node:
        data = await pull(node, "record", ONCE)
        assert await status(data, Range=BEYOND) == 416
        assert counted(data) == 1
        second = await another(data)
        assert (await data.say(Kind.SUSPEND))[0] == 200
        assert (await data.say(Kind.START))[0] == 200
        await node.quiet()
        assert state(data).state == "STARTED"
        assert await status(second) == 200


@pytest.mark.enforces(COUNT)
async def test_the_last_use_goes_on_though_a_duty_waits_for_it(tmp_path: Path) -> None:
    """Between the count of the last use and its first byte a duty falls due; who is refused meanwhile does
    not end the transfer."""
    async with lab(tmp_path) as node:
        data = await owing(node, ONCE)
        duties = node.node.duties
        used = duties.used

        async def interrupted(*key: str) -> None:
            assert await status(data) == 403
            await used(*key)  # type: ignore[arg-type]

        duties.used = interrupted  # type: ignore[method-assign, assignment]  # with a request in between
        async with data.get(Range=f"bytes={(1 << 30) - (32 << 20)}-") as response:
            duties.used = used  # type: ignore[method-assign]
            got, broken = await drained(response)
        assert (response.status, len(got), broken) == (206, 32 << 20, False)


async def test_what_is_not_served_makes_no_duty_due(tmp_path: Path) -> None:
    """A head, a part beyond the end, a file that is gone: the first use is still to come; then it is due."""
    async with lab(tmp_path) as node:
        data = await owing(node, use())

        def due() -> list[str]:
            return [duty for (duty,) in node.node.db.read.execute("SELECT state FROM duties")]

        large = tmp_path / "catalog" / "large.bin"
        assert await status(data, "HEAD") == 200
        assert await status(data, Range=f"bytes={1 << 30}-") == 416
        large.rename(tmp_path / "away")
        assert await status(data) == 404
        assert due() == ["pending"]
        (tmp_path / "away").rename(large)
        assert await status(data, Range="bytes=0-9") == 206
        assert due() == ["due"]


@pytest.mark.enforces(TIME_INTERVAL)
async def test_what_is_not_served_begins_no_pause(tmp_path: Path) -> None:
    """Requests at once that come to nothing leave the hour as it was."""
    async with lab(tmp_path) as node:
        data = await pull(node, "record", [*HOURLY, *use(("odrl:purpose", "eq", "urn:x:p"))])
        beyond = [status(data, Range=BEYOND, **PURPOSE) for _ in range(6)]
        assert set(await asyncio.gather(*beyond)) == {416}
        assert await status(data) == 200
        assert await status(data) == 403


async def test_why_a_transfer_ended_is_kept(tmp_path: Path) -> None:
    """`why` has the decision that ended it, with what would have done, beside the one that started it."""
    async with lab(tmp_path) as node:
        data = await pull(node, "record", ONCE)
        assert await status(data) == 200
        await ended(data)
        began, over = (await node.node.answers.why(data.pid))["decisions"]
        assert (began["permitted"], over["permitted"]) == (True, False)
        (reason,) = over["reasons"]
        assert (reason["code"], reason["expected"]) == (
            "constraint-not-satisfied",
            "for the first use under one agreement",
        )
        assert Why.model_validate(await node.node.answers.why(data.pid))
