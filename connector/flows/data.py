"""The data plane: what a token opens (`flows/grants.py`), decided for each request, ended when it must end.

A request costs a look into memory, the policy and a line in the audit log. Whatever ends access removes the
grant and cuts the connections that are still sending. When time ends it, `flows/agreements.py` knows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from connector.errors import AnodeError, Denied, Unavailable, Untrusted
from connector.flows.audit import Audit
from connector.flows.claims import Presentations
from connector.flows.clock import Clock, Handle
from connector.flows.decisions import said_in
from connector.flows.duties import Duties
from connector.flows.grants import Grant, Grants
from connector.flows.sources import Source, Sources
from connector.flows.tasks import Tasks
from connector.flows.uses import Asked, Counter, Use
from connector.flows.views import Views
from connector.odrl.compile import Reason
from connector.odrl.decision import Decision
from connector.odrl.operands import NO_CLAIMS, Claims, Facts
from connector.odrl.projection import Projection

_LOOK_AGAIN = 1.0
"""Seconds between two looks, at least: a status list of our own is never good for longer than now."""


class Access(NamedTuple):
    """A request that was granted: what is served, and the facts by which. `use` is there where uses count,
    `view` where the policy changes the data; `waits` where a duty falls due by it."""

    grant: Grant
    source: Source
    facts: Facts
    use: Use | None = None
    view: Projection | None = None
    waits: bool = False


ASKED = Asked()
_NOWHERE: frozenset[str] = frozenset()
"""Datasets of this node belong to no collection."""


class DataPlane:
    """Grants access to data."""

    def __init__(
        self,
        clock: Clock,
        audit: Audit,
        grants: Grants,
        uses: Counter,
        end: Callable[[str, str, tuple[Reason, ...]], None],
        tasks: Tasks,
        sources: Sources,
        views: Views,
        groups: Callable[[str], frozenset[str]],
        duties: Duties,
        presentations: Presentations | None = None,
    ) -> None:
        self._clock, self._audit, self._grants, self._uses = clock, audit, grants, uses
        self._duties = duties
        self._tasks, self._presentations = tasks, presentations
        self._sources, self._views, self._groups = sources, views, groups
        self._end = end
        """Ends a transfer (pid, reason, the same with codes) that its policy does not allow any more."""
        self._running: dict[str, dict[Callable[[], None], Access]] = {}
        self._looks: dict[str, Handle] = {}
        """Transfers with bytes flowing, and the next look at what their consumers have proved."""

    async def open(self, authorization: str | None, about: dict[str, Any], asked: Asked = ASKED) -> Access:
        """Decide about a request for data, and write the decision down.

        `authorization` is the header, with or without `Bearer`; `about` goes into the audit log.

        :raises Untrusted: no token, an unknown or an expired one (HTTP 401).
        :raises Denied: the agreement's policy says no now (HTTP 403), or can't be done to these data.
        :raises NotFound: the data are gone.
        :raises Unavailable: the audit log, or the count of uses, can't be written.
        """
        token = (authorization or "").removeprefix("Bearer ").strip()
        now = self._clock.now()
        grant = self._grants.known.get(token) or await self._grants.first_use(token, now)
        if now >= grant.expires:
            raise Untrusted(
                "This token has expired; refresh it, or ask for the transfer's data address again."
            )
        use = self._uses.begin(grant.transfer, grant.pair, asked) if grant.counting else None
        try:
            access = await self._granted(grant, use, asked, about)
        except BaseException:
            if use is not None:
                self._uses.undo(grant.transfer, grant.pair, use)
            raise
        try:
            # What ends access ends this request too, if it came in between.
            if self._grants.known.get(token) is not grant:
                raise Untrusted("This token was made void a moment ago.")
            self._audit.write(grant.line, {"permitted": True, **said_in(access.facts), **about})
        except AnodeError as refused:
            self.withheld(access, refused.reasons, about)
            raise
        return access

    async def _granted(self, grant: Grant, use: Use | None, asked: Asked, about: Mapping[str, Any]) -> Access:
        """What is to be served, and counted if it is a use. Raises as `open`, with a line in the log."""
        try:
            claims = await self._claims(grant) if self._proofs_matter(grant) else NO_CLAIMS
            decision, facts = self._decided(grant, claims, use, asked)
            if decision.permitted:
                source = self._sources.of(grant.dataset)
                if (view := decision.view) is not None:
                    asked_of = (grant.dataset, source, grant.agreement, grant.participant, view)
                    if (kept := self._views.kept(*asked_of)) is None:
                        source = await self._views.of(*asked_of)
                        claims = await self._claims(grant) if self._proofs_matter(grant) else NO_CLAIMS
                        decision, facts = self._decided(grant, claims, use, asked)  # a source may be slow
                    else:
                        source = kept
                    if decision.permitted and decision.view != view:
                        raise Unavailable("What may be seen has just changed; ask again.", retry_after=1)
            if decision.permitted and use and grant.counting and asked.reads and use.goes_on is None:
                begun = use.before
                decision, use = await self._uses.count(grant.counting, grant.pair, facts, decision, use)
                if use.before is not begun:
                    facts = facts._replace(uses=use.before.number, last_use=use.before.last)
        except AnodeError as refused:
            self._refused(grant, refused, about)
            raise
        if not decision.permitted:
            if use is not None:  # before the look whether anything may still be asked for
                self._uses.undo(grant.transfer, grant.pair, use)
            raise self._denied(grant, decision, facts, about)
        waits = asked.reads and self._duties.of(grant.key).waits
        return Access(grant, source, facts, use, decision.view, waits)

    async def _claims(self, grant: Grant) -> Claims:
        try:
            return await self._proved(grant)
        except Denied as refused:  # another error: it can't be told now, and may go on later
            self._stop(grant, str(refused))
            raise

    def _decided(self, grant: Grant, claims: Claims, use: Use | None, asked: Asked) -> tuple[Decision, Facts]:
        facts = self._facts(grant, self._clock.now(), claims, asked, use)
        return grant.policy.decide(facts), facts

    async def begins(self, access: Access) -> None:
        """The first byte of what a duty waits for is about to go out.

        :raises Untrusted: access ended meanwhile. Unavailable: it can't be kept.
        """
        with self.running(access, lambda: None):  # who is refused meanwhile must not end its transfer
            await self._duties.used(*access.grant.key)
        if not self._grants.holds(access.grant.transfer):
            raise Untrusted("This token was made void a moment ago.")

    def withheld(self, access: Access, reasons: Sequence[str], about: Mapping[str, Any]) -> None:
        """What was granted is not served after all: that is no use, and a line of its own says why."""
        grant = access.grant
        if access.use is not None:
            self._uses.undo(grant.transfer, grant.pair, access.use)
        with suppress(Unavailable):  # nothing is served, so nothing is served unseen
            self._audit.write(grant.line, {"permitted": False, "reasons": [*reasons], **about})

    def _refused(self, grant: Grant, error: AnodeError, about: Mapping[str, Any]) -> None:
        self._audit.write(grant.line, {"permitted": False, "reasons": [*error.reasons], **about})

    def _denied(self, grant: Grant, decision: Decision, facts: Facts, about: Mapping[str, Any]) -> Denied:
        """Write a no down, and end the transfer if it will never be a yes again."""
        reasons = [r.sentence(redacted=False) for r in decision.reasons]
        codes = [r.code for r in decision.reasons]
        known = {"permitted": False, "reasons": reasons, "codes": codes, **said_in(facts), **about}
        self._audit.write(grant.line, known)
        public = [r.sentence(redacted=True) for r in decision.reasons]
        lasting = facts._replace(purpose=None, uses=None, last_use=None)
        # Time ends transfers at its moments; a revocation has none.
        if grant.policy.credentials and not grant.policy.possible(lasting):
            self._stop(grant, " ".join(public), decision.reasons)
        elif grant.counting:
            self._end_if_used_up(grant)
        return Denied(*public, details=tuple(r.redacted().document() for r in decision.reasons))

    async def _proved(self, grant: Grant) -> Claims:
        """What the participant has proved. Raises Denied: a credential that all need is gone."""
        assert self._presentations is not None  # noqa: S101  # whoever asks has seen that it matters
        return await self._presentations.current(grant.participant, grant.policy.credentials)

    def _facts(self, grant: Grant, now: float, claims: Claims, asked: Asked, use: Use | None) -> Facts:
        """The facts, with what the policy needs of the request, of earlier ones, and of the settings."""
        number, last = (None, None) if use is None else (use.before.number, use.before.last)
        groups = self._groups(grant.participant) if "groups" in grant.policy.needs else None
        return Facts(
            now,
            grant.participant,
            grant.agreed,
            "use",
            claims,
            "request",
            asked.purpose,
            number,
            last,
            grant.dataset,
            groups,
            _NOWHERE,
            self._duties.of(grant.key).performances,
        )

    def sent(self, access: Access, use: Use, version: str | None, first: int, whole: bool) -> None:
        """A use went out, from byte `first` of a version on: the `whole` of it, or it broke off."""
        grant = access.grant
        self._uses.ended(grant.transfer, use, version, first, whole)
        if not self._uses.many_left(grant.pair):
            self._end_if_used_up(grant)

    def _end_if_used_up(self, grant: Grant) -> None:
        """End the transfer after the last use there can be, once nothing of it is under way."""
        if grant.transfer in self._running or self._uses.may_go_on(grant.transfer):
            return
        used = self._uses.now(grant.pair)
        facts = Facts(self._clock.now(), grant.participant, grant.agreed, uses=used.number)
        facts = facts._replace(duties=self._duties.of(grant.key).performances)
        if not grant.policy.possible(facts):
            decision = grant.policy.decide(facts._replace(last_use=used.last))
            known = tuple(r for r in decision.reasons if r.code != "fact-missing")
            self._end(grant.transfer, " ".join(r.sentence(redacted=True) for r in known), known)

    def _proofs_matter(self, grant: Grant) -> bool:
        presentations = self._presentations
        return presentations is not None and (bool(grant.policy.credentials) or presentations.demanding)

    def _stop(self, grant: Grant, reason: str, reasons: tuple[Reason, ...] = ()) -> None:
        self._sever(grant.transfer)
        self._end(grant.transfer, reason, reasons)

    async def close(self) -> None:
        """Keep the true numbers of uses."""
        await self._uses.close()

    def cut(self, transfer: str) -> None:
        """End access at once: forget the tokens, cut what is being sent."""
        self._sever(transfer)
        self._grants.forget(transfer)

    def reconsider(self) -> None:
        """Groups, or those whose credentials count, have changed: look at what is being sent."""
        for transfer in list(self._running):
            self._tasks.run(self._look(transfer))

    @contextmanager
    def running(self, access: Access, stop: Callable[[], None]) -> Iterator[None]:
        """While a response is being sent: `stop` cuts it when access ends."""
        transfer = access.grant.transfer
        stops = self._running.setdefault(transfer, {})
        stops[stop] = access
        self._look_again(access.grant)
        try:
            yield
        finally:
            stops.pop(stop, None)
            if not stops:
                self._running.pop(transfer, None)
                if (handle := self._looks.pop(transfer, None)) is not None:
                    handle.cancel()

    def _look_again(self, grant: Grant) -> None:
        """While bytes flow, look again when the policy's answer to one of their requests turns, and when a
        status list, or a credential, ends."""
        under_way = self._running.get(grant.transfer, {}).values()
        moments = [m for one in under_way if (m := grant.policy.next_change(one.facts)) is not None]
        if self._proofs_matter(grant):
            assert self._presentations is not None  # noqa: S101  # just asked
            good = self._presentations.good_until(grant.participant)
            moments.append(max(good, self._clock.now() + _LOOK_AGAIN))
        if (handle := self._looks.pop(grant.transfer, None)) is not None:
            handle.cancel()
        if not moments:
            return

        def look() -> None:
            if self._looks.pop(grant.transfer, None) is not None:
                self._tasks.run(self._look(grant.transfer))

        self._looks[grant.transfer] = self._clock.call_at(min(moments), look)

    async def _look(self, transfer: str) -> None:
        """Decide anew about each response that is being sent, with what its request said."""
        under_way = self._running.get(transfer, {})
        if not under_way:
            return
        grant = next(iter(under_way.values())).grant
        try:
            claims = await self._proved(grant) if self._proofs_matter(grant) else NO_CLAIMS
        except Denied as denied:
            self._stop(grant, str(denied))
            return
        except Unavailable:  # a list can't be had: nothing flows on doubt, but the transfer may go on later
            self._sever(transfer)
            return
        for stop, one in list(under_way.items()):
            facts = one.facts._replace(
                now=self._clock.now(), claims=claims, duties=self._duties.of(grant.key).performances
            )
            if "groups" in grant.policy.needs:
                facts = facts._replace(groups=self._groups(grant.participant))
            decision = grant.policy.decide(facts)
            if not decision.permitted:
                reason = " ".join(r.sentence(redacted=True) for r in decision.reasons)
                self._stop(grant, reason, decision.reasons)
                return
            if decision.view != one.view:  # what may still be had is not what is being sent
                self._sever(transfer)
                return
            if stop in under_way:
                under_way[stop] = one._replace(facts=facts)
        if transfer in self._running:
            self._look_again(grant)

    def _sever(self, transfer: str) -> None:
        for stop in list(self._running.get(transfer, ())):
            stop()
