"""`profile: cx`: what is written is a valid Catena-X policy, and what isn't one is refused."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft201909Validator
from referencing import Registry, Resource

from connector.errors import InvalidFile
from connector.jsonld.contexts import CATENA_X
from connector.jsonld.contexts import DSP as DSP_CONTEXT
from connector.odrl import proof
from connector.odrl.authoring import catenax, load
from connector.odrl.model import offer, to_document
from connector.odrl.operands import OPERANDS
from connector.odrl.vocabulary import CX, CX_OPERANDS
from connector.resources import folder
from tests.schemas import REFERENCE as DSP

PROFILE = (
    Path(__file__).resolve().parents[3] / "shared" / "reference" / "policy" / "cx-odrl-profile" / "schema"
)
needs_profile = pytest.mark.skipif(not PROFILE.exists(), reason="Catena-X's schemas are not on this machine")

PLACE = "https://w3id.org/catenax/2025/9/policy/"
ATOMIC = f"{PLACE}schema/atomic-constraint-schemas.json#/definitions/"
NUMBERS = {
    "DataUsageEndDurationDays": "data-usage-end-duration-days",
    "DataProvisioningEndDurationDays": "data-provisioning-end-duration-days",
    "WarrantyDurationMonths": "warranty-duration",
}
"""Operands whose values the profile wants as numbers, which the protocol's own schema forbids."""

WHOLE = """
whole:
  profile: cx
  offer:
    member: active
    framework: DataExchangeGovernance:1.0
    partners: BPNL000000000001
    not-groups: [rivals]
  allow: use
  when:
    - member: active
    - framework: DataExchangeGovernance:1.0
    - purpose: [cx.circular.dpp:1, Publish on our web page]
    - for: 90 days
    - ContractReference: [ContractID250620197, AGB9832]
    - AffiliatesBpnl: BPNL000000000001
    - AffiliatesRegion: [cx.region.europe:1]
    - ManagedLegalEntityBpnl: [BPNL000000000001]
    - ManagedLegalEntityRegion: [cx.region.asia:1]
    - DataFrequency: cx.dataFrequency.unlimited:1
    - VersionChanges: cx.versionChanges.minor:1
    - ContractTermination: cx.data.deletion:1
    - ConfidentialInformationMeasures: cx.confidentiality.measures:1
    - ConfidentialInformationSharing: [cx.sharing.affiliates:1]
    - ExclusiveUsage: cx.exclusiveUsage.dataConsumer:1
    - Warranty: cx.warranty.none:1
    - WarrantyDurationMonths: 6
    - Liability: cx.grossNegligence:1
    - JurisdictionLocation: Frankfurt am Main
    - JurisdictionLocationReference: cx.location.dataConsumer:1
    - Precedence: cx.precedence.rcAgreement:1
  never:
    - distribute
    - modify
    - derive
    - extraordinaryAnalytics
    - dataProviderRemoval
    - AffiliatesRegion: cx.region.asia:1
  stop: {on: 2027-12-31}
others:
  profile: cx
  offer: everyone
  allow: use
  when:
    - framework: DataExchangeGovernance:1.0
    - purpose: cx.pcf.base:1
    - until: 2027-12-31
    - WarrantyDefinition: cx.warranty.contractEndDate:1
  stop: {after: 2 weeks}
endless:
  profile: cx
  offer: {groups: [x]}
  allow: use
  when:
    - framework: DataExchangeGovernance:1.0
    - purpose: cx.pcf.base:1
    - DataUsageEndDefinition: cx.dataUsageEnd.unlimited:1
"""


@cache
def registry() -> Registry[Any]:
    found = [
        *PROFILE.glob("*-schema*.json"),
        *PROFILE.glob("constraint/*.json"),
        *DSP.glob("negotiation/*.json"),
    ]
    contents = [json.loads(path.read_text().replace("#definitions/", "#/definitions/")) for path in found]
    named = [content for content in contents if "$id" in content]
    return Registry().with_resources([(c["$id"], Resource.from_contents(c)) for c in named])


def check(schema: str, document: Any) -> None:
    """Fail if a document is not what a definition of the profile says."""
    problems = [
        e.message for e in Draft201909Validator({"$ref": schema}, registry=registry()).iter_errors(document)
    ]
    assert not problems, (problems, document)


def constraints(rule: dict[str, Any]) -> list[dict[str, Any]]:
    """The atomic constraints of a rule, which must be one constraint, atomic or an `and`."""
    (one,) = rule["constraint"]
    found: list[dict[str, Any]] = one.get("and", [one])
    return found


def loaded(tmp_path: Path, text: str) -> dict[str, Any]:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    return load([path])


def every(tmp_path: Path) -> list[Any]:
    shipped = [p for id_, p in load([folder("policies")]).items() if id_.startswith("cx-")]
    return [*loaded(tmp_path, WHOLE).values(), *shipped]


@needs_profile
def test_policies_are_valid_under_the_profiles_schemas(tmp_path: Path):
    """Access and usage policies pass the protocol's and the profile's schemas, rule by rule.

    The schema of a whole usage policy is checked as its definitions say: as published it accepts anything.
    Where the profile wants a number of days, which the protocol forbids, text stands in its place.
    """
    kinds = {"permission": "UsagePermission", "prohibition": "Prohibition", "obligation": "Obligation"}
    for policy in every(tmp_path):
        document = to_document(offer(policy.contract, "urn:example:1"))
        check("https://w3id.org/dspace/2025/1/negotiation/contract-schema.json#/definitions/Offer", document)
        check(f"{PLACE}schema/policy-schema.json", document)
        for kind, name in kinds.items():
            assert len(document.get(kind, [])) <= 1
            for rule in document.get(kind, []):
                assert rule["action"] == "use"
                for constraint in constraints(rule):
                    if schema := NUMBERS.get(constraint["leftOperand"]):
                        assert isinstance(constraint["rightOperand"], str)
                        number = {**constraint, "rightOperand": int(constraint["rightOperand"])}
                        check(f"{PLACE}{schema}-constraint-schema.json", number)
                    else:
                        check(f"{ATOMIC}Atomic{name}Constraint", constraint)
        (rule,) = to_document(policy.access)["permission"]
        assert rule["action"] == "access"
        for constraint in constraints(rule) if rule.get("constraint") else ():
            check(f"{ATOMIC}AtomicAccessPermissionConstraint", constraint)


def test_nothing_of_it_gets_lost(tmp_path: Path):
    """Under Catena-X's context each bare operand is the profile's, and the policy reads back as it was."""
    for policy in every(tmp_path):
        assert proof.problems(policy.contract) == []
        assert proof.problems(policy.access) == []
        assert proof.message(policy.contract)["@context"] == [CATENA_X, DSP_CONTEXT]


def test_every_operand_of_the_profile_has_a_word():
    """No operand that the engine knows of Catena-X's is out of reach for a writer."""
    made = {
        "UsageRestriction",
        "DataProvisioningEndDate",
        "DataProvisioningEndDurationDays",
        "DataUsageEndDate",
    }
    made |= {
        "Membership",
        "FrameworkAgreement",
        "UsagePurpose",
        "BusinessPartnerNumber",
        "BusinessPartnerGroup",
    }
    made |= {"DataUsageEndDurationDays"}
    assert set(catenax.WHEN) | made >= CX_OPERANDS
    assert {CX + name for name in CX_OPERANDS} <= OPERANDS.keys()


@needs_profile
def test_purposes_are_the_profiles_own():
    """The constants of UsagePurpose are those that its schema lists."""
    schema = json.loads((PROFILE / "constraint" / "usage-purpose-constraint-schema.json").read_text())
    assert set(catenax.PURPOSES) == {d["const"] for d in schema["definitions"].values() if "const" in d}


def test_what_the_profile_does_not_allow_is_refused(tmp_path: Path):
    """Alternatives, duties, other actions, missing or excluding conditions, and wrong values are errors."""
    text = """a:
  profile: cx
  offer: {partners: did:web:p.example, membr: active}
  allow: read
  when: [framework: "DataExchangeGovernance:1.0", any: [], for: 12 hours, Liability: [cx.grossNegligence:1]]
  duty: [log]
  never: [sell, {AffiliatesBpnl: x}]
  stop: {on: tomorrow}
b:
  profile: cx
  offer: everyone
  allow: use
  when:
    - purpose: cx.pcf.base:1
    - for: 9 days
    - until: 2027-01-01
    - until: 2028-01-01
  transform: {drop: [x]}
  odrl: {conflict: perm}
  stop: {on: 2027-01-01, after: 9 days}
"""
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(InvalidFile) as caught:
        load([path])
    found = [reason.replace(f"{path}:", "") for reason in caught.value.reasons]
    for part in (
        "3: policy a: partners: must be a business partner number, such as BPNL000000000001",
        '3: policy a: unknown audience "membr"; did you mean "member"?',
        '4: policy a: allow: unknown action of a usage policy "read"',
        '5: policy a: unknown condition "any"',
        "5: policy a: for: must be in days: Catena-X counts nothing else, such as 90 days",
        "5: policy a: \"['cx.grossNegligence:1']\" is no value of `Liability`",
        "6: policy a: duty: Catena-X has no such block; say ContractTermination under `when`",
        '7: policy a: never: unknown restriction "sell"',
        "7: policy a: AffiliatesBpnl: must be a business partner number",
        "8: policy a: on: must be a day such as 2027-12-31",
        "13: policy b: when: a Catena-X usage policy must have `framework`",
        "13: policy b: when: `until` is there twice; one policy can have it once",
        "13: policy b: when: only one of for and until can be in a policy",
        "18: policy b: transform: Catena-X has no such block; leave it out",
        "19: policy b: odrl: Catena-X has no such block; say it in Catena-X's words",
        "20: policy b: stop: only one of `on` and `after` can be in a Catena-X policy",
    ):
        assert any(line.startswith(part) for line in found), (part, found)
