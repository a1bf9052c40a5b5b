"""What is to be said of a credential or presentation that somebody shows: check by check, all of them.

A verifier stops at the first thing that is wrong. Here a person wants to know the rest too: an expired
credential is examined as of the time when it was valid, so that one sees whether it was ever genuine.
"""

import math
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from connector.dcp.profiles import Profile
from connector.dcp.trust import Trust
from connector.errors import AnodeError, EgressDenied, RemoteProtocolError, Unavailable
from connector.flows.clock import iso
from connector.flows.verify import Verifier
from connector.vc import credential as model
from connector.vc import envelope, jws
from connector.vc.jose import shown

Outcome = Literal["ok", "wrong", "unknown"]
_UNSIGNED = "not looked at, since the signature does not hold"


class Check(NamedTuple):
    """One thing looked at. `unknown`: it can't be told now."""

    what: str
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. `by` is the issuer, or who made the presentation; times are epoch seconds."""

    kind: Literal["credential", "presentation"]
    types: tuple[str, ...]
    by: str | None
    subjects: tuple[str, ...]
    begins: float | None
    ends: float | None
    checks: tuple[Check, ...]
    inside: tuple["Report", ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The worst of all checks, also of those inside."""
        found = {check.outcome for check in self.checks} | {one.outcome for one in self.inside}
        return next(outcome for outcome in ("wrong", "unknown", "ok") if outcome in found)


class _Opened(NamedTuple):
    """What a credential or presentation says, nothing of it checked. `token` is the JWT that it came in."""

    document: Mapping[str, Any]
    token: str | None
    older: bool
    by: str | None
    begins: float | None
    ends: float | None


class Examiner:
    """Looks at credentials for the operator of this node. Times are epoch seconds."""

    def __init__(self, verifier: Verifier, trust: Trust, profile: Profile, now: float) -> None:
        self._verifier, self._trust, self._profile, self._now = verifier, trust, profile, now

    async def examine(self, given: str | Mapping[str, Any]) -> Report:
        """A credential or presentation, as a JWT or a JSON object.

        Raises RemoteProtocolError if it is neither.
        """
        if _is_presentation(given):
            return await self._presentation(given)
        return await self._credential(given)

    async def _credential(self, given: Any, holder: str | None = None) -> Report:
        one = _open(given, "vc")
        verifier = self._verifier.at(_moment(one, self._now))
        if one.token is not None:
            signed = verifier.verify_jwt(
                one.token, older=one.older, status=False, schema=False, meaning=False
            )
        else:
            signed = verifier.verify(given, status=False, schema=False)
        checks = [await _tried("signature", signed, _signed_by(one)), self._period(one)]
        genuine = checks[0].outcome == "ok"
        checks.append(await self._status(one) if genuine else Check("status", "unknown", _UNSIGNED))
        if genuine and "credentialSchema" in one.document:
            checks.append(await _tried("schema", self._verifier.check_schema(one.document), "as it wants"))
        checks.append(self._believed(one) if genuine else Check("issuer", "unknown", _UNSIGNED))
        subjects = tuple(_subjects(one.document))
        if holder is not None:
            about = bool(subjects) and all(subject == holder for subject in subjects)
            said = f"about {' and '.join(subjects) or 'nobody'}"
            said += "" if about else f", but {holder} presents it"
            checks.append(Check("subject", "ok" if about else "wrong", said))
        types = tuple(self._types(one.document))
        return Report("credential", types, one.by, subjects, one.begins, one.ends, tuple(checks))

    async def _presentation(self, given: Any) -> Report:
        one = _open(given, "vp")
        verifier = self._verifier.at(_moment(one, self._now))
        if one.token is not None:
            signed: Awaitable[Any] = verifier.presentation_jwt(
                one.token, None, None, older=one.older, meaning=False
            )
        else:
            signed = verifier.presentation(given, None, None)
        checks = [await _tried("signature", signed, _signed_by(one)), self._period(one)]
        entries = model.credentials(one.document)[: model.MAX_CREDENTIALS]
        inside = [await self._credential(entry, one.by) for entry in entries]
        types = tuple(self._types(one.document))
        return Report("presentation", types, one.by, (), one.begins, one.ends, tuple(checks), tuple(inside))

    def _types(self, document: Mapping[str, Any]) -> list[str]:
        general = ("VerifiableCredential", "VerifiablePresentation")
        found = (self._profile.plain_type(type_) for type_ in model.types(document))
        return [type_ for type_ in found if type_ not in general]

    def _period(self, one: _Opened) -> Check:
        if one.begins is not None and self._now < one.begins:
            return Check("period", "wrong", f"begins on {iso(one.begins)}")
        if one.ends is None:
            return Check("period", "ok", "it has no end")
        if self._now >= one.ends:
            return Check("period", "wrong", f"ended on {iso(one.ends)}")
        return Check("period", "ok", f"until {iso(one.ends)}")

    async def _status(self, one: _Opened) -> Check:
        purposes = [str(entry.get("statusPurpose", "status")) for entry in model.statuses(one.document)]
        if not purposes:
            return Check("status", "ok", "its issuer gave it none, so it can't be revoked")
        looked = self._verifier.check_status(one.document, str(one.by))
        return await _tried("status", looked, f"its issuer says nothing against it ({', '.join(purposes)})")

    def _believed(self, one: _Opened) -> Check:
        types = self._types(one.document)
        doubted = [type_ for type_ in types if one.by not in self._trust.of(type_)]
        if not types or doubted:
            what = doubted[0] if doubted else "its type"
            mend = "add it to credentials.trusted if it should be"
            return Check("issuer", "wrong", f"{one.by} is not believed here about {what}; {mend}")
        return Check("issuer", "ok", f"{one.by} is believed here about {' and '.join(types)}")


async def _tried(what: str, attempt: Awaitable[Any], well: str) -> Check:
    try:
        await attempt
    except (Unavailable, EgressDenied) as trouble:
        return Check(what, "unknown", str(trouble))
    except AnodeError as wrong:
        return Check(what, "wrong", str(wrong))
    return Check(what, "ok", well)


def _is_presentation(given: str | Mapping[str, Any]) -> bool:
    document = jws.parse(given).payload if isinstance(given, str) else given
    kinds = {"VerifiablePresentation", envelope.PRESENTATION}
    return "vp" in document or bool(kinds & set(model.types(document)))


def _open(given: object, what: envelope.What) -> _Opened:
    """Raises RemoteProtocolError: not in any form that is understood."""
    if isinstance(given, dict) and envelope.is_enveloped(given, what):
        given = envelope.unwrapped(given, what)[0]
    if isinstance(given, str):
        inner = envelope.inner_presentation(given)[0] if what == "vp" else given
        payload = jws.parse(inner).payload
        read = envelope.read(inner, what, None, older=what in payload)
        begins, ends = _period(read.document, what)
        expires = payload.get("exp")
        if isinstance(expires, int | float):
            ends = min(ends if ends is not None else math.inf, float(expires))
        return _Opened(read.document, given, what in payload, read.signer, begins, ends)
    if not isinstance(given, dict):
        raise RemoteProtocolError(f"{shown(given)} is neither a JWT nor a JSON object")
    by = model.identifier(given.get("issuer" if what == "vc" else "holder"))
    return _Opened(given, None, False, by, *_period(given, what))


def _period(document: Mapping[str, Any], what: envelope.What) -> tuple[float | None, float | None]:
    return model.period(document) if what == "vc" else (None, None)


def _moment(one: _Opened, now: float) -> float:
    """Now, if it is valid now, else the nearest time when it was or will be."""
    latest = math.inf if one.ends is None else one.ends - 1
    return min(latest, max(now, one.begins if one.begins is not None else now))


def _subjects(document: Mapping[str, Any]) -> list[str]:
    found = document.get("credentialSubject")
    entries = found if isinstance(found, list) else [found]
    return [str(one["id"]) for one in entries if isinstance(one, dict) and "id" in one]


def _signed_by(one: _Opened) -> str:
    return f"by a key of {one.by}" if one.by else "it holds; nobody is named as its holder"
