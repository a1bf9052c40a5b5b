"""The Eclipse conformance kit for the Dataspace Protocol: each of its tests is one here.

The kit runs once, against a node process of its own (`tck_node.py`).
"""

from collections.abc import Iterator

import pytest

from tests.conformance import kit
from tests.conformance.artifacts import HERE, CannotStart

TESTS = (HERE / "dsp" / "tests.txt").read_text().splitlines()

pytestmark = [pytest.mark.conformance, pytest.mark.needs("java", "javac", "mvn")]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kit.Outcome | CannotStart]:
    """The kit's results, or why there are none. Fails at its end if the kit ran what is not listed here."""
    folder = tmp_path_factory.mktemp("dsp")
    try:
        with kit.node("tests.conformance.tck_node", folder) as settings:
            found = kit.run(kit.DSP, settings, folder)
    except CannotStart as reason:
        yield reason
        return
    yield found
    unlisted = [r.title for r in found.results if r.title not in TESTS and r.status != "SKIPPED"]
    if unlisted:
        pytest.fail(f"not in dsp/tests.txt, but run by kit {kit.DSP.version}: {unlisted}", pytrace=False)


@pytest.mark.parametrize("title", TESTS, ids=[title.split(": ")[0] for title in TESTS])
def test_dsp(outcome: kit.Outcome | CannotStart, title: str) -> None:
    """The kit's own claim is the title of its test."""
    if isinstance(outcome, CannotStart):
        raise outcome
    outcome.require(title)
