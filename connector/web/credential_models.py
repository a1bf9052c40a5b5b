"""What the management API takes and gives about credentials."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from connector.flows.report import Check, Report
from connector.store.issuance import Issuance, Issued, State
from connector.store.wallet import Held, Request
from connector.web.management_models import instant
from connector.web.openapi import Model


class HeldEntry(Model):
    """A credential of ours."""

    id: str
    type: str
    issuer: str
    format: str = Field(description="Its credential profile of the claims protocol.")
    claims: dict[str, Any] = Field(description="What it says of this participant.")
    received: datetime
    until: datetime | None = Field(None, description="When it ends; never, if left out.")

    @classmethod
    def of(cls, one: Held) -> "HeldEntry":
        """The stored credential as the API tells it."""
        return cls(
            id=one.id,
            type=one.type,
            issuer=one.issuer,
            format=one.format,
            claims=_claims(one.document),
            received=instant(one.received),
            until=None if one.until is None else instant(one.until),
        )


class HeldDetail(Model):
    """A credential of ours, whole."""

    credential: HeldEntry
    document: dict[str, Any] = Field(description="What its issuer signed.")
    token: str = Field(description="The credential itself, a JWT.")


class Wallets(Model):
    """The credentials that this participant holds, newest first."""

    credentials: list[HeldEntry]


class RequestEntry(Model):
    """What we have asked an issuer for, or what an issuer offers us."""

    pid: str = Field(description="Our identifier.")
    issuer: str
    credentials: list[str] = Field(description="Ids of the issuer's credential objects.")
    status: Literal["OFFERED", "REQUESTED", "RECEIVED", "ISSUED", "REJECTED"] = Field(
        description="OFFERED: by the issuer, not taken up. REQUESTED: sent. RECEIVED: the issuer has yet to "
        "decide. ISSUED, REJECTED: it has decided."
    )
    reason: str | None = Field(None, description="Why it was rejected, or could not be sent.")
    created: datetime
    changed: datetime

    @classmethod
    def of(cls, one: Request) -> "RequestEntry":
        """The stored request as the API tells it."""
        return cls(
            pid=one.pid,
            issuer=one.issuer,
            credentials=list(one.objects),
            status=one.status,
            reason=one.reason,
            created=instant(one.created),
            changed=instant(one.changed),
        )


class Requests(Model):
    """Requests of ours and offers to us, newest first."""

    requests: list[RequestEntry]


class CredentialRequest(Model):
    """Ask an issuer for credentials."""

    types: list[str] = Field(min_length=1, max_length=20, description="Such as MembershipCredential.")
    issuer: str | None = Field(None, description="Its DID; left out, credentials.authority of the settings.")


class IssuerQuery(Model):
    """Which issuer."""

    issuer: str | None = Field(None, description="Its DID; left out, credentials.authority of the settings.")


class Offered(Model):
    """A credential that an issuer gives."""

    id: str
    type: str | None = None
    format: str | None = None
    about: str | None = Field(None, description="Why one would ask for it.")


class IssuerMetadata(Model):
    """What an issuer gives."""

    issuer: str
    credentials: list[Offered]


class IssuanceEntry(Model):
    """A holder's request to us, or credentials that we gave unasked."""

    pid: str = Field(description="Our identifier.")
    holder: str
    asked: bool = Field(description="Whether the holder asked.")
    types: list[str]
    status: Literal["RECEIVED", "ISSUED", "REJECTED"] = Field(
        description="RECEIVED: it waits for this node's operator."
    )
    reason: str | None = Field(None, description="Why it was rejected.")
    delivered: bool = Field(description="Whether the holder has been told the decision.")
    problem: str | None = Field(None, description="Why the last try to tell it failed.")
    next_try: datetime | None = Field(None, description="When it is tried again.")
    created: datetime
    changed: datetime

    @classmethod
    def of(cls, one: Issuance) -> "IssuanceEntry":
        """The stored request as the API tells it."""
        return cls(
            pid=one.pid,
            holder=one.holder,
            asked=one.holder_pid is not None,
            types=[id_.partition(":")[0] for id_ in one.objects],
            status=one.status,
            reason=one.reason,
            delivered=one.status != "RECEIVED" and one.message is None and one.problem is None,
            problem=one.problem,
            next_try=None if one.message is None else instant(one.next_try),
            created=instant(one.created),
            changed=instant(one.changed),
        )


class Issuances(Model):
    """Requests of holders, newest first."""

    issuances: list[IssuanceEntry]


class Issue(Model):
    """Issue credentials."""

    holder: str = Field(max_length=512, pattern=r"^did:\S+$", description="The participant's DID.")
    types: list[str] = Field(min_length=1, max_length=20)
    claims: dict[str, Any] = Field(
        default_factory=dict, description="Said of the holder, beside what the issuer's file says."
    )


class Approval(Model):
    """Issue what was asked for."""

    claims: dict[str, Any] = Field(
        default_factory=dict, description="Said of the holder, beside what the issuer's file says."
    )


class Rejection(Model):
    """Refuse a request."""

    reason: str = Field(min_length=1, max_length=1000, description="For the holder's people.")


class IssuedQuery(Model):
    """Whose credentials."""

    holder: str | None = Field(None, description="Issued to this participant only.")


class IssuedEntry(Model):
    """A credential that we have issued."""

    id: str
    type: str
    holder: str
    format: str
    state: State
    claims: dict[str, Any] = Field(description="What it says of its holder.")
    issued: datetime
    until: datetime | None = None

    @classmethod
    def of(cls, one: Issued) -> "IssuedEntry":
        """The stored credential as the API tells it."""
        return cls(
            id=one.id,
            type=one.type,
            holder=one.holder,
            format=one.format,
            state=one.state,
            claims=_claims(one.document),
            issued=instant(one.issued),
            until=None if one.until is None else instant(one.until),
        )


class IssuedList(Model):
    """Credentials that we have issued, newest first."""

    credentials: list[IssuedEntry]


class NewState(Model):
    """Revoke a credential for ever, suspend it, or make a suspended one valid again."""

    state: State


class Given(Model):
    """A credential or presentation to look at."""

    credential: str | dict[str, Any] = Field(description="A JWT, or a JSON object.")


class CheckEntry(Model):
    """One thing looked at."""

    what: Literal["signature", "period", "status", "schema", "issuer", "subject"]
    outcome: Literal["ok", "wrong", "unknown"] = Field(description="unknown: it can't be told now.")
    detail: str

    @classmethod
    def of(cls, check: Check) -> "CheckEntry":
        """The check as the API tells it."""
        return cls.model_validate(check._asdict())


class Examination(Model):
    """What is to be said of a credential or presentation."""

    kind: Literal["credential", "presentation"]
    outcome: Literal["ok", "wrong", "unknown"] = Field(description="The worst of all checks.")
    types: list[str]
    by: str | None = Field(None, description="Who issued the credential, or made the presentation.")
    subjects: list[str] = Field(description="Whom the credential is about.")
    begins: datetime | None = None
    ends: datetime | None = None
    checks: list[CheckEntry]
    inside: list["Examination"] = Field(description="The credentials in a presentation.")

    @classmethod
    def of(cls, report: Report) -> "Examination":
        """The report as the API tells it."""
        return cls(
            kind=report.kind,
            outcome=report.outcome,
            types=list(report.types),
            by=report.by,
            subjects=list(report.subjects),
            begins=None if report.begins is None else instant(report.begins),
            ends=None if report.ends is None else instant(report.ends),
            checks=[CheckEntry.of(check) for check in report.checks],
            inside=[cls.of(one) for one in report.inside],
        )


def _claims(document: dict[str, Any]) -> dict[str, Any]:
    found = document.get("credentialSubject")
    subjects = [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]
    return {name: value for one in subjects for name, value in one.items() if name != "id"}
