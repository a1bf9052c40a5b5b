"""JSON-LD read so that nothing gets lost unsaid.

JSON-LD drops members that no context defines, and makes an address of the document's base and any bare
word: `"leftOperand": "dateTime"` becomes `http://example.org/base/dateTime` without an error. Here the
base is one that nobody uses, so that such words are found, and dropped members are told.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connector.errors import RemoteProtocolError
from connector.jsonld import contexts
from connector.jsonld.documents import check_size, held

MAX_VALUES = 100_000
"""Two seconds and more for PyLD: who reads without loss is an operator at a command, not a node's loop."""
BASE = "invented://by.the.base/"
"""What a word gets in front that no context defines."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a document says in expanded form, and what of it got lost on the way.

    `dropped` are members that its contexts do not define, `invented` the words that only the base made an
    IRI of, `unknown` the addresses of contexts that we do not hold.
    """

    nodes: tuple[Mapping[str, Any], ...]
    dropped: tuple[str, ...]
    invented: tuple[str, ...]
    unknown: tuple[str, ...]


def read(document: Any, *, lenient: bool = False) -> Reading:
    """The document expanded with the contexts that we hold; `lenient`: well-known prefixes always count.

    :raises RemoteProtocolError: not valid JSON-LD, or too large.
    """
    if not isinstance(document, dict | list):
        raise RemoteProtocolError("The document must be a JSON object, or a list of objects.")
    check_size(document, MAX_VALUES)
    known = contexts.known()
    unknown = sorted({url for url in _addresses(document) if not known(url)})
    dropped: list[str] = []
    options = {"base": BASE, "expandContext": dict(contexts.prefixes()) if lenient else {}}
    jsonld = contexts.pyld()
    try:
        nodes = jsonld.expand(held(document, known), options, on_property_dropped=dropped.append)
    except (jsonld.JsonLdError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RemoteProtocolError(f"The document is not valid JSON-LD: {str(error)[:300]}") from None
    names = tuple(sorted({str(name).removeprefix(BASE) for name in dropped}))
    return Reading(tuple(nodes), names, tuple(sorted(set(_invented(nodes)))), tuple(unknown))


def _addresses(value: Any) -> Iterator[str]:
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _addresses(item)
    if isinstance(value, dict) and "@context" in value:
        entries = value["@context"] if isinstance(value["@context"], list) else [value["@context"]]
        yield from (entry for entry in entries if isinstance(entry, str))


def _invented(value: Any) -> Iterator[str]:
    """Identifiers and types below the base. A policy's or message's own `@id` may be such a word."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        texts = item if isinstance(item, list) else [item]
        if key in ("@id", "@type"):
            yield from (
                text.removeprefix(BASE) for text in texts if isinstance(text, str) and text.startswith(BASE)
            )
        elif isinstance(item, dict | list):
            yield from _invented(item)
