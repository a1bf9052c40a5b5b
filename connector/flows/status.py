"""Status of credentials: entries given out and lists kept for what we issue; lists of others, remembered.

A list is fetched once and kept for minutes, so a revocation is seen within `lifetime` seconds. Indexes are
drawn at random, so that neither an index nor a list's growth tells how many credentials there are.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from connector.errors import EgressDenied, NotFound, RemoteProtocolError, Untrusted
from connector.flows.clock import iso
from connector.flows.remembered import Remembered
from connector.store import status as rows
from connector.store.database import Database, Transaction
from connector.vc import credential as model
from connector.vc import status
from connector.vc.jose import shown
from connector.vc.status import Demands, Entry, StatusList

LIFETIME = 300.0
FAILURE_LIFETIME = 5.0
PURPOSES = ("revocation", "suspension")
CONTEXT_2021 = "https://w3id.org/vc/status-list/2021/v1"
_MODELS: Mapping[str, tuple[str, str, str]] = {"2.0": status.BITSTRING, "1.1": status.STATUS_LIST_2021}
_SUFFIXES: Mapping[str, str] = {"2.0": "", "1.1": "2021"}
"""What the name of a series ends with after its purpose, by data model: `key-1-revocation2021`."""
_BYTES = status.MIN_BITS // 8

Verify = Callable[[bytes, Demands], Awaitable[Mapping[str, Any]]]
"""Gives the status list credential in a body, its proof and period verified."""
Fetch = Callable[[str], Awaitable[bytes]]


class Statuses:
    """What the status of a credential is.

    `base` is the address under which this node's lists are found; `issuers` the DID behind each issuer's
    name; `fetch` gets the body at an address.
    `lifetime` and `failure_lifetime`: seconds that a list, or a failure to get one, is kept; `capacity`: how
    many; `fetches`: how many at one time; `demands`: what lists of others must be.
    """

    def __init__(
        self,
        db: Database,
        now: Callable[[], float],
        base: str,
        issuers: Mapping[str, str],
        fetch: Fetch,
        *,
        lifetime: float = LIFETIME,
        failure_lifetime: float = FAILURE_LIFETIME,
        capacity: int = 256,
        fetches: int = 16,
        demands: Demands = status.STRICT,
    ) -> None:
        self._db = db
        self._now = now
        self._base = base.rstrip("/")
        self._issuers = issuers
        self._fetch = fetch
        self._demands = demands
        self._lists: Remembered[StatusList] = Remembered(
            now,
            lambda found: len(found.bits),
            lifetime=lifetime,
            failure_lifetime=failure_lifetime,
            capacity=capacity,
            fetches=fetches,
            until=lambda found: found.until,
        )

    async def assigned(
        self, issuer: str, document: dict[str, Any], purposes: Sequence[str] = PURPOSES
    ) -> dict[str, Any]:
        """The document with an entry for each purpose, or with the entry if there is one purpose.

        One that has any is left as it is.

        Entries are of Bitstring Status List for data model 2.0, of StatusList2021 (and its context) for 1.1.
        """
        if "credentialStatus" in document:
            return document
        found = model.version(document)
        if found == "1.1" and CONTEXT_2021 not in model.contexts(document):
            document = {**document, "@context": [*model.contexts(document), CONTEXT_2021]}
        entries = []
        for purpose in purposes:
            series = f"{issuer}-{purpose}{_SUFFIXES[found]}"
            row, index = await self._db.write(partial(_give, series=series, now=self._now()))
            url = self.url(row.series, row.number)
            entries.append(
                {
                    "id": f"{url}#{index}",
                    "type": _MODELS[found][0],
                    "statusPurpose": purpose,
                    "statusListIndex": str(index),
                    "statusListCredential": url,
                }
            )
        return {**document, "credentialStatus": entries if len(entries) > 1 else entries[0]}

    def url(self, series: str, number: int) -> str:
        """Where a list of ours is found."""
        return f"{self._base}/{series}-{number}"

    async def set(self, entry: Mapping[str, Any], *, value: bool) -> None:
        """Set or clear the bit of an entry that this node gave out. Raises NotFound."""
        await self._db.write(lambda tx: self.set_within(tx, entry, value=value))

    def set_within(self, tx: Transaction, entry: Mapping[str, Any], *, value: bool) -> None:
        """The same, as a part of a transaction."""
        found = status.check_entry(entry)
        row = rows.find(tx, *self._own(found.url))
        if row is None or not _is_set(row.given, found.index):
            raise NotFound(f"this node has given out no entry {found.index} of {found.url}")
        bits = status.with_bit(row.bits, found.index, value=value)
        rows.save(tx, rows.Row(row.series, row.number, row.given, row.used, bits, self._now()))

    def credential(self, name: str) -> tuple[str, dict[str, Any]]:
        """Its issuer's name, and the list `name` as a credential without a proof. Raises NotFound.

        It is of the same data model as the credentials whose status it holds.
        """
        row = self._row(*_split(name))
        issuer, purpose, found = _parts(row.series)
        entry, outer, inner = _MODELS[found]
        url = self.url(row.series, row.number)
        return issuer, {
            "@context": [model.V2] if found == "2.0" else [model.V1, CONTEXT_2021],
            "id": url,
            "type": ["VerifiableCredential", outer],
            "issuer": self._issuers[issuer],
            "validFrom" if found == "2.0" else "issuanceDate": iso(row.changed),
            "credentialSubject": {
                "id": f"{url}#list",
                "type": inner,
                "statusPurpose": purpose,
                "encodedList": status.encoded(row.bits, entry),
            },
        }

    async def check(self, given: Mapping[str, Any], issuer: str, verify: Verify) -> float:
        """Raise Untrusted unless the status that a credential of `issuer` names is unset.

        Returns until when that answer is good (epoch seconds). Raises Unavailable too: the list can't be had
        now. Status types that are not understood do not pass.
        """
        entry = status.check_entry(given, by_name=True)
        found, ends = await self._list(entry, verify)
        if found.issuer != issuer:
            raise Untrusted(
                f"the status list is issued by {shown(found.issuer)}, the credential by {shown(issuer)}"
            )
        if found.value(entry):
            past = {"revocation": "revoked", "suspension": "suspended"}.get(
                entry.purpose, f"marked: {entry.purpose}"
            )
            raise Untrusted(f"the credential has been {past} by its issuer")
        return ends

    async def _list(self, entry: Entry, verify: Verify) -> tuple[StatusList, float]:
        """The list of an entry, and until when it is good. Our own lists are looked at each time."""
        if entry.url.startswith(f"{self._base}/"):
            try:
                row = self._row(*self._own(entry.url))
            except NotFound as missing:  # who made the credential has made that up, too
                raise Untrusted(*missing.reasons) from None
            name, purpose, _ = _parts(row.series)
            return StatusList(self._issuers[name], (purpose,), row.bits), self._now()
        return await self._lists.get((entry.url, entry.kind), partial(self._read, entry, verify))

    async def _read(self, entry: Entry, verify: Verify) -> StatusList:
        try:
            document = await verify(await self._fetch(entry.url), self._demands)
            return status.read(document, entry, self._demands)
        except (RemoteProtocolError, EgressDenied, Untrusted) as wrong:
            raise Untrusted(f"the status list at {shown(entry.url)} can't be used", *wrong.reasons) from None

    def _own(self, url: str) -> tuple[str, int]:
        return _split(url.removeprefix(f"{self._base}/"))

    def _row(self, series: str, number: int) -> rows.Row:
        row = rows.find(self._db.read, series, number)
        if row is None or _parts(series)[0] not in self._issuers:
            raise NotFound(f"this node has no status list {shown(f'{series}-{number}')}")
        return row


def _give(tx: Transaction, series: str, now: float) -> tuple[rows.Row, int]:
    """An index of the newest list of a series that nobody has; a half full list is followed by a new one."""
    row = rows.newest(tx, series)
    if row is None or row.used >= status.MIN_BITS // 2:
        row = rows.Row(series, row.number + 1 if row else 1, bytes(_BYTES), 0, bytes(_BYTES), now)
    index = secrets.randbelow(status.MIN_BITS)
    while _is_set(row.given, index):
        index = secrets.randbelow(status.MIN_BITS)
    given = status.with_bit(row.given, index, value=True)
    row = rows.Row(series, row.number, given, row.used + 1, row.bits, row.changed)
    rows.save(tx, row)
    return row, index


def _is_set(bits: bytes, index: int) -> bool:
    return index < len(bits) * 8 and bool(bits[index >> 3] >> (7 - (index & 7)) & 1)


def _split(name: str) -> tuple[str, int]:
    series, _, number = name.rpartition("-")
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        raise NotFound(f"this node has no status list {shown(name)}")
    return series, int(number)


def _parts(series: str) -> tuple[str, str, str]:
    """The issuer's name, the purpose and the data model in the name of a series."""
    issuer, _, last = series.rpartition("-")
    older = last.endswith(_SUFFIXES["1.1"])
    return issuer, last.removesuffix(_SUFFIXES["1.1"]), "1.1" if older else "2.0"
