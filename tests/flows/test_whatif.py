"""Replays: what was not kept of a past request is not guessed."""

from typing import Any

import orjson
import pytest

from connector.flows.decisions import compact, facts_of
from connector.flows.whatif import _blind
from connector.odrl.compile import compile_policy
from connector.odrl.duties import DONE_HERE
from connector.odrl.facts import FULFILLED, Facts, Performance
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
    """Where the policy of then looked at no duties, and at no groups, no turn is claimed for them."""
    policy = compile_policy(parse({"@id": "urn:x:p", "@type": "Offer", "permission": [rule]}))
    assert _blind(policy, Facts(0.0, "did:web:peer.example")) is blind


def test_what_was_looked_at_is_kept() -> None:
    """Groups and how duties stood come back from what is kept of a decision."""
    duties = {**DONE_HERE, "permission[0].duty[0]": Performance("pending", 7.0), "x": FULFILLED}
    facts = Facts(1.0, "did:web:peer.example", 0.0, groups=frozenset({"gold"}), duties=duties)
    kept = orjson.loads(orjson.dumps(compact(facts)))
    assert facts_of(kept, 1.0, "did:web:peer.example") == facts
    policy = compile_policy(
        parse({"@id": "urn:x:p", "@type": "Offer", "permission": [{**USE, "constraint": [GROUP]}]})
    )
    assert not _blind(policy, facts)
    assert policy.decide(facts).permitted
