"""The VC API over HTTP, as the W3C's suites speak it."""

import gzip
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from openapi_spec_validator import OpenAPIV31SpecValidator
from yarl import URL

from connector.errors import InvalidFile, RemoteProtocolError, Untrusted
from connector.flows.credentials import key_issuer
from connector.node import Parts
from connector.vc import envelope, jws, multikey
from connector.vc.signers import InMemory
from connector.web import credentials, management
from connector.web.openapi import document
from tests.dataspace import SimulatedClock
from tests.nodes import TOKEN, prepare, running
from tests.vc.cases import GOOD, GOOD_1_1, REJECTED, changed


def keep(folder: Path, kind: multikey.Kind, name: str) -> None:
    """A key to issue with, in a node's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pem = multikey.generate(kind).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"issuer-{name}.pem"
    path.write_bytes(pem)
    path.chmod(0o600)


class Client:
    """Speaks to a node's VC API."""

    def __init__(self, session: aiohttp.ClientSession, url: str, did: str) -> None:
        self.session, self.url, self.did = session, url, did

    async def post(self, path: str, body: Any, media_type: str = "application/json") -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.post(
            f"{self.url}/vc{path}", data=data, headers={"content-type": media_type}
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str, accept: str = "*/*") -> tuple[int, str, Any]:
        url = URL(self.url + "/vc" + path, encoded=True)
        async with self.session.get(url, headers={"accept": accept}) as answer:
            return answer.status, answer.content_type, await answer.json(content_type=None)

    async def issued(self, where: str, credential: Any = GOOD) -> Any:
        status, body = await self.post(f"/issuers/{where}/credentials/issue", {"credential": credential})
        assert status == 201, body
        return body


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    keys = tmp_path / "node" / "keys"
    prepare(tmp_path / "node", 1)  # makes the participant's key
    keep(keys, "Ed25519", "ed")
    keep(keys, "P-384", "p384")
    async with running(tmp_path / "node", credentials={"api": "open"}) as node:
        runner = web.AppRunner(management.application(node.node, TOKEN), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            async with aiohttp.ClientSession() as session:
                yield Client(session, f"http://127.0.0.1:{runner.addresses[0][1]}", node.did)
        finally:
            await runner.cleanup()


def test_the_routes_are_described() -> None:
    """They stand in a valid OpenAPI document, open or not; `off` takes them away."""
    for api in ("token", "open"):
        described = document(credentials.routes(api), title="t", version="1", description="d")
        OpenAPIV31SpecValidator(described).validate()
        operations = [o for path in described["paths"].values() for o in path.values()]
        assert all(o["summary"] and o["description"] for o in operations)
    assert credentials.routes("off") == []


async def test_issue_and_verify(client: Client) -> None:
    """One path for each key and suite gives the bare credential with 201; one path verifies them all."""
    status, _, body = await client.get("/issuers")
    assert status == 200
    names = {entry["name"]: entry for entry in body["issuers"]}
    assert names["key-1"]["did"] == client.did
    assert names["ed"]["did"].startswith("did:key:z6Mk")
    assert names["p384"]["did"].startswith("did:key:z82L")
    for name, suite in [(n, s) for n, entry in names.items() for s in entry["suites"] if "-sd-" not in s]:
        issued = await client.issued(f"{name}/{suite}")
        assert issued["proof"]["cryptosuite"] == suite
        for options in ({}, {"options": {}}, {"options": {"checks": ["proof"], "unknown": 1}}):
            status, body = await client.post(
                "/credentials/verify", {"verifiableCredential": issued, **options}
            )
            assert (status, body["verified"], body["errors"]) == (200, True, [])
        issued["credentialSubject"]["name"] = "Somebody else"
        status, body = await client.post("/credentials/verify", {"verifiableCredential": issued})
        assert (status, body["verified"]) == (400, False)
        assert body["errors"][0]["detail"]


@pytest.mark.parametrize("name", ["type missing", "issuer null", "undefined term", "context unknown"])
async def test_refusals_are_problem_details(client: Client, name: str) -> None:
    """What can't be issued is told with 400, `verified: false` and what is wrong."""
    path = "/issuers/ed/eddsa-rdfc-2022/credentials/issue"
    status, body = await client.post(path, {"credential": REJECTED[name]})
    assert status == 400
    assert body["verified"] is False
    assert body["errors"][0]["type"].startswith("https://")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"7", b"[]", b"{}", b"{", b"\xff\xfe", b"[" * 10_000, b'{"a":' * 10_000,
        {"verifiableCredential": None}, {"verifiableCredential": "text"}, {"verifiableCredential": [GOOD]},
        {"verifiableCredential": {}}, {"verifiableCredential": GOOD, "options": 7},
        {"verifiableCredential": {**GOOD, "proof": {}}},
        gzip.compress(b"{}", mtime=0),
    ],
)  # fmt: skip
async def test_bodies_that_are_none(client: Client, body: Any) -> None:
    """Whatever comes, the answer is 400 in the API's own form, and the node serves on."""
    status, answer = await client.post("/credentials/verify", body)
    assert (status, answer["verified"]) == (400, False)
    await client.issued("ed/eddsa-jcs-2022")


async def test_hostile_documents_harm_nobody(client: Client) -> None:
    """Poison graphs and deep JSON end in 400; others are served meanwhile."""
    poison = [
        {"id": f"_:n{i}", "https://x.example/p": [{"id": f"_:n{j}"} for j in range(9) if j != i]}
        for i in range(9)
    ]
    deep: Any = {}
    for _ in range(70):
        deep = {"https://x.example/p": deep}
    for subject in (poison, deep, {"https://x.example/p": ["x"] * 30_000}):
        document = changed("credentialSubject", subject)
        status, body = await client.post(
            "/issuers/ed/eddsa-rdfc-2022/credentials/issue", {"credential": document}
        )
        assert (status, body["verified"]) == (400, False)
    await client.issued("ed/eddsa-rdfc-2022")


async def test_the_token_is_asked_for(tmp_path: Path) -> None:
    """Without `credentials.api: open` the API needs the token; status lists never do, revoking always."""
    for api, expected in (("token", 401), ("open", 400)):
        async with running(tmp_path / api, credentials={"api": api}) as node:
            runner = web.AppRunner(management.application(node.node, TOKEN), access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            try:
                async with aiohttp.ClientSession() as session:
                    own = Client(session, f"http://127.0.0.1:{runner.addresses[0][1]}", node.did)
                    assert (await own.post("/credentials/verify", {}))[0] == expected
                    assert (await own.post("/credentials/status", {}))[0] == 401
                    assert (await own.get("/status/key-1-revocation-1"))[0] == 404
            finally:
                await runner.cleanup()


async def test_a_revocable_credential(client: Client) -> None:
    """It has status entries; its list is served without a token; once set, verifying says so."""
    issued = await client.issued("ed/eddsa-rdfc-2022/revocable")
    entry = issued["credentialStatus"][0]
    name = entry["statusListCredential"].rpartition("/")[2]
    status, _, listed = await client.get(f"/status/{name}")
    assert status == 200
    assert "BitstringStatusListCredential" in listed["type"]
    async with client.session.get(entry["statusListCredential"]) as answer:
        assert answer.status == 200  # on the public listener too
    client.session.headers["Authorization"] = f"Bearer {TOKEN}"
    assert (await client.post("/credentials/status", {"credentialStatus": entry, "status": True}))[0] == 200
    status, body = await client.post("/credentials/verify", {"verifiableCredential": issued})
    assert status == 400
    assert "revoked" in body["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "application/json"),
        ("*/*", "application/jwt"),
        ("application/json", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("application/ld+json", "application/json"),
        ("text/html", "application/json"),
        ("application/vc+jwt", "application/vc+jwt"),
        ("application/vc+jwt, application/json", "application/vc+jwt"),
        ("application/jwt", "application/jwt"),
    ],
)
async def test_a_status_list_comes_as_it_is_asked_for(client: Client, accept: str | None, form: str) -> None:
    """JSON with a proof, `vc+jwt`, or the JWT with a `vc` claim that Eclipse connectors read."""
    issued = await client.issued("key-1/ecdsa-rdfc-2019/revocable")
    url = issued["credentialStatus"][0]["statusListCredential"]
    headers = {} if accept is None else {"accept": accept}
    async with (
        aiohttp.ClientSession(skip_auto_headers=["accept"]) as bare,
        bare.get(url, headers=headers) as answer,
    ):
        assert (answer.status, answer.content_type) == (200, form)
        assert answer.headers["vary"] == "Accept"
        body = await answer.read()
    if form == "application/json":
        assert json.loads(body)["proof"]
    else:
        parsed = jws.parse(body.decode())
        assert parsed.header["kid"] == f"{client.did}#key-1"
        assert ("vc" in parsed.payload) == (form == "application/jwt")
    async with client.session.get(url + "0") as answer:
        assert answer.status == 404


async def test_jwts_of_both_data_models(client: Client) -> None:
    """The path `jose` gives an envelope for either data model, which verifies."""
    for good, kind in ((GOOD, "vc+jwt"), (GOOD_1_1, "jwt")):
        issued = await client.issued("key-1/jose/revocable", good)
        assert issued["id"].startswith(f"data:application/{kind},ey")
        assert (await client.post("/credentials/verify", {"verifiableCredential": issued}))[0] == 200


async def test_presentations_are_verified(client: Client) -> None:
    """One that holds is told with 200; with another challenge or domain, or none at all, 400."""
    holder = key_issuer(InMemory(multikey.generate("P-256")))
    held = (await client.issued("ed/jose"))["id"].partition(",")[2]
    token = envelope.presentation_jwt(
        [held], holder.signer, holder.method, audience="verifier.example", now=time.time(), lifetime=600,
        token_id="urn:uuid:1", nonce="n1",
    )  # fmt: skip
    shown = {"verifiablePresentation": envelope.envelope(token, "vp")}
    right = {"challenge": "n1", "domain": "verifier.example"}
    for options in ({}, {"options": {}}, {"options": right}, {"options": {**right, "unknown": [1]}}):
        status, answer = await client.post("/presentations/verify", {**shown, **options})
        assert (status, answer["verified"], answer["errors"]) == (200, True, [])
    wrong: list[Any] = [
        {**shown, "options": {**right, "challenge": "n2"}},
        {**shown, "options": {**right, "domain": "other.example"}},
        {**shown, "options": 7},
        {"verifiablePresentation": envelope.envelope(token[:-6] + "AAAAAA", "vp")},
        {},
        {"verifiablePresentation": GOOD},
        {"verifiablePresentation": None},
        {"verifiablePresentation": token},
        {"verifiablePresentation": [shown["verifiablePresentation"]]},
    ]
    for body in wrong:
        status, answer = await client.post("/presentations/verify", body)
        assert (status, answer["verified"]) == (400, False)
        assert answer["errors"][0]["detail"]


async def test_digests_of_what_the_operator_holds(tmp_path: Path) -> None:
    """A resource named with a wrong digest is refused where the settings say what lies at its address."""
    (tmp_path / "old").write_bytes(b"first version")
    (tmp_path / "new").write_bytes(b"second version")
    url = "https://held.example/"
    held = {url: [str(tmp_path / "old"), str(tmp_path / "new")]}

    def related(content: bytes) -> dict[str, Any]:
        digest = "sha256-" + b64encode(sha256(content).digest()).decode()
        return changed("relatedResource", {"id": url, "digestSRI": digest})

    async with running(tmp_path / "node", credentials={"resources": held}) as node:
        credentials, verifier = node.node.credentials, node.node.verifier
        for content in (b"first version", b"second version"):
            await verifier.verify(await credentials.issue("key-1", "ecdsa-jcs-2019", related(content)))
        with pytest.raises(RemoteProtocolError, match="digest"):
            await credentials.issue("key-1", "ecdsa-jcs-2019", related(b"third version"))
    with pytest.raises(InvalidFile, match="none: can't be read"):
        async with running(tmp_path / "other", credentials={"resources": {url: [str(tmp_path / "none")]}}):
            pass


async def test_json_ld_is_taken_too(client: Client) -> None:
    """`application/ld+json` is as good as `application/json`; other types are not."""
    path = "/issuers/ed/eddsa-rdfc-2022/credentials/issue"
    assert (await client.post(path, {"credential": GOOD}, "application/ld+json"))[0] == 201
    assert (await client.post(path, {"credential": GOOD}, "text/plain"))[0] == 400
    assert (await client.post("/issuers/nobody/eddsa-rdfc-2022/credentials/issue", {"credential": GOOD}))[
        0
    ] == 404


@pytest.mark.parametrize("whole", [True, False])
async def test_dids_are_resolved(client: Client, whole: bool) -> None:
    """The result with its metadata, or the bare document; percent-encoded or not."""
    ed = (await client.issued("ed/eddsa-rdfc-2022"))["issuer"]
    for did in (ed, client.did):
        path = "/identifiers/" + (quote(did, safe="") if whole else did)
        status, kind, body = await client.get(path)
        assert (status, kind) == (200, "application/did-resolution")
        assert body["didDocument"]["id"] == did
        assert body["didResolutionMetadata"]["contentType"] == kind
        assert body["didDocumentMetadata"] == {}
        status, kind, body = await client.get(path, "application/did+json")
        assert (status, kind, body["id"]) == (200, "application/did+json", did)
        _, kind, body = await client.get(path, "application/did-url-dereferencing")
        assert body["contentStream"]["id"] == did


@pytest.mark.parametrize(
    ("did", "accept", "status", "code"),
    [
        ("did:key:z6Mk", "*/*", 400, "INVALID_DID"),
        ("not-a-did", "*/*", 400, "INVALID_DID"),
        ("did:web:localhost%3A1", "*/*", 404, "NOT_FOUND"),
        ("did:example:123", "*/*", 501, "METHOD_NOT_SUPPORTED"),
        ("did:example:123", "text/html", 406, "REPRESENTATION_NOT_SUPPORTED"),
    ],
)
async def test_dids_that_can_not_be_resolved(
    client: Client, did: str, accept: str, status: int, code: str
) -> None:
    """Each failure has the status and the error type that DID Resolution gives it."""
    found, _, body = await client.get(f"/identifiers/{did}", accept)
    assert found == status
    assert body["didDocument"] is None
    assert body["didDocumentMetadata"] == {}
    assert body["didResolutionMetadata"]["error"]["type"] == f"https://www.w3.org/ns/did#{code}"


async def test_a_did_that_was_given_up(client: Client) -> None:
    """A did:web whose host says 410 is deactivated, which is told with 410."""

    async def gone(_request: web.Request) -> web.Response:
        raise web.HTTPGone

    app = web.Application()
    app.router.add_get("/.well-known/did.json", gone)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        did = f"did:web:localhost%3A{runner.addresses[0][1]}"
        status, kind, body = await client.get(f"/identifiers/{did}")
        assert (status, kind) == (410, "application/did-resolution")
        assert body["didDocument"] is None
        assert body["didDocumentMetadata"] == {"deactivated": True}
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("api", ["open", "off"])
async def test_a_second_node_verifies_what_the_first_issues(tmp_path: Path, api: str) -> None:
    """In each form, with the participant's own keys: keys and status come over did:web and HTTP, whether the
    first has a VC API or not; a revocation is seen once the list is fetched anew."""
    clock = SimulatedClock()
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(
                running(tmp_path / name, parts=Parts(clock=clock), credentials={"api": api})
            )
            for name in ("first", "second")
        ]
        issuing, verifier = first.node.credentials, second.node.verifier
        own = {name: issuer for name, issuer in issuing.issuers.items() if issuer.did == first.did}
        assert {multikey.kind(issuer.signer.public) for issuer in own.values()} == {"P-256", "Ed25519"}
        held: list[dict[str, Any]] = []
        for name, issuer in own.items():
            for suite in issuer.suites:
                for good in (GOOD, GOOD_1_1):
                    issued = await issuing.issue(name, suite.name, good, revocable=True)
                    if suite.form == "sd":
                        issued = await issuing.derive(issued, ["/credentialSubject/id"])
                    held.append(issued)
            for good in (GOOD, GOOD_1_1):
                token = await issuing.issue_jwt(name, good, revocable=True)
                held.append(envelope.envelope(token, "vc", older=good is GOOD_1_1))
        assert len(held) == 14
        for document in held:
            found = await verifier.verify(document)
            assert found.issuer == first.did
            await issuing.statuses.set(found.document["credentialStatus"][0], value=True)
        clock.advance(clock.now() + 301)
        for document in held:
            with pytest.raises(Untrusted, match="revoked"):
                await verifier.verify(document)


async def test_a_part_is_derived(client: Client) -> None:
    """The base credential is derived from with 201, and what comes out verifies."""
    path = "/issuers/key-1/ecdsa-sd-2023/credentials/issue"
    status, issued = await client.post(
        path, {"credential": GOOD, "options": {"mandatoryPointers": ["/type"]}}
    )
    assert status == 201
    body = {
        "verifiableCredential": issued,
        "options": {"selectivePointers": ["/credentialSubject/name", "/issuer"]},
    }
    status, shown = await client.post("/credentials/derive", body)
    assert status == 201
    assert (await client.post("/credentials/verify", {"verifiableCredential": shown}))[0] == 200
    assert (await client.post("/credentials/verify", {"verifiableCredential": issued}))[0] == 400
    for options in ({"selectivePointers": ["/nothing"]}, {"selectivePointers": "text"}):
        assert (await client.post("/credentials/derive", {**body, "options": options}))[0] == 400
    wrong = {"credential": GOOD, "options": {"mandatoryPointers": ["/nothing"]}}
    assert (await client.post(path, wrong))[0] == 400
