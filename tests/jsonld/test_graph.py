"""Nothing is lost between a JSON-LD document and what is signed of it, and nothing hostile gets through."""

import orjson
import pytest

from connector.errors import RemoteProtocolError
from connector.jsonld import contexts, graph
from connector.resources import folder

V1 = "https://www.w3.org/2018/credentials/v1"
V2 = "https://www.w3.org/ns/credentials/v2"
BATTERY = "https://w3id.org/anode/battery/v1"
PASSPORTS = sorted((folder("catalog")).rglob("*.jsonld"))


def credential(subject, *more):
    return {"@context": [V2, *more], "type": "VerifiableCredential", "credentialSubject": subject}


def by_pyld(document):
    """The canonical form by PyLD alone, which has nothing of ours in it."""
    options = {"algorithm": "URDNA2015", "format": "application/n-quads", "base": "urn:none:"}
    normal = contexts.pyld().normalize(document, options)
    return sorted(line + "\n" for line in normal.split("\n") if line)


def clique(size):
    nodes = [
        {"@id": f"_:n{i}", "http://x.example/p": [{"@id": f"_:n{j}"} for j in range(size) if j != i]}
        for i in range(size)
    ]
    return {"@context": {"p": "http://x.example/p"}, "p": nodes}


@pytest.mark.parametrize("path", PASSPORTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_passports_have_the_same_canonical_form_everywhere(path):
    """Each document of the catalog, as a credential's subject, canonicalises as PyLD does it."""
    document = orjson.loads(path.read_bytes())
    subject = {key: value for key, value in document.items() if key != "@context"}
    whole = credential(subject, BATTERY)
    assert graph.canonical(whole) == by_pyld(whole)


@pytest.mark.parametrize(
    "subject",
    [
        {"id": "did:a:b", "name": ["x", "x"]},
        {"name": {"@value": "x", "@language": "en-US"}},
        {"name": {"@list": ["a", {"@value": "b"}]}},
        {"name": 'é\u0085\t"\\\n\u2028'},
        {"http://x.example/n": [1, 1.0, 0.5, 1e21, True, -3]},
        {"@context": {"l": {"@id": "http://x.example/l", "@container": "@list"}}, "l": ["a", "b"]},
        {
            "@context": {"m": {"@id": "http://x.example/m", "@container": "@language"}},
            "m": {"en": "a", "de": "b"},
        },
        {"@context": {"j": {"@id": "http://x.example/j", "@type": "@json"}}, "j": {"b": [None, {}], "a": 1}},
        {"@context": {"x": "http://x.example/"}, "x:y": {"id": "x:z"}},
        {"@context": {"@vocab": "http://x.example/"}, "type": ["A", "B"], "anything": "goes"},
        {"type": "BitstringStatusListEntry", "statusPurpose": "revocation", "statusListIndex": "7"},
        [{"id": "urn:a:1"}, {"id": "urn:a:2", "name": "b"}],
    ],
)
def test_other_shapes_too(subject):
    """Lists, languages, numbers, JSON literals, own contexts: the same quads as PyLD's."""
    assert graph.canonical(credential(subject)) == by_pyld(credential(subject))


def test_several_scoped_types_on_one_node():
    """A node of two types with contexts of their own has the terms of both (pyoxigraph forgets one)."""
    terms = {name: {"@id": f"http://x.example/{name}"} for name in "AB"}
    for name, definition in terms.items():
        definition["@context"] = {name.lower(): f"http://x.example/{name.lower()}"}
    document = credential({"type": ["A", "B"], "a": 1, "b": 2}, terms)
    assert graph.canonical(document) == by_pyld(document)


def test_directions_become_i18n_datatypes():
    """`@direction` is kept as jsonld.js keeps it, in the literal's datatype."""
    found = graph.canonical(credential({"name": {"@value": "x", "@language": "ar", "@direction": "rtl"}}))
    assert any('"x"^^<https://www.w3.org/ns/i18n#ar_rtl>' in line for line in found)
    found = graph.canonical(credential({"name": {"@value": "x", "@direction": "rtl"}}))
    assert any('"x"^^<https://www.w3.org/ns/i18n#_rtl>' in line for line in found)


@pytest.mark.parametrize(
    ("subject", "named"),
    [
        ({"undefinedTerm": 1}, "undefinedTerm"),
        ({"type": "UndefinedType"}, "UndefinedType"),
        ({"type": ["VerifiableCredential", "x"]}, "'x'"),
        ({"id": "relative"}, "relative"),
        ({"id": ""}, "''"),
        ({"id": "http://a.example/with space"}, "with space"),
        ({"name": None}, "null"),
        ({"name": []}, "empty"),
        ({"@foo": 1}, "@foo"),
        ({"_:p": 1}, "_:p"),
        ({"@reverse": {"name": "x"}}, "@reverse"),
        ({"@included": [{"name": "x"}]}, "@included"),
        ({"@context": {"f": None}, "f": 1}, "'f'"),
        ({"@context": {"f": {"@id": None}}, "f": 1}, "'f'"),
        ({"@context": {"f": "_:b"}, "f": 1}, "'f'"),
        ({"@context": {"f": "@id"}, "f": "urn:x:y"}, "'f'"),
        ({"@context": {"f": {"@reverse": "http://x.example/p"}}, "f": 1}, "'f'"),
        ({"@context": {"@vocab": None}, "f": 1}, "@vocab"),
        ({"@context": {"@vocab": ""}, "f": 1}, "@vocab"),
        ({"@context": None, "f": 1}, "@context"),
        ({"@context": 7, "name": "x"}, "@context"),
        ({"@context": {"@import": V2}}, "@import"),
        ({"@context": "https://unknown.example/context"}, "unknown.example"),
        ({"@context": {"@base": "http://x.example/"}, "type": "Unmapped"}, "Unmapped"),
        ({"@context": {"f": {"@id": "http://x.example/f", "@type": "@id"}}, "f": "http://a b/"}, "a b"),
        ({"@context": {"f": {"@id": "http://x.example/f", "@type": "@id"}}, "f": "rel"}, "rel"),
        ({"@context": {"name": "http://x.example/f"}}, "protected"),
        ({"@context": {"VerifiableCredential": "http://x.example/f"}}, "protected"),
        ({"name": 2**70}, "2.53"),
        ({"name": {"@value": "x", "@type": "not an iri"}}, "sound|IRI"),
    ],
)
def test_what_a_signature_would_not_cover_is_refused(subject, named):
    """Undefined terms, relative identifiers, nulls and tricks with contexts are errors that name them."""
    with pytest.raises(RemoteProtocolError, match=named):
        graph.canonical(credential(subject))


@pytest.mark.parametrize("direct", [True, False])
def test_a_dropped_leaf_can_not_be_made_up_for(direct):
    """A list term brings triples of its own; a leaf lost beside it is still missed."""
    context = {"l": {"@id": "http://x.example/l", "@container": "@list"}}
    context["f"] = {"@id": "http://x.example/f", "@type": "@id"}
    subject = (
        {"f": "http://a b/", "l": ["a", "b"]} if direct else {"f": ["http://a b/", "urn:x:y"], "l": ["a"]}
    )
    with pytest.raises(RemoteProtocolError):
        graph.canonical(credential(subject, context))


def test_a_presentation_forgets_no_terms_of_its_credentials():
    """Below `verifiableCredential` contexts begin anew; undefined terms are found there too."""
    inner = {"@context": V2, "type": "VerifiableCredential", "undefinedThere": 1}
    document = {"@context": [V2], "type": "VerifiablePresentation", "verifiableCredential": [inner]}
    with pytest.raises(RemoteProtocolError, match="undefinedThere"):
        graph.canonical(document)


@pytest.mark.parametrize("size", [6, 7, 9])
def test_poison_graphs_are_refused_before_they_cost_anything(size):
    """Complete graphs of blank nodes, hours of work, are refused at once; small ones pass."""
    with pytest.raises(RemoteProtocolError, match="costly"):
        graph.canonical(clique(size))
    assert graph.canonical(clique(4)) == by_pyld(clique(4))


def test_a_long_ring_is_refused_too():
    """Blank nodes in a ring look alike all the way round: cubic work, half a minute for 600."""
    link = "http://x.example/p"
    ring = [{"@id": f"_:n{i}", link: {"@id": f"_:n{(i + 1) % 600}"}} for i in range(600)]
    with pytest.raises(RemoteProtocolError, match="costly"):
        graph.canonical({"@context": {"p": link}, "p": ring})


def test_depth_and_size_have_limits():
    """Deep nesting, many values, and contexts with many terms end in an error of ours."""
    deep = inner = credential({})
    for _ in range(100):
        inner["credentialSubject"] = {}
        inner = inner["credentialSubject"]
    lists = []
    for _ in range(10_000):
        lists = [lists]
    wide = credential({"name": ["x"] * 20_001})
    many = credential({}, {f"t{n}": f"http://x.example/{n}" for n in range(2_001)})
    for document in (deep, credential({"name": lists}), wide, many):
        with pytest.raises(RemoteProtocolError, match=r"deeper|more than"):
            graph.canonical(document)
