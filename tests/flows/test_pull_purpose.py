"""The consumer's side of purposes: declared with each request; none leaves that was not agreed."""

from pathlib import Path

import aiohttp
import pytest

from connector.errors import Denied
from tests.flows.test_claims import negotiate
from tests.nodes import Running, until
from tests.space import space

REPAIR = {"offer": "everyone", "allow": "use", "when": [{"purpose": ["repair", "inspection"]}]}
DATASETS = [{"id": "urn:x:data", "title": "D", "offers": ["repair"], "source": {"inline": {"a": 1}}}]


async def started(consumer: Running, provider: Running) -> str:
    done = await negotiate(consumer, provider, "urn:x:data")
    process = await consumer.node.transfers.request(done.details["agreement"])
    assert (await until(consumer, process.pid, "STARTED")).state == "STARTED"
    return process.pid


async def test_a_purpose_is_declared_and_checked_first(tmp_path: Path) -> None:
    """One that was agreed reaches the provider, which writes it down; none, or another, is refused here, with
    the agreed ones, and the provider is not even asked."""
    async with space(tmp_path) as made:
        provider = await made.add("provider", policies={"repair": REPAIR}, datasets=DATASETS)
        consumer = await made.add("consumer")
        pid = await started(consumer, provider)
        pull = consumer.node.pull
        assert pull.purposes(pid) == ("inspection", "repair")
        for purpose in (None, "marketing"):
            with pytest.raises(Denied, match="agreed for inspection or repair"):
                async with pull.open(pid, {}, purpose):
                    pass
        assert provider.node.audit.tail(5) == []
        async with pull.open(pid, {}, "Repair") as stream:
            assert stream.status == 200
            assert b"".join([chunk async for chunk in stream.chunks]) == b'{"a":1}'
        (line,) = provider.node.audit.tail(5)
        assert (line["purpose"], line["permitted"]) == ("Repair", True)
        address = await pull.address(pid)
        async with (
            aiohttp.ClientSession() as session,
            session.get(address.endpoint, headers={"Authorization": address.authorization}) as answer,
        ):
            assert (answer.status, "declare the purpose" in await answer.text()) == (403, True)


async def test_a_purpose_that_is_one_way_of_several_need_not_be_declared(tmp_path: Path) -> None:
    """Who may have the data without a purpose is not stopped by its own node."""
    either = {"offer": "everyone", "allow": "use", "when": [{"any": [{"times": 1}, {"purpose": "repair"}]}]}
    async with space(tmp_path) as made:
        provider = await made.add("provider", policies={"repair": either}, datasets=DATASETS)
        consumer = await made.add("consumer")
        pid = await started(consumer, provider)
        async with consumer.node.pull.open(pid, {}) as stream:
            assert stream.status == 200
        with pytest.raises(Denied, match="answered 403"):
            async with consumer.node.pull.open(pid, {}):
                pass
        async with consumer.node.pull.open(pid, {}, "repair") as stream:
            assert stream.status == 200
