"""The token service: tokens for programs that prove themselves by a secret, and for nobody else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from connector.dcp import scopes
from connector.errors import InvalidFile
from connector.flows.identify import Caller
from connector.vc import jose
from connector.web import management, tokens
from tests.nodes import TOKEN, Running, running

SECRET = "a-secret-of-the-connector"
SCOPE = f"{scopes.TYPE_ALIAS}:MembershipCredential"
ASKED = {"grant_type": "client_credentials", "client_id": "connector", "client_secret": SECRET}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[tuple[Running, TestClient[Any, Any]]]:
    clients = tmp_path / "clients"
    clients.write_text(f"# programs\nconnector {SECRET}\n")
    clients.chmod(0o600)
    async with running(tmp_path / "node", credentials={"clients": str(clients)}) as node:
        server = TestServer(management.application(node.node, TOKEN))
        async with TestClient(server) as client:
            yield node, client


async def ask(client: TestClient[Any, Any], **changes: Any) -> tuple[int, dict[str, Any]]:
    form = {name: value for name, value in {**ASKED, **changes}.items() if value is not None}
    async with client.post("/sts/token", data=form) as answer:
        return answer.status, await answer.json()


async def test_a_program_gets_a_token_in_the_participants_name(service: Any) -> None:
    """The token is for its audience; the access token in it is good for the scopes, in its hands only."""
    node, client = service
    peer = "did:web:peer.example"
    status, body = await ask(client, audience=peer, bearer_access_scope=f"{SCOPE} {SCOPE}:read")
    assert (status, body["token_type"], body["expires_in"]) == (200, "Bearer", 60)
    claims = jose.parse(body["access_token"]).claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == (node.did, node.did, peer)
    granted = await node.node.own.granted(Caller(peer, claims["token"]))
    assert granted == {scopes.Scope("type", "MembershipCredential")}


async def test_an_access_token_of_a_peer_is_put_inside_as_it_is(service: Any) -> None:
    """With `token` a program asks the peer's wallet."""
    _, client = service
    _, body = await ask(client, audience="did:web:peer.example", token="opaque")
    assert jose.parse(body["access_token"]).claims["token"] == "opaque"


@pytest.mark.parametrize(
    ("changes", "status", "why"),
    [
        ({"client_secret": "wrong"}, 401, "client_secret is wrong"),
        ({"client_id": "other"}, 401, "client_id or"),
        ({"client_secret": None}, 401, "client_secret is wrong"),
        ({"grant_type": "password"}, 400, "grant_type must be"),
        ({"audience": "peer.example"}, 400, "audience must be the DID"),
        ({"audience": None}, 400, "audience must be the DID"),
        ({"bearer_access_scope": "no-scope"}, 400, "is not a scope"),
        ({"bearer_access_scope": SCOPE, "token": "x"}, 400, "not both"),
    ],
)
async def test_anybody_else_gets_none(service: Any, changes: Any, status: int, why: str) -> None:
    """A wrong secret, a wrong form or a wrong audience is refused, with the reason and without the secret."""
    _, client = service
    found, body = await ask(client, **{"audience": "did:web:peer.example", **changes})
    assert found == status
    assert why in body["error_description"]
    assert SECRET not in str(body)


async def test_a_form_has_an_end(service: Any) -> None:
    """Hundreds of fields, or a field twice, are 400 in the words of OAuth, and no failure of ours."""
    _, client = service
    for fields, why in [
        ([(f"f{number}", "x") for number in range(100)], "more than 50 fields"),
        ([("client_id", "a"), ("client_id", "b")], "is there more than once"),
    ]:
        async with client.post("/sts/token", data=fields) as answer:
            body = await answer.json()
            assert (answer.status, body["error"], why in body["error_description"]) == (
                400,
                "invalid_request",
                True,
            )


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        (f"connector {SECRET}", 0o644, "others may read"),
        ("connector", 0o600, ":1: expected"),
        ("connector short", 0o600, ":1: expected"),
    ],
)
def test_the_file_of_clients_is_checked(tmp_path: Path, text: str, mode: int, why: str) -> None:
    """Secrets that others can read, or that can be guessed, are refused when the node starts."""
    path = tmp_path / "clients"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(InvalidFile, match=why):
        tokens.read_clients(path)
