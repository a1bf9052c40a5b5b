"""connector/dsp/STATES.md is written from the transition tables: run this file to write it anew."""

from pathlib import Path

from connector.dsp import negotiation, transfer
from connector.dsp.process import Table
from connector.dsp.terms import FINAL, Role, State

PAGE = Path(__file__).resolve().parents[2] / "connector" / "dsp" / "STATES.md"


def table(transitions: Table) -> str:
    """Who may send what from which state, and where it leads."""
    reached = {target for moves in transitions.values() for row in moves.values() for target in row.values()}
    states: list[State | None] = [None, *(s for s in State if s in reached)]
    lines = ["| state | the consumer may send | the provider may send |", "|---|---|---|"]
    for state in states:
        cells = []
        for role in Role:
            moves = transitions[role].get(state, {})
            cells.append(", ".join(f"{kind} → {target}" for kind, target in moves.items()) or "–")
        name = "(new)" if state is None else f"**{state}**" if state in FINAL else state
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def page() -> str:
    return (
        "# Who may send what\n\n"
        "Written from the tables in `negotiation.py` and `transfer.py` by `python -m tests.dsp.test_states`; "
        "a test compares.\nFinal states are bold. A state changes when the message is acknowledged.\n\n"
        f"## Contract negotiation\n\n{table(negotiation.TRANSITIONS)}\n\n"
        f"## Transfer process\n\n{table(transfer.TRANSITIONS)}\n"
    )


def test_the_page_is_what_the_tables_say() -> None:
    """The documented states are the code's."""
    assert PAGE.read_text() == page()


if __name__ == "__main__":
    PAGE.write_text(page())
