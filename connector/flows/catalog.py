"""What this node offers, to whom: answers catalog requests from indexes, and says which offers stand.

Two policies decide for each offer: who may see it (`offer` in the policy file) and who may use the data
(`allow`, `when`). An offer is shown to a participant when the first says yes and the second does not say
no already. Both are asked once per *policy*, never per dataset.
"""

import base64
import binascii
import gzip
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.dcat import model as dcat
from connector.errors import NotFound, RemoteProtocolError
from connector.flows.clock import Clock
from connector.flows.derived import in_the_way
from connector.odrl import canonical
from connector.odrl.authoring import POINT, Authored
from connector.odrl.compile import Compiled, compile_policy
from connector.odrl.contexts import contexts_of
from connector.odrl.decision import Reason
from connector.odrl.model import Policy, to_document
from connector.odrl.operands import NO_CLAIMS, Claims, Facts
from connector.store import catalog as rows
from connector.store.database import Database, Transaction

_log = logging.getLogger(__name__)

PAGE = 100
_PAGES_KEPT = 64
_EDC_OFFSET = 10_000


@dataclass(frozen=True, slots=True)
class Terms:
    """A policy as it is offered: compiled, with its rules as JSON."""

    id: str
    policy: Policy
    digest: str
    offered: dcat.Offered
    access: Compiled
    contract: Compiled
    sentence: str
    """What the policy says, in plain English, for this node's operator."""
    data: Mapping[str, tuple[str, ...]]
    """Properties, by name, of which a dataset must have one value each to be offered so."""
    review: bool
    """Whether the operator looks at each request before it is agreed to."""
    contexts: tuple[str, ...]
    """The JSON-LD contexts that a document with this offer needs."""
    groups: Callable[[str], frozenset[str]]
    """The groups of partners that a participant is in."""

    @property
    def statutory(self) -> bool:
        """Whether it gives access by law: it is for points of Annex XIII, and nobody's approval is needed."""
        return POINT in self.data

    def visible_to(self, participant: str, now: float, claims: Claims) -> bool:
        """Whether the participant sees offers under this policy now.

        What the contract wants proved needs no proof yet: the offer is how one learns what to bring.
        """
        facts = Facts(now, participant, now, phase="catalog", groups=self.groups(participant))
        if not self.contract.possible(facts):
            return False
        return self.access.decide(facts._replace(action="access", claims=claims)).permitted

    def rules(self) -> dict[str, Any]:
        """The policy's rules as ODRL."""
        return {n: v for n, v in to_document(self.policy).items() if not n.startswith("@")}

    def document(self, dataset_id: str) -> dict[str, Any]:
        """The offer for a dataset as a message carries it: with `target`."""
        return {
            **self.rules(),
            "@type": "Offer",
            "@id": dcat.offer_id(dataset_id, self.digest),
            "target": dataset_id,
        }


@dataclass(frozen=True, slots=True)
class Query:
    """A catalog request: wanted properties, and which page."""

    wanted: rows.Wanted
    window: rows.Window
    first: bool = True
    """Whether this page was reached without a cursor."""


class CatalogPage:
    """A Catalog document as bytes, and the cursors of its neighbours."""

    __slots__ = ("_gzipped", "body", "next", "previous")

    def __init__(self, body: bytes, next_: str | None, previous: str | None) -> None:
        self.body, self.next, self.previous = body, next_, previous
        self._gzipped: bytes | None = None

    def gzipped(self) -> bytes:
        """The document compressed, made at the first call."""
        if self._gzipped is None:
            self._gzipped = gzip.compress(self.body, 3, mtime=0)
        return self._gzipped


class Catalog:
    """The catalog of one node."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        participant: str,
        address: str,
        policies: Mapping[str, Authored],
        claims: Callable[[str], Claims] = lambda _: NO_CLAIMS,
        groups: Callable[[str], frozenset[str]] = lambda _: frozenset(),
    ) -> None:
        self._db, self._clock, self._address = db, clock, address
        self.claims = claims
        """What is known of a participant's claims."""
        self.groups = groups
        """The groups of partners that a participant is in."""
        self._parts = dcat.Parts(participant, address)
        self.terms = {name: _terms(name, authored, groups) for name, authored in policies.items()}
        self._derived: dict[str, str] | None = None
        """Datasets that are passed on, and under which agreement; read when it is asked for."""
        self._pages: OrderedDict[tuple[Any, ...], CatalogPage] = OrderedDict()
        self.asks: frozenset[str] = frozenset().union(*(t.access.credentials for t in self.terms.values()))
        """Credentials that who looks at the catalog may be asked for."""

    def needs(self, dataset_id: str) -> frozenset[str]:
        """Credentials that who wants this dataset may be asked for."""
        stored = rows.dataset(self._db.read, dataset_id)
        terms = [t for n in (stored.policies if stored else ()) if (t := self.terms.get(n)) is not None]
        return frozenset().union(*(t.access.credentials | t.contract.credentials for t in terms))

    def changed(self) -> None:
        """Datasets were published or withdrawn."""
        self._pages.clear()
        self._derived = None

    def page(self, participant: str, query: Query) -> CatalogPage:
        """A Catalog document with what the participant may see."""
        visible = self._visible(participant)
        key = (tuple(visible), query)
        if (kept := self._pages.get(key)) is not None:
            self._pages.move_to_end(key)
            return kept
        wanted, window = rows.rarest_first(self._db.read, query.wanted), query.window
        found = rows.page(self._db.read, visible, wanted, window)
        offered = {name: terms.offered for name, terms in self.terms.items()}
        contexts = _contexts(self.terms[name] for name in visible)
        entries, steady = self._passed_on(found.entries)
        body = self._parts.catalog(
            ((i, members, [offered[p] for p in ps]) for i, members, ps in entries), contexts
        )
        first, last = (found.entries[0][0], found.entries[-1][0]) if found.entries else (window.start,) * 2
        if window.backwards:
            page = CatalogPage(body, cursor(last, False), cursor(found.edge, True) if found.edge else None)
        else:
            page = CatalogPage(
                body,
                cursor(found.edge, False) if found.edge else None,
                None if query.first else cursor(first, True),
            )
        if steady:
            self._pages[key] = page
        if len(self._pages) > _PAGES_KEPT:
            self._pages.popitem(last=False)
        return page

    def _passed_on(self, entries: list[rows.Entry]) -> tuple[list[rows.Entry], bool]:
        """The entries with offers that stay within what was agreed now; and whether time changes nothing."""
        if self._derived is None:
            self._derived = rows.derived(self._db.read)
        derived = self._derived
        if not derived or not any(entry[0] in derived for entry in entries):
            return entries, True
        now, found = self._clock.now(), []
        for i, members, names in entries:
            if (agreement := derived.get(i)) is not None:
                policies = ((name, self.terms[name].policy) for name in names)
                names = [n for n, policy in policies if not in_the_way(self._db.read, agreement, policy, now)]
            if names:
                found.append((i, members, names))
        return found, False

    def dataset(self, participant: str, dataset_id: str) -> bytes:
        """A Dataset document with the offers that the participant may see.

        :raises NotFound: no such dataset, or none of its offers is for this participant.
        """
        stored, visible = self._find(self._db.read, participant, dataset_id, self._clock.now())
        contexts = _contexts(visible)
        return self._parts.dataset(stored.id, stored.members, [terms.offered for terms in visible], contexts)

    def require(self, tx: Transaction, participant: str, dataset_id: str, now: float) -> None:
        """Refuse what :meth:`dataset` would not show."""
        self._find(tx, participant, dataset_id, now)

    def has(self, tx: Transaction, dataset_id: str) -> bool:
        """Whether there is such a dataset, whoever may see it."""
        return rows.dataset(tx, dataset_id) is not None

    def offers(self, tx: Transaction, participant: str, dataset_id: str, now: float) -> list[Terms]:
        """The terms under which a participant can have a dataset."""
        return self._find(tx, participant, dataset_id, now)[1]

    def offer(self, participant: str, dataset_id: str, policy: str) -> dict[str, Any]:
        """The offer to make to a participant by hand.

        :raises NotFound: the dataset is not offered to it under this policy.
        """
        visible = self._find(self._db.read, participant, dataset_id, self._clock.now())[1]
        for terms in visible:
            if terms.id == policy:
                return terms.document(dataset_id)
        names = ", ".join(t.id for t in visible)
        raise NotFound(f'{dataset_id} is not offered to {participant} under "{policy}", only under: {names}.')

    def _find(
        self, connection: Transaction, participant: str, dataset_id: str, now: float
    ) -> tuple[rows.Stored, list[Terms]]:
        stored = rows.dataset(connection, dataset_id)
        names = stored.policies if stored is not None else ()
        claims = self.claims(participant)
        visible = [
            t
            for n in names
            if (t := self.terms.get(n)) is not None and t.visible_to(participant, now, claims)
        ]
        if stored is not None and (agreement := stored.source.get("derived_from")) is not None:
            visible = [t for t in visible if not self._stands(connection, stored.id, agreement, t, now)]
        if stored is None or not visible:
            raise NotFound(f"No dataset {dataset_id} is offered to {participant} here.")
        return stored, visible

    def _stands(
        self, connection: Transaction, dataset_id: str, agreement: str, terms: Terms, now: float
    ) -> bool:
        """Whether something stands in the way of passing a dataset on so; our operator reads what."""
        reasons = in_the_way(connection, agreement, terms.policy, now)
        if reasons:
            _log.warning("%s is not offered under %s: %s", dataset_id, terms.id, reasons[0].text)
        return bool(reasons)

    def beyond_agreed(
        self, tx: Transaction, dataset_id: str, policy: Policy, now: float
    ) -> tuple[Reason, ...]:
        """What of a policy goes beyond the agreement that a dataset is derived from, if it is from one."""
        stored = rows.dataset(tx, dataset_id)
        agreement = None if stored is None else stored.source.get("derived_from")
        return () if agreement is None else in_the_way(tx, agreement, policy, now)

    def _visible(self, participant: str) -> list[str]:
        now, claims = self._clock.now(), self.claims(participant)
        return [name for name, terms in self.terms.items() if terms.visible_to(participant, now, claims)]


def _contexts(terms: Iterable[Terms]) -> tuple[str, ...]:
    """What all of them need: Catena-X's context comes with the protocol's."""
    return max((t.contexts for t in terms), key=len, default=tuple(contexts_of(None)))


def _terms(name: str, authored: Authored, groups: Callable[[str], frozenset[str]]) -> Terms:
    policy = authored.contract
    digest = canonical.digest(policy)
    return Terms(
        name,
        policy,
        digest,
        dcat.offered(policy, digest),
        compile_policy(authored.access, "access"),
        compile_policy(policy),
        authored.sentence,
        authored.data,
        authored.review,
        tuple(contexts_of(to_document(policy))),
        groups,
    )


def query(filters: Sequence[Any] | None, mark: str | None) -> Query:
    """Read the `filter` of a CatalogRequestMessage and the cursor of a `Link`.

    Each entry is an object of property names and wanted values (one or a list), all of which must hold:
    `[{"category": "EV", "chemistry": ["NMC622", "NMC811"]}]`. Eclipse EDC's QuerySpec is understood as
    far as it asks for pages and equality.

    :raises RemoteProtocolError: a filter that is not supported (HTTP 400, section 6.2.1).
    """
    wanted: list[tuple[str, tuple[str, ...]]] = []
    limit, skip = PAGE, 0
    for entry in filters or []:
        if not isinstance(entry, dict):
            raise RemoteProtocolError(
                f"filter: an entry must be an object like {{'category': 'EV'}}, not {entry!r:.80}."
            )
        if str(entry.get("@type", "")).endswith("QuerySpec") or "filterExpression" in entry:
            limit, skip = _window(entry)
            criteria = entry.get("filterExpression") or []
            wanted += [_criterion(c) for c in (criteria if isinstance(criteria, list) else [criteria])]
            continue
        for name, value in entry.items():
            values = value if isinstance(value, list) else [value]
            if (
                not values
                or len(values) > 50
                or not all(isinstance(v, str) and len(v) <= 1000 for v in values)
            ):
                raise RemoteProtocolError(f"filter.{name:.80}: give a text or a list of at most 50 texts.")
            wanted.append((name, tuple(values)))
    if len(wanted) > 10:
        raise RemoteProtocolError("filter: at most 10 properties can be asked for at once.")
    if mark is None:
        return Query(tuple(wanted), rows.Window(limit=limit, skip=skip))
    start, backwards = _position(mark)
    return Query(tuple(wanted), rows.Window(start, backwards, limit), first=False)


def cursor(start: str, backwards: bool) -> str:
    """An opaque mark of where a page begins, fit for a URL."""
    text = ("<" if backwards else ">") + start
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _position(mark: str) -> tuple[str, bool]:
    try:
        text = base64.urlsafe_b64decode(mark + "=" * (-len(mark) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        text = ""
    if text[:1] not in ("<", ">") or len(text) > 4096:
        raise RemoteProtocolError("The page mark in the URL is not one that this node gave.")
    return text[1:], text[0] == "<"


def _window(spec: Mapping[str, Any]) -> tuple[int, int]:
    limit, offset = spec.get("limit", PAGE), spec.get("offset", 0)
    if type(limit) is not int or type(offset) is not int or limit < 1 or not 0 <= offset <= _EDC_OFFSET:
        raise RemoteProtocolError(
            f"filter: limit must be a positive number, offset between 0 and {_EDC_OFFSET}; "
            "beyond that follow the Link header."
        )
    return min(limit, PAGE), offset


def _criterion(entry: Any) -> tuple[str, tuple[str, ...]]:
    left, operator, right = (
        (entry.get(n) for n in ("operandLeft", "operator", "operandRight"))
        if isinstance(entry, dict)
        else (None,) * 3
    )
    values = right if isinstance(right, list) and str(operator).lower() == "in" else [right]
    if (
        not isinstance(left, str)
        or str(operator).lower() not in ("=", "in")
        or not 0 < len(values) <= 50
        or not all(isinstance(v, str) and len(v) <= 1000 for v in values)
    ):
        raise RemoteProtocolError(
            "filter: only `=` and `in` on texts, at most 50 of them, are supported in a filterExpression."
        )
    return left.removeprefix("https://w3id.org/anode/v1/property/"), tuple(values)
