"""Which token opens what.

The first use of a token goes through the store: token, transfer, agreement, dataset, compiled policy. The
result, a `Grant`, stays in memory until the transfer leaves STARTED.
"""

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from connector.dsp.terms import Role
from connector.errors import Untrusted
from connector.flows.duties import Key
from connector.flows.transfer import Policies
from connector.flows.uses import Counting, counting
from connector.odrl.compile import Compiled
from connector.store import access
from connector.store import processes as rows
from connector.store.access import digest_of
from connector.store.database import Database, Transaction

_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token opens, while it does."""

    transfer: str
    agreement: str
    participant: str
    dataset: str
    policy: Compiled
    agreed: float
    expires: float
    """When the token itself ends."""
    counting: Counting | None
    """Of a policy that depends on earlier uses: how."""
    line: bytes
    """What every line of the audit log about it has in common."""
    pair: tuple[str, str]
    key: Key
    """The agreement, as uses and as duties are kept."""


class Grants:
    """The grants of one node."""

    def __init__(self, db: Database, policies: Policies) -> None:
        self._db, self._policies = db, policies
        self.known: dict[str, Grant] = {}
        """By token, those that were used."""
        self._by_transfer: dict[str, set[str]] = {}

    async def first_use(self, token: str, now: float) -> Grant:
        """What a token opens that is not `known`; older ones of its transfer open nothing from now on.

        :raises Untrusted: it opens nothing.
        """
        if not token:
            raise Untrusted("Send the transfer's token in the Authorization header.")
        if len(token) > 4096 or not token.isascii():
            raise Untrusted("This is not a token of this node.")
        digest = digest_of(token)
        found = access.right(self._db.read, digest)
        if found is None:
            raise Untrusted(
                "This token opens nothing (any more). Suspending, completing or ending a transfer makes its "
                "tokens void, and so does the first use of a newer one."
            )
        grant = self._grant(found)
        if now < found.expires and found.ends_older:
            await self._db.write(lambda tx: access.retire_older(tx, found.transfer, found.pair))
            if (known := self.known.get(token)) is not None:  # another request with it was first
                return known
            self.forget(found.transfer)
            if access.token(self._db.read, digest) is None:
                raise Untrusted("This token was made void a moment ago.")
        if len(self.known) >= _KEPT:
            self.forget(next(iter(self._by_transfer)))
        self.known[token] = grant
        self._by_transfer.setdefault(found.transfer, set()).add(token)
        return grant

    def _grant(self, right: access.Right) -> Grant:
        policy = self._policies.known(right.rules)
        if policy is None:
            agreement = rows.agreement(self._db.read, Role.PROVIDER, right.agreement, right.participant)
            assert agreement is not None  # noqa: S101  # what `right` was read from just now
            policy = self._policies.of(agreement)
        about = {
            "participant": right.participant,
            "dataset": right.dataset,
            "agreement": right.agreement,
            "transfer": right.transfer,
            "agreed": right.agreed,
        }
        line = orjson.dumps(about)[1:-1]
        return Grant(
            right.transfer,
            right.agreement,
            right.participant,
            right.dataset,
            policy,
            right.agreed,
            right.expires,
            counting(policy),
            line,
            (right.agreement, right.participant),
            (Role.PROVIDER, right.agreement, right.participant),
        )

    async def refresh(
        self,
        participant: str,
        refresh_token: str,
        now: float,
        issue: Callable[[Transaction, str, float], tuple[str, str]],
    ) -> tuple[str, str]:
        """New tokens for the transfer that this participant's refresh token belongs to.

        `issue` makes them (transaction, transfer, now). All in one transaction: whatever stops the transfer
        makes its tokens void in a transaction too, so there is no moment for one token too many.

        :raises Untrusted: the refresh token is not (or no longer) good, or is another participant's.
        """

        def step(tx: Transaction) -> tuple[str, tuple[str, str]]:
            found = access.token(tx, digest_of(refresh_token))
            process = None if found is None else rows.process(tx, found.transfer)
            if (
                found is None
                or not found.refreshes
                or found.expires <= now
                or process is None
                or process.participant != participant
            ):
                raise Untrusted("This refresh token is not valid (any more) for you. Start a new transfer.")
            access.retire_older(tx, found.transfer, found.pair)
            return found.transfer, issue(tx, found.transfer, now)

        transfer, tokens = await self._db.write(step)
        self.forget(transfer)
        return tokens

    def holds(self, transfer: str) -> bool:
        """Whether a token of the transfer is known."""
        return transfer in self._by_transfer

    def forget(self, transfer: str) -> None:
        """Its tokens are looked up anew."""
        for token in self._by_transfer.pop(transfer, ()):
            self.known.pop(token, None)
