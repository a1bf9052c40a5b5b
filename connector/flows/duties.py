"""Tracked duties of agreements: they fall due, are reminded of, fulfilled with evidence, or breached.

A duty is the consumer's: it is what the provider's data were given for. It waits for its event (the
agreement, its end, the first use), is due from then on, and is breached when its time is over. Each side
keeps its own row of it. Who owes it is reminded at its event and before its time is over; who is owed learns
that it was done from signed evidence (`vc/statements.py`), or by hand. A policy that depends on a duty sees
how it stands (`Facts.duties`), at the very instant: the engine needs no row to change for that.

To inform is done by the node itself, where the other side's connector takes statements; to log, by the data
plane at each request.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from connector.dsp.terms import Role
from connector.errors import AnodeError, LocalProtocolError, NotFound, RemoteProtocolError, Unavailable
from connector.flows.clock import Clock, iso
from connector.flows.events import Event, Events, remark
from connector.flows.statements import Statements, state_of
from connector.flows.tasks import Tasks
from connector.flows.transfer import Policies
from connector.odrl import rules
from connector.odrl.compile import Compiled
from connector.odrl.duties import DONE_HERE
from connector.odrl.duties import Duty as Terms
from connector.odrl.facts import FULFILLED, Performance
from connector.odrl.vocabulary import Enforcement
from connector.store import courses, processes
from connector.store import duties as rows
from connector.store.database import Database, Transaction
from connector.store.duties import Duty
from connector.store.processes import Agreement
from connector.vc.statements import Statement

_AT_ONCE = 500
_KEPT = 100_000
_EARLY = 86_400.0
"""Seconds before its time is over that a duty is reminded of; half of its time, if that is less."""
_OPEN = ("due", "reminded", "breached")
_BY = {"first-use": "The data were first used at", "use": "The data were used at"}
_BY |= {"agreement": "The agreement was made at", "agreement-end": "The agreement ended at"}
Performances = Mapping[str, Performance]
Key = tuple[Role, str, str]
"""An agreement: our role in it, its id, the participant it is with."""


class Standing(NamedTuple):
    """How the duties of an agreement stand, and whether one `waits` for a use of the data."""

    performances: Performances
    waits: bool


def tracked(policy: Compiled) -> Iterator[tuple[str, Terms]]:
    """The duties of a policy that fall due and need evidence: path and terms."""
    for rule in policy.rules:
        for node in rules.walk(rule):
            if node.duty is not None and node.duty.enforcement is Enforcement.TRACKED:
                yield node.path, node.duty


def settled(policy: Compiled) -> Performances:
    """As if all that is tracked were done: what time alone makes of the policy."""
    return MappingProxyType({**DONE_HERE, **{path: FULFILLED for path, _ in tracked(policy)}})


def standing(connection: Transaction, role: Role, agreement: str, participant: str) -> Performances:
    """How the duties of an agreement stand, as `Facts.duties` has it."""
    return _performances(rows.of_agreement(connection, role, agreement, participant))


class Duties:
    """Tracked duties of both roles. A source of moments: when something becomes of one."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        policies: Policies,
        statements: Statements,
        events: Events,
        tasks: Tasks,
    ) -> None:
        self._db, self._clock, self._policies = db, clock, policies
        self._statements, self._events, self._tasks = statements, events, tasks
        self._known: dict[Key, Standing] = {}
        """Of agreements that are used."""
        self.look: Callable[[], None] = lambda: None
        """Called when there may be an earlier moment."""

    # -- for the data plane

    def of(self, key: Key) -> Standing:
        """How the duties of an agreement stand, remembered: for each request for data."""
        return self._known.get(key) or self._read(key)

    async def used(self, role: Role, agreement: str, participant: str) -> None:
        """The data of an agreement are about to be used. Raises Unavailable: it can't be kept."""
        key = (role, agreement, participant)
        if not self.of(key).waits:
            return
        found = processes.agreement(self._db.read, *key)
        if found is None:
            return

        def step(tx: Transaction) -> list[Event | None]:
            now = self._clock.now()
            first = self.happened(tx, found, "first-use", now, now)
            return [*first, *self.happened(tx, found, "use", now, now)]

        await self._write(step)

    def _read(self, key: Key) -> Standing:
        found = rows.of_agreement(self._db.read, *key)
        waits = any(
            d.state == "pending" if d.event == "first-use" else d.event == "use" and d.state not in _OPEN
            for d in found
        )
        if len(self._known) >= _KEPT:
            self._known.clear()
        standing = self._known[key] = Standing(_performances(found), waits)
        return standing

    def forget(self) -> None:
        """Something was committed that duties depend on: read anew how they stand."""
        self._known.clear()

    # -- inside a transaction: whoever commits it calls `forget`

    def begin(
        self, tx: Transaction, agreement: Agreement, policy: Compiled, now: float
    ) -> list[Event | None]:
        """Keep the duties of an agreement that came into force, once."""
        key = (agreement.role, agreement.id, agreement.participant)
        new = False
        for path, terms in tracked(policy):
            ours = agreement.role is Role.CONSUMER
            about = (path, terms.action, terms.says(), terms.event)
            new |= rows.add(tx, Duty(rows.id_of(*key, path), *key, *about, ours))
        if not new:
            return []
        return self.happened(tx, agreement, "agreement", agreement.agreed, now)

    def happened(
        self, tx: Transaction, agreement: Agreement, event: str, at: float, now: float
    ) -> list[Event | None]:
        """What was to be done from this event on is due."""
        told: list[Event | None] = []
        key = (agreement.role, agreement.id, agreement.participant)
        terms: dict[str, Terms] | None = None
        for duty in rows.of_agreement(tx, *key):
            again = event == "use" and duty.state == "fulfilled"
            if duty.event != event or not (duty.state == "pending" or again):
                continue
            terms = terms or dict(tracked(self._policies.of(agreement)))
            ends = terms[duty.path].due(at)
            limit = ends if ends < float("inf") else None
            due = duty._replace(event_at=at, due=limit, evidence=None)
            rows.save(tx, due.marked(now, "due", f"is due since {iso(at)}", now))
            told.append(
                remark(tx, agreement, now, "duty", f"{_whose(duty)}: {duty.says}, is due: {_id(duty)}")
            )
        return told

    def take(self, tx: Transaction, agreement: Agreement, said: Statement, now: float) -> list[Event | None]:
        """The other side gives evidence that it has done a duty of its own."""
        key = (agreement.role, agreement.id, agreement.participant)
        duty = rows.find(tx, rows.id_of(*key, said.duty or ""))
        if duty is None:
            raise RemoteProtocolError("statement.duty: the agreement has no such duty that is tracked here.")
        if duty.ours:
            raise RemoteProtocolError("statement.duty: it is ours to do, so no evidence of yours counts.")
        if duty.state == "pending" or duty.event_at is None:
            why = f"its event ({duty.event}) is not yet"
            raise Unavailable(f"statement.duty: it is not due here, as {why}; say it again later.")
        if duty.state == "fulfilled":
            return []
        if said.at < duty.event_at - _LAG:
            raise RemoteProtocolError("statement.iat: signed before the duty was due.")
        what = said.note or said.digest or ""
        return [self._done(tx, agreement, duty, said.jti, what, now)]

    def _done(
        self, tx: Transaction, agreement: Agreement, duty: Duty, evidence: str | None, what: str, now: float
    ) -> Event | None:
        """Done in time, or too late: then it stays breached."""
        late = duty.state == "breached" or (duty.due is not None and now >= duty.due)
        state: rows.State = "breached" if late else "fulfilled"
        note = f"done{', but too late' if late else ''}: {what}"
        rows.save(tx, duty.marked(now, state, note, None)._replace(evidence=evidence))
        if late:
            courses.look_again(tx, duty.role, duty.agreement, duty.participant)
        return remark(tx, agreement, now, "duty", f"{_whose(duty)}: {duty.says}, was {note}: {_id(duty)}")

    # -- moments

    def first(self) -> float | None:
        """When something becomes of a duty next."""
        return rows.first(self._db.read)

    async def act(self, now: float) -> None:
        """Remind of what is due, note what was not done in time."""
        due = rows.due(self._db.read, now, _AT_ONCE)
        if not due:
            return

        def step(tx: Transaction) -> list[Event | None]:
            found = [duty for one in due if (duty := rows.find(tx, one.id)) is not None]
            return [self._advance(tx, duty, now) for duty in found]

        told = await self._db.write(step)
        self.forget()
        for one in due:
            if one.ours and one.action == "inform" and (one.due is None or now < one.due):
                self._tasks.run(self._inform(one))
        self._events.tell(told)

    def _advance(self, tx: Transaction, duty: Duty, now: float) -> Event | None:
        """What becomes of a duty whose moment has come."""
        if duty.next_moment is None or duty.next_moment > now or duty.event_at is None:
            return None
        key = (duty.role, duty.agreement, duty.participant)
        agreement, course = processes.agreement(tx, *key), courses.find(tx, *key)
        if agreement is None or course is None or (course.state == "running" and not agreement.in_force):
            rows.save(tx, duty._replace(next_moment=None))  # its negotiation came to nothing
            return None
        remind = None if duty.due is None else duty.due - min(_EARLY, (duty.due - duty.event_at) / 2)
        if duty.due is not None and now >= duty.due:
            note = "was not done in time"
            rows.save(tx, duty.marked(now, "breached", note, None))
            courses.look_again(tx, duty.role, duty.agreement, duty.participant)
        elif duty.ours and duty.state == "due" and remind is not None and now >= remind:
            note = f"is due until {iso(duty.due or now)}"
            rows.save(tx, duty.marked(now, "reminded", note, duty.due))
        else:
            rows.save(tx, duty._replace(next_moment=remind if duty.ours else duty.due))
            return None
        return remark(tx, agreement, now, "duty", f"{_whose(duty)}: {duty.says}, {note}: {_id(duty)}")

    async def _inform(self, duty: Duty) -> None:
        """Do what the node can do itself."""
        agreement = processes.agreement(self._db.read, duty.role, duty.agreement, duty.participant)
        if agreement is None or not _informs(self._policies.of(agreement), duty):
            return
        try:
            if not await self._statements.reaches(duty.participant):
                return
            text = f"{_BY[duty.event]} {iso(duty.event_at or 0.0)}."
            await self.fulfil(duty.id, f"{text} Dataset: {agreement.dataset}"[:1000], None)
        except AnodeError:
            return  # the operator is reminded, and then it is tried again

    # -- for operators

    async def fulfil(self, id_: str, note: str | None, digest: str | None) -> Duty:
        """Say that a duty was done: of ours, signed and told to the other side; of theirs, by our own word.

        `digest` is of a document that proves it, as `sha-256:` and hexadecimal digits.

        :raises NotFound: no such duty.
        :raises LocalProtocolError: it is not due, or done already, or there is no key to sign with.
        """
        duty = self.find(id_)
        _check_due(duty)
        agreement = processes.agreement(self._db.read, duty.role, duty.agreement, duty.participant)
        assert agreement is not None  # noqa: S101  # agreements stay
        statement = None
        if duty.ours:
            said = {"duty": duty.path, "action": duty.action, "note": note, "digest": digest}
            statement = self._statements.needed(await self._statements.made(agreement, "evidence", **said))

        def step(tx: Transaction) -> list[Event | None]:
            now, found = self._clock.now(), rows.find(tx, id_)
            assert found is not None  # noqa: S101  # duties stay
            _check_due(found)
            what = note or digest or ""
            if statement is None:
                accepted = found.marked(now, "fulfilled", f"accepted by this node's operator: {what}", None)
                rows.save(tx, accepted)
                courses.look_again(tx, found.role, found.agreement, found.participant)
                return [remark(tx, agreement, now, "duty", f"{accepted.history[-1].note}: {_id(found)}")]
            rows.keep_statement(tx, statement)
            return [self._done(tx, agreement, found, statement.jti, what, now)]

        await self._write(step)
        return self.find(id_)

    def find(self, id_: str) -> Duty:
        """A duty. Raises NotFound."""
        duty = rows.find(self._db.read, id_)
        if duty is None:
            raise NotFound(f"There is no duty {id_} in this node; see `anode duty list`.")
        return duty

    def told(self, duty: Duty) -> str | None:
        """How far the evidence of a duty of ours has come, in a sentence; None without any."""
        if duty.evidence is None:
            return None
        one = rows.statement(self._db.read, duty.participant, duty.evidence)
        return None if one is None else state_of(one)

    async def _write(self, step: Callable[[Transaction], list[Event | None]]) -> None:
        told = await self._db.write(step)
        self.forget()
        self._events.tell(told)
        self.look()


_LAG = 60.0
"""Seconds by which the two sides' notions of when an event was may differ."""


def _performances(found: list[Duty]) -> Performances:
    """A duty that is due counts as violated from its own instant on: the engine compares."""
    if not found:
        return DONE_HERE
    states: dict[str, Performance] = {}
    for duty in found:
        due = float("inf") if duty.due is None else duty.due
        if duty.state == "fulfilled":
            states[duty.path] = FULFILLED
        else:
            states[duty.path] = Performance("violated" if duty.state == "breached" else "pending", due)
    return MappingProxyType({**DONE_HERE, **states})


def _informs(policy: Compiled, duty: Duty) -> bool:
    """Whether it is the other side that is to be informed."""
    terms = dict(tracked(policy)).get(duty.path)
    return terms is not None and set(terms.recipients) <= {duty.participant, "provider", "assigner"}


def _check_due(duty: Duty) -> None:
    if duty.state == "pending":
        raise LocalProtocolError(f"The duty {duty.id} is not due: its event ({duty.event}) is not yet.")
    if duty.state == "fulfilled":
        raise LocalProtocolError(f"The duty {duty.id} is fulfilled already.")
    if duty.ours and duty.evidence is not None:
        raise LocalProtocolError(f"Evidence of the duty {duty.id} is given already: it came too late.")


def _whose(duty: Duty) -> str:
    return "a duty of ours" if duty.ours else f"a duty of {duty.participant}"


def _id(duty: Duty) -> str:
    return f"duty {duty.id}"
