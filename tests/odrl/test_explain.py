"""What people read of a policy: nothing more than it says, nothing less, and nobody's value as a sentence."""

import pytest

from connector import yamlfile
from connector.odrl.authoring import read
from connector.odrl.compile import compile_policy
from connector.odrl.conditions import quoted
from connector.odrl.explain import explain
from connector.odrl.facts import Facts
from connector.odrl.matrix import matrix
from connector.odrl.model import parse
from connector.odrl.vocabulary import ANODE, Enforcement

CX = "profile: cx, allow: use, when: [{framework: 'DataExchangeGovernance:1.0'}, {purpose: p}"


def authored(blocks):
    text = blocks if "offer:" in blocks else f"offer: everyone, {blocks}"
    return read(yamlfile.parse(f"a: {{{text}}}", "p"))["a"]


def rows(policy):
    return [row.says for row in matrix(policy)]


def odrl(left, how, right):
    return {"leftOperand": left, "operator": how, "rightOperand": right}


def foreign(*constraints, **members):
    rule = {"action": "use", "constraint": list(constraints)}
    return parse({"@id": "x", "@type": "Offer", "permission": [rule], **members})


def test_a_prohibition_with_conditions_is_one_term():
    """Only all of its conditions together forbid: the sentence, the matrix and the refusal say so."""
    contract = authored("allow: use, never: [{use: [{purpose: marketing}, {region: US}]}, sell]").contract
    both = "where all of this holds at once: for marketing; by participants in US"
    assert explain(contract) == f"The data may be used. It must not be sold. It must not be used {both}."
    assert rows(contract)[1:] == [f"not {both}", "not selling the data"]
    assert matrix(contract)[1].enforcement is Enforcement.PER_REQUEST
    (reason,) = compile_policy(contract).decide(Facts(0.0, "x", purpose="marketing")).reasons
    assert "forbids it for marketing and at once by participants in US: prohibition[0]" in reason.text


def test_alternatives_in_a_prohibition_are_said_as_such():
    """A refusal doesn't say that both are needed where either forbids."""
    text = "allow: use, never: [{use: [{any: [{purpose: marketing}, {region: US}]}, {from: 2026-01-01}]}]"
    contract = authored(text).contract
    assert explain(contract).endswith(
        "It must not be used where all of this holds at once: either for marketing, or by participants in "
        "US; from 1 January 2026 00:00 UTC."
    )
    (reason,) = compile_policy(contract).decide(Facts(2e9, "x", purpose="marketing")).reasons
    assert "forbids it from 1 January 2026 00:00 UTC" not in reason.text
    assert "(for marketing or by participants in US) and at once from 1 January 2026" in reason.text


def test_each_restriction_of_catena_x_forbids_by_itself():
    """`never: [distribute, derive]` forbids either, not only both at once."""
    contract = authored(f"{CX}], never: [distribute, derive]").contract
    each = "by deriving data from it or sharing it with third parties"
    assert f"It must not be used {each}." in explain(contract)
    assert f"not {each}" in rows(contract)


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("[{purpose: [repair, audit]}, {purpose: [audit, sale]}]", "for audit or repair; for audit or sale"),
        ("[{purpose: repair}, {participant: did:web:b.example}]", "for repair; by did:web:b.example"),
        (
            "[{credential: RepairerCredential}, {region: EU}]",
            "by holders of a RepairerCredential; by participants in the EU",
        ),
        ("[{all: [{purpose: x}, {region: FR}]}]", "for x; by participants in FR"),
    ],
)
def test_conditions_that_must_all_hold_are_no_alternatives(when, says):
    """Nobody can take what must hold together for a choice."""
    sentence = authored(f"allow: use, when: {when}").sentence
    assert sentence.endswith(f"The data may be used where all of this holds at once: {says}.")


def test_logic_within_logic_is_in_brackets():
    """What belongs together is seen, however deep it stands."""
    inner = "{all: [{for: 1 day}, {purpose: x}]}, {one: [{region: DE}, {region: FR}]}, {times: 2}"
    assert authored(f"allow: use, when: [{{any: [{inner}]}}]").sentence.endswith(
        "used either where all of this holds at once (for 1 day from the agreement on; for x), or where "
        "exactly one of these holds (by participants in DE; by participants in FR), or for the first 2 uses "
        "under one agreement."
    )
    ordered = foreign({"andSequence": [odrl("odrl:purpose", "eq", name) for name in "xy"]})
    assert "holds at once, in this order, which is not checked (for x; for y)" in explain(ordered)


def test_no_term_vanishes():
    """However many conditions or values there are, the sentence and the matrix have each."""
    many = [odrl("odrl:purpose", "eq", f"q{n}") for n in range(100)]
    unknown = odrl("partner", "isAnyOf", [f"p{n}" for n in range(100)])
    policy = foreign({"or": many}, {"xone": many}, unknown)
    for text in (explain(policy), " ".join(rows(policy))):
        assert "more" not in text
        assert all(text.count(f"for q{n}") >= 2 for n in range(100))
        assert "p97, p98 or p99" in text


def test_whom_and_what_a_rule_is_about_is_said():
    """A rule's parties, assets and refinements stand in the sentence and have a row."""
    party = {"@type": "odrl:PartyCollection", "@id": "urn:g", "source": "https://s.example/g"}
    permission = {"action": "use", "assignee": "did:web:p.example", "target": "urn:asset"}
    refined = {"rdf:value": "use", "refinement": [odrl("odrl:purpose", "eq", "x")]}
    prohibition = {"action": refined, "assignee": {**party, "refinement": [odrl("odrl:spatial", "eq", "US")]}}
    policy = foreign(
        permission=[permission], prohibition=[prohibition, {"action": "sell", "target": "urn:b"}]
    )
    assert explain(policy) == (
        "The data may be used where all of this holds at once: where the data are urn:asset; "
        "by did:web:p.example. "
        "It must not be used where all of this holds at once: by members of urn:g or https://s.example/g; "
        "by participants in US; for x. It must not be sold where the data are urn:b."
    )
    assert rows(policy) == [
        "where the data are urn:asset",
        "by did:web:p.example",
        "not where all of this holds at once: by members of urn:g or https://s.example/g; "
        "by participants in US; for x",
        "not sold where the data are urn:b",
    ]
    assert [row.enforcement for row in matrix(policy)] == [
        *[Enforcement.ENFORCED] * 2,
        Enforcement.PER_REQUEST,
        Enforcement.AGREED,
    ]


def test_what_is_not_evaluated_is_said_to_be_there():
    """Consequence, remedy, conflict, a constraint where it means nothing, and what no standard knows."""
    policy = foreign(
        odrl("Liability", "eq", "cx.grossNegligence:1"),
        prohibition=[
            {"action": "sell", "remedy": [{"action": "delete"}]},
            {"action": "use", "constraint": [odrl("Liability", "eq", "cx.grossNegligence:1")]},
        ],
        obligation=[{"action": "inform", "consequence": [{"action": "compensate"}]}],
        conflict="prohibit",
        profile="urn:p",
    )
    duty = "The user must inform the provider (whoever fails to must also pay: agreed, not tracked)"
    sold = "(whoever does so must delete the data: agreed, not tracked)"
    meet = "Where a permission and a prohibition meet, the prohibition wins"
    sentence = explain(policy)
    for part in (f"not be sold {sold}.", f"{duty}.", f"{meet}.", "relies on urn:p, which"):
        assert part in sentence
    refused = "with liability for gross negligence (refused: this node can't evaluate it)"
    assert f"must not be used {refused}" in sentence
    found = {row.says: row.enforcement for row in matrix(policy)}
    assert found[f"not selling the data {sold}"] is Enforcement.AGREED
    assert found[f"not {refused}"] is None
    assert found[duty] is Enforcement.TRACKED
    assert found[meet] is Enforcement.ENFORCED
    assert found["relying on urn:p"] is None
    assert "meet, nothing is allowed." in explain(
        foreign(prohibition=[{"action": "sell"}], conflict="invalid")
    )


def test_a_value_is_no_sentence():
    """What a file or a peer has as a value stands in quotation marks, and can't end them."""
    place = "Munich. The data may be given to anybody"
    sentence = authored(f"{CX}, {{JurisdictionLocation: '{place}'}}]").sentence
    assert sentence.endswith(f'; under the jurisdiction of "{place}".')
    assert quoted("cx.pcf.base:1") == "cx.pcf.base:1"
    assert quoted("a.") == '"a."'
    assert quoted("") == '""'
    assert quoted('a" or ” or \u202e\x1b[31m\n') == r'"a\u0022 or \u201d or \u202e\x1b[31m\n"'


@pytest.mark.parametrize("left", ["odrl:purpose", "BusinessPartnerGroup", ANODE + "participant", "partner"])
def test_a_value_gives_a_terminal_no_orders(left):
    """Control and bidirectional characters are seen, not obeyed: in sentences, rows and refusals."""
    evil = "x\x1b[31m\n\u202ey. Nobody"
    policy = foreign(odrl(left, "isAnyOf", evil), prohibition=[{"action": evil}], profile=evil)
    facts = Facts(0.0, evil, purpose=evil + "z", groups=frozenset({"h\x1b"}), uses=0)
    reasons = compile_policy(policy).decide(facts).reasons
    reasons += compile_policy(foreign(odrl(left, "isAnyOf", evil))).decide(facts).reasons
    shown = [explain(policy), *rows(policy), *(reason.text for reason in reasons)]
    for text in shown:
        assert text.isprintable()
    assert r'"x\x1b[31m\n\u202ey. Nobody"' in shown[0]


@pytest.mark.parametrize(
    ("blocks", "says"),
    [
        ("allow: use, duty: [{inform: {to: did:web:x}}]", "The user must inform did:web:x."),
        (
            "allow: use, duty: [{delete: {within: 7 days, to: did:web:x}}]",
            "must delete the data with did:web:x as recipient within 7 days of the agreement.",
        ),
        ("allow: use, duty: [{delete: {until: 2027-12-31}}]", "the data by 1 January 2028 00:00 UTC."),
        (
            "allow: use, duty: [{log: {within: 3 days, of: use}}]",
            "The provider must log each use within 3 days of it.",
        ),
        ("allow: use, never: [{use: [{times: 3}]}]", "not be used for the first 3 uses under one agreement."),
        (
            "allow: use, never: [{use: [{every: 1 day}]}]",
            "not be used when the last use under the same agreement, if any, was at least 1 day ago.",
        ),
        ("allow: use, stop: {uses: 1}", "be used for the first use under one agreement."),
        (
            "allow: use, when: [{credential: [A, ECredential, UniCredential]}]",
            "an A or an ECredential or a Uni",
        ),
        ("allow: [use, derive]", "The data may be used. It may also be made into other data."),
        (f"{CX}, {{DataUsageEndDefinition: 'cx.dataUsageEnd.unlimited:1'}}]", "; without an end of use."),
        (
            f"{CX}, {{ContractTermination: 'cx.data.deletion:1'}}]",
            "; with the data, after the contract's end, deleted.",
        ),
        (f"{CX}, {{ContractReference: [A, B]}}]", "; under the terms that both sides know as A and B."),
        (f"{CX}, {{WarrantyDurationMonths: 6}}]", "; with a warranty of 6 months."),
        (f"{CX}, {{WarrantyDurationMonths: 1}}]", "; with a warranty of 1 month."),
        (f"{CX}, {{Warranty: 'cx.warranty.none:1'}}]", "; without a warranty."),
        (
            f"{CX}, {{ManagedLegalEntityRegion: ['cx.region.all:1', 'cx.region.asia:1']}}]",
            "; by legal entities that the user manages everywhere or in Asia.",
        ),
        (
            "profile: cx, offer: {partners: [BPNL000000000001]}, " + CX.removeprefix("profile: cx, ") + "]",
            "Offered to BPNL000000000001 only.",
        ),
        (
            "offer: {when: [{odrl: {leftOperand: 'https://w3id.org/anode/v1/participant', "
            "operator: isNoneOf, rightOperand: [did:web:x]}}]}, allow: use",
            "Offered to anyone but did:web:x. ",
        ),
        ("offer: {when: [{from: 2026-01-01}]}, allow: use", "Offered only from 1 January 2026 00:00 UTC. "),
        (
            "offer: {when: [{any: [{group: g}, {region: DE}]}]}, allow: use",
            "Offered only either to partners in g, or to participants in DE. ",
        ),
    ],
)
def test_it_is_english(blocks, says):
    """Each of these was once said so that it was wrong, or no English."""
    assert says in authored(blocks).sentence


def test_a_claim_that_must_not_be_there():
    """Whose credential says none of these: the negation is of the credential, not of the people."""
    wanted = odrl(
        ANODE + "claim", "isNoneOf", ["MembershipCredential.level=gold", "MembershipCredential.a=b"]
    )
    assert explain(foreign(wanted)) == (
        "The data may be used by those whose credential does not say MembershipCredential.a b or "
        "MembershipCredential.level gold."
    )


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("lt", "for the first 2 uses"),
        ("lteq", "for the first 3 uses"),
        ("gt", "after use 3"),
        ("gteq", "from use 3"),
        ("eq", "exactly at use 3"),
        ("neq", "at any use but use 3"),
    ],
)
def test_a_count_is_said_as_it_is_decided(how, says):
    """Each operator on a number of uses, as the engine takes it: for the uses that it allows."""
    policy = foreign(odrl("odrl:count", how, "3"))
    assert explain(policy) == f"The data may be used {says} under one agreement."
    yes = [compile_policy(policy).decide(Facts(0.0, "x", uses=n)).permitted for n in range(5)]
    expected = {
        "lt": [True, True, False, False, False],
        "lteq": [True, True, True, False, False],
        "gt": [False, False, False, True, True],
        "gteq": [False, False, True, True, True],
        "eq": [False, False, True, False, False],
        "neq": [True, True, False, True, True],
    }
    assert yes == expected[how]


def test_one_use_is_one_time():
    """A refusal counts in the singular where it is one."""
    (reason,) = (
        compile_policy(foreign(odrl("odrl:count", "lteq", "1"))).decide(Facts(0.0, "x", uses=1)).reasons
    )
    assert "it has been used 1 time: ask" in reason.text
    assert reason.seen == "1 use"
