"""What can go wrong, by whose fault it is.

The core raises; `web` renders each once, in the protocol's own error body. `reasons` are sentences for
the people on both sides: what was wrong, where, and what to do. They never hold secrets or internals.
"""

from dataclasses import dataclass


class AnodeError(Exception):
    """Anything this product raises on purpose. `str()` of it is fit to show to a person."""

    code = "error"

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class LocalProtocolError(AnodeError):
    """We (our code or our operator) tried something the protocol does not allow now."""

    code = "local-protocol-error"


class RemoteProtocolError(AnodeError):
    """The peer broke the protocol: a malformed message, an illegal transition (HTTP 400)."""

    code = "bad-message"


class Untrusted(AnodeError):
    """The peer did not prove who it is (HTTP 401)."""

    code = "not-authenticated"


class Deactivated(Untrusted):
    """The peer's DID was given up by who controlled it."""


class NotFound(AnodeError):
    """No such thing, or not this participant's: the two look alike on purpose (HTTP 404)."""

    code = "not-found"


class Denied(AnodeError):
    """A policy said no (HTTP 403). `reasons` name the rule and what would satisfy it."""

    code = "policy-denied"


class Unavailable(AnodeError):
    """Not now, but perhaps later (HTTP 503): a peer is unreachable, or we wait for its answer."""

    code = "unavailable"

    def __init__(self, *reasons: str, retry_after: float | None = None) -> None:
        super().__init__(*reasons)
        self.retry_after = retry_after


class EgressDenied(AnodeError):
    """A peer chose an address that this node's network profile forbids."""

    code = "egress-denied"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something stands: `path:line`."""

    path: str
    line: int | None = None

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


class InvalidFile(AnodeError):
    """A file of the operator's (config, policy, catalog) is wrong. Each reason starts with `path:line`."""

    code = "invalid-file"
