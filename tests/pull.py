"""A node with data, and transfers of it as their consumer has them."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from connector.dsp.process import Process
from connector.dsp.terms import Kind, Role
from connector.errors import Denied
from connector.flows.transfer import DataAddress, read_address
from connector.odrl import canonical
from connector.odrl.model import parse
from connector.store import processes as rows
from connector.store.processes import Agreement
from tests.peer import CALLBACK, PEER, POLICIES, Talk, message, say, talk

CONTENT = bytes(range(256)) * 1000
USE = [{"action": "use"}]


def dataset(name: str, **source: Any) -> dict[str, Any]:
    return {"id": f"urn:x:{name}", "title": name, "offers": ["open"], "source": source}


@asynccontextmanager
async def upstream(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A server of the operator's own; its address."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@contextmanager
def full_disk(node: Talk) -> Iterator[None]:
    """Below the audit log, there is no room."""
    log = node.node.audit._file
    full, kept = os.open("/dev/full", os.O_WRONLY), os.dup(log)
    os.dup2(full, log)
    os.close(full)
    yield
    os.dup2(kept, log)
    os.close(kept)


@asynccontextmanager
async def provider(tmp_path: Path) -> AsyncIterator[Talk]:
    """A node with a file, a document, a sparse gigabyte, and an upstream that serves the file."""
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    (catalog / "file.bin").write_bytes(CONTENT)
    with (catalog / "large.bin").open("wb") as large:
        large.truncate(1 << 30)

    async def source(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(catalog / "file.bin", headers={"Content-Type": "application/x-battery"})

    async with upstream(source) as address:
        datasets = [
            dataset("file", file="file.bin", media_type="application/x-battery"),
            dataset("large", file="large.bin"),
            dataset("inline", inline={"a": "\N{BATTERY}"}),
            dataset("http", http={"url": address, "headers": {"X-Api-Key": "k"}}),
        ]
        async with talk(tmp_path, None, policies=POLICIES, datasets=datasets) as node:
            yield node


@dataclass
class Pull:
    """A started transfer, as its consumer has it."""

    node: Talk
    pid: str
    address: DataAddress

    def get(self, method: str = "GET", token: str | None = None, **headers: str) -> Any:
        headers["Authorization"] = token or f"Bearer {self.address.authorization}"
        return self.node.session.request(method, self.node.running.url + "/data", headers=headers)

    async def read(self, method: str = "GET", **options: str) -> tuple[int, bytes, Any]:
        async with self.get(method, **options) as response:
            return response.status, await response.read(), response.headers

    async def refresh(self, token: str | None = None, who: str = PEER) -> tuple[int, Any]:
        body = f"grant_type=refresh_token&refresh_token={token or self.address.refresh_token}".encode()
        form = "application/x-www-form-urlencoded"
        return await self.node.call("POST", "/data/refresh", body, who=who, content_type=form)

    async def say(self, kind: Kind) -> tuple[int, Any]:
        process = rows.process(self.node.node.db.read, self.pid)
        assert process is not None
        return await self.node.post(*say(self.node.node, process, kind))


async def agree(node: Talk, dataset_id: str, permission: list[Any] = USE, **rules: Any) -> str:
    """An agreement in force about a dataset, made a minute ago."""
    number = node.node.db.read.execute("SELECT count(*) FROM agreements").fetchone()[0]
    document = {
        "@type": "Agreement",
        "@id": f"urn:x:agreement{number}",
        "target": dataset_id,
        "assigner": node.node.participant,
        "assignee": PEER,
        "permission": permission,
        **rules,
    }
    digest = canonical.digest(parse(document, "Agreement"))
    agreed = node.node.clock.now() - 60
    value = Agreement(Role.PROVIDER, document["@id"], PEER, dataset_id, document, digest, agreed, "n", True)
    await node.node.db.write(lambda tx: rows.save_agreement(tx, value))
    return value.id


async def pull(node: Talk, name: str, permission: list[Any] = USE, **rules: Any) -> Pull:
    """Ask for a transfer, and wait for the address."""
    return await begin(node, await agree(node, f"urn:x:{name}", permission, **rules))


async def begin(node: Talk, agreement: str) -> Pull:
    """The same under an agreement that there is. Denied, with the provider's reason: it did not start."""
    number = node.node.db.read.execute("SELECT count(*) FROM processes").fetchone()[0]
    body = message(
        "TransferRequestMessage",
        consumerPid=f"c{number}-{agreement}",
        agreementId=agreement,
        format="HttpData-PULL",
        callbackAddress=CALLBACK,
    )
    status, process = await node.post("/transfers/request", body)
    assert status == 201, process
    await node.quiet()
    [(_, start)] = [m for m in node.mailbox.messages if m[1]["consumerPid"] == body["consumerPid"]]
    node.mailbox.messages.clear()
    if start["@type"] != "TransferStartMessage":
        raise Denied(start["reason"][0])
    return Pull(node, process["@id"], read_address(start["dataAddress"]))


def state(pull: Pull) -> Process:
    process = rows.process(pull.node.node.db.read, pull.pid)
    assert process is not None
    return process


async def drained(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """What still comes, and whether it breaks off."""
    got = bytearray()
    try:
        async for piece in response.content.iter_any():
            got += piece
    except aiohttp.ClientError:
        return bytes(got), True
    return bytes(got), False
