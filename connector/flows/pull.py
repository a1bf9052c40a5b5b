"""The consumer's side of the data plane: reads a transfer's data, with a token that works.

A provider's token is short-lived. It is refreshed a moment before it ends, or when the provider refuses it,
once for all who wait; the new address is kept before it is used, so that a restart goes on with it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from connector.dsp.terms import Role, State, Subject
from connector.errors import AnodeError, Denied, NotFound, RemoteProtocolError, Unavailable
from connector.flows.clock import Clock
from connector.flows.duties import Duties
from connector.flows.peers import Peers, reasons
from connector.flows.transfer import DataAddress, Transfers
from connector.peers.client import Answer, Client, Stream
from connector.store import processes as rows
from connector.store.database import Database

_EARLY = 2.0
"""Seconds before its end at which a token is refreshed: a request takes its time to arrive."""
_ERROR_BYTES = 65_536
_DATA = frozenset({200, 206, 304, 416})


class Pull:
    """Reads data that other nodes provide."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        client: Client,
        peers: Peers,
        transfers: Transfers,
        duties: Duties,
    ) -> None:
        self._db, self._clock, self._client = db, clock, client
        self._peers, self._transfers, self._duties = peers, transfers, duties
        self._refreshing: dict[str, asyncio.Task[None]] = {}

    async def address(self, pid: str, refused: str | None = None) -> DataAddress:
        """Where the data of a transfer is, with a token that is good for a moment at least.

        `refused` is a token that the provider did not take.

        :raises NotFound: no such transfer, or it is not running.
        :raises Denied: the transfer has been terminated; the reason is told.
        """
        process = rows.process(self._db.read, pid)
        if process is None or process.subject is not Subject.TRANSFER or process.role is not Role.CONSUMER:
            raise NotFound(f"There is no transfer {pid} in which this node is the consumer.")
        if process.state is State.TERMINATED:
            raise Denied(f"The transfer has been terminated: {process.reason or 'no reason was given'}")
        address = self._peers.data_address(pid)
        await self._duties.used(process.role, process.details["agreement"], process.participant)
        ending = address.expires is not None and self._clock.now() >= address.expires - _EARLY
        if address.authorization != refused and not (ending and address.refresh_token):
            return address
        task = self._refreshing.get(pid)
        if task is None:
            task = self._refreshing[pid] = asyncio.create_task(self._refresh(pid))
            task.add_done_callback(lambda _: self._refreshing.pop(pid, None))
        await asyncio.shield(task)  # who stops waiting must not stop the others' refresh
        return self._peers.data_address(pid)

    async def _refresh(self, pid: str) -> None:
        await self._transfers.keep_address(pid, await self._peers.refreshed(pid))

    @asynccontextmanager
    async def open(self, pid: str, headers: Mapping[str, str]) -> AsyncIterator[Stream]:
        """The transfer's data as its provider sends it: status 200, 206, 304 or 416.

        `headers` are those of a range or conditional request.

        :raises Denied: the provider refuses; with its reasons.
        """
        address = await self.address(pid)
        async with AsyncExitStack() as opened:
            stream = await opened.enter_async_context(self._ask(address, headers))
            if stream.status == 401 and address.refresh_token:
                await opened.aclose()
                address = await self.address(pid, refused=address.authorization)
                stream = await opened.enter_async_context(self._ask(address, headers))
            if stream.status not in _DATA:
                raise await _refusal(stream)
            yield stream

    def _ask(self, address: DataAddress, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Stream]:
        return self._client.open(address.endpoint, {**headers, "Authorization": address.authorization})


async def _refusal(stream: Stream) -> AnodeError:
    """What a provider's error answer means to us."""
    body = b""
    async for chunk in stream.chunks:
        body += chunk
        if len(body) > _ERROR_BYTES:
            break
    said = reasons(Answer(stream.status, stream.headers, body)) or ["no reason was given"]
    kind: type[AnodeError] = RemoteProtocolError
    if stream.status in (401, 403):
        kind = Denied
    elif stream.status == 404:
        kind = NotFound
    elif stream.status >= 500 or stream.status in (408, 409, 429):
        kind = Unavailable
    return kind(*(f"The provider answered {stream.status}: {reason}" for reason in said))
