"""A policy says on the wire what it says here; what a peer would read otherwise is found."""

import pytest

from connector.jsonld.contexts import CATENA_X, DSP
from connector.odrl import proof
from connector.odrl.model import Policy, Rule, parse


def policy(action="use", **constraint):
    constraints = [{"operator": "eq", "rightOperand": "x", **constraint}] if constraint else []
    rule = {"action": action, "constraint": constraints}
    return parse({"@type": "Set", "permission": [rule]})


def test_what_the_words_make_is_proved():
    """Prefixed, full and Catena-X's bare terms mean to a peer what they mean here."""
    assert proof.problems(policy(leftOperand="odrl:count")) == []
    assert proof.problems(policy(leftOperand="https://w3id.org/anode/v1/claim")) == []
    assert proof.problems(policy(leftOperand="Membership")) == []
    assert proof.message(policy(leftOperand="Membership"))["@context"] == [CATENA_X, DSP]
    assert proof.message(policy(leftOperand="odrl:count"))["@context"] == [DSP]


@pytest.mark.parametrize("word", ["count", "dateTime", "Membershp", "inForceDate"])
def test_a_bare_word_is_found(word):
    """A bare operand that the message's contexts don't define would become an address of the base."""
    (problem,) = proof.problems(policy(leftOperand=word))
    assert problem == f"'{word}' would become an address that nobody defines"


def test_a_bare_action_is_found():
    """So would an action other than `use`."""
    assert proof.problems(policy("distribute")) == [
        "'distribute' would become an address that nobody defines"
    ]
    assert proof.problems(policy("odrl:distribute")) == []


def test_a_term_outside_the_registry_is_found():
    """A full IRI that no registry has is found, whatever it is used as."""
    strange = policy("https://x.example/act", leftOperand="https://x.example/left")
    assert proof.problems(strange) == [
        "https://x.example/act is no term that this node knows",
        "https://x.example/left is no term that this node knows",
    ]


def test_a_dropped_member_is_found():
    """DSP has no place for a refinement: a policy with one is not proved, nor an undefined member."""
    refined = parse(
        {
            "@type": "Set",
            "permission": [
                {
                    "action": {
                        "rdf:value": {"@id": "odrl:read"},
                        "refinement": [{"leftOperand": "odrl:count", "operator": "eq", "rightOperand": "1"}],
                    }
                }
            ],
        }
    )
    assert proof.problems(refined) == ["rdf:value is no term that this node knows"]
    unread = parse({"@type": "Set", "permission": [{"action": "use", "unit": "urn:u"}]})
    assert proof.problems(unread) == ["'unit' has no meaning in the protocol's context and would be dropped"]


def test_a_policy_that_reads_back_otherwise_is_found():
    """A value that JSON-LD has no notation for comes back as another, and is told."""
    empty = Policy("Set", permission=(Rule("use"),), profile=("urn:p", "no iri"))
    assert proof.problems(empty) != []


def test_what_no_node_takes_is_found():
    """A policy whose message is larger than a node takes is not right, however well it reads."""
    many = [{"leftOperand": "odrl:count", "operator": "isAnyOf", "rightOperand": ["x" * 1500] * 1000}]
    large = parse({"@type": "Set", "permission": [{"action": "use", "constraint": many}]})
    (problem,) = proof.problems(large)
    assert problem.startswith("The message that carries it has 15")
