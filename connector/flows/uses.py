"""What a use of data is, and how uses are counted, for agreements whose policies depend on it.

A use is one request that is answered with data, counted on disk before the first byte. The policy decides
by the uses granted so far, in the very moment that counts one more, so that of two requests at once only one
can be the last. What is not served after all is taken back. A HEAD is no use. Nor is going on with a download
that broke off: a range request of the same transfer, for the same version (`If-Range`), from a later byte
than the one before began with, while that one did not come to its end. Which ones broke off is kept in memory
only: after a restart going on counts anew.

Where the policy allows a hundred times as many uses more, `AHEAD` of them are counted on disk at once, which
makes a use cheap. A node that stops puts the true number there; after a crash those count as used, at most a
hundredth of what was left. Where few are left, or the time of the last use matters, each is written.
"""

import logging
from typing import NamedTuple

from connector.errors import Unavailable
from connector.odrl.compile import Compiled
from connector.odrl.decision import Decision
from connector.odrl.facts import Facts
from connector.store import uses as rows
from connector.store.database import Database, Transaction
from connector.store.uses import Uses

_log = logging.getLogger(__name__)

AHEAD = 1024
_FAR = 100 * AHEAD
_KEPT = 100_000
_COUNTED = frozenset({"uses", "last_use"})
Key = tuple[str, str]
"""An agreement, and the participant it is with."""


class Asked(NamedTuple):
    """What a request says that matters for its decision.

    `reads` is false for HEAD. `version` and `first` are those of a range request that is to go on.
    """

    purpose: str | None = None
    reads: bool = True
    version: str | None = None
    first: int = 0


class Use(NamedTuple):
    """A use that is asked for. `before` is what had been counted when it began.

    `goes_on` is the version of which it asks for the rest, `first` where the part before began.
    """

    before: Uses
    goes_on: str | None = None
    first: int = 0


class _Broken(NamedTuple):
    version: str
    first: int
    before: Uses


class _Tally:
    """The uses of an agreement: those granted, and how many are counted on disk."""

    __slots__ = ("kept", "uses")

    def __init__(self, uses: Uses) -> None:
        self.uses, self.kept = uses, uses.number


def counted(policy: Compiled) -> bool:
    """Whether decisions depend on earlier uses."""
    return not _COUNTED.isdisjoint(policy.needs)


class Counter:
    """The uses of one node's agreements. Nothing else changes them while it lives."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._tallies: dict[Key, _Tally] = {}
        self._broken: dict[str, _Broken] = {}

    def begin(self, transfer: str, key: Key, asked: Asked) -> Use:
        """What a request would be: a new use, or the rest of one. Only one request can go on."""
        broken = self._broken.get(transfer)
        if broken and asked.reads and asked.version == broken.version and asked.first > broken.first:
            del self._broken[transfer]
            return Use(broken.before, broken.version, broken.first)
        return Use(self._tally(key).uses)

    async def count(
        self, policy: Compiled, key: Key, facts: Facts, decision: Decision
    ) -> tuple[Decision, Uses]:
        """Count one if it is still a yes with the uses as they are now; the decision, and the uses before.

        `decision` is what was decided from `facts`.

        :raises Unavailable: it can't be written, or what is to be served changed meanwhile.
        """
        tally = self._tally(key)
        before = tally.uses
        if (before.number, before.last) != (facts.uses, facts.last_use):
            view = decision.view
            decision = policy.decide(facts._replace(uses=before.number, last_use=before.last))
            if not decision.permitted:
                return decision, before
            if decision.view != view:
                raise Unavailable("Another request was first; ask again.", retry_after=1)
        tally.uses = before.one_more(facts.now)
        left = tally.kept - tally.uses.number
        if left < 0 or left == AHEAD // 2:  # half way one request writes for those that come
            try:
                await self._keep(key, tally, policy, facts)
            except BaseException:
                self.take_back(key, before)
                raise
        return decision, before

    async def _keep(self, key: Key, tally: _Tally, policy: Compiled, facts: Facts) -> None:
        uses = tally.uses
        far = policy.decide(facts._replace(uses=uses.number + _FAR))
        ahead = AHEAD if far.permitted and "last_use" not in policy.needs else 0
        uses = Uses(uses.number + ahead, uses.first, uses.last)

        def step(tx: Transaction) -> None:
            rows.keep(tx, *key, uses)

        await self._db.write(step)
        tally.kept = max(tally.kept, uses.number)

    def take_back(self, key: Key, before: Uses) -> None:
        """A use that was counted is not served. `before` is what `count` gave."""
        tally = self._tally(key)
        tally.uses = before if tally.uses.number == before.number + 1 else tally.uses.one_less()

    def put_back(self, transfer: str, use: Use) -> None:
        """The rest of a download was asked for and not served: it may be asked for again."""
        if use.goes_on is not None:
            self._broken.setdefault(transfer, _Broken(use.goes_on, use.first, use.before))

    def _tally(self, key: Key) -> _Tally:
        found = self._tallies.get(key)
        if found is None:
            if len(self._tallies) >= _KEPT:  # as after a crash, but never one that waits for the disk
                self._tallies = {k: t for k, t in self._tallies.items() if t.uses.number > t.kept}
            found = self._tallies[key] = _Tally(rows.of(self._db.read, *key))
        return found

    def many_left(self, key: Key) -> bool:
        """Whether more uses are there for certain, as some are counted ahead."""
        tally = self._tally(key)
        return tally.uses.number < tally.kept

    def now(self, key: Key) -> Uses:
        """The uses so far, without those that still wait for the disk."""
        tally = self._tally(key)
        uses = tally.uses
        return uses if uses.number <= tally.kept else Uses(tally.kept, uses.first, uses.last)

    async def close(self) -> None:
        """Put the true numbers where more are counted on disk."""
        true = {key: t.uses for key, t in self._tallies.items() if t.uses.number < t.kept}
        self._tallies.clear()

        def step(tx: Transaction) -> None:
            for key, uses in true.items():
                rows.settle(tx, *key, uses)

        if true:
            try:
                await self._db.write(step)
            except Unavailable as error:
                _log.warning("of %d agreements up to %d uses more will count: %s", len(true), AHEAD, error)

    def ended(self, transfer: str, use: Use, version: str | None, first: int, whole: bool) -> None:
        """The answer has been sent, or broke off: the rest of that version may be asked for."""
        if whole or version is None or not version.startswith('"'):
            self._broken.pop(transfer, None)
        else:
            self._broken[transfer] = _Broken(version, first, use.before)

    def may_go_on(self, transfer: str) -> bool:
        """Whether the rest of a download may still be asked for."""
        return transfer in self._broken

    def forget(self, transfer: str) -> None:
        """The transfer has ended."""
        self._broken.pop(transfer, None)
