"""Data Integrity with the packages of Digital Bazaar: each side accepts what the other signs."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
import pytest_asyncio

from connector.jsonld import contexts
from connector.vc import multibase, multikey
from connector.vc.signers import InMemory
from tests.bench.credentials import passport
from tests.conformance.artifacts import cache
from tests.flows.test_credentials import World
from tests.vc.cases import EXAMPLES, V1, V2

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.needs("node", "npm"),
    pytest.mark.asyncio(loop_scope="module"),
]
HERE = Path(__file__).resolve().parent
HELD = (V1, V2, EXAMPLES, "https://w3id.org/anode/battery/v1", "https://w3id.org/security/data-integrity/v2")
SUITES = [("Ed25519", "eddsa-rdfc-2022"), ("P-256", "ecdsa-rdfc-2019"), ("P-384", "ecdsa-rdfc-2019")]
ALUMNI = {
    "@context": [V2, EXAMPLES],
    "id": "urn:uuid:98c5cffc-efa2-43e3-99f5-01e8ef404be0",
    "type": ["VerifiableCredential", "AlumniCredential"],
    "validFrom": "2026-01-01T00:00:00Z",
    "name": {"@value": "Abschluß", "@language": "de"},
    "credentialSubject": {
        "alumniOf": [{"name": "A", "since": 1999}, {"name": "B", "since": 2003.5}],
        "text": 'quotes " and \\ and \t and é',
    },
}
OLDER = {
    "@context": [
        V1,
        {"alumniOf": "https://schema.org#alumniOf"},
        "https://w3id.org/security/data-integrity/v2",
    ],
    "type": ["VerifiableCredential"],
    "issuanceDate": "2026-01-01T00:00:00Z",
    "credentialSubject": {"id": "urn:x:subject", "alumniOf": "Example University"},
}


def aliased(value: Any) -> Any:
    """A document with `id` and `type`: the other side forgets `@id` where it picks parts."""
    if isinstance(value, list):
        return [aliased(item) for item in value]
    if not isinstance(value, dict) or "@value" in value:
        return value
    return {{"@id": "id", "@type": "type"}.get(key, key): aliased(item) for key, item in value.items()}


DOCUMENTS = {"alumni": ALUMNI, "older": OLDER, "passport": aliased(passport("public", "use-data"))}


def installed() -> Path:
    """A folder with the packages, from the cache if they have been there before."""
    listing = (HERE / "package.json").read_bytes()
    home = cache() / f"npm-{sha256(listing).hexdigest()[:16]}"
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "done").exists():
        copy(HERE / "package.json", home)
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=home, check=True, timeout=300)
        (home / "done").touch()
    copy(HERE / "peer.mjs", home)
    return home


class Peer:
    """The other implementation, as a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ask(self, task: str, **more: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"task": task, **more}).encode() + b"\n")
        answer = json.loads(await asyncio.wait_for(self.process.stdout.readline(), 60))
        assert "error" not in answer, answer["error"]
        return answer["result"]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    made = World(tmp_path_factory.mktemp("interop"))
    yield made
    await made.workers.close()
    await made.db.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def peer() -> AsyncIterator[Peer]:
    home = installed()
    process = await asyncio.create_subprocess_exec(
        "node", str(home / "peer.mjs"), cwd=home, limit=1 << 24,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    made = Peer(process)
    await made.ask("contexts", contexts={url: {"@context": contexts.held(url)} for url in HELD})
    yield made
    process.kill()
    await process.wait()


def key(world: World, kind: str) -> dict[str, str]:
    """The issuer's key as the other side reads it."""
    signer = world.issuers[kind].signer
    assert isinstance(signer, InMemory)
    private = signer.private
    if kind == "Ed25519":
        raw, header = private.private_bytes_raw(), multibase.varint(0x1300)  # type: ignore[union-attr] # it is one
    else:
        number, size = private.private_numbers().private_value, 32 if kind == "P-256" else 48  # type: ignore[union-attr] # it is one
        raw, header = number.to_bytes(size, "big"), multibase.varint(0x1306 if kind == "P-256" else 0x1307)
    public = multikey.public_bytes(private.public_key())
    if kind == "Ed25519":
        raw += public[2:]
    return {
        "publicKeyMultibase": multibase.encode("z", public),
        "secretKeyMultibase": multibase.encode("z", header + raw),
    }


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize(("kind", "suite"), SUITES)
async def test_whole_documents(world: World, peer: Peer, kind: str, suite: str, name: str) -> None:
    """They accept ours, we accept theirs, and both notice a change."""
    ours = await world.credentials.issue(kind, suite, DOCUMENTS[name])
    outcome = await peer.ask("verify", document=ours, cryptosuite=suite)
    assert outcome["verified"], outcome
    spoiled = {**ours, "proof": {**ours["proof"], "created": "2020-01-01T00:00:00Z"}}
    assert not (await peer.ask("verify", document=spoiled, cryptosuite=suite))["verified"]
    unsigned = {**DOCUMENTS[name], "issuer": world.issuers[kind].did}
    theirs = await peer.ask("sign", document=unsigned, cryptosuite=suite, key=key(world, kind))
    await world.verifier.verify(theirs)


@pytest.mark.parametrize(
    ("name", "pointers"),
    [
        ("alumni", ["/credentialSubject/alumniOf/1"]),
        ("alumni", ["/credentialSubject/alumniOf/0/name", "/name", "/validFrom"]),
        ("older", ["/credentialSubject/id", "/issuanceDate"]),
        ("passport", ["/credentialSubject/0/battery/batteryMass", "/credentialSubject/1"]),
    ],
)
async def test_selective_disclosure(world: World, peer: Peer, name: str, pointers: list[str]) -> None:
    """Base proofs of either side, parts shown by either side, verified by the other."""
    ours = await world.credentials.issue("P-256", "ecdsa-sd-2023", DOCUMENTS[name], ["/issuer"])
    unsigned = {**DOCUMENTS[name], "issuer": world.issuers["P-256"].did}
    theirs = await peer.ask(
        "sign", document=unsigned, cryptosuite="ecdsa-sd-2023", key=key(world, "P-256"), pointers=["/issuer"]
    )
    for base in (ours, theirs):
        shown = await peer.ask("derive", document=base, pointers=pointers)
        await world.verifier.verify(shown)
        shown = await world.credentials.derive(base, pointers)
        outcome = await peer.ask("verify", document=shown, cryptosuite="ecdsa-sd-2023")
        assert outcome["verified"], outcome
