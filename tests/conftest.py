"""What every test may rely on."""

import os
import shutil

import pytest
from hypothesis import settings

settings.register_profile("anode", deadline=None)  # a loaded machine is no failure
settings.load_profile("anode")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.needs("mvn", "java")`: without them the test skips, and says so; CI must have them."""
    programs = [program for mark in item.iter_markers("needs") for program in mark.args]
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        reason = f"needs a program that is not installed: {', '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
