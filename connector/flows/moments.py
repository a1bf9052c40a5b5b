"""Moments: what has to happen at a time of its own, and one timer for all of it.

Each row that has such a moment carries it, indexed, as `next_moment`; the earliest of them is all that a
node waits for. So there is nothing to read in at a start, however many agreements there are, and what came
due while the node was down is simply the earliest. Whoever writes a row calls `look` after the commit.
"""

import logging
from collections.abc import Sequence
from typing import Protocol

from connector.flows.clock import Clock, Handle
from connector.flows.tasks import Tasks

_log = logging.getLogger(__name__)

_AFTER_TROUBLE = 5.0
"""Seconds until what failed (a store that can't be written) is tried again."""


class Source(Protocol):
    """Rows with moments."""

    def first(self) -> float | None:
        """The earliest moment (epoch seconds)."""

    async def act(self, now: float) -> None:
        """Do what is due, at least some of it, and set the next moment of each row that was. No waiting for
        peers: others' moments come."""


class Moments:
    """Acts on the rows of `sources` when their moments come, in that order."""

    def __init__(self, clock: Clock, tasks: Tasks, sources: Sequence[Source]) -> None:
        self._clock, self._tasks, self._sources = clock, tasks, sources
        self._timer: Handle | None = None
        self._awaited: float | None = None
        self._acting = False
        self._open = True

    def look(self) -> None:
        """The earliest moment may be another now."""
        if self._open and not self._acting:
            self._await(self._first())

    def close(self) -> None:
        """Stop; what comes due meanwhile is done after the next start."""
        self._open = False
        self._await(None)

    def _first(self) -> float | None:
        return min((at for source in self._sources if (at := source.first()) is not None), default=None)

    def _await(self, when: float | None) -> None:
        if when == self._awaited:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._awaited = None, when
        if when is not None and when <= self._clock.now():
            self._ring()
        elif when is not None:
            self._timer = self._clock.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = self._awaited = None
        self._acting = True
        self._tasks.run(self._act())

    async def _act(self) -> None:
        following: float | None = self._clock.now() + _AFTER_TROUBLE
        try:
            while self._open:
                now, following = self._clock.now(), self._first()
                if following is None or following > now:
                    break
                following = now + _AFTER_TROUBLE
                for source in self._sources:
                    await source.act(now)
        except Exception:  # whatever it is, what is due later must not be forgotten
            _log.exception("what was due could not be done; it is tried again in %g s", _AFTER_TROUBLE)
        finally:
            self._acting = False
        if self._open:
            self._await(following)
