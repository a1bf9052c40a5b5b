"""What a decision is made from."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias


class Claim(NamedTuple):
    """A verified credential of the participant, as policies see it: it counts before `until`."""

    type: str
    issuer: str
    subject: Mapping[str, Any]
    until: float = math.inf


class Claims(NamedTuple):
    """What a participant has proved, by credential type.

    An empty entry says that it was asked and has presented none; no entry, that it was not asked. `issuers`
    are those whose credentials of a type are believed, and who could give one; `refused` is why a credential
    of a type does not count.
    """

    held: Mapping[str, tuple[Claim, ...]] = MappingProxyType({})
    issuers: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    refused: Mapping[str, str] = MappingProxyType({})


NO_CLAIMS = Claims()

Phase: TypeAlias = Literal["catalog", "negotiation", "transfer", "request"]
"""What is being decided. Before a request, what only a request can tell is accepted instead of refused."""


class Performance(NamedTuple):
    """How a duty stands. One that is `pending` counts as violated from the instant `due` on."""

    state: Literal["fulfilled", "pending", "violated"]
    due: float = math.inf


FULFILLED = Performance("fulfilled")
NO_DUTIES: Mapping[str, Performance] = MappingProxyType({})


class Facts(NamedTuple):
    """What a decision is made from. Times are epoch seconds. None is "not known", and denies.

    A tuple, because one is built for each data request.
    """

    now: float
    participant: str
    agreed_at: float | None = None
    """When the agreement was made; at negotiation, where the question is whether one may be, it is `now`."""
    action: str = "use"
    claims: Claims = NO_CLAIMS
    phase: Phase = "request"
    purpose: str | None = None
    """What the participant says that this request is for."""
    uses: int | None = None
    """How often the agreement has been used before."""
    last_use: float | None = None
    """When it was last used; `-inf` for never."""
    target: str | None = None
    """The asset asked for."""
    groups: frozenset[str] | None = None
    """Groups of partners, by the provider's own list, that the participant belongs to."""
    collections: frozenset[str] | None = None
    """Collections of assets that the target belongs to."""
    duties: Mapping[str, Performance] = NO_DUTIES
    """How duties stand: by path (`permission[0].duty[0]`), or by action where this node does it itself."""
