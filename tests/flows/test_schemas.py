"""Credentials that name a schema: they fit it, or they are not believed."""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from connector.errors import AnodeError, RemoteProtocolError, Unavailable, Untrusted
from connector.flows.remembered import Remembered
from connector.flows.schemas import MAX_BYTES
from connector.flows.workers import Workers
from connector.vc import envelope
from tests.flows.test_credentials import NOW, World
from tests.vc import cases
from tests.vc.cases import GOOD, V2

pytestmark = pytest.mark.asyncio(loop_scope="module")
URL = "https://schemas.example/1.json"
LATEST = "https://json-schema.org/draft/2020-12/schema"
NAMED = {"properties": {"credentialSubject": {"type": "object", "required": ["name"]}}}
SCHEMA = {"$id": URL, "$schema": LATEST, "type": "object", **NAMED}
OF_SUBJECT = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "required": ["id", "name"],
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    made = World(tmp_path_factory.mktemp("schemas"))
    yield made
    await made.workers.close()
    await made.db.close()


def named(kind: Any = "JsonSchema", *, fits: bool = True, **members: Any) -> dict[str, Any]:
    """A credential with a schema; its subject has a name if it fits."""
    subject = {"id": "did:example:subject", **({"name": "A"} if fits else {"description": "none"})}
    entry = {"id": URL, "type": kind, **members}
    return {**GOOD, "credentialSubject": subject, "credentialSchema": entry}


async def verified(world: World, document: dict[str, Any], body: Any, **checks: bool) -> None:
    """Verify a credential in a node that has fetched nothing yet, with a schema on the web."""
    world.web = {URL: body if isinstance(body, bytes) else orjson.dumps(body)}
    verifier = world.verifying(world.statuses)
    if orjson.dumps(document).count(b"JsonSchemaValidator2018"):  # a term of data model 1.1
        older = {**cases.GOOD_1_1, **document, "@context": [cases.V1]}
        token = await world.credentials.issue_jwt("P-256", older, meaning=False)
        await verifier.verify_jwt(token, older=True, meaning=False, **checks)
    else:
        await verifier.verify(await world.credentials.issue("P-256", "ecdsa-rdfc-2019", document), **checks)


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        ("JsonSchema", SCHEMA),
        ("JsonSchema", {**SCHEMA, "$schema": "https://json-schema.org/draft/2019-09/schema"}),
        ("JsonSchema", {**SCHEMA, "$schema": "http://json-schema.org/draft-07/schema#"}),
        ("JsonSchema", {**SCHEMA, "$defs": {"a": NAMED}, "properties": {}, "$ref": "#/$defs/a"}),
        ("JsonSchema", {**SCHEMA, "not": {"required": ["proof"]}}),
        ("JsonSchemaValidator2018", OF_SUBJECT),
    ],
)  # fmt: skip
async def test_a_credential_fits_its_schema_or_is_refused(world: World, kind: str, schema: Any) -> None:
    """The whole credential (without its proof), or for the oldest type its subject, in each known draft."""
    await verified(world, named(kind), schema)
    with pytest.raises(Untrusted, match=r"does not fit its schema.*'name' is a required property"):
        await verified(world, named(kind, fits=False), schema)
    await verified(world, named(kind, fits=False), schema, schema=False)


async def test_each_schema_and_each_subject_counts(world: World) -> None:
    """One of several that does not fit is enough to refuse."""
    document = named("JsonSchemaValidator2018")
    both = [{"id": "urn:x:a", "name": "A"}, {"id": "urn:x:b", "name": "B"}]
    await verified(world, {**document, "credentialSubject": both}, OF_SUBJECT)
    with pytest.raises(Untrusted, match="does not fit"):
        await verified(world, {**document, "credentialSubject": [*both, {"id": "urn:x:c"}]}, OF_SUBJECT)
    two = [{"id": URL, "type": "JsonSchemaValidator2018"}, {"id": URL, "type": "JsonSchema"}]
    with pytest.raises(Untrusted, match="does not fit"):
        await verified(world, {**document, "credentialSchema": two}, OF_SUBJECT)


async def test_jwts_are_held_to_their_schema_too(world: World) -> None:
    """In the older form and the newer, read by name as data spaces do."""
    issuer = world.issuers["P-256"]
    world.web = {URL: orjson.dumps(OF_SUBJECT)}
    entry = {"credentialSchema": {"id": URL, "type": "JsonSchemaValidator2018"}}
    verifier = world.verifying(world.statuses)
    for name, older in ((n, o) for n in ("A", None) for o in (True, False)):
        subject = {"id": issuer.did, **({"name": name} if name else {})}
        document = {**(cases.GOOD_1_1 if older else GOOD), "issuer": issuer.did, **entry}
        document["credentialSubject"] = {**subject, "other": 1}
        if older:
            token = envelope.older_credential_jwt(document, issuer.signer, issuer.method, "urn:x:1")
        else:
            token = envelope.credential_jwt(document, issuer.signer, issuer.method)
        if name:
            await verifier.verify_jwt(token, older=older, meaning=False)
        else:
            with pytest.raises(Untrusted, match="does not fit its schema"):
                await verifier.verify_jwt(token, older=older, meaning=False)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "can't be used"),
        (b"not json", "can't be used"),
        (b"[" * 10_000, "can't be used"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "can't be used"),
        (b'"' + b"x" * MAX_BYTES + b'"', "more than"),
        ([], "not a JSON object"),
        (True, "not a JSON object"),
        ({}, r"\$schema is None"),
        ({**SCHEMA, "$schema": "https://schemas.example/own"}, r"\$schema"),
        ({**SCHEMA, "$schema": 7}, r"\$schema"),
        ({**SCHEMA, "type": "nothing"}, "not one"),
        ({**SCHEMA, "properties": {"issuer": {"$ref": "https://other.example/s"}}}, "not in it"),
        ({**SCHEMA, "properties": {"issuer": {"$ref": "file:///etc/passwd"}}}, "not in it"),
        ({**SCHEMA, "properties": {"issuer": {"$ref": "#/$defs/none"}}}, "not in it"),
        ({**SCHEMA, "$ref": "#"}, "in circles"),
        ({**SCHEMA, "properties": {"issuer": {"pattern": "("}}}, "can't be processed|not one"),
    ],
)
async def test_schemas_that_are_none(world: World, body: Any, reason: str) -> None:
    """Not JSON, too large or deep, of an unknown draft, referring elsewhere or to itself: no reason to
    believe, and nothing but the schema was fetched."""
    before = world.fetched
    with pytest.raises((Untrusted, RemoteProtocolError), match=reason):
        await verified(world, named(), body)
    assert world.fetched == before + 1


async def test_a_schema_that_never_ends_is_stopped(world: World) -> None:
    """A regular expression that would take years ends with its process, and others are served meanwhile."""
    bomb = {**SCHEMA, "properties": {"credentialSubject": {"properties": {"name": {"pattern": "^(a+)+$"}}}}}
    document = named()
    document["credentialSubject"]["name"] = "a" * 60 + "!"
    world.web = {URL: orjson.dumps(bomb)}
    issued = await world.credentials.issue("P-256", "ecdsa-rdfc-2019", document)
    other = await world.credentials.issue("P-256", "ecdsa-rdfc-2019", GOOD)
    hasty = Workers(number=2, deadline=30)
    ordinary, world.workers = world.workers, hasty
    try:
        verifier = world.verifying(world.statuses)
        await asyncio.gather(*(hasty.run("schema", SCHEMA, []) for _ in range(4)))  # both are warm now
        hasty._deadline = 2
        outcome, *_ = await asyncio.gather(
            verifier.verify(issued), *(verifier.verify(other) for _ in range(5)), return_exceptions=True
        )
        assert isinstance(outcome, RemoteProtocolError)
        assert "took longer" in str(outcome)
        await verifier.verify(other)
    finally:
        world.workers = ordinary
        await hasty.close()


async def test_schemas_that_can_not_be_had(world: World) -> None:
    """Unreachable, or of a type that nobody here knows: refused, with the reason."""
    issued = await world.credentials.issue("P-256", "ecdsa-rdfc-2019", named())
    world.web = {}
    with pytest.raises(Unavailable, match="can't be reached"):
        await world.verifying(world.statuses).verify(issued)
    with pytest.raises(RemoteProtocolError, match=r"SomeSchema.*not understood"):
        await verified(world, named("https://types.example/SomeSchema"), SCHEMA)


async def test_a_digest_holds_a_schema_to_its_bytes(world: World) -> None:
    """Other bytes than the credential's issuer meant are refused."""
    body = orjson.dumps(SCHEMA)
    digest = "sha256-" + b64encode(hashlib.sha256(body).digest()).decode()
    await verified(world, named(digestSRI=digest), body)
    with pytest.raises(RemoteProtocolError, match="digest"):
        await verified(world, named(digestSRI=digest), body + b" ")


async def test_a_schema_is_fetched_once(world: World) -> None:
    """It is kept for an hour, and then seen anew; a failure for seconds."""
    issued = await world.credentials.issue("P-256", "ecdsa-rdfc-2019", named())
    verifier = world.verifying(world.statuses)
    world.web = {}
    before = world.fetched
    for _ in range(3):
        with pytest.raises(Unavailable):
            await verifier.verify(issued)
    world.web = {URL: orjson.dumps(SCHEMA)}
    world.now += 6
    await asyncio.gather(*(verifier.verify(issued) for _ in range(5)))
    assert world.fetched == before + 2
    world.now += 3601
    world.web = {URL: orjson.dumps({**SCHEMA, "required": ["nothing"]})}
    with pytest.raises(Untrusted, match="does not fit"):
        await verifier.verify(issued)
    world.now = NOW


async def test_a_schema_in_a_credential(world: World) -> None:
    """It is itself verified, its status too; then its schema counts."""
    subject = {"id": "https://schemas.example/s", "type": "JsonSchema", "jsonSchema": SCHEMA}
    held = {
        "@context": [V2],
        "id": URL,
        "type": ["VerifiableCredential", "JsonSchemaCredential"],
        "credentialSchema": {
            "id": "https://www.w3.org/ns/credentials/json-schema/v2.json",
            "type": "JsonSchema",
        },
        "credentialSubject": subject,
    }
    issued = await world.credentials.issue("Ed25519", "eddsa-rdfc-2022", held, revocable=True)
    kind = "JsonSchemaCredential"
    await verified(world, named(kind), issued)
    with pytest.raises(Untrusted, match="'name' is a required property"):
        await verified(world, named(kind, fits=False), issued)
    token = await world.credentials.issue_jwt("Ed25519", held)
    await verified(world, named(kind), token.encode())
    await verified(world, named(kind), envelope.envelope(token, "vc"))
    spoiled = {**issued, "credentialSubject": {**subject, "jsonSchema": {"$schema": LATEST}}}
    other = await world.credentials.issue("Ed25519", "eddsa-rdfc-2022", GOOD)
    for wrong in (spoiled, other, held, {**issued, "proof": None}, SCHEMA):
        with pytest.raises((Untrusted, RemoteProtocolError)):
            await verified(world, named(kind), wrong)
    await world.statuses.set(issued["credentialStatus"][0], value=True)
    with pytest.raises(Untrusted, match="revoked"):
        await verified(world, named(kind), issued)


async def test_what_is_remembered_is_bounded() -> None:
    """So many things, so many under way; the oldest goes first, and who asks too much is told to wait."""
    memory: Remembered[str] = Remembered(
        lambda: 0.0, len, lifetime=1, failure_lifetime=1, capacity=2, fetches=2
    )

    async def fetch(key: str) -> str:
        await asyncio.sleep(0)
        return key

    for key in ("a", "b", "c"):
        assert await memory.get(key, lambda key=key: fetch(key)) == (key, 1.0)  # type: ignore[misc] # a bound loop variable
    assert list(memory._kept) == ["b", "c"]
    found = await asyncio.gather(
        *(memory.get(key, lambda key=key: fetch(key)) for key in "xyz"),  # type: ignore[misc] # as above
        return_exceptions=True,
    )
    assert found[:2] == [("x", 1.0), ("y", 1.0)]
    assert isinstance(found[2], AnodeError)
