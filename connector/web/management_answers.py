"""Management API: why something was decided, what another policy would decide, and the operator's word."""

from typing import Any

from pydantic import Field

from connector import yamlfile
from connector.dsp.terms import Subject
from connector.errors import InvalidFile, LocalProtocolError, NotFound
from connector.node import Node
from connector.odrl import authoring
from connector.web import management_models as model
from connector.web.management_processes import detail
from connector.web.openapi import Call, Model, Route

_PID = {"pid": "Our identifier of the negotiation."}


class Why(Model):
    """How something came to be decided."""

    id: str
    subject: str = Field(description="`negotiation`, `transfer` or `request`.")
    role: str = Field(description="What this node is in it.")
    participant: str = Field(description="The peer.")
    state: str | None = None
    reason: str | None = Field(None, description="Why it was terminated.")
    dataset: str | None = None
    agreement: str | None = None
    transfer: str | None = None
    waits_until: float | None = Field(
        None, description="It waits for this node's operator, until then (epoch seconds)."
    )
    decisions: list[dict[str, Any]] = Field(
        description="What this node decided, oldest first: `at`, `phase`, `permitted`, `policy`, `reasons` "
        "(code, path, text, expected, seen, givers) and the `tree` of rules, each with what it came to."
    )
    told: list[dict[str, Any]] = Field(description="The counterparty's reasons, with their codes.")


class Review(Model):
    """What the operator says of a negotiation that waits."""

    reason: str | None = Field(None, max_length=1000, description="For the consumer's people.")


class WhatIfRequest(Model):
    """Policies to decide the past by."""

    policies: str = Field(description="The policy file's text (YAML).")
    name: str = Field("policies", description="The file's name, for what is told about it.")
    policy: str | None = Field(None, description="Only the policy with this id.")
    since: float = Field(0.0, ge=0, description="Decisions from then on (epoch seconds).")


class Turned(Model):
    """A decision that would be another."""

    subject: str
    id: str
    at: str
    participant: str
    dataset: str
    policy: str
    was: bool
    now: bool | None = Field(description="None: it can't be told from what was kept.")
    reasons: list[str]


class WhatIfAnswer(Model):
    """What would be otherwise."""

    replayed: dict[str, int] = Field(description="How many decisions were made again, by subject.")
    skipped: int = Field(description="Decisions by other policies, or from before their facts were kept.")
    turned: int
    unknown: int = Field(description="Decisions of which it can't be told whether they turn.")
    turns: list[Turned] = Field(description="At most 1,000.")


async def why(node: Node, call: Call) -> Why:
    """Why a negotiation, a transfer or a request for data was decided as it was: rules, values, reasons.

    A request is named as in the header `X-Request-ID` of its answer, by which a counterparty can quote it.
    """
    return Why.model_validate(await node.answers.why(call.path["id"]))


async def what_if(node: Node, call: Call) -> WhatIfAnswer:
    """Decide past requests, transfers and negotiations again, by changed policies of the same ids."""
    asked: WhatIfRequest = call.body
    policies = authoring.read(yamlfile.parse(asked.policies, asked.name))
    if asked.policy is not None:
        if asked.policy not in policies:
            raise NotFound(f"There is no policy {asked.policy} in {asked.name}.")
        policies = {asked.policy: policies[asked.policy]}
    found = await node.what_if.replay(policies, asked.since)
    turns = [
        Turned(
            subject=turn.past.subject,
            id=turn.past.id,
            at=model.instant(turn.past.facts.now).isoformat(),
            participant=turn.past.participant,
            dataset=turn.past.dataset,
            policy=turn.past.policy,
            was=turn.past.permitted,
            now=turn.now,
            reasons=list(turn.reasons),
        )
        for turn in found.turns
    ]
    return WhatIfAnswer(
        replayed=found.replayed,
        skipped=found.skipped,
        turned=found.turned,
        unknown=found.unknown,
        turns=turns,
    )


async def approve(node: Node, call: Call) -> model.ProcessDetail:
    """Let a negotiation go on that waits for the operator's review."""
    await node.negotiations.approve(call.path["pid"])
    return await detail(node, Subject.NEGOTIATION, call.path["pid"])


async def reject(node: Node, call: Call) -> model.ProcessDetail:
    """End a negotiation that waits for the operator's review."""
    await node.negotiations.reject(call.path["pid"], call.body.reason)
    return await detail(node, Subject.NEGOTIATION, call.path["pid"])


ROUTES = [
    Route(
        "GET",
        "/why/{id:.+}",
        why,
        "Why it was decided so",
        "node",
        response=Why,
        parameters={"id": "Our identifier of a negotiation or transfer, or a request's `X-Request-ID`."},
    ),
    Route(
        "POST",
        "/policies/whatif",
        what_if,
        "What other policies would have decided",
        "catalog",
        request=WhatIfRequest,
        response=WhatIfAnswer,
        errors=(InvalidFile, NotFound),
    ),
    Route(
        "POST",
        "/negotiations/{pid}/approve",
        approve,
        "Approve a negotiation that waits for review",
        "negotiations",
        response=model.ProcessDetail,
        parameters=_PID,
        errors=(NotFound, LocalProtocolError),
    ),
    Route(
        "POST",
        "/negotiations/{pid}/reject",
        reject,
        "Reject a negotiation that waits for review",
        "negotiations",
        request=Review,
        response=model.ProcessDetail,
        parameters=_PID,
        errors=(NotFound, LocalProtocolError),
    ),
]
