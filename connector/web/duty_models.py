"""What the management API takes and gives about duties, and about how agreements go on."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from connector.store.courses import Course
from connector.store.duties import Duty as StoredDuty
from connector.store.duties import Mark
from connector.vc.statements import MAX_TEXT
from connector.web.management_models import After, Agreement, instant
from connector.web.openapi import Model
from connector.web.terms import Terms

State = Literal["pending", "due", "reminded", "fulfilled", "breached"]


class DutyMark(Model):
    """Something that happened to a duty."""

    at: datetime
    state: State = Field(description="Its state after it.")
    note: str

    @classmethod
    def of(cls, mark: Mark) -> "DutyMark":
        """The stored mark as the API tells it."""
        return cls(at=instant(mark.at), state=mark.state, note=mark.note)


class Duty(Model):
    """A duty of an agreement that is tracked."""

    id: str
    agreement: str
    role: Literal["CONSUMER", "PROVIDER"] = Field(description="What this node is in the agreement.")
    participant: str = Field(description="The other side.")
    ours: bool = Field(description="Whether this node's operator owes it.")
    path: str = Field(description="Where it stands in the policy, such as `obligation[0]`.")
    action: str = Field(description="What is to be done, such as `delete`.")
    says: str = Field(description="The duty in plain English.")
    event: str = Field(description="What it counts from: agreement, first-use, use or agreement-end.")
    state: State = Field(description="pending: its event is not yet; reminded: it is due soon.")
    since: datetime | None = Field(None, description="When its event was.")
    due: datetime | None = Field(None, description="When it is breached if it is not done.")
    evidence: str | None = Field(None, description="How far its evidence has come.")
    statement: str | None = Field(
        None, description="The signed evidence, a JWS in compact form: where one duty is shown."
    )
    history: list[DutyMark] = Field(description="What happened to it, oldest first.")

    @classmethod
    def of(cls, stored: StoredDuty, evidence: str | None, statement: str | None = None) -> "Duty":
        """The stored duty as the API tells it."""
        return cls(
            id=stored.id,
            agreement=stored.agreement,
            role=stored.role.value,
            participant=stored.participant,
            ours=stored.ours,
            path=stored.path,
            action=stored.action,
            says=stored.says,
            event=stored.event,
            state=stored.state,
            since=None if stored.event_at is None else instant(stored.event_at),
            due=None if stored.due is None else instant(stored.due),
            evidence=evidence,
            statement=statement,
            history=[DutyMark.of(mark) for mark in stored.history],
        )


class DutiesQuery(After):
    """Which duties."""

    state: State | None = Field(None, description="Only those in this state.")


class DutyPage(Model):
    """Duties, those of the newest agreement first."""

    duties: list[Duty]
    next: str | None = Field(None, description="Send it as `after` for the next page.")


class Fulfilment(Model):
    """That a duty was done: a note, or the digest of a document that proves it, or both."""

    note: str | None = Field(None, min_length=1, max_length=MAX_TEXT, description="What was done.")
    digest: str | None = Field(
        None, pattern="^sha-256:[0-9a-f]{64}$", description="Of the document, which stays here."
    )


class Retirement(Model):
    """Why an agreement is ended before its time."""

    reason: str = Field(min_length=1, max_length=MAX_TEXT, description="For the other side's people.")


class AgreementDetail(Agreement):
    """A contract, and how it goes on."""

    next_moment: datetime | None = Field(None, description="When its terms turn next.")
    ends: datetime | None = Field(None, description="When its terms allow nothing any more.")
    told: str | None = Field(None, description="How far the other side knows of the retirement.")
    terms: Terms = Field(description="What it says, and what becomes of each term.")
    duties: list[Duty] = Field(description="Its duties that are tracked.")

    @classmethod
    def with_course(
        cls, agreement: Agreement, course: Course | None, told: str | None, terms: Terms, duties: list[Duty]
    ) -> "AgreementDetail":
        """The agreement with its course and its duties."""
        following, ends = (None, None) if course is None else (course.next_moment, course.ends)
        return cls(
            **agreement.model_dump(),
            next_moment=None if following is None or following <= 0 else instant(following),
            ends=None if not ends else instant(ends),
            told=told,
            terms=terms,
            duties=duties,
        )
