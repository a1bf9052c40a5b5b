"""The audit log: whole lines only, whatever happened before."""

from pathlib import Path

import orjson
import pytest

from connector.flows.audit import Audit
from tests.dataspace import SimulatedClock


@pytest.mark.parametrize("left", [b'{"n":1}\n{"n":2}\n{"half', b'{"half', b"", b'{"n":1}\n'])
def test_half_a_line_is_cut_off_at_the_start(tmp_path: Path, left: bytes) -> None:
    """What a crash left of a last line goes, every whole line stays, and new lines follow them."""
    path = tmp_path / "audit.jsonl"
    path.write_bytes(left)
    audit = Audit(path, SimulatedClock())
    audit.write(b'"a":1', {"n": 9})
    audit.close()
    whole = left[: left.rfind(b"\n") + 1]
    new = b'{"at":"2027-01-15T08:00:00Z","a":1,"n":9}\n'
    assert path.read_bytes() == whole + new


def test_the_newest_lines_are_shown_oldest_first(tmp_path: Path) -> None:
    """`tail` gives as many lines as are asked for, if there are so many."""
    audit = Audit(tmp_path / "audit.jsonl", SimulatedClock())
    for number in range(500):
        audit.write(b'"a":1', {"n": number, "padding": "x" * 100})
    assert [line["n"] for line in audit.tail(3)] == [497, 498, 499]
    assert [line["n"] for line in audit.tail(1000)] == list(range(500))
    audit.close()


def test_lines_are_on_disk_within_a_second(tmp_path: Path) -> None:
    """The first line after a pause asks for the disk once; more lines within the second do not."""
    clock = SimulatedClock()
    audit = Audit(tmp_path / "audit.jsonl", clock)
    for number in range(3):
        audit.write(b'"a":1', {"n": number})
    assert len(clock._timers) == 1
    assert clock._timers[0][0] == clock.now() + 1.0
    assert [orjson.loads(line)["n"] for line in audit.path.read_bytes().splitlines()] == [0, 1, 2]
    audit.close()
