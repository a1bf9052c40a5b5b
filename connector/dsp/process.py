"""How a negotiation or a transfer moves: one value, four pure functions, a table as data.

A message changes nothing until the other side has acknowledged it. So a `Process` holds the last state
that both sides reached, and at most one message of ours that is on its way (`pending`).

Rule 1. Everything that decides about a transition is in this file and in the two tables. No clock, no
ids, no storage: they are arguments or the caller's business.

Rule 2. A table says who may send what from which state: `TABLE[sender][state][kind] -> state`. The code
never asks which of the two protocols it runs.

Rule 3. Messages cross. While a provider's own message is unacknowledged it refuses (retryable) what would
be legal without it. A consumer refuses only while its message is on the wire at that very moment and
would be overtaken. Exploring all interleavings of lost answers and retries shows that then no two
processes come to rest in different states (`tests/dsp/test_exploration.py`); the specification leaves
this open.

Rule 4. A message that is legal only from the state our pending message leads to proves that the peer
has accepted it: an acknowledgement whose answer was lost. So does any message in a process that we open.

Rule 5. DSP messages carry no identity. We add `@id`, as Eclipse EDC does, and answer a repeated one as
the first time. A message without `@id` counts as a repetition if it equals the last one accepted and
nothing has happened since.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from connector.dsp.terms import FINAL, Kind, Role, State, Subject
from connector.errors import LocalProtocolError, RemoteProtocolError, Unavailable

Table = Mapping[Role, Mapping[State | None, Mapping[Kind, State]]]

_REMEMBERED = 12
"""Accepted messages remembered for repetition: more than one process can have under way."""


@dataclass(frozen=True, slots=True)
class Process:
    """One contract negotiation or transfer, as one side sees it."""

    subject: Subject
    role: Role
    pid: str
    """Our identifier; the peer's is `peer_pid`, unknown until its first answer."""
    participant: str
    """The peer's participant id. Only that participant may see or move this process."""
    peer_pid: str | None = None
    address: str | None = None
    """Base URL for messages to the peer, without trailing slash."""
    state: State | None = None
    pending: Kind | None = None
    accepted: tuple[str, ...] = ()
    """Fingerprints of the messages taken from the peer, newest last."""
    steps: int = 0
    """Transitions so far, in both directions."""
    reason: str | None = None
    """Why it was terminated."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What the protocol carries: offer, agreement, dataset, format, data address."""

    @property
    def ended(self) -> bool:
        """Whether no further message is possible."""
        return self.state in FINAL

    @property
    def consumer_pid(self) -> str | None:
        """The consumer's identifier of this process."""
        return self.pid if self.role is Role.CONSUMER else self.peer_pid

    @property
    def provider_pid(self) -> str | None:
        """The provider's identifier of this process."""
        return self.pid if self.role is Role.PROVIDER else self.peer_pid


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a received message did: the process after it, and how it was understood."""

    process: Process
    repeated: bool = False
    implied: Kind | None = None
    """Our pending message that the peer evidently had accepted (rule 4)."""
    superseded: Kind | None = None
    """Our pending message that makes no sense any more."""


def receive(table: Table, process: Process, kind: Kind, fingerprint: str, in_flight: bool) -> Receipt:
    """Take a message from the peer.

    `in_flight` says whether our pending message is on the wire at this moment.

    :raises RemoteProtocolError: illegal in this state; nothing changes (HTTP 400).
    :raises Unavailable: not now, our own message is still on its way (HTTP 503, rule 3).
    """
    sender = process.role.other
    if is_repetition(process, fingerprint):
        return Receipt(process, repeated=True)
    opened_by_us = process.state is None and process.pending is not None
    direct = None if opened_by_us else table[sender].get(process.state, {}).get(kind)
    through_pending = (
        table[sender].get(_after_pending(table, process), {}).get(kind) if process.pending else None
    )
    if direct is None and through_pending is None:
        raise RemoteProtocolError(illegal(process, kind, sender))
    if direct is None or (through_pending is not None and direct is process.state):
        after = replace(process, state=through_pending, pending=None)
        implied = process.pending
    else:
        after, implied = replace(process, state=direct), None
    superseded = None
    if after.pending is not None and after.pending not in table[process.role].get(after.state, {}):
        superseded, after = after.pending, replace(after, pending=None)
    if direct is not None and process.pending is not None:
        overtakes = in_flight and after.pending is None and not after.ended
        if process.role is Role.PROVIDER or overtakes:
            raise Unavailable(
                f"Our {process.pending} message is on its way; send this {kind} again in a moment."
            )
    accepted = (*process.accepted, fingerprint)[-_REMEMBERED:]
    after = replace(after, accepted=accepted, steps=process.steps + 1)
    return Receipt(after, implied=implied, superseded=superseded)


def send(table: Table, process: Process, kind: Kind) -> Process:
    """Put a message of ours on its way; the state moves when it is acknowledged.

    :raises LocalProtocolError: illegal now, or an earlier message of ours is not acknowledged yet.
    """
    if process.pending is not None:
        raise LocalProtocolError(
            f"Our {process.pending} message is still on its way to {process.participant}; "
            f"{kind} can follow when it is acknowledged."
        )
    if kind not in table[process.role].get(process.state, {}):
        raise LocalProtocolError(illegal(process, kind, process.role))
    return replace(process, pending=kind)


def acknowledged(table: Table, process: Process) -> Process:
    """The peer has accepted our pending message.

    The caller makes sure that the answer is to this very message: one that was taken as accepted by
    rule 4, or dropped, is answered late and must not count again.
    """
    reached = _after_pending(table, process)
    if reached is None:
        return process
    return replace(process, state=reached, pending=None, steps=process.steps + 1)


def abandoned(process: Process, reason: str) -> Process:
    """End the process on our side alone: the peer can't be told, or said that it knows nothing of it."""
    return replace(process, state=State.TERMINATED, pending=None, reason=reason, steps=process.steps + 1)


def is_repetition(process: Process, fingerprint: str) -> bool:
    """Whether this very message was taken before (rule 5).

    A fingerprint that begins with `#` is of a message without `@id`: only the last one counts, and only
    while nothing else has happened.
    """
    if fingerprint.startswith("#"):
        return process.accepted[-1:] == (fingerprint,) and process.pending is None
    return fingerprint in process.accepted


def illegal(process: Process, kind: Kind, sender: Role) -> str:
    """The sentence for an illegal transition, with what would be legal."""
    return (
        f"The {sender.lower()} can't send {kind} in a {process.subject} in state "
        f"{process.state or 'not started'} (provider pid {process.provider_pid}, "
        f"consumer pid {process.consumer_pid})."
    )


def _after_pending(table: Table, process: Process) -> State | None:
    if process.pending is None:
        return None
    return table[process.role].get(process.state, {}).get(process.pending)
