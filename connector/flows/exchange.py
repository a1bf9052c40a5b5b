"""The way of a protocol message through the node, for negotiations and transfers alike.

In comes a message: one transaction loads the process, lets the protocol core decide, lets the subject
look at the content, decides on our own next message, and keeps all of it (state, history, outbox)
together. Only when that is on disk is the peer answered and our own message sent. What must happen
outside the store (cut a download, wake a listener) happens after the commit.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import orjson

from connector.dsp import process as core
from connector.dsp.messages import Ending, Message, path
from connector.dsp.process import Process, Table
from connector.dsp.terms import Kind, Role, State, Subject
from connector.errors import LocalProtocolError, NotFound, RemoteProtocolError, Unavailable
from connector.flows.clock import Clock
from connector.flows.events import Events
from connector.store import processes as rows
from connector.store.database import Database, Transaction
from connector.store.processes import Outgoing, Step

_FULL_RETRY = 60.0
"""Seconds a participant with too many open processes is asked to wait."""
_ECLIPSE_PAUSE = 0.1
"""Seconds that our reaction to a message of Eclipse EDC waits. What reaches EDC before it has digested our
answer, some 50 ms, it refuses, and at times then sends its own message again under another `@id`."""
_BARE = frozenset({Kind.ACCEPT, Kind.VERIFY, Kind.FINALIZE, Kind.SUSPEND, Kind.COMPLETE, Kind.TERMINATE})
"""Messages that say nothing but which state they lead to."""


@dataclass(frozen=True, slots=True)
class Move:
    """A message we decided to send: what, why, with which content, and how long to wait first."""

    kind: Kind
    reason: str | None = None
    content: Mapping[str, Any] = field(default_factory=dict)
    delay: float = 0.0
    code: str | None = None
    """The code of what ends it, for programs."""
    details: tuple[Mapping[str, Any], ...] = ()
    """The reasons as objects with codes, beside the text."""
    kept: Mapping[str, Any] = field(default_factory=dict)
    """What of our deciding is kept in the process's details."""

    @property
    def told(self) -> list[Any] | None:
        """What the peer is told: the sentence, then each reason for programs."""
        return [self.reason, *self.details] if self.reason else None


Wait = Mapping[str, Any]
"""Instead of a move: nothing is sent now, and this is kept in the process's details."""


class Steps(list[Step]):
    """What one transaction did in a process: its lines of history, and when its message is to be sent."""

    send_at: float | None = None

    def put_out(self, tx: Transaction, message: Outgoing) -> None:
        """Put a message into the outbox; the courier is woken for it once that is committed."""
        rows.put_out(tx, message)
        self.send_at = message.next_try


Reaction = Callable[[Transaction, Process, float], "Move | Wait | None"]
"""Decides on our next message. Asked whenever a process has moved and nothing of ours is on its way."""


class Conduct(Protocol):
    """How one of the two protocols treats the content of its messages."""

    table: Table
    react: Reaction

    def take(self, tx: Transaction, process: Process, message: Message, now: float) -> Process:
        """Look at a message that the state machine allows; return the process with what it carried.

        Raise to refuse: then nothing changes.
        """

    def compose(self, tx: Transaction, process: Process, move: Move, now: float) -> tuple[Process, Message]:
        """Write the message of a move, and note in the process what it carries."""

    def entered(self, tx: Transaction, process: Process) -> None:
        """The process has reached a state: keep what follows from it."""

    def settled(self, process: Process) -> None:
        """The process as it now is has been committed: act outside the store."""


class Exchange:
    """Receives and sends the messages of all processes of a node."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        events: Events,
        conducts: Mapping[Subject, Conduct],
        new_id: Callable[[], str],
        deadline: float,
        open_processes: int,
    ) -> None:
        self.db, self.clock, self.events, self.new_id = db, clock, events, new_id
        self._conducts, self._deadline, self._most = conducts, deadline, open_processes
        self.wake: Callable[[str, float], None] = lambda pid, when: None
        """Set by the courier: something is to be sent at that time."""
        self.in_flight: dict[str, str] = {}
        """Processes with a message on the wire now, and its id. Kept by the courier."""
        self.stepping: Counter[str] = Counter()
        """Processes in which messages of the peer are being taken, how many: nothing is sent meanwhile."""

    # -- in

    async def receive(
        self,
        participant: str,
        pid: str | None,
        message: Message,
        fingerprint: str,
        address: str | None = None,
        eclipse: bool = False,
    ) -> Process:
        """Take a message; return the process after it, committed.

        `pid` is the one in the path, None for a message that opens a process (then `address` is the
        peer's callback). `eclipse` says that Eclipse EDC wrote the message, which needs some patience.

        :raises NotFound: no such process of this participant.
        :raises RemoteProtocolError: malformed, or illegal now.
        :raises Unavailable: try again later.
        """
        steps = Steps()

        def step(tx: Transaction) -> Process:
            now = self.clock.now()
            conduct = self._conducts[message.subject]
            process = self._find(tx, participant, pid, message, address)
            if pid is None and process.state is not None:
                return _opened_again(process, message, fingerprint, eclipse)
            if eclipse and _stands(conduct.table, process, message.kind):
                return process
            in_flight = process.pending is not None and process.pid in self.in_flight
            receipt = core.receive(conduct.table, process, message.kind, fingerprint, in_flight)
            if receipt.repeated:
                return process
            after = conduct.take(tx, receipt.process, message, now)
            if receipt.implied or receipt.superseded:
                rows.take_out(tx, after.pid)
            if receipt.implied:
                steps.append(Step(now, "own", receipt.implied, None, "taken as accepted: the peer went on"))
            if receipt.superseded:
                steps.append(
                    Step(now, "own", receipt.superseded, None, "not sent any more: the peer was first")
                )
            steps.append(Step(now, "in", message.kind, after.state, _note(message)))
            conduct.entered(tx, after)
            return self._react(tx, after, now, steps, _ECLIPSE_PAUSE if eclipse else 0.0)

        if pid is not None:
            self.stepping[pid] += 1
        try:
            process = await self.db.write(step)
        finally:
            if pid is not None:
                self.stepping[pid] -= 1
                if not self.stepping[pid]:
                    del self.stepping[pid]
        self.settle(process, steps)
        return process

    def _find(
        self, tx: Transaction, participant: str, pid: str | None, message: Message, address: str | None
    ) -> Process:
        subject = message.subject
        consumer_pid, provider_pid = (
            getattr(message, "consumer_pid", None),
            getattr(message, "provider_pid", None),
        )
        if pid is not None:
            process = rows.process(tx, pid)
            if process is None or process.participant != participant or process.subject is not subject:
                raise NotFound(f"There is no {subject} {pid} with {participant} here.")
            given = consumer_pid if process.role is Role.PROVIDER else provider_pid
            own = provider_pid if process.role is Role.PROVIDER else consumer_pid
            if (own is not None and own != pid) or (
                process.peer_pid is not None and given != process.peer_pid
            ):
                raise RemoteProtocolError(
                    f"The message names provider pid {provider_pid} and consumer pid {consumer_pid}; "
                    f"this {subject} has {process.provider_pid} and {process.consumer_pid}."
                )
            return process if process.peer_pid is not None else replace(process, peer_pid=given)
        role = Role.PROVIDER if message.kind is Kind.REQUEST else Role.CONSUMER
        peer_pid = consumer_pid if role is Role.PROVIDER else provider_pid
        assert peer_pid is not None  # noqa: S101  # the message types that open a process require it
        known = rows.process_of_peer(tx, subject, role, participant, peer_pid)
        if known is not None:
            return known
        if rows.open_with(tx, subject, participant, self._most) >= self._most:
            raise Unavailable(
                f"{participant} has {self._most} {subject}s here that have not ended: end some, try again.",
                retry_after=_FULL_RETRY,
            )
        assert address is not None  # noqa: S101  # checked where the message is parsed
        return Process(subject, role, self.new_id(), participant, peer_pid, address.rstrip("/"), details={})

    # -- out

    async def open(self, subject: Subject, participant: str, address: str, move: Move) -> Process:
        """Start a process with a peer whose base URL is `address`; the first message is on its way."""
        role = Role.CONSUMER if move.kind is Kind.REQUEST else Role.PROVIDER
        process = Process(subject, role, self.new_id(), participant, None, address.rstrip("/"), details={})
        steps = Steps()
        process = await self.db.write(lambda tx: self._put(tx, process, move, self.clock.now(), steps))
        self.settle(process, steps)
        return process

    async def send(self, subject: Subject, pid: str, move: Move) -> Process:
        """Put a message on its way in an existing process.

        :raises NotFound: no such process.
        :raises LocalProtocolError: not allowed now.
        """
        steps = Steps()

        def step(tx: Transaction) -> Process:
            process = rows.process(tx, pid)
            if process is None or process.subject is not subject:
                raise NotFound(f"There is no {subject} {pid} in this node.")
            if process.peer_pid is None and not process.ended:
                # The peer may never have heard of it: nothing to tell, nothing to wait for.
                if move.kind is not Kind.TERMINATE:
                    raise LocalProtocolError(
                        f"{process.participant} has not told its id of this {subject}: terminate, or wait."
                    )
                rows.take_out(tx, pid)
                now = self.clock.now()
                return self.abandon(
                    tx, process, move.reason or "withdrawn before the peer answered", now, steps
                )
            return self._put(tx, process, move, self.clock.now(), steps)

        process = await self.db.write(step)
        self.settle(process, steps)
        return process

    async def reconsider(
        self, subject: Subject, pid: str, change: Callable[[Process], Process] = lambda process: process
    ) -> Process:
        """Ask again what to do in a process, changed by what its operator has decided.

        :raises NotFound: no such process.
        """
        steps = Steps()

        def step(tx: Transaction) -> Process:
            process = rows.process(tx, pid)
            if process is None or process.subject is not subject:
                raise NotFound(f"There is no {subject} {pid} in this node.")
            return self._react(tx, change(process), self.clock.now(), steps)

        process = await self.db.write(step)
        self.settle(process, steps)
        return process

    # -- for the courier, inside its transaction

    def acknowledged(self, tx: Transaction, process: Process, peer_pid: str | None, steps: Steps) -> Process:
        """Our pending message was accepted."""
        now = self.clock.now()
        conduct = self._conducts[process.subject]
        kind = process.pending
        if process.peer_pid is None:
            process = replace(process, peer_pid=peer_pid)
        after = core.acknowledged(conduct.table, process)
        rows.take_out(tx, process.pid)
        steps.append(Step(now, "out", str(kind), after.state, "acknowledged"))
        conduct.entered(tx, after)
        return self._react(tx, after, now, steps)

    def refused(self, tx: Transaction, process: Process, why: str, steps: Steps) -> Process:
        """The peer will never accept our pending message: the process ends, and the peer is told."""
        now = self.clock.now()
        rows.take_out(tx, process.pid)
        kind, process = process.pending, replace(process, pending=None)
        reason = f"{process.participant} refused our {kind}: {why}"
        steps.append(Step(now, "out", str(kind), process.state, f"refused: {why}"))
        if process.peer_pid is None or kind is Kind.TERMINATE or process.state is None:
            return self.abandon(tx, process, reason, now, steps)
        return self._put(tx, process, Move(Kind.TERMINATE, reason), now, steps)

    def abandon(self, tx: Transaction, process: Process, reason: str, now: float, steps: Steps) -> Process:
        """End the process here, whatever the peer thinks; a notice to the peer is left in the outbox."""
        kind = process.pending
        ended = core.abandoned(process, reason)
        conduct = self._conducts[process.subject]
        steps.append(Step(now, "own", Kind.TERMINATE, State.TERMINATED, reason))
        conduct.entered(tx, ended)
        rows.save(tx, ended, now, steps)
        if process.peer_pid is not None and kind is not None and kind is not Kind.TERMINATE:
            _, message = conduct.compose(tx, ended, Move(Kind.TERMINATE, reason), now)
            self._post(tx, ended, message, now, steps)
        return ended

    # -- shared

    def settle(self, process: Process, steps: Steps) -> None:
        """After the commit: tell listeners, act outside the store, wake the courier."""
        self.events.publish(process, steps)
        self._conducts[process.subject].settled(process)
        if steps.send_at is not None:
            self.wake(process.pid, steps.send_at)

    def _react(
        self, tx: Transaction, process: Process, now: float, steps: Steps, pause: float = 0.0
    ) -> Process:
        if process.pending is None and not process.ended:
            move = self._conducts[process.subject].react(tx, process, now)
            if isinstance(move, Move):
                move = replace(move, delay=max(move.delay, pause))
                return self._put(tx, process, move, now, steps)
            if move is not None:
                process = replace(process, details={**process.details, **move})
        rows.save(tx, process, now, steps)
        return process

    def _put(self, tx: Transaction, process: Process, move: Move, now: float, steps: Steps) -> Process:
        conduct = self._conducts[process.subject]
        if move.kept:
            process = replace(process, details={**process.details, **move.kept})
        sent = core.send(conduct.table, process, move.kind)
        sent, message = conduct.compose(tx, sent, move, now)
        if move.kind is Kind.TERMINATE:
            sent = replace(sent, reason=move.reason)
        steps.append(Step(now, "own", move.kind, process.state, move.reason))
        rows.save(tx, sent, now, steps)
        self._post(tx, sent, message, now + move.delay, steps)
        return sent

    def _post(self, tx: Transaction, process: Process, message: Message, when: float, steps: Steps) -> None:
        if process.address is None:
            raise LocalProtocolError(f"The {process.subject} {process.pid} has no address of its peer.")
        url = process.address + path(process.subject, message.kind, process.peer_pid)
        body = orjson.dumps(message.document())
        steps.put_out(
            tx,
            Outgoing(
                process.pid,
                str(message.id),
                message.kind,
                url,
                process.participant,
                body,
                0,
                when,
                when,
                when + self._deadline,
            ),
        )


def _opened_again(process: Process, message: Message, fingerprint: str, eclipse: bool) -> Process:
    """A message that opens a process that is open already: the same answer if it is the same message.

    By the consumer's pid, as section 9.2.1 recommends for transfers, since the answer to the first may have
    been lost and a peer may write a retry anew. Eclipse EDC does so with negotiations too.
    """
    if process.subject is Subject.TRANSFER:
        alike = getattr(message, "agreement_id", None) == process.details.get("agreement")
    else:
        alike = eclipse and getattr(message, "offer", None) == process.details.get("offer")
    same = fingerprint in process.accepted or alike
    if not same:
        raise RemoteProtocolError(
            f"The {process.subject} with your pid {process.peer_pid} is open already, as {process.pid}."
        )
    return process


def _stands(table: Table, process: Process, kind: Kind) -> bool:
    """Whether a message asks only for what is so already: EDC said it twice, and would end the process over
    a refusal."""
    sender = table[process.role.other]
    return (
        kind in _BARE
        and kind not in sender.get(process.state, {})
        and any(kinds.get(kind) is process.state for kinds in sender.values())
    )


def _note(message: Message) -> str | None:
    return message.why[:1000] if isinstance(message, Ending) and message.reason else None
