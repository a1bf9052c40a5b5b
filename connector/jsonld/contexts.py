"""The contexts a node knows. All lie in `vocab/contexts`; none is ever fetched.

`terms` turns them round: from the IRI that a context gives a term to the one spelling that the
Dataspace Protocol's schemas allow for it.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType, ModuleType
from typing import Any

import orjson

from connector.resources import folder

DSP = "https://w3id.org/dspace/2025/1/context.jsonld"
DSP_ODRL = "https://w3id.org/dspace/2025/1/odrl-profile.jsonld"
CATENA_X = "https://w3id.org/catenax/2025/9/policy/context.jsonld"

FILES: Mapping[str, str] = MappingProxyType(
    {
        DSP: "dspace-2025-1",
        DSP_ODRL: "dspace-2025-1-odrl",
        "https://w3id.org/dspace/2024/1/context.json": "dspace-2024-1",
        "https://w3id.org/edc/dspace/v0.0.1": "edc",
        CATENA_X: "catenax-policy-2025-9",
        "https://w3id.org/catenax/2025/9/policy/odrl.jsonld": "dspace-2025-1-odrl",
        "http://www.w3.org/ns/odrl.jsonld": "odrl-2",
        "https://w3id.org/anode/battery/v1": "battery-v1",
        "https://w3id.org/security/data-integrity/v1": "data-integrity-v1",
        "https://w3id.org/security/data-integrity/v2": "data-integrity-v2",
        "https://w3id.org/security/multikey/v1": "multikey-v1",
        "https://www.w3.org/ns/cid/v1": "cid-v1",
        "https://www.w3.org/ns/credentials/examples/v2": "credentials-examples-v2",
        "https://w3id.org/citizenship/v4rc1": "citizenship-v4rc1",
        "https://w3id.org/vdl/v1": "vdl-v1",
        "https://w3id.org/vc/status-list/2021/v1": "status-list-2021",
    }
)
"""The addresses we hold a context for, and its file in `vocab/contexts` (without `.jsonld`)."""

DSPACE = "https://w3id.org/dspace/2025/1/"
OLDER_DSPACE = ("https://w3id.org/dspace/2024/1/", "https://w3id.org/dspace/v0.8/")
"""Namespaces of the protocol's earlier versions: the same terms, so they are read as today's."""

_ALWAYS_LISTS = frozenset({"and", "or", "xone", "andSequence"})
"""Arrays by the JSON Schemas although the context does not say so (`contract-schema.json`)."""


@dataclass(frozen=True, slots=True)
class Term:
    """How the protocol's compact form spells one IRI.

    `coercion` is what its values are: `@id` (an identifier or a node), `@vocab` (a term or an IRI), or
    empty (text or a node). `many` means: an array, also for one value.
    """

    name: str
    coercion: str
    many: bool


@cache
def context(name: str) -> dict[str, Any]:
    """The content of `vocab/contexts/<name>.jsonld`. Callers must not change it."""
    document: dict[str, Any] = orjson.loads((folder("vocab") / "contexts" / f"{name}.jsonld").read_bytes())
    return document


@cache
def prefixes() -> Mapping[str, str]:
    """The prefixes understood even where the context that defines them is one we don't hold."""
    return MappingProxyType(context("well-known-prefixes")["@context"])


def iri(compact: str) -> str:
    """A compact IRI with a well-known prefix in full; anything else as it is.

    >>> iri("odrl:use")
    'http://www.w3.org/ns/odrl/2/use'
    >>> iri("urn:uuid:1")
    'urn:uuid:1'
    """
    prefix, colon, rest = compact.partition(":")
    namespace = prefixes().get(prefix) if colon and not rest.startswith("//") else None
    return compact if namespace is None else namespace + rest


def today(full: str) -> str:
    """An IRI of an earlier Dataspace Protocol as its IRI in 2025-1; any other as it is."""
    for older in OLDER_DSPACE:
        if full.startswith(older):
            return DSPACE + full[len(older) :]
    return full


@cache
def terms() -> Mapping[str, Term]:
    """IRI → the term that DSP 2025-1 writes for it: properties, types, states, operators, actions."""
    found: dict[str, Term] = {}
    for name in ("dspace-2025-1-odrl", "dspace-2025-1"):
        _collect(context(name)["@context"], found)
    return MappingProxyType(found)


def _collect(definitions: Mapping[str, Any], found: dict[str, Term]) -> None:
    namespaces = prefixes()
    for name, definition in definitions.items():
        if name.startswith("@") or name in namespaces:
            continue
        detail: dict[str, Any] = {"@id": definition} if isinstance(definition, str) else definition
        if not detail["@id"].startswith("@"):
            many = detail.get("@container") == "@set" or name in _ALWAYS_LISTS
            found[iri(detail["@id"])] = Term(name, detail.get("@type", ""), many)
        _collect(detail.get("@context", {}), found)


@cache
def foreign_spellings() -> frozenset[str]:
    """Each way to write a protocol term as a key that is not its plain name: prefixed, or in full.

    A document without one of these, under the protocol's own context, already is in its compact form.
    Dublin Core is left out: `dct:format` of a Dataset, a media type, is not the protocol's `format`.
    """
    spellings: set[str] = set()
    for full in terms():
        if full.startswith(prefixes()["dct"]):
            continue
        spellings.add(full)
        spellings.update(f"{p}:{full[len(n) :]}" for p, n in prefixes().items() if full.startswith(n))
        if full.startswith(DSPACE):
            spellings.update(older + full[len(DSPACE) :] for older in OLDER_DSPACE)
    return frozenset(spellings)


@cache
def pyld() -> ModuleType:
    """PyLD, imported when first needed (180 ms, 31 MB) and unable to reach the network.

    PyLD keeps a cache of contexts by address for the whole process; it stays right only while everybody
    in it uses this one loader.
    """
    from pyld import BUNDLED_CONTEXTS, FrozenDocumentLoader, jsonld

    known = {url: _self_contained(name) for url, name in FILES.items()}
    jsonld.set_document_loader(FrozenDocumentLoader({**BUNDLED_CONTEXTS, **known}))
    module: ModuleType = jsonld
    return module


def _self_contained(name: str) -> dict[str, Any]:
    """A copy of a context for PyLD to keep, its `@import`s written out.

    PyLD 3.3 marks the contexts it is given, and merges an importing context into the imported one that
    it has in its cache, so that terms of one message type would leak into the next.
    """
    document = deepcopy(context(name))
    for definition in document["@context"].values():
        scoped = definition.get("@context", {}) if isinstance(definition, dict) else {}
        if imported := scoped.pop("@import", None):
            definition["@context"] = {**deepcopy(context(FILES[imported])["@context"]), **scoped}
    return document


@cache
def held(url: str) -> Any:
    """The value of `@context` in the document at `url`: of ours, or of those that PyLD brings along.

    Callers must not change it. Raises KeyError for any other address.
    """
    if url in FILES:
        return context(FILES[url])["@context"]
    from pyld import BUNDLED_CONTEXTS

    return orjson.loads(BUNDLED_CONTEXTS[url].read_bytes())["@context"]


def known() -> Callable[[str], bool]:
    """Whether we hold the context of an address."""
    from pyld import BUNDLED_CONTEXTS

    return lambda url: url in FILES or url in BUNDLED_CONTEXTS
