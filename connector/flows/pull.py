"""The consumer's side of the data plane: reads a transfer's data, with a token that works.

A provider's token is short-lived. It is refreshed a moment before it ends, or when the provider refuses it,
once for all who wait; the new address is kept before it is used, so that a restart goes on with it. Where the
agreement is for certain purposes, one of them is declared with each request.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from connector.dsp.terms import Role, State, Subject
from connector.errors import AnodeError, Denied, NotFound, RemoteProtocolError, Unavailable
from connector.flows.clock import Clock
from connector.flows.duties import Duties, settled
from connector.flows.peers import Peers, reasons
from connector.flows.transfer import DataAddress, Policies, Transfers
from connector.jsonld import documents
from connector.odrl import rules
from connector.odrl.compile import Compiled
from connector.odrl.conditions import texts
from connector.odrl.facts import Facts
from connector.peers.client import Answer, Client, Stream
from connector.store import processes as rows
from connector.store.database import Database
from connector.store.processes import Agreement

PURPOSE = "Usage-Purpose"
"""The header that declares what a request for data is for."""
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
        policies: Policies,
        duties: Duties,
    ) -> None:
        self._db, self._clock, self._client = db, clock, client
        self._peers, self._transfers, self._policies, self._duties = peers, transfers, policies, duties
        self._refreshing: dict[str, asyncio.Task[None]] = {}

    async def address(self, pid: str) -> DataAddress:
        """Where the data of a transfer is, with a token that is good for a moment at least: for programs that
        fetch by themselves. From now on the data count as used.

        :raises NotFound: no such transfer, or it is not running.
        :raises Denied: the transfer has been terminated; the reason is told.
        """
        found = await self._address(pid)
        await self._used(pid)
        return found

    async def _used(self, pid: str) -> None:
        process = rows.process(self._db.read, pid)
        if process is not None:
            await self._duties.used(process.role, process.details["agreement"], process.participant)

    async def _address(self, pid: str, refused: str | None = None) -> DataAddress:
        """`refused` is a token that the provider did not take."""
        process = rows.process(self._db.read, pid)
        if process is None or process.subject is not Subject.TRANSFER or process.role is not Role.CONSUMER:
            raise NotFound(f"There is no transfer {pid} in which this node is the consumer.")
        if process.state is State.TERMINATED:
            raise Denied(f"The transfer has been terminated: {process.reason or 'no reason was given'}")
        address = self._peers.data_address(pid)
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

    def purposes(self, pid: str) -> tuple[str, ...] | None:
        """The purposes that are agreed for a transfer's data; None if none matters."""
        agreement = self._agreement(pid)
        policy = None if agreement is None else self._policies.of(agreement)
        return _purposes(policy) if policy is not None and "purpose" in policy.needs else None

    def _agreement(self, pid: str) -> Agreement | None:
        process = rows.process(self._db.read, pid)
        named = None if process is None else process.details.get("agreement")
        if process is None or named is None:
            return None
        return rows.agreement(self._db.read, Role.CONSUMER, named, process.participant)

    def _check_purpose(self, pid: str, purpose: str | None) -> None:
        """Raise Denied where the agreement can allow nothing for this purpose, or without one."""
        agreement = self._agreement(pid)
        if agreement is None:
            return
        policy = self._policies.of(agreement)
        agreed = _purposes(policy) if "purpose" in policy.needs else ()
        ours = str(agreement.document.get("assignee", ""))
        ours = str(agreement.document.get("assignee", ""))
        facts = Facts(self._clock.now(), ours, agreement.agreed, duties=settled(policy))

        def possible(purpose: str) -> bool:
            return policy.possible(facts._replace(purpose=purpose))

        if not possible(purpose or "") and any(map(possible, agreed)):
            said = "no purpose was declared" if purpose is None else f"declared was {purpose[:100]!r}"
            raise Denied(f"The data were agreed for {' or '.join(agreed)}; {said}: declare one of these.")

    @asynccontextmanager
    async def open(
        self, pid: str, headers: Mapping[str, str], purpose: str | None = None
    ) -> AsyncIterator[Stream]:
        """The transfer's data as its provider sends it: status 200, 206, 304 or 416.

        `headers` are those of a range or conditional request; `purpose` is what the data are read for.

        :raises Denied: the provider refuses, with its reasons; or the purpose is none of those agreed.
        """
        address = await self._address(pid)
        self._check_purpose(pid, purpose)
        if purpose is not None:
            headers = {**headers, PURPOSE: purpose}
        async with AsyncExitStack() as opened:
            stream = await opened.enter_async_context(self._ask(address, headers))
            if stream.status == 401 and address.refresh_token:
                await opened.aclose()
                address = await self._address(pid, refused=address.authorization)
                stream = await opened.enter_async_context(self._ask(address, headers))
            if stream.status not in _DATA:
                refused, given = await _refusal(stream)
                if isinstance(refused, Denied):
                    await self._transfers.keep_refusal(pid, given, stream.headers.get("x-request-id"))
                raise refused
            if stream.status in (200, 206):
                await self._used(pid)
            yield stream

    def _ask(self, address: DataAddress, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Stream]:
        return self._client.open(address.endpoint, {**headers, "Authorization": address.authorization})


def _purposes(policy: Compiled) -> tuple[str, ...]:
    """What its permissions are for."""
    found: set[str] = set()
    for rule in policy.rules:
        for node in rules.walk(rule) if rule.path.startswith("permission") else ():
            term = node.constraint
            about = node.condition is not None and "purpose" in node.condition.needs
            if term and about and term.operator not in ("neq", "isNoneOf"):
                found.update(texts("isAnyOf", term.right_operand, "purpose"))
    return tuple(sorted(found))


async def _refusal(stream: Stream) -> tuple[AnodeError, Any]:
    """What a provider's error answer means to us, and its `reason` as it wrote it."""
    body = b""
    async for chunk in stream.chunks:
        body += chunk
        if len(body) > _ERROR_BYTES:
            break
    answer = Answer(stream.status, stream.headers, body)
    said = reasons(answer) or ["no reason was given"]
    kind: type[AnodeError] = RemoteProtocolError
    if stream.status in (401, 403):
        kind = Denied
    elif stream.status == 404:
        kind = NotFound
    elif stream.status >= 500 or stream.status in (408, 409, 429):
        kind = Unavailable
    try:
        document: Any = documents.loads(body)
    except RemoteProtocolError:
        document = None
    given = document.get("reason") if isinstance(document, dict) else None
    name = stream.headers.get("x-request-id")
    quote = [f"To ask the provider why, quote request {name[:100]}."] if name and name.isprintable() else []
    return kind(*(f"The provider answered {stream.status}: {reason}" for reason in said), *quote), given
