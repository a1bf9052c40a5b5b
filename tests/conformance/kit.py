"""Runs the Eclipse conformance kit for DSP and reads its results.

    python -m tests.conformance.kit --self-test        the kit against its own connector: is the kit well?
    python -m tests.conformance.kit settings.properties

`KIT_VERSION` picks another version of the kit. The kit listens on a port of its own, chosen here.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.artifacts import HERE, CannotStart, class_path, free_ports, properties

VERSION = os.environ.get("KIT_VERSION") or "1.0.0-RC6"
LAUNCHER = "org.eclipse.dataspacetck.dsp.system.DspSystemLauncher"
PACKAGE = "org.eclipse.dataspacetck.dsp.verification"
SERVICES = {
    "org.junit.platform.launcher.PostDiscoveryFilter": "Kit$Only",
    "org.junit.platform.launcher.TestExecutionListener": "Kit$Results",
}


@dataclass(frozen=True, slots=True)
class Result:
    """One test of the kit."""

    status: str  # PASSED, FAILED, SKIPPED, or BROKEN for a class whose set-up failed
    seconds: float
    method: str  # cn.ContractNegotiationProvider01Test.cn_01_01
    title: str  # CN:01-01: Verify contract request, offer received, consumer terminated
    message: str

    @property
    def id(self) -> str:
        """Shortest sure name: catalog and metadata tests share method names, so the title's code counts."""
        return self.title.split(": ")[0]


@dataclass(frozen=True, slots=True)
class Outcome:
    """All results of a run. `problem` is why it is not to be trusted as a whole, else empty."""

    results: tuple[Result, ...]
    seconds: float
    problem: str
    log: Path

    def count(self, status: str) -> int:
        return sum(result.status == status for result in self.results)


def kit_settings(port: int) -> dict[str, str]:
    """Where the kit listens, and how many seconds it waits for a message; a failing test costs that much."""
    return {
        "dataspacetck.host": "127.0.0.1",
        "dataspacetck.port": str(port),
        "dataspacetck.callback.address": f"http://localhost:{port}",
        "dataspacetck.dsp.default.wait": "10",
    }


def run(
    settings: Mapping[str, str], out: Path, *, version: str = VERSION, only: str = "", limit: float = 600
) -> Outcome:
    """Run the kit's tests whose name matches `only`; `kit.log` and `results.tsv` are left in `out`.

    A kit still running after `limit` seconds is ended. Raises CannotStart if there is no kit to run.
    """
    defines = {"kit.version": version} | ({} if "-RC" in version else {"kit.released": "true"})
    jars = class_path(HERE / "dsp" / "pom.xml", [HERE / "Kit.java"], SERVICES, defines)
    config, table, log = out / "kit.properties", out / "results.tsv", out / "kit.log"
    config.write_text(properties(settings))
    table.unlink(missing_ok=True)
    command = ["java", "-Xmx512m", "-cp", jars, "Kit", LAUNCHER, PACKAGE, str(config), str(table), only]
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
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("settings", type=Path, nargs="?", help="a properties file of the kit")
    what.add_argument("--self-test", action="store_true", help="test the kit's own connector")
    parser.add_argument("--only", default="", metavar="REGEX", help="the tests whose name has a match")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the kit ends with us
    settings = kit_settings(free_ports(1)[0])
    settings |= {"dataspacetck.dsp.local.connector": "true"} if options.self_test else _read(options.settings)
    try:
        outcome = run(settings, Path(tempfile.mkdtemp(prefix="anode-kit-")), only=options.only)
    except CannotStart as reason:
        print(f"dsp: could not start: {reason}")
        return 2
    for result in outcome.results:
        if result.status == "FAILED":
            print(f"{result.title}\n    {result.message}")
    if outcome.problem:
        print(outcome.problem)
    left_out = outcome.count("SKIPPED")
    print(f"kit {VERSION}, {outcome.seconds:.0f} s, {left_out} left out by the kit itself, {outcome.log}")
    print(f"dsp: {outcome.count('PASSED')} passed, {outcome.count('FAILED')} failed")
    return 2 if outcome.problem else int(outcome.count("FAILED") > 0)


if __name__ == "__main__":
    sys.exit(main())
