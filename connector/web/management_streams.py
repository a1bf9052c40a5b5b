"""Management API: what goes on for a while. Events as they happen, and the data of transfers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from aiohttp import web

from connector.errors import NotFound
from connector.flows.events import Event
from connector.flows.pull import PURPOSE
from connector.node import Node
from connector.store import processes as rows
from connector.web import management_models as model
from connector.web.data import ASKED_ON, PASSED_ON
from connector.web.openapi import BadRequest, Call
from connector.web.rendering import breaking_off

_KEEP_ALIVE = 15.0
_AT_ONCE = 200


async def stream_events(node: Node, call: Call) -> web.StreamResponse:
    """Server-sent events named `step`, each with an `EventData` as its data.

    An event's `id` counts all steps of the node: send the last one as `Last-Event-ID` to go on from there.
    """
    pid, request = call.query.pid, call.request
    if pid is not None and rows.process(node.db.read, pid) is None:
        raise NotFound(f"There is no process {pid} in this node.")
    mark = request.headers.get("Last-Event-ID")
    if mark is not None and not (mark.isdecimal() and len(mark) < 19):
        raise BadRequest("Last-Event-ID: must be the id of an event that was told before.")
    seen = int(mark) if mark else 0 if pid is not None else rows.last_step(node.db.read)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    async with node.events.listen(pid) as events:
        await response.prepare(request)
        # An event only says that there is something to read: nothing is lost or told twice, and a slow
        # reader needs no memory here.
        with breaking_off(request, response):
            async with aclosing(_moments(events)) as moments:
                async for quiet in moments:
                    if quiet:
                        await response.write(b": nothing new\n\n")
                    while found := rows.steps_after(node.db.read, seen, pid, _AT_ONCE):
                        await response.write(b"".join(_event(node, *step) for step in found))
                        seen = found[-1][0]
            await response.write_eof()
    return response


async def _moments(events: AsyncIterator[Event]) -> AsyncGenerator[bool, None]:
    """Now, whenever something happened, and after a quiet while (then True). Ends when the node stops."""
    yield False
    waiting = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait({waiting}, timeout=_KEEP_ALIVE)
            if done:
                if waiting.result() is None:
                    return
                waiting = asyncio.ensure_future(anext(events, None))
            yield not done
    finally:
        waiting.cancel()


def _event(node: Node, number: int, pid: str, step: rows.Step) -> bytes:
    process = rows.process(node.db.read, pid)
    assert process is not None  # noqa: S101  # a step belongs to a process, and processes stay
    data = model.EventData(
        pid=pid,
        subject=process.subject.value,
        role=process.role.value,
        participant=process.participant,
        dataset=process.details.get("dataset"),
        **model.HistoryStep.of(step).model_dump(),
        **model.waiting(process),
    )
    return f"id: {number}\nevent: step\ndata: {data.model_dump_json(exclude_none=True)}\n\n".encode()


async def stream_data(node: Node, call: Call) -> web.StreamResponse:
    """The data of a running transfer, read from its provider and passed on as it comes.

    Range and conditional requests (RFC 9110) reach the provider. A token about to end is refreshed. The
    header `Usage-Purpose` declares what the data are read for, where the agreement names purposes. A refusal
    names the request as its provider knows it, to be quoted.
    """
    request = call.request
    asked = {name: request.headers[name] for name in ASKED_ON if name in request.headers}
    async with node.pull.open(call.path["pid"], asked, request.headers.get(PURPOSE)) as stream:
        response = web.StreamResponse(status=stream.status)
        response.headers.update({n: stream.headers[n] for n in PASSED_ON if n in stream.headers})
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        await response.prepare(request)
        with breaking_off(request, response):
            if stream.status != 304:
                async for chunk in stream.chunks:
                    await response.write(chunk)
            await response.write_eof()
    return response
