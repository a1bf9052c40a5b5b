"""Where time comes from: one object per node, so that a test can own it."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Handle(Protocol):
    """A scheduled call that can be taken back."""

    def cancel(self) -> None:
        """Take it back."""


class Clock:
    """The system's time and the running loop's timers."""

    def now(self) -> float:
        """Epoch seconds."""
        return time.time()

    def call_at(self, when: float, call: Callable[[], None]) -> Handle:
        """Call at that time, or soon if it is past."""
        return asyncio.get_running_loop().call_later(max(0.0, when - self.now()), call)


def iso(epoch: float) -> str:
    """An instant as xsd:dateTime in UTC, seconds precise."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
