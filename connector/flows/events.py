"""What happens in processes, told live to whoever in this program listens. The history is in the store."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from connector.dsp.process import Process
from connector.store import processes as rows
from connector.store.database import Transaction
from connector.store.processes import Agreement, Step

_BACKLOG = 1000
"""Events a slow listener may lag behind before it is cut off (it can read the history instead)."""


@dataclass(frozen=True, slots=True)
class Event:
    """A step of a process, and the process after it."""

    process: Process
    step: Step


def remark(tx: Transaction, agreement: Agreement, now: float, kind: str, note: str) -> Event | None:
    """Keep what happened to an agreement in the history of its negotiation, if that is known."""
    process = rows.process(tx, agreement.negotiation)
    if process is None:
        return None
    step = Step(now, "own", kind, process.state, note)
    rows.remember(tx, process.pid, [step])
    return Event(process, step)


class Events:
    """Publish and subscribe, in memory."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Queue[Event | None], str | None] = {}

    def tell(self, remarks: Iterable["Event | None"]) -> None:
        """Tell what `remark` has kept, once that is committed."""
        for one in remarks:
            if one is not None:
                self.publish(one.process, [one.step])

    def publish(self, process: Process, steps: list[Step]) -> None:
        """Tell all who listen to this process, or to all processes."""
        for queue, pid in list(self._listeners.items()):
            if pid is not None and pid != process.pid:
                continue
            for step in steps:
                if queue.qsize() >= _BACKLOG:
                    self._listeners.pop(queue, None)
                    queue.put_nowait(None)
                    break
                queue.put_nowait(Event(process, step))

    @asynccontextmanager
    async def listen(self, pid: str | None = None) -> AsyncIterator[AsyncIterator[Event]]:
        """Events of one process (or all) from now on; ends if the listener is too slow or the node stops."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._listeners[queue] = pid

        async def events() -> AsyncIterator[Event]:
            while (event := await queue.get()) is not None:
                yield event

        try:
            yield events()
        finally:
            self._listeners.pop(queue, None)

    def close(self) -> None:
        """End all listeners."""
        for queue in self._listeners:
            queue.put_nowait(None)
        self._listeners.clear()
