"""What a use of data is, and how uses are counted, for agreements whose policies depend on it.

A use is one request that is answered, be it that nothing is new, and is counted on disk before. The policy
decides by the uses granted so far, in the very moment that counts one more, so that of two requests at once
only one can be the last. What is not served after all is taken back. A HEAD is no use. Nor is going on with a
download that broke off: a range request of the same transfer, for the same version (`If-Range`), from a later
byte than the one before began with, while that one did not come to its end. Which ones broke off is kept in
memory only: after a restart going on counts anew.

Far from a number that the policy names, some uses are counted on disk at once, which makes a use cheap: a
hundredth of the way to that number, `AHEAD` at most. A node that stops puts the true number there; after a
crash those count as used, and nothing turns by it. Near such a number, or where the time of the last use
matters, each is written.
"""

import logging
from typing import NamedTuple

from connector.errors import Unavailable
from connector.odrl.compile import Compiled
from connector.odrl.conditions import one
from connector.odrl.decision import Decision
from connector.odrl.facts import Facts
from connector.odrl.rules import walk
from connector.odrl.vocabulary import COUNT
from connector.store import uses as rows
from connector.store.database import Database, Transaction
from connector.store.uses import Uses

_log = logging.getLogger(__name__)

AHEAD = 4096
_SHARE = 100
_KEPT = 100_000
"""Agreements of which some uses are counted ahead, at most."""
_BROKEN = 10_000
Key = tuple[str, str]
"""An agreement, and the participant it is with."""


class Counting(NamedTuple):
    """How a policy depends on uses: the numbers at which it may turn, and whether on the last one's time."""

    policy: Compiled
    limits: tuple[int, ...]
    pauses: bool

    def ahead(self, number: int) -> int:
        """How many more may be counted before they are made: so few that nothing turns by them."""
        if self.pauses:
            return 0
        return min((AHEAD, *((limit - number) // _SHARE for limit in self.limits if limit >= number)))


def counting(policy: Compiled) -> Counting | None:
    """How a policy depends on uses, if it does."""
    if policy.needs.isdisjoint(("uses", "last_use")):
        return None
    counts = (n.constraint for r in policy.rules for n in walk(r) if n.operand == COUNT and n.constraint)
    limits = {int(one(constraint.right_operand)) for constraint in counts}
    return Counting(policy, tuple(sorted(limits)), "last_use" in policy.needs)


class Asked(NamedTuple):
    """What a request says that matters for its decision.

    `reads` is false for HEAD. `version` and `first` are those of a range request that is to go on.
    """

    purpose: str | None = None
    reads: bool = True
    version: str | None = None
    first: int = 0


class Use(NamedTuple):
    """A use that is asked for, or was counted. `before` is what had been counted, `after` what was then.

    `goes_on` is the version of which it asks for the rest, `first` where the part before began.
    """

    before: Uses
    goes_on: str | None = None
    first: int = 0
    after: Uses | None = None


class _Broken(NamedTuple):
    version: str
    first: int
    before: Uses


class _Tally:
    """The uses of an agreement: those granted, and how many are counted on disk. When `half` of what is ahead
    is left, one request writes for those to come."""

    __slots__ = ("half", "kept", "uses")

    def __init__(self, uses: Uses) -> None:
        self.uses, self.kept, self.half = uses, uses.number, -1


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
        self, counting: Counting, key: Key, facts: Facts, decision: Decision, use: Use
    ) -> tuple[Decision, Use]:
        """Count one if it is still a yes with the uses as they are now; the decision, and what was counted.

        `decision` is what was decided from `facts`.

        :raises Unavailable: it can't be written, or what is to be served changed meanwhile.
        """
        tally = self._tally(key)
        before = tally.uses
        if before is not use.before:
            view = decision.view
            decision = counting.policy.decide(facts._replace(uses=before.number, last_use=before.last))
            if not decision.permitted:
                return decision, Use(before)
            if decision.view != view:
                raise Unavailable("Another request was first; ask again.", retry_after=1)
        after = tally.uses = before.one_more(facts.now)
        use = Use(before, after=after)
        left = tally.kept - after.number
        if left < 0 or left == tally.half or counting.pauses:
            ahead = counting.ahead(after.number) if len(self._tallies) < _KEPT else 0
            tally.half = ahead // 2
            try:
                await self._keep(key, tally, Uses(after.number + ahead, after.first, after.last))
            except BaseException:
                self._take_back(key, use)
                raise
        return decision, use

    async def _keep(self, key: Key, tally: _Tally, uses: Uses) -> None:
        def step(tx: Transaction) -> None:
            rows.keep(tx, *key, uses)

        await self._db.write(step)
        tally.kept = max(tally.kept, uses.number)

    def undo(self, transfer: str, key: Key, use: Use) -> None:
        """A use is not served after all: what was counted is taken back, a rest may be asked for again."""
        if use.after is not None:
            self._take_back(key, use)
        elif use.goes_on is not None:
            self._break_off(transfer, _Broken(use.goes_on, use.first, use.before))

    def _take_back(self, key: Key, use: Use) -> None:
        tally = self._tally(key)
        tally.uses = use.before if tally.uses is use.after else tally.uses.one_less()

    def _tally(self, key: Key) -> _Tally:
        found = self._tallies.get(key)
        if found is None:
            if len(self._tallies) >= 2 * _KEPT:
                self._tallies = {k: t for k, t in self._tallies.items() if t.uses.number != t.kept}
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

    def number(self, tx: Transaction, key: Key) -> int:
        """How many uses there are, for the writer's thread."""
        tally = self._tallies.get(key)
        return rows.of(tx, *key).number if tally is None else tally.uses.number

    async def close(self) -> None:
        """Put the true numbers where more are counted on disk."""
        true = {key: tally.uses for key, tally in self._tallies.items() if tally.uses.number < tally.kept}

        def step(tx: Transaction) -> None:
            for key, uses in true.items():
                rows.settle(tx, *key, uses)

        if true:
            for key, uses in true.items():
                self._tallies[key].kept = uses.number  # what is used after this is written after it
            try:
                await self._db.write(step)
            except Unavailable as error:
                _log.warning("of %d agreements up to %d uses more will count: %s", len(true), AHEAD, error)

    def ended(self, transfer: str, use: Use, version: str | None, first: int, whole: bool) -> None:
        """The answer has been sent, or broke off: the rest of that version may be asked for."""
        if whole or version is None or not version.startswith('"'):
            self._broken.pop(transfer, None)
        else:
            self._break_off(transfer, _Broken(version, first, use.before))

    def _break_off(self, transfer: str, broken: _Broken) -> None:
        if len(self._broken) >= _BROKEN:  # the rest of the oldest will cost a use
            del self._broken[next(iter(self._broken))]
        self._broken[transfer] = broken

    def may_go_on(self, transfer: str) -> bool:
        """Whether the rest of a download may still be asked for."""
        return transfer in self._broken
