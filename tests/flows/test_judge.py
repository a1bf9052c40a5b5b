"""Negotiation that negotiates: terms within are agreed to, others are countered, each side a few times."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector.dsp.process import Process
from connector.dsp.terms import Subject
from connector.errors import InvalidFile, LocalProtocolError, NotFound
from connector.odrl.authoring import load
from connector.odrl.model import offer, to_document
from connector.store import processes as rows
from tests.dataspace import Dataspace

DAY = 86_400.0
BATTERY = {"id": "urn:x:battery", "title": "Battery", "offers": ["lease"], "source": {"inline": 1}}
LEASE = {
    "offer": "everyone",
    "allow": "use",
    "when": [{"purpose": ["audit", "repair"]}],
    "never": ["distribute"],
    "stop": {"after": "90 days"},
}


def policies(folder: Path, **blocks: dict[str, Any]) -> Path:
    """A policy file."""
    path = folder / "asked.yaml"
    path.write_text(yaml.safe_dump(blocks, sort_keys=False))
    return path


@asynccontextmanager
async def two(
    folder: Path,
    lease: dict[str, Any] | None = None,
    need: dict[str, Any] | None = None,
    trial: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Dataspace]:
    """A provider with one policy or two, and a consumer with requirements, in order."""
    more = {"negotiation": settings}
    if need is not None:
        more["negotiation"] = {"accept": [str(policies(folder, **need))], **settings}
    offered = {"lease": lease or LEASE, **({"trial": trial} if trial else {})}
    files = {"policies": offered, "datasets": [{**BATTERY, "offers": [*offered]}], **more}
    async with Dataspace(folder, 2, **files) as space:
        yield space


async def ask(space: Dataspace, folder: Path, **change: Any) -> tuple[Process, Process]:
    """The consumer asks by the provider's policy with some blocks changed; both processes at rest."""
    blocks = {name: value for name, value in (LEASE | change).items() if value is not None}
    contract = load([policies(folder, lease=blocks)])["lease"].contract
    terms = {**to_document(offer(contract, "urn:x:mine")), "target": BATTERY["id"]}
    provider, consumer = space.nodes
    await consumer.negotiations.request(provider.participant, provider.address, terms)
    await space.settle(1.0)
    return sides(space)


def sides(space: Dataspace) -> tuple[Process, Process]:
    ((consumer, provider),) = space.pairs(Subject.NEGOTIATION)
    assert provider is not None
    return consumer, provider


async def test_a_subset_of_what_is_offered_is_agreed_to(tmp_path: Path) -> None:
    """Thirty days for one purpose, where ninety for two are offered: agreed, as it was asked for."""
    async with two(tmp_path) as space:
        when = [{"purpose": "repair"}]
        consumer, provider = await ask(space, tmp_path, when=when, stop={"after": "30 days"})
        assert (consumer.state, provider.state) == ("FINALIZED", "FINALIZED")
        agreement = rows.agreements(space.nodes[1].db.read, consumer.details["agreement"], "", 1)[0]
        constraints = agreement.document["permission"][0]["constraint"]
        assert [c["rightOperand"] for c in constraints] == [["repair"], "P30D"]
        (decided,) = provider.details["decisions"]
        assert (decided["permitted"], decided["policy"]) == (True, "lease")
        assert decided["tree"]["parts"][0]["parts"]


@pytest.mark.parametrize(
    "change", [{"stop": {"after": "91 days"}}, {"never": None}, {"when": None}, {"duty": ["log"]}]
)
async def test_more_than_is_offered_is_countered(tmp_path: Path, change: dict[str, Any]) -> None:
    """Longer, without what is forbidden, for any purpose, or a duty of the provider's: it offers its own."""
    async with two(tmp_path) as space:
        consumer, provider = await ask(space, tmp_path, **change)
        assert consumer.state == "OFFERED"
        assert consumer.details["digest"] == space.nodes[0].catalog.terms["lease"].digest
        (decided,) = provider.details["decisions"]
        assert {r["code"] for r in decided["reasons"]} <= {"wider-terms", "demands-more"}


async def test_an_offer_within_the_requirements_is_accepted(tmp_path: Path) -> None:
    """A consumer that asked for more takes what is offered, when it is all that it needs."""
    need = {"repair": {**LEASE, "when": [{"purpose": "repair"}], "stop": {"after": "60 days"}}}
    async with two(tmp_path, need=need) as space:
        consumer, _ = await ask(space, tmp_path, stop={"after": "1 year"})
        assert consumer.state == "FINALIZED"
        assert consumer.details["decisions"][-1]["policy"] == "repair"


async def test_a_consumer_counters_within_its_limits(tmp_path: Path) -> None:
    """Of two requirements the first is countered again; the second lies within another offer: agreed."""
    trial = {"offer": "everyone", "allow": "use", "stop": {"uses": 3, "after": "1 day"}}
    need = {
        "sale": {"offer": "everyone", "allow": ["use", "sell"]},
        "look": {"offer": "everyone", "allow": "use", "stop": {"uses": 2, "after": "1 hour"}},
    }
    async with two(tmp_path, need=need, trial=trial) as space:
        consumer, provider = await ask(space, tmp_path, stop={"after": "1 year"})
        assert consumer.state == "FINALIZED", consumer.reason
        assert (provider.details["policy"], provider.details["counters"]) == ("trial", 2)
        assert consumer.details["counters"] == 1


async def test_what_can_not_be_had_ends_with_the_reason(tmp_path: Path) -> None:
    """When no requirement can be met, the consumer ends it and says what is missing, with its code."""
    need = {"free": {"offer": "everyone", "allow": "use"}}
    async with two(tmp_path, need=need) as space:
        consumer, provider = await ask(space, tmp_path, stop={"after": "1 year"})
        assert (consumer.state, provider.state) == ("TERMINATED", "TERMINATED")
        assert "for 90 days" in str(provider.reason)
        assert {told["code"] for told in provider.details["told"]} == {"wider-terms"}


async def test_requirements_are_of_certain_providers(tmp_path: Path) -> None:
    """What a consumer accepts of others leaves an offer of this provider to the operator."""
    need = {"friends": {**LEASE, "offer": {"partners": ["did:web:friend.example"]}}}
    async with two(tmp_path, need=need) as space:
        consumer, _ = await ask(space, tmp_path, stop={"after": "1 year"})
        assert consumer.state == "OFFERED"


@pytest.mark.parametrize("counters", [0, 2])
async def test_counters_are_limited(tmp_path: Path, counters: int) -> None:
    """Two nodes that never agree exchange a limited number of counters, and end."""
    need = {
        f"for-{days}": {"offer": "everyone", "allow": ["use", "sell"], "when": [{"for": f"{days} days"}]}
        for days in range(9, 1, -1)
    }
    async with two(tmp_path, need=need, counters=counters) as space:
        consumer, provider = await ask(space, tmp_path, allow=["use", "sell"])
        assert (consumer.state, provider.state) == ("TERMINATED", "TERMINATED")
        assert provider.details.get("counters", 0) <= counters
        assert consumer.details.get("counters", 0) <= counters


# -- review


REVIEWED = {**LEASE, "review": "yes"}


async def test_a_review_waits_for_the_operator(tmp_path: Path) -> None:
    """With `review: yes` the negotiation stays REQUESTED on both sides until it is approved."""
    async with two(tmp_path, REVIEWED) as space:
        consumer, provider = await ask(space, tmp_path)
        assert (consumer.state, provider.state) == ("REQUESTED", "REQUESTED")
        assert provider.details["review_until"] == pytest.approx(space.clock.now() + 7 * DAY, abs=5)
        await space.nodes[0].negotiations.approve(provider.pid)
        await space.settle(1.0)
        assert [p.state for p in sides(space)] == ["FINALIZED", "FINALIZED"]
        with pytest.raises(LocalProtocolError, match="does not wait"):
            await space.nodes[0].negotiations.approve(provider.pid)
        await space.settle()
        assert sides(space)[0].state == "FINALIZED", "the deadline means nothing any more"


async def test_a_rejection_is_told(tmp_path: Path) -> None:
    """The consumer learns the operator's reason, and its code."""
    async with two(tmp_path, REVIEWED) as space:
        _, provider = await ask(space, tmp_path)
        await space.nodes[0].negotiations.reject(provider.pid, "not this year")
        await space.settle(1.0)
        consumer, _ = sides(space)
        assert (consumer.state, consumer.reason) == ("TERMINATED", "not this year")
        assert [told["code"] for told in consumer.details["told"]] == ["review-rejected"]


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_review_is_not_waited_for_for_ever(tmp_path: Path, restarted: bool) -> None:
    """After the deadline it ends, also when the node was restarted meanwhile."""
    async with two(tmp_path, review=True, review_deadline="2 days") as space:
        await ask(space, tmp_path)
        await space.settle(1.9 * DAY)
        assert sides(space)[0].state == "REQUESTED"
        if restarted:
            space.nodes[0].reviews._timers.clear()
            space.nodes[0].reviews.start()
        await space.settle(0.2 * DAY)
        assert sides(space)[0].state == "TERMINATED"
        assert [told["code"] for told in sides(space)[0].details["told"]] == ["review-overdue"]


async def test_access_by_law_is_never_reviewed(tmp_path: Path) -> None:
    """A policy for points of Annex XIII can't ask for a review, and the setting leaves it alone."""
    statutory = {**LEASE, "offer": {"to": "everyone", "data": {"point": [1, 2]}}}
    with pytest.raises(InvalidFile, match="access by law needs no approval"):
        load([policies(tmp_path, law={**statutory, "review": "yes"})])
    with pytest.raises(InvalidFile, match="must be yes or no"):
        load([policies(tmp_path, law={**LEASE, "review": "perhaps"})])
    dataset = {**BATTERY, "properties": {"point": "1"}}
    files = {"policies": {"lease": statutory}, "datasets": [dataset], "negotiation": {"review": True}}
    async with Dataspace(tmp_path, 2, **files) as space:
        consumer, _ = await ask(space, tmp_path)
        assert consumer.state == "FINALIZED"


async def chosen(space: Dataspace) -> str | None:
    """Which offer, or which terms, the consumer asks for by itself; how the negotiation ends."""
    provider, consumer = space.nodes
    peer = await consumer.peers.find(provider.participant)
    offers = await consumer.peers.offers(peer, BATTERY["id"])
    wanted = consumer.requirements.choose(peer.participant, offers, consumer.clock.now())
    await consumer.negotiations.request(peer.participant, peer.address, wanted)
    await space.settle(1.0)
    return sides(space)[0].state


async def test_the_offer_that_fits_is_asked_for(tmp_path: Path) -> None:
    """Of two offers the second fits what the consumer needs: that is asked for, and nothing else."""
    need = {
        "long": {"offer": "everyone", "allow": "use", "when": [{"purpose": "repair"}, {"for": "60 days"}]}
    }
    need["long"]["never"] = ["distribute"]
    short = {**LEASE, "stop": {"after": "10 days"}}
    async with two(tmp_path, lease=deepcopy(short), trial=LEASE, need=need) as space:
        assert await chosen(space) == "FINALIZED"
        (agreement,) = rows.agreements(space.nodes[1].db.read, None, "", 10)
        assert "P90D" in str(agreement.document)


async def test_what_is_needed_is_asked_for_where_no_offer_fits(tmp_path: Path) -> None:
    """An offer asks for a duty that the consumer does not take on: it asks without, the provider insists, and
    the negotiation ends with the reason."""
    need = {"mine": {"offer": "everyone", "allow": "use", "never": ["distribute"]}}
    lease = {**LEASE, "duty": [{"delete": {"within": "7 days", "of": "agreement-end"}}], "stop": None}
    lease = {name: block for name, block in lease.items() if block is not None}
    async with two(tmp_path, lease=lease, need=need) as space:
        assert await chosen(space) == "TERMINATED"
        assert "delete" in str(sides(space)[1].reason)


async def test_without_requirements_the_first_offer_is_asked_for(tmp_path: Path) -> None:
    """Requirements that are for other providers change nothing."""
    need = {
        "mine": {"offer": {"partners": ["did:web:x.example"]}, "allow": "use", "when": [{"for": "1 day"}]}
    }
    async with two(tmp_path, need=need) as space:
        assert await chosen(space) == "FINALIZED"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"review": "yes"}, "no `review` and no `data`"),
        ({"offer": {"to": "everyone", "data": {"point": [1]}}}, "no `review` and no `data`"),
        ({"offer": {"credential": "X"}}, "providers are not asked for credentials, such as X"),
    ],
)
async def test_a_requirement_that_could_never_apply_is_an_error(
    tmp_path: Path, more: dict[str, Any], said: str
) -> None:
    """Better no start than a node that takes the first offer although somebody wrote down what it needs."""
    need = {"mine": {"offer": "everyone", "allow": "use", **more}}
    with pytest.raises(InvalidFile, match=said):
        async with two(tmp_path, need=need):
            pass


async def test_offers_without_a_name_are_none(tmp_path: Path) -> None:
    """A peer's offer needs an id to be asked for; what has none, or is no object, is passed over."""
    async with two(tmp_path) as space:
        provider, consumer = space.nodes
        peer = await consumer.peers.find(provider.participant)
        dataset = await consumer.peers.dataset(peer, BATTERY["id"])
        [offered] = dataset["hasPolicy"]

        async def answered(*_: Any) -> dict[str, Any]:
            return dataset

        consumer.peers.dataset = answered  # type: ignore[method-assign]  # as another peer might answer
        nameless = {name: value for name, value in offered.items() if name != "@id"}
        dataset["hasPolicy"] = [nameless, "x", None, {**offered, "@id": 7}, offered]
        assert [one["@id"] for one in await consumer.peers.offers(peer, BATTERY["id"])] == [offered["@id"]]
        dataset["hasPolicy"] = nameless
        with pytest.raises(NotFound, match="no offer for urn:x:battery that has an @id"):
            await consumer.peers.offers(peer, BATTERY["id"])
