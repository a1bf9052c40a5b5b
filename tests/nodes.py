"""Real nodes for tests: real store, real sockets on loopback, ports chosen by the system."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from connector import config as settings
from connector.node import Node, Parts
from connector.vc import did, keystore
from connector.web import public

TOKEN = "token-for-tests-" * 3


@dataclass
class Running:
    """A node with its public listener."""

    node: Node
    url: str
    folder: Path
    port: int

    @property
    def did(self) -> str:
        return self.node.participant


def free_port() -> int:
    """A port that was free a moment ago, for programs that must be told theirs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def prepare(
    folder: Path,
    port: int,
    policies: dict[str, Any] | None = None,
    datasets: list[dict[str, Any]] | None = None,
    **overrides: Any,
) -> Path:
    """The files of a node: settings, keys, catalog, policies."""
    folder.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    participant = did.did_for(f"http://localhost:{port}")
    for name in ("catalog", "policies", "keys"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "policies" / "all.yaml").write_text(yaml.safe_dump(policies or {}))
    (folder / "catalog" / "all.yaml").write_text(yaml.safe_dump({"datasets": datasets or []}))
    values = {
        "participant": {"did": participant, "name": folder.name, **overrides.pop("participant", {})},
        "public": {"url": url, "host": "127.0.0.1", "port": port},
        "network": {"reach": "loopback"},
        "management": {"port": 0, "token_file": "management.token"},
        **overrides,
    }
    path = folder / "anode.yaml"
    path.write_text(yaml.safe_dump(values))
    for name in ("management.token", "keys.passphrase"):
        (folder / name).write_text(TOKEN)
        (folder / name).chmod(0o600)
    kept = keystore.configured(settings.load(path))
    kept.complete(0.0)
    kept.close()
    return path


@asynccontextmanager
async def running(
    folder: Path,
    policies: dict[str, Any] | None = None,
    datasets: list[dict[str, Any]] | None = None,
    parts: Parts | None = None,
    **overrides: Any,
) -> AsyncIterator[Running]:
    """A node that listens; closed at the end."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        config = settings.load(prepare(folder, port, policies, datasets, **overrides))
        node = Node(config, parts)
        runner = public.served(public.application(node))
        await runner.setup()
        await web.SockSite(runner, listening).start()
        await node.start()
        try:
            yield Running(node, config.public.url, folder, port)
        finally:
            await runner.cleanup()
            await node.close()


async def until(running_node: Running, pid: str, *states: str, seconds: float = 10) -> Any:
    """The process once it is in one of these states, or has ended otherwise."""
    import asyncio

    from connector.store import processes as rows

    node = running_node.node
    async with asyncio.timeout(seconds), node.events.listen(pid) as events:
        process = rows.process(node.db.read, pid)
        while process is None or not (process.state in states or process.ended):
            await anext(events)
            process = rows.process(node.db.read, pid)
    return process
