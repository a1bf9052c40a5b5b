"""Pages from indexes are the pages that a walk over everything would give."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.store import catalog
from connector.store.catalog import Stored, Wanted, Window
from connector.store.schema import STEPS

POLICIES = ("open", "partners", "hidden")
VALUES = {"category": ("EV", "LMT", "industrial"), "chemistry": ("NMC", "LFP")}


@dataclass(frozen=True)
class Entry:
    id: str
    policies: frozenset[str]
    properties: Mapping[str, str]


entries = st.lists(
    st.builds(
        Entry,
        st.text("ab~é\U0001f50b", min_size=1, max_size=4).map("urn:".__add__),
        st.frozensets(st.sampled_from(POLICIES), min_size=1),
        st.fixed_dictionaries({}, optional={n: st.sampled_from(v) for n, v in VALUES.items()}),
    ),
    max_size=40,
    unique_by=lambda e: e.id,
)
filters = st.lists(
    st.sampled_from(sorted(VALUES)).flatmap(
        lambda n: st.tuples(
            st.just(n), st.lists(st.sampled_from(VALUES[n]), min_size=1, max_size=3).map(tuple)
        )
    ),
    max_size=3,
)


def store(found: list[Entry]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript("".join(STEPS))
    for entry in found:
        publish(connection, entry)
    return connection


def publish(connection: sqlite3.Connection, entry: Entry) -> None:
    value = Stored(entry.id, "t", entry.id.encode(), {"inline": "1"}, tuple(entry.policies))
    catalog.publish(connection, value, entry.properties, {}, "file", 0.0)


def expected(found: list[Entry], visible: list[str], wanted: Wanted) -> list[tuple[str, bytes, list[str]]]:
    """By walking over all of it. SQLite orders text by its UTF-8."""
    return [
        (e.id, e.id.encode(), [p for p in sorted(visible) if p in e.policies])
        for e in sorted(found, key=lambda e: e.id.encode())
        if e.policies & set(visible) and all(e.properties.get(n) in values for n, values in wanted)
    ]


def walk(connection: sqlite3.Connection, visible: list[str], wanted: Wanted, window: Window) -> list:
    """All pages in one direction."""
    wanted = catalog.rarest_first(connection, wanted)
    pages = []
    while True:
        page = catalog.page(connection, visible, wanted, window)
        assert len(page.entries) <= window.limit
        pages.append([(i, b, sorted(p)) for i, b, p in page.entries])
        if page.edge is None:
            return pages
        window = replace(window, start=page.edge, skip=0)


@settings(max_examples=150, deadline=None)
@given(
    found=entries,
    visible=st.lists(st.sampled_from(POLICIES), unique=True),
    wanted=filters,
    limit=st.integers(1, 7),
    skip=st.integers(0, 9),
)
def test_pages_in_both_directions_are_the_whole(
    found: list[Entry], visible: list[str], wanted: Wanted, limit: int, skip: int
) -> None:
    """Following `next`, or `previous` from beyond the end, gives each visible dataset once, in id order."""
    connection = store(found)
    whole = expected(found, visible, wanted)
    forwards = walk(connection, visible, wanted, Window(limit=limit, skip=skip))
    assert [*chain(*forwards)] == whole[skip:]
    assert all(len(page) == limit for page in forwards[:-1])
    backwards = walk(connection, visible, wanted, Window("urn:\U0010ffff", True, limit))
    assert [*chain(*reversed(backwards))] == whole


def test_publishing_again_replaces(tmp_path) -> None:
    """A dataset that changes its offers and properties is found under the new ones only."""
    connection = store([Entry("urn:1", frozenset({"open"}), {"category": "EV"})])
    publish(connection, Entry("urn:1", frozenset({"partners"}), {"category": "LMT"}))
    whole = Window(limit=10)
    assert catalog.page(connection, ["open"], [], whole).entries == []
    assert catalog.page(connection, ["partners"], [("category", ("EV",))], whole).entries == []
    assert len(catalog.page(connection, ["partners"], [("category", ("LMT",))], whole).entries) == 1
    assert catalog.total(connection) == 1


def test_what_is_withdrawn_is_gone_everywhere() -> None:
    """No page, no look-up and no index still knows a withdrawn dataset; doing it twice says so."""
    connection = store([Entry("urn:1", frozenset({"open"}), {"category": "EV"})])
    assert catalog.withdraw(connection, "urn:1")
    assert not catalog.withdraw(connection, "urn:1")
    assert catalog.dataset(connection, "urn:1") is None
    for table in ("datasets", "offers", "properties"):
        query = f"SELECT count(*) FROM {table}"  # noqa: S608  # fixed names
        assert connection.execute(query).fetchone() == (0,)


def test_a_page_looks_at_a_bounded_number_of_entries() -> None:
    """A filter that finds nothing among very many gives an empty page with a way on, not a long walk."""
    found = [
        Entry(f"urn:{n:05}", frozenset({"open"}), {"category": "EV", "chemistry": "NMC"})
        for n in range(12_000)
    ]
    connection = store(found)
    publish(connection, Entry("urn:zz", frozenset({"open"}), {"category": "EV", "chemistry": "LFP"}))
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    # The widest filter that `flows.catalog.query` lets through, in the costliest order.
    wanted = [
        ("category", ("EV",)),
        *[("chemistry", (*(f"x{n}" for n in range(49)), "LFP")) for _ in range(9)],
    ]
    pages, window = 0, Window()
    while True:
        connection.set_progress_handler(count, 1000)
        steps = 0
        page = catalog.page(connection, ["open"], wanted, window)
        assert steps < 1000, f"{steps},000 instructions of SQLite for one page"
        pages += 1
        if page.edge is None:
            break
        window = replace(window, start=page.edge)
    assert [entry[0] for entry in page.entries] == ["urn:zz"]
    assert pages > 2
