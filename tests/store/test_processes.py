"""What is kept of processes comes back as it was; what is on its way, open or in force is found."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.dsp.process import Process
from connector.dsp.terms import FINAL, Kind, Role, State, Subject
from connector.flows.negotiate import waits_for
from connector.store import duties
from connector.store import processes as rows
from connector.store.processes import Agreement, Outgoing, Step
from connector.store.schema import STEPS

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
word = st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1, max_size=20)
json = st.recursive(
    st.none() | st.booleans() | text,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(text, v, max_size=3),
    max_leaves=5,
)
process = st.builds(
    Process,
    st.sampled_from(Subject),
    st.sampled_from(Role),
    word,
    word,
    st.none() | word,
    st.none() | text,
    st.none() | st.sampled_from(State),
    st.none() | st.sampled_from(Kind),
    st.lists(word, max_size=12).map(tuple),
    st.integers(0, 2**62),
    st.none() | text,
    st.dictionaries(text, json, max_size=3),
)


def empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript("".join(STEPS))
    return connection


@pytest.fixture
def tx() -> Iterator[sqlite3.Connection]:
    connection = empty()
    yield connection
    connection.close()


def some(pid: str = "ours", **members: Any) -> Process:
    value = Process(Subject.TRANSFER, Role.PROVIDER, pid, "did:web:a", f"their {pid}", "http://p", details={})
    return replace(value, **members)


@given(process, process)
def test_a_process_comes_back_as_it_was(value: Process, later: Process) -> None:
    """Whatever text is in it; saving it again replaces what may change."""
    connection = empty()
    rows.save(connection, value, 1.0)
    assert rows.process(connection, value.pid) == value
    fixed = {n: getattr(value, n) for n in ("pid", "subject", "role", "participant")}
    rows.save(connection, replace(later, **fixed), 2.0)
    assert rows.process(connection, value.pid) == replace(later, **fixed)


def test_a_peer_finds_its_process_by_its_own_pid(tx: sqlite3.Connection) -> None:
    """The same pid of another participant, in another role or protocol, is another process."""
    rows.save(tx, some(), 1.0)
    known = (Subject.TRANSFER, Role.PROVIDER, "did:web:a", "their ours")
    assert rows.process_of_peer(tx, *known) == some()
    for place, other in enumerate((Subject.NEGOTIATION, Role.CONSUMER, "did:web:b", "else")):
        assert rows.process_of_peer(tx, *known[:place], other, *known[place + 1 :]) is None  # type: ignore[arg-type]


def test_one_message_of_a_process_is_on_its_way(tx: sqlite3.Connection) -> None:
    """Putting one out replaces the one before; taking it out leaves nothing due."""
    message = Outgoing("ours", "m", Kind.START, "http://p", "did:web:a", b"{}", 2, 1.0, 3.0, 9.0, "why", 4)
    rows.put_out(tx, message)
    assert rows.outgoing(tx, "ours") == message
    later = replace(message, message_id="m2", next_try=5.0, problem=None)
    rows.put_out(tx, later)
    assert rows.outgoing(tx, "ours") == later
    assert rows.due(tx) == [("ours", 5.0)]
    rows.take_out(tx, "ours")
    assert (rows.outgoing(tx, "ours"), rows.due(tx)) == (None, [])


def test_what_is_open_is_counted_by_participant_and_protocol(tx: sqlite3.Connection) -> None:
    """Processes that have not ended, up to a bound, by an index."""
    for number, state in enumerate(State):
        for participant in ("did:web:a", "did:web:b"):
            for copy in range(2):
                rows.save(tx, some(f"{number}{participant}{copy}", state=state, participant=participant), 1.0)
    expected = 2 * (len(State) - len(FINAL))
    assert rows.open_with(tx, Subject.TRANSFER, "did:web:a", 1000) == expected
    assert rows.open_with(tx, Subject.TRANSFER, "did:web:a", 3) == 3
    assert rows.open_with(tx, Subject.NEGOTIATION, "did:web:a", 1000) == 0
    seen: list[str] = []
    tx.set_trace_callback(seen.append)
    rows.open_with(tx, Subject.TRANSFER, "did:web:a", 1000)
    [query] = seen
    plan = tx.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
    assert any("processes_open" in row[3] for row in plan), plan


def test_what_waits_for_the_operator_is_found(tx: sqlite3.Connection) -> None:
    """The most urgent first, by an index of what is open; neither what was decided nor what is on its way."""

    def negotiation(pid: str, role: Role, state: State, **details: Any) -> Process:
        return replace(some(pid, state=state), subject=Subject.NEGOTIATION, role=role, details=details)

    asked = {"digest": "a", "review_of": "a"}
    for process in (
        negotiation("offered", Role.CONSUMER, State.OFFERED),
        negotiation("later", Role.PROVIDER, State.REQUESTED, **asked, review_until=9.0),
        negotiation("sooner", Role.PROVIDER, State.ACCEPTED, **asked, review_until=5.0),
        negotiation("other terms", Role.PROVIDER, State.REQUESTED, **{**asked, "digest": "b"}),
        negotiation("ours", Role.PROVIDER, State.OFFERED),
        negotiation("over", Role.PROVIDER, State.TERMINATED, **asked, review_until=1.0),
        replace(negotiation("answered", Role.CONSUMER, State.OFFERED), pending=Kind.ACCEPT),
    ):
        rows.save(tx, process, 1.0)
    number, found = rows.awaiting_operator(tx, 2)
    assert (number, [process.pid for *_, process in found]) == (3, ["sooner", "later"])
    number, found = rows.awaiting_operator(tx, 9)
    assert all(waits_for(process) for *_, process in found)
    assert [process.pid for *_, process in found] == ["sooner", "later", "offered"]
    seen: list[str] = []
    tx.set_trace_callback(seen.append)
    rows.awaiting_operator(tx, 9)
    plan = tx.execute(f"EXPLAIN QUERY PLAN {seen[0]}").fetchall()
    assert any("processes_open" in row[3] for row in plan), plan


def test_pages_are_newest_first_and_history_oldest_first(tx: sqlite3.Connection) -> None:
    """A page goes on where the last ended, whatever was changed meanwhile."""
    for number in range(5):
        rows.save(tx, some(str(number)), float(number), [Step(float(number), "in", "request", "REQUESTED")])
    rows.save(tx, some("0", state=State.STARTED), 9.0, [Step(9.0, "out", "start", "STARTED", "acknowledged")])
    first = rows.page(tx, Subject.TRANSFER, None, 2)
    assert [row[3].pid for row in first] == ["4", "3"]
    second = rows.page(tx, Subject.TRANSFER, first[-1][0], 10)
    assert [row[3].pid for row in second] == ["2", "1", "0"]
    assert second[-1][1:3] == (0.0, 9.0), "created, changed"
    assert [s.kind for s in rows.history(tx, "0")] == ["request", "start"]
    assert rows.counts(tx)["transfer"] == {"NEW": 4, "STARTED": 1}


def test_agreements_and_their_duties_are_listed_newest_first(tx: sqlite3.Connection) -> None:
    """Whatever their ids; each page goes on where the last ended, also among those of one moment."""
    for number, (id_, at) in enumerate([("b", 1.0), ("z", 2.0), ("a", 2.0), ("c", 3.5)]):
        key = (Role.CONSUMER, id_, "did:web:a")
        rows.save_agreement(tx, Agreement(*key, "urn:x:d", {}, "digest", at, "n", True))
        for part in "12"[: number + 1]:
            about = ("path", "use", "says", "use", True, "due" if part == "2" else "pending")
            duties.add(tx, duties.Duty(f"{id_}{part}", key[0], id_, key[2], *about))
    listed: list[str] = []
    owed: list[str] = []
    after = ""
    while page := rows.agreements(tx, None, after, 1):
        listed.append(page[0].id)
        after = rows.cursor(page[0].agreed, page[0].id)
    assert listed == ["c", "z", "a", "b"]
    after = ""
    while found := duties.page(tx, None, after, 2):
        owed += [duty.id for _, duty in found]
        after = found[-1][0]
    assert owed == ["c2", "c1", "z2", "z1", "a2", "a1", "b1"]
    assert [duty.id for _, duty in duties.page(tx, "due", "", 9)] == ["c2", "z2", "a2"]
    with pytest.raises(ValueError, match="could not convert"):
        rows.agreements(tx, None, "urn:x:b", 1)
    seen: list[str] = []
    tx.set_trace_callback(seen.append)
    rows.agreements(tx, None, after, 1)
    duties.page(tx, None, after, 1)
    for query in seen:
        plan = tx.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
        assert any("agreements_newest" in row[3] for row in plan), plan


def test_an_agreement_is_in_force_between_two_events(tx: sqlite3.Connection) -> None:
    """From FINALIZED on, until it is ended; each of its two parties has its own."""
    value = Agreement(
        Role.PROVIDER, "urn:x:a", "did:web:a", "urn:x:d", {"@id": "urn:x:a"}, "digest", 1.0, "n", False
    )
    rows.save_agreement(tx, value)
    rows.save_agreement(tx, replace(value, role=Role.CONSUMER, participant="did:web:b"))
    rows.bring_into_force(tx, Role.PROVIDER, "urn:x:a", "did:web:a")
    mine = rows.agreement(tx, Role.PROVIDER, "urn:x:a", "did:web:a")
    other = rows.agreement(tx, Role.CONSUMER, "urn:x:a", "did:web:b")
    assert mine == replace(value, in_force=True)
    assert other is not None
    assert not other.in_force
    rows.forget_agreement(tx, Role.PROVIDER, "urn:x:a", "did:web:a")
    assert rows.agreement(tx, Role.PROVIDER, "urn:x:a", "did:web:a") == value
    assert rows.agreement(tx, Role.PROVIDER, "urn:x:a", "did:web:b") is None
