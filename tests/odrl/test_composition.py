"""ODRL's compact and combined rules become single ones (ODRL 2.2, 2.7), without a change of meaning."""

import pytest

from connector.errors import RemoteProtocolError
from connector.odrl.composition import single


def made(**members):
    """The policy of single rules, without what is shared."""
    return single({"@type": "Agreement", **members})[0]


def test_what_a_policy_has_counts_for_each_rule():
    """2.7.1: the action and the parties of the policy are those of all its rules, whatever kind."""
    one = {"target": "urn:a", "action": "odrl:play"}
    found = made(**one, permission=[{"assignee": "urn:x"}, {"assignee": "urn:y"}], prohibition=[{}])
    assert found == {
        "@type": "Set",
        "target": "urn:a",
        "permission": [
            {"assignee": "urn:x", "action": "odrl:play"},
            {"assignee": "urn:y", "action": "odrl:play"},
        ],
        "prohibition": [{"action": "odrl:play"}],
    }


def test_several_actions_are_several_rules():
    """2.7: a rule stands for each combination, with its constraints and duties; so does a duty."""
    duty = {"action": ["odrl:inform", "odrl:attribute"]}
    rule = {
        "action": ["use", "odrl:print"],
        "assignee": ["urn:x", "urn:y"],
        "duty": [duty],
        "constraint": [{}],
    }
    found = made(permission=[rule, {"action": "use"}])["permission"]
    assert [(r["action"], r["assignee"]) for r in found[:-1]] == [
        ("use", "urn:x"),
        ("use", "urn:y"),
        ("odrl:print", "urn:x"),
        ("odrl:print", "urn:y"),
    ]
    for one in found[:-1]:
        assert one["duty"] == [{"action": "odrl:inform"}, {"action": "odrl:attribute"}]
        assert one["constraint"] == [{}]


def test_what_all_rules_share():
    """What every rule has is the policy's; what one has not stays where it is."""
    alike = {"action": "use", "target": "urn:a", "assigner": {"@type": "odrl:Party", "@id": "urn:p"}}
    document, shared = single({"permission": [alike], "prohibition": [{**alike, "assignee": "urn:q"}]})
    assert shared == {"target": ("urn:a",), "assigner": ("urn:p",)}
    assert document["permission"] == [{"action": "use"}]
    assert document["prohibition"] == [{"action": "use", "assignee": "urn:q"}]
    assert (document["target"], document["assigner"]) == ("urn:a", "urn:p")


def test_a_collection_stays_with_its_rule():
    """An object that says more than a name is each rule's, so that its members and refinement count."""
    for whole in (
        {"@id": "urn:c", "@type": "odrl:PartyCollection"},
        {"@id": "urn:c", "odrl:refinement": [{}]},
    ):
        document, shared = single({"assignee": whole, "permission": [{"action": "use"}]})
        assert (document["permission"], shared) == ([{"action": "use", "assignee": whole}], {})


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (
            {"action": "use", "permission": [{"action": "use"}]},
            r"permission\[0\].action: the policy has action",
        ),
        ({"permission": ["urn:r"]}, r"permission\[0\]: is only a reference, to urn:r"),
        ({"obligation": [{"odrl:consequence": {"@id": "urn:d"}}]}, r"consequence\[0\]: is only a reference"),
        ({"permission": [{"constraint": [{"and": ["urn:c"]}]}]}, r"constraint\[0\].and\[0\]: is only a ref"),
        (
            {"permission": [{"action": "use", "constraint": [{"odrl:rightOperandReference": "urn:v"}]}]},
            r"constraint\[0\].rightOperandReference: a value that lies elsewhere is not evaluated",
        ),
        (
            {"permission": [{"action": ["use"] * 11, "target": ["urn:a"] * 11}, {}]},
            r"permission\[0\]: stands for more than 100 single rules",
        ),
        ({"permission": [3]}, r"permission\[0\]: must be a JSON object"),
    ],
)
def test_what_could_mean_either_is_refused(members, reason):
    """What only points elsewhere, or is there twice, is named with its place."""
    with pytest.raises(RemoteProtocolError, match=reason):
        made(**members)
