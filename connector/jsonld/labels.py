"""Which canonical label each blank node of a dataset gets: RDFC-1.0's issued identifiers map.

pyoxigraph relabels a dataset and does not tell how. The map is found again: nodes are told apart by what
surrounds them, in the dataset and in its canonical form alike; where several still look alike, one is tried,
and the end result is compared. Nodes that can be swapped without changing the dataset may come out swapped.

Works on the lines of N-Quads, which is several times faster than on the terms behind them.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyoxigraph as ox

from connector.errors import RemoteProtocolError
from connector.jsonld import graph

_TRIES = 200
# A quote can't be in a graph's name, so neither pattern ever matches within a literal.
_LINE = re.compile(r'(\S+) (\S+) (.*?)(?: (<[^">]*>|_:\S+))? \.\n')
_NODE = re.compile(r'^_:(\S+)|(?<= )_:(\S+)(?= (?:<[^">]*> |_:\S+ )?\.\n$)')
_Row = tuple[str, ...]
_Colours = dict[str, int]


def canonical_labels(lines: Sequence[str]) -> dict[str, str]:
    """Label → canonical label (`c14n0`…) of each blank node in these N-Quads.

    Raises RemoteProtocolError: too costly.
    """
    quads = ox.Dataset(ox.parse("".join(lines), format=ox.RdfFormat.N_QUADS))
    wanted = graph.canonical_dataset(quads)
    found = _matched(_rows(lines), _rows(wanted), {}, {})
    for _, (match, certain) in zip(range(_TRIES), found, strict=False):
        if certain or renamed(lines, match) == wanted:
            return match
    raise RemoteProtocolError("the document has too many nodes without identifiers that look alike")


def renamed(lines: Iterable[str], labels: Mapping[str, str]) -> list[str]:
    """N-Quads with their blank nodes renamed, sorted. Raises RemoteProtocolError: one has no new label."""

    def name(match: re.Match[str]) -> str:
        return "_:" + labels[match[1] or match[2]]

    try:
        return sorted(_NODE.sub(name, line) if "_:" in line else line for line in lines)
    except KeyError:
        raise RemoteProtocolError("a node without an identifier has no label in the proof") from None


def _rows(lines: Iterable[str]) -> list[_Row]:
    """The terms of the lines that have blank nodes."""
    matches = (_LINE.fullmatch(line) for line in lines if "_:" in line)
    rows = [tuple(term or "" for term in match.groups()) for match in matches if match]
    return [row for row in rows if any(term.startswith("_:") for term in row)]


def _matched(
    ours: list[_Row], theirs: list[_Row], left: _Colours, right: _Colours
) -> Iterator[tuple[dict[str, str], bool]]:
    """Maps that may be right; with True, one that is: each node differs from each other."""
    certain = not left
    left, right = _refined(ours, left), _refined(theirs, right)
    classes: dict[int, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for side, colours in enumerate((left, right)):
        for label, colour in colours.items():
            classes[colour][side].append(label)
    if any(len(a) != len(b) for a, b in classes.values()):
        return
    unclear = [(a, b) for a, b in classes.values() if len(a) > 1]
    if not unclear:
        yield {a[0]: b[0] for a, b in classes.values()}, certain
        return
    alike, among = min(unclear, key=lambda pair: len(pair[0]))
    for candidate in sorted(among):
        yield from _matched(ours, theirs, {**left, alike[0]: -1}, {**right, candidate: -1})


def _refined(rows: list[_Row], colours: _Colours) -> _Colours:
    """Each blank node's colour: a hash of what surrounds it, again and again until no more differ."""
    number = len(set(colours.values()))
    while True:
        around: dict[str, list[int]] = defaultdict(list)
        for row in rows:
            seen = hash(tuple(colours.get(term[2:], 0) if term[:2] == "_:" else term for term in row))
            for place, term in enumerate(row):
                if term[:2] == "_:":
                    around[term[2:]].append(hash((place, seen)))
        colours = {label: hash((colours.get(label, 0), *sorted(found))) for label, found in around.items()}
        if len(set(colours.values())) == number:
            return colours
        number = len(set(colours.values()))
