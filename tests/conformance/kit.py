"""Runs an Eclipse conformance kit, for DSP or for DCP, against a node, and reads its results.

    python -m tests.conformance.kit --self-test        the kit against its own connector: is the kit well?
    python -m tests.conformance.kit settings.properties
    python -m tests.conformance.kit --kit dcp --self-test

`DSP_KIT_VERSION` and `DCP_KIT_VERSION` pick another version. `DSP_KIT_CLASS_PATH` and `DCP_KIT_CLASS_PATH`
are Java class paths of a kit that is on this machine already: it runs in place of the published one, and the
version only says what it is. The kit listens on a port of its own, chosen here.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.artifacts import HERE, CannotStart, class_path, compiled, free_ports, properties

SERVICES = {
    "org.junit.platform.launcher.PostDiscoveryFilter": ["Kit$Only"],
    "org.junit.platform.launcher.TestExecutionListener": ["Kit$Results"],
}


@dataclass(frozen=True, slots=True)
class Kit:
    """One of the kits. Its name is also that of the folder with its pom and the list of its tests."""

    name: str
    launcher: str
    package: str  # of all its tests
    settings: Mapping[str, str]
    self_test: Mapping[str, str]  # the settings with which it tests itself

    @property
    def version(self) -> str:
        return os.environ.get(f"{self.name.upper()}_KIT_VERSION") or "1.0.0-RC6"

    def class_path(self) -> str:
        """Raises CannotStart."""
        given = os.environ.get(f"{self.name.upper()}_KIT_CLASS_PATH")
        if given:
            return compiled([HERE / "Kit.java"], given, SERVICES)
        released = {} if "-RC" in self.version else {"kit.released": "true"}
        defines = {"kit.version": self.version} | released
        return class_path(HERE / self.name / "pom.xml", [HERE / "Kit.java"], SERVICES, defines)


DSP = Kit(
    "dsp",
    "org.eclipse.dataspacetck.dsp.system.DspSystemLauncher",
    "org.eclipse.dataspacetck.dsp.verification",
    # Seconds it waits for a message; a failing test costs that much.
    {"dataspacetck.dsp.default.wait": "10"},
    {"dataspacetck.dsp.local.connector": "true"},
)
DCP = Kit(
    "dcp",
    "org.eclipse.dataspacetck.dcp.system.DcpSystemLauncher",
    "org.eclipse.dataspacetck.dcp.verification",
    {},
    {},  # it plays each role whose DID is not set
)
KITS = {kit.name: kit for kit in (DSP, DCP)}


@dataclass(frozen=True, slots=True)
class Result:
    """One test of a kit."""

    status: str  # PASSED, FAILED, SKIPPED, or BROKEN for a class whose set-up failed
    seconds: float
    method: str  # cn.ContractNegotiationProvider01Test.cn_01_01
    title: str  # CN:01-01: Verify contract request, offer received, consumer terminated
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """All results of a run. `problem` is why it is not to be trusted as a whole, else empty."""

    results: tuple[Result, ...]
    seconds: float
    problem: str
    log: Path

    def count(self, status: str) -> int:
        return sum(result.status == status for result in self.results)

    def require(self, name: str) -> None:
        """Raise NotPassed unless the test with this title or method passed; CannotStart if it did not run."""
        found = [result for result in self.results if name in (result.title, result.method)]
        if not found:
            raise CannotStart(f"it did not run; {self.problem or 'is the list of tests out of date?'}")
        if found[0].status != "PASSED":
            raise NotPassed(f"{found[0].status} {name}\n{found[0].message}\nlogs: {self.log.parent}")


class NotPassed(Exception):
    """A test of a kit failed."""


@contextmanager
def node(module: str, folder: Path, *arguments: str) -> Iterator[dict[str, str]]:
    """A node under test as a process, `python -m module folder arguments`; the kit's settings for it.

    They are what it prints once it listens. Raises CannotStart.
    """
    log = folder / "node.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(folder), *arguments],
            cwd=HERE.parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=sink,
        )
    try:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise CannotStart(f"the node ended; the end of {log}:\n{log.read_text()[-3000:]}")
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait(20)


def run(
    kit: Kit, settings: Mapping[str, str], out: Path, *, port: int = 0, only: str = "", limit: float = 600
) -> Outcome:
    """Run the kit's tests whose name matches `only`; `kit.log` and `results.tsv` are left in `out`.

    It listens on `port`, or on a free one. `dataspacetck.test.package` among the settings, a list with
    commas, leaves out the tests of all other packages. A kit still running after `limit` seconds is ended.
    Raises CannotStart if there is no kit to run.
    """
    port = port or free_ports(1)[0]
    settings = {
        "dataspacetck.host": "127.0.0.1",
        "dataspacetck.port": str(port),
        "dataspacetck.callback.address": f"http://localhost:{port}",
        **kit.settings,
        **settings,
    }
    packages = settings.get("dataspacetck.test.package", kit.package)
    jars = kit.class_path()
    config, table, log = out / "kit.properties", out / "results.tsv", out / "kit.log"
    config.write_text(properties(settings))
    table.unlink(missing_ok=True)
    command = ["java", "-Xmx512m", "-cp", jars, "Kit", kit.launcher, packages, str(config), str(table), only]
    began = time.monotonic()
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT)
        try:
            code = process.wait(limit)
            problem = "" if code == 0 else f"the kit broke off with status {code}"
        except subprocess.TimeoutExpired:
            problem = f"the kit was stopped after {limit:g} s"
        finally:
            process.kill()
            process.wait()
    lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else []
    rows = [line.split("\t") for line in lines if "\t" in line]
    results = tuple(Result(row[0], int(row[1]) / 1000, row[2], row[3], row[4]) for row in rows)
    broken = [result for result in results if result.status == "BROKEN"]
    if broken:
        problem = f"{broken[0].title}: {broken[0].message}"
    elif not problem and (not results or lines[-1] != "end"):
        problem = "the kit ran no test to its end"
    if problem:
        problem += f"; see {log}"
    return Outcome(results, time.monotonic() - began, problem, log)


def _read(path: Path) -> dict[str, str]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [line.partition("=") for line in lines if line and line[0] not in "#!"]
    return {name.strip(): value.strip() for name, _, value in pairs}


def main() -> int:
    """Exit status 0: all passed; 1: a test failed; 2: the kit could not be run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kit", choices=sorted(KITS), default="dsp")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("settings", type=Path, nargs="?", help="a properties file of the kit")
    what.add_argument("--self-test", action="store_true", help="test the kit's own system")
    parser.add_argument("--only", default="", metavar="REGEX", help="the tests whose name has a match")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the kit ends with us
    kit = KITS[options.kit]
    settings = kit.self_test if options.self_test else _read(options.settings)
    try:
        outcome = run(kit, settings, Path(tempfile.mkdtemp(prefix="anode-kit-")), only=options.only)
    except CannotStart as reason:
        print(f"{kit.name}: could not start: {reason}")
        return 2
    for result in outcome.results:
        if result.status == "FAILED":
            print(f"{result.title}\n    {result.method}\n    {result.message}")
    if outcome.problem:
        print(outcome.problem)
    left_out = outcome.count("SKIPPED")
    print(f"kit {kit.version}, {outcome.seconds:.0f} s, {left_out} left out by the kit itself, {outcome.log}")
    print(f"{kit.name}: {outcome.count('PASSED')} passed, {outcome.count('FAILED')} failed")
    return 2 if outcome.problem else int(outcome.count("FAILED") > 0)


if __name__ == "__main__":
    sys.exit(main())
