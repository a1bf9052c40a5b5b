"""The passports and the example data space as data, for the tests beside this file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pyld import jsonld

from tests.passports import vocabulary

ROOT = Path(__file__).resolve().parents[2]
CATALOG = ROOT / "catalog"
DATASPACE = ROOT / "examples" / "dataspace"

PARTS = {"public": 1, "dismantling": 2, "test-reports": 3, "use-data": 4}
"""The parts of a passport, and the point of Annex XIII each one answers."""

PASSPORTS = {"ev": "ev", "e-bike": "lmt", "storage": "industrial"}
"""The passports' folders in catalog/, and the legal category of each."""

ENVELOPE = {
    "digitalProductPassportId",
    "uniqueProductIdentifier",
    "granularity",
    "dppSchemaVersion",
    "dppStatus",
    "lastUpdate",
    "economicOperatorId",
    "facilityId",
}
"""What EN 18223 puts round each document, whichever part it is."""

Document = dict[str, Any]


def read(path: Path) -> Document:
    """A JSON document; ValueError if a key stands there twice (which most readers pass over)."""

    def once(pairs: list[tuple[str, Any]]) -> Document:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError(f"{path}: a key stands twice among {[key for key, _ in pairs]}")
        return members

    return dict(json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once))


def passport(folder: str) -> dict[str, Document]:
    """The parts of one passport by name."""
    return {part: read(CATALOG / folder / f"{part}.jsonld") for part in PARTS}


def every() -> list[Path]:
    """Each JSON-LD file of the catalog and of the example data space."""
    return sorted([*CATALOG.rglob("*.jsonld"), *DATASPACE.rglob("*.jsonld")])


def nodes(value: Any) -> Iterator[Document]:
    """Each JSON object within a value, the value itself included."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def members(value: Any) -> Iterator[tuple[str, Any]]:
    """Each key and value within a document, at any depth."""
    for node in nodes(value):
        yield from node.items()


def load(url: str, _options: object = None) -> Document:
    """PyLD's document loader: our own context and nothing else."""
    if url != vocabulary.CONTEXT_IRI:
        raise ValueError(f"{url}: not bundled")
    return {"contextUrl": None, "documentUrl": url, "document": read(vocabulary.CONTEXT)}


def expanded(document: Document) -> list[Any]:
    """The document in expanded form."""
    return list(jsonld.expand(document, {"documentLoader": load}))


def compacted(document: list[Any]) -> Document:
    """The expanded document with our context again."""
    options = {"documentLoader": load, "compactArrays": True}
    return dict(jsonld.compact(document, vocabulary.CONTEXT_IRI, options))


def completeness(parts: dict[str, Document], category: str) -> dict[str, str]:
    """For each attribute: present, or why not: missing, pending, not applicable, not given (a choice).

    What the passport says of an attribute goes before what the law says of the category.
    """
    found = {key for part in parts.values() for key, _ in members(part)}
    said = {
        name: group["state"]
        for part in parts.values()
        for group in part.get("withoutValue", ())
        for name in group["attributes"]
    }
    words = {"notApplicable": "not applicable", "pending": "pending", "missing": "missing"}
    law = {"mandatory": "missing", "pending": "pending", "none": "not applicable"}
    return {
        name: "present" if name in found
        else words[said[name]] if name in said
        else law.get(entry["need"][category], "not given")
        for name, entry in vocabulary.read()["attributes"].items()
    }  # fmt: skip


def datasets(folder: Path) -> list[Document]:
    """The datasets that the YAML files of a folder declare, each with the file it stands in as `_in`."""
    return [
        {**entry, "_in": path}
        for path in sorted(folder.glob("*.yaml"))
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["datasets"]
    ]


def policies(folder: Path) -> dict[str, Document]:
    """The policies that the YAML files of a folder hold."""
    found: dict[str, Document] = {}
    for path in sorted(folder.glob("*.yaml")):
        found |= yaml.safe_load(path.read_text(encoding="utf-8"))
    return found
