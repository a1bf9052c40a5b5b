"""The logic of decisions: true, false, missing, or *later*; and truths that change with time.

`None` is a fact that is missing: it might turn out either way, and denies. `LATER` is a fact that only a
request for data can bring, while none is being made: it permits for now, and is decided then. The first
three are Kleene's logic. Among unknowns, `and` keeps the one that denies, `or` the one that permits.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from connector.odrl.facts import Facts
from connector.odrl.policy import Connective

Later: TypeAlias = Literal["later"]
LATER: Final = "later"
Truth: TypeAlias = bool | Later | None
Holds: TypeAlias = Callable[[Facts], Truth]
_Counts: TypeAlias = dict[Truth, int]


def _and(counts: _Counts) -> Truth:
    return False if counts[False] else None if counts[None] else LATER if counts[LATER] else True


def _or(counts: _Counts) -> Truth:
    return True if counts[True] else LATER if counts[LATER] else None if counts[None] else False


def _xone(counts: _Counts) -> Truth:
    if counts[True] > 1:
        return False
    return None if counts[None] else LATER if counts[LATER] else counts[True] == 1


CONNECTIVES: Mapping[Connective, Callable[[_Counts], Truth]] = MappingProxyType(
    {"and": _and, "andSequence": _and, "or": _or, "xone": _xone}
)
"""What a connective says, given how many of its parts have each truth. No order that we know counts."""


def joined(connective: Connective, truths: Sequence[Truth]) -> Truth:
    """The truth of a connective over its parts."""
    return CONNECTIVES[connective]({truth: truths.count(truth) for truth in (True, False, None, LATER)})


def denied(truth: Truth) -> bool:
    """Whether a condition for a permission stands in its way."""
    return truth is not True and truth is not LATER


def bites(truth: Truth) -> bool:
    """Whether a prohibition applies: unless it certainly does not, or will only be known later."""
    return truth is True or truth is None


def connected(connective: Connective, tests: Sequence[Holds]) -> Holds:
    """The connective as a function, which stops as soon as it knows."""
    if len(tests) == 1:
        return tests[0]
    if connective == "xone":
        return lambda facts: joined("xone", [test(facts) for test in tests])
    return _any(tests) if connective == "or" else _all(tests)


def _all(tests: Sequence[Holds]) -> Holds:
    def holds(facts: Facts) -> Truth:
        outcome: Truth = True
        for test in tests:
            held = test(facts)
            if held is True:
                continue
            if held is False:
                return False
            if outcome is not None:
                outcome = held
        return outcome

    return holds


def _any(tests: Sequence[Holds]) -> Holds:
    def holds(facts: Facts) -> Truth:
        outcome: Truth = False
        for test in tests:
            held = test(facts)
            if held is True:
                return True
            if held is not False and outcome is not LATER:
                outcome = held
        return outcome

    return holds


@dataclass(frozen=True, slots=True)
class Timeline:
    """A truth over time: `truths[0]` before the first of the `turns` (epoch seconds), then one from each on.

    Instants are floats, so "after t" is "from the next float on", and every comparison is such a line.
    """

    turns: tuple[float, ...]
    truths: tuple[Truth, ...]


def steady(truth: Truth) -> Holds:
    """The same truth for all facts."""
    return lambda _: truth


def over_time(line: Timeline) -> Holds:
    """The line as a function of the facts' `now`."""
    turns, truths = line.turns, line.truths
    if not turns:
        return steady(truths[0])
    return lambda facts: truths[bisect_right(turns, facts.now)]


def always(truth: Truth) -> Timeline:
    """The same truth for ever."""
    return Timeline((), (truth,))


def combined(connective: Connective, lines: Sequence[Timeline]) -> Timeline:
    """The connective over time, in one sweep: n turns cost n log n, however many the parts."""
    if len(lines) == 1:
        return lines[0]
    now = [line.truths[0] for line in lines]
    counts: _Counts = {truth: now.count(truth) for truth in (True, False, None, LATER)}
    decide = CONNECTIVES[connective]
    turns: list[float] = []
    truths = [decide(counts)]
    passed = [0] * len(lines)
    events = sorted((turn, n) for n, line in enumerate(lines) for turn in line.turns)
    for place, (turn, n) in enumerate(events):
        passed[n] += 1
        counts[now[n]] -= 1
        now[n] = lines[n].truths[passed[n]]
        counts[now[n]] += 1
        if place + 1 < len(events) and events[place + 1][0] == turn:
            continue  # all that turns at this instant has turned before it counts
        truth = decide(counts)
        if truth is not truths[-1]:
            turns.append(turn)
            truths.append(truth)
    return Timeline(tuple(turns), tuple(truths))


def mapped(line: Timeline, change: Callable[[Truth], Truth]) -> Timeline:
    """The line with other truths, and no turn at which they stay."""
    changed = [change(truth) for truth in line.truths]
    kept = [n for n in range(len(line.turns)) if changed[n] is not changed[n + 1]]
    return Timeline(tuple(line.turns[n] for n in kept), (changed[0], *(changed[n + 1] for n in kept)))
