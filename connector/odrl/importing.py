"""ODRL and Catena-X policies back to the YAML that people write. What can't be carried is said.

A document may be a policy by itself, or hold some: a catalog, a message, Eclipse EDC's PolicyDefinition. What
no word of the language says is kept as ODRL, under `odrl`, so a condition is never lost on the way. An access
policy becomes the block `offer` of all the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connector import yamlfile
from connector.errors import InvalidFile, LocalProtocolError, RemoteProtocolError
from connector.jsonld import documents, lossless
from connector.jsonld.contexts import DSP_ODRL
from connector.odrl import authoring
from connector.odrl.authoring import backwards
from connector.odrl.canonical import canonical
from connector.odrl.explain import flat
from connector.odrl.model import ODRL, Policy, Rule, parse, short
from connector.odrl.operands import OPERANDS
from connector.odrl.vocabulary import ACTIONS, action_name, iri

_RULES = ("permission", "prohibition", "obligation")
_TYPES = ("Offer", "Agreement", "Set", "Policy")
_ABOUT = ("target", "assigner", "assignee", "timestamp")


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

    :raises RemoteProtocolError: no JSON-LD, or no policy in it.
    """
    lost: list[str] = []
    notes: list[str] = []
    policies = [policy for document in found for policy in _policies(document, lost, notes)]
    access = [policy for policy in policies if backwards.is_access(policy)]
    contracts = [policy for policy in policies if not backwards.is_access(policy)]
    if len(access) > 1:
        raise RemoteProtocolError("The documents have several access policies; import them one by one.")
    whole = {
        name if n == 0 else f"{name}-{n + 1}": backwards.blocks(policy) for n, policy in enumerate(contracts)
    }
    if not contracts:
        whole[name] = {"profile": "cx"} if backwards.of_catena_x(access[0]) else {}
    offered = True
    for (id_, found_blocks), policy in zip(whole.items(), contracts or access, strict=True):
        offer: Any = {"partners": policy.assignee} if policy.assignee else None
        if access:
            offer = backwards.audience(access[0], catena_x=found_blocks.get("profile") == "cx")
            offered = offer is not None
            lost += [] if offered else [f"{id_}: no word of the profile says who may see the offer"]
        whole[id_] = ({"offer": offer} if offer is not None else {}) | found_blocks
    _compare(whole, contracts, access if offered else [])
    text = yamlfile.write(whole)
    return Imported(text, len(policies), tuple(lost), tuple(_refused(text, name)), tuple(notes))


def _policies(document: Any, lost: list[str], notes: list[str]) -> Iterator[Policy]:
    """The policies in a document; what gets lost, and what is only noted, is told."""
    reading = lossless.read(document, lenient=True)
    if isinstance(document, dict) and set(_RULES) & set(reading.dropped):
        notes.append(
            "the document's contexts don't define a policy's members: they are read as the protocol's"
        )
        context = document.get("@context", [])
        known = context if isinstance(context, list) else [context]
        reading = lossless.read({**document, "@context": [*known, DSP_ODRL]}, lenient=True)
    lost += [f"the context {url} is not held here: what only it defines is lost" for url in reading.unknown]
    lost += [f"{member!r} has no meaning under the document's contexts" for member in reading.dropped]
    nodes = [node for top in reading.nodes for node in _nodes(top)]
    if not nodes:
        raise RemoteProtocolError("There is no ODRL policy in the document: no Offer, Agreement or Set.")
    named = {str(node.get("@id", "")).removeprefix(lossless.BASE) for node in nodes}
    for word in reading.invented:
        if iri(word) in OPERANDS or action_name(word) in ACTIONS:
            notes.append(f"{word!r} has no meaning under the document's contexts; it is read as {iri(word)}")
        elif word not in named:
            lost.append(f"{word!r} is a word that the document's contexts don't define")
    for node in nodes:
        written = documents.message([_typed(node)])
        lost += [f"{path} is of another vocabulary" for path in _foreign(written)]
        policy = parse(_bare(written))
        notes += [
            f"{m} {getattr(policy, m)}: a file has no place for it" for m in _ABOUT if getattr(policy, m)
        ]
        yield policy


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    """The policy nodes in an expanded document, the outermost only."""
    if isinstance(value, list):
        for item in value:
            yield from _nodes(item)
    elif isinstance(value, dict):
        if any(ODRL + rule in value for rule in _RULES):
            yield value
        else:
            for item in value.values():
                yield from _nodes(item)


def _typed(node: Mapping[str, Any]) -> dict[str, Any]:
    """The node with the one type that we read: ODRL's Policy is a Set by default."""
    types = [full.removeprefix(ODRL) for full in node.get("@type", ["Set"])]
    if not any(name in _TYPES for name in types):
        raise RemoteProtocolError(f"@type: a policy must be {', '.join(_TYPES)}, not {types[0][:100]}.")
    kind = next(name for name in types if name in _TYPES)
    return {**node, "@type": [ODRL + ("Set" if kind == "Policy" else kind)]}


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
            if ":" in short(key) and not key.startswith("rdf:"):
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
