"""The course of an agreement: it comes into force, its terms turn with time, it ends or is retired.

Each agreement knows its next moment of change. When that comes, a policy that can allow nothing now ends the
transfers under it, downloads under way first. Either side may retire an agreement: nothing new begins under
it, what runs is ended with the reason, and the other side is told, by the termination of its transfers and by
a signed statement (`vc/statements.py`).
"""

import asyncio
from collections.abc import Awaitable, Callable

from connector.dsp.process import Process
from connector.dsp.terms import Role
from connector.errors import LocalProtocolError, NotFound, RemoteProtocolError
from connector.flows import derived, retirement
from connector.flows.clock import Clock
from connector.flows.duties import Duties, settled, standing
from connector.flows.events import Event, Events, remark
from connector.flows.statements import Statements, state_of
from connector.flows.transfer import Policies
from connector.odrl.compile import Compiled
from connector.odrl.decision import Reason
from connector.odrl.facts import Claims, Facts
from connector.store import access, courses, duties
from connector.store import processes as rows
from connector.store.courses import Course
from connector.store.database import Database, Transaction
from connector.store.processes import Agreement
from connector.vc.statements import Statement

_AT_ONCE = 100
"""Agreements whose moment has come that are seen to in one transaction."""
_OVER = "The agreement is no longer in force."


class Agreements:
    """Agreements as they go on. A source of moments: when the terms of one turn next."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        policies: Policies,
        owed: Duties,
        statements: Statements,
        events: Events,
        claims: Callable[[str], Claims],
        groups: Callable[[str], frozenset[str]],
        cut: Callable[[str], None],
        end: Callable[[str, str, tuple[Reason, ...]], Awaitable[object]],
        end_soon: Callable[[str, str, tuple[Reason, ...]], None],
    ) -> None:
        self._db, self._clock, self._policies = db, clock, policies
        self._owed, self._statements, self._events, self._claims = owed, statements, events, claims
        self._groups, self._cut, self._end, self._end_soon = groups, cut, end, end_soon
        """`cut` stops downloads of a transfer at once; `end` terminates it, with a reason, and its codes."""
        self.look: Callable[[], None] = lambda: None
        """Called when there may be an earlier moment."""

    # -- moments

    def first(self) -> float | None:
        """When the terms of an agreement turn next."""
        return courses.first(self._db.read)

    async def act(self, now: float) -> None:
        """End access where it has ended; note when each agreement turns next."""
        read = self._db.read
        due = [
            (c, rows.agreement(read, c.role, c.agreement, c.participant))
            for c in courses.due(read, now, _AT_ONCE)
        ]
        ending = [
            (pid, why)
            for course, agreement in due
            if agreement is not None and (why := self._stops(agreement, course, now)) is not None
            for pid in rows.open_transfers(read, course.role, course.agreement, course.participant)
        ]
        for pid, _ in ending:
            self._cut(pid)
        await asyncio.gather(*(self._end(pid, *why) for pid, why in ending))
        if due:
            told = await self._db.write(lambda tx: self._turned(tx, due, now))
            self._owed.forget()
            self._events.tell(told)

    def watch(self, transfer: Process) -> None:
        """A transfer may let data flow from now on: end it at once if its agreement ended meanwhile."""
        details = transfer.details
        agreement = rows.agreement(self._db.read, Role.PROVIDER, details["agreement"], transfer.participant)
        if agreement is None:
            return
        course = courses.find(self._db.read, Role.PROVIDER, agreement.id, agreement.participant)
        why = self._stops(agreement, course, self._clock.now())
        if why is not None:
            self._cut(transfer.pid)
            self._end_soon(transfer.pid, *why)
        self.look()

    def _stops(
        self, agreement: Agreement, course: Course | None, now: float
    ) -> tuple[str, tuple[Reason, ...]] | None:
        """Why nothing may flow under the agreement now, whatever else is proved; None if something may."""
        if course is not None and course.state == "retired":
            return course.reason or _OVER, ()
        if not agreement.in_force:
            return None  # its negotiation is not over: that ends what it began
        if agreement.role is Role.CONSUMER:
            return None  # the provider's word counts
        if (passed := derived.over(self._db.read, agreement.dataset, now)) is not None:
            return passed.text, (passed,)
        policy = self._policies.of(agreement)
        performed = standing(self._db.read, agreement.role, agreement.id, agreement.participant)
        consumer = agreement.participant
        facts = Facts(
            now,
            consumer,
            agreement.agreed,
            phase="transfer",
            target=agreement.dataset,
            groups=self._groups(consumer),
            collections=frozenset(),
            duties=performed,
        )
        if policy.possible(facts):
            return None
        reasons = policy.decide(facts._replace(claims=self._claims(consumer))).reasons
        return " ".join(r.sentence(redacted=True) for r in reasons) or _OVER, reasons

    def _turned(
        self, tx: Transaction, due: list[tuple[Course, Agreement | None]], now: float
    ) -> list[Event | None]:
        told: list[Event | None] = []
        for stale, agreement in due:
            course = courses.find(tx, stale.role, stale.agreement, stale.participant)
            if course is None:
                continue
            if agreement is None or (course.state == "running" and not agreement.in_force):
                courses.save(tx, course._replace(next_moment=None))  # its negotiation came to nothing
                continue
            if course.state != "running":
                # Retired between the look and this write: then its transfers are still to be ended.
                courses.save(tx, course._replace(next_moment=None if stale.state == course.state else now))
                continue
            if course.next_moment != stale.next_moment:  # what it depends on has changed since the look
                continue
            policy = self._policies.of(agreement)
            turn, ends = _moments(policy, agreement, now)
            told += self._owed.begin(tx, agreement, policy, now)
            course = course._replace(next_moment=turn, ends=ends)
            if ends is not None and ends <= now:
                course = course._replace(state="ended", ended=now, next_moment=None)
                told.append(
                    remark(tx, agreement, now, "end", "the terms of the agreement allow nothing any more")
                )
                told += self._owed.happened(tx, agreement, "agreement-end", ends, now)
                self._pass_on_no_more(tx, agreement)
            courses.save(tx, course)
        return told

    # -- retirement

    async def retire(self, agreement_id: str, reason: str) -> Course:
        """End an agreement before its time.

        :raises NotFound: there is no such agreement.
        :raises LocalProtocolError: it is not in force (yet), or retired already.
        """
        found = rows.agreements_with_id(self._db.read, agreement_id)
        if not found:
            raise NotFound(f"There is no agreement {agreement_id} in this node.")
        started = [
            (one, course)
            for one in found
            if (course := courses.find(self._db.read, one.role, one.id, one.participant)) is not None
        ]
        if not started:
            raise LocalProtocolError(f"The agreement {agreement_id} is not in force: end its negotiation.")
        agreement, course = min(started, key=lambda pair: pair[1].state == "retired")
        if course.state == "retired":
            stays = "It stays so: the reason that was given now is not kept."
            raise LocalProtocolError(retirement.sentence(course), stays)
        statement = await self._statements.made(agreement, "retirement", note=reason)

        def step(tx: Transaction) -> list[Event | None]:
            now = self._clock.now()
            told = self._retired(tx, agreement, None, reason, now)
            if told and statement is not None:
                duties.keep_statement(tx, statement)
            return told

        told = await self._db.write(step)
        self._owed.forget()
        self._events.tell(told)
        self.look()
        now_so = courses.find(self._db.read, agreement.role, agreement.id, agreement.participant)
        assert now_so is not None  # noqa: S101  # it was there, and courses stay
        return now_so

    def told(self, agreement: Agreement) -> str | None:
        """How far the statement that retired an agreement has come; None if there is none."""
        found = duties.statements(self._db.read, agreement.id, agreement.participant)
        return next((state_of(one) for one in found if one.kind == "retirement"), None)

    def take(self, tx: Transaction, agreement: Agreement, said: Statement, now: float) -> list[Event | None]:
        """The other side has retired an agreement."""
        if courses.find(tx, agreement.role, agreement.id, agreement.participant) is None:
            raise RemoteProtocolError("The agreement is not in force: terminate its negotiation.")
        return self._retired(tx, agreement, agreement.participant, said.note or "without a reason", now)

    def _retired(
        self, tx: Transaction, agreement: Agreement, by: str | None, reason: str, now: float
    ) -> list[Event | None]:
        course = courses.find(tx, agreement.role, agreement.id, agreement.participant)
        if course is None or course.state == "retired":
            return []
        who = by or "this node's operator"
        told = self._owed.begin(tx, agreement, self._policies.of(agreement), now)
        ours = agreement.document.get("assigner" if agreement.role is Role.PROVIDER else "assignee")
        why = f"The agreement was retired by {by or ours}: {reason}"  # both sides read it
        over = course._replace(state="retired", next_moment=now, retired_by=who, reason=why)
        courses.save(tx, over if course.ended else over._replace(ended=now))
        rows.forget_agreement(tx, agreement.role, agreement.id, agreement.participant)
        for pid in rows.open_transfers(tx, agreement.role, agreement.id, agreement.participant):
            access.revoke(tx, pid)
        self._pass_on_no_more(tx, agreement)
        told.append(remark(tx, agreement, now, "retire", f"retired by {who}: {reason}"))
        return [*told, *self._owed.happened(tx, agreement, "agreement-end", now, now)]

    def _pass_on_no_more(self, tx: Transaction, agreement: Agreement) -> None:
        if agreement.role is Role.CONSUMER:
            courses.look_at_derived(tx, agreement.id)


def _moments(policy: Compiled, agreement: Agreement, now: float) -> tuple[float | None, float | None]:
    """When the terms turn next, and when they allow nothing any more; duties have moments of their own.

    The end is counted from the agreement on, so that it is the same however late somebody looks.
    """
    consumer = agreement.participant
    if agreement.role is Role.CONSUMER:
        consumer = str(agreement.document.get("assignee"))
    facts = Facts(now, consumer, agreement.agreed, phase="transfer", duties=settled(policy))
    return policy.turn(facts), policy.over(facts._replace(now=agreement.agreed))
