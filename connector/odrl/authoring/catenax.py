"""Catena-X's policy profile (CX-0152) in a policy file: its words, its constants, and its one allowed shape.

An access policy says who sees the offer; a usage policy is one permission, at most one prohibition and one
obligation, each with one constraint, atomic or an `and`. Operands are written bare, as its schemas want
them, so messages carry its context. Days are text: a JSON number would break the protocol's own schema.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from connector.odrl.authoring.faults import either, nearest
from connector.odrl.authoring.reading import Condition, Reader
from connector.odrl.authoring.words import Unwritable, Word, number, span, texts
from connector.odrl.model import Constraint, LogicalConstraint, Operator, Policy, Rule
from connector.odrl.policy import texts_of
from connector.odrl.vocabulary import CX, iri

_BPNL = re.compile(r"BPNL[0-9A-Z]{12}")
_TEXT = re.compile(r"\S(.{0,498}\S)?")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_REGIONS = tuple(
    f"cx.region.{name}:1"
    for name in ("all", "europe", "northAmerica", "southAmerica", "africa", "asia", "oceania", "antarctica")
)
RESTRICTIONS: Mapping[str, str] = MappingProxyType(
    {
        "distribute": "cx.thirdParty.forbidden:1",
        "modify": "cx.manipulation.forbidden:1",
        "derive": "cx.derivations.forbidden:1",
        "extraordinaryAnalytics": "cx.extraordinaryAnalytics.forbidden:1",
        "dataProviderRemoval": "cx.dataProviderRemoval.forbidden:1",
    }
)
"""What `never` can say: ODRL's actions where there is one, and the constant of `UsageRestriction`."""


def _constants(left: str, operator: Operator, *values: str) -> Word:
    def write(value: Any) -> Constraint:
        many = operator != "eq"
        given = value if isinstance(value, list) and many else [value]
        for n, item in enumerate(given):
            if item not in values:
                at = [n] if isinstance(value, list) else []
                known = f"{' or '.join(values)}{nearest(item, values)}"
                raise Unwritable(f"{str(item)[:100]!r} is no value of `{left}`: {known}", *at)
        if not given:
            raise Unwritable(f"names none; write at least one of {' or '.join(values)}")
        return Constraint(left, operator, tuple(given) if many else given[0])

    return Word(write, _reader(left, operator, lambda found: all(text in values for text in found)))


def _list(left: str, operator: Operator, what: str, pattern: re.Pattern[str]) -> Word:
    reader = _reader(left, operator, lambda found: all(pattern.fullmatch(text) for text in found))
    return Word(lambda value: Constraint(left, operator, texts(value, what, pattern)), reader)


def _text(left: str, what: str) -> Word:
    def write(value: Any) -> Constraint:
        if isinstance(value, list):
            raise Unwritable(f"must be {what}, and only one")
        return Constraint(left, "eq", texts(value, what, _TEXT)[0])

    return Word(write, _reader(left, "eq", lambda found: bool(_TEXT.fullmatch(found[0]))))


def _reader(left: str, operator: Operator, fits: Any) -> Any:
    def read(constraint: Constraint) -> Any:
        if iri(constraint.left_operand) != CX + left or constraint.operator != operator or constraint.unread:
            return None
        found = texts_of(constraint.right_operand)
        if not found or (operator == "eq" and len(found) > 1) or not fits(found):
            return None
        return found[0] if len(found) == 1 else found

    return read


def _days(left: str) -> Word:
    def write(value: Any) -> Constraint:
        match = re.fullmatch(r"P([0-9]+)([DW])", span(value))
        if not match:
            raise Unwritable("must be in days: Catena-X counts nothing else, such as 90 days")
        return Constraint(left, "eq", str(int(match[1]) * (7 if match[2] == "W" else 1)))

    def read(constraint: Constraint) -> str | None:
        found = _reader(left, "eq", lambda texts: re.fullmatch(r"[1-9][0-9]{0,8}", texts[0]))(constraint)
        return None if found is None else f"{found} day{'' if found == '1' else 's'}"

    return Word(write, read)


def _months(left: str) -> Word:
    def read(constraint: Constraint) -> int | None:
        found = _reader(left, "eq", lambda texts: re.fullmatch(r"[1-9][0-9]{0,8}", texts[0]))(constraint)
        return None if found is None else int(found)

    return Word(lambda value: Constraint(left, "eq", number(value)), read)


def _end(left: str) -> Word:
    def write(value: Any) -> Constraint:
        text = str(value)
        if _DAY.fullmatch(text):
            text += "T23:59:59Z"
        if not _INSTANT.fullmatch(text):
            raise Unwritable("must be a day such as 2027-12-31, or a time such as 2027-12-31T12:00:00Z")
        return Constraint(left, "eq", text)

    def read(constraint: Constraint) -> str | None:
        found: str | None = _reader(left, "eq", lambda texts: _INSTANT.fullmatch(texts[0]))(constraint)
        return found and found.removesuffix("T23:59:59Z")

    return Word(write, read)


_MEMBER = _constants("Membership", "eq", "active")
_FRAMEWORK = _constants("FrameworkAgreement", "eq", "DataExchangeGovernance:1.0")

OFFER: Mapping[str, Word] = MappingProxyType(
    {
        "member": _MEMBER,
        "framework": _FRAMEWORK,
        "partners": _list(
            "BusinessPartnerNumber", "isAnyOf", "a business partner number, such as BPNL000000000001", _BPNL
        ),
        "not-partners": _list(
            "BusinessPartnerNumber", "isNoneOf", "a business partner number, such as BPNL000000000001", _BPNL
        ),
        "groups": _list(
            "BusinessPartnerGroup", "isAnyOf", "a group of partners, such as certified-recyclers", _TEXT
        ),
        "not-groups": _list(
            "BusinessPartnerGroup", "isNoneOf", "a group of partners, such as certified-recyclers", _TEXT
        ),
    }
)
"""Who sees the offer: an access policy."""

_AFFILIATES: Mapping[str, Word] = MappingProxyType(
    {
        "AffiliatesBpnl": _list(
            "AffiliatesBpnl", "isAnyOf", "a business partner number, such as BPNL000000000001", _BPNL
        ),
        "AffiliatesRegion": _constants("AffiliatesRegion", "isAnyOf", *_REGIONS),
    }
)

WHEN: Mapping[str, Word] = MappingProxyType(
    {
        "member": _MEMBER,
        "framework": _FRAMEWORK,
        "purpose": _list("UsagePurpose", "isAnyOf", "a purpose, such as cx.circular.dpp:1", _TEXT),
        "until": _end("DataUsageEndDate"),
        "for": _days("DataUsageEndDurationDays"),
        "ContractReference": _list(
            "ContractReference", "isAllOf", "a contract's name, such as ContractID250620197", _TEXT
        ),
        **_AFFILIATES,
        "ManagedLegalEntityBpnl": _list(
            "ManagedLegalEntityBpnl", "isAnyOf", "a business partner number, such as BPNL000000000001", _BPNL
        ),
        "ManagedLegalEntityRegion": _constants("ManagedLegalEntityRegion", "isAnyOf", *_REGIONS),
        "DataFrequency": _constants(
            "DataFrequency", "eq", "cx.dataFrequency.once:1", "cx.dataFrequency.unlimited:1"
        ),
        "VersionChanges": _constants(
            "VersionChanges", "eq", "cx.versionChanges.minor:1", "cx.versionChanges.major:1"
        ),
        "ContractTermination": _constants(
            "ContractTermination", "eq", "cx.data.deletion:1", "cx.data.keeping:1"
        ),
        "ConfidentialInformationMeasures": _constants(
            "ConfidentialInformationMeasures", "eq", "cx.confidentiality.measures:1"
        ),
        "ConfidentialInformationSharing": _constants(
            "ConfidentialInformationSharing",
            "isAnyOf",
            "cx.sharing.affiliates:1",
            "cx.sharing.managedLegalEntity:1",
        ),
        "ExclusiveUsage": _constants("ExclusiveUsage", "eq", "cx.exclusiveUsage.dataConsumer:1"),
        "Warranty": _constants(
            "Warranty",
            "eq",
            "cx.warranty.none:1",
            "cx.warranty.contractReference:1",
            "cx.warranty.dataQualityIssues:1",
        ),
        "WarrantyDefinition": _constants("WarrantyDefinition", "eq", "cx.warranty.contractEndDate:1"),
        "WarrantyDurationMonths": _months("WarrantyDurationMonths"),
        "Liability": _constants("Liability", "eq", "cx.grossNegligence:1", "cx.slightNegligence:1"),
        "JurisdictionLocation": _text("JurisdictionLocation", "a place, such as Munich"),
        "JurisdictionLocationReference": _constants(
            "JurisdictionLocationReference",
            "eq",
            "cx.location.dataConsumer:1",
            "cx.location.contractReference:1",
        ),
        "Precedence": _constants(
            "Precedence", "eq", "cx.precedence.contractReference:1", "cx.precedence.rcAgreement:1"
        ),
        "DataUsageEndDefinition": _constants("DataUsageEndDefinition", "eq", "cx.dataUsageEnd.unlimited:1"),
    }
)
"""The conditions of a usage policy."""

PURPOSES = tuple(
    f"cx.{name}:1"
    for name in (
        *("core.legalRequirementForThirdparty", "core.industrycore", "core.qualityNotifications"),
        *("core.digitalTwinRegistry", "pcf.base", "quality.base", "dcm.base", "puris.base"),
        *("circular.dpp", "circular.smc", "circular.marketplace", "circular.materialaccounting"),
        *("bpdm.gate.upload", "bpdm.gate.download", "bpdm.pool", "bpdm.vas.countryrisk"),
        *("bpdm.vas.dataquality.upload", "bpdm.vas.dataquality.download", "bpdm.vas.bdv.upload"),
        *("bpdm.vas.bdv.download", "bpdm.vas.fpd.upload", "bpdm.vas.fpd.download"),
        *("bpdm.vas.swd.upload", "bpdm.vas.swd.download", "bpdm.vas.nps.upload"),
        *("bpdm.vas.nps.download", "ccm.base", "bpdm.poolAll", "logistics.base"),
    )
)
"""The constants of `UsagePurpose`, beside which it takes any text."""
_FREE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"UsagePurpose": PURPOSES, "ContractReference": (), "JurisdictionLocation": ()}
)
"""The operands that take any text, and their constants."""

STOP: Mapping[str, Word] = MappingProxyType(
    {"on": _end("DataProvisioningEndDate"), "after": _days("DataProvisioningEndDurationDays")}
)
"""When providing ends: the obligation of a usage policy."""

NEVER: Mapping[str, Word] = _AFFILIATES
"""What `never` can say beside restrictions: for which affiliates the use is forbidden."""

_FOREIGN = (
    ("transform", "leave it out"),
    ("duty", "say ContractTermination under `when`"),
    ("odrl", "say it in Catena-X's words"),
)
NEEDED = ("framework", "purpose")
EXCLUDE = (
    frozenset({"until", "for", "DataUsageEndDefinition"}),
    frozenset({"WarrantyDefinition", "WarrantyDurationMonths"}),
)
"""Of these only one may stand in a policy."""


def restriction(names: Sequence[str]) -> Constraint:
    """`UsageRestriction` with the constants for these words of `never`."""
    return Constraint("UsageRestriction", "isAllOf", tuple(RESTRICTIONS[name] for name in names))


def restrictions(constraint: Constraint) -> list[str] | None:
    """The words of `never` that a constraint says; None if it is another."""
    if iri(constraint.left_operand) != CX + "UsageRestriction" or constraint.operator != "isAllOf":
        return None
    words = {constant: word for word, constant in RESTRICTIONS.items()}
    found = [words.get(text, "") for text in texts_of(constraint.right_operand)]
    return found if found and all(found) and not constraint.unread else None


def rule(action: str, constraints: Sequence[Constraint | LogicalConstraint]) -> Rule:
    """A rule with one constraint: the one there is, or an `and` of all."""
    if len(constraints) > 1:
        return Rule(action, (LogicalConstraint("and", tuple(constraints)),))
    return Rule(action, tuple(constraints))


def is_catena_x(constraint: Constraint | LogicalConstraint) -> bool:
    """Whether an operand of the profile is in it."""
    if isinstance(constraint, LogicalConstraint):
        return any(map(is_catena_x, constraint.constraints))
    return iri(constraint.left_operand).startswith(CX)


def access(reader: Reader) -> Policy:
    """An access policy: who sees the offer."""
    who: tuple[Condition, ...] = ()
    value = reader.blocks["offer"]
    if isinstance(value, dict):
        known = {word: OFFER[word].write for word in OFFER if word in value}
        reader.faults.only(value, (*OFFER, "data"), (*reader.where, "offer"), "audience")
        found = (reader.word(write, value[word], ("offer", word)) for word, write in known.items())
        who = tuple(made for made in found if made is not None)
        if not known:
            reader.wrong(("offer",), "names nobody; write `member: active`, or `partners: [BPNL...]`")
    elif value is None:
        reader.wrong(("offer",), "is empty; write `offer: everyone`")
    elif value != "everyone":
        reader.unknown(value, ("everyone", *OFFER), ("offer",), "audience")
    return Policy("Set", f"{reader.name}/access", permission=(rule("access", who),))


def contract(reader: Reader) -> Policy:
    """A usage policy: a permission with what Catena-X demands, a prohibition, an obligation to provide."""
    blocks = reader.blocks
    for block, instead in _FOREIGN:
        if block in blocks:
            reader.wrong((block,), f"Catena-X has no such block; {instead}, or leave `profile: cx` out")
    if blocks["allow"] != "use":
        reader.unknown(blocks["allow"], ("use",), ("allow",), "action of a usage policy")
    conditions = reader.conditions(blocks.get("when"), ("when",), WHEN, logic=False)
    items = blocks["when"] if conditions else []
    words = [word for item in items if isinstance(item, dict) for word in item]
    for word in NEEDED:
        if word not in words:
            reader.wrong(("when",), f"a Catena-X usage policy must have `{word}`")
    for word in {word for word in words if words.count(word) > 1}:
        reader.wrong(("when",), f"`{word}` is there twice; one policy can have it once")
    for group in EXCLUDE:
        if len(both := sorted(group.intersection(words))) > 1:
            reader.wrong(("when",), f"only one of {either(both, 'and')} can be in a policy")
    if reader.evaluable:
        _constants_known(reader, conditions)
    ends = [made for _, made in reader.mapping("stop", STOP, "end")] if "stop" in blocks else []
    if len(ends) > 1:
        reader.wrong(("stop",), "only one of `on` and `after` can be in a Catena-X policy")
    return Policy(
        "Set",
        reader.name,
        permission=(rule("use", conditions),),
        prohibition=tuple(_forbidden(reader)) if "never" in blocks else (),
        obligation=(Rule("use", tuple(ends)),) if ends else (),
    )


def _constants_known(reader: Reader, conditions: Sequence[Condition]) -> None:
    """Text is free, but what looks like a constant must be one: a misspelt one would be a text of its own."""
    for part in conditions:
        if not isinstance(part, Constraint) or part.left_operand not in _FREE:
            continue
        texts = texts_of(part.right_operand)
        for n, text in enumerate(texts):
            if text.lower().startswith("cx.") and text not in _FREE[part.left_operand]:
                where = (*reader.places[id(part)], *([n] if len(texts) > 1 else []))
                hint = nearest(text, _FREE[part.left_operand])
                what = f'"{text[:100]}" is no constant of `{part.left_operand}`'
                reader.faults.wrong(where, f'{what}, and free text must not begin with "cx."{hint}')


def _forbidden(reader: Reader) -> Iterator[Rule]:
    """One prohibition: the restrictions, and the affiliates for which the use is forbidden."""
    names: list[str] = []
    parts: list[Condition] = []
    for word, detail, where in reader.entries(reader.blocks["never"], ("never",), "what is forbidden"):
        if word in RESTRICTIONS and detail is None:
            names.append(word)
        elif word in NEVER:
            if (made := reader.word(NEVER[word].write, detail, where)) is not None:
                parts.append(made)
        else:
            reader.unknown(word, (*RESTRICTIONS, *NEVER), where, "restriction")
    if names:
        parts.insert(0, reader.placed(restriction(names), ("never",)))
    if parts:
        yield rule("use", parts)
