"""Policies as people write them: short YAML that becomes ODRL, checked whole before it is used.

A file maps policy ids to blocks. `offer` says who may see the offer, `allow` what an agreement allows, `when`
on which conditions, `transform` what the data lose before they leave, `duty` what must be done, `never` what
is forbidden, `stop` when it ends, and `cases` what must come out. `policies/README.md` is the writer's
manual. An unknown word is an error with its line: a misspelt condition must never be one that is not there.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from connector import yamlfile
from connector.errors import InvalidFile, LocalProtocolError, Place, RemoteProtocolError
from connector.odrl.authoring import cases, catenax, plain
from connector.odrl.authoring.cases import Case
from connector.odrl.authoring.faults import Faults, either
from connector.odrl.authoring.reading import Reader
from connector.odrl.authoring.sense import ended, nonsense
from connector.odrl.canonical import canonical
from connector.odrl.compile import compile_policy
from connector.odrl.conditions import quoted
from connector.odrl.explain import audience, explain
from connector.odrl.model import Policy, offer, parse, to_document
from connector.yamlfile import Document, Where

BLOCKS = (
    "profile",
    "offer",
    "allow",
    "when",
    "transform",
    "duty",
    "never",
    "stop",
    "odrl",
    "review",
    "cases",
)
POINT = "point"
"""The property that names the point of Annex XIII that a dataset is: access to it is given by law."""
_POINTS = ("1", "2", "3", "4")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")
_STEP = re.compile(r"\.?([A-Za-z]+)(?:\[([0-9]+)\])?")

_Writer = tuple[Callable[[Reader], Policy], Callable[[Reader], Policy]]
_PROFILES: Mapping[str | None, _Writer] = MappingProxyType(
    {None: (plain.access, plain.contract), "cx": (catenax.access, catenax.contract)}
)


@dataclass(frozen=True, slots=True)
class Authored:
    """One policy of the operator's: `access` decides who sees the offer, `contract` is what is offered.

    Both are Sets; `model.offer` makes an Offer of the contract. `data` are the properties, by name, that a
    dataset must have to be offered so. `sentence` says all of it in plain English.
    """

    id: str
    access: Policy
    contract: Policy
    sentence: str
    place: Place
    data: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cases: tuple[Case, ...] = ()
    review: bool = False
    """Whether the operator approves each agreement before it is made."""

    def ended(self, now: float) -> bool:
        """Whether it is over by time alone: nobody sees the offer, or nothing is allowed, ever again."""
        ends = (ended(self.access, "access"), ended(self.contract, "use"))
        return any(end is not None and end <= now for end in ends)


def load(paths: Iterable[Path]) -> dict[str, Authored]:
    """The policies in these files, and in the `*.yaml` of these folders, by id.

    :raises InvalidFile: every problem of every file at once, each with `path:line`.
    """
    found: dict[str, Authored] = {}
    named = list(paths)
    problems = [
        f"{path}: has no *.yaml, and *.yml is not read: rename {next(path.glob('*.yml')).name}"
        for path in named
        if path.is_dir() and any(path.glob("*.yml")) and not any(path.glob("*.yaml"))
    ]
    for path in _files(named):
        try:
            document = yamlfile.read(path)
        except InvalidFile as error:
            problems += error.reasons
            continue
        faults = Faults(document)
        for policy in _policies(faults):
            if policy.id in found:
                first = found[policy.id].place
                faults.wrong((policy.id,), f"the same id is already in {first}; rename one")
            found[policy.id] = policy
        problems += faults.reasons()
    if problems:
        raise InvalidFile(*problems)
    return found


def read(document: Document, *, evaluable: bool = True) -> dict[str, Authored]:
    """The policies of one document at hand; with `evaluable` only what this node can evaluate.

    :raises InvalidFile: every problem, each with `path:line`.
    """
    faults = Faults(document)
    found = {policy.id: policy for policy in _policies(faults, evaluable=evaluable)}
    if len(faults):
        raise InvalidFile(*faults.reasons())
    return found


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.glob("*.yaml")) if path.is_dir() else (path,)


def _policies(faults: Faults, *, evaluable: bool = True) -> Iterator[Authored]:
    """One file's policies; what is wrong is told, and the policy left out."""
    value = faults.document.value
    if not isinstance(value, dict):
        faults.wrong((), "must map policy ids to their blocks, such as `open: {offer: everyone, allow: use}`")
        return
    for id_, blocks in value.items():
        before = len(faults)
        policy = _policy(id_, blocks, faults, evaluable)
        if policy and len(faults) == before:
            yield policy


def _policy(id_: str, blocks: Any, faults: Faults, evaluable: bool) -> Authored | None:
    where: Where = (id_,)
    if not _ID.match(id_):
        faults.wrong(where, f'"{id_}" is no policy id: use a-z, 0-9 and -, at most 64')
    if not isinstance(blocks, dict):
        faults.wrong(where, f"must have the blocks {either(BLOCKS[1:])}")
        return None
    faults.only(blocks, BLOCKS, where, "block")
    for block, such in (("offer", "offer: everyone"), ("allow", "allow: use")):
        if block not in blocks:
            faults.wrong(where, f"`{block}` is missing; write `{such}`")
    profile = blocks.get("profile")
    if profile not in _PROFILES:
        faults.unknown(profile, [name for name in _PROFILES if name], (*where, "profile"), "profile")
    else:
        incomplete = not {"offer", "allow"} <= blocks.keys()
        reader = Reader(faults, where, {"offer": "everyone", "allow": "use", **blocks}, evaluable=evaluable)
        told = len(faults)
        access, contract = (write(reader) for write in _PROFILES[profile])
        data = _data(reader)
        tested = cases.read(reader, contract) if "cases" in blocks else ()
        review = _review(reader, data)
        if len(faults) == told:
            for policy in (access, contract):
                _self_check(policy, reader)
        if len(faults) == told and evaluable:
            for policy, action, block in ((access, "access", "offer"), (contract, "use", "allow")):
                for part, what in nonsense(policy, action):
                    faults.wrong(reader.places.get(id(part), (*where, block)), what)
        if not incomplete and len(faults) == told:
            sentence = f"Offered {audience(access)}{_said(data)}. {explain(contract)}"
            place = faults.document.place(*where)
            if review:
                sentence += " Each agreement is approved by the provider's operator."
            return Authored(id_, access, contract, sentence, place, data, tested, review)
    return None


def _said(data: Mapping[str, tuple[str, ...]]) -> str:
    parts = [f"{quoted(name)} is {either([*map(quoted, values)])}" for name, values in data.items()]
    return f", and only for data whose {either(parts, 'and')}" if parts else ""


def _review(reader: Reader, data: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether agreements wait for the operator. Never where the law gives access."""
    value = reader.blocks.get("review", "no")
    if value not in ("yes", "no"):
        reader.wrong(("review",), "must be yes or no")
    elif value == "yes" and POINT in data:
        reader.wrong(
            ("review",),
            f"access by law needs no approval, and this policy is for points of Annex XIII (`{POINT}`): "
            "leave `review` out",
        )
    return bool(value == "yes")


def _data(reader: Reader) -> Mapping[str, tuple[str, ...]]:
    """Which datasets may be offered so, by their properties."""
    value = reader.blocks["offer"]
    if not isinstance(value, dict) or "data" not in value:
        return MappingProxyType({})
    named, where = value["data"], ("offer", "data")
    if not isinstance(named, dict) or not named:
        reader.wrong(where, "must map a dataset's properties to values, such as `{point: [1, 2]}`")
        return MappingProxyType({})
    found = {}
    for name, wanted in named.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if not values or not all(isinstance(v, str | int) and not isinstance(v, bool) for v in values):
            reader.wrong((*where, name), "must be one value or a list of values")
        elif name == POINT and not all(str(value) in _POINTS for value in values):
            reader.wrong((*where, name), f"must be of {either(_POINTS)}: Annex XIII has no other points")
        found[name] = tuple(map(str, values))
    return MappingProxyType(found)


def _self_check(policy: Policy, reader: Reader) -> None:
    """Nothing we can't evaluate leaves this module, and the wire form says what the file says."""
    action = policy.permission[0].action if policy.permission else "use"
    for problem in compile_policy(policy, action).problems if reader.evaluable else ():
        reader.faults.wrong(_place(problem.path, policy, reader), problem.sentence())
    try:
        read = parse(to_document(offer(policy, "urn:example:offer")))
    except RemoteProtocolError as error:  # larger or deeper than anybody takes
        reader.wrong((), str(error))
        return
    if canonical(read) != canonical(policy):
        place = reader.faults.document.place(*reader.where)
        raise LocalProtocolError(f"{place}: the policy changes in its ODRL form.")


def _place(path: str, policy: Policy, reader: Reader) -> Where:
    """Where in the file the part of the policy stands that a path such as `permission[0].duty[1]` names."""
    part: Any = policy
    place = reader.where
    for name, index in _STEP.findall(path):
        part = part.constraints if name == getattr(part, "operator", None) else getattr(part, name, None)
        if index and isinstance(part, tuple) and int(index) < len(part):
            part = part[int(index)]
        place = reader.places.get(id(part), place)
    return place
