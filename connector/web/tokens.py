"""The token service: self-issued tokens for programs of this participant, such as its connector.

OAuth 2 client credentials (RFC 6749 §4.4) as the Decentralized Claims Protocol 1.0.1 describes it ("Using the
OAuth 2 Client Credential Grant"): `audience` is who the token is for; `bearer_access_scope` asks for an
access token inside, for these scopes; `token` puts one of somebody else inside, to ask its wallet with.
It is on the management listener. Clients have secrets of their own instead of the management token.
"""

import hmac
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs

from aiohttp import web

from connector.dcp import scopes, self_issued
from connector.errors import AnodeError, InvalidFile, NotFound, RemoteProtocolError, Untrusted
from connector.node import Node
from connector.vc.did import MAX_LENGTH
from connector.web.identifiers import answer
from connector.web.openapi import BadRequest, Call, Route

_MAX_FORM = 64 * 1024
_MAX_FIELDS = 50
_SHORTEST_SECRET = 16


def read_clients(path: Path) -> dict[str, str]:
    """Client ids and their secrets, a line `id secret` each.

    Raises InvalidFile: missing, malformed, or readable by others.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(1 << 20).decode("utf-8", "replace")
    except OSError as problem:
        raise InvalidFile(f"{path}: can't be read: {problem.strerror}") from None
    if mode & 0o077:
        raise InvalidFile(f"{path}: others may read these secrets (mode {mode:04o}); run: chmod 600 {path}")
    clients: dict[str, str] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts or line.lstrip().startswith("#"):
            continue
        if len(parts) != 2 or len(parts[1]) < _SHORTEST_SECRET:
            what = f"a client's id and its secret of {_SHORTEST_SECRET} characters or more"
            problems.append(f"{path}:{number}: expected {what}")
            continue
        clients[parts[0]] = parts[1]
    if problems:
        raise InvalidFile(*problems)
    return clients


def routes(clients: Path | None) -> list[Route]:
    """The token endpoint, if there are programs that may use it."""
    if clients is None:
        return []
    known = read_clients(clients)

    async def issue_token(node: Node, call: Call) -> web.Response:
        """A self-issued ID token, for a program that proves itself by its secret."""
        return await _issue(node, call, known)

    return [
        Route(
            "POST",
            "/sts/token",
            issue_token,
            "A self-issued token for a program of ours",
            "credentials",
            told=_told,
            is_open=True,
        )
    ]


async def _issue(node: Node, call: Call, clients: Mapping[str, str]) -> web.Response:
    if node.own is None:
        raise NotFound("this node has no keys to issue tokens with")
    form = await _form(call.request)
    secret = clients.get(form.get("client_id", ""), "")
    given = form.get("client_secret", "")
    if not secret or not hmac.compare_digest(secret.encode(), given.encode()):
        raise Untrusted("client_id or client_secret is wrong")
    if form.get("grant_type") != "client_credentials":
        raise RemoteProtocolError("grant_type must be client_credentials")
    audience = form.get("audience", "")
    if not audience.startswith("did:") or len(audience) > MAX_LENGTH:
        raise RemoteProtocolError("audience must be the DID of who the token is for")
    access = form.get("token")
    if (wanted := form.get("bearer_access_scope")) is not None:
        if access is not None:
            raise RemoteProtocolError("send token or bearer_access_scope, not both")
        listed = wanted.split()
        scopes.parse_all(listed)
        access = await node.own.access_token(audience, listed)
    token = await node.own.token(audience, access)
    body = {"access_token": token, "token_type": "Bearer", "expires_in": self_issued.LIFETIME}
    return answer(body, 200)


async def _form(request: web.Request) -> dict[str, str]:
    """The form's fields, each of which may be there once."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise RemoteProtocolError("send a form: application/x-www-form-urlencoded")
    body = await request.read()
    if len(body) > _MAX_FORM:
        raise RemoteProtocolError(f"the form is larger than {_MAX_FORM} bytes")
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise RemoteProtocolError(f"the form has more than {_MAX_FIELDS} fields") from None
    repeated = [name for name, values in fields.items() if len(values) > 1]
    if repeated:
        raise RemoteProtocolError(f"{repeated[0][:50]!a} is there more than once")
    return {name: values[0] for name, values in fields.items()}


def _told(error: AnodeError) -> web.Response:
    """An error as RFC 6749 §5.2 tells it."""
    malformed = isinstance(error, RemoteProtocolError | BadRequest)
    code = (
        "invalid_client"
        if isinstance(error, Untrusted)
        else "invalid_request"
        if malformed
        else "server_error"
    )
    status = 401 if code == "invalid_client" else 400
    return answer({"error": code, "error_description": "; ".join(error.reasons)}, status)
