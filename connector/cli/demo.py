"""`anode demo`: five operators' nodes as processes of this machine, and a story in which they trade."""

import contextlib
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
from cyclopts import Parameter

import connector
from connector import resources
from connector.cli import output
from connector.cli.api import Api
from connector.cli.demo_cast import Operator, Story
from connector.cli.demo_space import MEMBER
from connector.cli.demo_story import Times, tell
from connector.cli.init import complete
from connector.cli.output import COMMON, Common, style
from connector.cli.template import render
from connector.config import load
from connector.errors import AnodeError, Unavailable
from connector.vc.did import did_for

OPERATORS = {
    "cathode-supplier": "Cathode supplier",
    "cell-maker": "Cell maker",
    "oem": "Car maker",
    "recycler": "Recycler",
    "authority": "Market surveillance authority",
}
ISSUER = "dataspace-authority"
_TITLES = {**OPERATORS, ISSUER: "Data space authority"}
_TIMES = Times(lease=8, trust=2)
"""Long enough to read, short enough to see it end."""
_PATIENCE = 30.0
_STOP_WITHIN = 8.0


@dataclass(frozen=True, slots=True)
class _Started:
    operator: Operator
    process: "subprocess.Popen[bytes]"


def demo(
    *,
    keep: Annotated[
        Path | None,
        Parameter(
            show_default=False, help="A new folder for the nodes, which stays to look into or to serve."
        ),
    ] = None,
    common: Common = COMMON,
) -> int:
    """Watch five operators trade real battery passports, each with a node process of its own.

    It takes some twenty seconds and leaves nothing behind. Exit code 1 if anything goes otherwise than told.
    """
    began = time.monotonic()
    story = Story(common)
    # SIGTERM as Ctrl-C: so that the nodes are stopped too
    with _on(signal.SIGTERM, _interrupt), _folder(keep) as folder:
        homes = _prepare(folder)
        # The authority first: the others ask it for membership as soon as they run.
        with _running({ISSUER: homes.pop(ISSUER)}) as first, _running(homes) as operators:
            story.cast(operators, first[ISSUER], time.monotonic() - began)
            tell(story, operators, first[ISSUER], folder, _TIMES)
    seconds = time.monotonic() - began
    value = {
        "ok": story.ok,
        "seconds": round(seconds, 1),
        "checks": [{"claim": claim, "ok": ok} for claim, ok in story.checks],
        "operators": {o.name: o.did for o in operators.values()},
        "authority": first[ISSUER].did,
    }
    output.show(common, value, _summary(story, seconds, keep))
    return output.OK if story.ok else output.FAILED


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            raise output.Usage(f"--keep: {keep} is not empty; name a new folder")
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="anode-demo-") as made:
        yield Path(made)


def _prepare(folder: Path) -> dict[str, Path]:
    """The folder of each operator, as `anode init` makes it, with the example's catalog and policies."""
    ports = dict(zip(_TITLES, _ports(len(_TITLES)), strict=True))
    urls = {name: f"http://localhost:{port}" for name, port in ports.items()}
    filled = {f"${{{name.upper().replace('-', '_')}_DID}}": did_for(url) for name, url in urls.items()}
    filled["${PASSPORTS}"] = str(resources.folder("catalog"))
    filled["${DISMANTLING_LASTS}"] = f"{_TIMES.lease} seconds"
    made: dict[str, Path] = {}
    for name, title in _TITLES.items():
        home = made[name] = folder / name
        shutil.copytree(resources.folder("examples") / "dataspace" / name, home)
        for file in home.rglob("*.yaml"):
            file.write_text(_fill(file.read_text(), filled))
        values: dict[str, dict[str, Any]] = {
            "participant": {"did": did_for(urls[name]), "name": title},
            "public": {"url": urls[name], "port": ports[name]},
            "management": {"port": 0},
            "network": {"reach": "loopback"},
            "delivery": {"first_retry": 0.1},
            "credentials": _credentials(name, did_for(urls[ISSUER])),
        }
        (home / "anode.yaml").write_text(render(values))
        complete(load(home / "anode.yaml"), home / "anode.yaml", [])
    return made


def _credentials(name: str, authority: str) -> dict[str, Any]:
    if name == ISSUER:
        return {"issue": "issuer.yaml"}
    settings: dict[str, Any] = {"authority": authority, "require": (MEMBER,), "lifetime": _TIMES.trust}
    # What it shows whenever it asks, so that it sees what is only for holders of it.
    return settings | ({"present": ("MarketSurveillanceCredential",)} if name == "authority" else {})


def _fill(text: str, values: Mapping[str, str]) -> str:
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def _ports(number: int) -> list[int]:
    """Ports that the system holds to be free, all different."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def _running(folders: Mapping[str, Path]) -> Iterator[dict[str, Operator]]:
    """The nodes of these folders, all ready; stopped at the end, whatever happens."""
    processes: list[subprocess.Popen[bytes]] = []
    code = str(Path(connector.__file__).resolve().parent.parent)
    paths = [code, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    try:
        for home in folders.values():
            with (home / "node.log").open("wb") as log:
                command = [
                    sys.executable,
                    "-m",
                    "connector",
                    "serve",
                    "--json",
                    "-c",
                    str(home / "anode.yaml"),
                ]
                processes.append(
                    subprocess.Popen(  # noqa: S603  # our own program
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        env=environment,
                        start_new_session=True,  # Ctrl-C is for us; we stop them
                    )
                )
        yield {
            name: _operator(name, folders[name], ready)
            for name, ready in zip(folders, _ready(processes, list(folders.values())), strict=True)
        }
    finally:
        with _on(signal.SIGTERM, signal.SIG_IGN), _on(signal.SIGINT, signal.SIG_IGN):
            _stop(processes)


def _ready(processes: Sequence["subprocess.Popen[bytes]"], homes: Sequence[Path]) -> list[dict[str, Any]]:
    """What each node says when it is ready, in order."""
    deadline = time.monotonic() + _PATIENCE
    said: dict[int, dict[str, Any]] = {}
    with selectors.DefaultSelector() as selector:
        for number, process in enumerate(processes):
            assert process.stdout is not None  # noqa: S101  # it was asked for
            selector.register(process.stdout, selectors.EVENT_READ, number)
        while len(said) < len(processes):
            events = selector.select(max(0.0, deadline - time.monotonic()))
            if not events:
                raise Unavailable(f"the nodes were not ready within {_PATIENCE:g} s")
            for key, _ in events:
                line = processes[key.data].stdout.readline()
                selector.unregister(key.fileobj)
                if b'"did"' not in line:
                    log = (homes[key.data] / "node.log").read_text().strip()
                    raise AnodeError(f"the node of {homes[key.data].name} did not start: {log[-500:]}")
                said[key.data] = orjson.loads(line)
    return [said[number] for number in range(len(processes))]


def _operator(name: str, home: Path, ready: Mapping[str, Any]) -> Operator:
    api = Api(str(ready["management"]), (home / "management.token").read_text().strip())
    return Operator(name, _TITLES[name], str(ready["did"]), str(ready["public_url"]), home, api)


def _stop(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + _STOP_WITHIN
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def _on(number: signal.Signals, handler: Any) -> Iterator[None]:
    """Handle a signal so, for a while."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _summary(story: Story, seconds: float, keep: Path | None) -> str:
    good = sum(ok for _, ok in story.checks)
    verdict = f"{good} of {len(story.checks)} things went as told, in {seconds:.0f} s."
    lines = ["", style(verdict, "1;32" if story.ok else "1;31")]
    lines += [f"  not so: {claim}" for claim, ok in story.checks if not ok]
    anode = output.program()
    if keep is not None:
        at = f"-c {output.shown(keep)}/oem/anode.yaml"
        lines += [
            "",
            "Look at what they have kept:",
            f"  {anode} serve {at} &",
            f"  {anode} status {at}",
            f"  {anode} transfer list {at}",
        ]
        return "\n".join(lines)
    lines += [
        "",
        "Try next:",
        f"  {anode} demo --keep five           the same, and the nodes' folders stay",
        f"  {anode} init mynode --local        a node of your own; README.md goes on from there",
        f"  {anode} fetch --help               what was shown here, as one command",
    ]
    return "\n".join(lines)
