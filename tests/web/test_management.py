"""The management API: everything an operator can do with two real nodes, and nothing of a secret in it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator

from connector.store import processes as rows
from connector.web import management
from connector.web.openapi import document
from tests.nodes import TOKEN, Running, running, until

POLICIES = {
    "open": {"offer": "everyone", "allow": "use"},
    "friends": {"offer": {"partners": ["did:web:friend.example"]}, "allow": "use"},
    "trucks": {"offer": {"to": "everyone", "data": {"category": "industrial"}}, "allow": "use"},
}
OPEN = {
    "readable": True,
    "sentence": "The data may be used.",
    "terms": [
        {
            "says": "using the data by who has agreed",
            "enforcement": "enforced",
            "how": "decided by the provider's node at every step",
            "path": "permission[0]",
        }
    ],
}
"""What the policy `open` says, whoever is asked."""
DATASET = {
    "id": "https://maker.example/passports/1",
    "title": "Passport",
    "properties": {"category": "EV"},
    "offers": ["open"],
    "source": {"inline": {"hello": "battery"}},
}


class Operator:
    """Somebody with the management token of a node."""

    def __init__(self, running_node: Running, session: aiohttp.ClientSession, url: str) -> None:
        self.running, self.session, self.url = running_node, session, url

    async def __call__(
        self, method: str, path: str, body: Any = None, status: int = 200, **query: str
    ) -> Any:
        async with self.session.request(method, self.url + path, json=body, params=query) as answer:
            text = await answer.text()
            assert answer.status == status, text
            return json.loads(text) if text else None

    async def agreed(self, provider: Running) -> str:
        """The id of an agreement about DATASET."""
        asked = {"peer": provider.did, "dataset": DATASET["id"]}
        made = await self("POST", "/negotiations", asked, 201)
        done = await until(self.running, made["process"]["pid"], "FINALIZED")
        assert done.state == "FINALIZED", done.reason
        return done.details["agreement"]

    async def started(self, provider: Running) -> str:
        """The pid of a running transfer of DATASET."""
        agreement = await self.agreed(provider)
        made = await self("POST", "/transfers", {"agreement": agreement}, 201)
        await until(self.running, made["process"]["pid"], "STARTED")
        return made["process"]["pid"]

    @asynccontextmanager
    async def events(self, **query: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """The steps that `/events` tells."""
        headers = {"Last-Event-ID": query.pop("after")} if "after" in query else {}
        async with self.session.get(f"{self.url}/events", params=query, headers=headers) as answer:
            assert answer.content_type == "text/event-stream"

            async def told() -> AsyncIterator[dict[str, Any]]:
                number = 0
                async for line in answer.content:
                    name, _, value = line.decode().strip().partition(": ")
                    if name == "id":
                        number = int(value)
                    if name == "data":
                        yield {"id": number, **json.loads(value)}

            yield told()


@asynccontextmanager
async def operating(running_node: Running) -> AsyncIterator[Operator]:
    """The node's management listener, and its operator."""
    runner = web.AppRunner(management.application(running_node.node, TOKEN), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(20)) as session:
        try:
            yield Operator(running_node, session, url)
        finally:
            running_node.node.events.close()
            await runner.cleanup()


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Operator, Operator]]:
    """The operators of a consumer and of a provider with one open dataset."""
    async with (
        running(tmp_path / "provider", POLICIES, [DATASET]) as provider,
        running(tmp_path / "consumer") as consumer,
        operating(provider) as p,
        operating(consumer) as c,
    ):
        yield c, p


def test_the_document_is_valid_and_complete() -> None:
    """The OpenAPI document is valid, and every route in it says what it is for."""
    described = document(management.ROUTES, title="t", version="1", description="d")
    OpenAPIV31SpecValidator(described).validate()
    operations = [o for path in described["paths"].values() for o in path.values()]
    assert len(operations) == len(management.ROUTES)
    assert all(o["summary"] and o["description"] for o in operations)
    assert len({o["operationId"] for o in operations}) == len(operations)


async def test_status_tells_what_waits(pair: tuple[Operator, Operator]) -> None:
    """Status counts processes by state and shows what is on its way, when it is tried next, and why."""
    consumer, provider = pair
    await consumer.agreed(provider.running)
    offer = {"@type": "Offer", "@id": "urn:uuid:1", "target": "urn:x:1", "permission": [{"action": "use"}]}
    lost = await consumer.running.node.negotiations.request(
        "did:web:nobody.example", "http://127.0.0.1:9/dsp", offer
    )
    async with consumer.events(pid=lost.pid) as events:
        async for event in events:
            if "try 1 failed" in event.get("note", ""):
                break
    status = await consumer("GET", "/status")
    assert status["did"] == consumer.running.did
    assert status["negotiations"] == {"FINALIZED": 1, "NEW": 1}
    [delivery] = status["deliveries"]
    assert (delivery["pid"], delivery["kind"]) == (lost.pid, "request")
    assert "can't be reached" in delivery["problem"]
    detail = await consumer("GET", f"/negotiations/{lost.pid}")
    assert detail["delivery"]["problem"] == delivery["problem"]
    assert (await provider("GET", "/status"))["datasets"] == 1


async def test_the_catalog_is_published_into(pair: tuple[Operator, Operator]) -> None:
    """Datasets are listed, published, shown and withdrawn; peers see it at once; secrets stay inside."""
    consumer, provider = pair
    source = {"http": {"url": "https://erp.example/1", "headers": {"X-Key": "sesame"}}}
    await provider("POST", "/catalog", {**DATASET, "id": "urn:x:2", "source": source}, 201)
    page = await provider("GET", "/catalog", limit="1")
    assert [d["id"] for d in page["datasets"]] == [DATASET["id"]]
    page = await provider("GET", "/catalog", limit="1", after=page["next"])
    assert [(d["id"], d["origin"]) for d in page["datasets"]] == [("urn:x:2", "api")]
    shown = await provider("GET", "/catalog/urn:x:2")
    assert shown["dataset"]["source"]["http"]["headers"] == {"X-Key": "(hidden)"}
    shown = await provider("GET", f"/catalog/{quote(DATASET['id'], safe='')}")
    assert shown["dataset"] == {**DATASET, "keywords": []}
    assert shown["origin"].endswith("all.yaml")
    asked = {"peer": provider.running.url}
    assert len((await consumer("POST", "/peers/catalog", asked))["datasets"]) == 2
    await provider("DELETE", "/catalog/urn:x:2", status=204)
    await provider("DELETE", "/catalog/urn:x:2", status=404)
    assert len((await consumer("POST", "/peers/catalog", asked))["datasets"]) == 1
    wrong = await provider("POST", "/catalog", {**DATASET, "offers": ["opne"]}, 404)
    assert 'Did you mean "open"?' in wrong["reasons"][0]
    assert wrong["reasons"][0].endswith("If it is new, restart the node: policies are read at its start.")
    wrong = await provider("POST", "/catalog", {**DATASET, "offers": ["open", "trucks"]}, 404)
    assert wrong["reasons"] == [
        f'Dataset {DATASET["id"]} can\'t be offered under policy "trucks": that is for data whose '
        "category is industrial, and this has EV."
    ]


async def test_policies_are_told_in_english(pair: tuple[Operator, Operator]) -> None:
    """Each policy is listed with a sentence and its ODRL."""
    policies = (await pair[1]("GET", "/policies"))["policies"]
    assert [p["id"] for p in policies] == ["friends", "open", "trucks"]
    assert policies[0]["sentence"] == "Offered to did:web:friend.example only. The data may be used."
    assert policies[1]["rules"] == {"permission": [{"action": "use"}]}


async def test_peers_are_found_and_asked(pair: tuple[Operator, Operator]) -> None:
    """A peer is found by URL or DID; its catalog can be filtered; its dataset has offers to us."""
    consumer, provider = pair
    found = await consumer("GET", "/peers", peer=provider.running.url)
    assert found == {"participant": provider.running.did, "address": f"{provider.running.url}/dsp"}
    for wanted, number in (("EV", 1), ("LMT", 0)):
        asked = {"peer": provider.running.did, "filter": {"category": wanted}}
        page = await consumer("POST", "/peers/catalog", asked)
        assert len(page["datasets"]) == number
    query = {"peer": provider.running.did, "dataset": DATASET["id"]}
    answer = await consumer("GET", "/peers/dataset", **query)
    [offer] = answer["dataset"]["hasPolicy"]
    assert offer["@id"].startswith(DATASET["id"])
    assert answer["offers"] == [{**OPEN, "id": offer["@id"]}]
    unknown = await consumer("GET", "/peers/dataset", status=404, **{**query, "dataset": "urn:x:9"})
    assert "urn:x:9" in unknown["reasons"][0]


async def test_data_flows_and_tokens_stay_in_one_place(pair: tuple[Operator, Operator]) -> None:
    """From negotiation to bytes; nowhere but in data-address is there a token."""
    consumer, provider = pair
    pid = await consumer.started(provider.running)
    address = await consumer("GET", f"/transfers/{pid}/data-address")
    token = address["authorization"]
    assert address["endpoint"] == f"{provider.running.url}/data"
    assert "expires" in address
    async with consumer.session.get(f"{consumer.url}/transfers/{pid}/data") as answer:
        assert (answer.status, await answer.json()) == (200, {"hello": "battery"})
        etag = answer.headers["ETag"]
    headers = {"Range": "bytes=2-6", "If-Range": etag}
    async with consumer.session.get(f"{consumer.url}/transfers/{pid}/data", headers=headers) as answer:
        assert (answer.status, await answer.text()) == (206, "hello")
        assert answer.headers["Content-Range"] == "bytes 2-6/19"
    [agreement] = (await consumer("GET", "/agreements"))["agreements"]
    assert agreement["in_force"]
    shown = await consumer("GET", f"/agreements/{agreement['id']}")
    assert {name: shown.pop(name) for name in agreement} == agreement
    assert agreement["course"] == "running"
    assert shown == {"duties": [], "terms": {**OPEN, "id": agreement["id"]}}
    assert [line["permitted"] for line in (await provider("GET", "/audit"))["entries"]] == [True, True]
    for path in ("/status", "/transfers", f"/transfers/{pid}", "/negotiations", "/audit"):
        for operator in pair:
            if operator is provider and pid in path:
                continue
            assert token not in json.dumps(await operator("GET", path))


async def test_an_old_token_is_refreshed_once_for_all(pair: tuple[Operator, Operator]) -> None:
    """When the token is about to end, or is refused, one refresh serves all who read at that moment."""
    consumer, provider = pair
    pid = await consumer.started(provider.running)
    node = consumer.running.node

    async def read() -> str:
        async with consumer.session.get(f"{consumer.url}/transfers/{pid}/data") as answer:
            assert answer.status == 200, await answer.text()
            return await answer.text()

    async def spoil(change: dict[str, Any]) -> str:
        process = rows.process(node.db.read, pid)
        document = {**process.details["address"]}
        document["endpointProperties"] = [
            {**p, "value": change.get(p["name"], p["value"])} for p in document["endpointProperties"]
        ]
        await node.transfers.keep_address(pid, document)
        return node.peers.data_address(pid).authorization

    old = await spoil({"expiresIn": "1"})
    assert set(await asyncio.gather(*(read() for _ in range(5)))) == {'{"hello":"battery"}'}
    new = node.peers.data_address(pid)
    assert new.authorization != old
    assert new.expires is not None
    old = await spoil({"authorization": "wrong"})
    await asyncio.gather(*(read() for _ in range(5)))
    assert node.peers.data_address(pid).authorization not in (old, new.authorization)


async def test_what_ended_is_refused_with_the_reason(pair: tuple[Operator, Operator]) -> None:
    """After the provider ends a transfer, reading it is 403 with the provider's reason; moves are 409."""
    consumer, provider = pair
    pid = await consumer.started(provider.running)
    [theirs] = (await provider("GET", "/transfers"))["processes"]
    move = {"kind": "terminate", "reason": "The lease is over."}
    await provider("POST", f"/transfers/{theirs['pid']}/moves", move)
    await until(consumer.running, pid, "TERMINATED")
    refused = await consumer("GET", f"/transfers/{pid}/data", status=403)
    assert refused["reasons"] == ["The transfer has been terminated: The lease is over."]
    told = await consumer("POST", f"/transfers/{pid}/moves", {"kind": "suspend"}, 409)
    assert "can't send suspend" in told["reasons"][0]


async def test_transfers_are_suspended_and_resumed(pair: tuple[Operator, Operator]) -> None:
    """A suspended transfer gives nothing; resumed, it gives data again, with a new token."""
    consumer, provider = pair
    pid = await consumer.started(provider.running)
    await consumer("POST", f"/transfers/{pid}/moves", {"kind": "suspend"})
    await until(consumer.running, pid, "SUSPENDED")
    await consumer("GET", f"/transfers/{pid}/data", status=404)
    await consumer("POST", f"/transfers/{pid}/moves", {"kind": "start"})
    starts = 0
    async with consumer.events(pid=pid) as events:
        async for event in events:
            starts += (event["direction"], event["kind"]) == ("in", "start")
            if starts == 2:
                break
    async with consumer.session.get(f"{consumer.url}/transfers/{pid}/data") as answer:
        assert answer.status == 200


async def test_a_provider_offers_unasked(pair: tuple[Operator, Operator]) -> None:
    """A provider offers, the consumer's operator accepts by hand, and both reach FINALIZED."""
    consumer, provider = pair
    asked = {"peer": consumer.running.did, "dataset": DATASET["id"], "policy": "open"}
    made = await provider("POST", "/negotiations/offers", asked, 201)
    await until(provider.running, made["process"]["pid"], "OFFERED")
    [ours] = (await consumer("GET", "/negotiations"))["processes"]
    for operator, pid in ((consumer, ours["pid"]), (provider, made["process"]["pid"])):
        shown = await operator("GET", f"/negotiations/{pid}")
        assert shown["terms"] == {**OPEN, "id": shown["process"]["offer"]["@id"]}
    assert (ours["role"], ours["state"], ours["dataset"]) == ("CONSUMER", "OFFERED", DATASET["id"])
    assert (ours["waits"], "waits_until" in ours) == ("offer", False)
    status = await consumer("GET", "/status")
    assert (status["waiting"], status["to_decide"]) == (1, [ours])
    assert (await provider("GET", "/status"))["waiting"] == 0
    async with consumer.events(pid=ours["pid"]) as events:
        assert (await anext(events))["waits"] == "offer"
    await consumer("POST", f"/negotiations/{ours['pid']}/moves", {"kind": "accept"})
    done = await until(provider.running, made["process"]["pid"], "FINALIZED")
    assert done.state == "FINALIZED"
    assert (await consumer("GET", "/status"))["to_decide"] == []
    denied = await provider("POST", "/negotiations/offers", {**asked, "policy": "friends"}, 404)
    assert "only under: open" in denied["reasons"][0]


async def test_terms_of_our_own_that_can_not_be_sent_are_our_fault(pair: tuple[Operator, Operator]) -> None:
    """Too many, or no offer at all: the request is refused with what is wrong; no peer is blamed or asked."""
    consumer, provider = pair
    asked = {"peer": provider.running.did, "dataset": DATASET["id"]}
    many = {"@type": "Offer", "@id": "urn:x:1", "permission": [{"action": "use"}] * 101}
    offer = {"peer": consumer.running.did, "dataset": DATASET["id"], "policy": "open"}
    made = await provider("POST", "/negotiations/offers", offer, 201)
    await until(provider.running, made["process"]["pid"], "OFFERED")
    [found] = (await consumer("GET", "/negotiations"))["processes"]
    moves = f"/negotiations/{found['pid']}/moves"
    for terms, why in ((many, "permission: has 101 entries"), ({"@type": "Offer"}, "@id: must be there")):
        for path, body in (("/negotiations", asked), (moves, {"kind": "request"})):
            wrong = await consumer("POST", path, {**body, "terms": terms}, 400)
            assert wrong["code"] == "bad-request"
            assert f"terms of this node's own: {why}" in wrong["reasons"][0]
    wrong = await consumer("POST", moves, {"kind": "request"}, 400)
    assert "terms: must be there for request" in wrong["reasons"][0]
    assert len((await consumer("GET", "/negotiations"))["processes"]) == 1


async def test_events_tell_everything_once(pair: tuple[Operator, Operator]) -> None:
    """The events of a process begin with its past; those of a node go on after the last one seen."""
    consumer, provider = pair
    async with provider.events() as all_events:
        made = await consumer(
            "POST", "/negotiations", {"peer": provider.running.did, "dataset": DATASET["id"]}, 201
        )
        seen = []
        async for event in all_events:
            seen.append(event)
            if event["state"] == "FINALIZED":
                break
    async with provider.events(after=str(seen[1]["id"])) as later:
        assert [await anext(later) for _ in seen[2:]] == seen[2:]
    pid = made["process"]["pid"]
    async with consumer.events(pid=pid) as events:
        told = []
        async for event in events:
            told.append((event["direction"], event["kind"]))
            if event.get("state") == "FINALIZED":
                break
    history = (await consumer("GET", f"/negotiations/{pid}"))["history"]
    assert told == [(step["direction"], step["kind"]) for step in history]
    assert len({event["id"] for event in seen}) == len(seen)


async def test_events_end_when_the_node_stops(pair: tuple[Operator, Operator]) -> None:
    """A listener's stream ends cleanly at shutdown."""
    consumer, _ = pair
    async with consumer.session.get(f"{consumer.url}/events") as answer:
        consumer.running.node.events.close()
        assert await answer.content.read() == b""


async def test_data_that_breaks_off_does_not_look_whole(pair: tuple[Operator, Operator]) -> None:
    """When the source breaks in the middle, the reader's connection breaks too: no part looks whole."""
    consumer, provider = pair

    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport is not None
        request.transport.close()
        return response

    app = web.Application()
    app.router.add_get("/", broken)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    source = {"http": {"url": f"http://127.0.0.1:{runner.addresses[0][1]}/"}}
    await provider("POST", "/catalog", {**DATASET, "source": source}, 201)
    pid = await consumer.started(provider.running)
    async with consumer.session.get(f"{consumer.url}/transfers/{pid}/data") as answer:
        assert answer.headers["Content-Length"] == "1000"
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    await runner.cleanup()


async def test_pages_go_on(pair: tuple[Operator, Operator]) -> None:
    """Lists of processes come in pages, newest first."""
    consumer, provider = pair
    for _ in range(3):
        await consumer.agreed(provider.running)
    first = await consumer("GET", "/negotiations", limit="2")
    rest = await consumer("GET", "/negotiations", limit="2", before=str(first["next"]))
    await consumer("GET", "/negotiations", before="9" * 30, status=400)
    pids = [p["pid"] for p in first["processes"] + rest["processes"]]
    assert len(set(pids)) == 3
    assert "next" not in rest
    assert "next" not in await consumer("GET", "/negotiations", limit="3"), "there are no more"
    first = await consumer("GET", "/agreements", limit="2")
    rest = await consumer("GET", "/agreements", limit="2", after=first["next"])
    agreed = [a["agreed"] for a in first["agreements"] + rest["agreements"]]
    assert (len(agreed), agreed) == (3, sorted(agreed, reverse=True))
    assert "next" not in rest
    for path in ("/agreements", "/duties"):
        wrong = await consumer("GET", path, status=400, after="urn:x:1")
        assert wrong["reasons"] == ["after: must be the `next` of a page before."]
