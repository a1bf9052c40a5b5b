"""Reading the blocks of one policy: what each word makes of its value, and where it stands in the file."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from connector.odrl.authoring import verbatim
from connector.odrl.authoring.faults import Faults, either
from connector.odrl.authoring.words import Unwritable, Word
from connector.odrl.model import Connective, Constraint, LogicalConstraint, Rule
from connector.yamlfile import Where

Condition: TypeAlias = Constraint | LogicalConstraint
CONNECTIVES: Mapping[str, Connective] = MappingProxyType({"any": "or", "all": "and", "one": "xone"})
VERBATIM = "odrl"
"""The word for a constraint that is written as ODRL itself."""
_T = TypeVar("_T")


class Reader:
    """Reads one policy. Faults are told; what has one is left out.

    `places` tells where the parts of the policy stand in the file, by their `id()`. With `evaluable`
    what can't be evaluated, or makes no sense, is a fault too.
    """

    def __init__(
        self, faults: Faults, where: Where, blocks: Mapping[str, Any], *, evaluable: bool = True
    ) -> None:
        self.faults, self.where, self.blocks, self.evaluable = faults, where, blocks, evaluable
        self.places: dict[int, Where] = {}
        self._parts: list[Any] = []  # kept, so that no id() is given twice

    @property
    def name(self) -> str:
        """The policy's id."""
        return str(self.where[0])

    def wrong(self, where: Where, what: str) -> None:
        """A fault at a place below this policy."""
        self.faults.wrong((*self.where, *where), what)

    def unknown(self, word: Any, words: Mapping[str, Any] | tuple[str, ...], where: Where, kind: str) -> None:
        """A word that is not in the language."""
        self.faults.unknown(word, words, (*self.where, *where), kind)

    def placed(self, part: _T, where: Where) -> _T:
        """The part, its place noted."""
        self.places[id(part)] = (*self.where, *where)
        self._parts.append(part)
        return part

    def word(self, write: Callable[[Any], _T], value: Any, where: Where) -> _T | None:
        """What a word makes of its value; None if it doesn't take it."""
        try:
            return self.placed(write(value), where)
        except Unwritable as error:
            self.wrong((*where, *error.at), str(error))
            return None

    def as_odrl(self, kind: verbatim.Kind, write: Callable[[Any], _T], value: Any, where: Where) -> _T | None:
        """What ODRL itself makes there; None if anything of it would be lost."""
        found = list(verbatim.faults(kind, value, evaluable=self.evaluable))
        for at, what in found:
            self.wrong((*where, *at), what)
        return None if found else self.word(write, value, where)

    def rule(self, kind: verbatim.Kind, value: Any, where: Where) -> Rule | None:
        """A rule that is written as ODRL itself."""
        return self.as_odrl(kind, verbatim.rule(kind), value, where)

    def conditions(
        self, value: Any, where: Where, words: Mapping[str, Word], *, logic: bool = True
    ) -> tuple[Condition, ...]:
        """A list of conditions, each a word with its value; with `logic` also alternatives and ODRL."""
        known = (*words, *CONNECTIVES, VERBATIM) if logic else tuple(words)
        if not isinstance(value, list) or not value:
            self.wrong(where, "must be a list of conditions, each on a line such as `- until: 2027-12-31`")
            return ()
        found: list[Condition] = []
        for n, item in enumerate(value):
            here = (*where, n)
            if not isinstance(item, dict) or len(item) != 1:
                self.wrong(here, f"must be one condition with its value: {either(known)}")
                continue
            ((word, operand),) = item.items()
            here = (*here, word)
            if word not in known:
                self.unknown(word, known, here, "condition")
            elif word in CONNECTIVES:
                if inner := self.conditions(operand, here, words):
                    found.append(self.placed(LogicalConstraint(CONNECTIVES[word], inner), here))
            elif word == VERBATIM:
                if made := self.as_odrl("constraint", verbatim.constraint, operand, here):
                    found.append(made)
            elif made := self.word(words[word].write, operand, here):
                found.append(made)
        return tuple(found)

    def mapping(self, block: str, words: Mapping[str, Word], kind: str) -> Iterator[tuple[str, Condition]]:
        """A block that maps words to values: each word with the constraint that it makes."""
        value = self.blocks[block]
        if not isinstance(value, dict) or not value:
            self.wrong((block,), f"must map {either(tuple(words))} to a value")
            return
        self.faults.only(value, words, (*self.where, block), kind)
        for word, operand in value.items():
            if word in words and (made := self.word(words[word].write, operand, (block, word))):
                yield word, made

    def entries(self, value: Any, where: Where, kind: str) -> Iterator[tuple[str, Any, Where]]:
        """An action, a list of them, or a mapping of them to more: each with its more, or None."""
        items = value if isinstance(value, list) else [value]
        if not items:
            self.wrong(where, f"names nothing; write {kind}, or leave the block out")
        for n, item in enumerate(items):
            here = (*where, n) if isinstance(value, list) else where
            if isinstance(item, dict) and item:
                yield from ((word, detail, (*here, word)) for word, detail in item.items())
            elif isinstance(item, str):
                yield item, None, here
            else:
                self.wrong(here, f"must be {kind}, or map it to more")
