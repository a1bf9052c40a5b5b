"""The Eclipse conformance kit for the Dataspace Protocol: each of its tests is one here.

The kit runs once, against a node process of its own (`tck_node.py`).
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conformance import kit
from tests.conformance.artifacts import HERE, CannotStart, free_ports

TESTS = (HERE / "dsp" / "tests.txt").read_text().splitlines()

pytestmark = [pytest.mark.conformance, pytest.mark.needs("java", "javac", "mvn")]


@contextmanager
def node(folder: Path) -> Iterator[dict[str, str]]:
    """The node under test as a process; the kit's settings for it."""
    log = folder / "node.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.conformance.tck_node", str(folder)],
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


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kit.Outcome | str]:
    """The kit's results, or why there are none. Fails at its end if the kit ran what is not listed here."""
    folder = tmp_path_factory.mktemp("dsp")
    try:
        with node(folder) as settings:
            found = kit.run(kit.kit_settings(free_ports(1)[0]) | settings, folder)
    except CannotStart as reason:
        yield str(reason)
        return
    yield found
    unlisted = [r.title for r in found.results if r.title not in TESTS and r.status != "SKIPPED"]
    if unlisted:
        pytest.fail(f"not in dsp/tests.txt, but run by kit {kit.VERSION}: {unlisted}", pytrace=False)


@pytest.mark.parametrize("title", TESTS, ids=[title.split(": ")[0] for title in TESTS])
def test_dsp(outcome: kit.Outcome | str, title: str) -> None:
    """The kit's own claim is the title of its test."""
    if isinstance(outcome, str):
        pytest.fail(f"the kit could not start: {outcome}", pytrace=False)
    found = [result for result in outcome.results if result.title == title]
    if not found:
        pytest.fail(
            f"the kit did not run it; {outcome.problem or 'is the list of its tests out of date?'}",
            pytrace=False,
        )
    if found[0].status != "PASSED":
        message = f"{found[0].status} {title}\n{found[0].message}\nlogs: {outcome.log.parent}"
        pytest.fail(message, pytrace=False)
