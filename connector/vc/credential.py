"""What a credential and a presentation must be, before anybody signs or believes them.

Verifiable Credentials Data Model 2.0 §4 and 1.1 §4-5. Only the shape is looked at here; whether terms have a
meaning is `connector.jsonld.graph`'s question, and who signed it is that of the proofs.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from connector.errors import RemoteProtocolError, Untrusted
from connector.vc.dates import instant
from connector.vc.jose import shown
from connector.vc.resources import check_related
from connector.vc.status import check_entry, check_list

V1 = "https://www.w3.org/2018/credentials/v1"
V2 = "https://www.w3.org/ns/credentials/v2"
Version = Literal["1.1", "2.0"]
MAX_CREDENTIALS = 100
"""Credentials in a presentation taken."""
MAX_ENTRIES = 20
"""Statuses of one credential taken, and schemas, and so on: each may have to be fetched."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20<>\"{}|^`\\]+")
_TYPED = ("credentialStatus", "termsOfUse", "evidence", "refreshService", "credentialSchema")
_TEXT_KEYS = {"@value", "@language", "@direction"}


def is_url(value: object) -> bool:
    """Whether `value` is an absolute IRI, which is what the data model calls a URL."""
    return isinstance(value, str) and len(value) <= 4096 and _URL.fullmatch(value) is not None


def types(value: Mapping[str, Any], key: str = "type") -> list[str]:
    """The types of an object, as a list."""
    found = value.get(key, value.get("@type"))
    return [t for t in (found if isinstance(found, list) else [found]) if isinstance(t, str)]


def identifier(value: object) -> str | None:
    """The id of an issuer or holder, given as a string or as an object."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None


def version(document: Mapping[str, Any]) -> Version:
    """The data model of a credential or presentation, by its first context. Raises RemoteProtocolError."""
    first = contexts(document)[0]
    if first == V2:
        return "2.0"
    if first == V1:
        return "1.1"
    raise RemoteProtocolError(f"@context begins with {shown(first)}; it must begin with {V2} (or {V1})")


def contexts(document: Mapping[str, Any]) -> list[Any]:
    """The entries of `@context`. Raises RemoteProtocolError: missing, or entries that can't be any."""
    context = document.get("@context")
    entries = context if isinstance(context, list) else [context]
    if context is None or not entries:
        raise RemoteProtocolError(f"there is no @context; it must be an array that begins with {V2}")
    for entry in entries:
        if not isinstance(entry, dict) and not is_url(entry):
            raise RemoteProtocolError(
                f"an entry of @context is {shown(entry)}; it must be a URL or an object"
            )
    return entries


def check(
    document: object,
    resources: Mapping[str, tuple[bytes, ...]],
    *,
    by_name: bool = False,
    loose: bool = False,
) -> Version:
    """Raise RemoteProtocolError unless `document` has the shape of a credential; returns its data model.

    `resources`: what is held of the resources that a credential may name with a digest, several versions
    of one among them. `by_name`: it is read as JSON and not as a graph, so an id may be any string. `loose`:
    the type VerifiableCredential may be missing.
    """
    if not isinstance(document, dict):
        raise RemoteProtocolError("a credential must be a JSON object")
    found = version(document)
    _check_types(document, None if loose else "VerifiableCredential")
    _check_id(document, "the credential", by_name=by_name)
    _check_issuer(document.get("issuer"))
    _check_subjects(document.get("credentialSubject"), by_name=by_name)
    for key in _TYPED:
        if key in document:
            _check_typed(document[key], key, by_name=by_name)
    _check_text(document, "the credential")
    period(document)
    if found == "2.0" and "relatedResource" in document:
        check_related(document["relatedResource"], resources)
    if "BitstringStatusListCredential" in types(document):
        check_list(document)
    return found


def check_presentation(document: object, *, strings: bool = False, by_name: bool = False) -> Version:
    """Raise RemoteProtocolError unless `document` has the shape of a presentation; returns its data model.

    `strings`: its credentials may be JWTs, as those of data model 1.1 were. `by_name` as for `check`.
    """
    if not isinstance(document, dict):
        raise RemoteProtocolError("a presentation must be a JSON object")
    found = version(document)
    _check_types(document, "VerifiablePresentation")
    _check_id(document, "the presentation", by_name=by_name)
    if "holder" in document and not is_url(identifier(document["holder"])):
        raise RemoteProtocolError("holder must be a URL, or an object with a URL as its id")
    if len(credentials(document)) > MAX_CREDENTIALS:
        raise RemoteProtocolError(f"the presentation has more than {MAX_CREDENTIALS} credentials")
    for entry in credentials(document):
        if not isinstance(entry, dict) and not (strings and isinstance(entry, str)):
            raise RemoteProtocolError(f"an entry of verifiableCredential is {shown(entry)}, not an object")
    return found


def credentials(presentation: Mapping[str, Any]) -> list[Any]:
    """The credentials in a presentation; there may be none."""
    found = presentation.get("verifiableCredential", [])
    return found if isinstance(found, list) else [found]


def period(document: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """From when until when a credential says it is valid, as epoch seconds. Raises RemoteProtocolError."""
    if version(document) == "1.1":
        if "issuanceDate" not in document:
            raise RemoteProtocolError("the credential (data model 1.1) has no issuanceDate")
        first, last = "issuanceDate", "expirationDate"
    else:
        first, last = "validFrom", "validUntil"
    start, end = (instant(document[key], key) if key in document else None for key in (first, last))
    if start is not None and end is not None and end < start:
        raise RemoteProtocolError(f"{last} is before {first}")
    return start, end


def check_period(document: Mapping[str, Any], now: float, leeway: float = 0) -> None:
    """Raise Untrusted unless a credential is valid at `now` (epoch seconds)."""
    start, end = period(document)
    if start is not None and now + leeway < start:
        raise Untrusted("the credential is not valid yet")
    if end is not None and now - leeway > end:
        raise Untrusted("the credential has expired")


def statuses(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of `credentialStatus`."""
    return [entry for entry in _many(document.get("credentialStatus", [])) if isinstance(entry, dict)]


def schemas(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of `credentialSchema`."""
    return [entry for entry in _many(document.get("credentialSchema", [])) if isinstance(entry, dict)]


def subjects(document: Mapping[str, Any]) -> list[Any]:
    """The subjects of a credential."""
    return _many(document.get("credentialSubject"))


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _check_types(document: Mapping[str, Any], wanted: str | None) -> None:
    found = document.get("type")
    if not _many(found) or not all(isinstance(t, str) and t for t in _many(found)):
        raise RemoteProtocolError(f"type is {shown(found)}; it must be a string, or an array of strings")
    if wanted is not None and wanted not in _many(found):
        raise RemoteProtocolError(f"type does not contain {wanted}")


def _check_id(value: Mapping[str, Any], what: str, *, by_name: bool) -> None:
    for key in ("id", "@id"):
        if key in value and not (is_url(value[key]) or (by_name and isinstance(value[key], str))):
            raise RemoteProtocolError(f"the id of {what} is {shown(value[key])}; it must be a URL")


def _check_issuer(issuer: object) -> None:
    if not is_url(identifier(issuer)):
        raise RemoteProtocolError("issuer must be a URL, or an object with a URL as its id")
    if isinstance(issuer, dict):
        _check_text(issuer, "the issuer")


def _check_subjects(subject: object, *, by_name: bool) -> None:
    for one in _many(subject) or [None]:
        if not isinstance(one, dict) or not one:
            raise RemoteProtocolError("credentialSubject must be an object with claims, or an array of these")
        _check_id(one, "the credential's subject", by_name=by_name)


def _check_typed(value: object, key: str, *, by_name: bool) -> None:
    if len(_many(value)) > MAX_ENTRIES:
        raise RemoteProtocolError(f"{key} has more than {MAX_ENTRIES} entries")
    for entry in _many(value) or [None]:
        if not isinstance(entry, dict):
            raise RemoteProtocolError(f"{key} must be an object, or an array of objects")
        kinds = _many(entry.get("type"))
        if not kinds or not all(isinstance(kind, str) and kind for kind in kinds):
            raise RemoteProtocolError(f"{key} needs a type, which is a string")
        if key in ("credentialSchema", "credentialStatus"):
            _check_id(entry, key, by_name=by_name and key == "credentialStatus")
        if key == "credentialSchema" and "id" not in entry:
            raise RemoteProtocolError("credentialSchema needs an id, which is a URL")
        if key == "credentialStatus" and "BitstringStatusListEntry" in kinds:
            check_entry(entry, by_name=by_name)


def _check_text(value: Mapping[str, Any], what: str) -> None:
    """VCDM 2.0 §11.1: plain text, or text with its language and direction."""
    for key in ("name", "description"):
        for part in _many(value.get(key, [])):
            if not isinstance(part, str) and not _is_language_value(part):
                raise RemoteProtocolError(
                    f"the {key} of {what} must be a string, or an object of @value, @language and @direction"
                )


def _is_language_value(part: object) -> bool:
    return (
        isinstance(part, dict)
        and part.keys() <= _TEXT_KEYS
        and "@value" in part
        and all(isinstance(found, str) for found in part.values())
    )


def proofs(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The proofs of a document, at least one, at most ten. Raises Untrusted."""
    found = _many(document.get("proof"))
    if document.get("proof") is None or not found:
        raise Untrusted("there is no proof")
    if len(found) > 10 or not all(isinstance(proof, dict) for proof in found):
        raise Untrusted("proof must be an object, or an array of at most ten objects")
    return found


def earlier(proof: Mapping[str, Any], among: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The proofs that `proof` was made after (Data Integrity §4.3). Raises Untrusted: one is absent."""
    for name in _many(proof["previousProof"]) if "previousProof" in proof else []:
        match = [other for other in among if other.get("id") == name and other is not proof]
        if not isinstance(name, str) or not match:
            raise Untrusted(f"the proof names a previousProof {shown(name)}, which is not there")
        yield from match
