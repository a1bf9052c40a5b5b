"""What the data space asks of everybody, held by this participant: asked for at start, and again in time.

A credential is asked for anew when the last tenth of its life begins. That is one moment on the node's clock,
set at start and after each credential that comes. Its issuer decides, so there is nothing to do meanwhile.
"""

import logging
import math
from collections.abc import Callable

from connector.config import Delivery
from connector.errors import AnodeError, Unavailable
from connector.flows.clock import Clock, Handle, pause
from connector.flows.tasks import Tasks
from connector.flows.wallet import Wallet
from connector.store.wallet import Held

_log = logging.getLogger(__name__)

LAST = 0.1
"""The part of a credential's life in which it is asked for again."""


def renewal(one: Held) -> float:
    """When a credential is to be asked for again (epoch seconds); infinite if it has no end.

    Its life counts from when it came: an issuer whose credentials begin long ago is not asked without end.
    """
    return math.inf if one.until is None else one.until - LAST * (one.until - one.received)


class Membership:
    """Keeps what everybody needs in `wallet`: `required` types, of the data space's `authority` (a DID)."""

    def __init__(
        self,
        wallet: Wallet,
        authority: str | None,
        required: Callable[[], frozenset[str]],
        clock: Clock,
        tasks: Tasks,
        delivery: Delivery,
    ) -> None:
        self._wallet, self._required = wallet, required
        self.authority = authority
        self._clock, self._tasks, self._delivery = clock, tasks, delivery
        self._timer: Handle | None = None
        self._asking = False

    def look(self) -> None:
        """Ask for what is missing or about to end, and note when to look again."""
        self.close()
        if self.authority is None:
            return
        moments = self._moments()
        now = self._clock.now()
        if any(when <= now for when in moments.values()):
            if not self._asking:
                self._asking = True
                self._tasks.run(self._ask(self.authority))
        elif (first := min(moments.values(), default=math.inf)) < math.inf:
            self._timer = self._clock.call_at(first, self.look)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def due(self) -> frozenset[str]:
        """Types that are missing, or about to end."""
        now = self._clock.now()
        return frozenset(type_ for type_, when in self._moments().items() if when <= now)

    def _moments(self) -> dict[str, float]:
        """When each required type is to be asked for: what is missing at once."""
        found = dict.fromkeys(self._required(), -math.inf)
        for one in self._wallet.held():
            if one.type in found:
                found[one.type] = max(found[one.type], renewal(one))
        return found

    async def _ask(self, authority: str) -> None:
        """Ask the authority until it answers. What it answers comes in its own time."""
        wait = self._delivery.first_retry
        try:
            while types := self.due():
                try:
                    await self._wallet.ask_once(authority, types)
                except Unavailable:
                    await pause(self._clock, wait)
                    wait = min(self._delivery.longest_retry, 2 * wait)
                except AnodeError as wrong:
                    _log.warning("%s gives this participant no credentials: %s", authority, wrong)
                    return
                else:
                    return
        finally:
            self._asking = False
