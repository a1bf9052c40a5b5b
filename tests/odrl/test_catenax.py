"""Catena-X policies: its own samples, and each operand by what it means."""

import json
from pathlib import Path

import jsonschema
import pytest
from referencing import Registry, Resource

from connector.odrl.catenax import TERMS
from connector.odrl.compile import compile_policy
from connector.odrl.explain import explain
from connector.odrl.facts import Claim, Claims, Facts
from connector.odrl.model import parse, to_document
from connector.odrl.operands import OPERANDS
from connector.odrl.vocabulary import CX, CX_OPERANDS, Enforcement
from connector.odrl.why import why

SHARED = Path(__file__).resolve().parents[3] / "shared" / "reference"
PROFILE = SHARED / "policy" / "cx-odrl-profile" / "schema"
SAMPLES = sorted(PROFILE.glob("samples/*.json"))
needs_profile = pytest.mark.skipif(not SAMPLES, reason=f"the Catena-X profile is not at {PROFILE}")
ME = "did:web:me.example"
NUMBERS = ["BPNL000000000001", "BPNL000000000002"]


def _registry():
    paths = [*PROFILE.glob("*.json"), *PROFILE.glob("constraint/*.json")]
    paths.append(SHARED / "dsp" / "negotiation" / "contract-schema.json")
    schemas = [json.loads(path.read_text()) for path in paths]
    return Registry().with_resources([(s["$id"], Resource.from_contents(s)) for s in schemas if "$id" in s])


def _constraint_schema(name):
    for path in PROFILE.glob("constraint/*.json"):
        schema = json.loads(path.read_text())
        for definition in schema["definitions"].values():
            if definition.get("properties", {}).get("leftOperand", {}).get("const") == name:
                return schema
    raise AssertionError(name)


def _wrapped(constraint):
    """The constraint in a rule of the kind in which it may stand."""
    kind = OPERANDS[CX + constraint["leftOperand"]].rules[0]
    rules = {"permission": [{"action": "use"}]}
    return {"@type": "Set", **rules, kind: [{"action": "use", "constraint": [constraint]}]}


def _loads(document):
    """It parses, can be explained, and comes back from its own JSON as the same policy."""
    policy = parse(document)
    assert parse(json.loads(json.dumps(to_document(policy)))) == policy
    assert explain(policy)
    compiled = compile_policy(policy)
    assert why(compiled, Facts(0.0, ME, 0.0)).document()
    return compiled


@needs_profile
def test_samples_valid_under_their_own_schema_are_evaluated():
    """Each official sample of a constraint that its schema accepts compiles without a problem."""
    registry, valid = _registry(), []
    for path in SAMPLES:
        sample = json.loads(path.read_text())
        if "leftOperand" not in sample:
            continue
        schema = _constraint_schema(sample["leftOperand"])
        errors = list(jsonschema.Draft201909Validator(schema, registry=registry).iter_errors(sample))
        compiled = _loads(_wrapped(sample))
        if not errors:
            valid.append(path.stem)
            assert compiled.problems == (), path.stem
    assert len(valid) >= 24


@needs_profile
def test_durations_are_read_although_their_schema_forbids_them():
    """The profile wants integers where DSP's schema takes none: number, text and typed value all mean it."""
    for right in (2, "2", {"@value": "2", "@type": "xsd:integer"}):
        for name in ("DataUsageEndDurationDays", "DataProvisioningEndDurationDays"):
            sample = {"leftOperand": name, "operator": "eq", "rightOperand": right}
            assert _loads(_wrapped(sample)).problems == ()


@needs_profile
def test_whole_samples_load_and_name_what_is_wrong_with_them():
    """Official policies load, explain and round-trip; a value outside the profile is named, and denies."""
    found = {}
    for path in SAMPLES:
        document = json.loads(path.read_text())
        if "permission" in document:
            action = document["permission"][0]["action"]
            _loads(document)
            problems = compile_policy(parse(document), action).problems
            found[path.stem] = [(p.code, p.operand) for p in problems]
    assert found == {
        "access-policy": [],
        "usage-policy-sample": [("unreadable-value", "DataUsageEndDefinition")],
        "usage-policy-individual-constraints-sample": [],
        "usage-policy-comprehensive-sample": [("unreadable-value", "UsageRestriction")],
    }


@needs_profile
def test_values_are_the_profiles_own():
    """Where the profile lists the values of an operand, we take those and no others."""
    for name, (_, _, values) in TERMS.items():
        definitions = _constraint_schema(name)["definitions"].values()
        listed = {d["const"] for d in definitions if str(d.get("const", "")).startswith("cx.")}
        assert set(values or ()) == listed, name


def test_every_operand_of_the_profile_is_classified():
    """All left operands of CX-0152 are in the registry, each evaluated or known to be only agreed."""
    assert {CX + name for name in CX_OPERANDS} <= OPERANDS.keys()
    agreed = {n for n in CX_OPERANDS if OPERANDS[CX + n].enforcement is Enforcement.AGREED}
    assert agreed == set(TERMS)
    assert len(CX_OPERANDS - agreed) == 9


def _decided(left, how, right, facts, kind="permission", action="use"):
    constraint = {"leftOperand": left, "operator": how, "rightOperand": right}
    rules = {"permission": [{"action": action}]}
    rules |= {kind: [{"action": action, "constraint": [constraint]}]}
    compiled = compile_policy(parse({"@type": "Set", **rules}), action)
    assert compiled.problems == (), compiled.problems
    return compiled.decide(facts)


def _holding(type_, **subject):
    return Claims({type_: (Claim(type_, "did:web:issuer.example", subject, 100.0),)})


def _facts(claims=None, **more):
    return Facts(50.0, ME, 0.0, claims=claims or Claims(), **more)


@pytest.mark.parametrize("action", ["use", "access"])
def test_membership_is_a_credential(action):
    """Membership active means a membership credential that counts now, for access and for use."""
    facts = _facts(_holding("MembershipCredential"), action=action)
    assert _decided("Membership", "eq", "active", facts, action=action).permitted
    late = facts._replace(now=100.0)
    assert not _decided("Membership", "eq", "active", late, action=action).permitted


def test_a_framework_agreement_is_a_credential_of_its_version():
    """The framework agreement is signed by who holds its credential, in the version that is named."""
    name = "DataExchangeGovernanceCredential"
    for version, permitted in (("1.0", True), ("2.0", False), (None, False)):
        facts = _facts(_holding(name, contractVersion=version))
        found = _decided("FrameworkAgreement", "eq", "DataExchangeGovernance:1.0", facts)
        assert found.permitted is permitted
    (reason,) = found.reasons
    assert "needs a DataExchangeGovernanceCredential of version 1.0" in reason.sentence()


@pytest.mark.parametrize(
    ("type_", "name"), [("MembershipCredential", "holderIdentifier"), ("BpnCredential", "bpn")]
)
def test_a_partner_number_is_proved(type_, name):
    """A business partner number counts from a credential, and is not told to who has another one."""
    facts = _facts(_holding(type_, **{name: NUMBERS[0]}))
    assert _decided("BusinessPartnerNumber", "isAnyOf", NUMBERS, facts).permitted
    assert not _decided("BusinessPartnerNumber", "isNoneOf", NUMBERS, facts).permitted
    assert _decided("BusinessPartnerNumber", "isNoneOf", NUMBERS[1:], facts).permitted
    (reason,) = _decided("BusinessPartnerNumber", "isAnyOf", NUMBERS[1:], facts).reasons
    assert NUMBERS[1] in reason.sentence()
    assert NUMBERS[1] not in reason.redacted().text


def test_who_proves_no_number_may_have_any():
    """Without a proved number "none of these" is not known, so it does not permit; a prohibition bites."""
    nobody = _facts(Claims({"MembershipCredential": (), "BpnCredential": ()}))
    odd = _facts(_holding("MembershipCredential", holderIdentifier=["BPNL000000000001"]))
    for facts in (_facts(), nobody, odd):
        (reason,) = _decided("BusinessPartnerNumber", "isNoneOf", NUMBERS, facts).reasons
        assert reason.code == "fact-missing"
        assert not _decided("BusinessPartnerNumber", "isNoneOf", NUMBERS, facts, "prohibition").permitted


def test_groups_are_the_providers_own():
    """A partner is in a group by the provider's list; without a list nobody is, and nobody is not."""
    for groups, inside, outside in ((None, 0, 0), (frozenset(), 0, 1), (frozenset({"ecu"}), 1, 0)):
        facts = _facts(groups=groups)
        assert _decided("BusinessPartnerGroup", "isAnyOf", ["ecu"], facts).permitted is bool(inside)
        assert _decided("BusinessPartnerGroup", "isNoneOf", ["ecu"], facts).permitted is bool(outside)


def test_a_purpose_is_declared_with_each_request():
    """A purpose is agreed to before, and must be declared, among those agreed, with each request."""
    args = ("UsagePurpose", "isAnyOf", ["cx.circular.dpp:1", "free text"])
    for phase in ("catalog", "negotiation", "transfer"):
        assert _decided(*args, _facts(phase=phase)).permitted
    assert _decided(*args, _facts(purpose="free text")).permitted
    for purpose in (None, "cx.pcf.base:1"):
        (reason,) = _decided(*args, _facts(purpose=purpose)).reasons
        assert "declare the purpose" in reason.sentence()
    assert not _decided(*args, _facts(phase="transfer", purpose="other")).permitted


@pytest.mark.parametrize(
    ("left", "right", "kind", "end"),
    [
        ("DataUsageEndDate", "1970-01-02T00:00:00Z", "permission", 86_400.0),
        ("DataUsageEndDate", "1970-01-02", "permission", 2 * 86_400.0 - 0.5),
        ("DataUsageEndDurationDays", "3", "permission", 3 * 86_400.0),
        ("DataProvisioningEndDate", "1970-01-02T00:00:00Z", "obligation", 86_400.0),
        ("DataProvisioningEndDurationDays", "3", "obligation", 3 * 86_400.0),
    ],
)
def test_ends_end_access(left, right, kind, end):
    """Ends of use and of provision end what this node gives, at their moment; a day ends with it."""
    assert _decided(left, "eq", right, _facts()._replace(now=end), kind).permitted
    decision = _decided(left, "eq", right, _facts()._replace(now=end + 1), kind)
    assert "ended on" in decision.reasons[0].sentence()


def test_what_is_only_agreed_permits_and_is_named():
    """A contract's terms neither permit nor forbid by themselves: they come with the yes, as agreed."""
    decision = _decided("Liability", "eq", "cx.grossNegligence:1", _facts())
    assert decision.permitted
    assert [(t.says, t.enforcement.value) for t in decision.terms] == [
        ("with liability for gross negligence", "agreed")
    ]
    restriction = ("UsageRestriction", "isAllOf", ["cx.thirdParty.forbidden:1"], _facts(), "prohibition")
    decision = _decided(*restriction)
    assert decision.permitted
    assert [term.says for term in decision.terms] == ["by sharing it with third parties"]


@pytest.mark.parametrize(
    ("left", "right", "kind", "code"),
    [
        ("Liability", "cx.grossNegligance:1", "permission", "unreadable-value"),
        ("Liability", "cx.grossNegligence:1", "prohibition", "misplaced-operand"),
        ("UsageRestriction", "cx.thirdParty.forbidden:1", "permission", "misplaced-operand"),
        ("Membership", "passive", "permission", "unreadable-value"),
        ("FrameworkAgreement", "Governance", "permission", "unreadable-value"),
        ("BusinessPartnerNumber", "BPNL1", "permission", "unreadable-value"),
        ("DataUsageEndDurationDays", "two", "permission", "unreadable-value"),
        ("WarrantyDurationMonths", "x", "permission", "unreadable-value"),
        ("DataProvisioningEndDate", "1970-01-02T00:00:00Z", "permission", "misplaced-operand"),
        ("Membershp", "active", "permission", "unknown-operand"),
    ],
)
def test_a_term_that_the_profile_does_not_have_denies(left, right, kind, code):
    """A misspelt value, or an operand in the wrong rule, is a problem of the policy and not a promise."""
    constraint = {"leftOperand": left, "operator": "eq", "rightOperand": right}
    rules = {"permission": [{"action": "use"}]} | {kind: [{"action": "use", "constraint": [constraint]}]}
    compiled = compile_policy(parse({"@type": "Set", **rules}))
    assert [problem.code for problem in compiled.problems] == [code]
    assert not compiled.decide(_facts()).permitted
