"""The policies that ship: usable, explained in the manual, and deciding as their cases say."""

import json
from pathlib import Path

import pytest

from connector import yamlfile
from connector.odrl import proof
from connector.odrl.authoring import cases, load
from connector.odrl.authoring.plain import AUDIENCE, DUTY, STOP, TRANSFORM
from connector.odrl.authoring.words import WORDS
from connector.odrl.compile import compile_policy
from connector.odrl.projection import Projection, projected
from connector.odrl.vocabulary import ACTIONS, ANODE, COUNT, DATE_TIME, ELAPSED_TIME, Enforcement, iri
from connector.resources import folder

POLICIES = load([folder("policies")])
USED = frozenset(
    {"stateOfCharge", "fullCycles", "energyThroughput", "capacityThroughput", "operatingTemperature"}
    | {"timeTooHot", "timeTooCold", "timeChargingTooHot", "timeChargingTooCold"}
    | {"deepDischarges", "overcharges", "accidents"}
)
"""Attributes that say how a battery was used: Annex XIII(4)(d), and what Annex VII B asks for beside it."""
MANUAL = (folder("policies") / "README.md").read_text()
policies = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())


@policies
def test_a_template_decides_as_its_cases_say(policy):
    """Each template has cases for a yes and, but for those that are for everyone, for a no; all come out."""
    results = cases.run(policy)
    assert [f"{result.case.place}: {result.says}" for result in results if result.says] == []
    outcomes = {result.outcome for result in results}
    assert outcomes & {"seen", "allowed"}
    assert outcomes & {"unseen", "refused"} or policy.id in ("open", "public")


@policies
def test_a_template_means_on_the_wire_what_it_says(policy):
    """Nothing of a template is dropped, made up, or left to an engine that can't keep it."""
    assert proof.problems(policy.contract) == []
    assert compile_policy(policy.contract).problems == ()
    assert compile_policy(policy.access, "access").problems == ()


def test_every_file_begins_with_a_comment_and_is_listed():
    """A template says on top what it is for, and the manual lists each file once."""
    for path in folder("policies").glob("*.yaml"):
        assert path.read_text().startswith("# ")
        assert MANUAL.count(f"| `{path.name}` |") == 1


def test_the_manuals_example_is_right(tmp_path: Path):
    """The example in the manual is a policy whose cases come out."""
    path = tmp_path / "p.yaml"
    path.write_text(MANUAL.split("```yaml\n")[1].split("```")[0])
    (policy,) = load([path]).values()
    assert [result.says for result in cases.run(policy)] == ["", "", ""]


def test_the_manual_has_every_word():
    """Each word of the language is in the manual."""
    for word in (*WORDS, *AUDIENCE, *DUTY, *STOP, *TRANSFORM, "any", "all", "one", "odrl", "data", "to"):
        assert f"`{word}`" in MANUAL or f"`{word}:" in MANUAL, word
    for word in ("profile: cx", "review: yes", "cases", "because", *(w for w in cases.WORDS if w != "at")):
        assert f"`{word}`" in MANUAL, word


def dropped(duty):
    """The attributes that a duty of the node's leaves out."""
    values = duty.constraint[0].right_operand if duty.action == ANODE + "project" else ()
    return {values} if isinstance(values, str) else set(values)


def test_what_is_left_out_of_point_4_is_in_the_catalogue():
    """A misspelt attribute would leave; each is one of the catalogue's, of point 4."""
    known = yamlfile.read(folder("vocab") / "attributes.yaml").value["attributes"]
    assert {known[name]["is"]["point"] for name in USED} == {4}


@pytest.mark.parametrize("battery", ["ev", "e-bike", "storage"])
@pytest.mark.parametrize(
    ("id_", "kept"),
    [
        ("use-data", USED),
        ("use-data-for-repairers", {"fullCycles", "deepDischarges", "overcharges", "accidents"}),
        ("repairer-use-data", {"fullCycles", "deepDischarges", "overcharges", "accidents"}),
        ("use-data-for-recyclers", {"deepDischarges", "overcharges", "accidents"}),
    ],
)
def test_of_point_4_each_reads_what_its_work_needs(id_, kept, battery):
    """Of how a battery was used leaves only what the template says; durability and health leave whole."""
    drop = {text for duty in POLICIES[id_].contract.permission[0].duty for text in dropped(duty)}
    assert drop == USED - kept
    document = json.loads((folder("catalog") / battery / "use-data.jsonld").read_bytes())
    made = projected(document, Projection(frozenset(drop)), str)
    before, after = document["battery"].keys(), made["battery"].keys()
    assert after & USED == before & kept
    assert {name: made["battery"][name] for name in before - USED} == {
        name: document["battery"][name] for name in before - USED
    }


def test_access_by_law_has_no_end_and_no_duty_to_miss():
    """What the law gives authorities, repairers and persons with a legitimate interest, ends by nothing."""
    for path in ("authority", "repairer", "legitimate-interest", "public"):
        for policy in load([folder("policies") / f"{path}.yaml"]).values():
            (rule,) = policy.contract.permission
            assert not policy.contract.obligation
            assert not any(iri(c.left_operand) in (ELAPSED_TIME, DATE_TIME, COUNT) for c in rule.constraint)


def test_our_terms_are_explained():
    """Each term of ours that a policy can hold is in the vocabulary, with the class that the engine has."""
    text = (folder("vocab") / "policy.md").read_text()
    ours = {name.removeprefix(ANODE): action for name, action in ACTIONS.items() if name.startswith(ANODE)}
    for name, action in ours.items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert ("per request" in line) == (action.duty is Enforcement.PER_REQUEST)
    for name in ("participant", "credential", "claim", "securityProfile", "attribute", "groupSize"):
        assert f"| `{name}` |" in text
