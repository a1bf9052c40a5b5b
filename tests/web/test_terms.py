"""What peers' terms say, with the class of each: for any offer, also one that is made to do harm."""

from typing import Any

import pytest

from connector.web.terms import Terms, offers

CX = "https://w3id.org/catenax/2025/9/policy/"
FOREIGN: dict[str, Any] = {
    "@type": "odrl:Set",  # as Eclipse EDC lists them
    "@id": "urn:x:o",
    "profile": "cx-policy:profile2509",
    "permission": [
        {
            "action": "use",
            "constraint": [
                {"and": [{"leftOperand": f"{CX}Membership", "operator": "eq", "rightOperand": "active"}]},
                {
                    "leftOperand": f"{CX}UsagePurpose",
                    "operator": "isAnyOf",
                    "rightOperand": ["cx.pcf:1"],
                },
            ],
        }
    ],
    "prohibition": [{"action": "distribute"}],
    "obligation": [{"action": "delete", "constraint": []}],
}


def test_each_term_of_a_foreign_offer_has_its_class() -> None:
    """A sentence, and for each term whether it is enforced, tracked or only agreed."""
    said = Terms.of(FOREIGN, "Offer")
    assert said.readable
    assert "must not be shared with third parties" in said.sentence
    classes = {term.path: term.enforcement for term in said.terms}
    assert classes["prohibition[0]"] == "agreed"
    assert classes["permission[0].constraint[0].and[0]"] == "enforced"


def test_a_term_that_this_node_does_not_know_is_said_to_be_refused() -> None:
    """It has no class: the node refuses the policy because of it, and that is what is shown."""
    constraint = {"leftOperand": "urn:x:moon", "operator": "eq", "rightOperand": "full"}
    said = Terms.of(
        {"@id": "urn:x:o", "permission": [{"action": "use", "constraint": [constraint]}]}, "Offer"
    )
    assert [(term.enforcement, term.how.startswith("refused:")) for term in said.terms] == [(None, True)]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"@id": 3},
        {"@id": "urn:x:o", "permission": [{"action": {"a": "b"}}]},
        {"@id": "urn:x:o", "permission": 7},
        {"@id": "urn:x:o", "permission": [{"action": "use", "constraint": [{"and": "x"}]}]},
        {
            "@id": "urn:x:o",
            "obligation": [
                {
                    "action": "delete",
                    "constraint": [{"leftOperand": "delayPeriod", "operator": "eq", "rightOperand": []}],
                }
            ],
        },
    ],
)
def test_what_can_not_be_read_is_said_to_be_so(document: dict[str, Any]) -> None:
    """Nothing that a peer writes raises."""
    assert Terms.of(document, "Offer").sentence
    assert offers({"hasPolicy": [document, None, "x"]}) == [Terms.of(document, "Offer")]
    assert offers({"hasPolicy": document}) == [Terms.of(document, "Offer")]


def test_of_very_many_offers_the_first_are_said() -> None:
    """A peer can't make a node read for long."""
    assert len(offers({"hasPolicy": [FOREIGN] * 1000})) == 100
    assert offers({}) == []
