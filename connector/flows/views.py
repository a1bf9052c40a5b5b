"""Data as they may be seen under an agreement: made once for each version and policy, and kept.

What a policy leaves out, replaces or groups is done by `odrl/projection.py`; here are the bytes. Only JSON
has attributes, so anything else is refused. The tag of a view is made of what is in it: the tag of the
original would let anybody try out guesses at what was left out.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable

import orjson

from connector.errors import AnodeError, Denied, NotFound, Unavailable
from connector.flows.sources import Source
from connector.odrl.projection import Projection, projected
from connector.peers.client import Client
from connector.store import uses as rows
from connector.store.database import Database

_KEPT_BYTES = 64 << 20
_IN_PLACE = 32 * 1024
"""Larger documents are cut down in a thread, so that others need not wait."""


class Views:
    """The views of one node's data. `most`: bytes of the largest document that is cut down."""

    def __init__(self, db: Database, upstream: Client, most: int) -> None:
        self._db, self._upstream, self._most = db, upstream, most
        self._kept: OrderedDict[tuple[object, ...], Source] = OrderedDict()
        self._bytes = 0

    def kept(
        self, dataset: str, source: Source, agreement: str, participant: str, projection: Projection
    ) -> Source | None:
        """The view of an inline document, if it was made before: without waiting for anything."""
        if source.body is None:
            return None
        return self._known(_mark(dataset, source.etag, agreement, participant, projection))

    async def of(
        self, dataset: str, source: Source, agreement: str, participant: str, projection: Projection
    ) -> Source:
        """The source as the projection leaves it.

        :raises Denied: it can't be done to these data.
        :raises NotFound: the file is gone. Unavailable: the upstream does not answer.
        """
        media_type = (source.media_type or "application/json").partition(";")[0].strip().lower()
        if not media_type.endswith(("/json", "+json")):
            raise _refused(f"they are {media_type}, not JSON")
        version, read = await self._version(source)
        mark = _mark(dataset, version, agreement, participant, projection)
        if (found := self._known(mark)) is not None:
            return found
        octets = read()
        if len(octets) > self._most:
            raise _refused(f"they are larger than {self._most} bytes")
        key = await self._key(agreement, participant) if projection.pseudonymise else b""
        if len(octets) <= _IN_PLACE:
            body = _made(octets, projection, key)
        else:
            body = await asyncio.to_thread(_made, octets, projection, key)
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        made = Source(source.media_type or "application/json", body, tag)
        self._keep(mark, made)
        return made

    def _known(self, mark: tuple[object, ...]) -> Source | None:
        found = self._kept.get(mark)
        if found is not None:
            self._kept.move_to_end(mark)
        return found

    async def _version(self, source: Source) -> tuple[object, Callable[[], bytes]]:
        """What tells one version of a source from the next, and how to read it."""
        if source.body is not None:
            body = source.body
            return source.etag, lambda: body
        if source.file is not None:
            path = source.file
            try:
                status = path.stat()
                if status.st_size > self._most:
                    raise _refused(f"they are larger than {self._most} bytes")
                octets = path.read_bytes() if status.st_size <= _IN_PLACE else None
            except OSError as error:
                raise NotFound(
                    f"The provider's file for this dataset can't be read ({error.strerror})."
                ) from None
            version = (status.st_mtime_ns, status.st_size)
            return version, lambda: path.read_bytes() if octets is None else octets
        fetched = await self._fetched(source)
        return hashlib.sha256(fetched).digest(), lambda: fetched

    async def _fetched(self, source: Source) -> bytes:
        http = source.http or {}
        octets = bytearray()
        try:
            async with self._upstream.open(http["url"], http["headers"]) as stream:
                if stream.status != 200 or stream.headers.get("content-encoding", "identity") != "identity":
                    raise Unavailable(f"it answered {stream.status}")
                async for chunk in stream.chunks:
                    octets += chunk
                    if len(octets) > self._most:
                        raise _refused(f"they are larger than {self._most} bytes")
        except Denied:
            raise
        except AnodeError:
            raise Unavailable("The provider's source can't be read now; its operator must look.") from None
        return bytes(octets)

    async def _key(self, agreement: str, participant: str) -> bytes:
        key = rows.pseudonym_key(self._db.read, agreement, participant)
        if key is None:
            new = secrets.token_bytes(32)
            key = await self._db.write(lambda tx: rows.keep_pseudonym_key(tx, agreement, participant, new))
        return key

    def _keep(self, mark: tuple[object, ...], made: Source) -> None:
        if (before := self._kept.get(mark)) is not None:  # two were made at once
            self._bytes -= len(before.body or b"")
        self._kept[mark] = made
        self._bytes += len(made.body or b"")
        while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= len(gone.body or b"")


def _mark(
    dataset: str, version: object, agreement: str, participant: str, projection: Projection
) -> tuple[object, ...]:
    """What two views have in common that are the same. Pseudonyms are an agreement's own."""
    return dataset, version, projection, *((agreement, participant) if projection.pseudonymise else ())


def _made(octets: bytes, projection: Projection, key: bytes) -> bytes:
    def pseudonym(text: str) -> str:
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32]

    try:
        return orjson.dumps(projected(orjson.loads(octets), projection, pseudonym))
    except orjson.JSONDecodeError:
        raise _refused("they are not JSON that can be read") from None
    except (ValueError, TypeError) as error:
        raise _refused(str(error)) from None


def _refused(why: str) -> Denied:
    return Denied(
        "The agreement wants the data with parts left out, replaced or grouped, and to these data that can't "
        f"be done: {why}. Tell the provider."
    )
