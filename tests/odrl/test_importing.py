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
        "permission[0].https://other.example/price is of another vocabulary",
        "'Membershp' is a word that the document's contexts don't define",
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
    odd = {"@context": ODRL, "@type": "urn:x", "permission": [{"action": "use"}]}
    with pytest.raises(RemoteProtocolError, match=r"must be Offer, .*, Privacy, not urn:x"):
        importing.read([odd], "p")
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
    assert found.refused[0].startswith("an access policy only says who sees an offer; name the usage policy")
    assert "`allow` is missing" in found.refused[1]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("Assertion", "it only claims rules, and allows nothing"),
        ("Request", "it only asks for rules, and allows nothing"),
        ("Ticket", "it is for whoever holds the ticket, and who does is not evaluated"),
    ],
)
def test_types_that_mean_something_else(kind, reason):
    """What asks, claims, or is for a bearer would be an offer to somebody in a file: it is refused."""
    document = {"@context": ODRL, "@type": ["Policy", kind], "permission": [{"action": "use"}]}
    with pytest.raises(RemoteProtocolError, match=f"of type {kind} is not evaluated: {reason}"):
        importing.read([document], "p")


def test_a_policy_about_personal_data():
    """ODRL's Privacy has rules as any policy; what its type says is told."""
    document = {"@context": ODRL, "@type": "Privacy", "permission": [{"action": "use"}]}
    found = importing.read([document], "p")
    assert (found.text, found.lost) == ("p:\n  allow: use\n", ())
    assert found.notes[0].startswith("@type Privacy: a file has no place for it")


def test_a_target_of_each_rule_is_the_policys():
    """An asset that all rules are about is noted, wherever it stands, and does not bind the file to it."""
    rules = [{"action": action, "target": "urn:a", "assignee": "did:web:q"} for action in ("play", "print")]
    for shared in ({"permission": rules}, {"target": "urn:a", "assignee": "did:web:q", "permission": rules}):
        found = importing.read([{"@context": ODRL, "@type": "Agreement", **shared}], "p")
        assert found.text == "p:\n  offer:\n    partners: did:web:q\n  allow: [play, print]\n"
        assert found.notes == (
            "target urn:a: a file has no place for it",
            "assignee did:web:q: a file has no place for it",
        )


def test_a_target_of_one_rule_stays():
    """A rule about one asset alone is not made one about any: it stays as ODRL, and that is told."""
    rules = [{"action": "play", "target": "urn:a"}, {"action": "print", "target": "urn:b"}]
    found = importing.read([{"@context": ODRL, "@type": "Set", "permission": rules}], "p")
    assert found.notes == (
        "permission[0].target urn:a: the rule, as ODRL, is about nothing else",
        "permission[1].target urn:b: the rule, as ODRL, is about nothing else",
    )
    assert "target: urn:a" in found.text


def test_several_assignees_are_the_partners():
    """A policy for several parties is offered to these, and nobody else."""
    document = {"@context": ODRL, "@type": "Policy", "assignee": ["urn:y", "urn:z"], "target": "urn:a"}
    found = importing.read([document | {"permission": [{"action": "use"}]}], "p")
    assert found.text == "p:\n  offer:\n    partners: [urn:y, urn:z]\n  allow: use\n"


def test_an_assignee_beside_an_access_policy():
    """Where an access policy says who sees the offer, that it was for one party alone is lost, and told."""
    access = {"@context": [DSP], "@type": "Set", "permission": [{"action": "cx-policy:access"}]}
    usage = {"@context": [DSP], "@type": "Set", "permission": [{"action": "use"}]}
    assert importing.read([usage, access], "p").lost == ()
    for found in ([{**usage, "assignee": "urn:y"}, access], [usage, {**access, "assignee": "urn:y"}]):
        told = importing.read(found, "p").lost
        assert told == ("the policy is for urn:y alone, beside what the access policy says",)


def test_names_are_no_lost_words():
    """The plain ids of an EDC PolicyDefinition, its policy and its asset are names; operands are not."""
    constraint = {"leftOperand": "dateTime", "operator": "eq", "rightOperand": {"@id": "px9"}}
    policy = {"@context": ODRL, "@type": "Set", "@id": "px", "target": "asset-1"}
    policy["permission"] = [{"action": "use", "constraint": constraint}]
    around = {"@context": {"@vocab": EDC}, "@type": "PolicyDefinition", "@id": "pd", "policy": policy}
    found = importing.read([around], "p")
    assert found.lost == ("'px9' is a word that the document's contexts don't define",)
    del policy["permission"][0]["constraint"]
    assert importing.read([around], "p").lost == ()


def test_parts_of_a_policy():
    """A constraint or a rule by itself is told to be one, and what goes around it."""
    with pytest.raises(RemoteProtocolError, match="only a constraint: put it into a rule of a policy, "):
        importing.read([{"leftOperand": "Membership", "operator": "eq", "rightOperand": "active"}], "p")
    with pytest.raises(RemoteProtocolError, match="only a rule: put it into a policy, "):
        importing.read([{"action": "use"}], "p")


@pytest.mark.parametrize("document", [None, 3, "https://x.example/policy"])
def test_what_is_no_document(document):
    """A JSON value that is no object is refused; an address is not fetched."""
    with pytest.raises(RemoteProtocolError, match="must be a JSON object, or a list of objects"):
        importing.read([document], "p")


def test_a_large_policy_comes_back():
    """What this node writes it reads again, however many windows."""
    windows = [f"{{all: [{{from: {year}-01-01}}, {{until: {year}-06-30}}]}}" for year in range(1000, 1262)]
    text = f"p: {{offer: everyone, allow: use, when: [{{any: [{', '.join(windows)}]}}]}}"
    contract = read(yamlfile.parse(text, "p.yaml"))["p"].contract
    assert proof.problems(contract) == []
    found = importing.read([proof.document(contract)], "p")
    assert (found.lost, found.notes) == ((), ())
    filled = yamlfile.parse(found.text.replace("p:\n", "p:\n  offer: everyone\n", 1), "p.yaml")
    assert canonical(read(filled)["p"].contract) == canonical(contract)
