"""What is kept of decisions, to be explained and replayed: bounded, without what credentials say.

Of a participant's credentials types and issuers are kept, as the audit log has them, and nothing more.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from connector.dsp.process import Process
from connector.dsp.terms import Kind
from connector.flows.exchange import Move
from connector.odrl.compile import Compiled
from connector.odrl.decision import Decision, Reason
from connector.odrl.duties import DONE_HERE
from connector.odrl.facts import Claim, Claims, Facts, Performance
from connector.odrl.why import why

KEPT = 4
"""Decisions kept with a process, the newest."""
_TREE_BYTES = 16_384
"""The largest tree that is kept: strangers write policies too."""
_TOLD_MOST = 20
"""Reasons of a counterparty that are kept, and the characters of each text in them."""
_TOLD_TEXT = 500
_TOLD_MEMBERS = ("code", "path", "text", "operand", "operator")


def entry(
    decision: Decision, facts: Facts, policy: str | None = None, tree: Compiled | None = None
) -> dict[str, Any]:
    """A decision as it is kept. `policy` is the id of the policy that it was made by, `tree` that policy."""
    found: dict[str, Any] = {
        "at": facts.now,
        "phase": facts.phase,
        "permitted": decision.permitted,
        "facts": compact(facts),
    }
    if policy is not None:
        found["policy"] = policy
    if decision.reasons:
        found["reasons"] = [reason.document() for reason in decision.reasons]
    if tree is not None:
        document = why(tree, facts).document()
        if len(orjson.dumps(document)) <= _TREE_BYTES:
            found["tree"] = document
    return found


def kept(process: Process, decided: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A process's decisions with one more. A repetition, as of a policy that is asked again, replaces."""
    before = [*process.details.get("decisions", ())]
    if before and _same(before[-1], decided):
        before.pop()
    return [*before, decided][-KEPT:]


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(name) == other.get(name) for name in ("phase", "permitted", "reasons", "policy"))


def compact(facts: Facts) -> dict[str, Any]:
    """What a decision was made from, without what credentials say."""
    return {**({} if facts.agreed_at is None else {"agreed": facts.agreed_at}), **said_in(facts)}


def said_in(facts: Facts) -> dict[str, Any]:
    """What of it is other with each request of an agreement."""
    found = claims_of(facts.claims)
    if facts.purpose is not None:
        found["purpose"] = facts.purpose
    if facts.uses is not None:
        found["uses"] = facts.uses
    if facts.last_use is not None:
        found["last_use"] = None if facts.last_use == -math.inf else facts.last_use
    if facts.groups is not None:
        found["groups"] = sorted(facts.groups)
    if len(facts.duties) > len(DONE_HERE):
        found["duties"] = {
            path: [how.state, None if how.due == math.inf else how.due]
            for path, how in facts.duties.items()
            if path not in DONE_HERE
        }
    return found


def claims_of(claims: Claims) -> dict[str, Any]:
    """Types of credentials that were asked for, each with the issuers of those that were believed."""
    if not claims.held:
        return {}
    return {"claims": {type_: [c.issuer for c in held] for type_, held in sorted(claims.held.items())}}


def facts_of(kept_: Mapping[str, Any], now: float, participant: str) -> Facts:
    """The facts again, as far as they were kept."""
    named = kept_.get("claims", {})
    held = {type_: tuple(Claim(type_, issuer, {}) for issuer in issuers) for type_, issuers in named.items()}
    last = kept_.get("last_use") if "last_use" in kept_ else None
    groups = kept_.get("groups")
    stood = kept_.get("duties", {}).items()
    duties = {path: Performance(state, math.inf if due is None else due) for path, (state, due) in stood}
    return Facts(
        now,
        participant,
        kept_.get("agreed"),
        claims=Claims(held),
        purpose=kept_.get("purpose"),
        uses=kept_.get("uses"),
        last_use=-math.inf if "last_use" in kept_ and last is None else last,
        groups=None if groups is None else frozenset(groups),
        duties={**DONE_HERE, **duties},
    )


def refusal(reasons: tuple[Reason, ...]) -> Move:
    """The message that ends a process: sentences and codes, without what is only our business."""
    public = tuple(reason.redacted() for reason in reasons)
    return Move(
        Kind.TERMINATE,
        " ".join(reason.sentence() for reason in public),
        code=public[0].code if public else None,
        details=tuple(reason.document() for reason in public),
    )


def ended(process: Process, reasons: tuple[Reason, ...], now: float) -> Move:
    """The message that ends a transfer since its policy allows nothing any more; the reasons are kept whole.

    What it was decided from is not: it was no request.
    """
    decided = {"at": now, "phase": "transfer", "permitted": False, "reasons": [r.document() for r in reasons]}
    return replace(refusal(reasons), kept={"decisions": kept(process, decided)})


def with_told(process: Process, reasons: Any, request: str | None = None) -> Mapping[str, Any]:
    """A process's details with the reasons of its counterparty, if any have codes.

    `request` is the id by which the counterparty knows the request for data that it refused.
    """
    found = _told(reasons)
    if request is not None:
        found = [{**reason, "request": request[:_TOLD_TEXT]} for reason in found]
    return {**process.details, "told": found} if found else process.details


def _told(reasons: Any) -> list[dict[str, Any]]:
    """A counterparty's reasons that have codes: what it wrote, cut to what can be kept."""
    found = []
    for reason in reasons if isinstance(reasons, list) else []:
        if isinstance(reason, dict) and isinstance(reason.get("code"), str):
            texts = {n: v[:_TOLD_TEXT] for n in _TOLD_MEMBERS if isinstance(v := reason.get(n), str)}
            givers = reason.get("givers")
            listed = [str(g)[:_TOLD_TEXT] for g in givers[:10]] if isinstance(givers, list) else []
            found.append({**texts, **({"givers": listed} if listed else {})})
    return found[:_TOLD_MOST]
