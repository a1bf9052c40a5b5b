"""One closing line per kit and peer, after everything pytest says: `dsp: 65 passed, 0 failed`."""

from collections import Counter
from pathlib import Path

import pytest

from tests.conformance.edc import VERSION

COUNTS = pytest.StashKey[dict[str, Counter[str]]]()
PEERS = {"dsp": "dsp", "dcp": "dcp", "edc": f"edc {VERSION}", "edc_dcp": f"edc {VERSION} with dcp"}
"""By the name of their module, `test_dsp.py` and so on; in this order."""


class Lines:
    """Counts tests by peer while they run."""

    def __init__(self, config: pytest.Config) -> None:
        self.counts: dict[str, Counter[str]] = {}
        config.stash[COUNTS] = self.counts

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        peer = Path(report.location[0]).stem.removeprefix("test_")
        if peer in PEERS and (report.when == "call" or not report.passed):
            outcome = "expected" if hasattr(report, "wasxfail") and report.skipped else report.outcome
            self.counts.setdefault(peer, Counter())[outcome] += 1


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Lines(config))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    counts = config.stash.get(COUNTS, {})
    for peer, name in PEERS.items():
        if count := counts.get(peer):
            skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
            expected = f", {count['expected']} failed as expected" if count["expected"] else ""
            print(f"{name}: {count['passed']} passed, {count['failed']} failed{expected}{skipped}")
