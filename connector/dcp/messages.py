"""The protocol's messages as typed values, read from and written to their plain JSON form.

Decentralized Claims Protocol 1.0.1, "Verifiable Presentation Protocol" and "Credential Issuance Protocol",
with their JSON schemas. Members that are not known are let be; what is known must be right.
"""

from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError

from connector.errors import RemoteProtocolError
from connector.vc.jose import shown

CONTEXT = "https://w3id.org/dspace-dcp/v1.0/dcp.jsonld"
MAX_CREDENTIALS = 50

Text = Annotated[StrictStr, Field(min_length=1, max_length=2_048)]
M = TypeVar("M", bound="Message")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Message(_Part):
    """A message. `kind` is its `type` on the wire."""

    kind: ClassVar[str]

    def document(self) -> dict[str, Any]:
        """The message as plain JSON, in the form that its schema describes."""
        body = self.model_dump(by_alias=True, exclude_none=True)
        return {"@context": [CONTEXT], "type": self.kind, **body}


class PresentationDefinition(_Part):
    """What a query may have in place of scopes: the members required by Presentation Exchange 2.1.1."""

    id: Text
    input_descriptors: list[dict[str, Any]]


class PresentationQueryMessage(Message):
    """A verifier asks a credential service for presentations: by scopes."""

    kind = "PresentationQueryMessage"
    scope: Annotated[list[Any], Field(max_length=50)] | None = None
    presentation_definition: PresentationDefinition | None = Field(None, alias="presentationDefinition")


class PresentationResponseMessage(Message):
    """What a credential service answers: presentations as JWTs or JSON-LD objects."""

    kind = "PresentationResponseMessage"
    presentation: Annotated[list[StrictStr | dict[str, Any]], Field(max_length=MAX_CREDENTIALS)]


class CredentialContainer(_Part):
    """A credential on its way to its holder."""

    credential_type: Text = Field(alias="credentialType")
    format: Text
    payload: Annotated[StrictStr, Field(min_length=1, max_length=1 << 18)]


class CredentialMessage(Message):
    """An issuer hands credentials to a holder, or says that there will be none."""

    kind = "CredentialMessage"
    issuer_pid: Text = Field(alias="issuerPid")
    holder_pid: Text | None = Field(None, alias="holderPid")
    status: Literal["ISSUED", "REJECTED"]
    credentials: Annotated[list[CredentialContainer], Field(max_length=MAX_CREDENTIALS)] | None = None
    rejection_reason: Annotated[StrictStr, Field(max_length=2_048)] | None = Field(
        None, alias="rejectionReason"
    )


class CredentialObject(_Part):
    """A kind of credential that an issuer can give. In an offer all but `id` may be absent."""

    id: Text
    type: Literal["CredentialObject"] = "CredentialObject"
    credential_type: Text | None = Field(None, alias="credentialType")
    offer_reason: Text | None = Field(None, alias="offerReason")
    credential_schema: Text | None = Field(None, alias="credentialSchema")
    binding_methods: list[Text] | None = Field(None, alias="bindingMethods")
    profile: Text | None = None


class CredentialOfferMessage(Message):
    """An issuer tells a holder what it could ask for."""

    kind = "CredentialOfferMessage"
    issuer: Text
    credentials: Annotated[list[CredentialObject], Field(min_length=1, max_length=MAX_CREDENTIALS)]


class CredentialReference(_Part):
    """One of an issuer's credential objects, by its id."""

    id: Text


class CredentialRequestMessage(Message):
    """A holder asks an issuer for credentials; `holder_pid` is its own name for the request."""

    kind = "CredentialRequestMessage"
    holder_pid: Text = Field(alias="holderPid")
    credentials: Annotated[list[CredentialReference], Field(min_length=1, max_length=MAX_CREDENTIALS)]


class CredentialStatus(Message):
    """How a request stands, told to who made it."""

    kind = "CredentialStatus"
    issuer_pid: Text = Field(alias="issuerPid")
    holder_pid: Text = Field(alias="holderPid")
    status: Literal["RECEIVED", "REJECTED", "ISSUED"]


class IssuerMetadata(Message):
    """What an issuer can give."""

    kind = "IssuerMetadata"
    issuer: Text
    credentials_supported: Annotated[list[CredentialObject], Field(max_length=200)] = Field(
        alias="credentialsSupported"
    )


def parse(document: object, kind: type[M]) -> M:
    """A message of this kind. Raises RemoteProtocolError, each reason with the member it is about."""
    if not isinstance(document, dict):
        raise RemoteProtocolError(f"the body must be a JSON object, a {kind.kind}")
    contexts = document.get("@context")
    if not isinstance(contexts, list) or CONTEXT not in contexts:
        raise RemoteProtocolError(f"@context must be an array that contains {CONTEXT}")
    if document.get("type") != kind.kind:
        raise RemoteProtocolError(f"type is {shown(document.get('type'))}; {kind.kind} is expected here")
    try:
        return kind.model_validate(document)
    except ValidationError as wrong:
        errors = wrong.errors(include_url=False, include_input=False, include_context=False)
    where = (".".join(map(str, error["loc"])) for error in errors[:10])
    raise RemoteProtocolError(*(f"{place}: {e['msg']}" for place, e in zip(where, errors[:10], strict=True)))
