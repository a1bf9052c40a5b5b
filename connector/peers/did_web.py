"""DID documents: of a did:web fetched and kept for a while ("Read"), of a did:key or did:jwk made from it.

One fetch at a time for a DID however many ask; a failure is kept too, briefly, so that a stranger with a
broken DID can't make this node hammer an address of his choice.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from connector.errors import AnodeError, Deactivated, RemoteProtocolError, Unavailable, Untrusted
from connector.peers.client import Transport
from connector.peers.places import Places
from connector.vc import methods
from connector.vc.did import document_url
from connector.vc.jose import shown

LIFETIME = 300.0
FAILURE_LIFETIME = 5.0
TIMEOUT = 10.0
MAX_BYTES = 64 * 1024
MAX_DEPTH = 16

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Document:
    content: dict[str, Any]
    fetched: float


@dataclass(frozen=True, slots=True)
class _Failure:
    trouble: AnodeError
    happened: float


class DidResolver:
    """`resolve(did)` with a memory. `clock` gives epoch seconds.

    `scheme` is https, except on loopback. `lifetime` and `failure_lifetime`: seconds that a document, or a
    failure, is kept. `capacity`: documents kept, and failures kept. `fetches`: DIDs of strangers fetched at
    one time, and `of_host`: those of one host; who wants one more is told to come back, so that slow hosts
    can't make requests pile up. DIDs whose document we have had are fetched beside them. `own` gives the
    document of a DID that is this node's, which need not be fetched, and may not be yet.
    """

    def __init__(
        self,
        transport: Transport,
        scheme: Literal["https", "http"],
        clock: Callable[[], float],
        *,
        lifetime: float = LIFETIME,
        failure_lifetime: float = FAILURE_LIFETIME,
        timeout: float = TIMEOUT,
        capacity: int = 4096,
        fetches: int = 128,
        of_host: int = 32,
        own: Callable[[str], dict[str, Any] | None] = lambda did: None,
    ) -> None:
        self._own = own
        self._transport = transport
        self._scheme = scheme
        self._clock = clock
        self._lifetime = lifetime
        self._failure_lifetime = failure_lifetime
        self._timeout = timeout
        self._capacity = capacity
        self._places = Places(fetches, of_host)
        # Two memories, so that a stranger's many broken DIDs can't push out a partner's good one.
        self._documents: dict[str, _Document] = {}
        self._failures: dict[str, _Failure] = {}
        self._under_way: dict[str, asyncio.Task[dict[str, Any] | AnodeError]] = {}

    async def resolve(self, did: str, max_age: float | None = None) -> dict[str, Any]:
        """The document of a did:web, did:key or did:jwk: the one entrance for DIDs that come from outside.

        It is the same object for as long as it is kept, so don't change it. `max_age` (seconds) wants one
        fetched no longer ago than that, if it can be had. Raises Untrusted (there is no sound document),
        Unavailable (not now), EgressDenied (its host is out of reach).
        """
        kept = self._documents.get(did)
        age = self._clock() - kept.fetched if kept else self._lifetime
        if kept and age < self._lifetime and (max_age is None or age < max_age):
            return kept.content
        if (made := self._own(did) or methods.local_document(did)) is not None:
            return made
        outcome = await self._outcome(did)
        if not isinstance(outcome, AnodeError):
            return outcome
        if kept and age < self._lifetime and isinstance(outcome, Unavailable):
            return kept.content
        raise _again(outcome)

    async def _outcome(self, did: str) -> dict[str, Any] | AnodeError:
        """A fetch's result: one that just failed, one under way, or a new one."""
        failure = self._failures.get(did)
        if failure and self._clock() - failure.happened < self._failure_lifetime:
            return failure.trouble
        task = self._under_way.get(did)
        if task is None:
            url = document_url(did, self._scheme)
            known = did in self._documents
            if not self._places.take(did, known=known):
                return Unavailable(
                    "this node is fetching too many DID documents at the moment", retry_after=2
                )
            task = self._under_way[did] = asyncio.create_task(self._fetch(did, url))
            task.add_done_callback(lambda _: self._places.leave(did, known=known))
        # Shielded: who stops waiting must not stop the fetch for the others.
        return await asyncio.shield(task)

    async def _fetch(self, did: str, url: str) -> dict[str, Any] | AnodeError:
        try:
            content = await self._read(did, url)
        except AnodeError as trouble:
            failure = _for_who_asked(did, trouble, self._failure_lifetime)
            if not isinstance(failure, Unavailable):
                self._documents.pop(did, None)
            _keep(self._failures, did, _Failure(failure, self._clock()), self._capacity)
            return failure
        else:
            self._failures.pop(did, None)
            _keep(self._documents, did, _Document(content, self._clock()), self._capacity)
            return content
        finally:
            del self._under_way[did]

    async def _read(self, did: str, url: str) -> dict[str, Any]:
        answer = await self._transport.request(
            "GET",
            url,
            headers={"accept": "application/did+json, application/did+ld+json, application/json"},
            timeout=self._timeout,
            max_bytes=MAX_BYTES,
        )
        if answer.status in (429, 500, 502, 503, 504):
            raise Unavailable(f"{url} answered {answer.status}")
        if 300 <= answer.status < 400:
            raise Untrusted(f"{url} redirects elsewhere; a DID document must be where its DID says")
        if answer.status == 410:
            raise Deactivated(f"{did} was given up: {url} is no more, it answered 410")
        if answer.status != 200:
            raise Untrusted(f"there is no DID document at {url}: it answered {answer.status}")
        # The content type is not looked at: real issuers send none, or text/plain.
        document = answer.json(MAX_DEPTH)
        if not isinstance(document, dict):
            raise Untrusted(f"what {url} holds is not a DID document: not a JSON object")
        if document.get("id") != did:
            raise Untrusted(f"the DID document at {url} has the id {shown(document.get('id'))}, not {did}")
        return document


def _keep(memory: dict[str, _T], did: str, item: _T, capacity: int) -> None:
    """Put `item` at the end, as the youngest, and let go of the oldest if it is one too many."""
    memory.pop(did, None)
    memory[did] = item
    if len(memory) > capacity:
        del memory[next(iter(memory))]


def _for_who_asked(did: str, trouble: AnodeError, retry_after: float) -> AnodeError:
    """`trouble` of an HTTP exchange as trouble with `did`."""
    if isinstance(trouble, Unavailable):
        reason = f"the DID document of {did} can't be fetched now"
        return Unavailable(reason, *trouble.reasons, retry_after=retry_after)
    if isinstance(trouble, RemoteProtocolError):
        return Untrusted(f"the DID document of {did} can't be used", *trouble.reasons)
    return trouble


def _again(trouble: AnodeError) -> AnodeError:
    """A fresh error like `trouble`: one that is raised twice would drag its first traceback along."""
    if isinstance(trouble, Unavailable):
        return Unavailable(*trouble.reasons, retry_after=trouble.retry_after)
    return type(trouble)(*trouble.reasons)
