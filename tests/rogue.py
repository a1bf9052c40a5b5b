"""A host on loopback whose owner means no good: participants, wallets, issuers and lists that say anything.

Everything it serves is sound until a test bends it: `rogue.bent[path]` takes the place of what would be
answered there, and what a party signs is what it is told to sign. A node under test can't tell it from any
other host.
"""

import asyncio
import hmac
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from connector.dcp import self_issued
from connector.dcp.messages import CONTEXT
from connector.dsp.terms import CONTEXT as DSP
from connector.vc import did as did_web
from connector.vc import envelope, keys, multibase, multikey, status
from connector.vc.dates import iso
from connector.vc.signers import InMemory, Signer

MEMBER = "MembershipCredential"
V1, V2 = "https://www.w3.org/2018/credentials/v1", "https://www.w3.org/ns/credentials/v2"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Signed = Signer | Callable[[bytes], bytes]


def jwt(header: Any, payload: Any, by: Signed) -> str:
    """A JWS of these two, which may be JSON texts as well: so that a member can be there twice."""
    texts = (part if isinstance(part, str) else json.dumps(part) for part in (header, payload))
    said = ".".join(multibase.base64url(text.encode()) for text in texts)
    sign = by if callable(by) else by.sign
    return f"{said}.{multibase.base64url(sign(said.encode()))}"


def twice(member: str, value: Any, document: dict[str, Any]) -> str:
    """The document as JSON text, with a member that is there once more, before all others."""
    return "{" + f"{json.dumps(member)}:{json.dumps(value)}," + json.dumps(document)[1:]


def hmac_by(key: multikey.Public) -> Callable[[bytes], bytes]:
    """What signs with a public key as if it were a secret: HS256, to mistake one for the other."""
    secret = orjson.dumps(multikey.jwk(key))
    return lambda message: hmac.new(secret, message, "sha256").digest()


class Party:
    """A participant of the rogue's: a DID, a key, and whatever it cares to sign. Times are epoch seconds."""

    def __init__(self, rogue: "Rogue", name: str) -> None:
        self.rogue, self.name, self.now = rogue, name, rogue.now
        self.did = f"did:web:localhost%3A{rogue.port}:{name}"
        self.key = keys.generate(self.did)
        self.services: dict[str, str] = {"CredentialService": f"{rogue.url}/{name}/wallet"}
        self.presents: list[str] = []
        """The presentations that its wallet answers a query with."""
        self.queries: list[Any] = []

    @property
    def document(self) -> dict[str, Any]:
        """Its DID document, sound."""
        endpoints = [did_web.Endpoint(kind, kind, where) for kind, where in self.services.items()]
        return did_web.document(self.did, [did_web.method(self.key.kid, self.key.signer.public)], endpoints)

    def token(self, audience: str, /, *, header: Any = None, by: Signed | None = None, **claims: Any) -> str:
        """A self-issued ID token, with claims and header members changed (`...`: taken out)."""
        jti = f"{self.name}-{next(self.rogue.count)}"
        sound = self_issued.claims(self.did, audience, self.now(), jti, token="access")
        full = {"alg": "ES256", "typ": "JWT", "kid": self.key.kid, **(header or {})}
        return jwt(without(full), without({**sound, **claims}), by or self.key.signer)

    def credential(
        self,
        holder: str,
        *,
        older: bool = True,
        header: Any = None,
        by: Signed | None = None,
        claims: Any = None,
        **members: Any,
    ) -> str:
        """A credential about `holder` that it issues, with claims, header and members changed."""
        begins, ends = ("issuanceDate", "expirationDate") if older else ("validFrom", "validUntil")
        now = self.now()
        document = {
            "@context": [V1 if older else V2],
            "id": f"urn:x:{next(self.rogue.count)}",
            "type": ["VerifiableCredential", MEMBER],
            "issuer": self.did,
            begins: iso(now - 60),
            ends: iso(now + 3600),
            "credentialSubject": {"id": holder, "memberOf": "Batteries"},
        }
        document = without({**document, **members})
        stated = {"iss": self.did, "sub": holder, "nbf": int(now) - 60, "exp": int(now) + 3600}
        payload = {**stated, "vc": document} if older else {**document, **stated}
        full = {"alg": "ES256", "typ": "JWT" if older else "vc+jwt", "kid": self.key.kid, **(header or {})}
        payload = claims(payload) if callable(claims) else without({**payload, **(claims or {})})
        return jwt(without(full), payload, by or self.key.signer)

    def presentation(
        self,
        audience: str,
        *credentials: Any,
        older: bool = True,
        header: Any = None,
        by: Signed | None = None,
        claims: Any = None,
        **members: Any,
    ) -> str:
        """A presentation of credentials for `audience`, with claims, header and members changed."""
        now = int(self.now())
        held = credentials if older else [envelope.envelope(one, "vc") for one in credentials]
        document = {
            "@context": [V1 if older else V2],
            "type": ["VerifiablePresentation"],
            "holder": self.did,
            "verifiableCredential": [*held],
        }
        document = without({**document, **members})
        stated = {"iss": self.did, "aud": audience, "nbf": now, "exp": now + 60, "jti": "urn:x:1"}
        payload = {**stated, "vp": document} if older else {**document, **stated}
        full = {"alg": "ES256", "typ": "JWT" if older else "vp+jwt", "kid": self.key.kid, **(header or {})}
        payload = claims(payload) if callable(claims) else without({**payload, **(claims or {})})
        return jwt(without(full), payload, by or self.key.signer)

    def listed(self, holder: str, url: str, *, older: bool = True, **entry: Any) -> str:
        """A credential whose status is entry 7 of the list at `url`."""
        kind = status.STATUS_LIST_2021 if older else status.BITSTRING
        full = {"id": f"{url}#7", "type": kind[0], "statusPurpose": "revocation", "statusListIndex": "7"}
        return self.credential(
            holder, older=older, credentialStatus={**full, "statusListCredential": url, **entry}
        )

    def status_list(
        self,
        url: str,
        *,
        older: bool = True,
        bits: bytes = bytes(1 << 14),
        purpose: str = "revocation",
        encoded: str | None = None,
        **members: Any,
    ) -> str:
        """A status list that it issues, as JWT."""
        kind = status.STATUS_LIST_2021 if older else status.BITSTRING
        packed = status.encoded(bits, kind[0]) if encoded is None else encoded
        subject = {"id": f"{url}#list", "type": kind[2], "statusPurpose": purpose, "encodedList": packed}
        types = ["VerifiableCredential", kind[1]]
        about = {"id": url, "type": types, "credentialSubject": subject, **members}
        return self.credential("urn:x:list", older=older, claims={"sub": ...}, **about)

    async def ask(self, node_url: str, audience: str, token: str | None = None) -> tuple[int, Any]:
        """Ask a node for its catalog; status and body of the answer."""
        message = {"@context": [DSP], "@type": "CatalogRequestMessage"}
        where = f"{node_url}/dsp/catalog/request"
        return await self.rogue.post(where, token or self.token(audience), message)


class Rogue:
    """The host. `now` gives epoch seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.count = itertools.count(1)
        self.parties: dict[str, Party] = {}
        self.bent: dict[str, Handler | web.Response | bytes] = {}
        self.asked: Counter[str] = Counter()
        self.silent = asyncio.Event()
        """Set at the end: until then whoever asks `nothing` waits."""
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def party(self, name: str = "") -> Party:
        """A participant more."""
        made = Party(self, name or f"party-{next(self.count)}")
        self.parties[made.name] = made
        return made

    async def nothing(self, request: web.Request) -> web.Response:
        """No answer, ever."""
        await self.silent.wait()
        return web.Response(status=503)

    async def endless(self, request: web.Request) -> web.StreamResponse:
        """Fifty megabytes of a JSON string."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"id":"')
        try:
            for _ in range(50):
                await response.write(b"x" * (1 << 20))
        except ConnectionError:
            return response
        await response.write(b'"}')
        return response

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """What stands under the path of a request."""
        path = request.path
        self.asked[path] += 1
        found = self.bent.get(path)
        if isinstance(found, bytes):
            return web.Response(body=found, content_type="application/json")
        if isinstance(found, web.Response):
            return web.Response(body=found.body, status=found.status, headers=found.headers)
        if found is not None:
            return await found(request)
        name, _, rest = path.removeprefix("/").partition("/")
        party = self.parties.get(name)
        if party is None:
            return web.Response(status=404)
        if rest == "did.json":
            return web.json_response(party.document)
        if rest == "wallet/presentations/query":
            party.queries.append(await request.json())
            body = {"@context": [CONTEXT], "type": "PresentationResponseMessage"}
            return web.json_response({**body, "presentation": party.presents})
        if rest == "wallet/credentials":
            return web.json_response({})
        return web.Response(status=404)

    async def post(self, url: str, token: str | None, body: Any) -> tuple[int, Any]:
        """Send to a node; status and JSON of the answer. `body` may be bytes."""
        headers = {"Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {token}"} if token is not None else {}
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        async with self.session.post(url, data=data, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, url: str, token: str | None = None) -> tuple[int, Any]:
        """Ask a node; status and JSON of the answer."""
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        async with self.session.get(url, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    session: aiohttp.ClientSession


def without(members: dict[str, Any]) -> dict[str, Any]:
    """The members that are not `...`."""
    return {name: value for name, value in members.items() if value is not ...}


def ed25519() -> InMemory:
    """A key of another kind than participants have."""
    return InMemory(multikey.generate("Ed25519"))


@asynccontextmanager
async def rogue(now: Callable[[], float]) -> AsyncIterator[Rogue]:
    """A rogue that listens."""
    made = Rogue(now)
    app = web.Application(client_max_size=8 << 20)
    app.router.add_route("*", "/{path:.*}", made.answer)
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0.1)
    assert server.port is not None
    made.port = server.port
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as made.session:
        try:
            yield made
        finally:
            made.silent.set()
            await server.close()
