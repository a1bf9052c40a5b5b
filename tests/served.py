"""Nodes as processes: `anode serve` as an operator starts it, for tests of the command line."""

import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from connector.cli.app import run

ROOT = Path(__file__).resolve().parent.parent


def two_free_ports() -> int:
    """A port that is free, and so is the next one: for both listeners of a node.

    Below those that the system gives to connections going out, one of which could take it meanwhile.
    """
    for _ in range(1000):
        port = random.randrange(10_000, 32_000)
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no two free ports in a row")


def environment() -> dict[str, str]:
    """What a command of this checkout needs, wherever it is run."""
    kept = {name: value for name, value in os.environ.items() if name != "ANODE_CONFIG"}
    return {**kept, "PYTHONPATH": str(ROOT)}


@dataclass
class Served:
    """A node's process and its folder."""

    folder: Path
    process: subprocess.Popen[bytes]
    ready: dict[str, str]
    seconds: float

    @property
    def config(self) -> str:
        return str(self.folder / "anode.yaml")

    def stop(self) -> tuple[int, str]:
        """Ask it to stop; its exit code and its log."""
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=10)
        return self.process.returncode, log.decode()


def start(folder: Path, *options: str) -> Served:
    """Start the node of a folder, and wait until it says that it is ready."""
    command = [
        sys.executable,
        "-m",
        "connector",
        "serve",
        "--json",
        "-c",
        str(folder / "anode.yaml"),
        *options,
    ]
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), cwd=folder
    )
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], 30)
    line = process.stdout.readline() if readable else b""
    if not line.startswith(b'{"did"'):
        process.kill()
        raise AssertionError((line + b"".join(process.communicate())).decode())
    return Served(folder, process, orjson.loads(line), time.monotonic() - began)


@contextmanager
def served(folder: Path, *options: str, policies: str = "") -> Iterator[Served]:
    """A new local node in a folder, with these policies more, while it runs."""
    arguments = ["init", str(folder), "--local", "--public-url", f"http://localhost:{two_free_ports()}"]
    if not (folder / "anode.yaml").exists():
        assert run([*arguments, "--name", folder.name]) == 0
        (folder / "policies" / "more.yaml").write_text(policies or "{}")
    node = start(folder, *options)
    try:
        yield node
    finally:
        if node.process.poll() is None:
            node.process.kill()
        node.process.communicate()
