"""Management API: how agreements go on, and their duties. Rendering only: what may happen, flows decide."""

import asyncio

from connector.errors import NotFound
from connector.node import Node
from connector.store import courses, processes
from connector.store import duties as rows
from connector.web import duty_models as model
from connector.web.management_processes import agreement
from connector.web.openapi import BadRequest, Call
from connector.web.terms import Terms


async def show_agreement(node: Node, call: Call) -> model.AgreementDetail:
    """An agreement with its ODRL document, its next moment, its duties, and how it ended."""
    return await _agreement(node, call.path["id"])


async def retire_agreement(node: Node, call: Call) -> model.AgreementDetail:
    """End an agreement before its time: its transfers end with the reason, and the other side is told.

    Again, it is refused, with who has retired it, when and why: that stays.
    """
    await node.agreements.retire(call.path["id"], call.body.reason)
    return await _agreement(node, call.path["id"])


async def list_duties(node: Node, call: Call) -> model.DutyPage:
    """Duties that are tracked: this node's operator's, and those of others."""
    query = call.query
    try:
        found = rows.page(node.db.read, query.state, query.after, query.limit + 1)
    except ValueError:
        raise BadRequest("after: must be the `next` of a page before.") from None
    shown = found[: query.limit]
    following = shown[-1][0] if len(found) > len(shown) else None
    return model.DutyPage(duties=[_duty(node, duty) for _, duty in shown], next=following)


async def show_duty(node: Node, call: Call) -> model.Duty:
    """A duty with all that happened to it, and the signed evidence that it was done, if there is some."""
    return _whole(node, node.duties.find(call.path["duty"]))


async def fulfil_duty(node: Node, call: Call) -> model.Duty:
    """Say that a duty was done.

    One of this node's operator: the evidence is signed, kept and told to the other side, if its connector
    takes statements. One of the other side: it counts as done by this operator's own word.
    """
    if call.body.note is None and call.body.digest is None:
        raise BadRequest("note: say what was done, or give the digest of a document that proves it.")
    return _whole(node, await node.duties.fulfil(call.path["duty"], call.body.note, call.body.digest))


def _duty(node: Node, duty: rows.Duty) -> model.Duty:
    return model.Duty.of(duty, node.duties.told(duty))


def _whole(node: Node, duty: rows.Duty) -> model.Duty:
    """A duty with its signed evidence."""
    signed = None if duty.evidence is None else rows.statement(node.db.read, duty.participant, duty.evidence)
    return model.Duty.of(duty, node.duties.told(duty), None if signed is None else signed.token)


async def _agreement(node: Node, agreement_id: str) -> model.AgreementDetail:
    found = processes.agreements_with_id(node.db.read, agreement_id)
    if not found:
        raise NotFound(f"There is no agreement {agreement_id} in this node.")
    stored = found[0]
    key = (stored.role, stored.id, stored.participant)
    owed = [_duty(node, duty) for duty in rows.of_agreement(node.db.read, *key)]
    course = courses.find(node.db.read, *key)
    told = node.agreements.told(stored) if course is not None and course.retired_by else None
    terms = await asyncio.to_thread(Terms.of, stored.document, "Agreement")  # many take their time
    return model.AgreementDetail.with_course(agreement(node, stored), course, told, terms, owed)
