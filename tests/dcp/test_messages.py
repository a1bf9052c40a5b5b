"""The protocol's messages: read, written as their schemas want them, and refused by their places."""

import json
from pathlib import Path
from typing import Any

import pytest

from connector.dcp import messages
from connector.dcp.messages import (
    CONTEXT,
    CredentialContainer,
    CredentialMessage,
    CredentialObject,
    CredentialOfferMessage,
    CredentialReference,
    CredentialRequestMessage,
    CredentialStatus,
    IssuerMetadata,
    Message,
    PresentationQueryMessage,
    PresentationResponseMessage,
)
from connector.errors import RemoteProtocolError
from tests.dcp.schemas import EXAMPLES, needs_schemas, problems

OBJECT = CredentialObject(
    id="o", credential_type="X", offer_reason="r", credential_schema="https://x.example/s",
    binding_methods=["did:web"], profile="vc11-sl2021/jwt",
)  # fmt: skip
HELD = CredentialContainer(credential_type="X", format="vc11-sl2021/jwt", payload="a.b.c")
MESSAGES: list[Message] = [
    PresentationQueryMessage(scope=["a:b"]),
    PresentationResponseMessage(presentation=["a.b.c", {"proof": {}}]),
    CredentialMessage(issuer_pid="i", holder_pid="h", status="ISSUED", credentials=[HELD]),
    CredentialMessage(issuer_pid="i", holder_pid="h", status="REJECTED", rejection_reason="no"),
    CredentialOfferMessage(issuer="did:web:a.example", credentials=[OBJECT]),
    CredentialRequestMessage(holder_pid="h", credentials=[CredentialReference(id="o")]),
    CredentialStatus(issuer_pid="i", holder_pid="h", status="RECEIVED"),
    IssuerMetadata(issuer="did:web:a.example", credentials_supported=[OBJECT]),
]
OPTIONAL = {"scope", "holderPid", "credentials", "rejectionReason"}
"""Members that may be absent, or hold nearly anything, in one of the messages."""
KINDS = {type(message).kind: type(message) for message in MESSAGES}


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.kind)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    """What one node writes another reads as the same; what it does not know, it lets be."""
    document = json.loads(json.dumps(message.document()))
    assert (document["@context"], document["type"]) == ([CONTEXT], message.kind)
    assert messages.parse({**document, "unknown": 1}, type(message)) == message


@needs_schemas
@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.kind)
def test_a_message_is_what_its_schema_says(message: Message) -> None:
    """Each message that we write fits the published schema."""
    assert problems(message.document()) == []


@needs_schemas
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_published_examples_are_read(path: Path) -> None:
    """Each example of a message is read, and what we make of it fits its schema again."""
    document = json.loads(path.read_text())
    if document["type"] not in KINDS:
        assert document["type"] == "CredentialObject", "this example is part of a message"
        CredentialObject.model_validate(document)
        return
    again = messages.parse(document, KINDS[document["type"]]).document()
    assert problems(again) == []
    assert again.items() <= {**document, **again}.items()


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (None, "must be a JSON object, a CredentialStatus"),
        ([], "must be a JSON object"),
        ({}, "@context must be an array that contains"),
        ({"@context": CONTEXT}, "@context must be an array"),
        ({"@context": ["x"]}, "@context must be an array"),
        ({"@context": [CONTEXT]}, "type is None; CredentialStatus is expected here"),
        ({"@context": [CONTEXT], "type": ["CredentialStatus"]}, "is expected here"),
        ({"@context": [CONTEXT], "type": "CredentialStatus"}, "issuerPid: "),
    ],
)
def test_what_is_no_such_message(document: Any, why: str) -> None:
    """Another context, another type, a missing member: told by name."""
    with pytest.raises(RemoteProtocolError, match=why):
        messages.parse(document, CredentialStatus)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.kind)
@pytest.mark.parametrize("value", [None, 7, "", True, [None], {"a": {}}, "x" * 3_000, ["x"] * 300])
def test_members_of_another_kind(message: Message, value: Any) -> None:
    """A member that is of another kind, empty or too long is named, without what stood there."""
    document = message.document()
    for member in document.keys() - {"@context", "type"}:
        free = value is None or isinstance(value, str | list)
        if free and member in OPTIONAL:
            continue
        with pytest.raises(RemoteProtocolError) as caught:
            messages.parse({**document, member: value}, type(message))
        assert all(reason.startswith(member) for reason in caught.value.reasons)
        assert "xxx" not in str(caught.value)
