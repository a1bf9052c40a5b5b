"""Policies as people write them: what they mean, and how they fail."""

from pathlib import Path

import pytest

from connector.errors import InvalidFile
from connector.odrl.authoring import load
from connector.odrl.compile import compile_policy
from connector.odrl.explain import explain
from connector.odrl.model import offer, parse, to_document
from connector.odrl.moments import instant
from connector.odrl.operands import Claim, Claims, Facts
from connector.resources import folder


def written(tmp_path, text, name="p.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def problems(tmp_path, text):
    path = written(tmp_path, text)
    with pytest.raises(InvalidFile) as caught:
        load([path])
    return [reason.replace(f"{path}:", "") for reason in caught.value.reasons]


def test_the_shipped_policies_are_usable():
    """Each policy that ships compiles without a problem, and its file begins with a comment."""
    policies = load([folder("policies")])
    assert {"open", "partners-only", "dismantling", "supplier-carbon"} <= policies.keys()
    for policy in policies.values():
        assert compile_policy(policy.contract).problems == ()
        assert Path(policy.place.path).read_text().startswith("# ")


def test_the_manual_is_right(tmp_path):
    """The example in policies/README.md is a policy, and the README lists every file."""
    manual = (folder("policies") / "README.md").read_text()
    example = manual.split("```yaml\n")[1].split("```")[0]
    assert load([written(tmp_path, example)])
    for path in folder("policies").glob("*.yaml"):
        assert f"`{path.name}`" in manual


def test_who_may_see_an_offer(tmp_path):
    """`everyone` shows the offer to all; `partners` to those named, by the same decision as any other."""
    text = "a: {offer: everyone, allow: use}\nb: {offer: {partners: did:web:p.example}, allow: use}"
    policies = load([written(tmp_path, text)])
    see = {id_: compile_policy(policy.access) for id_, policy in policies.items()}
    for who, seen in (("did:web:p.example", ["a", "b"]), ("did:web:q.example", ["a"])):
        assert [id_ for id_, access in see.items() if access.decide(Facts(0.0, who)).permitted] == seen
    assert policies["b"].sentence == "Offered to did:web:p.example only. The data may be used."


def test_an_offer_for_holders_of_a_credential(tmp_path):
    """`credential` shows the offer to those who have presented one; in `when` it is part of the contract."""
    text = """
a: {offer: {credential: RecyclerCredential, partners: did:web:p.example}, allow: use}
b: {offer: everyone, allow: use, when: [credential: [RecyclerCredential, RepairerCredential]]}
"""
    policies = load([written(tmp_path, text)])
    recycler = Claims({"RecyclerCredential": (Claim("RecyclerCredential", "did:web:i.example", {}),)})
    access = compile_policy(policies["a"].access)
    assert not access.decide(Facts(0.0, "did:web:p.example")).permitted
    assert access.decide(Facts(0.0, "did:web:p.example", claims=recycler)).permitted
    assert not access.decide(Facts(0.0, "did:web:q.example", claims=recycler)).permitted
    assert policies["a"].sentence == (
        "Offered to did:web:p.example only and to holders of a RecyclerCredential only. The data may be used."
    )
    contract = compile_policy(policies["b"].contract)
    assert contract.credentials == {"RecyclerCredential", "RepairerCredential"}
    assert contract.decide(Facts(0.0, "did:web:q.example", claims=recycler)).permitted
    with pytest.raises(InvalidFile, match="must be a credential's type, such as MembershipCredential"):
        load([written(tmp_path, "c: {offer: {credential: recycler}, allow: use}")])


def test_conditions_become_odrl(tmp_path):
    """Each word of the language becomes the ODRL it stands for."""
    text = """
a:
  offer: everyone
  allow: use
  when:
    - from: 2026-01-01
    - until: 2027-12-31T12:00:00Z
    - for: 90 days
    - any:
        - participant: [did:web:a.example, NO]
        - all: [{for: 1 hour}, {until: 2026-06-30}]
        - one: [{for: 2 weeks}, {for: 1 year}]
"""
    policy = load([written(tmp_path, text)])["a"]
    assert to_document(offer(policy.contract, "urn:uuid:1")) == {
        "@id": "urn:uuid:1",
        "@type": "Offer",
        "permission": [
            {
                "action": "use",
                "constraint": [
                    _odrl("dateTime", "gteq", "2026-01-01T00:00:00Z"),
                    _odrl("dateTime", "lteq", "2027-12-31T12:00:00Z"),
                    _odrl("elapsedTime", "lteq", "P90D"),
                    {
                        "or": [
                            {
                                "leftOperand": "https://w3id.org/anode/v1/participant",
                                "operator": "isAnyOf",
                                "rightOperand": ["did:web:a.example", "NO"],
                            },
                            {
                                "and": [
                                    _odrl("elapsedTime", "lteq", "PT1H"),
                                    _odrl("dateTime", "lt", "2026-07-01T00:00:00Z"),
                                ]
                            },
                            {
                                "xone": [
                                    _odrl("elapsedTime", "lteq", "P2W"),
                                    _odrl("elapsedTime", "lteq", "P1Y"),
                                ]
                            },
                        ]
                    },
                ],
            }
        ],
    }
    assert str(policy.place).endswith("p.yaml:2")


def _odrl(left, how, right):
    return {"leftOperand": f"odrl:{left}", "operator": how, "rightOperand": right}


def test_a_day_is_the_whole_day(tmp_path):
    """`until` a day includes that day to its end in UTC, and nothing of the next."""
    text = "a: {offer: everyone, allow: use, when: [from: 2026-03-01, until: 2026-03-01]}"
    compiled = compile_policy(load([written(tmp_path, text)])["a"].contract)
    begin, end = instant("2026-03-01T00:00:00Z"), instant("2026-03-02T00:00:00Z")
    answers = [compiled.decide(Facts(now, "x")).permitted for now in (begin - 1, begin, end - 0.001, end)]
    assert answers == [False, True, True, False]


def test_every_mistake_is_named_with_its_line(tmp_path):
    """All mistakes of a file come at once, each with line, policy and what would do."""
    text = """a:
  offer: everone
  allow: used
  wen: now
  when:
    - untill: 2027-01-01
    - until: 2027-13-01
    - until: 2027-01-01T00:00
    - for: 3 moons
    - any: []
    - {from: 2027-01-01, until: 2028-01-01}
Bad Id: {}
b: {offer: {partners: [did:web:a, 7]}, allow: use, when: {until: 2027-01-01}}
c: 7
"""
    found = problems(tmp_path, text)
    assert found[:4] == [
        '4: policy a: unknown block "wen"; did you mean "when"?',
        '2: policy a: unknown audience "everone"; did you mean "everyone"?',
        '3: policy a: unknown action "used"; did you mean "use"?',
        '6: policy a: unknown condition "untill"; did you mean "until"?',
    ]
    assert [int(line.split(":")[0]) for line in found[4:]] == [7, 9, 10, 11, 12, 12, 12, 13, 13, 14]


def test_a_value_that_cannot_be_evaluated_is_refused(tmp_path):
    """What would deny at run time is refused when it is written, with the reason."""
    text = "a: {offer: everyone, allow: use, when: [until: 2027-01-01T00:00]}"
    (problem,) = problems(tmp_path, text)
    assert "has no time zone; with one it would be 2027-01-01T00:00Z" in problem
    deep = "{until: 2027-01-01}"
    for _ in range(12):
        deep = f"{{all: [{deep}]}}"
    (problem,) = problems(tmp_path, f"a: {{offer: everyone, allow: use, when: [{deep}]}}")
    assert "nested deeper than 8" in problem


def test_ids_are_taken_once(tmp_path):
    """The same id twice, in one file or in two, is refused with both places."""
    (problem,) = problems(tmp_path, "a: {offer: everyone, allow: use}\na: {offer: everyone, allow: use}\n")
    assert problem.startswith('2: key "a" is already set in line 1')
    paths = [written(tmp_path, "a: {offer: everyone, allow: use}", name) for name in ("x.yaml", "y.yaml")]
    with pytest.raises(InvalidFile, match=r'y\.yaml:1: policy "a" is already in .*x\.yaml:1'):
        load(paths)


def test_files_and_folders_are_read(tmp_path):
    """Folders give their *.yaml; a missing path, an empty file or a list is named."""
    written(tmp_path, "a: {offer: everyone, allow: use}")
    written(tmp_path, "b: {offer: everyone, allow: use}", "q.yaml")
    written(tmp_path, "not: [a policy", "notes.txt")
    assert list(load([tmp_path])) == ["a", "b"]
    with pytest.raises(InvalidFile, match="no such file"):
        load([tmp_path / "missing.yaml"])
    assert problems(tmp_path, "")[0].startswith("1: must map policy ids")


def test_a_policy_is_said_in_one_sentence():
    """The sentence names every condition, and says of what can't be evaluated that it is refused."""
    until = _odrl("dateTime", "lteq", "2027-12-31T12:00:00Z")
    unknown = {"leftOperand": "partner", "operator": "eq", "rightOperand": "gold"}

    def said(*constraints, **members):
        rule = {"action": "use", "constraint": list(constraints)}
        return explain(parse({"@id": "x", "@type": "Offer", "permission": [rule], **members}))

    assert said(until, _odrl("elapsedTime", "lteq", "P90D")) == (
        "The data may be used until 31 December 2027 12:00 UTC, for 90 days from the agreement on."
    )
    assert said({"or": [until, unknown]}) == (
        "The data may be used either until 31 December 2027 12:00 UTC or "
        "if partner eq gold (refused: this node can't evaluate it)."
    )
    assert said(permission=[]) == "Nothing is allowed."
    all_of_it = said(
        {"xone": [until, {"and": [until, until]}]},
        prohibition=[{"action": "distribute"}],
        obligation=[{"action": "inform"}],
        profile="urn:p",
        conflict="perm",
    )
    for part in (
        "exactly one of",
        "'distribute' (refused",
        "obliges to inform",
        "relies on urn:p and the conflict term perm",
    ):
        assert part in all_of_it
    many = {"leftOperand": "partner", "operator": "isAnyOf", "rightOperand": list("abcdefgh")}
    assert "a, b, c, d or 4 more" in said(many)
