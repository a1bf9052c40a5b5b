"""Negotiations that wait for the operator, and the moment at which each of them has waited long enough."""

from connector.dsp.process import Process
from connector.dsp.terms import Subject
from connector.errors import AnodeError
from connector.flows.clock import Handle
from connector.flows.exchange import Exchange
from connector.flows.negotiate import awaits_review
from connector.flows.tasks import Tasks
from connector.store import processes as rows


class Reviews:
    """Ends what nobody decides. The decision itself is `flows/judge.py`'s, which knows the deadline."""

    def __init__(self, exchange: Exchange, tasks: Tasks) -> None:
        self._exchange, self._tasks = exchange, tasks
        self._timers: dict[str, Handle] = {}

    def start(self) -> None:
        """Watch what was waiting when this node stopped."""
        for process in rows.awaiting_review(self._exchange.db.read):
            self.watch(process)

    def watch(self, process: Process) -> None:
        """Note by when a process must be decided, or that it is."""
        if not awaits_review(process):
            if (handle := self._timers.pop(process.pid, None)) is not None:
                handle.cancel()
        elif process.pid not in self._timers:
            until, pid = process.details["review_until"], process.pid
            clock = self._exchange.clock
            self._timers[pid] = clock.call_at(until, lambda: self._tasks.run(self._overdue(pid)))

    async def _overdue(self, pid: str) -> None:
        self._timers.pop(pid, None)
        try:
            await self._exchange.reconsider(Subject.NEGOTIATION, pid)
        except AnodeError:
            return  # it was decided, or the node is stopping
