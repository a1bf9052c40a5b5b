"""The left operands of the Catena-X profile (CX-0152, context 2025/9), with what they can mean to a machine.

Membership, framework agreement and business partner numbers are proved by credentials, groups are the
provider's own list, purposes are declared per request, and end dates end access. All other operands are terms
of a contract between people: agreed, shown as such, and never the reason for a yes or a no. A value that the
profile does not have is refused, so that a misspelt term is not a promise of nothing.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

from connector.odrl import times
from connector.odrl.conditions import (
    Condition,
    Operand,
    RuleKind,
    either,
    one,
    promise,
    quoted,
    texts,
    untold,
)
from connector.odrl.facts import Facts
from connector.odrl.policy import Operator, Value
from connector.odrl.proofs import having, proof
from connector.odrl.truth import Truth
from connector.odrl.vocabulary import CX, Enforcement

MEMBERSHIP = "MembershipCredential"
PARTNER_NUMBER = "BpnCredential"
_NUMBER_TYPES = (MEMBERSHIP, PARTNER_NUMBER)
_NUMBER_NAMES = ("holderIdentifier", "bpn")
_NUMBER = re.compile(r"BPN[LSA][0-9A-Z]{12}\Z")
_FRAMEWORK = re.compile(r"([A-Z][A-Za-z]{1,60}):([0-9]{1,3}(?:\.[0-9]{1,3})?)\Z")

REGIONS = {
    f"cx.region.{region}:1": name if region == "all" else f"in {name}"
    for region, name in {
        "all": "everywhere",
        "europe": "Europe",
        "northAmerica": "North America",
        "southAmerica": "South America",
        "africa": "Africa",
        "asia": "Asia",
        "oceania": "Oceania",
        "antarctica": "Antarctica",
    }.items()
}

_PERMISSION: tuple[RuleKind, ...] = ("permission",)
_BOTH: tuple[RuleKind, ...] = ("permission", "prohibition")

TERMS: Mapping[str, tuple[str, tuple[RuleKind, ...], Mapping[str, str] | None]] = MappingProxyType(
    {
        "ContractReference": ("under the terms that both sides know as", _PERMISSION, None),
        "AffiliatesBpnl": ("by the user's affiliates", _BOTH, None),
        "AffiliatesRegion": ("by the user's affiliates", _BOTH, REGIONS),
        "ManagedLegalEntityBpnl": ("by legal entities that the user manages", _BOTH, None),
        "ManagedLegalEntityRegion": ("by legal entities that the user manages", _BOTH, REGIONS),
        "DataFrequency": (
            "with access",
            _PERMISSION,
            {"cx.dataFrequency.once:1": "once", "cx.dataFrequency.unlimited:1": "as often as wanted"},
        ),
        "VersionChanges": (
            "including changes of the data's version that are",
            _PERMISSION,
            {"cx.versionChanges.minor:1": "minor", "cx.versionChanges.major:1": "major"},
        ),
        "ContractTermination": (
            "with the data, after the contract's end,",
            _PERMISSION,
            {"cx.data.deletion:1": "deleted", "cx.data.keeping:1": "kept"},
        ),
        "ConfidentialInformationMeasures": (
            "with",
            _PERMISSION,
            {"cx.confidentiality.measures:1": "measures that keep it confidential"},
        ),
        "ConfidentialInformationSharing": (
            "sharing confidential information with",
            _PERMISSION,
            {
                "cx.sharing.affiliates:1": "affiliates",
                "cx.sharing.managedLegalEntity:1": "managed legal entities",
            },
        ),
        "ExclusiveUsage": ("exclusively by", _PERMISSION, {"cx.exclusiveUsage.dataConsumer:1": "the user"}),
        "Warranty": (
            "",
            _PERMISSION,
            {
                "cx.warranty.none:1": "without a warranty",
                "cx.warranty.contractReference:1": "with a warranty as the contract referred to says",
                "cx.warranty.dataQualityIssues:1": "with a warranty for the data's quality",
            },
        ),
        "WarrantyDefinition": (
            "with a warranty until",
            _PERMISSION,
            {"cx.warranty.contractEndDate:1": "the contract's end"},
        ),
        "WarrantyDurationMonths": ("with a warranty of", _PERMISSION, None),
        "Liability": (
            "with liability for",
            _PERMISSION,
            {"cx.grossNegligence:1": "gross negligence", "cx.slightNegligence:1": "slight negligence"},
        ),
        "JurisdictionLocation": ("under the jurisdiction of", _PERMISSION, None),
        "JurisdictionLocationReference": (
            "under the jurisdiction of",
            _PERMISSION,
            {
                "cx.location.dataConsumer:1": "the user's place",
                "cx.location.contractReference:1": "the place that the contract referred to says",
            },
        ),
        "Precedence": (
            "with precedence of",
            _PERMISSION,
            {
                "cx.precedence.contractReference:1": "the contract referred to",
                "cx.precedence.rcAgreement:1": "the framework's agreement",
            },
        ),
        "DataUsageEndDefinition": (
            "without an end of use",
            _PERMISSION,
            {"cx.dataUsageEnd.unlimited:1": ""},
        ),
        "UsageRestriction": (
            "by",
            ("prohibition",),
            {
                "cx.thirdParty.forbidden:1": "sharing it with third parties",
                "cx.manipulation.forbidden:1": "manipulating it",
                "cx.derivations.forbidden:1": "deriving data from it",
                "cx.extraordinaryAnalytics.forbidden:1": "extraordinary analytics",
                "cx.dataProviderRemoval.forbidden:1": "removing who provided it",
            },
        ),
    }
)
"""The operands that are agreed only: how they are said, in which rules, and their values (None for any)."""

_SETS: tuple[Operator, ...] = ("isAnyOf", "isAllOf", "eq")


def _term(name: str) -> Callable[[Operator, Value], Condition]:
    words, _, values = TERMS[name]

    def condition(operator: Operator, value: Value) -> Condition:
        found = texts(operator, value, "value")
        if values is not None and (unknown := [text for text in found if text not in values]):
            raise ValueError(f"{unknown[0][:60]!r} must be one of {', '.join(values)}")
        if name == "WarrantyDurationMonths" and not (found[0].isascii() and found[0].isdigit()):
            raise ValueError(f"{found[0][:60]!r} must be a number of months")
        # All restrictions hold, each by itself: what they forbid is said as alternatives.
        word = "or" if operator == "isAnyOf" or name == "UsageRestriction" else "and"
        listed = f" {word} ".join(quoted(text) if values is None else values[text] for text in found)
        if name == "WarrantyDurationMonths":
            listed += " month" if int(found[0]) == 1 else " months"
        return promise(f"{words} {listed}".strip())

    return condition


def _membership(_: Operator, value: Value) -> Condition:
    if one(value) != "active":
        raise ValueError("must be active")
    says = "by members of the data space"
    return proof((MEMBERSHIP,), having(MEMBERSHIP), says, f"a {MEMBERSHIP}")


def _framework(operator: Operator, value: Value) -> Condition:
    (text,) = texts("eq", value, "framework agreement")
    match = _FRAMEWORK.match(text)
    if not match:
        raise ValueError(f"{text[:60]!r} must be such as DataExchangeGovernance:1.0")
    type_, version = f"{match[1]}Credential", match[2]

    says = f"by those who signed {match[1]} {version}"
    holds = having(type_, "contractVersion", version)
    return proof((type_,), holds, says, f"a {type_} of version {version}")


def _partner_number(operator: Operator, value: Value) -> Condition:
    names = texts(operator, value, "business partner number")
    if wrong := [name for name in names if not _NUMBER.match(name)]:
        raise ValueError(f"{wrong[0][:60]!r} must be a number such as BPNL000000000001")
    wanted, known = operator in ("eq", "isAnyOf"), frozenset(names)

    def holds(facts: Facts) -> Truth:
        held, other = facts.claims.held, False
        for type_ in _NUMBER_TYPES:
            for claim in held.get(type_, ()):
                for name in _NUMBER_NAMES if claim.until > facts.now else ():
                    number = claim.subject.get(name)
                    if isinstance(number, str):
                        if number in known:
                            return wanted
                        other = other or _NUMBER.match(number) is not None
        if other:
            return not wanted
        asked = all(type_ in held for type_ in _NUMBER_TYPES)
        return False if wanted and asked else None  # who has proved no number may have any

    listed = " or ".join(names)
    says = f"by {'' if wanted else 'anyone but '}{listed}"
    need = f"a {MEMBERSHIP} or {PARTNER_NUMBER} with {'' if wanted else 'another number than '}{listed}"
    public = f"a {MEMBERSHIP} or {PARTNER_NUMBER} with a certain business partner number"
    return proof(_NUMBER_TYPES, holds, says, need, public)


def _partner_group(operator: Operator, value: Value) -> Condition:
    names = texts(operator, value, "group")
    wanted = operator in ("eq", "isAnyOf")
    says = f"by partners {'in' if wanted else 'outside'} {either(names)}"

    known = frozenset(names)

    def holds(facts: Facts) -> Truth:
        return None if facts.groups is None else (not known.isdisjoint(facts.groups)) is wanted

    def seen(facts: Facts) -> str:
        return "not known" if facts.groups is None else either(sorted(facts.groups), "and") or "in no group"

    def refusal(facts: Facts, redacted: bool) -> str:
        if redacted:
            return "The permission is for certain partners: ask the provider whether you can be one of them."
        return f"The data may be used {says}; {quoted(facts.participant)} is: {seen(facts)}."

    return Condition(holds, says, "by certain partners", seen, refusal, needs=frozenset({"groups"}))


def plainly(purpose: str) -> str:
    """A purpose as it is compared: a capital letter or a space more must not lead past a prohibition."""
    return unicodedata.normalize("NFKC", purpose).strip().casefold()


def purpose(operator: Operator, value: Value) -> Condition:
    """The purpose that is declared with a request: one of those agreed, or none of those excluded."""
    names = texts(operator, value, "purpose")
    wanted = operator not in ("neq", "isNoneOf")
    says = f"for {'' if wanted else 'anything but '}{either(names)}"

    def refusal(facts: Facts, _: bool) -> str:
        declared = None if facts.purpose is None else quoted(facts.purpose[:100])
        said = f"declared was {declared}" if declared else "no purpose was declared"
        return f"The data may be used {says}; {said}: declare the purpose with the request."

    known = frozenset((*names, *map(plainly, names)))

    def holds(facts: Facts) -> Truth:
        said = facts.purpose
        if said is None:
            return untold(facts)
        return (said in known or plainly(said) in known) is wanted

    return Condition(
        holds=holds,
        says=says,
        public=says,
        seen=lambda facts: quoted(facts.purpose) if facts.purpose else "not declared",
        refusal=refusal,
        needs=frozenset({"purpose"}),
    )


def _operands() -> dict[str, Operand]:
    among_: tuple[Operator, ...] = ("isAnyOf", "isNoneOf", "eq", "neq")
    until: tuple[Operator, ...] = ("eq", "lteq")
    party: tuple[Literal["party"]] = ("party",)
    found = {
        "Membership": Operand("membership", ("eq", "isAnyOf"), _membership, refines=party),
        "FrameworkAgreement": Operand("framework agreement", ("eq", "isAnyOf"), _framework, refines=party),
        "BusinessPartnerNumber": Operand("business partner number", among_, _partner_number, refines=party),
        "BusinessPartnerGroup": Operand("business partner group", among_, _partner_group, refines=party),
        "UsagePurpose": Operand("purpose", (*_SETS,), purpose, Enforcement.PER_REQUEST),
        "DataUsageEndDate": Operand("end of use", until, times.end_date),
        "DataUsageEndDurationDays": Operand("days of use", until, times.end_days),
        "DataProvisioningEndDate": Operand("end of provision", until, times.end_date, rules=("obligation",)),
        "DataProvisioningEndDurationDays": Operand(
            "days of provision", until, times.end_days, rules=("obligation",)
        ),
    }
    for name, (_, rules, _) in TERMS.items():
        found[name] = Operand(name, _SETS, _term(name), Enforcement.AGREED, rules, ())
    return found


OPERANDS: Mapping[str, Operand] = MappingProxyType({CX + name: made for name, made in _operands().items()})
"""By full IRI."""
