"""Where time comes from: one object per node, so that a test can own it."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from connector.vc.dates import iso

__all__ = ["Clock", "Handle", "iso"]


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


async def pause(clock: Clock, seconds: float) -> None:
    """Come back after so many seconds of this clock."""
    over = asyncio.Event()
    handle = clock.call_at(clock.now() + seconds, over.set)
    try:
        await over.wait()
    finally:
        handle.cancel()
