"""A data space of fifty nodes over a network that loses, repeats and delays: both sides always end alike."""

import asyncio
import contextlib
import random
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.dsp.process import Process
from connector.dsp.terms import FINAL, Kind, Role, State, Subject
from connector.errors import AnodeError
from connector.node import Node
from tests.dataspace import Dataspace, Weather

POLICIES = {"open": {"offer": "everyone", "allow": "use"}}
DATASETS = [
    {"id": "urn:x:battery", "title": "Battery", "offers": ["open"], "source": {"inline": {"a": 1}}},
]
WHIMS = {
    Subject.NEGOTIATION: [Kind.TERMINATE],
    Subject.TRANSFER: [Kind.SUSPEND, Kind.START, Kind.COMPLETE, Kind.TERMINATE],
}


async def request(space: Dataspace, consumer: Node, provider: Node) -> Process:
    terms = provider.catalog.terms["open"]
    offer = terms.document("urn:x:battery")
    return await consumer.negotiations.request(provider.participant, provider.address, offer)


async def whim(node: Node, process: Process, chance: random.Random) -> None:
    """What an operator may do at any moment: anything, legal or not."""
    kind = chance.choice(WHIMS[process.subject])
    move = node.negotiations.move if process.subject is Subject.NEGOTIATION else node.transfers.move
    with contextlib.suppress(AnodeError):  # not now: refused as it should be
        await move(process.pid, kind, "a whim")


async def live(space: Dataspace, trades: list[tuple[int, int]], chance: random.Random, whims: int) -> None:
    """Negotiate, transfer, and interfere at random moments."""
    for consumer, provider in trades:
        await request(space, space.nodes[consumer], space.nodes[provider])
        await space.settle(chance.uniform(0, 0.5))
    for _ in range(whims):
        await space.settle(chance.uniform(0, 2))
        everything = [*space.processes(Subject.NEGOTIATION), *space.processes(Subject.TRANSFER)]
        index, process = chance.choice(everything)
        node = space.nodes[index]
        if process.subject is Subject.NEGOTIATION and process.state is State.FINALIZED:
            if process.role is Role.CONSUMER:
                await node.transfers.request(process.details["agreement"])
        else:
            await whim(node, process, chance)
    await space.settle()


def check(space: Dataspace) -> dict[State | None, int]:
    """Both sides of every process are in the same state, and nothing is on its way."""
    ends: dict[State | None, int] = {}
    for subject in Subject:
        for consumer, provider in space.pairs(subject):
            ends[consumer.state] = ends.get(consumer.state, 0) + 1
            assert consumer.pending is None, consumer
            if provider is None:
                assert consumer.state is State.TERMINATED, f"the provider never heard of {consumer}"
                continue
            assert provider.pending is None, provider
            assert consumer.state is provider.state, (consumer, provider)
            if subject is Subject.NEGOTIATION:
                assert consumer.state in FINAL
    return ends


async def test_fifty_nodes_in_bad_weather(tmp_path: Path) -> None:
    """Fifty nodes, a hundred negotiations, interference, loss, repetition and delay: all end alike."""
    chance = random.Random(7)
    weather = Weather(lose_request=0.1, lose_answer=0.15, twice=0.1, late=0.3)
    async with Dataspace(tmp_path, 50, 7, weather, policies=POLICIES, datasets=DATASETS) as space:
        trades = [tuple(chance.sample(range(50), 2)) for _ in range(100)]
        await live(space, trades, chance, whims=300)  # type: ignore[arg-type]
        ends = check(space)
        happened = space.network.happened
    assert ends[State.FINALIZED] > 20
    assert all(happened[what] > 10 for what in ("lost requests", "lost answers", "delivered twice", "late"))


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(
    seed=st.integers(0, 1 << 30),
    weather=st.builds(
        Weather,
        lose_request=st.floats(0, 0.4),
        lose_answer=st.floats(0, 0.4),
        twice=st.floats(0, 0.5),
        late=st.floats(0, 0.9),
        longest=st.floats(0.01, 25),
    ),
    whims=st.integers(0, 40),
)
def test_any_weather_ends_alike(tmp_path_factory, seed: int, weather: Weather, whims: int) -> None:
    """Whatever the weather and whatever operators do, no two sides come to rest in different states."""

    async def story() -> None:
        chance = random.Random(seed)
        folder = tmp_path_factory.mktemp("space")
        async with Dataspace(folder, 3, seed, weather, policies=POLICIES, datasets=DATASETS) as space:
            trades = [tuple(chance.sample(range(3), 2)) for _ in range(4)]
            await live(space, trades, chance, whims)
            check(space)

    asyncio.run(story())
