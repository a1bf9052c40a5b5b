"""The words that policies are written in: namespaces, spellings of left operands, actions and their order.

A term may come bare, with a prefix or in full, by the JSON-LD context that its writer had in mind. Here each
has one full name. What has none is left as it is written, and evaluation denies because of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

ODRL = "http://www.w3.org/ns/odrl/2/"
EDC = "https://w3id.org/edc/v0.0.1/ns/"
ANODE = "https://w3id.org/anode/v1/"
CX = "https://w3id.org/catenax/2025/9/policy/"
_CX_BEFORE = "https://w3id.org/catenax/policy/"  # until 2025; the terms mean the same

PROFILES = frozenset(
    f"{base}{name}" for base in (CX, _CX_BEFORE, "cx-policy:") for name in ("profile2405", "profile")
)
"""The ODRL profiles whose terms this node reads: Catena-X's."""


class Enforcement(StrEnum):
    """What becomes of a term once it is agreed.

    *Enforced* is decided by this node at every decision: catalog, negotiation, transfer and request.
    *Per request* is accepted before, and decided or done at each request for data. *Tracked* is a duty that
    becomes due and needs evidence. *Agreed* is a promise that no machine here can check: it permits, and
    both sides are shown that it is only that.
    """

    ENFORCED = "enforced"
    PER_REQUEST = "per-request"
    TRACKED = "tracked"
    AGREED = "agreed"


DATE_TIME = ODRL + "dateTime"
ELAPSED_TIME = ODRL + "elapsedTime"
DELAY_PERIOD = ODRL + "delayPeriod"
TIME_INTERVAL = ODRL + "timeInterval"
COUNT = ODRL + "count"
PURPOSE = ODRL + "purpose"
SPATIAL = ODRL + "spatial"
EVENT = ODRL + "event"
RECIPIENT = ODRL + "recipient"
IN_FORCE_DATE = EDC + "inForceDate"
PARTICIPANT = ANODE + "participant"
CREDENTIAL = ANODE + "credential"
CLAIM = ANODE + "claim"
SECURITY_PROFILE = ANODE + "securityProfile"
ATTRIBUTE = ANODE + "attribute"
GROUP_SIZE = ANODE + "groupSize"
OF_DUTIES = frozenset((EVENT, RECIPIENT, ATTRIBUTE, GROUP_SIZE))
"""Operands that only duties have."""

ODRL_OPERANDS = frozenset(
    (
        *("absolutePosition", "absoluteSize", "absoluteSpatialPosition", "absoluteTemporalPosition"),
        *("count", "dateTime", "delayPeriod", "deliveryChannel", "device", "elapsedTime", "event"),
        *("fileFormat", "industry", "language", "media", "meteredTime", "payAmount", "percentage"),
        *("product", "purpose", "recipient", "relativePosition", "relativeSize"),
        *("relativeSpatialPosition", "relativeTemporalPosition", "resolution", "spatial"),
        *("spatialCoordinates", "systemDevice", "timeInterval", "unitOfCount", "version"),
        "virtualLocation",
    )
)
"""ODRL 2.2's left operands. DSP's examples write them bare, although its context does not define them."""

CX_OPERANDS = frozenset(
    (
        *("AffiliatesBpnl", "AffiliatesRegion", "BusinessPartnerGroup", "BusinessPartnerNumber"),
        *("ConfidentialInformationMeasures", "ConfidentialInformationSharing", "ContractReference"),
        *("ContractTermination", "DataFrequency", "DataProvisioningEndDate"),
        *("DataProvisioningEndDurationDays", "DataUsageEndDate", "DataUsageEndDefinition"),
        *("DataUsageEndDurationDays", "ExclusiveUsage", "FrameworkAgreement", "JurisdictionLocation"),
        *("JurisdictionLocationReference", "Liability", "ManagedLegalEntityBpnl"),
        *("ManagedLegalEntityRegion", "Membership", "Precedence", "UsagePurpose", "UsageRestriction"),
        *("VersionChanges", "Warranty", "WarrantyDefinition", "WarrantyDurationMonths"),
    )
)
"""Left operands of the Catena-X profile (CX-0152), which its policies write bare."""

_ANODE_OPERANDS = ("participant", "credential", "claim", "securityProfile")

_SPELLINGS: Mapping[str, str] = MappingProxyType(
    {
        f"{prefix}{name}": full + name
        for full, names, prefixes in (
            (ODRL, ODRL_OPERANDS, ("", "odrl:")),
            (CX, CX_OPERANDS, ("", "cx-policy:", _CX_BEFORE)),
            (ANODE, _ANODE_OPERANDS, ("anode:",)),
            (EDC, ("inForceDate",), ("", "edc:")),
        )
        for name in names
        for prefix in prefixes
    }
    # What Catena-X's own context calls the operand that its schema calls otherwise.
    | {f"{p}WarrantyDuration": f"{CX}WarrantyDurationMonths" for p in ("", "cx-policy:", CX)}
)


def short(term: str) -> str:
    """An ODRL term without its prefix or namespace; any other text as it is."""
    return term.removeprefix("odrl:").removeprefix(ODRL)


def iri(left_operand: str) -> str:
    """A left operand in full, however it was written.

    >>> iri("dateTime") == iri("odrl:dateTime") == iri(DATE_TIME) == DATE_TIME
    True
    >>> iri("edc:inForceDate") == iri("inForceDate") == IN_FORCE_DATE
    True
    >>> iri("Membership") == iri("cx-policy:Membership") == CX + "Membership"
    True
    """
    found = _SPELLINGS.get(left_operand)
    if found:
        return found
    name = short(left_operand)
    return left_operand if name == left_operand else ODRL + name


@dataclass(frozen=True, slots=True)
class Action:
    """An action, what it is a part of (`odrl:includedIn`), and what a duty to do it becomes, if anything."""

    included_in: tuple[str, ...] = ()
    duty: Enforcement | None = None


def _actions() -> dict[str, Action]:
    found = {name: Action() for name in ("use", "transfer", "access")}
    parents = {"give": "transfer", "sell": "transfer", "display": "play", "extract": "reproduce"}
    tracked = ("anonymize", "compensate", "delete", "inform", "nextPolicy", "obtainConsent", "reviewPolicy")
    agreed = ("acceptTracking", "attribute", "ensureExclusivity", "include", "watermark")
    names = (
        *("acceptTracking", "aggregate", "annotate", "anonymize", "archive", "attribute", "compensate"),
        *("concurrentUse", "delete", "derive", "digitize", "display", "distribute", "ensureExclusivity"),
        *("execute", "extract", "give", "grantUse", "include", "index", "inform", "install", "modify"),
        *("move", "nextPolicy", "obtainConsent", "play", "present", "print", "read", "reproduce"),
        *("reviewPolicy", "sell", "stream", "synchronize", "textToSpeech", "transform", "translate"),
        *("uninstall", "watermark"),
        "write",  # deprecated for `modify`, and still written
    )
    for name in names:
        duty = Enforcement.TRACKED if name in tracked else Enforcement.AGREED if name in agreed else None
        found[name] = Action((parents.get(name, "use"),), duty)
    for name in ("reidentify", "trainModel"):
        found[ANODE + name] = Action(("derive",))
    for name in ("log", "generalize", "pseudonymize", "project"):
        found[ANODE + name] = Action(("use",), Enforcement.PER_REQUEST)
    return found


ACTIONS: Mapping[str, Action] = MappingProxyType(_actions())
"""By name: ODRL 2.2's short, Catena-X's `access`, and this node's own in full.

`log`, `project` (leave parts out), `pseudonymize` and `generalize` (until a group is large enough) are duties
that the providing node does itself.
"""


def action_name(action: str) -> str:
    """An action by its one name, however it was written.

    >>> action_name("odrl:use"), action_name("cx-policy:access"), action_name(ODRL + "read")
    ('use', 'access', 'read')
    """
    name = short(action)
    for prefix in ("cx-policy:", CX, _CX_BEFORE):
        if name == f"{prefix}access":
            return "access"
    return ANODE + name.removeprefix("anode:") if name.startswith("anode:") else name


def includes(broad: str, action: str) -> bool:
    """Whether `action` is `broad`, or by ODRL's hierarchy a part of it. Both by their one name.

    >>> includes("use", "display"), includes("read", "use"), includes("use", "sell")
    (True, False, False)
    """
    if broad == action:
        return True
    known = ACTIONS.get(action)
    return known is not None and any(includes(broad, parent) for parent in known.included_in)
