"""The published JSON schemas of DCP 1.0, where they are at hand: they are not ours to carry along."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft201909Validator
from referencing import Registry, Resource

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "dcp"
EXAMPLES = sorted(REFERENCE.glob("*/example/*.json"))
_ROOT = "https://w3id.org/dspace-dcp/v1.0/"
_CONTEXTS = f"{_ROOT}common/context-schema.json"
_EXCHANGE = "https://identity.foundation/presentation-exchange/schemas"

needs_schemas = pytest.mark.skipif(not EXAMPLES, reason=f"the protocol's schemas are not at {REFERENCE}")


@cache
def _all() -> tuple[Registry[Any], dict[str, str]]:
    """Every schema, and which of them belongs to which type."""
    found = [json.loads(path.read_text()) for path in REFERENCE.glob("*/*-schema.json")]
    contents = {schema["$id"]: schema for schema in found}
    # The schema of contexts calls itself by an older name than the others call it by.
    contents[_CONTEXTS] = next(
        schema for name, schema in contents.items() if name.endswith("/context-schema.json")
    )
    anything = {f"{_EXCHANGE}/presentation-definition.json": {}, f"{_EXCHANGE}/presentation-submission.json":
                {"properties": {"presentation_submission": {}}}}  # fmt: skip
    draft = {"$schema": "https://json-schema.org/draft/2019-09/schema"}
    resources = {**contents, **{name: {**draft, **schema} for name, schema in anything.items()}}
    registry = Registry().with_resources(
        [(name, Resource.from_contents(schema)) for name, schema in resources.items()]
    )
    return registry, {schema["title"].removesuffix("Schema"): name for name, schema in contents.items()}


def problems(document: Any) -> list[str]:
    """Where a message is not what the schema of its type says."""
    registry, types = _all()
    validator = Draft201909Validator({"$ref": types[document["type"]]}, registry=registry)
    return [f"{e.json_path}: {e.message}" for e in validator.iter_errors(document)]
