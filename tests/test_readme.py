"""The README's commands do what it says: each one is run, and what it prints is compared."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.served import ROOT, environment, two_free_ports

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
READY = 30.0
REFUSED = 3


def commands(blocks: list[str]) -> list[tuple[str, list[str]]]:
    """Each command with the lines that it is said to print."""
    found: list[tuple[str, list[str]]] = []
    for line in "".join(blocks).splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    return found


def assert_prints(printed: str, said: list[str], command: str) -> None:
    """`…` stands for anything; alone on a line, for any lines."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"\n" for line in said
    )
    assert re.fullmatch(pattern, printed), f"$ {command}\n{printed}"


@dataclass
class Shell:
    """Runs commands as a person at a terminal would: one after the other, in a folder."""

    folder: Path
    environment: dict[str, str]
    jobs: dict[int, subprocess.Popen[str]] = field(default_factory=dict)
    """By number, as a shell gives them: one more than the highest that there is."""

    def run(self, command: str, code: int = 0) -> str:
        """What it prints; it must end with this code. `&` leaves it running once it has printed a line."""
        if command.endswith(" &"):
            return self._start(command.removesuffix(" &"))
        if command.startswith("kill "):
            return self._kill([int(job.removeprefix("%")) for job in command.split()[1:]])
        after = (
            f"{command}\nstatus=$?\nexport -p > {shlex.quote(str(self.folder / '.after'))}\nexit $status\n"
        )
        before = "[ ! -e .after ] || . ./.after\n"
        done = subprocess.run(
            ["bash", "-c", before + after],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, f"$ {command}\n{done.stdout}"
        return done.stdout

    def _start(self, command: str) -> str:
        process = subprocess.Popen(
            shlex.split(command),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.jobs[max(self.jobs, default=0) + 1] = process
        assert process.stdout is not None
        return process.stdout.readline()

    def _kill(self, numbers: list[int]) -> str:
        for number in numbers:
            self.jobs[number].terminate()
        for number in numbers:
            ended = self.jobs.pop(number)
            assert ended.wait(10) == 0
            assert ended.stdout is not None
            ended.stdout.close()
        return ""


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in an empty folder that finds `anode`; what is left running is ended."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, arguments in (("anode", "-m connector "), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {arguments}"$@"\n')
        (programs / name).chmod(0o755)
    (tmp_path / "work").mkdir()
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    made = Shell(tmp_path / "work", {**environment(), "PATH": path})
    yield made
    for process in made.jobs.values():
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_the_tutorial(shell: Shell) -> None:
    """All tutorials work as they stand, word for word, but for the ports."""
    ports: dict[str, int] = {}
    for said in ("7070", "9090", "6060", "5050", "4040"):
        taken = ports.values()
        ports[said] = next(p for p in iter(two_free_ports, 0) if all(abs(p - other) > 1 for other in taken))
    tutorial = "".join(b for b in BLOCKS if "$ make" not in b)
    mine = ports | {f"{port[:-1]}1": free + 1 for port, free in ports.items()}
    tutorial = re.sub("|".join(mine), lambda found: str(mine[found[0]]), tutorial)
    told = commands([tutorial])
    assert len(told) > 10
    for command, said in told:
        refused = any(line.startswith("anode: ") for line in said)
        assert_prints(shell.run(command, REFUSED if refused else 0), said, command)


def test_five_commands_lead_to_a_refusal() -> None:
    """The policy tutorial leads from an empty file to a refusal with its reason by five commands."""
    section = README.split("## A policy of your own")[1].split("\n## ")[0]
    told = commands(re.findall(r"^```console\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))
    assert [command.split()[0] for command, _ in told] == ["echo", *["anode"] * 4, "kill"]
    assert told[4][1][-1].startswith("anode: The permission needs a RepairerCredential")


@pytest.mark.needs("make")
@pytest.mark.parametrize(("command", "said"), commands([b for b in BLOCKS if "$ make" in b]))
def test_the_first_commands(command: str, said: list[str], shell: Shell) -> None:
    """`make demo` runs, and `make test` starts the tests (which are these, so it only collects them)."""
    began = time.monotonic()
    done = subprocess.run(
        [*command.split(), "ready=", f"BIN={shell.folder.parent / 'bin'}"],
        cwd=ROOT,
        env={**shell.environment, "PYTEST_ADDOPTS": "--collect-only -p no:cacheprovider", "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert_prints(done.stdout, said, command)
    assert time.monotonic() - began < 60


def test_every_command_is_run() -> None:
    """No command hides in a block that is not executed."""
    fenced = re.findall(r"^```(\w*)$", README, re.MULTILINE)
    assert set(fenced[::2]) == {"console"}
    assert all(block.startswith("$ ") for block in BLOCKS)


def test_links_lead_somewhere() -> None:
    """Each link in the README is to a file or folder of this project."""
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
