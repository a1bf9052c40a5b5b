"""Answers to "why": of a negotiation, a transfer, or a request for data, by the name that its answer had."""

import asyncio
from collections.abc import Mapping
from typing import Any

from connector.dsp.process import Process
from connector.dsp.terms import Role
from connector.errors import NotFound
from connector.flows.audit import Audit
from connector.flows.decisions import facts_of
from connector.flows.negotiate import awaits_review
from connector.flows.transfer import Policies
from connector.odrl import moments
from connector.odrl.why import why
from connector.store import processes as rows
from connector.store.database import Database


class Answers:
    """What this node decided, and what its counterparties told it."""

    def __init__(self, db: Database, audit: Audit, policies: Policies) -> None:
        self._db, self._audit, self._policies = db, audit, policies

    async def why(self, identifier: str) -> dict[str, Any]:
        """The answer for our pid of a process, or for a request's id: one that was made here, or one of ours
        that a provider refused, which is the answer for its transfer.

        :raises NotFound: there is nothing of this name.
        """
        process = rows.process(self._db.read, identifier) or rows.transfer_refused(self._db.read, identifier)
        if process is not None:
            return _of_process(process)
        line = await asyncio.to_thread(self._audit.find, identifier)
        if line is None:
            raise NotFound(
                f"There is no negotiation, transfer or request for data {identifier} in this node."
            )
        return self._of_request(line)

    def _of_request(self, line: Mapping[str, Any]) -> dict[str, Any]:
        decision: dict[str, Any] = {
            "at": moments.instant(line["at"]),
            "phase": "request",
            "permitted": line["permitted"],
        }
        codes = line.get("codes", ())
        texts = line.get("reasons", ())
        if texts:
            padded = [*codes, *[None] * (len(texts) - len(codes))]
            decision["reasons"] = [
                {"text": text, **({"code": code} if code else {})}
                for text, code in zip(texts, padded, strict=False)
            ]
        agreement = rows.agreement(self._db.read, Role.PROVIDER, line["agreement"], line["participant"])
        if agreement is not None and "agreed" in line:
            facts = facts_of(line, moments.instant(line["at"]), line["participant"])
            facts = facts._replace(target=line["dataset"], collections=frozenset())
            tree = why(self._policies.of(agreement), facts)
            if tree.truth is line["permitted"]:  # else it depended on what is not kept, and would mislead
                decision["tree"] = tree.document()
        return {
            "id": line["request"],
            "subject": "request",
            "role": Role.PROVIDER.value,
            "participant": line["participant"],
            "dataset": line["dataset"],
            "agreement": line["agreement"],
            "transfer": line["transfer"],
            "decisions": [decision],
            "told": [],
        }


def _of_process(process: Process) -> dict[str, Any]:
    details = process.details
    found: dict[str, Any] = {
        "id": process.pid,
        "subject": process.subject.value,
        "role": process.role.value,
        "participant": process.participant,
        "state": process.state,
        "reason": process.reason,
        "dataset": details.get("dataset"),
        "agreement": details.get("agreement"),
        "decisions": list(details.get("decisions", ())),
        "told": list(details.get("told", ())),
    }
    if awaits_review(process):
        found["waits_until"] = details["review_until"]
    return found
