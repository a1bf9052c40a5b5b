"""Policies as people write them: short YAML that becomes ODRL, checked whole before it is used.

A file maps policy ids to blocks. `offer` says who may see the offer, `allow` what an agreement allows, and
`when` the conditions, which must all hold. `policies/README.md` is the writer's manual. An unknown word is
an error with its line: a misspelt condition must never be a condition that is not there.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from connector import yamlfile
from connector.errors import InvalidFile, LocalProtocolError, Place, RemoteProtocolError
from connector.odrl.canonical import canonical
from connector.odrl.compile import compile_policy
from connector.odrl.explain import explain
from connector.odrl.model import (
    ODRL,
    Connective,
    Constraint,
    LogicalConstraint,
    Policy,
    Rule,
    offer,
    parse,
    to_document,
)
from connector.odrl.operands import CREDENTIAL, DATE_TIME, ELAPSED_TIME, PARTICIPANT
from connector.yamlfile import Document, Where

_BLOCKS = ("offer", "allow", "when")
_ACTIONS = ("use",)
_CONNECTIVES: dict[str, Connective] = {"any": "or", "all": "and", "one": "xone"}
_AUDIENCES = ("partners", "credential")
_CONDITIONS = ("from", "until", "for", "participant", "credential", *_CONNECTIVES)
_CREDENTIAL = re.compile(r"[A-Z][A-Za-z0-9]{0,99}|[a-z][a-z0-9+.-]*:[^\s]{1,500}")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_SPAN = re.compile(r"([1-9][0-9]{0,5}) ?(second|minute|hour|day|week|month|year)s?\Z")
_SPANS = {
    "second": "PT{}S",
    "minute": "PT{}M",
    "hour": "PT{}H",
    "day": "P{}D",
    "week": "P{}W",
    "month": "P{}M",
    "year": "P{}Y",
}


@dataclass(frozen=True, slots=True)
class Authored:
    """One policy of the operator's: `access` decides who sees the offer, `contract` is what is offered.

    Both are Sets; `model.offer` makes an Offer of the contract. `sentence` says all of it in plain English.
    """

    id: str
    access: Policy
    contract: Policy
    sentence: str
    place: Place


def load(paths: Iterable[Path]) -> dict[str, Authored]:
    """The policies in these files, and in the `*.yaml` of these folders, by id.

    :raises InvalidFile: every problem of every file at once, each with `path:line`.
    """
    found: dict[str, Authored] = {}
    problems: list[str] = []
    for path in _files(paths):
        try:
            document = yamlfile.read(path)
        except InvalidFile as error:
            problems += error.reasons
            continue
        for policy in _Reader(document, problems).policies():
            if policy.id in found:
                first = found[policy.id].place
                problems.append(f'{policy.place}: policy "{policy.id}" is already in {first}; rename one')
            found[policy.id] = policy
    if problems:
        raise InvalidFile(*problems)
    return found


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.glob("*.yaml")) if path.is_dir() else (path,)


class _Reader:
    """One file's policies; what is wrong is added to `problems`, and the policy left out."""

    def __init__(self, document: Document, problems: list[str]) -> None:
        self._document = document
        self._problems = problems

    def policies(self) -> Iterator[Authored]:
        value = self._document.value
        if not isinstance(value, dict):
            self._wrong(
                (), "must map policy ids to their blocks, such as `open: {offer: everyone, allow: use}`"
            )
            return
        for id_, blocks in value.items():
            before = len(self._problems)
            policy = self._policy(id_, blocks)
            if policy and len(self._problems) == before:
                yield policy

    def _policy(self, id_: str, blocks: Any) -> Authored | None:
        where: Where = (id_,)
        before = len(self._problems)
        if not _ID.match(id_):
            self._wrong(where, f'"{id_}" is no policy id: use a-z, 0-9 and -, at most 64')
        if not isinstance(blocks, dict):
            self._wrong(where, f"must have the blocks {_or(_BLOCKS)}")
            return None
        self._known_words(blocks, _BLOCKS, where, "block")
        who = self._offer(blocks, where)
        if "allow" not in blocks:
            self._wrong(where, "`allow` is missing; write `allow: use`")
        elif blocks["allow"] not in _ACTIONS:
            self._unknown(blocks["allow"], _ACTIONS, (*where, "allow"), "action")
        conditions = self._conditions(blocks["when"], (*where, "when")) if "when" in blocks else ()
        access = Policy("Set", f"{id_}/access", permission=(Rule("use", who),))
        contract = Policy("Set", id_, permission=(Rule("use", conditions),))
        if len(self._problems) == before:
            for policy in (access, contract):
                self._self_check(policy, where)
        sentence = f"Offered {_audience(who)}. {explain(contract)}"
        return Authored(id_, access, contract, sentence, self._document.place(*where))

    def _offer(self, blocks: dict[str, Any], where: Where) -> tuple[Constraint, ...]:
        """The conditions for seeing the offer: of several all must hold."""
        if "offer" not in blocks:
            self._wrong(
                where, "`offer` is missing; write `offer: everyone` or `offer: {partners: [did:...]}`"
            )
            return ()
        value, where = blocks["offer"], (*where, "offer")
        if value == "everyone":
            return ()
        if not isinstance(value, dict):
            self._unknown(value, ("everyone", *_AUDIENCES), where, "audience")
            return ()
        self._known_words(value, _AUDIENCES, where, "audience")
        who: list[Constraint] = []
        if "partners" in value or not value:
            partners = self._participants(value.get("partners"), (*where, "partners"))
            who.append(Constraint(PARTICIPANT, "isAnyOf", partners))
        if "credential" in value:
            who.append(self._credential(value["credential"], (*where, "credential")))
        return tuple(who)

    def _credential(self, value: Any, where: Where) -> Constraint:
        """One of these credentials."""
        types = value if isinstance(value, list) else [value]
        for n, type_ in enumerate(types):
            if not isinstance(type_, str) or not _CREDENTIAL.fullmatch(type_):
                self._wrong((*where, n), "must be a credential's type, such as MembershipCredential")
        if not types:
            self._wrong(where, "names no credential; write at least one type")
        return Constraint(CREDENTIAL, "isAnyOf", tuple(map(str, types)))

    def _participants(self, value: Any, where: Where) -> tuple[str, ...]:
        names = value if isinstance(value, list) else [value]
        for n, name in enumerate(names):
            if not isinstance(name, str) or not name or re.search(r"\s", name):
                self._wrong((*where, n), "must be a participant's id, such as did:web:partner.example")
        if not names:
            self._wrong(where, "names nobody; write at least one participant's id")
        return tuple(str(name) for name in names)

    def _conditions(self, value: Any, where: Where) -> tuple[Constraint | LogicalConstraint, ...]:
        if not isinstance(value, list) or not value:
            self._wrong(where, "must be a list of conditions, each on a line such as `- until: 2027-12-31`")
            return ()
        found = []
        for n, item in enumerate(value):
            here = (*where, n)
            if not isinstance(item, dict) or len(item) != 1:
                self._wrong(here, f"must be one condition with its value: {_or(_CONDITIONS)}")
                continue
            ((word, operand),) = item.items()
            if condition := self._condition(word, operand, (*here, word)):
                found.append(condition)
        return tuple(found)

    def _condition(self, word: str, value: Any, where: Where) -> Constraint | LogicalConstraint | None:
        if word in _CONNECTIVES:
            return LogicalConstraint(_CONNECTIVES[word], self._conditions(value, where))
        if word == "participant":
            return Constraint(PARTICIPANT, "isAnyOf", self._participants(value, where))
        if word == "credential":
            return self._credential(value, where)
        if word == "for":
            match = _SPAN.match(value) if isinstance(value, str) else None
            if match:
                return Constraint(_odrl(ELAPSED_TIME), "lteq", _SPANS[match[2]].format(match[1]))
            self._wrong(where, "must be a time span such as 90 days, 12 hours or 1 year")
        elif word in ("from", "until"):
            return self._instant(word, value, where)
        else:
            self._unknown(word, _CONDITIONS, where, "condition")
        return None

    def _instant(self, word: str, value: Any, where: Where) -> Constraint | None:
        """A day means the whole day in UTC: `from` its begin, `until` its end."""
        if not isinstance(value, str):
            self._wrong(where, "must be a day such as 2027-12-31, or a time such as 2027-12-31T12:00:00Z")
            return None
        if not _DAY.match(value):
            return Constraint(_odrl(DATE_TIME), "gteq" if word == "from" else "lteq", value)
        try:
            day = date.fromisoformat(value)
            if word == "from":
                return Constraint(_odrl(DATE_TIME), "gteq", f"{day}T00:00:00Z")
            return Constraint(_odrl(DATE_TIME), "lt", f"{day + timedelta(days=1)}T00:00:00Z")
        except (ValueError, OverflowError):
            self._wrong(where, f"{value} is no day that exists")
            return None

    def _self_check(self, policy: Policy, where: Where) -> None:
        """Nothing we can't evaluate leaves this module, and the wire form says what the file says."""
        for problem in compile_policy(policy).problems:
            self._wrong(where, problem.sentence())
        try:
            read = parse(to_document(offer(policy, "urn:example:offer")))
        except RemoteProtocolError as error:  # larger or deeper than anybody takes
            self._wrong(where, str(error))
            return
        if canonical(read) != canonical(policy):
            raise LocalProtocolError(f"{self._document.place(*where)}: the policy changes in its ODRL form.")

    def _known_words(self, value: dict[str, Any], words: Sequence[str], where: Where, kind: str) -> None:
        for word in value:
            if word not in words:
                self._unknown(word, words, (*where, word), kind)

    def _unknown(self, word: Any, words: Sequence[str], where: Where, kind: str) -> None:
        near = difflib.get_close_matches(str(word), words, 1)
        hint = f'did you mean "{near[0]}"?' if near else f"known: {_or(words)}"
        self._wrong(where, f'unknown {kind} "{str(word)[:100]}"; {hint}')

    def _wrong(self, where: Where, what: str) -> None:
        name = f"policy {where[0]}: " if where else ""
        self._problems.append(f"{self._document.place(*where)}: {name}{what}")


def _audience(who: Sequence[Constraint]) -> str:
    """Who sees the offer, in plain English, with names: for this node's operator."""
    parts = []
    for constraint in who:
        listed = constraint.right_operand
        names = [str(name) for name in (listed if isinstance(listed, tuple) else (listed,))]
        named = constraint.left_operand == PARTICIPANT
        parts.append(f"to {_or(names, 'and')} only" if named else f"to holders of a {_or(names)} only")
    return " and ".join(parts) or "to everyone"


def _odrl(iri: str) -> str:
    """On the wire with a prefix, which the protocol's context defines."""
    return f"odrl:{iri.removeprefix(ODRL)}"


def _or(words: Sequence[str], last: str = "or") -> str:
    return f"{', '.join(words[:-1])} {last} {words[-1]}" if len(words) > 1 else "".join(words)
