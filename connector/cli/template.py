"""The commented `anode.yaml`: every key with its meaning, made from the models in `connector.config`."""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from connector import yamlfile
from connector.config import Config, sections_of
from connector.errors import InvalidFile
from connector.quantities import DURATION, SIZE, duration_text, size_text

_HEAD = """\
# The settings of an Anode. `anode config check` says whether this file is right, `anode config show` what
# holds.
# A line such as `#port: 8080` shows what holds anyway: remove its `#` to change it.
# Paths are relative to this file. Durations: 90s, 15m, 24h, 7 days. Sizes: 64 KiB, 1 MiB.
"""


def render(values: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole file with `values` (section → key → value) set, and every other key commented out."""
    sections = sections_of(Config)
    parts = [_HEAD]
    for name, field in Config.model_fields.items():
        parts.append("\n" + _comment(field, ""))
        if name in sections:
            parts.append(f"{name}:\n")
            parts.extend(_keys(sections[name], values.get(name, {})))
        else:
            parts.append(_default(name, field, ""))
    return "".join(parts)


def _keys(model: type[BaseModel], given: Mapping[str, Any]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield _comment(field, "  ")
        yield f"  {name}: {text(given[name], field)}\n" if name in given else _default(name, field, "  ")


def _default(name: str, field: FieldInfo, indent: str) -> str:
    value = None if field.is_required() else field.get_default(call_default_factory=True)
    if value is None:
        example = f"  # for example {field.examples[0]}" if field.examples else ""
        return f"{indent}#{name}:{example}\n"
    return f"{indent}#{name}: {text(value, field)}\n"


def _comment(field: FieldInfo, indent: str) -> str:
    wrapped = textwrap.wrap(field.description or "", 106 - len(indent))
    return "".join(f"{indent}# {line}\n" for line in wrapped)


def text(value: Any, field: FieldInfo) -> str:
    """A value as it stands in the file."""
    if DURATION in field.metadata and isinstance(value, (int, float)):
        return duration_text(value)
    if SIZE in field.metadata and isinstance(value, int):
        return size_text(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {text(part, field)}" for key, part in value.items()) + "}"
    if isinstance(value, Path):
        return str(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return scalar(value) if isinstance(value, str) else str(value)


def scalar(value: str) -> str:
    """Text as a YAML scalar: bare where that reads back the same, else quoted."""
    try:
        if value == value.strip() and yamlfile.parse(f"k: {value}\n", "").value == {"k": value}:
            return value
    except InvalidFile:
        pass
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
