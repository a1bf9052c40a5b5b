"""Under which keys an attribute may stand in a JSON document: as it is, by its address, or by an alias.

JSON-LD lets a document call one property by many names: a term that its context defines, a compact address,
the address in full, in a context inside a context. So all definitions that are anywhere in a document count
everywhere in it. What matches too much is left out too much, which harms nobody.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from connector.jsonld import contexts

_LOCAL = re.compile(r"[/#:]")
_ROUNDS = 8


class Unreadable(ValueError):
    """A document in which nobody can tell what stands under which name."""


class Names:
    """The names of one document. Raises Unreadable: it uses a context that this node does not have."""

    def __init__(self, document: Any) -> None:
        self._meanings: dict[str, set[str]] = {}
        self._vocabularies: set[str] = set()
        for found in _contexts(document):
            self._read(found)

    def meanings(self, name: str) -> frozenset[str]:
        """All that a name may stand for, itself included."""
        known, new = {name}, {name}
        for _ in range(_ROUNDS):
            new = {meaning for one in new for meaning in self._once(one)} - known
            if not new:
                break
            known |= new
        return frozenset(map(str.casefold, known))

    def attributes(self, names: frozenset[str]) -> "Attributes":
        """What stands for one of these attributes."""
        return Attributes(self, names)

    def _once(self, name: str) -> Iterator[str]:
        yield from self._meanings.get(name.casefold(), ())
        prefix, colon, rest = name.partition(":")
        if colon and not rest.startswith("//"):
            yield from (space + rest for space in self._meanings.get(prefix.casefold(), ()))
        elif not name.startswith("@"):
            yield from (vocabulary + name for vocabulary in self._vocabularies)

    def _read(self, definitions: Mapping[str, Any]) -> None:
        for term, definition in definitions.items():
            if term == "@vocab" and isinstance(definition, str):
                self._vocabularies.add(definition)
            if isinstance(definition, Mapping):
                found = [definition.get("@id"), definition.get("@reverse")]
            else:
                found = [definition]
            if not term.startswith("@"):
                meant = self._meanings.setdefault(term.casefold(), set())
                meant.update(one for one in found if isinstance(one, str))


class Attributes:
    """Some attributes, in one document."""

    def __init__(self, names: Names, attributes: frozenset[str]) -> None:
        self._names = names
        self._local = {_local(name) for name in attributes}
        self._meant = {meaning for name in attributes for meaning in names.meanings(name)}
        self._known: dict[str, bool] = {}

    def __contains__(self, key: str) -> bool:
        found = self._known.get(key)
        if found is None:
            meanings = self._names.meanings(key)
            found = not self._meant.isdisjoint(meanings) or any(_local(m) in self._local for m in meanings)
            self._known[key] = found
        return found


def _local(name: str) -> str:
    """The last part of an address, or a name, as it is compared.

    >>> _local("https://example.org/battery#operatorId"), _local("@id")
    ('operatorid', '@id')
    """
    return _LOCAL.split(name.rstrip("/#:"))[-1].casefold()


def _contexts(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every context in a document, and those inside of them."""
    if isinstance(value, list):
        for item in value:
            yield from _contexts(item)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key == "@context":
                for one in item if isinstance(item, list) else [item]:
                    yield from _resolved(one)
            yield from _contexts(item)


def _resolved(context: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(context, Mapping):
        if "@import" in context:
            yield from _resolved(context["@import"])
        yield context
    elif isinstance(context, str):
        yield from _held(context)


@cache
def _held(address: str) -> tuple[Mapping[str, Any], ...]:
    try:
        return tuple(_contexts({"@context": contexts.held(address)}))
    except KeyError:
        raise Unreadable(
            f"its context {address[:200]!r} is not one that this node has, so that what its names mean is "
            "not known"
        ) from None
