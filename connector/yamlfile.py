"""YAML files that people write, read so that each problem can be shown with its line.

YAML 1.2's core scalars only: `true`, `null`, `12`, `1.5` mean what they look like; `NO`, `on`, `2027-01-01`
and `12:30:45` stay text. Keys are always text. Duplicate keys, aliases, tags and deep nesting are refused.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from connector.errors import InvalidFile, Place

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml when the wheel has it: 10 times faster
_DEPTH = 64
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})\Z")
_FLOAT = re.compile(r"[-+]?[0-9]+(\.[0-9]+([eE][-+]?[0-9]{1,2})?|[eE][-+]?[0-9]{1,2})\Z")
_PLAIN = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_/ .:+@=-]*\Z")
_LINE = 90
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "~": None, "": None}

Where = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One file's content (mappings, lists, text, numbers, booleans, None) and the line of each part."""

    path: str
    value: Any
    lines: dict[Where, int]

    def place(self, *where: str | int) -> Place:
        """Where the value at that key path stands; of something absent, where its nearest parent stands."""
        while where and where not in self.lines:
            where = where[:-1]
        return Place(self.path, self.lines.get(where, 1))


def read(path: Path, *, limit: int = 16 << 20) -> Document:
    """The document in `path`. InvalidFile, with every duplicate key at once, if it can't be used."""
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except FileNotFoundError:
        raise InvalidFile(f"{path}: no such file") from None
    except OSError as problem:
        raise InvalidFile(f"{path}: can't be read: {problem.strerror}") from None
    if len(raw) > limit:
        raise InvalidFile(f"{path}: larger than {limit} bytes, the most that is read")
    try:
        return parse(raw.decode(), str(path))
    except UnicodeDecodeError as problem:
        line = raw[: problem.start].count(b"\n") + 1
        raise InvalidFile(f"{Place(str(path), line)}: not UTF-8 text; save the file as UTF-8") from None


def parse(text: str, path: str) -> Document:
    """The same, of text in hand; `path` is only named in errors."""
    try:
        return _build(yaml.parse(text, Loader=_LOADER), path)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        what = " ".join(filter(None, (problem.context, problem.problem)))
        lines = text.splitlines()
        line = lines[mark.line] if mark and mark.line < len(lines) else ""
        if "\t" in line[: len(line) - len(line.lstrip())]:
            what = "a tab can't indent; use spaces"
        raise InvalidFile(f"{Place(path, mark.line + 1 if mark else None)}: not YAML: {what}") from None
    except yaml.YAMLError as problem:
        raise InvalidFile(f"{path}: not YAML: {str(problem).splitlines()[0]}") from None


def _build(events: Iterator[Any], path: str) -> Document:
    """A value from parser events, by hand: PyYAML's own constructors keep no lines and recurse."""
    lines: dict[Where, int] = {}
    problems: list[str] = []
    root: list[Any] = []
    stack: list[tuple[Any, Where]] = [(root, ())]
    keys: list[str | None] = [None]  # per open container: the key that waits for its value

    def line(event: Any) -> int:
        return int(event.start_mark.line) + 1

    def at(event: Any) -> Place:
        return Place(path, line(event))

    def put(value: Any, event: Any) -> Where:
        container, where = stack[-1]
        if isinstance(container, dict):
            key = keys[-1]
            assert key is not None  # noqa: S101 - a mapping's values follow their keys
            container[key] = value
            keys[-1] = None
            return (*where, key)
        place: Where = () if len(stack) == 1 else (*where, len(container))
        if place in lines and not place:
            raise InvalidFile(f"{at(event)}: a second document; one file holds one")
        lines[place] = line(event)
        container.append(value)
        return place

    for event in events:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InvalidFile(f"{at(event)}: anchors and aliases are not read; write the value out")
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            if event.tag:
                raise InvalidFile(f"{at(event)}: tags such as {event.tag} are not read; leave it out")
            container, where = stack[-1]
            if isinstance(container, dict) and keys[-1] is None:
                if not isinstance(event, yaml.ScalarEvent):
                    raise InvalidFile(f"{at(event)}: a key must be plain text")
                key = event.value
                if key in container:
                    first = lines[*where, key]
                    problems.append(f'{at(event)}: key "{key}" is already set in line {first}; remove one')
                lines[*where, key] = line(event)
                keys[-1] = key
            elif isinstance(event, yaml.ScalarEvent):
                put(_scalar(event), event)
            else:
                if len(stack) > _DEPTH:
                    raise InvalidFile(f"{at(event)}: nested deeper than {_DEPTH} levels")
                opened: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
                stack.append((opened, put(opened, event)))
                keys.append(None)
        elif isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
            keys.pop()
    if problems:
        raise InvalidFile(*problems)
    return Document(path, root[0] if root else None, lines)


def _scalar(event: Any) -> Any:
    text = event.value
    if event.style:  # quoted or a block: text
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text):
        return int(text)
    return float(text) if _FLOAT.match(text) else text


def write(value: Any) -> str:
    """The YAML text that is read as `value`: mappings with text keys, lists, texts, numbers, booleans."""
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _entry(f"{_plain(str(key))}:", item)
    elif isinstance(value, list) and value:
        for item in value:
            if isinstance(item, dict) and item:
                first, *rest = _lines(item)
                yield f"- {first}"
                yield from (f"  {line}" for line in rest)
            else:
                yield from _entry("-", item)
    else:
        yield _inline(value)


def _entry(head: str, item: Any) -> Iterator[str]:
    short = _inline(item)
    if not isinstance(item, dict | list) or not item or (_flat(item) and len(short) < _LINE):
        yield f"{head} {short}"
        return
    yield head
    yield from (f"  {line}" for line in _lines(item))


def _flat(item: Any) -> bool:
    return isinstance(item, list) and not any(isinstance(part, dict | list) for part in item)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_plain(str(key))}: {_inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    return _plain(value) if isinstance(value, str) else json.dumps(value)


def _plain(text: str) -> str:
    """The text without quotes where that is read as the same text, else in quotes."""
    reads = _PLAIN.match(text) and ": " not in text and not text.endswith((":", " "))
    if reads and text not in _WORDS and not _number(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)


def _number(text: str) -> bool:
    return bool(_INTEGER.match(text) or _FLOAT.match(text))
