"""Writes the JSON-LD context and the ontology from `vocab/attributes.yaml`.

Run it as `python -m tests.passports.vocabulary` after a change of the catalogue.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import yaml

VOCAB = Path(__file__).resolve().parents[2] / "vocab"
ATTRIBUTES = VOCAB / "attributes.yaml"
CONTEXT = VOCAB / "contexts" / "battery-v1.jsonld"
ONTOLOGY = VOCAB / "ontology" / "battery-v1.ttl"

CONTEXT_IRI = "https://w3id.org/anode/battery/v1"
NAMESPACE = f"{CONTEXT_IRI}#"

PREFIXES = {
    "anode": NAMESPACE,
    "dct": "http://purl.org/dc/terms/",
    "owl": "http://www.w3.org/2002/07/owl#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}

_COERCION = {
    "text": "xsd:string",
    "number": "xsd:decimal",
    "integer": "xsd:integer",
    "boolean": "xsd:boolean",
    "month": "xsd:gYearMonth",
    "date": "xsd:date",
    "instant": "xsd:dateTime",
    "link": "@id",
    "node": "@id",
    "term": "@vocab",
}
_REFERENCES = {"node", "link", "term"}
_ONE = {"texts": "text", "links": "link", "nodes": "node", "terms": "term"}


def read() -> dict[str, Any]:
    """`vocab/attributes.yaml` as data."""
    return dict(yaml.safe_load(ATTRIBUTES.read_bytes()))


def terms(vocabulary: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, kind (`class` or a property's type) and entry of each term."""
    for name, entry in vocabulary["attributes"].items():
        yield name, entry["is"]["type"], entry
    for name, entry in vocabulary["structure"].items():
        yield name, entry["is"], entry


def context(vocabulary: dict[str, Any]) -> dict[str, Any]:
    """The JSON-LD context: each term with its IRI, type and container, all of them protected.

    Expanded IRIs and no prefixes, so that nobody can stretch a term by accident.
    """
    known = PREFIXES | vocabulary["prefixes"]
    mapping: dict[str, Any] = {"@version": 1.1, "@protected": True}
    for name, kind, entry in terms(vocabulary):
        iri = _expand(entry.get("iri", f"anode:{name}"), known)
        if kind == "class":
            mapping[name] = iri
            continue
        one = _ONE.get(kind, kind)
        coercion = _expand(_COERCION[one], known) if one != "text" else None
        definition = {"@id": iri} | ({"@type": coercion} if coercion else {})
        if kind in _ONE:
            definition["@container"] = "@set"
        mapping[name] = definition if len(definition) > 1 else iri
    return {"@context": mapping}


def ontology(vocabulary: dict[str, Any]) -> str:
    """The ontology in Turtle: meaning, unit, point and level of each term, and its neighbours elsewhere."""
    known = PREFIXES | vocabulary["prefixes"]
    lines = [f"@prefix {prefix}: <{iri}> ." for prefix, iri in sorted(known.items())]
    lines += ["", f"<{CONTEXT_IRI}> a owl:Ontology ;"]
    lines += ['    dct:title "Battery passport vocabulary of Anode"@en ;', '    owl:versionInfo "1" .', ""]
    lines += [f"anode:{name} a owl:AnnotationProperty ." for name in ("annexXIIIPoint", "level", "unit")]
    for name, kind, entry in terms(vocabulary):
        if "iri" in entry:
            continue
        lines += ["", f"anode:{name} a {_class(kind)} ;"]
        facts = [f"rdfs:comment {_text(entry['meaning'])}@en"]
        meant = entry if isinstance(entry["is"], str) else entry["is"]
        if "unit" in meant:
            facts.append(f"anode:unit {_text(meant['unit'])}")
        if "point" in meant:
            facts += [f"anode:annexXIIIPoint {meant['point']}", f"anode:level {_text(meant['level'])}"]
        if kind != "class" and _ONE.get(kind, kind) not in _REFERENCES:
            facts.append(f"rdfs:range {_COERCION[_ONE.get(kind, kind)]}")
        facts += [f"skos:exactMatch {match}" for match in entry.get("same", ())]
        facts += [f"skos:closeMatch {match}" for match in entry.get("like", ())]
        facts.append(f"rdfs:isDefinedBy <{CONTEXT_IRI}>")
        lines += [f"    {fact} ;" for fact in facts[:-1]] + [f"    {facts[-1]} ."]
    return "\n".join(lines) + "\n"


def context_bytes(vocabulary: dict[str, Any]) -> bytes:
    """The context as it lies in its file."""
    return orjson.dumps(context(vocabulary), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _class(kind: str) -> str:
    if kind == "class":
        return "owl:Class"
    return "owl:ObjectProperty" if _ONE.get(kind, kind) in _REFERENCES else "owl:DatatypeProperty"


def _expand(name: str, known: dict[str, str]) -> str:
    prefix, _, rest = name.partition(":")
    return known[prefix] + rest if prefix in known else name


def _text(words: str) -> str:
    return '"' + words.replace("\\", "\\\\").replace('"', '\\"') + '"'


if __name__ == "__main__":
    CONTEXT.write_bytes(context_bytes(read()))
    ONTOLOGY.write_text(ontology(read()), encoding="utf-8")
