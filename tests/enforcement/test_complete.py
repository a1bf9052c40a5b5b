"""No row of the enforcement matrix says enforced without a test that tries to get round it."""

from connector.odrl.operands import OPERANDS
from connector.odrl.vocabulary import ACTIONS, Enforcement
from tests.enforcement import (
    test_parties,
    test_projections,
    test_proofs,
    test_purpose,
    test_times,
    test_uses,
)

HELD = (Enforcement.ENFORCED, Enforcement.PER_REQUEST)
RULES = {"permission", "prohibition", "obligation", "target", "assignee"}
"""Rows that stand for a whole rule, or for whom and what it is about."""


def tried() -> set[str]:
    """What the tests of this folder say that they try to get round."""
    modules = (test_parties, test_projections, test_proofs, test_purpose, test_times, test_uses)
    return {
        str(term)
        for module in modules
        for name, test in vars(module).items()
        if name.startswith("test_")
        for mark in getattr(test, "pytestmark", ())
        if mark.name == "enforces"
        for term in mark.args
    }


def test_each_row_that_is_enforced_is_tried() -> None:
    """An operand or an action that is said to be enforced, or done at each request, has its test here; and no
    test is about one that does not exist."""
    enforced = {name for name, operand in OPERANDS.items() if operand.enforcement in HELD}
    enforced |= {name for name, action in ACTIONS.items() if action.duty in HELD}
    assert len(enforced) > 20
    assert tried() == enforced | RULES
