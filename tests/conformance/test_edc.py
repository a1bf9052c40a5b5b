"""A real Eclipse EDC connector and an Anode trade in both directions."""

import hashlib
from collections.abc import Iterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.conformance import edc

PAYLOAD = bytes(range(256)) * 4096

pytestmark = [pytest.mark.conformance, pytest.mark.needs("java", "javac", "mvn")]


@pytest.fixture(scope="module")
def eclipse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edc.Connector]:
    """One EDC, which plays provider and consumer."""
    with edc.start("eclipse", tmp_path_factory.mktemp("eclipse")) as connector:
        yield connector


async def payload(request: web.Request) -> web.Response:
    return web.Response(body=PAYLOAD, content_type="application/octet-stream")


async def test_two_eclipse_connectors_trade(
    eclipse: edc.Connector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The control: EDC, driven as here, trades with its like; what fails elsewhere is between us."""
    source = web.Application()
    source.router.add_get("/file", payload)
    with edc.start("control", tmp_path_factory.mktemp("control")) as consumer:
        async with TestServer(source) as server:
            await eclipse.publish("control-asset", str(server.make_url("/file")))
            provider = eclipse.peer
            shown = await consumer.dataset(provider, "control-asset")
            negotiation = await consumer.negotiate(provider, "control-asset", shown["hasPolicy"][0])
            agreed = await consumer.until_negotiation(negotiation, "FINALIZED", "TERMINATED")
            assert agreed["state"] == "FINALIZED"
            transfer = await consumer.transfer(provider, agreed["contractAgreementId"])
            await consumer.until_transfer(transfer, "STARTED")
            data = await consumer.fetch(transfer)
            assert hashlib.sha256(data).digest() == hashlib.sha256(PAYLOAD).digest()

            await consumer.suspend(transfer, "a pause")
            await consumer.until_transfer(transfer, "SUSPENDED")
            with pytest.raises(edc.EdcRefused):
                await consumer.fetch(transfer)
            await consumer.resume(transfer)
            await consumer.until_transfer(transfer, "STARTED")
            assert await consumer.fetch(transfer) == PAYLOAD
            await consumer.terminate(transfer, "enough")
            await consumer.until_transfer(transfer, "TERMINATED")
