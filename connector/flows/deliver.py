"""Carrying our messages to peers: one in flight per process, tried again until acknowledged or too late.

The outbox in the store is the truth; this module only knows *when* to look at it. A message that was
just committed is carried at once. Timers exist only for messages that wait; with none, nothing runs.

What an answer means: 2xx accepted. 400 and its like: never, the process ends. 409, 429, 5xx and no
answer: later, after an exponentially growing, randomly varied time, or what `Retry-After` says. 401 and
404 may mean that the peer is not ready yet (a conformance kit, a restarting node) and are taken as final
only when several come in a row. After the deadline the process ends as TERMINATED, with the reason.

A peer that lets us wait keeps only its own share of the places waiting.
"""

import asyncio
import heapq
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any
from weakref import WeakValueDictionary

from connector.dsp.process import Process
from connector.errors import AnodeError, EgressDenied, RemoteProtocolError, Unavailable
from connector.flows.clock import Handle
from connector.flows.exchange import Exchange, Steps
from connector.flows.identify import Identity
from connector.flows.peers import reasons
from connector.jsonld import documents
from connector.peers.client import Answer, Transport
from connector.store import processes as rows
from connector.store.database import Transaction
from connector.store.processes import Outgoing, Step

_log = logging.getLogger(__name__)

_NEVER = frozenset({400, 402, 403, 405, 406, 410, 411, 413, 414, 415, 422, 501})
_PERHAPS = frozenset({401, 404})
_PERHAPS_TRIES = 5
_OPENING_TRIES = 2
"""An opening message needs nothing to be ready at the peer: "no such dataset" is meant, once repeated."""
_AT_ONCE = 256
_AT_ONCE_EACH = 32
"""Messages on the wire at a time, to one participant."""
_AFTER_TROUBLE = 10
"""How many times the first pause to wait after our own store failed."""
_CONFLICT_RETRY = 0.1
"""Eclipse EDC answers 409 while it holds a lease of its own, some 50 ms."""

_LONGEST_ASKED = 86_400.0
"""Seconds that a peer's Retry-After can hold a message back."""


class Courier:
    """Delivers the outbox of one node."""

    def __init__(
        self,
        exchange: Exchange,
        transport: Transport,
        identity: Identity,
        first_retry: float,
        longest_retry: float,
        jitter: random.Random,
        shows: Callable[[str], frozenset[str]] = lambda _: frozenset(),
    ) -> None:
        self._exchange, self._transport, self._identity = exchange, transport, identity
        self._shows = shows
        """What of our credentials a process's peer may read for its next step."""
        self._first_retry, self._longest_retry, self._jitter = first_retry, longest_retry, jitter
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._places_of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._waiting: list[tuple[float, str]] = []
        """Times and processes, a heap; `_awaited` has the same, to know what is in it."""
        self._awaited: set[tuple[float, str]] = set()
        self._timer: Handle | None = None
        self._open = True
        self._again: set[str] = set()
        """Processes that were woken while a message of theirs was carried."""
        self.carrying: dict[str, asyncio.Task[None]] = {}
        self.queued = 0
        """How many of them wait for a place."""
        exchange.wake = self.wake

    def start(self) -> None:
        """Take up what an earlier run left in the outbox."""
        for pid, when in rows.due(self._exchange.db.read):
            self.wake(pid, when)

    async def close(self) -> None:
        """Stop; what is on its way stays in the outbox."""
        self._open = False
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
        self._awaited.clear()
        tasks = list(self.carrying.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self, pid: str, when: float) -> None:
        """Something of this process is to be sent at that time."""
        if when <= self._exchange.clock.now():
            self._begin(pid)
            return
        if (when, pid) in self._awaited:  # a peer that repeats itself wakes us each time
            return
        self._awaited.add((when, pid))
        heapq.heappush(self._waiting, (when, pid))
        if self._waiting[0] == (when, pid):
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            self._timer = self._exchange.clock.call_at(self._waiting[0][0], self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._exchange.clock.now()
        while self._waiting and self._waiting[0][0] <= now:
            self._awaited.discard(due := heapq.heappop(self._waiting))
            self._begin(due[1])
        self._arm()

    def _begin(self, pid: str) -> None:
        if pid in self.carrying:
            self._again.add(pid)
        elif self._open:
            task = asyncio.get_running_loop().create_task(self._carry(pid))
            self.carrying[pid] = task
            task.add_done_callback(lambda done: self._ended(pid, done))

    def _ended(self, pid: str, task: "asyncio.Task[None]") -> None:
        del self.carrying[pid]
        if task.cancelled() or not self._open:
            return
        if (error := task.exception()) is not None:
            _log.error("delivery of %s broke off", pid, exc_info=error)
        elif pid not in self._again:
            return
        self._again.discard(pid)
        message = rows.outgoing(self._exchange.db.read, pid)
        if message is not None:  # put there while the task was ending, or to be tried again
            pause = self._first_retry * _AFTER_TROUBLE if error is not None else 0.0
            self.wake(pid, max(message.next_try, self._exchange.clock.now() + pause))

    async def _carry(self, pid: str) -> None:
        """Send what is due in one process, and what follows from its acknowledgement."""
        waiting = self._due(pid)
        while waiting is not None:
            places = self._places_of.get(waiting.participant)
            if places is None:
                places = self._places_of[waiting.participant] = asyncio.Semaphore(_AT_ONCE_EACH)
            must_wait = places.locked() or self._places.locked()
            self.queued += 1
            async with places, self._places:
                self.queued -= 1
                message = self._due(pid) if must_wait else waiting
                if message is None:  # overtaken while it waited for a place
                    return
                self._exchange.in_flight[pid] = message.message_id
                try:
                    answer = await self._attempt(message)
                finally:
                    self._exchange.in_flight.pop(pid, None)
            waiting = self._due(pid) if await self._conclude(message, answer) else None

    def _due(self, pid: str) -> Outgoing | None:
        """What is to be sent now, if anything."""
        if pid in self._exchange.stepping:
            self._again.add(pid)
            return None
        message = rows.outgoing(self._exchange.db.read, pid)
        return None if message is None or message.next_try > self._exchange.clock.now() else message

    async def _attempt(self, message: Outgoing) -> Answer | AnodeError:
        try:
            shown = self._shows(message.pid)
            authorization = await self._identity.authorization(message.participant, shown)
            headers = {"Authorization": authorization, "Content-Type": "application/json"}
            return await self._transport.request("POST", message.url, headers=headers, body=message.body)
        except AnodeError as error:
            return error

    async def _conclude(self, message: Outgoing, answer: Answer | AnodeError) -> bool:
        """Keep what the answer means; whether there may be more to send."""
        steps = Steps()

        def step(tx: Transaction) -> Process | None:
            process = rows.process(tx, message.pid)
            if process is None or not rows.is_outgoing(tx, message.pid, message.message_id):
                return None  # meanwhile taken as accepted, or overtaken
            doubtful = isinstance(answer, Answer) and answer.status in _PERHAPS
            attempt = replace(
                message, attempts=message.attempts + 1, doubts=message.doubts + 1 if doubtful else 0
            )
            accepted, final, why = self._judge(attempt, answer, opens=process.peer_pid is None)
            now = self._exchange.clock.now()
            if process.ended:  # a notice after we ended the process alone
                if accepted or final or now >= attempt.deadline:
                    rows.take_out(tx, process.pid)
                else:
                    steps.put_out(tx, self._later(attempt, answer, why, now))
                return process
            if accepted:
                return self._exchange.acknowledged(tx, process, _peer_pid(process, answer), steps)
            if final:
                return self._exchange.refused(tx, process, why, steps)
            if now >= attempt.deadline:
                rows.take_out(tx, process.pid)
                kept = (
                    f"{process.participant} could not be given our {attempt.kind} before its deadline: {why}"
                )
                return self._exchange.abandon(tx, process, kept, now, steps)
            steps.append(
                Step(now, "out", attempt.kind, process.state, f"try {attempt.attempts} failed: {why}")
            )
            steps.put_out(tx, self._later(attempt, answer, why, now))
            rows.save(tx, process, now, steps)
            return process

        process = await self._exchange.db.write(step)
        if process is None:
            return False
        self._exchange.settle(process, steps)
        return process.pending is not None or process.ended

    def _judge(self, message: Outgoing, answer: Answer | AnodeError, opens: bool) -> tuple[bool, bool, str]:
        """Accepted, finally refused, and why not."""
        if isinstance(answer, EgressDenied):
            return False, True, str(answer)
        if isinstance(answer, AnodeError):
            return False, False, str(answer)
        if 200 <= answer.status < 300:
            return True, False, ""
        said = "; ".join(reasons(answer))[:1000]
        why = f"HTTP {answer.status} from {message.url}{said and f': {said}'}"
        final = answer.status in _NEVER or 300 <= answer.status < 400
        nothing_there = opens and answer.status == 404
        final |= message.doubts >= (_OPENING_TRIES if nothing_there else _PERHAPS_TRIES)
        return False, final, why

    def _later(self, message: Outgoing, answer: Answer | AnodeError, why: str, now: float) -> Outgoing:
        first = self._first_retry
        if isinstance(answer, Answer) and answer.status == 409:
            first = min(first, _CONFLICT_RETRY)
        pause = min(self._longest_retry, first * 2.0 ** min(message.attempts - 1, 40))
        pause *= self._jitter.uniform(0.75, 1.25)
        pause = max(pause, _retry_after(answer, now))
        next_try = min(now + pause, max(message.deadline, now + first))
        return replace(message, next_try=next_try, problem=why[:2000])


def _peer_pid(process: Process, answer: Answer | AnodeError) -> str | None:
    """The peer's pid, which the answer to an initial message tells; else its next message will."""
    if process.peer_pid is not None or not isinstance(answer, Answer):
        return process.peer_pid
    try:
        body: Any = documents.message(documents.loads(answer.body))
    except RemoteProtocolError:
        return None
    name = "providerPid" if process.consumer_pid == process.pid else "consumerPid"
    pid = body.get(name) if isinstance(body, dict) else None
    return pid if isinstance(pid, str) and 0 < len(pid) <= 512 else None


def _retry_after(answer: Answer | AnodeError, now: float) -> float:
    """Seconds the peer asks us to wait, told as such or as a date (RFC 9110, 10.2.3)."""
    if isinstance(answer, Unavailable):
        return answer.retry_after or 0.0
    text = answer.headers.get("retry-after", "") if isinstance(answer, Answer) else ""
    if text.isascii() and text.isdigit() and len(text) < 8:
        return min(float(text), _LONGEST_ASKED)
    try:
        asked = parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return 0.0
    return min(max(asked, 0.0), _LONGEST_ASKED)
