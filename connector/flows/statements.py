"""Signed statements about agreements: ours brought to the other side, the other side's taken.

`vc/statements.py` says what they are. One of ours is kept, by the transaction that it follows from, before it
is sent, and tried until the other side has it or the deadline of deliveries has passed. One of the other
side's changes nothing unless that side signed it, for us, about an agreement between us, for the first time.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import orjson

from connector.config import Delivery
from connector.errors import AnodeError, EgressDenied, LocalProtocolError, NotFound, RemoteProtocolError
from connector.flows.clock import Clock, iso
from connector.flows.events import Event, Events
from connector.flows.identify import Caller, SelfIssued
from connector.flows.peers import reasons
from connector.flows.tasks import Tasks
from connector.peers.client import Transport
from connector.peers.did_web import DidResolver
from connector.store import duties as rows
from connector.store import processes
from connector.store.database import Database, Transaction
from connector.store.processes import Agreement
from connector.vc import did as did_web
from connector.vc import jose, statements
from connector.vc.statements import Kind, Statement

MAX_BYTES = 16_384
"""Of the body of a request that brings a statement."""
_MOST = 200
"""Statements that are kept about an agreement: more of the other side's are refused."""
_AT_ONCE = 100
_TIMEOUT = 30.0
_LEASE = 120.0
"""Seconds after which an attempt that was never concluded (a crash) is made again."""
_NEVER = frozenset({400, 403, 404, 405, 410, 413, 422})
NOBODY = "the other side's connector takes no statements: tell it by other means"

Take = Callable[[Transaction, Agreement, Statement, float], list[Event | None]]
"""What a statement of the other side changes: run in the transaction that keeps it. Raises to refuse it."""


class Statements:
    """Statements of one node. `identity` is None where the node has no key of its own: then it makes none.

    A source of moments: when a statement is tried next.
    """

    def __init__(
        self,
        identity: SelfIssued | None,
        resolver: DidResolver,
        transport: Transport,
        db: Database,
        clock: Clock,
        events: Events,
        tasks: Tasks,
        new_id: Callable[[], str],
        delivery: Delivery,
    ) -> None:
        self._identity, self._resolver, self._transport = identity, resolver, transport
        self._db, self._clock, self._events, self._tasks = db, clock, events, tasks
        self._new_id, self._delivery = new_id, delivery
        self.take: Mapping[Kind, Take] = {}
        """Who acts on a statement, by its kind."""
        self.look: Callable[[], None] = lambda: None
        """Called when there may be an earlier moment."""

    # -- ours

    async def made(self, agreement: Agreement, kind: Kind, **said: str | None) -> rows.Statement | None:
        """A statement for the other side, signed; `rows.keep_statement` sends it. None without a key."""
        if self._identity is None:
            return None
        now = self._clock.now()
        one = Statement(
            self._identity.did, agreement.participant, self._new_id(), now, agreement.id, kind, **said
        )
        token = await self._identity.sign(statements.TYP, one.claims())
        about = (agreement.role, agreement.id, kind, token, now)
        return rows.Statement(agreement.participant, one.jti, "out", *about, next_moment=now)

    async def reaches(self, participant: str) -> bool:
        """Whether a participant's connector takes statements. Raises Unavailable."""
        try:
            did_web.service_endpoint(await self._resolver.resolve(participant), did_web.STATEMENTS)
        except NotFound:
            return False
        return True

    def first(self) -> float | None:
        """When the next statement is to be tried."""
        return rows.first_statement(self._db.read)

    async def act(self, now: float) -> None:
        """Send what is due, beside everything else."""
        due = rows.due_statements(self._db.read, now, _AT_ONCE)

        def lease(tx: Transaction) -> None:
            for one in due:
                rows.keep_statement(tx, one._replace(next_moment=now + _LEASE))

        if due:
            await self._db.write(lease)
        for one in due:
            self._tasks.run(self._deliver(one))

    async def _deliver(self, one: rows.Statement) -> None:
        problem, final = await self._attempt(one)
        now = self._clock.now()
        tried = one._replace(attempts=one.attempts + 1, problem=problem, next_moment=None)
        if problem is None:
            tried = tried._replace(told=now)
        elif not final and now < one.at + self._delivery.deadline:
            pause = min(
                self._delivery.longest_retry, self._delivery.first_retry * 2.0 ** min(one.attempts, 40)
            )
            tried = tried._replace(next_moment=now + pause)
        await self._db.write(lambda tx: rows.keep_statement(tx, tried))
        self.look()

    async def _attempt(self, one: rows.Statement) -> tuple[str | None, bool]:
        """Why a statement could not be delivered (None: it was), and whether it never will be."""
        if self._identity is None:
            return "this node has no key any more", True
        try:
            document = await self._resolver.resolve(one.participant)
            service = did_web.service_endpoint(document, did_web.STATEMENTS).rstrip("/")
        except NotFound:
            return NOBODY, True
        except AnodeError as wrong:
            return str(wrong), False
        try:
            answer = await self._transport.request(
                "POST",
                f"{service}/{quote(one.agreement, safe='')}/statements",
                headers={
                    "Authorization": await self._identity.authorization(one.participant),
                    "Content-Type": "application/json",
                },
                body=orjson.dumps({"statement": one.token}),
                timeout=_TIMEOUT,
            )
        except AnodeError as wrong:
            return str(wrong), isinstance(wrong, EgressDenied)
        if 200 <= answer.status < 300:
            return None, False
        said = "; ".join(reasons(answer))[:500]
        return f"{one.participant} answered {answer.status}{said and f': {said}'}", answer.status in _NEVER

    # -- the other side's

    async def receive(self, caller: Caller, agreement_id: str, body: Any) -> None:
        """Take a statement of the other side. The same one again changes nothing.

        :raises NotFound: there is no such agreement between us.
        :raises Untrusted: the other side has not signed it.
        :raises RemoteProtocolError: it is malformed, or says what its signer can't say, or not now.
        """
        token = body.get("statement") if isinstance(body, dict) else None
        if not isinstance(token, str):
            raise RemoteProtocolError("statement is missing: a JWS in compact form.")
        found = processes.agreements_with_id(self._db.read, agreement_id)
        between_us = [one for one in found if one.participant == caller.did]
        if not between_us or self._identity is None:
            raise NotFound(f"There is no agreement {jose.shown(agreement_id)} between us.")
        agreement = between_us[0]
        claims = await self._identity.signed_by(caller.did, token, statements.TYP)
        now = self._clock.now()
        one = statements.read(claims, caller.did, self._identity.did, agreement_id, now)

        def step(tx: Transaction) -> list[Event | None]:
            known = rows.statement(tx, caller.did, one.jti)
            if known is not None:
                if known.token != token:
                    raise RemoteProtocolError("statement.jti: another statement has it already.")
                return []
            if len(rows.statements(tx, agreement_id, caller.did)) >= _MOST:
                raise RemoteProtocolError(f"{_MOST} statements about {agreement_id} are kept already.")
            told = self.take[one.kind](tx, agreement, one, now)
            about = (agreement.role, agreement_id, one.kind, token, now)
            rows.keep_statement(tx, rows.Statement(caller.did, one.jti, "in", *about, told=now))
            return told

        self._events.tell(await self._db.write(step))
        self.look()

    def needed(self, one: rows.Statement | None) -> rows.Statement:
        """The statement. Raises LocalProtocolError: this node has no key to sign it with."""
        if one is None:
            raise LocalProtocolError("This node has no key of its own, so it can sign no evidence.")
        return one


def state_of(one: rows.Statement) -> str:
    """How far a statement has come, in a few words."""
    if one.direction == "in":
        return f"signed by the other side, received at {iso(one.at)}"
    if one.told is not None:
        return f"signed by us, told to the other side at {iso(one.told)}"
    waits = "on its way" if one.next_moment is not None else "kept here, not told"
    return f"signed by us, {waits}{f': {one.problem}' if one.problem else ''}"
