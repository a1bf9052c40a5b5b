"""A JSON-LD document from outside, walked through before anything expensive or fragile sees it.

Limits are kept, contexts are put in the place of their addresses, and what JSON-LD would drop without a word
is refused: under a signature a dropped value is one that anybody can change or add.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from connector.errors import RemoteProtocolError
from connector.jsonld import contexts

MAX_DEPTH = 64
MAX_VALUES = 20_000
MAX_TERMS = 2_000
"""Terms that a document's own contexts may define: JSON-LD engines copy them at each node."""

VOCABULARY = "urn:x-anode-undefined:"
"""Where undefined terms are put, to be found there."""

_MAX_INTEGER = 2**53
_KEYWORD = re.compile(r"@[A-Za-z]+")
_CONTAINERS = {"@set", "@graph"}
_COUNTED = {"@context", "@id", "@type", "@value", "@language"}


class Surveyed(NamedTuple):
    """A document with its contexts inlined. `leaves`: triples that must come of it; None if nobody knows."""

    document: dict[str, Any]
    leaves: int | None


def survey(document: Mapping[str, Any]) -> Surveyed:
    """Check and inline a document. Raises RemoteProtocolError: too large, or something would be lost."""
    walk = _Walk()
    inlined, leaves = walk.node(document, Context([], plain=True), 0)
    # In front, so that whatever the document's own contexts leave undefined is found.
    inlined["@context"] = [{"@vocab": VOCABULARY}, *inlined.get("@context", [])]
    return Surveyed(inlined, leaves if walk.counted else None)


class Context(NamedTuple):
    """Contexts with every address replaced by what it stands for.

    `plain`: no term in it turns one leaf into more or fewer triples. `literals`: terms whose values are
    JSON literals. `scoped`: terms that bring contexts of their own.
    """

    value: list[Any]
    plain: bool
    literals: frozenset[str] = frozenset()
    scoped: frozenset[str] = frozenset()

    def within(self, outer: "Context") -> "Context":
        """This context's facts together with those of one around it."""
        return Context(
            self.value, self.plain and outer.plain, self.literals | outer.literals, self.scoped | outer.scoped
        )


def inline(context: Any) -> Context:
    """A document's own `@context` with addresses replaced. Raises RemoteProtocolError."""
    return _inline(context, _foreign)


def _inline(context: Any, check: Callable[[str, Any], None]) -> Context:
    if isinstance(context, str):
        return _held(context)
    if isinstance(context, list):
        parts = [_inline(part, check) for part in context]
        whole = Context([entry for part in parts for entry in part.value], plain=True)
        for part in parts:
            whole = whole.within(part)
        return whole
    if not isinstance(context, dict):
        raise RemoteProtocolError(
            f"an entry of @context is {str(context)[:40]}, neither an address nor terms"
        )
    if context.keys() == {"@context"}:
        return _inline(context["@context"], check)  # as in a context's file: jsonld.js takes it here too
    return _definitions(context, check)


def _ours(name: str, definition: Any) -> None:
    """Contexts that we hold may do what they like."""


def _foreign(name: str, definition: Any) -> None:
    """What a stranger's context may not do, since it would hide data from the signature."""
    if (
        name == "@import"
        or (name == "@vocab" and not definition)
        or (name == "@propagate" and not definition)
    ):
        raise RemoteProtocolError(f"a context in the document may not use {name} {definition!r}")
    if name.startswith("@"):
        return
    iri = definition.get("@id", name) if isinstance(definition, dict) else definition
    if iri is None or not isinstance(iri, str) or iri.startswith("_:") or "@reverse" in (definition or ()):
        raise RemoteProtocolError(
            f"the context in the document maps {name[:100]!r} to nothing that can be signed"
        )
    if iri.startswith("@") and (name, iri) not in (("id", "@id"), ("type", "@type")):
        raise RemoteProtocolError(f"the context in the document makes {name[:100]!r} a name for {iri[:40]}")


def _definitions(context: dict[str, Any], check: Callable[[str, Any], None]) -> Context:
    terms: dict[str, Any] = {}
    found = Context([terms], plain=True)
    for name, definition in context.items():
        check(name, definition)
        if not isinstance(definition, dict):
            if name in ("@language", "@direction"):
                found = found._replace(plain=False)
            terms[name] = definition
            continue
        container = definition.get("@container", [])
        kinds = set(container if isinstance(container, list) else [container])
        # pyoxigraph 0.5 gives up, with all of its process, on some values of graph terms: those of strangers
        # go another way.
        if (
            not kinds <= (_CONTAINERS - {"@graph"} if check is _foreign else _CONTAINERS)
            or {"@language", "@direction", "@nest"} & definition.keys()
        ):
            found = found._replace(plain=False)
        if definition.get("@type") == "@json":
            found = found._replace(literals=found.literals | {name})
        if "@context" in definition:
            scoped = definition["@context"]
            # A scoped null forgets the vocabulary that finds what is undefined: put it there again.
            inner = (
                Context([None, {"@vocab": VOCABULARY}], True) if scoped is None else _inline(scoped, check)
            )
            definition = {**definition, "@context": inner.value}
            found = found.within(inner)._replace(scoped=found.scoped | inner.scoped | {name})
        terms[name] = definition
    return found


@cache
def _held(url: str) -> Context:
    try:
        context = contexts.held(url)
    except KeyError:
        raise RemoteProtocolError(
            f"this node does not hold the context {url[:200]!r}, and fetches none"
        ) from None
    if isinstance(context, list):
        return _inline(context, _ours)
    return _definitions(context, _ours)


def _has_object(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_has_object, value)))


class _Walk:
    """A walk through a document that is not trusted: limits, leaves, contexts."""

    def __init__(self) -> None:
        self.values = 0
        self.terms = 0
        self.counted = True

    def node(self, node: Mapping[str, Any], outer: Context, depth: int) -> tuple[dict[str, Any], int]:
        """A copy of `node` with contexts inlined, and the number of triples about it and below."""
        if depth > MAX_DEPTH:
            raise RemoteProtocolError(f"the document is nested deeper than {MAX_DEPTH} objects and arrays")
        copy: dict[str, Any] = {}
        leaves = 0
        if "@context" in node:
            self._terms(node["@context"])
            context = inline(node["@context"])
            copy["@context"] = context.value
            outer = context.within(outer)
            self.counted = self.counted and outer.plain
        types = node.get("type", node.get("@type"))
        if (
            isinstance(types, list)
            and len(outer.scoped.intersection(t for t in types if isinstance(t, str))) > 1
        ):
            # pyoxigraph 0.5 applies only the last of several type-scoped contexts.
            self.counted = False
        for key, value in node.items():
            if key == "@context":
                continue
            if key.startswith("@") and _KEYWORD.fullmatch(key):
                if key not in _COUNTED | {"@list", "@direction", "@index"}:
                    raise RemoteProtocolError(f"{key} is not taken in a signed document")
                self.counted = self.counted and key in _COUNTED
            elif key.startswith(("@", "_:")):
                raise RemoteProtocolError(f"{key[:100]!r} is no term that a signature could cover")
            if key in outer.literals:
                copy[key] = value
                leaves += 1
                self._literal(value, depth)
                continue
            if key in outer.scoped and _has_object(value):
                # pyoxigraph 0.5 reads terms below such a property otherwise than jsonld.js and PyLD do.
                self.counted = False
            copy[key], found = self._value(key, value, outer, depth + 1)
            if key in ("id", "@id", "@value", "@language"):
                continue
            leaves += found
        return copy, leaves

    def _value(self, key: str, value: Any, outer: Context, depth: int) -> tuple[Any, int]:
        self.values += 1
        if self.values > MAX_VALUES:
            raise RemoteProtocolError(f"the document has more than {MAX_VALUES} values")
        if isinstance(value, dict):
            copy, leaves = self.node(value, outer, depth)
            if "@value" in value:
                return copy, 1
            return copy, 1 + leaves
        if isinstance(value, list):
            if depth > MAX_DEPTH:
                raise RemoteProtocolError(
                    f"the document is nested deeper than {MAX_DEPTH} objects and arrays"
                )
            if not value and key not in ("verifiableCredential", "@list"):
                raise RemoteProtocolError(f"{key[:100]!r} is an empty array, which no signature would cover")
            parts = [self._value(key, item, outer, depth + 1) for item in value]
            return [part for part, _ in parts], sum(found for _, found in parts)
        if value is None:
            raise RemoteProtocolError(f"{key[:100]!r} is null, which no signature would cover")
        if isinstance(value, int) and abs(value) > _MAX_INTEGER:
            raise RemoteProtocolError(
                f"{key[:100]!r} is over 2^53, which not all readers keep: write a string"
            )
        return value, 1

    def _literal(self, value: Any, depth: int) -> None:
        """A JSON literal: only its size matters."""
        if depth > MAX_DEPTH or self.values > MAX_VALUES:
            raise RemoteProtocolError("a JSON value in the document is too large or nested too deep")
        for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            self.values += 1
            self._literal(child, depth + 1)

    def _terms(self, context: Any) -> None:
        level = [context]
        while level:
            self.terms += sum(len(part) for part in level if isinstance(part, dict | list))
            if self.terms > MAX_TERMS:
                raise RemoteProtocolError(f"the document's own contexts define more than {MAX_TERMS} terms")
            level = [
                child
                for part in level
                if isinstance(part, dict | list)
                for child in (part.values() if isinstance(part, dict) else part)
            ]
