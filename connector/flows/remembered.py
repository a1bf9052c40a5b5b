"""What was fetched from others and is kept for a while: status lists, schemas.

Each thing is fetched once however many ask at the same time, and a failure is kept too, for seconds, so that
nobody can make a node hammer an address.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from connector.errors import AnodeError, Unavailable

T = TypeVar("T")
_MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    """A thing, or why there is none, until `ends`."""

    found: T | AnodeError
    ends: float
    size: int


class Remembered(Generic[T]):
    """A bounded memory of what was fetched; the oldest goes first.

    `size` tells the bytes of a thing, `until` when it ends by its own word (epoch seconds); `lifetime` and
    `failure_lifetime`: seconds that it, or a failure to get it, is kept at most; `capacity`: how many;
    `fetches`: how many may be fetched at one time.
    """

    def __init__(
        self,
        now: Callable[[], float],
        size: Callable[[T], int],
        *,
        lifetime: float,
        failure_lifetime: float,
        capacity: int,
        fetches: int,
        until: Callable[[T], float] = lambda _: math.inf,
    ) -> None:
        self._now = now
        self._size = size
        self._until = until
        self._lifetime = lifetime
        self._failure_lifetime = failure_lifetime
        self._capacity = capacity
        self._fetches = fetches
        self._kept: dict[Hashable, _Kept[T]] = {}
        self._bytes = 0
        self._under_way: dict[Hashable, asyncio.Task[_Kept[T]]] = {}

    async def get(self, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> tuple[T, float]:
        """The thing under `key`, and until when it is kept; `fetch` gets it, if it must be.

        Raises what that raised, for a while.
        """
        kept = self._kept.get(key)
        if kept is None or self._now() >= kept.ends:
            kept = await self._outcome(key, fetch)
        if isinstance(kept.found, AnodeError):
            raise type(kept.found)(*kept.found.reasons)
        return kept.found, kept.ends

    async def _outcome(self, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> _Kept[T]:
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= self._fetches:
                busy = Unavailable("this node is fetching too much at the moment", retry_after=1)
                return _Kept(busy, self._now(), 0)
            task = self._under_way[key] = asyncio.create_task(self._fetched(key, fetch))
        return await asyncio.shield(task)

    async def _fetched(self, key: Hashable, fetch: Callable[[], Awaitable[T]]) -> _Kept[T]:
        try:
            found = await fetch()
            ends = min(self._now() + self._lifetime, self._until(found))
            kept = _Kept(found, ends, self._size(found))
        except AnodeError as wrong:
            kept = _Kept(wrong, self._now() + self._failure_lifetime, 0)
        finally:
            del self._under_way[key]
        self._forget(key)
        self._kept[key] = kept
        self._bytes += kept.size
        while len(self._kept) > self._capacity or self._bytes > _MAX_BYTES:
            self._forget(next(iter(self._kept)))
        return kept

    def _forget(self, key: Hashable) -> None:
        if key in self._kept:
            self._bytes -= self._kept.pop(key).size
