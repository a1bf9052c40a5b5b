"""Replays: what was not kept of a past request is not guessed."""

from typing import Any

import pytest

from connector.flows.whatif import _blind
from connector.odrl.compile import compile_policy
from connector.odrl.model import parse

USE = {"action": "use"}
WITHIN = {"leftOperand": "odrl:delayPeriod", "operator": "lteq", "rightOperand": "P7D"}
INFORM = {"action": "odrl:inform", "constraint": [WITHIN]}
UNTIL = {"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": "2030-01-01T00:00:00Z"}
GROUP = {"leftOperand": "BusinessPartnerGroup", "operator": "isAnyOf", "rightOperand": ["gold"]}


@pytest.mark.parametrize(
    ("rule", "blind"),
    [
        (USE, False),
        ({**USE, "constraint": [UNTIL]}, False),
        ({**USE, "duty": [INFORM]}, True),
        ({**USE, "constraint": [GROUP]}, True),
    ],
)
def test_what_depends_on_what_was_not_kept_is_not_known(rule: dict[str, Any], blind: bool) -> None:
    """How duties stood, and in which groups a partner was, is in no audit line: no turn is claimed for it."""
    policy = compile_policy(parse({"@id": "urn:x:p", "@type": "Offer", "permission": [rule]}))
    assert _blind(policy) is blind
