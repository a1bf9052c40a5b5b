"""What Eclipse EDC does differently, and how a node copes with it; each was seen with a real one."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from connector.dsp.process import Process
from connector.dsp.terms import CONTEXT, Role, State, Subject
from connector.node import Parts
from connector.store import processes as rows
from tests.conformance.identities import MockIdentity
from tests.dataspace import SimulatedClock
from tests.nodes import Running, running

DATASET = "urn:uuid:5f0d9e3c-6f1d-4c0c-9d9b-0d6f6f1c2a10"
POLICIES = {"open": {"offer": "everyone", "allow": "use"}}
DATASETS = [{"id": DATASET, "title": "A", "offers": ["open"], "source": {"inline": {}}}]
EDC = MockIdentity("did:web:eclipse.example")
EDC_CONTEXT = "https://w3id.org/edc/dspace/v0.0.1"
CONSUMER_PID = "urn:uuid:theirs"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Running]:
    """A node whose time stands still, so that what is to be sent later is not sent."""
    parts = Parts(clock=SimulatedClock(), identity=EDC)
    async with running(tmp_path, POLICIES, DATASETS, parts) as node:
        yield node


async def say(
    node: Running, path: str, type_: str, contexts: tuple[str, ...] = (EDC_CONTEXT,), **members: Any
) -> tuple[int, dict[str, Any]]:
    message = {"@context": [CONTEXT, *contexts], "@type": type_, "consumerPid": CONSUMER_PID, **members}
    headers = {"Authorization": await EDC.authorization("")}
    async with aiohttp.request("POST", node.url + "/dsp" + path, json=message, headers=headers) as answer:
        return answer.status, await answer.json()


async def ask(node: Running, number: int = 1, **contexts: tuple[str, ...]) -> tuple[int, dict[str, Any]]:
    """A contract request of one and the same consumer process."""
    rules = {"permission": [{"action": "use"}]}
    offer = {"@type": "Offer", "@id": "urn:uuid:offer", "target": DATASET, **rules}
    members = {"@id": f"urn:uuid:{number}", "callbackAddress": "http://127.0.0.1:9/dsp", "offer": offer}
    return await say(node, "/negotiations/request", "ContractRequestMessage", **contexts, **members)


async def test_a_request_that_comes_again_under_another_id_opens_nothing(node: Running) -> None:
    """The consumer's pid and the offer tell: one negotiation answers both times, and stays as it was."""
    first = await ask(node, 1)
    again = await ask(node, 2)
    assert again == first
    assert first[0] == 201
    (kept,) = rows.page(node.node.db.read, Subject.NEGOTIATION, None, 10)
    assert kept[-1].steps == 1


async def test_a_verification_that_comes_again_under_another_id_changes_nothing(node: Running) -> None:
    """It asks for the state that already is. From any other peer it is illegal."""
    pid = "urn:uuid:ours"
    verified = Process(
        Subject.NEGOTIATION,
        Role.PROVIDER,
        pid,
        EDC.participant,
        CONSUMER_PID,
        "http://127.0.0.1:9/dsp",
        State.VERIFIED,
        details={"dataset": DATASET},
    )
    await node.node.db.write(lambda tx: rows.save(tx, verified, 0))
    path, type_ = f"/negotiations/{pid}/agreement/verification", "ContractAgreementVerificationMessage"
    members = {"@id": "urn:uuid:again", "providerPid": pid}
    assert (await say(node, path, type_, **members))[0] == 200
    assert rows.process(node.node.db.read, pid) == verified
    assert (await say(node, path, type_, contexts=(), **members))[0] == 400


@pytest.mark.parametrize(("contexts", "pause"), [((), 0.0), ((EDC_CONTEXT,), 0.1)])
async def test_reactions_to_eclipse_wait_a_moment(
    node: Running, contexts: tuple[str, ...], pause: float
) -> None:
    """Our agreement goes out at once, except to EDC: there only after it has digested our answer."""
    _, body = await ask(node, contexts=contexts)
    outgoing = rows.outgoing(node.node.db.read, body["providerPid"])
    assert outgoing
    assert outgoing.created == node.node.clock.now() + pause
