"""The logic of decisions, over every combination there is."""

from itertools import product

import pytest

from connector.odrl import truth
from connector.odrl.facts import Facts
from connector.odrl.truth import LATER, Timeline

TRUTHS = (True, False, None, LATER)
FACTS = Facts(0.0, "x")
ALL = [parts for size in (1, 2, 3) for parts in product(TRUTHS, repeat=size)]


@pytest.mark.parametrize("connective", truth.CONNECTIVES)
def test_functions_and_timelines_agree_with_the_rule(connective):
    """The function that stops early, and the sweep over time, say what the connective's rule says."""
    for parts in ALL:
        wanted = truth.joined(connective, parts)
        tests = [truth.steady(part) for part in parts]
        assert truth.connected(connective, tests)(FACTS) is wanted
        lines = [Timeline((float(n + 1),), (False, part)) for n, part in enumerate(parts)]
        assert truth.combined(connective, lines).truths[-1] is wanted


@pytest.mark.parametrize("connective", truth.CONNECTIVES)
def test_an_unknown_is_known_to_matter(connective):
    """A missing fact leaves an answer open exactly if some value of it changes the answer (Kleene)."""
    for parts in ALL:
        if LATER in parts:
            continue
        ways = product(*[(True, False) if part is None else (part,) for part in parts])
        possible = {truth.joined(connective, way) for way in ways}
        if connective == "xone" and parts.count(None) > 1:
            continue  # stays open when it could be closed: a no either way
        assert truth.joined(connective, parts) is (possible.pop() if len(possible) == 1 else None)


def test_what_a_request_will_tell_permits_until_then():
    """Among what is unknown, `and` keeps what denies, `or` what permits; a no and a yes stay as they are."""
    assert truth.joined("and", (LATER, True)) is LATER
    assert truth.joined("and", (LATER, None)) is None
    assert truth.joined("and", (LATER, False)) is False
    assert truth.joined("or", (LATER, None, False)) is LATER
    assert truth.joined("xone", (LATER, True)) is LATER
    assert not truth.denied(LATER)
    assert not truth.bites(LATER)
    assert truth.denied(None)
    assert truth.bites(None)


def test_a_timeline_turns_only_where_it_changes():
    """Windows that touch are one; what turns at the same instant turns together."""
    one = Timeline((1.0, 2.0), (False, True, False))
    two = Timeline((2.0, 3.0), (False, True, False))
    assert truth.combined("or", [one, two]) == Timeline((1.0, 3.0), (False, True, False))
    assert truth.combined("and", [one, two]) == truth.always(False)
    assert truth.combined("xone", [one, one]) == truth.always(False)
    assert truth.mapped(Timeline((1.0, 2.0), (None, True, LATER)), truth.bites) == Timeline(
        (2.0,), (True, False)
    )
    at = truth.over_time(one)
    assert [at(Facts(now, "x")) for now in (0.5, 1.0, 1.9, 2.0)] == [False, True, True, False]
