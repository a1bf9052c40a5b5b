"""What a rule is about: actions and their parts, parties, assets, refinements, and which rule wins."""

import pytest

from connector.odrl import vocabulary
from connector.odrl.canonical import digest
from connector.odrl.compile import compile_policy
from connector.odrl.decision import CODES, Decision, Reason
from connector.odrl.facts import Claim, Claims, Facts
from connector.odrl.model import parse, to_document
from connector.odrl.vocabulary import ACTIONS, ANODE, CX, Enforcement
from connector.odrl.why import lines, why

ME = "did:web:me.example"
NOW = 1_000.0
PAST = {"leftOperand": "odrl:dateTime", "operator": "lt", "rightOperand": "1970-01-01T00:00:01Z"}
FUTURE = {"leftOperand": "odrl:dateTime", "operator": "lt", "rightOperand": "2170-01-01T00:00:01Z"}


def constraint(left, how, right):
    return {"leftOperand": left, "operator": how, "rightOperand": right}


def compiled(action="use", **rules):
    return compile_policy(parse({"@type": "Set", "@id": "x", **rules}), action)


def facts(**more):
    return Facts(NOW, ME, 0.0, **more)


@pytest.mark.parametrize(
    ("allowed", "asked", "permitted"),
    [
        ("use", "read", True),
        ("use", "display", True),
        ("odrl:use", "write", True),
        ("play", "display", True),
        ("read", "use", False),
        ("use", "sell", False),
        ("transfer", "sell", True),
        ("access", "use", False),
        (f"{CX}access", "access", True),
        ("use", "invent", False),
    ],
)
def test_actions_include_their_parts(allowed, asked, permitted):
    """Who may do something may do what is a part of it by ODRL's hierarchy, and nothing wider."""
    policy = compiled(asked, permission=[{"action": allowed}])
    assert policy.decide(facts(action=asked)).permitted is permitted


def test_every_action_leads_to_a_top():
    """Each known action is a part of `use` or `transfer`, or a top of its own; none is a part of itself."""
    for name, action in ACTIONS.items():
        assert set(action.included_in) <= ACTIONS.keys()
        assert any(vocabulary.includes(top, name) for top in ("use", "transfer", "access"))
        assert not any(vocabulary.includes(name, parent) for parent in action.included_in)


def test_a_prohibition_of_what_is_not_done_here_is_agreed():
    """To distribute is done elsewhere: its prohibition permits use, and is shown as agreed, all of it."""
    policy = compiled(
        permission=[{"action": "use"}], prohibition=[{"action": "distribute", "constraint": [FUTURE]}]
    )
    decision = policy.decide(facts())
    assert decision.permitted
    assert {term.enforcement for term in decision.terms} == {Enforcement.AGREED}
    assert decision.terms[0].says == "not to distribute"
    assert (
        compiled(permission=[{"action": "use"}], prohibition=[{"action": f"{ANODE}trainModel"}]).problems
        == ()
    )


def test_the_conflict_term_says_which_rule_wins():
    """Where both meet, a permission wins only if the policy says so; ODRL's default voids it."""
    rules = {"permission": [{"action": "use"}], "prohibition": [{"action": "use", "constraint": [FUTURE]}]}
    for conflict, permitted in (("perm", True), ("prohibit", False), ("invalid", False)):
        for value in (conflict, {"@id": f"odrl:{conflict}"}):
            policy = compiled(**rules, conflict=value)
            assert policy.decide(facts()).permitted is permitted
    assert not compiled(**rules).decide(facts()).permitted
    unknown = compiled(**rules, conflict="both")
    assert [problem.path for problem in unknown.problems] == ["conflict"]
    written = to_document(parse({"@type": "Set", **rules, "conflict": "perm"}))
    assert written["odrl:conflict"] == {"@id": "odrl:perm"}
    documents = [{"@type": "Set", **rules}, {"@type": "Set", **rules, "conflict": "perm"}]
    assert len({digest(parse(document)) for document in documents}) == 2


def test_a_rule_is_for_its_party_and_asset():
    """A rule with an assignee or a target of its own is about nobody and nothing else."""
    for member, fact in (("assignee", "participant"), ("target", "target")):
        policy = compiled(permission=[{"action": "use", member: "urn:this"}])
        assert policy.decide(facts()._replace(**{fact: "urn:this"})).permitted
        (reason,) = policy.decide(facts(target="urn:other")).reasons
        assert (reason.code, reason.path) == ("constraint-not-satisfied", f"permission[0].{member}")
    (reason,) = compiled(permission=[{"action": "use", "assignee": "urn:secret"}]).decide(facts()).reasons
    assert "secret" not in reason.redacted().text
    assert [r.code for r in policy.decide(facts()).reasons] == ["fact-missing"]


def test_a_collection_is_known_by_its_members():
    """A collection's members are facts: by its name or its source; without them nothing is known."""
    party = {"@type": "odrl:PartyCollection", "@id": "urn:all", "source": "urn:list"}
    policy = compiled(permission=[{"action": "use", "assignee": party}])
    for groups, code in ((None, "fact-missing"), (frozenset({"urn:x"}), "constraint-not-satisfied")):
        assert [r.code for r in policy.decide(facts(groups=groups)).reasons] == [code]
    for name in ("urn:all", "urn:list"):
        assert policy.decide(facts(groups=frozenset({name}))).permitted
    named = {"odrl:source": {"@id": "urn:list"}}
    assert to_document(parse({"@type": "Set", "permission": [{"action": "use", "assignee": party}]}))[
        "permission"
    ] == [{"action": "use", "assignee": {k: v for k, v in party.items() if k != "source"} | named}]


def test_refinements_narrow_what_they_can_and_deny_otherwise():
    """A party is narrowed by what it proves, an action by time, count and purpose, an asset by nothing."""
    member = constraint("Membership", "eq", "active")
    party = {"@type": "odrl:PartyCollection", "@id": "urn:all", "refinement": [member]}
    policy = compiled(permission=[{"action": "use", "assignee": party}])
    claims = Claims({"MembershipCredential": (Claim("MembershipCredential", "i", {}),)})
    inside = facts(groups=frozenset({"urn:all"}))
    assert policy.decide(inside._replace(claims=claims)).permitted
    (reason,) = policy.decide(inside).reasons
    assert reason.path == "permission[0].assignee.refinement[0]"
    assert policy.credentials == {"MembershipCredential"}
    for term, permitted in ((FUTURE, True), (PAST, False), (constraint("odrl:count", "lteq", "3"), True)):
        action = {"rdf:value": {"@id": "odrl:use"}, "refinement": [term]}
        rule = {"action": action}
        assert compiled(permission=[rule]).decide(facts(uses=2)).permitted is permitted
        assert parse(to_document(parse({"@type": "Set", "permission": [rule]}))) == parse(
            {"@type": "Set", "permission": [rule]}
        )
    asset = {"@type": "odrl:AssetCollection", "@id": "urn:t", "refinement": [FUTURE]}
    action = {"rdf:value": "use", "refinement": [member]}
    for rule in ({"action": "use", "target": asset}, {"action": action}):
        assert [p.code for p in compiled(permission=[rule]).problems] == ["misplaced-operand"]
        assert [p.code for p in compiled(permission=[{"action": "use"}], prohibition=[rule]).problems] == [
            "misplaced-operand"
        ]


def test_an_exactly_one_with_a_promise_cannot_be_decided():
    """A term that can only be agreed has no truth to count: exactly one of it and another denies."""
    either = {"xone": [constraint("Liability", "eq", "cx.grossNegligence:1"), FUTURE]}
    policy = compiled(permission=[{"action": "use", "constraint": [either]}])
    assert [p.code for p in policy.problems] == ["undecidable"]
    assert not policy.decide(facts()).permitted


@pytest.mark.parametrize(
    ("left", "how", "right", "more", "permitted"),
    [
        ("odrl:count", "lteq", "3", {"uses": 2}, True),
        ("odrl:count", "lteq", "3", {"uses": 3}, False),
        ("odrl:count", "lt", "3", {"uses": 2}, False),
        ("odrl:count", "lteq", "3", {}, False),
        ("odrl:timeInterval", "gteq", "PT10S", {"last_use": NOW - 10}, True),
        ("odrl:timeInterval", "eq", "PT10S", {"last_use": NOW - 9}, False),
        ("odrl:timeInterval", "gteq", "PT10S", {"last_use": float("-inf")}, True),
        ("odrl:timeInterval", "gteq", "PT10S", {}, False),
        ("odrl:purpose", "isNoneOf", ["ads"], {"purpose": "repair"}, True),
        ("odrl:purpose", "isNoneOf", ["ads"], {}, False),
        ("odrl:delayPeriod", "gteq", "PT1000S", {}, True),
        ("odrl:delayPeriod", "gteq", "PT1001S", {}, False),
    ],
)
def test_what_only_a_request_can_tell(left, how, right, more, permitted):
    """Counts, pauses and purposes are decided per request, and accepted before, when none is made."""
    policy = compiled(permission=[{"action": "use", "constraint": [constraint(left, how, right)]}])
    assert policy.decide(facts(**more)).permitted is permitted
    if not more and left != "odrl:delayPeriod":
        assert policy.decide(facts(phase="negotiation")).permitted
        forbidden = compiled(
            permission=[{"action": "use"}],
            prohibition=[{"action": "use", "constraint": [constraint(left, how, right)]}],
        )
        assert forbidden.decide(facts(phase="negotiation")).permitted
        assert not forbidden.decide(facts()).permitted


def _proved(left, how, right, type_, subject):
    policy = compiled(permission=[{"action": "use", "constraint": [constraint(left, how, right)]}])
    assert policy.credentials == {type_}
    assert not policy.decide(facts()).permitted
    claims = Claims({type_: (Claim(type_, "did:web:i", subject),)}, {type_: ("did:web:i",)})
    decision = policy.decide(facts(claims=claims))
    for reason in decision.reasons:
        assert reason.givers == ("did:web:i",)
    return decision.permitted


@pytest.mark.parametrize(
    ("how", "right", "subject", "permitted"),
    [
        ("eq", "MembershipCredential.memberOf=Catena-X", {"memberOf": "Catena-X"}, True),
        ("eq", "MembershipCredential.memberOf=Catena-X", {"memberOf": "other"}, False),
        ("eq", "MembershipCredential.a.b=1", {"a": [{"b": ["0", "1"]}]}, True),
        ("isAnyOf", ["MembershipCredential.x=1", "MembershipCredential.x=2"], {"x": "2"}, True),
        ("isAllOf", ["MembershipCredential.x=1", "MembershipCredential.x=2"], {"x": "2"}, False),
        ("isNoneOf", ["MembershipCredential.x=1"], {"x": "2"}, True),
        ("isNoneOf", ["MembershipCredential.x=1"], {"x": "1"}, False),
    ],
)
def test_a_claim_is_what_a_credential_says(how, right, subject, permitted):
    """Any attribute of any believed credential can be asked for, through lists and objects."""
    assert _proved(f"{ANODE}claim", how, right, "MembershipCredential", subject) is permitted


@pytest.mark.parametrize(
    ("how", "right", "said", "permitted"),
    [
        ("gteq", "trust", "trustPlus", True),
        ("gteq", "trust", "idsc:TRUST_SECURITY_PROFILE", True),
        ("gteq", "trust", "base", False),
        ("eq", "trust", "trustPlus", False),
        ("isAnyOf", ["base", "trust"], "base", True),
    ],
)
def test_security_profiles_have_an_order(how, right, said, permitted):
    """A connector's certified profile is at least what is asked for, or the one that is named."""
    subject = {"securityProfile": said}
    assert _proved(f"{ANODE}securityProfile", how, right, "ConnectorCredential", subject) is permitted


@pytest.mark.parametrize(
    ("how", "right", "subject", "permitted"),
    [
        ("eq", "DE", {"country": "DE"}, True),
        ("isAnyOf", ["EU"], {"legalAddress": {"countrySubdivisionCode": "FR-IDF"}}, True),
        ("isAnyOf", ["EU"], {"address": {"addressCountry": "NO"}}, False),
        ("eq", "DE", {"country": "Denmark"}, False),
        ("eq", "DE", {"country": "DENMARK"}, False),
        ("isAnyOf", ["EEA"], {"address": {"addressCountry": "NO"}}, True),
        ("isNoneOf", ["EU"], {"country": "US"}, True),
        ("isNoneOf", ["EU"], {}, False),
    ],
)
def test_a_place_is_proved(how, right, subject, permitted):
    """Where a participant is comes from a credential; without one it is neither inside nor outside."""
    assert _proved("odrl:spatial", how, right, "LegalParticipantCredential", subject) is permitted


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (f"{ANODE}claim", "anything"),
        (f"{ANODE}securityProfile", "perfect"),
        ("odrl:spatial", "Bavaria"),
        ("odrl:count", "-1"),
        ("odrl:count", "٣"),
        ("odrl:timeInterval", "often"),
        ("odrl:purpose", []),
        ("odrl:event", "x"),
        ("odrl:industry", "x"),
        ("odrl:payAmount", "5"),
    ],
)
def test_what_has_no_source_or_no_sense_denies(left, right):
    """An operand about which no fact is to be had, or a value that is none, is a problem and a no."""
    policy = compiled(permission=[{"action": "use", "constraint": [constraint(left, "eq", right)]}])
    assert policy.problems[0].code in ("unreadable-value", "unknown-operand")
    assert not policy.decide(facts(uses=0, purpose="x")).permitted


def test_spellings_of_an_operand_are_one():
    """Bare, prefixed and full names, older ones too, are one operand; the alias of Catena-X's context too."""
    full = CX + "Membership"
    for name in ("Membership", "cx-policy:Membership", "https://w3id.org/catenax/policy/Membership", full):
        assert vocabulary.iri(name) == full
    assert vocabulary.iri("cx-policy:WarrantyDuration") == vocabulary.iri("WarrantyDurationMonths")
    assert vocabulary.iri("anode:claim") == vocabulary.CLAIM
    assert vocabulary.iri("membership") == "membership"


def test_a_decision_tells_the_counterparty_less():
    """The redacted decision keeps codes, paths and givers, and loses what was expected, seen and agreed."""
    policy = compiled(
        permission=[{"action": "use", "constraint": [constraint("BusinessPartnerGroup", "isAnyOf", ["vip"])]}]
    )
    decision = policy.decide(facts(groups=frozenset({"rest"})))
    (full,), (less,) = decision.reasons, decision.redacted().reasons
    assert (full.code, full.path, full.operand) == (less.code, less.path, less.operand)
    assert full.document()["seen"] == "rest"
    assert "vip" in full.document()["expected"]
    assert less.document().keys() == {"code", "path", "text", "operand", "operator"}
    assert "vip" not in str(less)
    permitted = compiled(permission=[{"action": "use"}]).decide(facts())
    assert permitted == Decision(True, (), "permission[0]")


def test_codes_of_reasons_are_documented():
    """Each code has a sentence that says what it means."""
    assert all(text.endswith(".") and code == code.lower() for code, text in CODES.items())
    assert Reason("prohibited", "", "x.").sentence() == "x."


def test_the_tree_is_said_in_lines():
    """For people: each rule and term with what it came to, what was seen, and why it stops."""
    policy = compiled(
        permission=[{"action": "use", "constraint": [PAST, constraint("odrl:count", "lteq", "3")]}],
        prohibition=[{"action": "distribute"}],
    )
    assert list(lines(why(policy, facts(uses=1)))) == [
        "no: use is refused",
        "  no: permission to use",
        "    yes: use",
        "    no: until 1 January 1970 00:00:01 UTC (seen: 1 January 1970 00:16:40 UTC) [enforced]",
        "      The permission ended on 1 January 1970 00:00:01 UTC; it is now 1 January 1970 00:16:40 UTC: "
        "ask the provider for a new offer.",
        "    yes: for the first 3 uses under one agreement (seen: 1 use) [per-request]",
        "  no: prohibition to distribute",
        "    agreed: not to distribute [agreed]",
    ]
    assert why(policy, facts(uses=1)).document()["parts"][0]["parts"][1]["reason"]["code"] == (
        "constraint-not-satisfied"
    )
