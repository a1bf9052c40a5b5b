"""The data plane: which token opens what, decided for each request, and ended the moment it must end.

The first use of a token goes through the store: token, transfer, agreement, dataset, compiled policy. The
result, a `Grant`, stays in memory until the transfer leaves STARTED, so that a later request costs a
dictionary look-up, the policy and a line in the audit log. Whatever ends access removes the grant first
and then cuts the connections that are still sending. When time ends it, `flows/agreements.py` knows.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from connector.dsp.terms import Role
from connector.errors import Denied, Unavailable, Untrusted
from connector.flows.audit import Audit
from connector.flows.claims import Presentations
from connector.flows.clock import Clock, Handle
from connector.flows.duties import Duties
from connector.flows.tasks import Tasks
from connector.flows.transfer import Policies
from connector.odrl.compile import Compiled, Decision
from connector.odrl.operands import Facts
from connector.store import access
from connector.store import processes as rows
from connector.store.access import digest_of
from connector.store.database import Database, Transaction

_GRANTS_KEPT = 100_000


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
    line: bytes
    """What every line of the audit log about it has in common."""


class DataPlane:
    """Grants access to data."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        audit: Audit,
        policies: Policies,
        end: Callable[[str, str], None],
        tasks: Tasks,
        duties: Duties,
        presentations: Presentations | None = None,
    ) -> None:
        self._db, self._clock, self._audit, self._policies = db, clock, audit, policies
        self._duties = duties
        self._tasks, self._presentations = tasks, presentations
        self._end = end
        """Terminates a transfer (pid, reason) whose policy does not allow it any more."""
        self._grants: dict[str, Grant] = {}
        self._by_transfer: dict[str, set[str]] = {}
        self._running: dict[str, set[Callable[[], None]]] = {}
        self._looks: dict[str, Handle] = {}
        """Transfers with bytes flowing, and the next look at what their consumers have proved."""

    async def open(self, authorization: str | None, about: dict[str, Any]) -> Grant:
        """Decide about a request for data, and write the decision down.

        `authorization` is the header, with or without `Bearer`; `about` goes into the audit log.

        :raises Untrusted: no token, an unknown or an expired one (HTTP 401).
        :raises Denied: the agreement's policy says no now (HTTP 403).
        :raises Unavailable: the audit log can't be written.
        """
        token = _token(authorization)
        now = self._clock.now()
        grant = self._grants.get(token) or await self._first_use(token, now)
        if now >= grant.expires:
            raise Untrusted(
                "This token has expired; refresh it, or ask for the transfer's data address again."
            )
        try:
            decision = await self._decide(grant, now)
        except Denied as denied:
            self._audit.write(grant.line, {"permitted": False, "reasons": list(denied.reasons), **about})
            self._stop(grant, str(denied))
            raise
        if not decision.permitted:
            reasons = [r.sentence(redacted=False) for r in decision.reasons]
            self._audit.write(grant.line, {"permitted": False, "reasons": reasons, **about})
            public = [r.sentence(redacted=True) for r in decision.reasons]
            if grant.policy.credentials:  # time alone ends transfers at its moments; a revocation has none
                self._stop(grant, " ".join(public))
            raise Denied(*public)
        await self._duties.used(Role.PROVIDER, grant.agreement, grant.participant)
        self._audit.write(grant.line, {"permitted": True, **about})
        return grant

    async def _decide(self, grant: Grant, now: float) -> Decision:
        """The policy's word on what is known now. Raises Denied: a credential that all need is gone."""
        performed = self._duties.of(Role.PROVIDER, grant.agreement, grant.participant)
        facts = Facts(now, grant.participant, grant.agreed, duties=performed)
        if self._proofs_matter(grant):
            assert self._presentations is not None  # noqa: S101  # just asked
            claims = await self._presentations.current(grant.participant, grant.policy.credentials)
            facts = facts._replace(claims=claims)
        return grant.policy.decide(facts)

    def _proofs_matter(self, grant: Grant) -> bool:
        presentations = self._presentations
        return presentations is not None and (bool(grant.policy.credentials) or presentations.demanding)

    def _stop(self, grant: Grant, reason: str) -> None:
        self._sever(grant.transfer)
        self._end(grant.transfer, reason)

    async def _first_use(self, token: str, now: float) -> Grant:
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
            self._forget(found.transfer)
            if access.token(self._db.read, digest) is None:
                raise Untrusted("This token was made void a moment ago.")
        if len(self._grants) >= _GRANTS_KEPT:
            self._forget(next(iter(self._by_transfer)))
        self._grants[token] = grant
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
            line,
        )

    async def refresh(
        self,
        participant: str,
        refresh_token: str,
        issue: Callable[[Transaction, str, float], tuple[str, str]],
    ) -> tuple[str, str]:
        """New tokens for the transfer that this participant's refresh token belongs to.

        `issue` makes them (transaction, transfer, now). All in one transaction: whatever stops the transfer
        makes its tokens void in a transaction too, so there is no moment for one token too many.

        :raises Untrusted: the refresh token is not (or no longer) good, or is another participant's.
        """

        def step(tx: Transaction) -> tuple[str, tuple[str, str]]:
            now = self._clock.now()
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
        self._forget(transfer)
        return tokens

    def cut(self, transfer: str) -> None:
        """End access at once: forget the tokens, cut what is being sent."""
        self._sever(transfer)
        self._forget(transfer)

    @contextmanager
    def running(self, grant: Grant, stop: Callable[[], None]) -> Iterator[None]:
        """While a response is being sent: `stop` cuts it when access ends."""
        stops = self._running.setdefault(grant.transfer, set())
        stops.add(stop)
        if grant.transfer not in self._looks:
            self._look_again(grant)
        try:
            yield
        finally:
            stops.discard(stop)
            if not stops:
                self._running.pop(grant.transfer, None)
                if (handle := self._looks.pop(grant.transfer, None)) is not None:
                    handle.cancel()

    def _look_again(self, grant: Grant) -> None:
        """While bytes flow, what was proved is looked at again when a status list, or a credential, ends."""
        if not self._proofs_matter(grant):
            return
        assert self._presentations is not None  # noqa: S101  # just asked
        when = self._presentations.good_until(grant.participant)
        self._looks[grant.transfer] = self._clock.call_at(when, lambda: self._tasks.run(self._look(grant)))

    async def _look(self, grant: Grant) -> None:
        if self._looks.pop(grant.transfer, None) is None:
            return
        try:
            decision = await self._decide(grant, self._clock.now())
        except Denied as denied:
            self._stop(grant, str(denied))
        except Unavailable:  # a list can't be had: nothing flows on doubt, but the transfer may go on later
            self._sever(grant.transfer)
        else:
            if not decision.permitted:
                self._stop(grant, " ".join(r.sentence(redacted=True) for r in decision.reasons))
            elif grant.transfer in self._running:
                self._look_again(grant)

    def _sever(self, transfer: str) -> None:
        for stop in list(self._running.get(transfer, ())):
            stop()

    def _forget(self, transfer: str) -> None:
        for token in self._by_transfer.pop(transfer, ()):
            self._grants.pop(token, None)


def _token(authorization: str | None) -> str:
    if not authorization:
        raise Untrusted("Send the transfer's token in the Authorization header.")
    token = authorization.removeprefix("Bearer ").strip()
    if len(token) > 4096 or not token.isascii():
        raise Untrusted("This is not a token of this node.")
    return token
