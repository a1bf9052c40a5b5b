"""Onward sharing: what was made from agreed data is offered within what was agreed, while that holds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from connector.dsp.terms import Kind, Role, Subject
from connector.errors import InvalidFile, NotFound, Untrusted
from connector.flows.catalog import query
from connector.flows.publish import Dataset
from connector.flows.transfer import read_address
from connector.flows.uses import Asked
from connector.node import Node
from connector.peers.client import Answer
from connector.store import courses
from connector.store import processes as rows
from connector.store.processes import Agreement
from tests.dataspace import Dataspace

DAY = 86_400.0
POLICIES = {
    "lease": {
        "offer": "everyone",
        "allow": "use",
        "when": [{"purpose": ["repair", "audit"]}, {"for": "90 days"}],
    },
    "short": {"offer": "everyone", "allow": "use", "when": [{"purpose": "repair"}, {"for": "10 days"}]},
    "long": {"offer": "everyone", "allow": "use", "when": [{"purpose": "repair"}, {"for": "91 days"}]},
    "kept": {"offer": "everyone", "allow": "use", "never": ["distribute"]},
}
BATTERY = {"id": "urn:x:battery", "title": "Battery", "offers": ["lease"], "source": {"inline": 1}}
KEPT = {"id": "urn:x:kept", "title": "Battery", "offers": ["kept"], "source": {"inline": 1}}


@asynccontextmanager
async def agreed(folder: Path, dataset: str = "urn:x:battery") -> AsyncIterator[tuple[Dataspace, str]]:
    """Three nodes; the second has an agreement with the first, whose id this is."""
    async with Dataspace(folder, 3, policies=POLICIES, datasets=[BATTERY, KEPT]) as space:
        first, second, _ = space.nodes
        name = next(d["offers"][0] for d in (BATTERY, KEPT) if d["id"] == dataset)
        terms = first.catalog.terms[name].document(dataset)
        await second.negotiations.request(first.participant, first.address, terms)
        await space.settle(1.0)
        (agreement,) = rows.agreements(second.db.read, None, "", 10)
        assert agreement.role is Role.CONSUMER
        yield space, agreement.id


def derived(agreement: str, offer: str) -> Dataset:
    """A dataset made from an agreement's data."""
    made: dict[str, Any] = {"id": "urn:x:derived", "title": "Derived", "source": {"inline": 2}}
    return Dataset.model_validate({**made, "offers": [offer], "derived_from": agreement})


async def passed_on(space: Dataspace, agreement: str) -> Agreement:
    """What the third node agreed with the second, about what that one made of the first one's data."""
    _, second, third = space.nodes
    await second.publisher.publish(derived(agreement, "short"))
    terms = second.catalog.terms["short"].document("urn:x:derived")
    await third.negotiations.request(second.participant, second.address, terms)
    await space.settle(1.0)
    (ours,) = rows.agreements(third.db.read, None, "", 10)
    return ours


async def test_only_what_was_agreed_can_be_passed_on(tmp_path: Path) -> None:
    """A policy within the agreement is published; a longer one, or an unknown agreement, is refused."""
    async with agreed(tmp_path) as (space, agreement):
        publisher = space.nodes[1].publisher
        await publisher.publish(derived(agreement, "short"))
        with pytest.raises(InvalidFile, match="under long: The terms go beyond"):
            await publisher.publish(derived(agreement, "long"))
        with pytest.raises(InvalidFile, match="no agreement in force"):
            await publisher.publish(derived("urn:x:nothing", "short"))


async def test_what_must_not_be_distributed_is_not_passed_on(tmp_path: Path) -> None:
    """An agreement that forbids distribution allows no offer at all."""
    async with agreed(tmp_path, "urn:x:kept") as (space, agreement):
        for offer in ("kept", "short"):
            with pytest.raises(InvalidFile, match="forbids passing it on"):
                await space.nodes[1].publisher.publish(derived(agreement, offer))


async def test_an_offer_ends_before_the_agreement_does(tmp_path: Path) -> None:
    """Ten days can be offered for eighty of the ninety; then it is in no catalog and no negotiation."""
    async with agreed(tmp_path) as (space, agreement):
        _, second, third = space.nodes
        await second.publisher.publish(derived(agreement, "short"))

        def listed() -> bool:
            body = orjson.loads(second.catalog.page(third.participant, query(None, None)).body)
            return "urn:x:derived" in [found["@id"] for found in body["dataset"]]

        terms = second.catalog.terms["short"].document("urn:x:derived")
        await space.settle(79 * DAY)
        assert listed()
        first = await third.negotiations.request(second.participant, second.address, terms)
        await space.settle(2 * DAY)
        assert not listed()
        with pytest.raises(NotFound):
            second.catalog.dataset(third.participant, "urn:x:derived")
        late = await third.negotiations.request(second.participant, second.address, terms)
        await space.settle(DAY)
        ends = [rows.process(third.db.read, process.pid) for process in (first, late)]
        assert [process and process.state for process in ends] == ["FINALIZED", "TERMINATED"]


async def test_nor_can_an_operator_pass_on_more_by_hand(tmp_path: Path) -> None:
    """An offer made by hand that goes beyond what was agreed comes to nothing when it is accepted."""
    async with agreed(tmp_path) as (space, agreement):
        _, second, third = space.nodes
        await second.publisher.publish(derived(agreement, "short"))
        terms = second.catalog.terms["long"].document("urn:x:derived")
        offered = await second.negotiations.offer(third.participant, third.address, terms)
        await space.settle(1.0)
        (theirs,) = third.db.read.execute(
            "SELECT pid FROM processes WHERE peer_pid = ?", (offered.pid,)
        ).fetchone()
        await third.negotiations.move(theirs, Kind.ACCEPT)
        await space.settle(1.0)
        ended = rows.process(second.db.read, offered.pid)
        assert ended is not None
        assert ended.state == "TERMINATED"
        assert "go beyond" in str(ended.reason)


@pytest.mark.parametrize("who", [0, 1])
async def test_what_is_passed_on_ends_with_what_it_was_made_from(tmp_path: Path, who: int) -> None:
    """When either side retires the agreement with the first node, the transfers of the third end
    with the reason, and no new one goes on, though its own agreement lasts longer."""
    async with agreed(tmp_path) as (space, agreement):
        third = space.nodes[2]
        ours = await passed_on(space, agreement)
        running = await third.transfers.request(ours.id)
        await space.settle(1.0)
        assert state(third, running.pid) == ("STARTED", None)
        await space.nodes[who].agreements.retire(agreement, "sold")
        await space.settle(DAY)
        ended = "The agreement under which the provider has the data has ended."
        assert state(third, running.pid) == ("TERMINATED", ended)
        again = await third.transfers.request(ours.id)
        await space.settle(1.0)
        assert state(third, again.pid) == ("TERMINATED", ended)


async def test_a_start_that_nobody_acknowledges_opens_nothing_after_the_end(tmp_path: Path) -> None:
    """A token that the third node has, and says nothing of, is void when the first agreement is retired; so
    is the one that would renew it."""
    async with agreed(tmp_path) as (space, agreement):
        _, second, third = space.nodes
        ours = await passed_on(space, agreement)
        request, given = space.network.request, []

        async def deaf(method: str, url: str, **more: Any) -> Answer:
            if not url.endswith("/start"):
                return await request(method, url, **more)
            given.append(read_address(orjson.loads(more["body"])["dataAddress"]))
            return Answer(503, {}, b"")

        second.courier._transport = SimpleNamespace(request=deaf)  # type: ignore[assignment]
        await third.transfers.request(ours.id)
        await space.settle(1.0)
        token, repair = f"Bearer {given[0].authorization}", Asked(purpose="repair")
        assert await second.data.open(token, {}, repair)
        await second.agreements.retire(agreement, "sold")
        await space.settle(1.0)
        with pytest.raises(Untrusted):
            await second.data.open(token, {}, repair)
        with pytest.raises(Untrusted):
            await second.refresh(third.participant, str(given[0].refresh_token))


async def test_an_end_that_comes_while_another_moment_is_acted_on_is_not_lost(tmp_path: Path) -> None:
    """The first agreement is retired between the look at a moment of the second one and what is written."""
    async with agreed(tmp_path) as (space, agreement):
        _, second, third = space.nodes
        ours = await passed_on(space, agreement)
        running = await third.transfers.request(ours.id)
        await space.settle(1.0)
        turned, retired = second.agreements._stops, []

        def interrupted(*about: Any) -> Any:
            found = turned(*about)
            if not retired:
                retired.append(
                    asyncio.get_running_loop().create_task(second.agreements.retire(agreement, "x"))
                )
            return found

        second.agreements._stops = interrupted  # type: ignore[method-assign]  # with something that comes after
        key = (Role.PROVIDER, ours.id, third.participant)
        await second.db.write(lambda tx: courses.look_again(tx, *key))
        second.agreements.look()
        await space.settle(DAY)
        assert retired[0].done()
        assert state(third, running.pid)[0] == "TERMINATED"


async def test_an_agreement_takes_the_name_of_no_other(tmp_path: Path) -> None:
    """A second provider that gives its agreement the id of the first one's is refused: what is passed on, and
    what is retired, goes by that name."""
    async with agreed(tmp_path) as (space, agreement):
        _, second, third = space.nodes
        conduct = third.exchange._conducts[Subject.NEGOTIATION]
        fresh, agree = conduct._new_id, conduct._agree  # type: ignore[attr-defined]

        def taken(*about: Any) -> Any:
            conduct._new_id = lambda: agreement  # type: ignore[attr-defined]
            try:
                return agree(*about)
            finally:
                conduct._new_id = fresh  # type: ignore[attr-defined]

        conduct._agree = taken  # type: ignore[attr-defined]
        terms = third.catalog.terms["lease"].document(BATTERY["id"])
        process = await second.negotiations.request(third.participant, third.address, terms)
        await space.settle(60.0)
        assert state(second, process.pid)[0] == "TERMINATED"
        (only,) = rows.agreements(second.db.read, None, "", 10)
        assert only.id == agreement


def state(node: Node, pid: str) -> tuple[str | None, str | None]:
    found = rows.process(node.db.read, pid)
    assert found is not None
    return found.state, found.reason
