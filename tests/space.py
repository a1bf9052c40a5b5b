"""A small data space of whole nodes: an authority that issues credentials, and members that need them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from connector.flows.clock import Clock, Handle
from connector.node import Parts
from tests.nodes import Running, running

START = 1_800_000_000.0
"""Where the clock that stands still stands: 15 January 2027 08:00 UTC."""
MEMBER, RECYCLER = "MembershipCredential", "RecyclerCredential"
ISSUED = {MEMBER: {"to": "everyone", "claims": {"memberOf": "Batteries"}}, RECYCLER: {"lasts": "30 days"}}


class Shifted(Clock):
    """The system's clock, set forward by a test."""

    ahead = 0.0

    def __init__(self) -> None:
        self._timers: list[tuple[float, Handle, Callable[[], None]]] = []

    def now(self) -> float:
        return super().now() + self.ahead

    def call_at(self, when: float, call: Callable[[], None]) -> Handle:
        handle = super().call_at(when, call)
        self._timers.append((when, handle, call))
        return handle

    def advance(self, seconds: float) -> None:
        """Set it forward, and do at once what is due by then."""
        self.ahead += seconds
        due = [timer for timer in self._timers if timer[0] <= self.now()]
        self._timers = [timer for timer in self._timers if timer not in due]
        for _, handle, call in due:
            assert isinstance(handle, asyncio.TimerHandle)
            if not handle.cancelled():
                handle.cancel()
                call()


async def settled(*nodes: Running) -> None:
    """Wait until no node has work beside its requests."""
    while tasks := [task for one in nodes for task in one.node.tasks.running]:
        await asyncio.gather(*tasks)


class Still(Shifted):
    """Time that stands still until a test sets it forward."""

    def now(self) -> float:
        return START + self.ahead


class Space:
    """The authority's node and those of members, by name. They share a clock."""

    def __init__(self, folder: Path, stack: AsyncExitStack, clock: Shifted | None = None) -> None:
        self._folder, self._stack = folder, stack
        self.clock = clock or Shifted()
        self.nodes: dict[str, Running] = {}

    @property
    def authority(self) -> Running:
        return self.nodes["authority"]

    async def add(self, name: str, parts: dict[str, Any] | None = None, **files: Any) -> Running:
        """A node more, whose settings under `credentials` are these; it believes the authority."""
        given = {"profile": "strict", **files.pop("credentials", {})}
        if "authority" in self.nodes:
            given = {"authority": self.authority.did, "require": [MEMBER], **given}
        node = await self._stack.enter_async_context(
            running(
                self._folder / name,
                parts=Parts(clock=self.clock, **(parts or {})),
                credentials=given,
                **files,
            )
        )
        self.nodes[name] = node
        await settled(*self.nodes.values())
        return node

    async def give(self, to: Running, *types: str, **claims: Any) -> str:
        """Have the authority issue credentials; the id of the last."""
        issuer = self.authority.node.issuer
        assert issuer is not None
        await issuer.give(to.did, types, claims)
        await settled(self.authority)
        return issuer.issued(to.did)[0].id


@asynccontextmanager
async def space(
    folder: Path, issued: dict[str, Any] | None = None, clock: Shifted | None = None, **files: Any
) -> AsyncIterator[Space]:
    """A data space with its authority."""
    (folder / "issuer.yaml").write_text(yaml.safe_dump(issued or ISSUED))
    async with AsyncExitStack() as stack:
        made = Space(folder, stack, clock)
        await made.add("authority", credentials={"issue": str(folder / "issuer.yaml")}, **files)
        yield made
