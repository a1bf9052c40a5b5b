"""DID documents of others: fetched from real servers, kept, refused."""

import asyncio
import base64
import json

import pytest
from aiohttp import web

from connector.errors import AnodeError, EgressDenied, Unavailable, Untrusted
from connector.peers.client import Answer, Client
from connector.peers.did_web import DidResolver
from connector.peers.egress import Egress
from connector.vc import did as did_web
from connector.vc import keys, methods, multikey
from tests.peers.conftest import Serve
from tests.peers.hosts import Clock, Hosts

A = "did:web:a.example"
DOCUMENT = {"id": A}


def resolver(hosts: Hosts, clock: Clock, **options: float) -> DidResolver:
    return DidResolver(hosts, "https", clock, **options)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/did+json"])
async def test_over_the_network(client: Client, serve: Serve, content_type: str) -> None:
    """A document is read from where its DID says, whatever type its server claims."""
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=json.dumps({"id": did}).encode(), headers={"content-type": content_type})

    port = (await serve(handler)).rpartition(":")[2]
    did = f"did:web:localhost%3A{port}:base"
    assert await DidResolver(client, "http", Clock()).resolve(did) == {"id": did}
    assert asked == ["/base/did.json"]


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (301, b"", "redirects elsewhere"),
        (308, b"", "redirects elsewhere"),
        (404, b"", "it answered 404"),
        (410, b"", "it answered 410"),
        (204, b"", "it answered 204"),
        (200, b"", "must be JSON"),
        (200, b"<html>", "not JSON"),
        (200, b"[]", "not a JSON object"),
        (200, b'{"id": "did:web:b.example"}', "has the id 'did:web:b.example'"),
        (200, b"{}", "has the id None"),
        (200, b'{"id": ' + b"[" * 500 + b"]" * 500 + b"}", "deeper than 16"),
        (200, b'{"id": "' + b"x" * 70_000 + b'"}', "more than 65536 bytes"),
    ],
)
async def test_unsound(client: Client, serve: Serve, status: int, body: bytes, reason: str) -> None:
    """A host that answers, but with no sound document of this DID, makes it Untrusted, with the reason."""

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"location": "/other"})

    port = (await serve(handler)).rpartition(":")[2]
    with pytest.raises(Untrusted, match=reason):
        await DidResolver(client, "http", Clock()).resolve(f"did:web:localhost%3A{port}")


async def test_never_answers(client: Client, serve: Serve) -> None:
    """A host that never answers is Unavailable, which says when to come back."""

    async def handler(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    port = (await serve(handler)).rpartition(":")[2]
    with pytest.raises(Unavailable, match=r"can't be fetched now; localhost:\d+ did not answer") as caught:
        await DidResolver(client, "http", Clock(), timeout=0.1).resolve(f"did:web:localhost%3A{port}")
    assert caught.value.retry_after == 5


async def test_out_of_reach() -> None:
    """A DID on a host that this node must not reach is denied."""
    client = Client(Egress("internet"))
    with pytest.raises(EgressDenied, match=r"network\.reach is 'internet'"):
        await DidResolver(client, "https", Clock()).resolve("did:web:localhost%3A8080")
    await client.close()


async def test_malformed_is_not_asked_for() -> None:
    """A malformed DID causes no request."""
    hosts = Hosts()
    for did in ("did:web:127.0.0.1", "did:key:z6Mk", "x"):
        with pytest.raises(Untrusted):
            await resolver(hosts, Clock()).resolve(did)
    assert hosts.asked == []


async def test_kept_for_its_lifetime() -> None:
    """A document is fetched once in its lifetime, and is the same object until then."""
    hosts, clock = Hosts(), Clock()
    hosts.publish(DOCUMENT)
    resolve = resolver(hosts, clock, lifetime=300).resolve
    first = await resolve(A)
    clock.now += 299
    assert await resolve(A) is first
    assert len(hosts.asked) == 1
    clock.now += 1
    assert await resolve(A) is not first
    assert len(hosts.asked) == 2


async def test_max_age_wants_a_younger_one() -> None:
    """`max_age` fetches anew, but not more often than that."""
    hosts, clock = Hosts(), Clock()
    hosts.publish(DOCUMENT)
    resolve = resolver(hosts, clock).resolve
    first = await resolve(A)
    clock.now += 29
    assert await resolve(A, max_age=30) is first
    clock.now += 1
    second = await resolve(A, max_age=30)
    assert second is not first
    assert await resolve(A, max_age=30) is second
    assert len(hosts.asked) == 2


async def test_one_fetch_for_all_who_ask() -> None:
    """Any number that ask at once share one fetch; one that stops waiting stops nobody else."""
    hosts = Hosts()
    hosts.publish(DOCUMENT)
    hosts.open.clear()
    resolve = resolver(hosts, Clock()).resolve
    waiting = [asyncio.create_task(resolve(A)) for _ in range(50)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    hosts.open.set()
    results = await asyncio.gather(*waiting[1:])
    assert waiting[0].cancelled()
    assert results == [DOCUMENT] * 49
    assert len(hosts.asked) == 1


@pytest.mark.parametrize("trouble", [Unavailable("away"), Untrusted("bad"), EgressDenied("no")])
async def test_failures_are_kept_briefly(trouble: AnodeError) -> None:
    """A failure is not tried again for some seconds, then it is."""
    hosts, clock = Hosts({did_web.document_url(A): trouble}), Clock()
    resolve = resolver(hosts, clock, failure_lifetime=5).resolve
    for _ in range(10):
        with pytest.raises(type(trouble), match=str(trouble)):
            await resolve(A)
    assert len(hosts.asked) == 1
    hosts.publish(DOCUMENT)
    clock.now += 5
    assert await resolve(A) == DOCUMENT


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_trouble_at_the_host_is_passing(status: int) -> None:
    """A host in trouble makes a DID unavailable, not untrusted."""
    hosts = Hosts({did_web.document_url(A): Answer(status, {}, b"")})
    with pytest.raises(Unavailable, match=f"answered {status}"):
        await resolver(hosts, Clock()).resolve(A)


async def test_refresh_that_fails_keeps_the_document() -> None:
    """A document that is still good stays, if a younger one can't be had; one that is withdrawn does not."""
    hosts, clock = Hosts(), Clock()
    hosts.publish(DOCUMENT)
    resolve = resolver(hosts, clock).resolve
    first = await resolve(A)
    clock.now += 60
    hosts.answers[did_web.document_url(A)] = Unavailable("away")
    assert await resolve(A, max_age=30) is first
    assert await resolve(A) is first
    clock.now += 60
    hosts.answers[did_web.document_url(A)] = Answer(404, {}, b"")
    with pytest.raises(Untrusted, match="404"):
        await resolve(A, max_age=30)
    with pytest.raises(Untrusted, match="404"):
        await resolve(A)


async def test_memory_is_bounded() -> None:
    """The oldest documents are let go of, and broken DIDs push out no good one."""
    hosts = Hosts()
    for n in range(12):
        hosts.publish({"id": f"did:web:h{n}.example"}, f"did:web:h{n}.example")
    resolve = resolver(hosts, Clock(), capacity=10).resolve
    for n in range(12):
        await resolve(f"did:web:h{n}.example")
    for n in range(50):
        with pytest.raises(Untrusted):
            await resolve(f"did:web:broken{n}.example")
    hosts.asked.clear()
    await resolve("did:web:h11.example")
    await resolve("did:web:h2.example")
    assert hosts.asked == []
    await resolve("did:web:h0.example")
    assert len(hosts.asked) == 1


async def test_fetches_are_bounded() -> None:
    """While too many fetches hang, more are put off at once; known DIDs are served."""
    hosts = Hosts()
    hosts.publish(DOCUMENT)
    resolve = resolver(hosts, Clock(), fetches=3).resolve
    await resolve(A)
    hosts.open.clear()
    hanging = [asyncio.create_task(resolve(f"did:web:slow{n}.example")) for n in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="too many DID documents"):
        await resolve("did:web:b.example")
    assert await resolve(A) == DOCUMENT
    hosts.open.set()
    results = await asyncio.gather(*hanging, return_exceptions=True)
    assert all(isinstance(result, Untrusted) for result in results)


@pytest.mark.parametrize("kind", multikey.KINDS)
async def test_dids_that_are_keys_need_no_network(kind: multikey.Kind) -> None:
    """did:key and did:jwk come through the same entrance as did:web, and nothing is fetched for them."""
    hosts = Hosts()
    public = multikey.generate(kind).public_key()
    jwk = base64.urlsafe_b64encode(json.dumps(multikey.jwk(public)).encode()).decode().rstrip("=")
    for did, name in ((methods.did_key(public), multikey.encode(public)), (f"did:jwk:{jwk}", "0")):
        document = await resolver(hosts, Clock()).resolve(did)
        assert methods.method_key(document, f"{did}#{name}", "assertionMethod") == public
    assert hosts.asked == []


@pytest.mark.parametrize(
    "did",
    [
        "did:key:z6Mk",
        "did:key:",
        "did:jwk:e30",
        "did:jwk:!",
        "did:key:z6Mk/x",
        "did:example:1",
        "did:",
        "x",
        "",
    ],
)
async def test_dids_that_are_none(did: str) -> None:
    """A did:key that holds no key, another method, or no DID at all is Untrusted, and nothing is fetched."""
    hosts = Hosts()
    with pytest.raises(Untrusted):
        await resolver(hosts, Clock()).resolve(did)
    assert hosts.asked == []


async def test_our_own_document_is_not_fetched() -> None:
    """What this node publishes it knows itself, as it is now."""
    hosts = Hosts()
    mine = DidResolver(hosts, "https", Clock(), own=lambda did: DOCUMENT if did == A else None)
    assert await mine.resolve(A) is DOCUMENT
    with pytest.raises(Untrusted, match="it answered 404"):
        await mine.resolve("did:web:b.example")
    assert hosts.asked == ["https://b.example/.well-known/did.json"]


async def test_our_own_document_over_the_network(client: Client, serve: Serve) -> None:
    """What a node publishes, another reads and finds the key in."""
    key = None

    async def handler(_request: web.Request) -> web.Response:
        return web.json_response(
            did_web.document(did, [did_web.method(key.kid, key.signer.public)], did_web.services(base))
        )

    base = await serve(handler)
    base = base.replace("127.0.0.1", "localhost")
    did = did_web.did_for(base)
    key = keys.generate(did)
    document = await DidResolver(client, "http", Clock()).resolve(did)
    found = methods.verification_key(document, did, key.kid)
    assert found == key.signer.public
