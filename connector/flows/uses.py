"""What a use of data is, and how uses are counted, for agreements whose policies depend on it.

A use is one request that is answered with data, counted on disk before the first byte. The policy decides in
the very transaction that counts, so that of two requests at once only one can be the last. A HEAD is no use.
Nor is going on with a download that broke off: a range request of the same transfer, for the same version
(`If-Range`), from a later byte than the one before began with, while that one did not come to its end. Which
ones broke off is kept in memory only: after a restart going on counts anew.
"""

from typing import NamedTuple

from connector.errors import Unavailable
from connector.odrl.compile import Compiled
from connector.odrl.decision import Decision
from connector.odrl.facts import Facts
from connector.odrl.projection import Projection
from connector.store import uses as rows
from connector.store.database import Database, Transaction
from connector.store.uses import Uses

_COUNTED = frozenset({"uses", "last_use"})


class Asked(NamedTuple):
    """What a request says that matters for its decision.

    `reads` is false for HEAD. `version` and `first` are those of a range request that is to go on.
    """

    purpose: str | None = None
    reads: bool = True
    version: str | None = None
    first: int = 0


class Use(NamedTuple):
    """A use that is asked for. `before` is what had been counted when it began; `goes_on` the version."""

    before: Uses
    goes_on: str | None = None


class _Broken(NamedTuple):
    version: str
    first: int
    before: Uses


def counted(policy: Compiled) -> bool:
    """Whether decisions depend on earlier uses."""
    return not _COUNTED.isdisjoint(policy.needs)


class Counter:
    """The uses of one node's agreements."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._broken: dict[str, _Broken] = {}

    def begin(self, transfer: str, agreement: str, participant: str, asked: Asked) -> Use:
        """What a request would be: a new use, or the rest of one. Only one request can go on."""
        broken = self._broken.get(transfer)
        if broken and asked.reads and asked.version == broken.version and asked.first > broken.first:
            del self._broken[transfer]
            return Use(broken.before, broken.version)
        return Use(rows.of(self._db.read, agreement, participant))

    async def count(
        self, policy: Compiled, agreement: str, facts: Facts, view: Projection | None
    ) -> tuple[Decision, Uses]:
        """Decide with the uses as they are, and count one if it is a yes; the uses before.

        :raises Unavailable: it can't be written, or what is to be served changed meanwhile.
        """

        def step(tx: Transaction) -> tuple[Decision, Uses]:
            before = rows.of(tx, agreement, facts.participant)
            decision = policy.decide(facts._replace(uses=before.number, last_use=before.last))
            if decision.permitted:
                if decision.view != view:
                    raise Unavailable("Another request was first; ask again.", retry_after=1)
                rows.count(tx, agreement, facts.participant, facts.now)
            return decision, before

        return await self._db.write(step)

    def now(self, agreement: str, participant: str) -> Uses:
        """The uses so far."""
        return rows.of(self._db.read, agreement, participant)

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
