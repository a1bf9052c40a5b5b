"""The Eclipse conformance kit for the Decentralized Claims Protocol: each of its tests is one here.

The kit runs once for each role, against a node process of its own (`dcp_node.py`), and plays the others.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.conformance import kit
from tests.conformance.artifacts import HERE, CannotStart, free_ports

TESTS = [line.split("\t")[0] for line in (HERE / "dcp" / "tests.txt").read_text().splitlines()]
ROLES = {
    "holder": ("presentation.cs", "issuance.cs"),
    "issuer": ("issuance.issuer",),
    "verifier": ("presentation.verifier",),
}
"""The packages of the kit's tests, by the role that the node has in them."""

CONTRADICTIONS = {
    "presentation.cs.PresentationFlowSection5Test.cs_05_04_01_02_invalidScopeEscalationRequest": (
        "a query that asks for more than its access token grants must get a 4xx from this kit; "
        "DCP 1.0.1, section 5.4.1, has it answered with what is granted"
    ),
    "issuance.issuer.CredentialRequestTest.is_6_4_1_credentialRequest": (
        "this kit reads a CredentialMessage only if its format is VC1_0_JWT; "
        "DCP 1.0.1 calls this format vc11-sl2021/jwt"
    ),
}
"""Where kit 1.0.0-RC6 contradicts the specification, so that a node can't pass both. 1.0.2 does not."""

_VERIFIER = "presentation.verifier.PresentationFlowSection5Test.verifier_"
REASONS = {
    f"{_VERIFIER}05_04_03_06_presentationResponse_credentialRevoked": "has been revoked by its issuer",
    f"{_VERIFIER}05_04_03_presentationResponse_holderNotEqualSubjectId": "not about itself",
    f"{_VERIFIER}x_x_presentationResponse_invalidCredentialSchema": "does not fit its schema",
}
"""Why the node must refuse. The kit is content with any refusal, even for a mistake that it does not mean."""

pytestmark = [pytest.mark.conformance, pytest.mark.needs("java", "javac", "mvn")]


def role_of(method: str) -> str:
    """The role that the node has in a test of the kit."""
    return next(role for role, packages in ROLES.items() if method.startswith(packages))


def cases() -> list[ParameterSet]:
    """Role and method of each of the kit's tests. One that contradicts the specification must fail."""
    wrong = CONTRADICTIONS if kit.DCP.version == "1.0.0-RC6" else {}
    found = []
    for method in TESTS:
        reason = wrong.get(method)
        marks = [pytest.mark.xfail(raises=kit.NotPassed, reason=reason, strict=True)] if reason else []
        role = role_of(method)
        found.append(pytest.param(role, method, id=f"{role}-{method.split('.')[-1]}", marks=marks))
    return found


def run(role: str, folder: Path) -> kit.Outcome | CannotStart:
    """The kit's results for a role, or why there are none."""
    (port,) = free_ports(1)
    packages = ",".join(f"{kit.DCP.package}.{package}" for package in ROLES[role])
    try:
        with kit.node("tests.conformance.dcp_node", folder, role, str(port), kit.DCP.version) as settings:
            settings |= {"dataspacetck.test.package": packages}
            return kit.run(kit.DCP, settings, folder, port=port)
    except CannotStart as reason:
        return reason


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], kit.Outcome]]:
    """The kit's results for a role; it runs when they are first asked for.

    Fails at its end if the kit ran what is not listed here.
    """
    found: dict[str, kit.Outcome | CannotStart] = {}

    def of(role: str) -> kit.Outcome:
        result = found[role] = found.get(role) or run(role, tmp_path_factory.mktemp(role))
        if isinstance(result, CannotStart):
            pytest.fail(f"the kit could not run: {result}", pytrace=False)
        return result

    yield of
    ran = [r for one in found.values() if isinstance(one, kit.Outcome) for r in one.results]
    unlisted = [r.method for r in ran if r.method not in TESTS and r.status != "SKIPPED"]
    if unlisted:
        pytest.fail(f"not in dcp/tests.txt, but run by kit {kit.DCP.version}: {unlisted}", pytrace=False)


@pytest.mark.parametrize(("role", "method"), cases())
def test_dcp(outcome: Callable[[str], kit.Outcome], role: str, method: str) -> None:
    """The kit's own claim is the title of its test, in dcp/tests.txt. A refusal has the right reason."""
    found = outcome(role)
    found.require(method)
    assert REASONS.get(method, "") in (found.log.parent / "node.log").read_text()
