"""What an agreement carries, and what ends with it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connector.dsp.terms import Kind, Role, State, Subject
from connector.peers.client import Answer
from connector.store import processes as rows
from tests.peer import AGREEMENT_ID, CALLBACK, OFFER, PEER, Talk, message, talk


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Talk]:
    async with talk(tmp_path) as node:
        yield node


async def test_an_agreement_holds_nothing_that_was_slipped_in(node: Talk) -> None:
    """A provider writes an agreement from what it understood of the offer, not from the consumer's text."""
    slipped = {"https://example.org/terms#price": "0"}
    offer = {**OFFER, **slipped, "permission": [{"action": "use", **slipped}]}
    node.mailbox.answer = lambda url, sent: Answer(503, {}, b"")
    request = {**message("ContractRequestMessage"), "consumerPid": "c", "offer": offer}
    request.pop("providerPid", None)
    status, process = await node.post("/negotiations/request", {**request, "callbackAddress": CALLBACK})
    assert status == 201, process
    if (kept := rows.process(node.node.db.read, process["@id"])) is not None and kept.pending is None:
        await node.node.negotiations.move(process["@id"], Kind.AGREE)
    await node.quiet()
    [agreement] = [sent["agreement"] for _, sent in node.mailbox.messages if "agreement" in sent]
    assert agreement["permission"] == [{"action": "use"}]
    assert not slipped.keys() & agreement.keys()


async def test_a_contract_that_came_to_nothing_ends_its_transfers(node: Talk) -> None:
    """A consumer may begin before FINALIZED is acknowledged; if it is refused, what was begun ends."""
    negotiation = await node.place(Subject.NEGOTIATION, Role.PROVIDER, State.VERIFIED, "negotiation")
    transfer = await node.place(Subject.TRANSFER, Role.PROVIDER, State.STARTED, "transfer")
    await node.node.db.write(lambda tx: rows.bring_into_force(tx, Role.PROVIDER, AGREEMENT_ID, PEER))
    refuse = Answer(400, {}, b'{"reason": ["no"]}')
    node.mailbox.answer = lambda url, sent: refuse if url.endswith("/events") else Answer(200, {}, b"")
    await node.node.negotiations.move(negotiation.pid, Kind.FINALIZE)
    while node.node.courier.carrying or node.node.tasks.running:
        await node.quiet()
        await asyncio.gather(*node.node.tasks.running)
    ended = [rows.process(node.node.db.read, pid) for pid in (negotiation.pid, transfer.pid)]
    assert [p and p.state for p in ended] == [State.TERMINATED, State.TERMINATED]
    assert "agreement" in str(ended[1] and ended[1].reason)
