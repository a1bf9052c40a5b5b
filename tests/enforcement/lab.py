"""A node with data, time that stands still, and ways to get at the data that an agreement does not give."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from connector.errors import Denied
from tests.peer import POLICIES, Talk, talk
from tests.pull import Pull, begin, dataset, state
from tests.space import Still

RECORD = {"a": 1}


@asynccontextmanager
async def lab(folder: Path, clock: Still | None = None, **files: Any) -> AsyncIterator[Talk]:
    """A node that serves a record, and a sparse gigabyte."""
    catalog = folder / "catalog"
    catalog.mkdir(exist_ok=True)
    if not (catalog / "large.bin").exists():
        with (catalog / "large.bin").open("wb") as large:
            large.truncate(1 << 30)
    datasets = [
        dataset("record", inline=RECORD),
        dataset("large", file="large.bin"),
        *files.pop("datasets", []),
    ]
    async with talk(folder, None, clock or Still(), policies=POLICIES, datasets=datasets, **files) as node:
        yield node


def clock(node: Talk) -> Still:
    assert isinstance(node.node.clock, Still)
    return node.node.clock


def use(*constraints: tuple[str, str, Any]) -> list[dict[str, Any]]:
    """A permission to use under these constraints: left operand, operator, right operand."""
    return [{"action": "use", "constraint": terms(*constraints)}]


def terms(*constraints: tuple[str, str, Any]) -> list[dict[str, Any]]:
    return [{"leftOperand": left, "operator": how, "rightOperand": right} for left, how, right in constraints]


async def status(data: Pull, method: str = "GET", **headers: str) -> int:
    return (await data.read(method, **headers))[0]


async def answers(data: Pull, **headers: str) -> set[int]:
    """What each way to ask is answered: the whole, a part, its head, whatever the version."""
    return {
        await status(data, **headers),
        await status(data, "HEAD", **headers),
        await status(data, Range="bytes=1-", **headers),
        await status(data, **{"If-None-Match": "*"}, **headers),
    }


async def broken_off(data: Pull, **headers: str) -> str:
    """Begin to read and go away; the version that was read."""
    async with data.get(**headers) as response:
        assert response.status == 200
        etag = response.headers["ETag"]
        await response.content.readexactly(1000)
        response.close()
    while data.node.node.data._running:  # noqa: ASYNC110  # nothing tells when the node has noticed
        await asyncio.sleep(0)
    return etag


async def renewed(data: Pull) -> Pull:
    """The same transfer with new tokens."""
    answered, new = await data.refresh()
    assert answered == 200, new
    address = type(data.address)(data.address.endpoint, new["access_token"], new["refresh_token"])
    return Pull(data.node, data.pid, address)


async def another(data: Pull) -> Pull:
    """A second transfer under the same agreement."""
    return await begin(data.node, state(data).details["agreement"])


async def nothing_starts(data: Pull) -> str:
    """Why no second transfer starts."""
    with pytest.raises(Denied) as caught:
        await another(data)
    return str(caught.value)


async def ended(data: Pull) -> str:
    """Why the transfer ended."""
    await asyncio.gather(*data.node.node.tasks.running)
    await data.node.quiet()
    found = state(data)
    assert found.state == "TERMINATED"
    return str(found.reason)
