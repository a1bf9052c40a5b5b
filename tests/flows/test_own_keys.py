"""A running node's keys: what it signs with, what it publishes, and what a peer makes of both."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from connector.dcp import self_issued
from connector.errors import InvalidFile, NotFound, Unavailable, Untrusted
from connector.flows.signing import signed
from connector.node import Node, Parts
from connector.vc import jose, keys, keystore, methods, multikey
from connector.vc.signers import InMemory
from tests import softhsm
from tests.dataspace import SimulatedClock
from tests.nodes import Running, running
from tests.vc.cases import GOOD

ANNOUNCED, OVERLAP = 300.0, 600.0


class Two:
    """Nodes A and B on one clock. B keeps A's DID document for 300 s, and fetches it over a socket."""

    def __init__(self, a: Running, b: Running, clock: SimulatedClock) -> None:
        self.a, self.b, self.clock = a, b, clock
        self.store = keystore.configured(a.node.config)

    async def heard(self) -> str:
        """The name of the key by which A speaks to B now; B takes what A says."""
        header = await self.a.node.identity.authorization(self.b.did)
        assert (await self.b.node.identity.authenticate(header)).did == self.a.did
        return str(jose.parse(header.removeprefix("Bearer ")).header["kid"]).rpartition("#")[2]

    async def say(self, key: keys.Key) -> None:
        """Have B hear a token of A by this key."""
        claims = self_issued.claims(self.a.did, self.b.did, self.clock.now(), f"jti-{self.clock.now()}")
        token = jose.sign({"typ": "JWT"}, claims, key)
        await self.b.node.identity.authenticate(f"Bearer {token}")

    def later(self, seconds: float) -> None:
        self.clock.advance(self.clock.now() + seconds)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    clock = SimulatedClock()
    async with AsyncExitStack() as stack:
        a, b = [
            await stack.enter_async_context(running(tmp_path / name, parts=Parts(clock=clock)))
            for name in "ab"
        ]
        yield Two(a, b, clock)


async def issued(node: Node, name: str, suite: str) -> dict[str, Any]:
    return await node.credentials.issue(name, suite, GOOD)


async def test_a_peer_verifies_what_our_ed25519_key_has_signed(two: Two) -> None:
    """A Data Integrity proof under our did:web holds at another node, by the document that it fetches."""
    credential = await issued(two.a.node, "ed25519-1", "eddsa-rdfc-2022")
    assert credential["proof"]["verificationMethod"] == f"{two.a.did}#ed25519-1"
    await two.b.node.verifier.verify(credential)
    document = await two.b.node.resolver.resolve(two.a.did)
    key = methods.method_key(document, f"{two.a.did}#ed25519-1", "assertionMethod")
    assert multikey.kind(key) == "Ed25519"
    assert [method["type"] for method in document["verificationMethod"]] == ["JsonWebKey2020", "Multikey"]
    credential["credentialSubject"]["name"] = "another"
    with pytest.raises(Untrusted):
        await two.b.node.verifier.verify(credential)


async def test_an_ed25519_key_does_not_speak_for_its_participant(two: Two) -> None:
    """Whoever has the key for documents can't send messages in our name."""
    with pytest.raises(Untrusted, match=r"does not list .*#ed25519-1. under capabilityInvocation"):
        await two.say(keys.Key(f"{two.a.did}#ed25519-1", InMemory(multikey.generate("P-256"))))


async def test_a_rotation_loses_no_message(two: Two) -> None:
    """B, with a copy of our document however old, takes each message, before, during and after."""
    assert await two.heard() == "key-1"
    two.later(1)  # B's copy is young: it would not be fetched anew for a key that it lacks
    two.store.rotate(["P-256", "Ed25519"], two.clock.now(), lead=ANNOUNCED, overlap=OVERLAP)
    two.a.node.reload()
    began = two.clock.now()
    heard = []
    while two.clock.now() < began + ANNOUNCED + OVERLAP + 400:
        heard.append((two.clock.now() - began, await two.heard()))
        two.later(25)
    assert {name for after, name in heard if after < ANNOUNCED} == {"key-1"}
    assert {name for after, name in heard if after >= ANNOUNCED} == {"key-2"}


async def test_the_old_key_through_the_overlap_and_after(two: Two) -> None:
    """It speaks until the overlap ends. What it has signed verifies beyond that; nothing else of it does."""
    old = two.a.node.keys.key() if two.a.node.keys else None
    assert old is not None
    before = [
        await issued(two.a.node, "key-1", "ecdsa-rdfc-2019"),
        await issued(two.a.node, "ed25519-1", "eddsa-jcs-2022"),
    ]
    two.store.rotate(["P-256", "Ed25519"], two.clock.now(), lead=ANNOUNCED, overlap=OVERLAP)
    two.a.node.reload()
    two.later(ANNOUNCED)
    after = await issued(two.a.node, "key-1", "ecdsa-rdfc-2019")
    assert after["proof"]["verificationMethod"] == f"{two.a.did}#key-2"
    two.later(OVERLAP - 1)
    await two.say(old)
    two.later(301)
    with pytest.raises(Untrusted, match=f"does not list .{two.a.did}#key-1. under capabilityInvocation"):
        await two.say(old)
    for credential in (*before, after):
        await two.b.node.verifier.verify(credential)
        await two.a.node.verifier.verify(credential)
    assert await two.heard() == "key-2"


async def test_a_retired_key_counts_for_nothing(two: Two) -> None:
    """At once at our own node, and at a peer as soon as its copy of our document is over."""
    old = two.a.node.keys.key() if two.a.node.keys else None
    assert old is not None
    credential = await issued(two.a.node, "key-1", "ecdsa-rdfc-2019")
    await two.b.node.verifier.verify(credential)
    two.store.retire("key-1", two.clock.now())
    two.a.node.reload()
    with pytest.raises(Untrusted, match="has no verification method"):
        await two.a.node.verifier.verify(credential)
    two.later(31)
    assert await two.heard() == "key-2"
    with pytest.raises(Untrusted, match="has no verification method"):
        await two.say(old)
    two.later(300)
    with pytest.raises(Untrusted, match="has no verification method"):
        await two.b.node.verifier.verify(credential)


async def test_status_lists_outlive_the_key_that_signed_them(two: Two) -> None:
    """A credential's list stays where it is through rotation, signed by the key of the day."""
    credential = await two.a.node.credentials.issue("key-1", "ecdsa-rdfc-2019", GOOD, revocable=True)
    two.store.rotate(["P-256"], two.clock.now(), lead=0, overlap=OVERLAP)
    two.a.node.reload()
    two.later(31)
    await two.b.node.verifier.verify(credential)
    await two.a.node.credentials.statuses.set(credential["credentialStatus"][0], value=True)
    two.later(301)
    with pytest.raises(Untrusted, match="revoked"):
        await two.b.node.verifier.verify(credential)


async def test_a_wrong_reload_changes_nothing(two: Two) -> None:
    """The mistake is told, and the node signs as before."""
    path = two.store.path
    good = path.read_bytes()
    path.write_bytes(b"{}")
    with pytest.raises(InvalidFile, match="not a keyring"):
        two.a.node.reload()
    assert await two.heard() == "key-1"
    path.write_bytes(good)
    two.store.rotate(["P-256"], two.clock.now(), lead=0, overlap=OVERLAP)
    (two.store.folder / "key-2.pem").unlink()
    with pytest.raises(InvalidFile, match=r"key-2\.pem: no key there"):
        two.a.node.reload()
    assert await two.heard() == "key-1"


async def test_issuers_by_name(two: Two) -> None:
    """The participant is called by its first keys; a new did:key issuer is there after a reload."""
    own = two.a.node.keys
    assert own is not None
    assert dict(own.issuers).keys() == {"key-1", "ed25519-1"}
    did, _ = two.store.add_issuer("authority", "Ed25519")
    with pytest.raises(NotFound, match="no issuer 'authority'; there are key-1, ed25519-1"):
        await issued(two.a.node, "authority", "eddsa-rdfc-2022")
    two.a.node.reload()
    assert (await issued(two.a.node, "authority", "eddsa-rdfc-2022"))["issuer"] == did
    assert own.dids == {"authority": did, "key-1": two.a.did, "ed25519-1": two.a.did}
    assert len(own.issuers) == 3
    assert "nobody" not in own.issuers


async def test_services_elsewhere_are_published(tmp_path: Path) -> None:
    """An operator whose connector is another program names its address; the wallet's stays ours."""
    services = {"DataService": "https://edc.example/dsp"}
    participant = {"did": "did:web:localhost%3A1", "name": "A", "services": services}
    async with running(tmp_path, participant=participant) as node:
        document = node.node.did_document()
    found = {service["type"]: service["serviceEndpoint"] for service in document["service"]}
    assert found["DataService"] == "https://edc.example/dsp"
    assert found["CredentialService"] == f"{node.url}/dcp/credential-service"


async def test_a_slow_token_holds_nobody_up() -> None:
    """What signs slowly signs in a thread, and is given up after a while; the loop goes on."""
    go = threading.Event()

    class Slow(InMemory):
        executor = ThreadPoolExecutor(1)  # type: ignore[assignment] # a signer that has one

    def sign(message: bytes) -> bytes:
        go.wait(10)
        return message

    signer = Slow(multikey.generate("Ed25519"))
    waiting = asyncio.create_task(signed(signer, partial(sign, b"m")))
    await asyncio.sleep(0)
    assert not waiting.done()
    go.set()
    assert await waiting == b"m"
    go.clear()
    with pytest.raises(Unavailable, match=r"did not sign within 0\.01 s"):
        await signed(signer, partial(sign, b"m"), patience=0.01)
    go.set()
    signer.executor.shutdown()
    ran: list[int] = []
    await signed(InMemory(multikey.generate("P-256")), lambda: ran.append(threading.get_ident()))
    assert ran == [threading.get_ident()]


@pytest.mark.needs("softhsm2-util")
async def test_a_node_whose_keys_are_in_a_token(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All that it signs is signed by SoftHSM, and a peer with keys in files takes it; also once rotated."""
    hsm = softhsm.fresh(tmp_path, tmp_path_factory.mktemp("softhsm"))
    async with running(tmp_path / "a", pkcs11=hsm.settings) as a, running(tmp_path / "b") as b:
        assert [path.name for path in (tmp_path / "a" / "keys").iterdir()] == ["keyring.json"]

        async def exchanged(name: str) -> None:
            header = await a.node.identity.authorization(b.did)
            assert jose.parse(header.removeprefix("Bearer ")).header["kid"] == f"{a.did}#{name}"
            assert (await b.node.identity.authenticate(header)).did == a.did
            back = await b.node.identity.authorization(a.did)
            assert (await a.node.identity.authenticate(back)).did == b.did

        await exchanged("key-1")
        for issuer, suite in (
            ("key-1", "ecdsa-rdfc-2019"),
            ("ed25519-1", "eddsa-rdfc-2022"),
            ("ed25519-1", "eddsa-jcs-2022"),
        ):
            await b.node.verifier.verify(
                await a.node.credentials.issue(issuer, suite, GOOD, revocable=suite.startswith("ecdsa"))
            )
        base = await a.node.credentials.issue("key-1", "ecdsa-sd-2023", GOOD)
        await b.node.verifier.verify(await a.node.credentials.derive(base, ["/credentialSubject"]))
        await b.node.verifier.verify_jwt(await a.node.credentials.issue_jwt("key-1", GOOD))
        store = keystore.configured(a.node.config)
        store.rotate(["P-256"], time.time(), lead=0, overlap=60)
        store.close()
        a.node.reload()
        b.node.resolver._documents.clear()  # a copy of less than 30 s is not fetched anew for an unknown key
        await exchanged("key-2")
