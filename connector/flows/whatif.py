"""What if a policy had been another: past decisions made again by it, from the facts that were kept.

What credentials say is not kept, only their types and issuers. So where a policy looks into a credential, a
turn is reported as not known. Requests are told by the audit log, agreements by their negotiations.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from connector.dsp.process import Process
from connector.dsp.terms import Role, Subject
from connector.flows.audit import Audit
from connector.flows.clock import iso
from connector.flows.decisions import facts_of
from connector.flows.duties import tracked
from connector.odrl import moments
from connector.odrl.authoring import Authored
from connector.odrl.compile import Compiled, compile_policy
from connector.odrl.facts import Facts, Phase
from connector.odrl.rules import walk
from connector.odrl.vocabulary import CLAIM, CREDENTIAL, CX, SECURITY_PROFILE, SPATIAL
from connector.store import processes as rows
from connector.store.database import Database, Transaction

_MOST_LINES = 200_000
_MOST_PROCESSES = 50_000
_MOST_TURNS = 1_000
_PAGE = 500
_LOOKS_INSIDE = frozenset(
    {CLAIM, SECURITY_PROFILE, SPATIAL, *(f"{CX}{n}" for n in ("FrameworkAgreement", "BusinessPartnerNumber"))}
)
"""Operands that need what a credential says."""


class Past(NamedTuple):
    """A decision that was made."""

    subject: str
    id: str
    participant: str
    dataset: str
    policy: str
    permitted: bool
    facts: Facts


@dataclass(frozen=True, slots=True)
class Turn:
    """A decision that would be another; `now` is None where it can't be told."""

    past: Past
    now: bool | None
    reasons: tuple[str, ...]


@dataclass(slots=True)
class Replay:
    """What came out: how many decisions were made again, of which kind, and those that turn."""

    replayed: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    """Decisions by no policy of these names, or from before facts were kept."""
    turns: list[Turn] = field(default_factory=list)
    turned: int = 0
    unknown: int = 0
    """Decisions of which it can't be told whether they turn."""


class WhatIf:
    """Replays the past of one node."""

    def __init__(self, db: Database, audit: Audit) -> None:
        self._db, self._audit = db, audit

    async def replay(self, policies: Mapping[str, Authored], since: float) -> Replay:
        """Decide again what these policies, by their ids, have decided since then (epoch seconds)."""
        return await asyncio.to_thread(self._replay, policies, since)

    def _replay(self, policies: Mapping[str, Authored], since: float) -> Replay:
        lines = self._audit.since(iso(since), _MOST_LINES)
        found = Replay()
        with self._db.aside() as connection:
            source = _Source(connection, found)
            _decide([*source.processes(since), *source.requests(lines)], policies, found)
        return found


class _Source:
    """The past as it was kept. What it passes over is counted in `found`."""

    def __init__(self, connection: Transaction, found: Replay) -> None:
        self._read, self._found = connection, found
        self._names: dict[tuple[str, str], str | None] = {}

    def processes(self, since: float) -> Iterator[Past]:
        """Decisions about negotiations and transfers."""
        for subject in Subject:
            for process in self._changed(subject, since):
                for entry in process.details.get("decisions", ()):
                    if "facts" not in entry:
                        continue
                    agreement = process.details.get("agreement")
                    name = entry.get("policy") or (
                        self._policy(agreement, process.participant) if agreement else None
                    )
                    if process.role is not Role.PROVIDER or entry["at"] < since:
                        continue
                    if name is None:
                        self._found.skipped += 1
                        continue
                    facts = facts_of(entry["facts"], entry["at"], process.participant)
                    phase: Phase = "negotiation" if subject is Subject.NEGOTIATION else "transfer"
                    yield Past(
                        subject.value,
                        process.pid,
                        process.participant,
                        str(process.details.get("dataset")),
                        name,
                        entry["permitted"],
                        facts._replace(
                            phase=phase, target=process.details.get("dataset"), collections=frozenset()
                        ),
                    )

    def _changed(self, subject: Subject, since: float) -> Iterator[Process]:
        before: int | None = None
        for _ in range(_MOST_PROCESSES // _PAGE):
            page = rows.page(self._read, subject, before, _PAGE)
            yield from (process for _, _, changed, process in page if changed >= since)
            if len(page) < _PAGE:
                return
            before = page[-1][0]

    def requests(self, lines: list[dict[str, Any]]) -> Iterator[Past]:
        """Decisions about requests for data."""
        for line in lines:
            if not line["permitted"] and "codes" not in line:  # no policy said so: the data were gone, say
                continue
            name = self._policy(line["agreement"], line["participant"])
            if name is None or "agreed" not in line or "request" not in line:
                self._found.skipped += 1
                continue
            facts = facts_of(line, moments.instant(line["at"]), line["participant"])
            yield Past(
                "request",
                line["request"],
                line["participant"],
                line["dataset"],
                name,
                line["permitted"],
                facts._replace(target=line["dataset"], collections=frozenset()),
            )

    def _policy(self, agreement_id: str, participant: str) -> str | None:
        """The id of the policy that an agreement was made under, if it was under one."""
        names = self._names
        key = agreement_id, participant
        if key not in names:
            agreement = rows.agreement(self._read, Role.PROVIDER, agreement_id, participant)
            made = None if agreement is None else rows.process(self._read, agreement.negotiation)
            names[key] = None if made is None else made.details.get("policy")
        return names[key]


def _decide(past: list[Past], policies: Mapping[str, Authored], found: Replay) -> None:
    compiled = {name: compile_policy(policy.contract) for name, policy in policies.items()}
    seen = {name: compile_policy(policy.access, "access") for name, policy in policies.items()}
    for one in past:
        if one.policy not in compiled:
            found.skipped += 1
            continue
        found.replayed[one.subject] += 1
        turn = _again(one, compiled[one.policy], seen[one.policy])
        if turn is not None:
            found.turned += turn.now is not None
            found.unknown += turn.now is None
            if len(found.turns) < _MOST_TURNS:
                found.turns.append(turn)


def _again(one: Past, contract: Compiled, access: Compiled) -> Turn | None:
    asked = dict.fromkeys(contract.credentials | access.credentials, ())
    unasked = contract.credentials - one.facts.claims.held.keys()
    claims = one.facts.claims._replace(held={**asked, **one.facts.claims.held})
    facts = one.facts._replace(claims=claims)
    decision = contract.decide(facts)
    looked = [contract]
    if decision.permitted and one.subject == "negotiation":
        decision = access.decide(facts._replace(action="access", phase="catalog"))
        looked.append(access)
    if decision.permitted is one.permitted:
        return None
    reasons = tuple(reason.sentence() for reason in decision.reasons)
    blind = any(_blind(policy, facts) for policy in looked) or (
        any(r.operand == CREDENTIAL for r in decision.reasons) and bool(unasked)
    )
    if blind:
        return Turn(one, None, ("It depends on what was not asked for, or not kept, then.", *reasons))
    return Turn(one, decision.permitted, reasons)


def _blind(policy: Compiled, facts: Facts) -> bool:
    """Whether a decision looks at what was not kept: contents of credentials, or groups or duties that the
    policy of then did not look at."""
    unheard = any(path not in facts.duties for path, _ in tracked(policy))
    return (
        unheard
        or ("groups" in policy.needs and facts.groups is None)
        or any(node.operand in _LOOKS_INSIDE for rule in policy.rules for node in walk(rule))
    )
