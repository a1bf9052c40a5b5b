"""Names and paths that the Dataspace Protocol 2025-1 fixes."""

from enum import StrEnum

VERSION = "2025-1"
CONTEXT = "https://w3id.org/dspace/2025/1/context.jsonld"
HTTP_PULL = "HttpData-PULL"
HTTP_ENDPOINT = "https://w3id.org/idsa/v4.1/HTTP"


class Role(StrEnum):
    """What we are in one process. A node is consumer in some and provider in others."""

    CONSUMER = "CONSUMER"
    PROVIDER = "PROVIDER"

    @property
    def other(self) -> "Role":
        """The peer's role."""
        return Role.PROVIDER if self is Role.CONSUMER else Role.CONSUMER


class State(StrEnum):
    """States of both processes; each table uses its own part of them (sections 7.1.2 and 9.1.2)."""

    REQUESTED = "REQUESTED"
    OFFERED = "OFFERED"
    ACCEPTED = "ACCEPTED"
    AGREED = "AGREED"
    VERIFIED = "VERIFIED"
    FINALIZED = "FINALIZED"
    STARTED = "STARTED"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    TERMINATED = "TERMINATED"


FINAL = frozenset({State.FINALIZED, State.COMPLETED, State.TERMINATED})


class Kind(StrEnum):
    """The verbs of both protocols. An event message is told apart by its `eventType`."""

    REQUEST = "request"
    OFFER = "offer"
    ACCEPT = "accept"
    AGREE = "agree"
    VERIFY = "verify"
    FINALIZE = "finalize"
    START = "start"
    SUSPEND = "suspend"
    COMPLETE = "complete"
    TERMINATE = "terminate"


class Subject(StrEnum):
    """Which of the two protocols a process follows."""

    NEGOTIATION = "negotiation"
    TRANSFER = "transfer"
