"""Parts of a JSON-LD document picked by JSON pointers (RFC 6901), each node keeping who it is.

ECDSA Cryptosuites 1.0 §3.4.2-3.4.13. Nodes without an identifier are given one first, so that the same node
is recognised in each part; later it becomes a blank node again.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import orjson

from connector.errors import RemoteProtocolError
from connector.jsonld import graph
from connector.jsonld.survey import Context, inline
from connector.vc.jose import shown

_MARK = "urn:x-anode-node:"
_MARKED = re.compile(f"<{_MARK}([0-9]+)>")
_IDS = ("id", "@id")
MAX_POINTERS = 1_000


def marked(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with an identifier of ours on each node that has none. Raises RemoteProtocolError."""
    if _MARK.encode() in orjson.dumps(document):
        raise RemoteProtocolError(f"{_MARK} is this program's own; it can't be in a document")
    numbers = iter(range(1 << 30))

    def walk(value: Any, outer: Context, key: str) -> Any:
        if isinstance(value, list):
            return [walk(item, outer, key) for item in value]
        if not isinstance(value, dict) or "@value" in value:
            return value
        if "@context" in value:
            outer = inline(value["@context"]).within(outer)
            if not outer.plain:
                raise RemoteProtocolError(
                    "selective disclosure takes no language maps, indexes or list terms"
                )
        copy = {
            name: item if name == "@context" or name in outer.literals else walk(item, outer, name)
            for name, item in value.items()
        }
        known = next((copy[name] for name in _IDS if name in copy), None)
        if isinstance(known, str) and known.startswith("_:"):
            raise RemoteProtocolError("selective disclosure takes no blank node identifiers")
        if known is None and "@list" not in copy and "@set" not in copy:
            copy["@id"] = f"{_MARK}{next(numbers)}"
        return copy

    found: dict[str, Any] = walk(document, Context([], plain=True), "")
    return found


def statements(document: Mapping[str, Any] | None) -> list[str]:
    """The N-Quads of a marked document, its marks blank nodes `_:b0`… again. None has none."""
    if document is None:
        return []
    return [_MARKED.sub(r"_:b\1", line) for line in graph.lines(graph.dataset(document))]


def select(document: Mapping[str, Any], pointers: Sequence[str]) -> dict[str, Any] | None:
    """The part of `document` that `pointers` name, with the types and ids on the way; None for no pointers.

    Raises RemoteProtocolError: a pointer that matches nothing.
    """
    if not pointers:
        return None
    if len(pointers) > MAX_POINTERS:
        raise RemoteProtocolError(f"there are more than {MAX_POINTERS} pointers")
    selected: Any = {"@context": document.get("@context"), **_identity(document)}
    for pointer in pointers:
        steps = _steps(pointer)
        if not steps:
            return deepcopy(dict(document))
        _select(document, selected, steps, pointer)
    found: dict[str, Any] = _dense(selected)
    return found


class _Sparse(dict[int, Any]):
    """An array in the making, by index."""


def _select(document: Any, selected: Any, steps: Sequence[str], pointer: str) -> None:
    value, place = document, selected
    for number, step in enumerate(steps):
        key: Any = step
        if isinstance(value, list):
            if not step.isascii() or not step.isdigit() or int(step) >= len(value):
                raise RemoteProtocolError(f"the pointer {shown(pointer)} matches nothing")
            key = int(step)
        elif not isinstance(value, dict) or step not in value or step == "@context":
            raise RemoteProtocolError(f"the pointer {shown(pointer)} matches nothing")
        value = value[key]
        if number == len(steps) - 1:
            whole = deepcopy(value)
            place[key] = whole
        else:
            if key not in place:
                place[key] = _Sparse() if isinstance(value, list) else _identity(value)
            place = place[key]
            if isinstance(place, list) or (isinstance(value, dict) and place == value):
                return  # all of it is selected already


def _identity(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    return {key: value[key] for key in (*_IDS, "type", "@type") if key in value}


def _dense(value: Any) -> Any:
    if isinstance(value, _Sparse):
        return [_dense(value[index]) for index in sorted(value)]
    if isinstance(value, dict):
        return {key: _dense(item) if key != "@context" else item for key, item in value.items()}
    return value


def _steps(pointer: object) -> list[str]:
    if pointer == "":
        return []
    if not isinstance(pointer, str) or not pointer.startswith("/") or len(pointer) > 4096:
        raise RemoteProtocolError(f"{shown(pointer)} is not a JSON pointer; one begins with /")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


def unique(pointers: Iterable[str]) -> list[str]:
    """Pointers without repetitions, in their order."""
    return list(dict.fromkeys(pointers))
