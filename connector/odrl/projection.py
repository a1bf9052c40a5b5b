"""What JSON data lose before they leave: attributes left out, attributes replaced, records put into groups.

Whoever agreed to less must not find the rest elsewhere in the document. So an attribute is found under each
of its names (`names.py`), at any depth, also as the name in a pair of name and value, and in JSON inside a
text. What was left out or replaced goes wherever else the same text stands: in an `@id`, a key, a sentence.
Signatures and digests over the whole are left out, since what is missing could be guessed and tried against
them; so is what is wrapped (JWTs, `data:` addresses), where nothing can be left out.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

import orjson

from connector.odrl.grouping import grouped
from connector.odrl.names import Attributes, Names, Unreadable

Pseudonym: TypeAlias = Callable[[str], str]
"""32 hexadecimal digits for a text, which only the node can compute."""

GONE = "redacted"
"""What stands where a text was that belongs to an attribute left out."""
MARK = "pseudonym-"
_SHORTEST = 3
"""Shorter texts say too little to be looked for elsewhere."""
_MOST = 20_000
"""The most different texts that are looked for."""
_DEEPEST = 128
_SIGNED = frozenset({"proof", "https://w3id.org/security#proof", "digestSRI", "digestMultibase"})
_NAMING = frozenset(
    {"name", "idshort", "key", "property", "propertyid", "attribute", "field", "@type", "type", "path"}
)
"""Keys, in lower case, whose value may be the name of an attribute that the object is about."""
_KEPT = frozenset({"@type", "@language", "@direction", "@index"})
_WRAPPED = re.compile(r"eyJ[A-Za-z0-9_-]{8,}|^\s*data:", re.IGNORECASE)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S")


@dataclass(frozen=True, slots=True)
class Projection:
    """What a policy says is done: `drop` and `pseudonymise` attributes, `group` by this size (0: not)."""

    drop: frozenset[str] = frozenset()
    pseudonymise: frozenset[str] = frozenset()
    group: int = 0


def projected(document: Any, projection: Projection, pseudonym: Pseudonym) -> Any:
    """The document as it may leave. The argument is not changed.

    :raises ValueError: it can't be done to this document; the text says why.
    """
    _shallow(document, 0)
    names = Names(document)
    cut = _Cut(names, projection, pseudonym)
    cut.gather(document)
    found = cut.made(document)
    if projection.group:
        found = _in_groups(found, projection.group)
    return found


class _Cut:
    """One document, cut down."""

    def __init__(self, names: Names, projection: Projection, pseudonym: Pseudonym) -> None:
        self._drop = names.attributes(projection.drop)
        self._replace = names.attributes(projection.pseudonymise)
        self._signed = names.attributes(_SIGNED)
        self._pseudonym = pseudonym
        self._texts: dict[str, str] = {}
        """What is looked for everywhere, in lower case, and what stands there instead."""
        self._pattern: re.Pattern[str] | None = None

    def gather(self, document: Any) -> None:
        """Find what is left out or replaced, so that it can be found elsewhere."""
        self._gather(document, None)
        if len(self._texts) > _MOST:
            raise ValueError(f"it has more than {_MOST} values to be left out or replaced")
        if self._texts:
            longest = sorted(self._texts, key=len, reverse=True)
            found = "|".join(map(re.escape, longest))
            self._pattern = re.compile(rf"(?<![^\W_])(?:{found})(?![^\W_])", re.IGNORECASE)

    def _gather(self, value: Any, of: Attributes | None) -> None:
        if isinstance(value, list):
            for item in value:
                self._gather(item, of)
        elif isinstance(value, dict):
            named = of or self._about(value)
            for key, item in value.items():
                if key != "@context":
                    pair = named is not None and of is None and _names_it(key, item, named)
                    self._gather(item, None if pair else self._which(key) or named)
        elif (inner := _json_in(value)) is not None:
            self._gather(inner, of)
        elif of is not None:
            self._note(value, of)

    def _note(self, value: Any, of: Attributes) -> None:
        """A number that is left out is only a number; one that is replaced is a name."""
        if of is self._drop:
            text = value if isinstance(value, str) else ""
        else:
            text = "" if value is None or isinstance(value, bool | float) else str(value)
        if len(text) < _SHORTEST:
            return
        instead = GONE if of is self._drop else MARK + self._pseudonym(text)
        for form in {text, quote(text, safe="")}:
            if self._texts.get(form.casefold()) != GONE:
                self._texts[form.casefold()] = instead

    def _which(self, key: str) -> Attributes | None:
        return self._drop if key in self._drop else self._replace if key in self._replace else None

    def _about(self, value: dict[str, Any]) -> Attributes | None:
        """Which attribute a pair of name and value is about, as `{"name": "operatorId", "value": …}`."""
        found = [
            which
            for key, item in value.items()
            if isinstance(item, str)
            and key.casefold() in _NAMING
            and (which := self._which(item)) is not None
        ]
        return self._drop if self._drop in found else found[0] if found else None

    def made(self, value: Any) -> Any:
        """The value as it may leave."""
        if isinstance(value, dict):
            about = self._about(value)
            return {self._text(k): v for k, v in self._members(value, about)}
        if isinstance(value, list):
            return [self.made(item) for item in value if not self._left_out(item)]
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return self._texts.get(str(value), value) if str(value) in self._texts else value
        return value

    def _left_out(self, value: Any) -> bool:
        return isinstance(value, dict) and self._about(value) is self._drop

    def _members(self, value: dict[str, Any], about: Attributes | None) -> Iterator[tuple[str, Any]]:
        for key, item in value.items():
            if key == "@context":
                yield key, item
            elif key in self._drop or key in self._signed or about is self._drop or self._left_out(item):
                continue
            elif key in self._replace or (about is self._replace and not _names_it(key, item, self._replace)):
                yield key, self._replaced(item)
            else:
                yield key, self.made(item)

    def _replaced(self, value: Any) -> Any:
        """Pseudonyms instead of values; of an object what makes it one value stays."""
        if isinstance(value, list):
            return [self._replaced(item) for item in value]
        if isinstance(value, dict):
            inner = {key: item for key, item in value.items() if key in ("@id", "@value", "@list", "@set")}
            if inner:
                return {key: self._replaced(item) for key, item in inner.items()}
            return MARK + self._pseudonym(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())
        if value is None:
            return None
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        made = self._pseudonym(text)
        return f"urn:{MARK}{made}" if _ADDRESS.match(text) else MARK + made

    def _text(self, text: str) -> str:
        inner = _json_in(text)
        if inner is not None:
            return orjson.dumps(self.made(inner)).decode()
        if _WRAPPED.search(text):
            return GONE
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: self._texts[match[0].casefold()], text)


def _names_it(key: str, item: Any, attributes: Attributes) -> bool:
    return isinstance(item, str) and key.casefold() in _NAMING and item in attributes


def _json_in(value: Any) -> Any:
    """The object or list that a text holds as JSON, if it does."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return None
    try:
        found = orjson.loads(value)
        _shallow(found, 0)
    except ValueError:
        return None
    return found if isinstance(found, dict | list) else None


def _shallow(value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _shallow(item, depth + 1)


def _in_groups(document: Any, size: int) -> Any:
    """A list of records, or an object with nothing but one (and its context)."""
    lists = (
        [(key, item) for key, item in document.items() if key != "@context"]
        if (isinstance(document, dict))
        else [("", document)]
    )
    if len(lists) != 1 or not isinstance(lists[0][1], list):
        raise ValueError("it is not a list of records, of which groups could be made")
    ((key, records),) = lists
    found = grouped(records, size, (MARK, f"urn:{MARK}"))
    if not found:
        raise ValueError(f"no {size} of its records are alike")
    return {**{k: v for k, v in document.items() if k == "@context"}, key: found} if key else found


__all__ = ["GONE", "MARK", "Projection", "Pseudonym", "Unreadable", "projected"]
