"""What the management API takes and gives. Tokens of the data plane are in `DataAddress` and nowhere else."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from connector.dsp.process import Process
from connector.flows import retirement
from connector.flows.negotiate import waits_for
from connector.flows.publish import Dataset
from connector.store.courses import Course
from connector.store.processes import Agreement as StoredAgreement
from connector.store.processes import Outgoing, Step
from connector.web.openapi import Model
from connector.web.terms import Terms


def instant(epoch: float) -> datetime:
    """Epoch seconds as the API tells them."""
    return datetime.fromtimestamp(epoch, UTC)


class Page(Model):
    """Which part of a long list."""

    limit: int = Field(50, ge=1, le=500, description="How many at most.")


class Before(Page):
    """Newest first: go on before a `next` that was told."""

    before: int | None = Field(None, ge=1, lt=1 << 63, description="The `next` of the page before.")


class After(Page):
    """Go on after a `next` that was told."""

    after: str = Field("", description="The `next` of the page before.")


class Delivery(Model):
    """Our message that the peer has not acknowledged yet."""

    pid: str = Field(description="The process it belongs to.")
    kind: str = Field(description="What it says, such as `request`.")
    participant: str = Field(description="Whom it is for.")
    attempts: int = Field(description="How often it was tried.")
    next_try: datetime
    deadline: datetime = Field(description="When it is given up, and the process ends.")
    problem: str | None = Field(None, description="Why the last try failed.")

    @classmethod
    def of(cls, message: Outgoing) -> "Delivery":
        """The stored message as the API tells it."""
        return cls(
            pid=message.pid,
            kind=message.kind,
            participant=message.participant,
            attempts=message.attempts,
            next_try=instant(message.next_try),
            deadline=instant(message.deadline),
            problem=message.problem,
        )


class Waiting(Model):
    """Whether something waits for this node's operator."""

    waits: Literal["review", "offer"] | None = Field(
        None,
        description="It waits now for our operator: for a `review` (approve, reject), or for an answer "
        "to the provider's `offer` (accept, request, terminate).",
    )
    waits_until: datetime | None = Field(None, description="When a review has waited too long.")


def waiting(process: Process) -> dict[str, Any]:
    """The members of `Waiting`."""
    what = waits_for(process)
    until = instant(process.details["review_until"]) if what == "review" else None
    return {"waits": what, "waits_until": until}


class ProcessEntry(Waiting):
    """A negotiation or a transfer."""

    pid: str = Field(description="Our identifier.")
    subject: Literal["negotiation", "transfer"]
    role: Literal["CONSUMER", "PROVIDER"] = Field(description="What this node is in it.")
    participant: str = Field(description="The peer.")
    peer_pid: str | None = Field(None, description="The peer's identifier, once it is known.")
    state: str | None = Field(
        None, description="The last state that both sides reached; none before the first answer."
    )
    pending: str | None = Field(None, description="Our message that is on its way.")
    reason: str | None = Field(None, description="Why it was terminated.")
    dataset: str | None = None
    offer: dict[str, Any] | None = Field(None, description="The terms under negotiation.")
    agreement: str | None = None
    format: str | None = None
    created: datetime
    changed: datetime

    @classmethod
    def of(cls, process: Process, created: float, changed: float) -> "ProcessEntry":
        """The process as the API tells it: what is public in its details, and no data address."""
        details = process.details
        return cls(
            pid=process.pid,
            subject=process.subject.value,
            role=process.role.value,
            participant=process.participant,
            peer_pid=process.peer_pid,
            state=process.state,
            pending=process.pending,
            reason=process.reason,
            dataset=details.get("dataset"),
            offer=details.get("offer"),
            agreement=details.get("agreement"),
            format=details.get("format"),
            created=instant(created),
            changed=instant(changed),
            **waiting(process),
        )


class HistoryStep(Model):
    """Something that happened in a process."""

    at: datetime
    direction: Literal["in", "out", "own"] = Field(
        description="in: the peer sent it; out: we sent it, and what became of it; own: we decided it."
    )
    kind: str = Field(description="What was sent or decided, such as `agree`.")
    state: str | None = Field(None, description="The state after it.")
    note: str | None = Field(None, description="Why, or what went wrong.")

    @classmethod
    def of(cls, step: Step) -> "HistoryStep":
        """The stored step as the API tells it."""
        return cls(
            at=instant(step.at), direction=step.direction, kind=step.kind, state=step.state, note=step.note
        )


class ProcessDetail(Model):
    """A process with all that happened in it, oldest first, and what is to happen next."""

    process: ProcessEntry
    history: list[HistoryStep]
    delivery: Delivery | None = Field(
        None, description="Our message that is on its way: next try, last problem."
    )
    terms: Terms | None = Field(
        None, description="Of a negotiation: what the terms on the table say, whoever made them."
    )


class ProcessPage(Model):
    """Processes, newest first."""

    processes: list[ProcessEntry]
    next: int | None = Field(None, description="Send it as `before` for the next page.")


class EventData(HistoryStep, Waiting):
    """A step as `/events` tells it, and whether its process waits now for this node's operator."""

    pid: str
    subject: Literal["negotiation", "transfer"]
    role: Literal["CONSUMER", "PROVIDER"]
    participant: str
    dataset: str | None = None


class EventsQuery(Model):
    """Which events."""

    pid: str | None = Field(
        None,
        description="One process: what happened in it, then what happens. Without: all, from now on.",
    )


class NegotiationRequest(Model):
    """Ask a provider for a contract."""

    peer: str = Field(description="The provider's DID, or its node's URL.")
    dataset: str = Field(description="The dataset's id in the provider's catalog.")
    offer: str | None = Field(
        None,
        description="The id of one of its offers. Without it, what `negotiation.accept` wants; or the first.",
    )
    terms: dict[str, Any] | None = Field(
        None, description="Other terms: an ODRL Offer in the words of the protocol, with `@id`."
    )


class NegotiationOffer(Model):
    """Offer a consumer a contract, unasked."""

    peer: str = Field(description="The consumer's DID, or its node's URL.")
    dataset: str = Field(description="A dataset of this node.")
    policy: str = Field(description="The id of the policy to offer it under.")


class NegotiationMove(Model):
    """Send a message in a negotiation."""

    kind: Literal["request", "offer", "accept", "agree", "verify", "finalize", "terminate"]
    reason: str | None = Field(None, max_length=1000, description="For the peer's people.")
    terms: dict[str, Any] | None = Field(
        None, description="For `request` and `offer`: the ODRL Offer to counter with."
    )


class TransferRequest(Model):
    """Ask for the data of an agreement."""

    agreement: str = Field(description="The id of an agreement in force in which this node is the consumer.")
    format: str = Field("HttpData-PULL", description="How the data shall come.")


class TransferMove(Model):
    """Send a message in a transfer."""

    kind: Literal["start", "suspend", "complete", "terminate"]
    reason: str | None = Field(None, max_length=1000, description="For the peer's people.")


class DataAddress(Model):
    """Where a running transfer's data is, and the token for it: a secret."""

    endpoint: str
    authorization: str = Field(description="What to send as `Authorization` header, as it is.")
    expires: datetime | None = Field(None, description="When the token ends; ask again for a new one.")
    purposes: tuple[str, ...] | None = Field(
        None, description="What the data were agreed for: send one of these as `Usage-Purpose` header."
    )


class Agreement(Model):
    """A contract, and how it stands."""

    id: str
    role: Literal["CONSUMER", "PROVIDER"] = Field(description="What this node is in it.")
    participant: str = Field(description="The peer.")
    dataset: str
    agreed: datetime
    negotiation: str = Field(description="The negotiation that led to it.")
    in_force: bool = Field(
        description="Whether its negotiation is FINALIZED, and no side has retired it; `course` says more."
    )
    course: Literal["running", "ended", "retired"] | None = Field(
        None, description="How far it has come; none if it never came into force."
    )
    ended: datetime | None = Field(None, description="When it ended.")
    retired_by: str | None = Field(None, description="Who ended it before its time.")
    reason: str | None = Field(None, description="Why.")
    refused: str | None = Field(
        None, description="While it is running: why it allows nothing now, such as that its uses ran out."
    )
    document: dict[str, Any] = Field(description="The ODRL Agreement.")

    @classmethod
    def of(cls, stored: StoredAgreement, course: Course | None, refused: str | None) -> "Agreement":
        """The stored agreement, with its course, as the API tells it."""
        return cls(
            id=stored.id,
            role=stored.role.value,
            participant=stored.participant,
            dataset=stored.dataset,
            agreed=instant(stored.agreed),
            negotiation=stored.negotiation,
            in_force=stored.in_force,
            course=None if course is None else course.state,
            ended=None if course is None or course.ended is None else instant(course.ended),
            retired_by=None if course is None else course.retired_by,
            reason=None if course is None else retirement.reason(course),
            refused=refused,
            document=stored.document,
        )


class AgreementPage(Model):
    """Agreements, newest first."""

    agreements: list[Agreement]
    next: str | None = Field(None, description="Send it as `after` for the next page.")


class PeerQuery(Model):
    """Which peer."""

    peer: str = Field(description="Its DID, or its node's URL.")


class PeerDatasetQuery(PeerQuery):
    """Which dataset of which peer."""

    dataset: str = Field(description="The dataset's id.")


class Peer(Model):
    """A participant and where its protocol endpoints are."""

    participant: str
    address: str


class PeerCatalogRequest(Model):
    """Ask a peer what it offers us."""

    peer: str = Field(description="Its DID, or its node's URL.")
    filter: dict[str, str | list[str]] = Field(
        default_factory=dict, description="Properties and the values they must have (one, or one of a list)."
    )
    next: str | None = Field(None, description="The `next` of the page before.")


class PeerCatalog(Peer):
    """A page of what a peer offers us: DCAT datasets with their offers (`hasPolicy`)."""

    datasets: list[dict[str, Any]]
    next: str | None = None


class PeerDataset(Peer):
    """A dataset of a peer, with the offers that it makes to us."""

    dataset: dict[str, Any]
    offers: list[Terms] = Field(
        description="What each of its offers (`hasPolicy`) says, in their order; of very many the first 100."
    )


class DatasetEntry(Model):
    """A dataset of this node."""

    id: str
    title: str
    origin: str = Field(description="The catalog file that declares it, or `api`.")


class DatasetPage(Model):
    """This node's datasets in order of ids."""

    datasets: list[DatasetEntry]
    next: str | None = Field(None, description="Send it as `after` for the next page.")


class DatasetDetail(Model):
    """A dataset of this node as it was declared. The headers for an upstream are not shown."""

    dataset: Dataset
    origin: str


class PolicyEntry(Model):
    """A policy that offers are made from."""

    id: str
    sentence: str = Field(description="What it says, in plain English.")
    rules: dict[str, Any] = Field(description="What an offer under it carries, as ODRL.")


class Policies(Model):
    """This node's policies."""

    policies: list[PolicyEntry]


class AuditQuery(Model):
    """How much of the audit log."""

    limit: int = Field(50, ge=1, le=1000, description="How many of the newest lines.")


class Audit(Model):
    """Decisions about data requests, oldest first."""

    entries: list[dict[str, Any]]


class CredentialCounts(Model):
    """How many credentials."""

    held: int
    requested: int = Field(description="Asked for, and not decided by their issuers.")
    offered: int = Field(description="Offered to us, and not taken up.")
    waiting: int = Field(description="Asked of us, and waiting for this node's operator.")
    issued: int = Field(description="Issued by us, and not revoked.")


class DutyToDo(Model):
    """A duty that is due, or was not done in time."""

    id: str
    state: Literal["due", "reminded", "breached"]
    ours: bool = Field(description="Whether this node's operator owes it.")
    participant: str = Field(description="The other side.")
    says: str = Field(description="The duty in plain English.")
    due: datetime | None = Field(None, description="Until when.")


class Status(Model):
    """How this node is."""

    did: str
    name: str
    version: str
    public_url: str
    address: str = Field(description="Base URL of our protocol endpoints.")
    reach: str = Field(description="Which addresses this node may call: network.reach.")
    started: datetime
    datasets: int
    policies: int
    negotiations: dict[str, int] = Field(description="How many are in which state.")
    transfers: dict[str, int] = Field(description="How many are in which state.")
    credentials: CredentialCounts
    duties: dict[str, int] = Field(description="How many are in which state.")
    waiting: int = Field(description="How many negotiations wait for this node's operator.")
    to_decide: list[ProcessEntry] = Field(description="Those, the most urgent first; up to 100.")
    to_do: list[DutyToDo] = Field(description="Duties that are due or breached, first due first; up to 100.")
    deliveries: list[Delivery] = Field(description="Messages on their way, next try first; at most 100.")
