"""JSON-LD from outside as RDF, with nothing lost on the way, and its canonical form (RDFC-1.0).

JSON-LD drops what it can't map: an undefined term, a relative identifier, an IRI with a space in it. Under a
signature that is a hole, since what is dropped can be changed or added by anybody. So undefined terms are
mapped into a namespace of our own by a vocabulary put in front of the document's contexts, and found there;
and the leaves of the document are counted: as many triples must come out as there were leaves.

pyoxigraph parses and canonicalises. What it does not do as jsonld.js does (several scoped types on a node,
contexts scoped to a property), and what can't be counted that simply (directions, language maps, lists), goes
through PyLD instead; random documents compare the two in the tests.
"""

import re
from collections import Counter
from collections.abc import Mapping
from math import factorial
from typing import Any, Literal

import orjson
import pyoxigraph as ox

from connector.errors import RemoteProtocolError
from connector.jsonld import contexts
from connector.jsonld.survey import VOCABULARY, survey

Algorithm = Literal["sha256", "sha384"]

BUDGET = 20_000
"""Cost allowed to canonicalisation: about 0.3 s at worst. A passport costs nothing, a ring of 140 blank nodes
19,600, a complete graph of five 14,400, of six half a million (and half a second), of nine hours."""

_BASE = "x-anode-relative://x/"
_LOST = re.compile(rf"<(?:{VOCABULARY}|{_BASE})([^>]*)>")
_IRI = re.compile(r"_:\S+|[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20<>\"{}|^`\\]*")
_ALGORITHMS = {
    "sha256": ox.CanonicalizationAlgorithm.RDFC_1_0,
    "sha384": ox.CanonicalizationAlgorithm.RDFC_1_0_SHA_384,
}


def canonical(document: Mapping[str, Any], algorithm: Algorithm = "sha256") -> list[str]:
    """The canonical N-Quads of a JSON-LD document, sorted, each with its line feed.

    Raises RemoteProtocolError: data would be lost, a context we don't hold, too large, or a graph that is
    too costly to canonicalise (policy of ours; RDFC-1.0 §7.1 asks for one).
    """
    return canonical_dataset(dataset(document), algorithm)


def canonical_dataset(quads: ox.Dataset, algorithm: Algorithm = "sha256") -> list[str]:
    """The canonical N-Quads of a dataset, which is changed by this."""
    check_cost(quads)
    quads.canonicalize(_ALGORITHMS[algorithm])
    return lines(quads)


def lines(quads: ox.Dataset) -> list[str]:
    """N-Quads in code point order. Split at line feeds only: literals may hold other line ends."""
    return sorted(line + "\n" for line in _text(quads).split("\n") if line)


def dataset(document: Mapping[str, Any]) -> ox.Dataset:
    """The RDF dataset of a JSON-LD document. Raises RemoteProtocolError as `canonical` does."""
    inlined, leaves = survey(document)
    found = [] if leaves is None else _parsed(orjson.dumps(inlined), ox.RdfFormat.JSON_LD)
    # Counted before they become a set: what is said twice is two leaves.
    quads = ox.Dataset(found if leaves is not None and len(found) == leaves else _by_pyld(inlined))
    lost = _LOST.search(_text(quads))
    if lost:
        raise RemoteProtocolError(
            f"the document's contexts do not define {lost[1][:200]!r}, or it is a relative identifier: "
            "no signature would cover it"
        )
    return quads


def check_cost(quads: ox.Dataset) -> None:
    """Raise RemoteProtocolError if canonicalising would take too long.

    RDFC-1.0 tries all orders of blank nodes that look alike: Σ over nodes that share a first-degree hash of
    Π k! for their k neighbours that look alike too, and each try may walk along all of them (a ring of 600
    takes half a minute). An estimate: run hostile graphs under a deadline as well.
    """
    signatures: dict[ox.BlankNode, list[Any]] = {}
    for quad in quads:
        subject, object_ = quad.subject, quad.object
        for node in {term for term in (subject, object_, quad.graph_name) if isinstance(term, ox.BlankNode)}:
            parts = (
                _seen(subject, node),
                quad.predicate.value,
                _seen(object_, node),
                _seen(quad.graph_name, node),
            )
            signatures.setdefault(node, []).append(parts)
    known = {node: hash(tuple(sorted(map(repr, parts)))) for node, parts in signatures.items()}
    numbers = Counter(known.values())
    alike: dict[ox.BlankNode, Counter[Any]] = {n: Counter() for n, h in known.items() if numbers[h] > 1}
    if not alike:
        return
    for quad in quads:
        ends = (quad.subject, quad.object, quad.graph_name)
        for position, node in enumerate(ends):
            if node not in alike:
                continue
            for other, neighbour in enumerate(ends):
                if other != position and isinstance(neighbour, ox.BlankNode) and neighbour != node:
                    alike[node][position, other, quad.predicate.value, known[neighbour]] += 1
    cost = 0
    for groups in alike.values():
        product = 1
        for size in groups.values():
            product *= factorial(min(size, 20))
        cost += product * len(alike)
        if cost > BUDGET:
            raise RemoteProtocolError(
                "the document has many nodes without identifiers that all look alike: too costly to "
                "canonicalise. Give its nodes an id."
            )


def _text(quads: ox.Dataset) -> str:
    text = ox.serialize(quads, format=ox.RdfFormat.N_QUADS)
    assert text is not None  # noqa: S101  # only with an output file there is none
    return text.decode()


def _parsed(text: bytes, form: ox.RdfFormat) -> list[ox.Quad]:
    try:
        return list(ox.parse(text, format=form, base_iri=_BASE if form == ox.RdfFormat.JSON_LD else None))
    except (SyntaxError, ValueError, TypeError) as wrong:
        raise RemoteProtocolError(f"the document is not sound JSON-LD: {str(wrong.args[0])[:300]}") from None
    except BaseException as wrong:
        # pyo3's own, which is no Exception and can't be imported.
        if type(wrong).__name__ != "PanicException":
            raise
        raise RemoteProtocolError("the document is JSON-LD that the parser can't work with") from None


def _by_pyld(document: dict[str, Any]) -> list[ox.Quad]:
    jsonld = contexts.pyld()
    options = {"base": _BASE, "rdfDirection": "i18n-datatype", "format": "application/n-quads"}
    try:
        _check_iris(jsonld.expand(document, {"base": _BASE}))
        quads = jsonld.to_rdf(document, options)  # not of what was expanded: PyLD loses some of it then
    except (jsonld.JsonLdError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as wrong:
        # PyLD checks syntax by falling over it in places, hence the plain Python errors.
        raise RemoteProtocolError(f"the document is not sound JSON-LD: {str(wrong)[:300]}") from None
    return _parsed(quads.encode(), ox.RdfFormat.N_QUADS)


def _check_iris(expanded: Any) -> None:
    """Raise RemoteProtocolError if an expanded document has an identifier that PyLD would drop from RDF."""
    for node in expanded if isinstance(expanded, list) else [expanded]:
        if not isinstance(node, dict):
            continue
        if isinstance(node.get("@value"), dict | list):
            continue
        for key, value in node.items():
            references = [key] if not key.startswith("@") else value if key == "@type" else []
            references = [value] if key == "@id" else references
            for reference in references if isinstance(references, list) else [references]:
                if reference != "@json" and not _IRI.fullmatch(reference):
                    raise RemoteProtocolError(
                        f"{reference[:200]!r} is not an IRI: no signature would cover it"
                    )
            if key not in ("@id", "@type", "@value"):
                _check_iris(value)


def _seen(term: Any, node: ox.BlankNode) -> str:
    return ("_:a" if term == node else "_:z") if isinstance(term, ox.BlankNode) else str(term)
