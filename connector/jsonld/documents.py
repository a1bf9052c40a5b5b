"""JSON from outside, guarded, and JSON-LD from outside brought into the protocol's one compact form.

A message whose `@context` names the Dataspace Protocol and whose protocol terms are written plainly *is* in
that form (design decision 6), whatever other contexts stand beside: the protocol's terms are protected, so
no other context may give them another meaning. All else goes through PyLD: expanded with the contexts we
hold, never with fetched ones, then written again by the table of terms.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from connector.errors import RemoteProtocolError
from connector.jsonld import contexts
from connector.jsonld.contexts import DSP, Term

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 20_000
MAX_FOREIGN_NODES = 2_000
"""PyLD needs 20 µs and more for each value, so foreign forms get less room: about 0.1 s at worst."""
MAX_INLINE_TERMS = 100
MAX_IRI = 2_048


def loads(
    body: bytes, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH, *, what: str = "The body"
) -> Any:
    """JSON text as Python values. `what` it is, for errors.

    :raises RemoteProtocolError: too long, not UTF-8, not JSON (NaN and lone surrogates are not), or nested
        deeper than `max_depth` arrays and objects. It says what and where.
    """
    if len(body) > max_bytes:
        raise RemoteProtocolError(f"{what} has {len(body)} bytes; at most {max_bytes} are taken.")
    if not body:
        raise RemoteProtocolError(f"{what} is empty; it must be JSON.")
    try:
        # orjson stops by itself at 1,024 levels, before any recursion can hurt.
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RemoteProtocolError(_not_json(what, body, error)) from None
    if body.count(b"{") + body.count(b"[") > max_depth:
        _check_depth(what, value, max_depth)
    return value


def signed(body: bytes, max_bytes: int, max_depth: int, what: str) -> Any:
    """As `loads`, for JSON that somebody signed: also raises if an object has a member twice.

    Parsers differ in which of the two they read (RFC 8259 §4), so who signed and who reads might not mean the
    same; RFC 7519 §4 has such tokens refused.
    """
    value = loads(body, max_bytes, max_depth, what=what)
    if orjson.dumps(value) != body:  # what is written compactly, as most tokens are, can have none
        try:
            json.loads(body, object_pairs_hook=_once)
        except _Repeated as found:
            raise RemoteProtocolError(f"{what} has {found} more than once") from None
    return value


def message(
    document: Any, max_nodes: int = MAX_NODES, max_foreign_nodes: int = MAX_FOREIGN_NODES
) -> dict[str, Any]:
    """A Dataspace Protocol document, in whichever JSON-LD form it came, in DSP 2025-1 compact form.

    The result has plain terms, arrays where the schemas want arrays, and text for identifiers; properties
    of other vocabularies keep a well-known prefix or their full IRI. A document already in that form is
    returned as it is, not copied.

    :raises RemoteProtocolError: no JSON object, too large, contexts we can't work with, or nothing of the
        protocol in it.
    """
    if isinstance(document, list) and len(document) == 1:  # the expanded form of one node
        document = document[0]
    if not isinstance(document, dict):
        raise RemoteProtocolError("The body must be one JSON object.")
    if _names_protocol(document.get("@context")) and _is_plain(document, max_nodes):
        return document
    return _compacted(document, max_foreign_nodes)


class _Repeated(Exception):
    """A member that an object has twice."""


def _once(members: list[tuple[str, Any]]) -> None:
    names = set()
    for name, _ in members:
        if name in names:
            raise _Repeated(repr(name[:100]))
        names.add(name)


def _not_json(what: str, body: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        body.decode()
    except UnicodeDecodeError as wrong:
        return f"{what} is not UTF-8: byte 0x{body[wrong.start]:02x} at position {wrong.start}."
    return f"{what} is not JSON: {error.msg} (line {error.lineno}, column {error.colno})."


def _containers(values: list[Any]) -> Iterator[Any]:
    for value in values:
        for child in value.values() if isinstance(value, dict) else value:
            if isinstance(child, dict | list):
                yield child


def _check_depth(what: str, value: Any, max_depth: int) -> None:
    level = [value] if isinstance(value, dict | list) else []
    depth = 0
    while level:
        depth += 1
        if depth > max_depth:
            raise RemoteProtocolError(f"{what} is nested deeper than {max_depth} arrays and objects.")
        level = list(_containers(level))


def _names_protocol(context: Any) -> bool:
    """Whether the protocol's context is there, and beside it only addresses (which can't redefine it)."""
    if isinstance(context, str):
        return context == DSP
    return isinstance(context, list) and DSP in context and all(isinstance(c, str) for c in context)


def _is_plain(document: dict[str, Any], max_nodes: int) -> bool:
    """Whether no protocol term in it, as a property or as a value, is written in a foreign way."""
    foreign = contexts.foreign_spellings()
    left = max_nodes
    level: list[Any] = [document]
    depth = 0
    while level:
        depth += 1
        left -= len(level)
        if left < 0 or depth > MAX_DEPTH:
            raise RemoteProtocolError(
                f"The document has more than {max_nodes} objects and arrays, or {MAX_DEPTH} levels of them."
            )
        for node in level:
            if not isinstance(node, dict):
                continue
            if not foreign.isdisjoint(node) or ("@context" in node and node is not document):
                return False
            if not isinstance(node.get("@type", ""), str):
                return False
            if any(isinstance(value, str) and value in foreign for value in node.values()):
                return False
        level = list(_containers(level))
    return True


def _compacted(document: dict[str, Any], max_nodes: int) -> dict[str, Any]:
    check_size(document, max_nodes, f" Send it in the compact form of {DSP}.")
    jsonld = contexts.pyld()
    known = contexts.known()
    initial = {"@base": None, **contexts.prefixes()}  # null: `a1` stays `a1`, instead of becoming a URL
    try:
        expanded = jsonld.expand(held(document, known), {"expandContext": initial})
    except (jsonld.JsonLdError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        # PyLD checks syntax by falling over it in places, hence the plain Python errors.
        raise RemoteProtocolError(f"The document is not valid JSON-LD: {str(error)[:300]}") from None
    node = expanded[0] if len(expanded) == 1 and isinstance(expanded[0], dict) else {}
    if not any(contexts.today(full) in contexts.terms() for full in node.get("@type", ())):
        raise RemoteProtocolError(
            f"The document has no @type of the Dataspace Protocol. Its @context must contain {DSP}, "
            "or its terms must be written with a prefix or in full."
        )
    return {"@context": [DSP], **in_compact_form(node)}


def check_size(document: Any, max_nodes: int, advice: str = "") -> None:
    """Refuse what would keep PyLD long: its cost grows with nodes times the size of the contexts on them.

    `advice` is what else can be done.

    :raises RemoteProtocolError: too many values, levels, or terms of its own.
    """
    left = max_nodes
    level: list[Any] = [document]
    depth = terms = 0
    while level:
        depth += 1
        left -= sum(map(len, level))
        if left < 0 or depth > MAX_DEPTH:
            raise RemoteProtocolError(
                f"The document is too large to be expanded as JSON-LD: at most {max_nodes} values and "
                f"{MAX_DEPTH} levels are taken.{advice}"
            )
        for node in level:
            if isinstance(node, dict) and "@context" in node:
                terms += _inline_terms(node["@context"])
        if terms > MAX_INLINE_TERMS:
            raise RemoteProtocolError(f"The document defines more than {MAX_INLINE_TERMS} terms of its own.")
        level = list(_containers(level))


def _inline_terms(context: Any) -> int:
    """How many terms a document's own context defines, each array entry counting as one.

    Scoped contexts and imports are refused: the first multiply the cost, the second would need a fetch.
    """
    entries = context if isinstance(context, list) else [context]
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        scoped = any(isinstance(term, dict) and "@context" in term for term in entry.values())
        if scoped or "@import" in entry:
            raise RemoteProtocolError("A context within the document must not hold or import another one.")
        if max((len(v) for kv in entry.items() for v in kv if isinstance(v, str)), default=0) > MAX_IRI:
            raise RemoteProtocolError(f"A context within the document has text of over {MAX_IRI} characters.")
    return sum(len(entry) if isinstance(entry, dict) else 1 for entry in entries)


def held(value: Any, known: Callable[[str], bool]) -> Any:
    """The document without the context addresses that we don't hold."""
    if isinstance(value, list):
        return [held(item, known) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: held(item, known) for key, item in value.items() if key != "@context"}
    if "@context" in value:
        entries = value["@context"] if isinstance(value["@context"], list) else [value["@context"]]
        kept["@context"] = [e for e in entries if not isinstance(e, str) or known(e)]
    return kept


def in_compact_form(node: Mapping[str, Any]) -> dict[str, Any]:
    """One expanded node object in the protocol's compact form."""
    compact: dict[str, Any] = {}
    if isinstance(node.get("@id"), str):
        compact["@id"] = node["@id"]
    if types := [_name(full) for full in node.get("@type", ())]:
        compact["@type"] = types[0] if len(types) == 1 else types
    for property_, values in node.items():
        if property_.startswith("@"):
            continue
        full = contexts.today(property_)
        term = contexts.terms().get(full) or Term(_prefixed(full), "foreign", many=False)
        written = [_value(value, term) for value in _unlisted(values)]
        if term.many and term.name in compact:
            compact[term.name] += written
        elif term.many or len(written) != 1:
            if written:
                compact[term.name] = written
        else:
            compact[term.name] = written[0]
    return compact


def _unlisted(values: Any) -> list[Any]:
    """The values of a property, those of an ordered list among them."""
    flat: list[Any] = []
    for value in values if isinstance(values, list) else [values]:
        flat += value["@list"] if isinstance(value, dict) and "@list" in value else [value]
    return flat


def _value(value: Any, term: Term) -> Any:
    if not isinstance(value, dict):
        return value
    if "@value" in value:
        if term.name == "rightOperand" or term.coercion == "foreign":
            bare = value.keys() <= {"@value"}
            return value["@value"] if bare else {k: _type(v) if k == "@type" else v for k, v in value.items()}
        literal = value["@value"]
        return (
            _name(contexts.iri(literal))
            if term.coercion == "@vocab" and isinstance(literal, str)
            else literal
        )
    if value.keys() == {"@id"}:
        if term.coercion == "@vocab":
            return _name(value["@id"])
        return value if term.name == "rightOperand" or term.coercion == "foreign" else value["@id"]
    return in_compact_form(value)


def _type(datatype: Any) -> Any:
    return _prefixed(datatype) if isinstance(datatype, str) else datatype


def _name(full: str) -> str:
    """A type, state, operator or action: the protocol's own name, else prefixed, else in full."""
    full = contexts.today(full)
    term = contexts.terms().get(full)
    return term.name if term else _prefixed(full)


def _prefixed(full: str) -> str:
    """With a prefix that the protocol's context defines, or `rdf`, if one fits."""
    for prefix in ("dct", "dcat", "odrl", "dspace", "xsd", "rdf"):
        namespace = contexts.prefixes()[prefix]
        if full.startswith(namespace) and len(full) > len(namespace):
            return f"{prefix}:{full[len(namespace) :]}"
    return full
