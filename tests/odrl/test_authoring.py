"""Policies as people write them: what they mean, and how they fail."""

import pytest

from connector.errors import InvalidFile
from connector.odrl.authoring import load
from connector.odrl.compile import compile_policy
from connector.odrl.duties import DONE_HERE
from connector.odrl.explain import explain
from connector.odrl.model import offer, parse, to_document
from connector.odrl.moments import instant
from connector.odrl.operands import Claim, Claims, Facts
from connector.odrl.projection import Projection


def written(tmp_path, text, name="p.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def problems(tmp_path, text):
    path = written(tmp_path, text)
    with pytest.raises(InvalidFile) as caught:
        load([path])
    return [reason.replace(f"{path}:", "") for reason in caught.value.reasons]


def test_who_may_see_an_offer(tmp_path):
    """`everyone` shows the offer to all; `partners` to those named, by the same decision as any other."""
    text = "a: {offer: everyone, allow: use}\nb: {offer: {partners: did:web:p.example}, allow: use}"
    policies = load([written(tmp_path, text)])
    see = {id_: compile_policy(policy.access, "access") for id_, policy in policies.items()}
    for who, seen in (("did:web:p.example", ["a", "b"]), ("did:web:q.example", ["a"])):
        assert [
            id_ for id_, access in see.items() if access.decide(Facts(0.0, who, action="access")).permitted
        ] == seen
    assert policies["b"].sentence == "Offered to did:web:p.example only. The data may be used."


def test_an_offer_for_holders_of_a_credential(tmp_path):
    """`credential` shows the offer to those who have presented one; in `when` it is part of the contract."""
    text = """
a: {offer: {credential: RecyclerCredential, partners: did:web:p.example}, allow: use}
b: {offer: everyone, allow: use, when: [credential: [RecyclerCredential, RepairerCredential]]}
"""
    policies = load([written(tmp_path, text)])
    recycler = Claims({"RecyclerCredential": (Claim("RecyclerCredential", "did:web:i.example", {}),)})
    access = compile_policy(policies["a"].access, "access")
    p, q = (Facts(0.0, f"did:web:{name}.example", action="access") for name in "pq")
    assert not access.decide(p).permitted
    assert access.decide(p._replace(claims=recycler)).permitted
    assert not access.decide(q._replace(claims=recycler)).permitted
    assert policies["a"].sentence == (
        "Offered only where all of this holds at once: to holders of a RecyclerCredential; "
        "to did:web:p.example. "
        "The data may be used."
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
        - participant: [did:web:a.example]
        - region: NO
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
                                "rightOperand": ["did:web:a.example"],
                            },
                            _odrl("spatial", "isAnyOf", ["NO"]),
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
        '2: policy a: offer: unknown audience "everone"; did you mean "everyone"?',
        '3: policy a: allow: unknown action "used"; did you mean "use"?',
        '4: policy a: unknown block "wen"; did you mean "when"?',
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
    with pytest.raises(InvalidFile, match=r"y\.yaml:1: policy a: the same id is already in .*x\.yaml:1"):
        load(paths)


def test_files_and_folders_are_read(tmp_path):
    """Folders give their *.yaml; a missing path, an empty file or a list is named."""
    written(tmp_path, "a: {offer: everyone, allow: use}")
    written(tmp_path, "b: {offer: everyone, allow: use}", "q.yaml")
    written(tmp_path, "not: [a policy", "notes.txt")
    (tmp_path / "r.yml").write_text("c: {offer: everyone, allow: use}")
    assert list(load([tmp_path])) == ["a", "b"]
    (tmp_path / "other").mkdir()
    assert load([tmp_path / "other"]) == {}
    (tmp_path / "r.yml").rename(tmp_path / "other" / "r.yml")
    with pytest.raises(InvalidFile, match=r"other: has no \*.yaml, and \*.yml is not read: rename r.yml"):
        load([tmp_path / "other"])
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
        "The data may be used where all of this holds at once: until 31 December 2027 12:00 UTC; "
        "for 90 days from the agreement on."
    )
    assert said({"or": [until, unknown]}) == (
        "The data may be used either until 31 December 2027 12:00 UTC, or "
        "if partner eq gold (refused: this node can't evaluate it)."
    )
    assert said(permission=[]) == "Nothing is allowed."
    all_of_it = said(
        {"xone": [until, {"and": [until, until]}]},
        prohibition=[{"action": "distribute"}, {"action": "fly"}],
        obligation=[{"action": "inform"}, {"action": "sing"}],
        profile="urn:p",
        conflict="perm",
    )
    for part in (
        "exactly one of",
        'shared with third parties or used by "fly" (refused',
        "The user must inform the provider.",
        'The user must do "sing" (refused: can\'t be tracked)',
        "Where a permission and a prohibition meet, the permission wins",
        "relies on urn:p, which",
    ):
        assert part in all_of_it
    many = {"leftOperand": "partner", "operator": "isAnyOf", "rightOperand": list("abcdefgh")}
    assert "if partner isAnyOf a, b, c, d, e, f, g or h (refused" in said(many)


def test_all_blocks(tmp_path):
    """Each block becomes the ODRL it stands for: ends, duties of either side, conditional prohibitions."""
    text = """
a:
  offer: {partners: did:web:p.example, region: DE, when: [{any: [{group: x}, {security: base}]}]}
  allow: [use, {derive: {when: [purpose: audit], duty: [attribute]}}]
  when: [{every: 1 hour}, {claim: MembershipCredential.level=gold}]
  duty:
    - log
    - delete: {within: 7 days, of: agreement-end}
    - inform: {until: 2027-12-31, to: did:web:p.example}
  never: [sell, reidentify, {use: [{purpose: marketing}]}]
  stop: {on: 2028-12-31, after: 90 days, uses: 10}
"""
    policy = load([written(tmp_path, text)])["a"]
    document = to_document(policy.contract)
    common = [
        _odrl("timeInterval", "gteq", "PT1H"),
        {
            "leftOperand": "https://w3id.org/anode/v1/claim",
            "operator": "isAnyOf",
            "rightOperand": ["MembershipCredential.level=gold"],
        },
        _odrl("dateTime", "lt", "2029-01-01T00:00:00Z"),
        _odrl("elapsedTime", "lteq", "P90D"),
        _odrl("count", "lteq", "10"),
    ]
    log = {"action": "https://w3id.org/anode/v1/log"}
    assert document["permission"] == [
        {"action": "use", "constraint": common, "duty": [log]},
        {
            "action": "odrl:derive",
            "constraint": [*common, _odrl("purpose", "isAnyOf", ["audit"])],
            "duty": [log, {"action": "odrl:attribute"}],
        },
    ]
    within = [_odrl("delayPeriod", "lteq", "P7D"), _odrl("event", "eq", "agreement-end")]
    latest = [
        _odrl("dateTime", "lt", "2028-01-01T00:00:00Z"),
        _odrl("recipient", "isAnyOf", ["did:web:p.example"]),
    ]
    assert document["obligation"] == [
        {"action": "odrl:delete", "constraint": within},
        {"action": "odrl:inform", "constraint": latest},
    ]
    assert document["prohibition"] == [
        {"action": "odrl:sell"},
        {"action": "https://w3id.org/anode/v1/reidentify"},
        {"action": "use", "constraint": [_odrl("purpose", "isAnyOf", ["marketing"])]},
    ]
    (access,) = to_document(policy.access)["permission"]
    assert access["action"] == "access"
    assert [c.get("leftOperand", "or") for c in access["constraint"]] == [
        "https://w3id.org/anode/v1/participant",
        "odrl:spatial",
        "or",
    ]


def test_odrl_itself_can_stand_anywhere(tmp_path):
    """Where no word fits, ODRL does: for a condition, a rule, a duty, and for all of a policy."""
    text = """
a:
  offer: everyone
  allow:
    - odrl: {action: use, assignee: "did:web:p.example"}
  duty: [{odrl: {action: "odrl:inform"}}]
  never: [{odrl: {action: "odrl:sell", remedy: [{action: "odrl:delete"}]}}]
  odrl: {conflict: {"@id": "odrl:perm"}}
b:
  offer: everyone
  allow: use
  when: [{odrl: {leftOperand: "odrl:dateTime", operator: gt, rightOperand: "2027-01-01T00:00:00Z"}}]
"""
    policies = load([written(tmp_path, text)])
    contract = policies["a"].contract
    assert contract.permission[0].assignee.id == "did:web:p.example"
    assert contract.prohibition[0].remedy[0].action == "odrl:delete"
    assert (contract.conflict, contract.obligation[0].action) == ("perm", "odrl:inform")
    assert policies["b"].contract.permission[0].constraint[0].operator == "gt"
    wrong = """
a: {offer: everyone, allow: [{odrl: {constraint: []}}], odrl: {permission: [{action: use}]}}
b:
  offer: everyone
  allow: use
  when: [{odrl: {leftOperand: "odrl:payAmount", operator: eq, rightOperand: "5"}}]
c: {offer: everyone, allow: use, when: [{odrl: 7}]}
"""
    assert [line.split(": ", 3 - (": rules" in line))[-1][:60] for line in problems(tmp_path, wrong)] == [
        "rules go under `odrl` in `allow`, `never` and `duty`",
        "action: must be there, as text.",
        "odrl:payAmount is not an operand that this node can evaluate",
        "must be a JSON object.",
    ]


def test_what_is_wrong_in_the_newer_blocks(tmp_path):
    """Each block tells what it takes, with the line and the nearest word."""
    text = """a:
  offer: {to: everybody, data: {point: []}}
  allow: {use: {wen: []}}
  when: [{times: 0}, {every: often}, {security: high}, {region: Europe}]
  duty: [{delete: {within: soon}}, {log: 7}, dleete]
  never: [destribute]
  stop: {affter: 9 days}
b: {offer: {}, allow: use, stop: {uses: "3"}, duty: [pay], never: []}
c: {profile: cz, offer: everyone, allow: use}
"""
    found = problems(tmp_path, text)
    for part in (
        '2: policy a: to: unknown audience "everybody"; did you mean "everyone"?',
        "2: policy a: point: must be one value or a list of values",
        '3: policy a: unknown block "wen"; did you mean "when"?',
        "4: policy a: times: must be a whole number from 1 to 999999999, such as 10",
        "4: policy a: security: must be one of base, trust, trustPlus",
        "4: policy a: region: must be a country such as DE, or EU or EEA",
        "5: policy a: within: must be a time span such as 90 days, 12 hours or 1 year",
        '5: policy a: duty: unknown action "dleete"; did you mean "delete"?',
        '6: policy a: never: unknown action "destribute"; did you mean "distribute"?',
        '7: policy a: unknown end "affter"; did you mean "after"?',
        "8: policy b: offer: names nobody; write `to: everyone`, or `partners: [did:...]`",
        "8: policy b: uses: must be a whole number from 1 to 999999999, such as 10",
        '8: policy b: duty: unknown action "pay"',
        "8: policy b: never: names nothing; write an action such as sell, or leave the block out",
        '9: policy c: profile: unknown profile "cz"; known: cx',
    ):
        assert any(line.startswith(part) for line in found), (part, found)


def test_a_fault_of_the_engine_has_its_line(tmp_path):
    """What only the engine can tell is told with the line of the condition, rule or duty that it is about."""
    text = """a:
  offer: everyone
  allow: use
  when:
    - from: 2026-01-01
    - any:
        - for: 9 days
        - until: 2027-01-01T00:00
  duty:
    - log
    - modify
"""
    found = problems(tmp_path, text)
    assert [line.split(":")[0] for line in found] == ["8", "11"]
    assert "has no time zone" in found[0]
    assert "modify" in found[1]


def test_what_the_data_lose_before_they_leave(tmp_path):
    """A transformation is a duty that this node does itself: a yes says what is done to the data."""
    text = """a:
  offer: everyone
  allow: use
  transform:
    drop: [operatorId]
    pseudonymise: batteryId
    minimum_group: 10
"""
    policy = load([written(tmp_path, text)])["a"]
    decision = compile_policy(policy.contract).decide(Facts(0.0, "x", 0.0, duties=DONE_HERE))
    assert decision.view == Projection(frozenset({"operatorId"}), frozenset({"batteryId"}), 10)
    assert not compile_policy(policy.contract).decide(Facts(0.0, "x", 0.0)).permitted
    assert "The provider must generalise the values until 10 records are alike" in policy.sentence
    found = problems(tmp_path, text.replace("10", "1"))
    assert found == [
        "7: policy a: minimum_group: must be a whole number from 2 to 999999, such as 10",
    ]


def test_which_data_can_be_offered(tmp_path):
    """`data` names the properties that a dataset must have, and the sentence says so."""
    text = "a: {offer: {to: everyone, data: {point: [1, 2], category: EV}}, allow: use}"
    policy = load([written(tmp_path, text)])["a"]
    assert policy.data == {"point": ("1", "2"), "category": ("EV",)}
    assert policy.sentence == (
        "Offered to everyone, and only for data whose point is 1 or 2 and category is EV. "
        "The data may be used."
    )
