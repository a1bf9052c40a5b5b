"""A policy in plain ODRL, from its blocks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from connector.odrl.authoring import verbatim
from connector.odrl.authoring.reading import VERBATIM, Condition, Reader
from connector.odrl.authoring.verbatim import written
from connector.odrl.authoring.words import (
    WORDS,
    Word,
    choice_word,
    list_word,
    number_word,
    span_word,
)
from connector.odrl.explain import itself
from connector.odrl.model import Policy, Rule
from connector.odrl.vocabulary import (
    ACTIONS,
    ANODE,
    ATTRIBUTE,
    DELAY_PERIOD,
    EVENT,
    GROUP_SIZE,
    RECIPIENT,
)
from connector.yamlfile import Where

NAMES: Mapping[str, str] = MappingProxyType({name.removeprefix(ANODE): name for name in ACTIONS})
"""Actions by their word in a file: ODRL's by its name for them, ours without the namespace."""

AUDIENCE: Mapping[str, Word] = MappingProxyType(
    {
        "partners": WORDS["participant"],
        **{word: WORDS[word] for word in ("group", "credential", "claim", "region", "security")},
    }
)
STOP: Mapping[str, Word] = MappingProxyType(
    {"on": WORDS["until"], "after": WORDS["for"], "uses": WORDS["times"]}
)
NOTHING = "nothing"
DUTY: Mapping[str, Word] = MappingProxyType(
    {
        "within": span_word(DELAY_PERIOD, "lteq"),
        "of": choice_word(EVENT, "eq", "agreement", "first-use", "use", "agreement-end"),
        "until": WORDS["until"],
        "to": list_word(RECIPIENT, "isAnyOf", "a participant's id, such as did:web:provider.example"),
    }
)
"""By when a duty must be done: `within` a time `of` an event (the agreement, if none is named)."""
TRANSFORM: Mapping[str, tuple[str, Word]] = MappingProxyType(
    {
        "drop": (
            ANODE + "project",
            list_word(ATTRIBUTE, "isAnyOf", "an attribute of the data, such as operatorId"),
        ),
        "pseudonymise": (
            ANODE + "pseudonymize",
            list_word(ATTRIBUTE, "isAnyOf", "an attribute of the data, such as batteryId"),
        ),
        "minimum_group": (ANODE + "generalize", number_word(GROUP_SIZE, "gteq", 2, 999_999)),
    }
)
"""What the data lose before they leave: a duty of the permission that the provider's node does itself."""


def access(reader: Reader) -> Policy:
    """Who sees the offer: of several conditions all must hold."""
    value = reader.blocks["offer"]
    who: list[Condition] = []
    if isinstance(value, dict):
        known = ("to", *AUDIENCE, "when")
        reader.faults.only(value, (*known, "data"), (*reader.where, "offer"), "audience")
        if not any(word in value for word in known):
            reader.wrong(("offer",), "names nobody; write `to: everyone`, or `partners: [did:...]`")
        if value.get("to", "everyone") != "everyone":
            reader.unknown(value["to"], ("everyone",), ("offer", "to"), "audience")
        for word, operand in value.items():
            if word in AUDIENCE and (made := reader.word(AUDIENCE[word].write, operand, ("offer", word))):
                who.append(made)
        if "when" in value:
            who += reader.conditions(value["when"], ("offer", "when"), WORDS)
    elif value is None:
        reader.wrong(("offer",), "is empty; write `offer: everyone`")
    elif value != "everyone":
        reader.unknown(value, ("everyone", *AUDIENCE), ("offer",), "audience")
    return Policy("Set", f"{reader.name}/access", permission=(Rule("access", tuple(who)),))


def contract(reader: Reader) -> Policy:
    """What is offered. Conditions, ends, transformations and the node's own duties hold for all of it."""
    blocks = reader.blocks
    common = reader.conditions(blocks["when"], ("when",), WORDS) if "when" in blocks else ()
    if "stop" in blocks:
        common += tuple(made for _, made in reader.mapping("stop", STOP, "end"))
    own: list[Rule] = []
    if "transform" in blocks:
        own += _transform(reader)
    obligation: list[Rule] = []
    if "duty" in blocks:
        for duty, as_odrl in _duties(reader, blocks["duty"], ("duty",), "obligation"):
            (own if itself(duty) and not as_odrl else obligation).append(duty)
    whole = (
        reader.as_odrl("policy", verbatim.policy, blocks[VERBATIM], (VERBATIM,))
        if VERBATIM in blocks
        else None
    )
    if whole and (whole.permission or whole.prohibition or whole.obligation):
        reader.wrong((VERBATIM,), "rules go under `odrl` in `allow`, `never` and `duty`")
    if blocks["allow"] == NOTHING:
        _idle(reader, own)
    return replace(
        whole or Policy("Set"),
        id=reader.name,
        permission=tuple(_allowed(reader, common, own)),
        prohibition=tuple(_forbidden(reader)) if "never" in blocks else (),
        obligation=tuple(obligation),
    )


def _idle(reader: Reader, own: Sequence[Rule]) -> None:
    """What is about the permissions means nothing where there is none."""
    found = [block for block in ("when", "transform", "stop") if block in reader.blocks]
    if any(reader.places[id(duty)][1] == "duty" for duty in own):
        found.append("duty")
    for block in found:
        about = "`log` under `duty`" if block == "duty" else f"`{block}`"
        reader.wrong(
            (block,), f"nothing is allowed, so {about} means nothing; leave it out, or allow something"
        )


def _action(reader: Reader, word: str, where: Where) -> str | None:
    if word not in NAMES:
        reader.unknown(word, NAMES, where, "action")
        return None
    return written(NAMES[word])


def _allowed(reader: Reader, common: tuple[Condition, ...], own: Sequence[Rule]) -> Iterator[Rule]:
    """The permissions. What is said once for all holds for those, too, that are written as ODRL itself."""
    if reader.blocks["allow"] == NOTHING:
        return
    allowed: dict[str, list[Any]] = {}
    for word, detail, where in reader.entries(reader.blocks["allow"], ("allow",), "an action such as use"):
        if word == VERBATIM:
            if (made := reader.rule("permission", detail, where)) is not None:
                both = replace(made, constraint=(*common, *made.constraint), duty=(*own, *made.duty))
                yield reader.placed(both, where)
            continue
        if word == NOTHING:
            reader.wrong(where, "`nothing` stands alone: write `allow: nothing`")
            continue
        before = allowed.setdefault(word, [])
        if reader.evaluable and before and (detail is None or detail in before or None in before):
            reader.wrong(where, f"`{word}` is allowed twice, and one of them adds nothing; leave it out")
        before.append(detail)
        action = _action(reader, word, where)
        more: tuple[Condition, ...] = ()
        duties: tuple[Rule, ...] = ()
        if isinstance(detail, dict):
            reader.faults.only(detail, ("when", "duty"), (*reader.where, *where), "block")
            if "when" in detail:
                more = reader.conditions(detail["when"], (*where, "when"), WORDS)
            if "duty" in detail:
                found = _duties(reader, detail["duty"], (*where, "duty"), "duty")
                duties = tuple(duty for duty, _ in found)
        elif detail is not None:
            reader.wrong(where, "must have `when` or `duty`, or nothing")
        if action:
            yield reader.placed(Rule(action, (*common, *more), (*own, *duties)), where)


def _forbidden(reader: Reader) -> Iterator[Rule]:
    for word, detail, where in reader.entries(reader.blocks["never"], ("never",), "an action such as sell"):
        if word == VERBATIM:
            if (made := reader.rule("prohibition", detail, where)) is not None:
                yield made
            continue
        action = _action(reader, word, where)
        conditions = reader.conditions(detail, where, WORDS) if detail is not None else ()
        if action:
            yield reader.placed(Rule(action, conditions), where)


def _duties(reader: Reader, value: Any, where: Where, kind: verbatim.Kind) -> Iterator[tuple[Rule, bool]]:
    """Each duty, and whether it is written as ODRL itself."""
    for word, detail, here in reader.entries(value, where, "an action such as delete"):
        if word == VERBATIM:
            if (made := reader.rule(kind, detail, here)) is not None:
                yield made, True
            continue
        action = _action(reader, word, here)
        conditions: list[Condition] = []
        if isinstance(detail, dict):
            reader.faults.only(detail, DUTY, (*reader.where, *here), "word")
            for name, operand in detail.items():
                if name in DUTY and (term := reader.word(DUTY[name].write, operand, (*here, name))):
                    conditions.append(term)
        elif detail is not None:
            reader.wrong(here, "must have `within: 7 days`, or nothing")
        if action:
            yield reader.placed(Rule(action, tuple(conditions)), here), False


def _transform(reader: Reader) -> Iterator[Rule]:
    words = {name: word for name, (_, word) in TRANSFORM.items()}
    for name, made in reader.mapping("transform", words, "transformation"):
        yield reader.placed(Rule(TRANSFORM[name][0], (made,)), ("transform", name))
