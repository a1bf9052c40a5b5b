"""ODRL and Catena-X policies back to the YAML that people write. What can't be carried is said.

A document may be a policy by itself, or hold some: a catalog, a message, Eclipse EDC's PolicyDefinition. What
no word of the language says is kept as ODRL, under `odrl`, so a condition is never lost on the way. An access
policy becomes the block `offer` of all the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from connector import yamlfile
from connector.errors import InvalidFile, LocalProtocolError, RemoteProtocolError
from connector.jsonld import documents, lossless
from connector.jsonld.contexts import DSP_ODRL
from connector.odrl import authoring, composition
from connector.odrl.authoring import backwards
from connector.odrl.canonical import canonical
from connector.odrl.explain import flat
from connector.odrl.model import ODRL, Connective, Policy, Rule, parse, short
from connector.odrl.operands import OPERANDS
from connector.odrl.vocabulary import ACTIONS, action_name, iri

_TYPES = ("Offer", "Agreement", "Set", "Policy", "Privacy")
_OTHERS = {
    "Assertion": "it only claims rules, and allows nothing",
    "Request": "it only asks for rules, and allows nothing",
    "Ticket": "it is for whoever holds the ticket, and who does is not evaluated",
}
"""ODRL's types whose rules would mean something else in a file, and why."""
_ACCESS_ALONE = (
    "an access policy only says who sees an offer; name the usage policy too, in the same command, "
    "or add to the file what is allowed"
)


@dataclass(frozen=True, slots=True)
class Imported:
    """The file, and how far it can be trusted.

    `lost` is what of the documents it has not. `refused` is why it can't be used as it stands. `notes` are
    what a file of policies has no place for and needs none, and words that were understood though the
    document's contexts don't define them.
    """

    text: str
    policies: int
    lost: tuple[str, ...]
    refused: tuple[str, ...]
    notes: tuple[str, ...]


def read(found: Sequence[Any], name: str) -> Imported:
    """The policies of these JSON-LD documents as a file; the first is called `name`.

    :raises RemoteProtocolError: no JSON-LD, no policy in it, or one that would lose meaning.
    """
    lost: list[str] = []
    notes: list[str] = []
    partners: dict[int, tuple[str, ...]] = {}
    policies = []
    for document in found:
        for policy, assignees in _policies(document, lost, notes):
            partners[id(policy)] = assignees
            policies.append(policy)
    access = [policy for policy in policies if backwards.is_access(policy)]
    contracts = [policy for policy in policies if not backwards.is_access(policy)]
    if len(access) > 1:
        raise RemoteProtocolError("The documents have several access policies; import them one by one.")
    if access:
        lost += [
            f"the policy is for {' and '.join(whose)} alone, beside what the access policy says"
            for whose in partners.values()
            if whose
        ]
    whole = {
        name if n == 0 else f"{name}-{n + 1}": backwards.blocks(policy) for n, policy in enumerate(contracts)
    }
    if not contracts:
        whole[name] = {"profile": "cx"} if backwards.of_catena_x(access[0]) else {}
    offered = True
    for (id_, found_blocks), policy in zip(whole.items(), contracts or access, strict=True):
        named = partners[id(policy)]
        offer: Any = {"partners": list(named) if len(named) > 1 else named[0]} if named else None
        if access:
            offer = backwards.audience(access[0], catena_x=found_blocks.get("profile") == "cx")
            offered = offer is not None
            lost += [] if offered else [f"{id_}: no word of the profile says who may see the offer"]
        whole[id_] = ({"offer": offer} if offer is not None else {}) | found_blocks
    _compare(whole, contracts, access if offered else [])
    text = yamlfile.write(whole)
    refused = ([] if contracts else [_ACCESS_ALONE]) + list(_refused(text, name))
    return Imported(text, len(policies), tuple(lost), tuple(refused), tuple(notes))


def _policies(document: Any, lost: list[str], notes: list[str]) -> Iterator[tuple[Policy, tuple[str, ...]]]:
    """The policies in a document, and whom each is for; what gets lost, and what is only noted, is told."""
    reading = lossless.read(document, lenient=True)
    if isinstance(document, dict) and set(composition.RULES) & set(reading.dropped):
        notes.append(
            "the document's contexts don't define a policy's members: they are read as the protocol's"
        )
        context = document.get("@context", [])
        known = context if isinstance(context, list) else [context]
        reading = lossless.read({**document, "@context": [*known, DSP_ODRL]}, lenient=True)
    names: set[str] = set()
    nodes = list(_nodes(list(reading.nodes), names))
    if not nodes:
        raise RemoteProtocolError(_no_policy(document))
    lost += [f"the context {url} is not held here: what only it defines is lost" for url in reading.unknown]
    lost += [f"{member!r} has no meaning under the document's contexts" for member in reading.dropped]
    for node in nodes:
        written = _bare(documents.in_compact_form(_typed(node, notes)))
        lost += [f"{path} is of another vocabulary" for path in _foreign(written)]
        single, shared = composition.single(written)
        policy = parse(single)
        told = [(member, id_) for member, ids in shared.items() for id_ in ids]
        told += [("timestamp", policy.timestamp)] if policy.timestamp else []
        notes += [f"{member} {id_}: a file has no place for it" for member, id_ in told]
        own = list(_own(policy))
        notes += [f"{path} {id_}: the rule, as ODRL, is about nothing else" for path, id_ in own]
        names |= {id_ for _, id_ in told + own}
        yield policy, shared.get("assignee", ())
    for word in reading.invented:
        if iri(word) in OPERANDS or action_name(word) in ACTIONS:
            notes.append(f"{word!r} has no meaning under the document's contexts; it is read as {iri(word)}")
        elif word not in names:
            lost.append(f"{word!r} is a word that the document's contexts don't define")


def _nodes(value: Any, names: set[str]) -> Iterator[Mapping[str, Any]]:
    """The policy nodes in an expanded document, the outermost only; `names` gets theirs and those around."""
    if isinstance(value, list):
        for item in value:
            yield from _nodes(item, names)
    elif isinstance(value, dict):
        policy = any(ODRL + rule in value for rule in composition.RULES)
        inside = [value] if policy else [node for item in value.values() for node in _nodes(item, names)]
        if inside:
            names.add(str(value.get("@id", "")).removeprefix(lossless.BASE))
        yield from inside


def _no_policy(document: Any) -> str:
    """What a document is instead of a policy."""
    members = {short(name) for name in document} if isinstance(document, dict) else set()
    if members & {"leftOperand", *get_args(Connective)}:
        around = '{"@type": "Set", "permission": [{"action": "use", "constraint": [...]}]}'
        return f"It is only a constraint: put it into a rule of a policy, {around}."
    if "action" in members:
        return 'It is only a rule: put it into a policy, {"@type": "Set", "permission": [...]}.'
    return "There is no ODRL policy in the document: no Offer, Agreement or Set."


def _own(policy: Policy) -> Iterator[tuple[str, str]]:
    """Each asset or party that only one rule is about: where it stands, and its id."""
    for kind in composition.RULES:
        for n, rule in enumerate(getattr(policy, kind)):
            for name in composition.PARTS:
                if (part := getattr(rule, name)) is not None:
                    yield f"{kind}[{n}].{name}", part.id or part.source


def _typed(node: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """The node as a Set, if it is of a type whose rules mean in a file what they mean there."""
    types = [str(full).removeprefix(ODRL) for full in node.get("@type", ["Set"])]
    if other := next((name for name in types if name in _OTHERS), None):
        raise RemoteProtocolError(f"@type: a policy of type {other} is not evaluated: {_OTHERS[other]}.")
    if not any(name in _TYPES for name in types):
        raise RemoteProtocolError(f"@type: a policy must be {', '.join(_TYPES)}, not {types[0][:100]}.")
    if "Privacy" in types:
        notes.append("@type Privacy: a file has no place for it; the rules are read as those of any policy")
    return {**node, "@type": [ODRL + "Set"]}


def _bare(value: Any) -> Any:
    """The document with the words that only the base made addresses of as they were."""
    if isinstance(value, dict):
        return {key: _bare(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_bare(item) for item in value]
    return value.removeprefix(lossless.BASE) if isinstance(value, str) else value


def _foreign(value: Any, path: str = "") -> Iterator[str]:
    """Members of other vocabularies than ODRL: a policy can't be read to mean them."""
    if isinstance(value, list):
        for n, item in enumerate(value):
            yield from _foreign(item, f"{path}[{n}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            here = f"{path}.{key}".lstrip(".")
            if composition.foreign(key):
                yield here
            elif not key.startswith("@"):
                yield from _foreign(item, here)


def _compare(whole: Mapping[str, Any], contracts: Sequence[Policy], access: Sequence[Policy]) -> None:
    """What was written must say what was read."""
    needed = [{"framework": "DataExchangeGovernance:1.0"}, {"purpose": "none"}]
    filled = {
        id_: {"offer": "everyone", "allow": "use"} | ({} if contracts else {"when": needed}) | found
        for id_, found in whole.items()
    }
    document = yamlfile.parse(yamlfile.write(filled), "import")
    back = list(authoring.read(document, evaluable=False).values())
    pairs = [(policy, written.contract) for policy, written in zip(contracts, back, strict=False)]
    pairs += [(policy, written.access) for policy in access for written in back]
    for before, after in pairs:
        if canonical(flattened(before)) != canonical(flattened(after)):
            raise LocalProtocolError("The policy changes on its way into YAML.")


def flattened(policy: Policy) -> Policy:
    """The policy with each `and` of a rule in the list of its constraints, which says the same."""

    def rules(found: Sequence[Rule]) -> tuple[Rule, ...]:
        return tuple(replace(rule, constraint=tuple(flat(rule.constraint))) for rule in found)

    return replace(
        policy,
        permission=rules(policy.permission),
        prohibition=rules(policy.prohibition),
        obligation=rules(policy.obligation),
    )


def _refused(text: str, name: str) -> Iterator[str]:
    try:
        authoring.read(yamlfile.parse(text, name))
    except InvalidFile as error:
        yield from error.reasons
