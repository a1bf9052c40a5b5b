"""The demo runs to its end with real processes, checks what it tells, and leaves nothing behind."""

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

from connector.cli.demo import ISSUER, OPERATORS
from tests.served import environment

COMMAND = [sys.executable, "-m", "connector", "demo"]


def still_listening(ports: list[int]) -> list[int]:
    """Those of these ports on which somebody still listens."""
    found = []
    for port in ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                found.append(port)
    return found


def test_the_demo_ends_well(tmp_path: Path) -> None:
    """All that is told is so, in under a minute; the nodes are gone, their folders stay if asked for."""
    command = [*COMMAND, "--json", "--keep", str(tmp_path / "five")]
    done = subprocess.run(
        command, env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ok"]
    assert len(told["checks"]) >= 25
    assert any("list, reading is refused" in check["claim"] for check in told["checks"])
    assert list(told["operators"]) == list(OPERATORS)
    dids = [*told["operators"].values(), told["authority"]]
    ports = [int(unquote(did).rpartition(":")[2]) for did in dids]
    assert still_listening(ports) == []
    for name in (*OPERATORS, ISSUER):
        home = tmp_path / "five" / name
        assert (home / "anode.sqlite").exists()
        assert not (home / "management.address").exists()
        assert (home / "node.log").read_text() == "", name


def test_a_demo_that_is_ended_takes_its_nodes_along(tmp_path: Path) -> None:
    """SIGTERM in the middle: exit code 130, no node is left running, no folder either."""
    process = subprocess.Popen(
        COMMAND,
        env={**environment(), "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    ports: list[int] = []
    while len(ports) < len(OPERATORS) + 1:
        line = process.stdout.readline().decode()
        assert line, process.communicate()[1].decode()
        ports += [int(port) for port in re.findall(r"localhost%3A(\d+)", line)]
    assert still_listening(ports) == ports
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert still_listening(ports) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_not_touched(tmp_path: Path) -> None:
    """--keep wants a new folder, and says so before anything starts."""
    (tmp_path / "mine").write_text("precious")
    done = subprocess.run(
        [*COMMAND, "--keep", str(tmp_path)], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "is not empty; name a new folder" in done.stderr
