"""ODRL and Catena-X documents become files of policies, and what could not be carried is said."""

import json
from pathlib import Path

import pytest
from hypothesis import assume, given, settings

from connector import yamlfile
from connector.errors import InvalidFile, RemoteProtocolError
from connector.jsonld.contexts import DSP
from connector.odrl import importing, proof
from connector.odrl.authoring import load, read
from connector.odrl.canonical import canonical
from connector.odrl.model import parse
from connector.odrl.vocabulary import EDC
from connector.resources import folder
from tests.odrl.test_model import documents

PROFILE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "policy" / "cx-odrl-profile"
SAMPLES = PROFILE / "schema" / "samples"
ODRL = "http://www.w3.org/ns/odrl.jsonld"
SHIPPED = load([folder("policies")])


def back(imported, name="p"):
    """The policy that an imported file has."""
    return read(yamlfile.parse(imported.text, "p.yaml"))[name]


@pytest.mark.parametrize("policy", SHIPPED.values(), ids=SHIPPED.keys())
def test_what_ships_comes_back(policy):
    """Each shipped policy, written as ODRL with its access policy, comes back as the same two policies."""
    found = importing.read([proof.document(policy.contract), proof.document(policy.access)], "p")
    assert (found.lost, found.refused, found.policies) == ((), (), 2)
    again = back(found)
    assert canonical(again.contract) == canonical(policy.contract)
    assert canonical(again.access) == canonical(policy.access)
    assert "odrl:" not in found.text


@settings(max_examples=150, deadline=None)
@given(documents)
def test_any_policy_comes_back_with_every_rule(document):
    """Whatever ODRL the model reads, a file says the same: what no word says stands there as ODRL."""
    text = json.dumps(document).replace("edc:x", f"{EDC}x")
    assume(
        '": []' not in text.replace('"permission": []', "").replace('"constraint": []', "")
    )  # says nothing
    document = json.loads(text)
    found = importing.read([{"@context": [DSP], **document}], "p")
    filled = {"p": {"offer": "everyone", **yamlfile.parse(found.text, "p").value["p"]}}
    again = read(yamlfile.parse(yamlfile.write(filled), "p"), evaluable=False)["p"].contract
    assert len(again.permission) == len(document["permission"])
    assert len(again.prohibition) == len(document.get("prohibition", []))
    assert canonical(importing.flattened(again)) == canonical(importing.flattened(parse(document)))


@pytest.mark.skipif(not SAMPLES.exists(), reason="Catena-X's samples are not on this machine")
def test_catena_xs_own_samples():
    """The valid official usage policy becomes a file in the profile; those that are not valid say why not."""
    samples = {path.stem: json.loads(path.read_bytes()) for path in sorted(SAMPLES.glob("*-policy*.json"))}
    access = samples.pop("access-policy")
    assert len(samples) == 3
    for name, document in samples.items():
        found = importing.read([document, access], "p")
        assert found.lost == ()
        assert found.text.count("offer:") == 1
        if name == "usage-policy-individual-constraints-sample":
            assert found.refused == ()
            assert found.text.startswith("p:\n  offer:\n    member: active\n    partners: BPNL012345678910\n")
            assert "profile: cx" in found.text
        else:
            assert "must be one of cx." in found.refused[0] or "no word" in found.refused[0]


def test_full_odrl():
    """A policy under ODRL's own context keeps its refinement, and names its parties beside the file."""
    pages = {
        "leftOperand": "count",
        "operator": "lteq",
        "rightOperand": {"@value": "5", "@type": "xsd:integer"},
    }
    rule = {
        "target": "http://example.com/asset:9",
        "assigner": "did:web:p.example",
        "assignee": "did:web:q.example",
        "action": [{"rdf:value": {"@id": "odrl:use"}, "refinement": [pages]}],
    }
    document = {"@context": ODRL, "@type": "Agreement", "uid": "http://example.com/policy:1"}
    document |= {name: rule[name] for name in ("target", "assigner", "assignee")}
    found = importing.read([document | {"permission": [rule]}], "p")
    assert (found.lost, found.refused) == ((), ())
    assert found.notes == (
        "target http://example.com/asset:9: a file has no place for it",
        "assigner did:web:p.example: a file has no place for it",
        "assignee did:web:q.example: a file has no place for it",
    )
    policy = back(found)
    assert policy.contract.permission[0].refinement[0].left_operand == "odrl:count"
    assert policy.sentence.startswith("Offered to did:web:q.example only.")


def test_what_cannot_be_carried_is_said():
    """Foreign members, contexts that nobody holds, members and words without a meaning: each is named."""
    constraint = {"leftOperand": "Membershp", "operator": "eq", "rightOperand": "active", "weight": 3}
    rule = {"action": "use", "constraint": [constraint, {**constraint, "leftOperand": "dateTime"}]}
    rule |= {"https://other.example/price": "5", "constraint": rule["constraint"]}
    document = {
        "@context": [DSP, "https://peer.example/c"],
        "@type": "Offer",
        "@id": "x",
        "permission": [rule],
    }
    message = {"@context": document.pop("@context"), "@type": "ContractOfferMessage", "offer": document}
    found = importing.read([message], "p")
    assert found.lost == (
        "the context https://peer.example/c is not held here: what only it defines is lost",
        "'weight' has no meaning under the document's contexts",
        "'Membershp' is a word that the document's contexts don't define",
        "permission[0].https://other.example/price is of another vocabulary",
    )
    assert found.notes == (
        "'dateTime' has no meaning under the document's contexts; "
        "it is read as http://www.w3.org/ns/odrl/2/dateTime",
    )
    assert "leftOperand: Membershp" in found.text
    assert any("Membershp is not an operand" in reason for reason in found.refused)
    with pytest.raises(InvalidFile, match="`offer` is missing"):
        back(found)


def test_several_policies_and_none():
    """A catalog's policies get an id each; a document without one, or with an odd type, is refused."""
    offers = [{"@type": "Offer", "@id": f"urn:o:{n}", "permission": [{"action": "use"}]} for n in (1, 2)]
    catalog = {"@context": [DSP], "@type": "Dataset", "@id": "urn:d", "hasPolicy": offers}
    found = importing.read([catalog], "p")
    assert (found.policies, found.text) == (2, "p:\n  allow: use\np-2:\n  allow: use\n")
    with pytest.raises(RemoteProtocolError, match="no ODRL policy"):
        importing.read([{"@context": [DSP], "@type": "Dataset", "@id": "urn:d"}], "p")
    request = {"@context": ODRL, "@type": "Request", "permission": [{"action": "use"}]}
    with pytest.raises(RemoteProtocolError, match="must be Offer, Agreement, Set, Policy, not Request"):
        importing.read([request], "p")
    access = {"@context": [DSP], "@type": "Set", "permission": [{"action": "cx-policy:access"}]}
    with pytest.raises(RemoteProtocolError, match="several access policies"):
        importing.read([access, access], "p")


def test_an_access_policy_alone():
    """An access policy by itself becomes an `offer`, and the file says what it lacks."""
    document = proof.document(SHIPPED["cx-dismantling"].access)
    found = importing.read([document], "p")
    assert found.text == (
        "p:\n  offer:\n    member: active\n    groups: certified-recyclers\n  profile: cx\n"
    )
    assert "`allow` is missing" in found.refused[0]
