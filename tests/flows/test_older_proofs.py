"""Linked-data proofs of data model 1.1: didkit looks at the signature, we look at all the rest."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from connector.errors import AnodeError, RemoteProtocolError, Untrusted
from connector.flows.older_proofs import PROGRAM, TYPES, OlderProofs
from connector.flows.verify import Verifier
from connector.flows.workers import Workers
from tests.flows.test_credentials import World
from tests.vc.cases import GOOD_1_1

pytest.importorskip("didkit", reason="didkit is not installed")
pytestmark = pytest.mark.asyncio(loop_scope="module")

SIGN = """
import asyncio, json, os, sys, didkit
async def main():
    key = didkit.generate_ed25519_key()
    document, options = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    method = await didkit.key_to_verification_method("key", key)
    document["issuer"] = didkit.key_to_did("key", key)
    proof = {"proofPurpose": "assertionMethod", "verificationMethod": method, **options}
    print(await didkit.issue_credential(json.dumps(document), json.dumps(proof), key), flush=True)
asyncio.run(main())
os._exit(0)
"""


def signed(kind: str = "Ed25519Signature2020", **members: Any) -> dict[str, Any]:
    """A credential signed by didkit, which may crash when it ends: in a process of its own."""
    arguments = [json.dumps({**GOOD_1_1, **members}), json.dumps({"type": kind})]
    done = subprocess.run(
        [sys.executable, "-c", SIGN, *arguments], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    made = World(tmp_path_factory.mktemp("older"))
    yield made
    await made.workers.close()
    await made.db.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def verifier(world: World) -> AsyncIterator[Verifier]:
    made = world.verifying(world.statuses, older_proofs=OlderProofs(Workers(number=1, program=PROGRAM)))
    yield made
    await made.close()


@pytest.mark.parametrize("kind", [kind for kind in TYPES if not kind.startswith("Ecdsa")])
async def test_proofs_of_older_types(verifier: Verifier, kind: str) -> None:
    """What didkit signs verifies; what was changed since does not."""
    document = await asyncio.to_thread(signed, kind)
    await verifier.verify(document)
    with pytest.raises(Untrusted, match="does not hold"):
        await verifier.verify({**document, "credentialSubject": {"id": "did:example:other"}})


async def test_what_didkit_lets_pass(verifier: Verifier) -> None:
    """Expired and future credentials, which didkit takes; undefined terms; another's name; a did:web."""
    for members, reason in [
        ({"expirationDate": "2026-02-01T00:00:00Z"}, "expired"),
        ({"issuanceDate": "2099-01-01T00:00:00Z"}, "not valid yet"),
    ]:
        with pytest.raises(Untrusted, match=reason):
            await verifier.verify(await asyncio.to_thread(signed, **members))
    good = await asyncio.to_thread(signed)
    proof = good["proof"]
    for spoiled in [
        {**good, "undefinedTerm": 1},
        {**good, "issuer": "did:web:other.example"},
        {**good, "@context": ["https://www.w3.org/ns/credentials/v2"]},
        {**good, "proof": [proof, proof]},
        {**good, "proof": {**proof, "verificationMethod": "did:web:127.0.0.1#key"}},
        {**good, "proof": {**proof, "verificationMethod": 7}},
        {**good, "proof": {**proof, "verificationMethod": proof["verificationMethod"] + "x"}},
        {**good, "proof": {**proof, "proofPurpose": "authentication"}},
        {**good, "proof": {**proof, "created": "never"}},
        {**good, "proof": {**proof, "expires": "2026-01-02T00:00:00Z"}},
    ]:
        with pytest.raises((Untrusted, RemoteProtocolError)):
            await verifier.verify(spoiled)


async def test_its_death_is_one_credentials_trouble(verifier: Verifier) -> None:
    """A process that dies while it works ends in an error; the next credential has another."""
    good = await asyncio.to_thread(signed)
    await verifier.verify(good)
    assert verifier._older_proofs is not None
    (process,) = verifier._older_proofs.workers._all
    process.kill()
    await process.wait()
    with pytest.raises(RemoteProtocolError, match="fail"):
        await verifier.verify(good)
    await verifier.verify(good)


async def test_without_the_switch_they_are_refused(world: World) -> None:
    """A verifier that was not given didkit takes no such proof."""
    with pytest.raises(AnodeError, match="DataIntegrityProof"):
        await world.verifier.verify(await asyncio.to_thread(signed))
