"""The policies that ship: usable, explained in the manual, and deciding as their cases say."""

from pathlib import Path

import pytest

from connector.odrl import proof
from connector.odrl.authoring import cases, load
from connector.odrl.authoring.plain import AUDIENCE, DUTY, STOP, TRANSFORM
from connector.odrl.authoring.words import WORDS
from connector.odrl.compile import compile_policy
from connector.odrl.vocabulary import ACTIONS, ANODE, Enforcement
from connector.resources import folder

POLICIES = load([folder("policies")])
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
    for word in ("profile: cx", "cases", "because", *(w for w in cases.WORDS if w != "at")):
        assert f"`{word}`" in MANUAL, word


def test_our_terms_are_explained():
    """Each term of ours that a policy can hold is in the vocabulary, with the class that the engine has."""
    text = (folder("vocab") / "policy.md").read_text()
    ours = {name.removeprefix(ANODE): action for name, action in ACTIONS.items() if name.startswith(ANODE)}
    for name, action in ours.items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert ("per request" in line) == (action.duty is Enforcement.PER_REQUEST)
    for name in ("participant", "credential", "claim", "securityProfile", "attribute", "groupSize"):
        assert f"| `{name}` |" in text
