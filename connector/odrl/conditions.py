"""What an operand makes of a constraint: a condition that decides from facts, and says itself and why not."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from connector.odrl.facts import Facts
from connector.odrl.policy import Operator, Value, text_of, texts_of
from connector.odrl.truth import LATER, Holds, Timeline, Truth
from connector.odrl.vocabulary import Enforcement

_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9:/#%@+=&~_.-]*[A-Za-z0-9/])?")
_MARKS = {ord(mark): rf"\u{ord(mark):04x}" for mark in '"“”„‟«»＂〝〞〟❝❞⹂'}
"""What could be taken for the end of a quotation."""
RuleKind: TypeAlias = Literal["permission", "prohibition", "obligation", "duty"]


def _never(_: Facts) -> tuple[float, ...]:
    return ()


def _nobody(_: Facts) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Condition:
    """One constraint, ready to decide.

    `holds` is None when the facts don't tell, and LATER when only a request can. `says` is the condition in
    plain English, after "may be used"; `public` the same without what is only the provider's business.
    `refusal(facts, redacted)` is a sentence. `changes` are the instants at which `holds` may turn, those past
    included. `credentials` are the types that it looks for among the claims, `givers` who could give what is
    missing. `line` is there where nothing but the time counts: the truth over all time. `needs` are facts, by
    their name in `Facts`, that cost something to find: who decides must fill them.
    """

    holds: Holds
    says: str
    public: str
    seen: Callable[[Facts], str]
    refusal: Callable[[Facts, bool], str]
    changes: Callable[[Facts], tuple[float, ...]] = _never
    credentials: frozenset[str] = frozenset()
    givers: Callable[[Facts], tuple[str, ...]] = _nobody
    line: Timeline | None = None
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Operand:
    """A left operand: its name for people, its operators, and how a constraint on it is read.

    `condition(operator, right_operand)` raises ValueError, with a reason, for a value it can't read. `rules`
    are the kinds of rules in which it means something, `refines` what else it may narrow.
    """

    name: str
    operators: tuple[Operator, ...]
    condition: Callable[[Operator, Value], Condition]
    enforcement: Enforcement = Enforcement.ENFORCED
    rules: tuple[RuleKind, ...] = ("permission", "prohibition")
    refines: tuple[Literal["action", "party"], ...] = ("action",)


def untold(facts: Facts) -> Truth:
    """The truth of what only a request can tell, when it is not told."""
    return None if facts.phase == "request" else LATER


def visible(text: str) -> str:
    """Foreign text with its control and bidirectional characters escaped, so that all of it can be seen."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@lru_cache(maxsize=1024)  # a refusal says the same participants and types again
def quoted(text: str, *, always: bool = False) -> str:
    """A policy's value as it stands in a sentence: in quotation marks unless it is plainly one word.

    So nobody's value passes for a sentence, or for a part of one.

    >>> quoted("did:web:a.example"), quoted("Munich. All may read it")
    ('did:web:a.example', '"Munich. All may read it"')
    """
    if not always and _PLAIN.fullmatch(text):
        return text
    return f'"{visible(text).translate(_MARKS)}"'


def either(texts: Iterable[str], word: str = "or") -> str:
    """Values as alternatives, or with another word between them."""
    return f" {word} ".join(map(quoted, texts))


def one(value: Value) -> str:
    """The one text of a right operand, in whatever notation; ValueError if there are several or none."""
    if isinstance(value, tuple):
        if len(value) != 1:
            raise ValueError(f"must be one value, not a list of {len(value)}")
        return one(value[0])
    return text_of(value)


def texts(operator: Operator, value: Value, what: str) -> tuple[str, ...]:
    """The texts of a right operand, sorted; ValueError if it is none, or not one where one is compared."""
    found = tuple(sorted(set(texts_of(value))))
    if not found or "" in found:
        raise ValueError(f"must name {what}")
    if operator in ("eq", "neq", "isA") and len(found) != 1:
        raise ValueError(f"must name one {what}, to be compared by {operator}")
    return found


def promise(says: str) -> Condition:
    """What is agreed and can't be checked: what it counts as depends on the rule; `holds` is never asked."""
    return Condition(
        holds=lambda _: None,
        says=says,
        public=says,
        seen=lambda _: "agreed",
        refusal=lambda _, __: f"Nothing here can check what was agreed: {says}.",
    )
