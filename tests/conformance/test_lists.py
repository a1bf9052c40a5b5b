"""The DCP kit's tests by role, and what is forgiven it, without running it."""

from collections import Counter
from pathlib import Path

import pytest

from connector import config
from connector.errors import InvalidFile
from tests.conformance import dcp_node, test_dcp
from tests.nodes import prepare


def test_every_test_of_the_kit_has_a_role() -> None:
    """40 tests of a holder, 25 of an issuer, 20 of a verifier, and no name twice."""
    assert Counter(map(test_dcp.role_of, test_dcp.TESTS)) == {"holder": 40, "issuer": 25, "verifier": 20}
    assert len(set(test_dcp.TESTS)) == 85
    assert test_dcp.CONTRADICTIONS.keys() | test_dcp.REASONS.keys() <= set(test_dcp.TESTS)


@pytest.mark.parametrize("version", ["1.0.0-RC6", "1.0.2"])
@pytest.mark.parametrize("role", test_dcp.ROLES)
def test_no_setting_reaches_the_kits_profile(tmp_path: Path, role: str, version: str) -> None:
    """Each leniency stands there with its reason; a product's settings can't choose the profile."""
    profile = dcp_node.profile(role, version)
    assert all(profile.deviations.values())
    with pytest.raises(InvalidFile, match=r"credentials\.profile"):
        config.load(prepare(tmp_path, 8080, credentials={"profile": profile.name}))


def test_a_released_kit_forces_nothing_on_a_wallet_or_an_issuer() -> None:
    """Holder and issuer are tested as they are: only the verifier of 1.0.2 needs to be lenient."""
    assert {role for role in test_dcp.ROLES if dcp_node.profile(role, "1.0.2").deviations} == {"verifier"}
