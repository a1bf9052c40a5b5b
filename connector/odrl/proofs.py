"""Conditions on what a participant has proved: its verified credentials, and what they say of it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from connector.odrl.conditions import Condition, either, quoted, texts, visible
from connector.odrl.facts import Claim, Facts
from connector.odrl.policy import Operator, Value
from connector.odrl.truth import Holds, Truth, connected

Judge: TypeAlias = Callable[[Sequence[Claim], bool], Truth]
"""Decides from the claims that count now, and whether all types were asked for."""

_CLAIM = re.compile(r"([A-Z][A-Za-z0-9]{0,99})\.([A-Za-z][A-Za-z0-9_.]{0,199})=(.{1,500})\Z")
_VOWEL = re.compile(r"[aio]|e(?!u)|u(?![a-z][aeiou])", re.IGNORECASE)
_CODE = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?\Z")
LEGAL_PARTICIPANT = "LegalParticipantCredential"
CONNECTOR = "ConnectorCredential"
_PROFILES = ("base", "trust", "trustPlus")
_IDS_PROFILES = {
    f"{prefix}{name}_SECURITY_PROFILE": profile
    for prefix in ("idsc:", "https://w3id.org/idsa/code/")
    for name, profile in zip(("BASE", "TRUST", "TRUST_PLUS"), _PROFILES, strict=True)
}
_EU = [
    "AT",
    "BE",
    "BG",
    "CY",
    "CZ",
    "DE",
    "DK",
    "EE",
    "ES",
    "FI",
    "FR",
    "GR",
    "HR",
    "HU",
    "IE",
    "IT",
    "LT",
    "LU",
    "LV",
    "MT",
    "NL",
    "PL",
    "PT",
    "RO",
    "SE",
    "SI",
    "SK",
]
_REGIONS: Mapping[str, frozenset[str]] = {"EU": frozenset(_EU), "EEA": frozenset((*_EU, "IS", "LI", "NO"))}
_PLACE_NAMES = {"EU": "the EU", "EEA": "the EEA"}
_ADDRESSES = ("address", "legalAddress", "headquarterAddress", "headquartersAddress")
_COUNTRIES = ("country", "countryCode", "addressCountry", "countrySubdivisionCode")


def counting(facts: Facts, types: Sequence[str]) -> list[Claim]:
    """The claims of these types that count now."""
    held, now = facts.claims.held, facts.now
    return [claim for type_ in types for claim in held.get(type_, ()) if claim.until > now]


def judged(types: Sequence[str], judge: Judge) -> Holds:
    """A judgement on the claims of these types as a function of the facts."""

    def holds(facts: Facts) -> Truth:
        held = facts.claims.held
        return judge(counting(facts, types), all(type_ in held for type_ in types))

    return holds


def having(type_: str, name: str = "", said: str = "") -> Holds:
    """Whether a credential of the type counts now; with `name`, one that says `said` there."""

    def holds(facts: Facts) -> Truth:
        claims = facts.claims.held.get(type_)
        if claims is None:
            return None
        for claim in claims:
            if claim.until > facts.now and (not name or claim.subject.get(name) == said):
                return True
        return False

    return holds


def proof(types: Sequence[str], holds: Holds, says: str, need: str, public: str | None = None) -> Condition:
    """A condition on claims of these types. `need` is what is missing, as "a MembershipCredential"."""

    def givers(facts: Facts) -> tuple[str, ...]:
        issuers = facts.claims.issuers
        return tuple(sorted({i for type_ in types for i in issuers.get(type_, ())})) if issuers else ()

    def refusal(facts: Facts, redacted: bool) -> str:
        from_whom = givers(facts)
        ask = f" from {either(from_whom)}" if from_whom else ""
        wanted = need if public is None or not redacted else public
        refused = facts.claims.refused
        found = visible("; ".join(refused[t] for t in types if t in refused)) if refused else ""
        return (
            f"The permission needs {wanted}; {quoted(facts.participant)} has presented none that is valid now"
            f"{f' ({found})' if found else ''}: get one{ask}, and present it."
        )

    return Condition(
        holds=holds,
        says=says,
        public=says if public is None else f"by holders of {public}",
        seen=lambda facts: either(sorted({c.type for c in counting(facts, types)}), "and") or "none of these",
        refusal=refusal,
        changes=lambda facts: tuple(c.until for t in types for c in facts.claims.held.get(t, ())),
        credentials=frozenset(types),
        givers=givers,
    )


def credential(operator: Operator, value: Value) -> Condition:
    """Credentials by type, of issuers that are believed: one of them, or all."""
    types = texts(operator, value, "credential" if operator == "eq" else "credentials")
    listed = f" {'and' if operator == 'isAllOf' else 'or'} ".join(map(_a, types))
    holds = connected("and" if operator == "isAllOf" else "or", [having(type_) for type_ in types])
    return proof(types, holds, f"by holders of {listed}", listed)


def claim(operator: Operator, value: Value) -> Condition:
    """What a credential says, as `MembershipCredential.memberOf=Catena-X`: one of these, all, or none."""
    wanted = []
    for text in texts(operator, value, "claim" if operator == "eq" else "claims"):
        match = _CLAIM.match(text)
        if not match:
            raise ValueError(f"{text[:60]!r} must be such as MembershipCredential.memberOf=Catena-X")
        wanted.append((match[1], tuple(match[2].split(".")), match[3]))
    types = sorted({type_ for type_, _, _ in wanted})

    def judge(claims: Sequence[Claim], asked: bool) -> Truth:
        found = [
            any(c.type == type_ and said in _values(c.subject, path) for c in claims)
            for type_, path, said in wanted
        ]
        if operator == "isNoneOf":
            return False if any(found) else True if asked and claims else None
        if all(found) if operator == "isAllOf" else any(found):
            return True
        return False if asked else None

    word = "and" if operator == "isAllOf" else "or"
    verb = "does not say" if operator == "isNoneOf" else "says"
    listed = f" {word} ".join(
        f"{quoted('.'.join((type_, *path)))} {quoted(said)}" for type_, path, said in wanted
    )
    says, need = f"by those whose credential {verb} {listed}", f"a credential that {verb} {listed}"
    return proof(types, judged(types, judge), says, need)


def security_profile(operator: Operator, value: Value) -> Condition:
    """The IDS security profile of the connector, as its certificate has it: base, trust or trustPlus."""
    names = [_IDS_PROFILES.get(text, text) for text in texts(operator, value, "security profile")]
    if any(name not in _PROFILES for name in names):
        raise ValueError(f"must be one of {', '.join(_PROFILES)}")
    lowest = min(map(_PROFILES.index, names))
    enough = set(_PROFILES[lowest:]) if operator == "gteq" else set(names)

    def judge(claims: Sequence[Claim], asked: bool) -> Truth:
        said = {_IDS_PROFILES.get(v, v) for c in claims for v in _values(c.subject, ("securityProfile",))}
        return True if enough & said else False if asked else None

    listed = " or ".join(p for p in _PROFILES if p in enough)
    says = f"by connectors of security profile {listed}"
    return proof((CONNECTOR,), judged((CONNECTOR,), judge), says, f"a {CONNECTOR} with {listed}")


def spatial(operator: Operator, value: Value) -> Condition:
    """Where the participant is, by a credential: ISO 3166 country codes, EU or EEA."""
    names = texts(operator, value, "place")
    unknown = [n for n in names if n not in _REGIONS and not re.fullmatch("[A-Z]{2}", n)]
    if unknown:
        raise ValueError(f"{unknown[0][:60]!r} must be a country such as DE, or EU or EEA")
    countries = frozenset().union(*(_REGIONS.get(name, (name,)) for name in names))
    inside = operator not in ("neq", "isNoneOf")

    def judge(claims: Sequence[Claim], asked: bool) -> Truth:
        found = {country for c in claims for country in _countries(c.subject)}
        if not found:
            return False if asked and inside else None
        return (not countries.isdisjoint(found)) if inside else countries.isdisjoint(found)

    where = "in" if inside else "outside"
    says = f"by participants {where} {' or '.join(_PLACE_NAMES.get(name, name) for name in names)}"
    need = f"a {LEGAL_PARTICIPANT} {where} {' or '.join(names)}"
    holds = judged((LEGAL_PARTICIPANT,), judge)
    return proof((LEGAL_PARTICIPANT,), holds, says, need)


def _a(name: str) -> str:
    """With the indefinite article, by how it sounds."""
    return f"{'an' if _VOWEL.match(name) else 'a'} {quoted(name)}"


def _values(subject: Any, path: Sequence[str]) -> set[str]:
    """The texts at a path into a credential's subject, through lists."""
    found = [subject]
    for name in path:
        found = [
            item[name]
            for one in found
            for item in (one if isinstance(one, list | tuple) else [one])
            if isinstance(item, Mapping) and name in item
        ]
    flat = (item for one in found for item in (one if isinstance(one, list | tuple) else [one]))
    return {item for item in flat if isinstance(item, str)}


def _countries(subject: Any) -> Iterator[str]:
    """The ISO 3166-1 codes in it, also those that begin the code of a part; names of countries are none."""
    for place in ((), *((address,) for address in _ADDRESSES)):
        for name in _COUNTRIES:
            yield from (text[:2] for text in _values(subject, (*place, name)) if _CODE.match(text))
