"""Uses: counted before the first byte, never one too many, whatever token, transfer, range or restart."""

import asyncio
from pathlib import Path

import pytest

from connector.errors import Denied
from connector.odrl.vocabulary import ANODE, COUNT, TIME_INTERVAL
from connector.store import uses
from tests.enforcement.lab import another, broken_off, clock, ended, lab, nothing_starts, renewed, status, use
from tests.peer import PEER
from tests.pull import Pull, agree, begin, dataset, drained, full_disk, pull, state

THREE = use(("odrl:count", "lteq", "3"))
HOURLY = use(("odrl:timeInterval", "gteq", "PT1H"))


def counted(data: Pull) -> int:
    """The uses as they are on disk."""
    agreement = state(data).details["agreement"]
    return uses.of(data.node.node.db.read, agreement, PEER).number


def lines(data: Pull) -> list[tuple[bool, list[str] | None]]:
    """What was decided, by the audit log."""
    return [(line["permitted"], line.get("reasons")) for line in data.node.node.audit.tail(100)]


@pytest.mark.enforces(COUNT)
async def test_three_uses_are_three(tmp_path: Path) -> None:
    """Refreshed tokens, a second transfer, parts and known versions all count on the same agreement; what is
    denied and what is only asked with HEAD does not; after the last use the transfers end."""
    async with lab(tmp_path) as node:
        data = await pull(node, "record", THREE)
        second = await another(data)
        assert [await status(data, "HEAD") for _ in range(5)] == [200] * 5
        assert counted(data) == 0
        assert await status(data) == 200
        data = await renewed(data)
        assert await status(data, Range="bytes=1-") == 206
        assert counted(data) == 2
        assert await status(second, **{"If-None-Match": "*"}) == 304
        assert "it has been used 3 times" in await ended(second)
        assert await status(data) == 403
        assert "it has been used 3 times" in await ended(data)
        assert await status(data) == 401
        assert counted(data) == 3
        assert "it has been used 3 times" in await nothing_starts(data)


@pytest.mark.enforces(COUNT)
@pytest.mark.parametrize("limit", [1, 7])
async def test_requests_at_once(tmp_path: Path, limit: int) -> None:
    """Forty requests at the same moment, over two transfers, get what is left and no more."""
    async with lab(tmp_path) as node:
        data = await pull(node, "record", use(("odrl:count", "lteq", str(limit))))
        second = await another(data)
        found = await asyncio.gather(*(status(one) for one in [data, second] * 20))
        assert found.count(200) == limit
        assert set(found) <= {200, 401, 403}
        assert counted(data) == limit


@pytest.mark.enforces(COUNT)
async def test_a_restart_forgets_no_use(tmp_path: Path) -> None:
    """What was counted is on disk: a node that starts again goes on from there."""
    time = None
    for left in (2, 1, 0):
        async with lab(tmp_path, time) as node:
            time = clock(node)
            if left == 2:
                agreement = await agree(node, "urn:x:record", use(("odrl:count", "lteq", "2")))
            if left:
                assert await status(await begin(node, agreement)) == 200
            else:
                with pytest.raises(Denied, match="it has been used 2 times"):
                    await begin(node, agreement)


@pytest.mark.enforces(COUNT)
async def test_going_on_is_part_of_its_use(tmp_path: Path) -> None:
    """The only use there is: a download that broke off may go on, from a later byte, of the same version, one
    at a time; nothing else opens, and what is written down says so."""
    async with lab(tmp_path) as node:
        data = await pull(node, "large", use(("odrl:count", "lteq", "1")))
        etag = await broken_off(data)
        for headers in (
            {},
            {"Range": "bytes=1000-"},
            {"Range": "bytes=0-", "If-Range": etag},
            {"Range": "bytes=-10", "If-Range": etag},
            {"Range": "bytes=1000-", "If-Range": '"other"'},
        ):
            assert await status(data, **headers) == 403, headers
        end = (1 << 30) - 10
        rest = {"Range": f"bytes={end}-", "If-Range": etag}
        found = await asyncio.gather(*(data.read(**rest) for _ in range(5)))
        assert sorted(answered for answered, *_ in found)[0] == 206
        assert [len(body) for answered, body, _ in found if answered == 206] == [10]
        assert {answered for answered, *_ in found} <= {206, 401, 403}
        assert counted(data) == 1
        assert "it has been used 1 time:" in await ended(data)


@pytest.mark.enforces(COUNT)
async def test_a_new_version_is_a_new_use(tmp_path: Path) -> None:
    """What changed since a download broke off is not its rest."""
    async with lab(tmp_path) as node:
        data = await pull(node, "large", use(("odrl:count", "lteq", "1")))
        etag = await broken_off(data)
        (tmp_path / "catalog" / "large.bin").write_bytes(b"new and secret")
        assert await status(data, Range="bytes=1-", **{"If-Range": etag}) == 403


@pytest.mark.enforces(COUNT)
async def test_the_last_use_is_not_cut(tmp_path: Path) -> None:
    """Who is refused while the last use is being read does not break it off."""
    async with lab(tmp_path) as node:
        data = await pull(node, "large", use(("odrl:count", "lteq", "1")))
        async with data.get(Range=f"bytes={(1 << 30) - (64 << 20)}-") as response:
            await response.content.readexactly(1000)
            assert await status(data) == 403
            rest, broken = await drained(response)
        assert (len(rest), broken) == ((64 << 20) - 1000, False)
        assert "it has been used 1 time:" in await ended(data)


@pytest.mark.enforces(TIME_INTERVAL)
async def test_the_pause_between_uses(tmp_path: Path) -> None:
    """Once an hour, to the millisecond, over all transfers and tokens; a clock set back does not help, nor do
    requests at the same moment; who is refused does not wait longer."""
    async with lab(tmp_path, data={"token_lifetime": "2 days"}) as node:
        data = await pull(node, "record", HOURLY)
        second = await another(data)
        found = await asyncio.gather(*(status(one) for one in [data, second] * 10))
        assert sorted(found) == [200] + [403] * 19
        for ahead, answered in ((-7200, 403), (1, 403), (3599.999, 403), (3600, 200), (3600.001, 403)):
            clock(node).ahead = ahead
            assert await status(await another(data)) == answered, ahead
        clock(node).ahead = 7200
        assert await status(data, "HEAD") == 200
        assert await status(data) == 200
        assert await status(data, "HEAD") == 403
        assert state(data).state == "STARTED"


@pytest.mark.enforces(f"{ANODE}log")
async def test_each_request_leaves_its_line(tmp_path: Path) -> None:
    """Whatever way data are asked for, granted or refused, a line is in the log before the answer is."""
    async with lab(tmp_path) as node:
        duty, said = [{"action": f"{ANODE}log"}], {"Usage-Purpose": "urn:x:p"}
        data = await pull(node, "record", [{**use(("odrl:purpose", "eq", "urn:x:p"))[0], "duty": duty}])
        for method, headers, answered in (
            ("GET", said, 200),
            ("HEAD", said, 200),
            ("GET", {**said, "Range": "bytes=1-"}, 206),
            ("GET", {**said, "If-None-Match": "*"}, 304),
            ("GET", {}, 403),
        ):
            before = len(node.node.audit.tail(100))
            assert await status(data, method, **headers) == answered
            line, *more = node.node.audit.tail(100)[before:]
            assert (line["method"], line["permitted"], more) == (method, answered != 403, [])


@pytest.mark.enforces(COUNT)
async def test_what_is_not_served_is_no_use(tmp_path: Path) -> None:
    """A part beyond the end, a source that is gone, a log that is full: no use is lost, and a line of its own
    says that nothing was served."""
    async with lab(tmp_path, datasets=[dataset("lost", file="large.bin")]) as node:
        data = await pull(node, "lost", use(("odrl:count", "lteq", "1")))
        assert await status(data, Range=f"bytes={1 << 30}-") == 416
        assert lines(data) == [(True, None), (False, ["Requested Range Not Satisfiable"])]
        (tmp_path / "catalog" / "large.bin").rename(tmp_path / "away")
        assert await status(data) == 404
        assert "can't be read" in str(lines(data)[-1])
        (tmp_path / "away").rename(tmp_path / "catalog" / "large.bin")
        with full_disk(node):
            assert await status(data) == 503
        assert state(data).state == "STARTED"
        async with data.get() as response:
            assert response.status == 200
            response.close()


@pytest.mark.enforces(COUNT)
async def test_a_refused_rest_opens_no_other_version(tmp_path: Path) -> None:
    """Who asked for the rest of an old version, and was refused, has not begun to read the new one."""
    async with lab(tmp_path) as node:
        data = await pull(node, "large", use(("odrl:count", "lteq", "1")))
        old = await broken_off(data)
        large = tmp_path / "catalog" / "large.bin"
        large.write_bytes(b"new and secret")
        found = large.stat()
        new = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
        assert await status(data, Range="bytes=1-", **{"If-Range": old}) == 403
        assert await status(data, Range="bytes=1-", **{"If-Range": new}) == 403
        assert "The data have changed" in str(lines(data)[1:3])
