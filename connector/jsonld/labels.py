"""Which canonical label each blank node of a dataset gets: RDFC-1.0's issued identifiers map.

pyoxigraph relabels a dataset and does not tell how. The map is found again: nodes are told apart by what
surrounds them, in the dataset and in its canonical form alike; where several still look alike, one is tried,
and the end result is compared. Nodes that can be swapped without changing the dataset may come out swapped.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

import pyoxigraph as ox

from connector.errors import RemoteProtocolError
from connector.jsonld.graph import check_cost, lines

_TRIES = 200
_Colours = dict[str, int]
_Terms = tuple[object, ...]


def canonical_labels(quads: ox.Dataset) -> dict[str, str]:
    """Label → canonical label (`c14n0`…) of each blank node. Raises RemoteProtocolError: too costly."""
    check_cost(quads)
    normal = ox.Dataset(quads)
    normal.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)
    ours, theirs = _rows(quads), _rows(normal)
    wanted = lines(normal)
    found = _matched(ours, theirs, {}, {})
    for _, match in zip(range(_TRIES), found, strict=False):
        if lines(relabelled(quads, match)) == wanted:
            return match
    raise RemoteProtocolError("the document has too many nodes without identifiers that look alike")


def relabelled(quads: ox.Dataset, labels: Mapping[str, str]) -> ox.Dataset:
    """The dataset with its blank nodes renamed. Raises RemoteProtocolError: one has no new label."""
    nodes: dict[str, ox.BlankNode] = {}

    def renamed(term: object) -> object:
        if not isinstance(term, ox.BlankNode):
            return term
        if term.value not in nodes:
            if term.value not in labels:
                raise RemoteProtocolError("a node without an identifier has no label in the proof")
            nodes[term.value] = ox.BlankNode(labels[term.value])
        return nodes[term.value]

    return ox.Dataset(
        ox.Quad(renamed(q.subject), q.predicate, renamed(q.object), renamed(q.graph_name))  # type: ignore[arg-type] # kinds of terms stay
        for q in quads
    )


def _rows(quads: ox.Dataset) -> list[_Terms]:
    return [(q.subject, q.predicate, q.object, q.graph_name) for q in quads]


def _matched(
    ours: list[_Terms], theirs: list[_Terms], left: _Colours, right: _Colours
) -> Iterator[dict[str, str]]:
    left, right = _refined(ours, left), _refined(theirs, right)
    classes: dict[int, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for side, colours in enumerate((left, right)):
        for label, colour in colours.items():
            classes[colour][side].append(label)
    if any(len(a) != len(b) for a, b in classes.values()):
        return
    unclear = [(a, b) for a, b in classes.values() if len(a) > 1]
    if not unclear:
        yield {a[0]: b[0] for a, b in classes.values()}
        return
    alike, among = min(unclear, key=lambda pair: len(pair[0]))
    for candidate in sorted(among):
        yield from _matched(ours, theirs, {**left, alike[0]: -1}, {**right, candidate: -1})


def _refined(rows: list[_Terms], colours: _Colours) -> _Colours:
    """Each blank node's colour: a hash of what surrounds it, again and again until no more differ."""
    number = len(set(colours.values()))
    while True:
        around: dict[str, list[int]] = defaultdict(list)
        for row in rows:
            seen = [colours.get(t.value, 0) if isinstance(t, ox.BlankNode) else t for t in row]
            for place, term in enumerate(row):
                if isinstance(term, ox.BlankNode):
                    around[term.value].append(hash((place, *seen)))
        colours = {label: hash((colours.get(label, 0), *sorted(found))) for label, found in around.items()}
        if len(set(colours.values())) == number:
            return colours
        number = len(set(colours.values()))
