"""The published JSON schemas of DSP 2025-1, where they are at hand: they are not ours to carry along."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft201909Validator
from referencing import Registry, Resource

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference" / "dsp"
EXAMPLES = sorted(REFERENCE.glob("*/example/*.json"))
_ROOT = "https://w3id.org/dspace/2025/1/"
_VERSION = f"{_ROOT}common/protocol-version-schema.json"

needs_schemas = pytest.mark.skipif(not EXAMPLES, reason=f"the protocol's schemas are not at {REFERENCE}")


@cache
def _all() -> tuple[Registry[Any], dict[str, str]]:
    """Every schema, and which of them belongs to which @type."""
    contents = {}
    for path in REFERENCE.glob("*/*-schema.json"):
        # Two published schemas refer to `…#definitions/…`, which leaves out a slash and resolves to nothing.
        schema = json.loads(path.read_text().replace("#definitions/", "#/definitions/"))
        contents[schema["$id"]] = schema
    types = {}
    for name, schema in contents.items():
        for reference in schema.get("allOf", []):
            types[reference["$ref"].rpartition("/")[2].removeprefix("Root")] = name
    resources = [(name, Resource.from_contents(schema)) for name, schema in contents.items()]
    return Registry().with_resources(resources), types


def check(document: Any) -> None:
    """Fail if a document is not what the schema of its @type says. Without schemas nothing is checked."""
    if not EXAMPLES:
        return
    registry, types = _all()
    name = _VERSION if "protocolVersions" in document else types[document["@type"]]
    validator = Draft201909Validator({"$ref": name}, registry=registry)
    problems = [f"{e.json_path}: {e.message}" for e in validator.iter_errors(document)]
    assert not problems, (problems, document)
