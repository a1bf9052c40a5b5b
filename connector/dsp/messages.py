"""The messages of DSP 2025-1 as typed values: strict about what they need, deaf to what they don't know.

`parse` takes a body in compact form (`jsonld.documents.message` brings foreign JSON-LD into it) and gives
one of the models; `document` gives the exact JSON that the specification's schemas ask for. Policies
inside stay plain documents here: `odrl.model` knows them.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from connector.dsp.process import Process
from connector.dsp.terms import CONTEXT, Kind, Subject
from connector.errors import RemoteProtocolError
from connector.odrl.contexts import contexts_of

Pid = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Url = Annotated[
    str, StringConstraints(min_length=8, max_length=2048, pattern=r"^[a-zA-Z][a-zA-Z0-9+.-]*://\S+$")
]
Reason = Annotated[list[Any], Field(max_length=100)]


class Message(BaseModel):
    """Any protocol message. `id` is an extension that makes repetitions recognisable."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")
    type: ClassVar[str]
    subject: ClassVar[Subject]
    does: ClassVar[Kind]
    id: str | None = Field(default=None, alias="@id", max_length=512)

    @property
    def kind(self) -> Kind:
        """What the message does to the process."""
        return self.does

    def document(self) -> dict[str, Any]:
        """The message as compact JSON, absent members left out."""
        body = self.model_dump(by_alias=True, exclude_none=True, mode="json")
        policy = body.get("offer") or body.get("agreement")
        return {"@context": contexts_of(policy) if policy else [CONTEXT], "@type": self.type, **body}


class ContractRequestMessage(Message):
    """The consumer asks for a contract, by `callback_address` or again by `provider_pid`. Section 7.2.1."""

    type = "ContractRequestMessage"
    subject = Subject.NEGOTIATION
    does = Kind.REQUEST
    consumer_pid: Pid
    provider_pid: Pid | None = None
    offer: dict[str, Any]
    callback_address: Url | None = None


class ContractOfferMessage(Message):
    """The provider offers a contract, by `callback_address` or in answer by `consumer_pid`. 7.2.2."""

    type = "ContractOfferMessage"
    subject = Subject.NEGOTIATION
    does = Kind.OFFER
    provider_pid: Pid
    consumer_pid: Pid | None = None
    offer: dict[str, Any]
    callback_address: Url | None = None


class _Bound(Message):
    provider_pid: Pid
    consumer_pid: Pid


class ContractNegotiationEventMessage(_Bound):
    """ACCEPTED from the consumer, FINALIZED from the provider. Section 7.2.5."""

    type = "ContractNegotiationEventMessage"
    subject = Subject.NEGOTIATION
    event_type: Literal["ACCEPTED", "FINALIZED"]

    @property
    def kind(self) -> Kind:
        """Accept or finalize."""
        return Kind.ACCEPT if self.event_type == "ACCEPTED" else Kind.FINALIZE


class ContractAgreementMessage(_Bound):
    """The provider's agreement. Section 7.2.3."""

    type = "ContractAgreementMessage"
    subject = Subject.NEGOTIATION
    agreement: dict[str, Any]
    does = Kind.AGREE


class ContractAgreementVerificationMessage(_Bound):
    """The consumer has checked the agreement. Section 7.2.4."""

    type = "ContractAgreementVerificationMessage"
    subject = Subject.NEGOTIATION
    does = Kind.VERIFY


class Ending(_Bound):
    """A message that stops or ends a process, with its reasons."""

    code: str | None = Field(default=None, max_length=512)
    reason: Reason | None = None

    @property
    def why(self) -> str:
        """The reasons as a sentence, in plain JSON or JSON-LD; or that there are none."""
        texts = (r.get("@value", r) if isinstance(r, dict) else r for r in self.reason or [])
        without = f"The peer ended it{f' ({self.code})' if self.code else ''} without a reason."
        return ("; ".join(map(str, texts)) or without)[:2000]


class ContractNegotiationTerminationMessage(Ending):
    """Either side leaves the negotiation. Section 7.2.6."""

    type = "ContractNegotiationTerminationMessage"
    subject = Subject.NEGOTIATION
    does = Kind.TERMINATE


class TransferRequestMessage(Message):
    """The consumer asks for a transfer under an agreement. Section 9.2.1."""

    type = "TransferRequestMessage"
    subject = Subject.TRANSFER
    consumer_pid: Pid
    agreement_id: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    format: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    callback_address: Url
    data_address: dict[str, Any] | None = None
    does = Kind.REQUEST


class TransferStartMessage(_Bound):
    """Data may flow; for pull it says where and with which token. Section 9.2.2."""

    type = "TransferStartMessage"
    subject = Subject.TRANSFER
    data_address: dict[str, Any] | None = None
    does = Kind.START


class TransferSuspensionMessage(Ending):
    """Data stops for now. Section 9.2.3."""

    type = "TransferSuspensionMessage"
    subject = Subject.TRANSFER
    does = Kind.SUSPEND


class TransferCompletionMessage(_Bound):
    """All has been transferred. Section 9.2.4."""

    type = "TransferCompletionMessage"
    subject = Subject.TRANSFER
    does = Kind.COMPLETE


class TransferTerminationMessage(Ending):
    """Either side ends the transfer. Section 9.2.5."""

    type = "TransferTerminationMessage"
    subject = Subject.TRANSFER
    does = Kind.TERMINATE


class CatalogRequestMessage(Message):
    """A consumer asks what is on offer to it. Section 5.2.1."""

    type = "CatalogRequestMessage"
    filter: Annotated[list[Any], Field(max_length=20)] | None = None


M = TypeVar("M", bound=Message)

_SEGMENT = {
    Kind.REQUEST: "request",
    Kind.OFFER: "offers",
    Kind.ACCEPT: "events",
    Kind.FINALIZE: "events",
    Kind.AGREE: "agreement",
    Kind.VERIFY: "agreement/verification",
    Kind.TERMINATE: "termination",
    Kind.START: "start",
    Kind.SUSPEND: "suspension",
    Kind.COMPLETE: "completion",
}


def path(subject: Subject, kind: Kind, peer_pid: str | None) -> str:
    """Where a message goes, below the peer's address (HTTPS bindings, sections 8 and 10).

    >>> path(Subject.NEGOTIATION, Kind.VERIFY, "urn:uuid:1")
    '/negotiations/urn:uuid:1/agreement/verification'
    """
    segment = _SEGMENT[kind]
    return (
        f"/{subject}s/{segment}" if peer_pid is None else f"/{subject}s/{quote(peer_pid, safe=':')}/{segment}"
    )


def parse(body: Any, expected: type[M]) -> M:
    """A body in compact form as the message that belongs at its path.

    :raises RemoteProtocolError: another type, or a member missing or malformed; each is named.
    """
    if not isinstance(body, dict):
        raise RemoteProtocolError(f"The body must be a JSON object with @type {expected.type}.")
    if body.get("@type") != expected.type:
        raise RemoteProtocolError(
            f"@type must be {expected.type} here, not {str(body.get('@type'))[:100]!r}."
        )
    try:
        return expected.model_validate(body)
    except ValidationError as error:
        raise RemoteProtocolError(
            *(_reason(expected, e) for e in error.errors(include_url=False)[:10])
        ) from None


def fingerprint(message: Message, body: bytes) -> str:
    """What makes a message recognisable when it comes again: its `@id`, else a digest (with `#`).

    Always one word, so that a process can keep several in one text.
    """
    if not message.id:
        return "#" + hashlib.sha256(body).hexdigest()[:32]
    if message.id.startswith("#") or any(map(str.isspace, message.id)):
        return "sha256:" + hashlib.sha256(message.id.encode()).hexdigest()
    return message.id


def process_document(process: Process) -> dict[str, Any]:
    """The ContractNegotiation or TransferProcess that answers a request (sections 7.3.1, 9.3.1)."""
    negotiation = process.subject is Subject.NEGOTIATION
    return {
        "@context": [CONTEXT],
        "@type": "ContractNegotiation" if negotiation else "TransferProcess",
        "@id": process.pid,
        "providerPid": process.provider_pid,
        "consumerPid": process.consumer_pid,
        "state": process.state,
    }


def error_document(
    type_: str, code: str, reasons: Sequence[str], provider_pid: str = "", consumer_pid: str = ""
) -> dict[str, Any]:
    """CatalogError, ContractNegotiationError or TransferError (sections 5.3.3, 7.3.2, 9.3.2)."""
    document: dict[str, Any] = {"@context": [CONTEXT], "@type": type_, "code": code, "reason": list(reasons)}
    if type_ != "CatalogError":
        document |= {"providerPid": provider_pid, "consumerPid": consumer_pid}
    return document


def _reason(expected: type[Message], error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "the body"
    return f"{expected.type}: {where}: {error['msg']}."
