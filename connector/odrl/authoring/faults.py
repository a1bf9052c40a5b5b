"""What is wrong in a file of policies: collected, each with its line and with what would do."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from connector.yamlfile import Document, Where


class Faults:
    """The faults of one file."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._found: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._found)

    def reasons(self) -> list[str]:
        """Each fault as `path:line: what`, from the top of the file down."""
        return sorted(self._found, key=self._found.__getitem__)

    def wrong(self, where: Where, what: str) -> None:
        """A fault at a place in the file, with the policy in front, and the word unless `what` names it."""
        name = f"policy {where[0]}: " if where else ""
        word = next((part for part in reversed(where[1:]) if isinstance(part, str)), None)
        if word is not None and f"`{word}`" not in what and f'"{word}"' not in what:
            name += f"{word}: "
        place = self.document.place(*where)
        self._found.setdefault(f"{place}: {name}{what}", place.line or 0)

    def unknown(self, word: Any, words: Iterable[str], where: Where, kind: str) -> None:
        """A word that is not in the language, with the nearest that is."""
        self.wrong(where, unknown(word, words, kind))

    def only(self, value: dict[str, Any], words: Iterable[str], where: Where, kind: str) -> None:
        """Each key must be one of these words."""
        known = tuple(words)
        for word in value:
            if word not in known:
                self.unknown(word, known, (*where, word), kind)


def unknown(word: Any, words: Iterable[str], kind: str) -> str:
    """That a word is not in the language, with the nearest that is, or all that are."""
    known = tuple(words)
    return f'unknown {kind} "{str(word)[:100]}"{nearest(word, known) or f"; known: {either(known)}"}'


def nearest(word: Any, words: Iterable[str]) -> str:
    """The question whether the nearest of these words was meant, to be put after a fault; empty for none.

    >>> nearest("trst", ["base", "trust"])
    '; did you mean "trust"?'
    """
    near = difflib.get_close_matches(str(word), tuple(words), 1)
    return f'; did you mean "{near[0]}"?' if near else ""


def either(words: Sequence[str], last: str = "or") -> str:
    """`a, b or c`.

    >>> either(["a", "b", "c"])
    'a, b or c'
    """
    return f"{', '.join(words[:-1])} {last} {words[-1]}" if len(words) > 1 else "".join(words)
