"""Every outbound byte of the node: one HTTP client, guarded, bounded, without memory.

No redirects are followed (a redirect would choose a new address), no cookies are kept, no proxy is taken
from the environment, and each body is read only up to a limit, counted after decompression.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import aiohttp
from aiohttp import hdrs
from yarl import URL

from connector import __version__
from connector.errors import EgressDenied, RemoteProtocolError, Unavailable
from connector.jsonld import documents
from connector.peers.egress import Egress

TIMEOUT = 30.0
MAX_BYTES = 4 * 1024 * 1024

_CONNECT_TIMEOUT = 10.0
_IDLE_TIMEOUT = 60.0
_CHUNK = 256 * 1024  # what measured best for streams


@dataclass(frozen=True, slots=True)
class Answer:
    """A peer's answer. `headers` has lower-case names; `body` is decompressed and complete."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self, max_depth: int = documents.MAX_DEPTH) -> Any:
        """The body as JSON of at most `max_depth` levels. Raises RemoteProtocolError."""
        return documents.loads(self.body, len(self.body), max_depth)


class Transport(Protocol):
    """How flows speak to peers. `Client` on the network; the simulator's in the tests."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = TIMEOUT,
        max_bytes: int = MAX_BYTES,
    ) -> Answer:
        """One exchange; an Answer, whatever its status. Raises as `Client.request`."""
        ...


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer whose body is still coming. `headers` has lower-case names; `chunks` yields raw bytes."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class Client:
    """A Transport over the network. Make one per node, `close()` it at the end.

    `trust` is for an intranet with its own certificate authority; by default the system's are trusted.
    """

    def __init__(
        self,
        egress: Egress,
        *,
        trust: ssl.SSLContext | None = None,
        connections: int = 256,
        per_host: int = 64,
    ) -> None:
        self._egress = egress
        self._trust = trust
        self._connections = connections
        self._per_host = per_host
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = TIMEOUT,
        max_bytes: int = MAX_BYTES,
    ) -> Answer:
        """Send, and read the whole answer within `timeout` seconds in all and `max_bytes` once decompressed.

        Raises EgressDenied (the address), Unavailable (the connection, or time), RemoteProtocolError (too
        large or not HTTP). A status such as 404 or 301 is an Answer like any other.
        """
        where = self._egress.check(url)
        try:
            async with self._open_session().request(
                method, where, headers=headers, data=body, timeout=_within(timeout), allow_redirects=False
            ) as response:
                content = await _read(response, max_bytes)
                return Answer(response.status, _plain(response.headers), content)
        except (aiohttp.ClientError, TimeoutError, OSError) as trouble:
            raise _explained(trouble, where, timeout) from trouble

    @asynccontextmanager
    async def open(self, url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Stream]:
        """GET `url` and hand out the answer while it comes: no limit of size, only of silence.

        The bytes are as the server sent them (`content-encoding` is not undone), so that `range` and
        `content-length` keep their meaning. Raises as `request`, also from within `chunks`.
        """
        where = self._egress.check(url)
        limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT, sock_read=_IDLE_TIMEOUT)
        asked = {hdrs.ACCEPT_ENCODING: "identity", **(headers or {})}
        try:
            response = await self._open_session().get(
                where,
                headers=asked,
                timeout=limits,
                allow_redirects=False,
                auto_decompress=False,
                read_bufsize=_CHUNK,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as trouble:
            raise _explained(trouble, where, _IDLE_TIMEOUT) from trouble
        async with response:
            yield Stream(response.status, _plain(response.headers), _chunks(response))

    async def close(self) -> None:
        """Close all connections. Later requests are Unavailable."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        """The one session; made at the first request, since aiohttp wants a running loop for it."""
        if self._closed:
            raise Unavailable("this node is shutting down")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=self._egress.resolver(),
                    ssl=self._trust or True,
                    limit=self._connections,
                    limit_per_host=self._per_host,
                    # Shorter than what common servers allow, so that we seldom send on a connection that
                    # the peer is just closing.
                    keepalive_timeout=20,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={hdrs.USER_AGENT: f"anode/{__version__}"},
                trust_env=False,
            )
        return self._session


@lru_cache(maxsize=32)
def _within(timeout: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, _CONNECT_TIMEOUT))


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """The body, decompressed piece by piece: aiohttp inflates no more at a time than its read buffer."""
    announced = response.content_length
    pieces: list[bytes] = []
    size = 0
    if announced is None or announced <= max_bytes:
        async for piece in response.content.iter_any():
            size += len(piece)
            if size > max_bytes:
                break
            pieces.append(piece)
        else:
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    response.close()  # the connection too: the rest is not wanted
    raise RemoteProtocolError(f"{_peer(response.url)} answered with more than {max_bytes} bytes")


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.content.iter_chunked(_CHUNK):
            yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError) as trouble:
        raise _explained(trouble, response.url, _IDLE_TIMEOUT) from trouble


def _plain(headers: Mapping[str, str]) -> dict[str, str]:
    """Names in lower case; repeated fields joined by a comma (RFC 9110 §5.3)."""
    plain: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        plain[lower] = f"{plain[lower]}, {value}" if lower in plain else value
    return plain


def _peer(url: URL) -> str:
    return f"{url.host}:{url.port}"


def _explained(trouble: Exception, url: URL, timeout: float) -> Exception:
    """What happened, for a person, by whose fault it is."""
    peer = _peer(url)
    match trouble:
        case aiohttp.ConnectionTimeoutError():
            return Unavailable(
                f"{peer} can't be reached: no connection in {min(timeout, _CONNECT_TIMEOUT):g} s"
            )
        case TimeoutError():
            return Unavailable(f"{peer} did not answer within {timeout:g} s")
        case aiohttp.ClientConnectorCertificateError():
            cause = trouble.certificate_error
            return Unavailable(f"{peer} has a TLS certificate that is not trusted: {_brief(cause)}")
        case aiohttp.ClientConnectorSSLError():
            return Unavailable(f"{peer} can't be reached: TLS failed: {_brief(trouble.os_error)}")
        case aiohttp.ClientConnectorDNSError():
            return Unavailable(f"{peer} can't be reached: its name does not resolve")
        case aiohttp.ClientConnectorError():
            return Unavailable(f"{peer} can't be reached: {_brief(trouble.os_error)}")
        case aiohttp.ServerDisconnectedError():
            return Unavailable(f"{peer} closed the connection before it answered")
        case aiohttp.ClientPayloadError():
            return Unavailable(f"the answer of {peer} broke off, or is damaged")
        case aiohttp.InvalidURL():
            return EgressDenied(f"the address at {peer} is not one that can be connected to")
        case aiohttp.ClientResponseError():
            return RemoteProtocolError(f"the answer of {peer} is not HTTP: {_brief(trouble)}")
    return Unavailable(f"the connection to {peer} failed: {_brief(trouble)}")


def _brief(cause: BaseException) -> str:
    said = cause.message if isinstance(cause, aiohttp.ClientResponseError) else str(cause)
    said = (cause.strerror if isinstance(cause, OSError) else None) or said or type(cause).__name__
    text = said.splitlines()[0]
    return text if len(text) <= 200 else text[:199] + "…"
