"""Random documents: what is accepted has the quads that PyLD alone finds, whichever way it went.

pyoxigraph reads property-scoped contexts below a scoped type in its own way, forgets all but the last of
several type-scoped ones, and gives up with its process on graph terms: such documents go through PyLD.
"""

import random
from typing import Any

import pyoxigraph as ox
import pytest

from connector.errors import RemoteProtocolError
from connector.jsonld import contexts, graph

V2 = "https://www.w3.org/ns/credentials/v2"
TERMS = "pqrst"
TEXTS = ["x", "urn:a:b", "http://x.example/y", "2026-01-01T00:00:00Z", "T", "é", "p", "ex:f"]


class Maker:
    """Makes documents, always the same for a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def often(self, share: float) -> bool:
        return self.random.random() < share

    def term(self) -> Any:
        definition: dict[str, Any] = {"@id": "http://x.example/" + self.random.choice("abcd")}
        if self.often(0.3):
            definition["@type"] = self.random.choice(["@id", "@vocab", "http://t.example/x", "@json"])
        if self.often(0.15):
            definition["@container"] = self.random.choice(["@set", "@set", "@list", "@language", "@index"])
        if self.often(0.15):
            definition["@context"] = {self.random.choice(TERMS): self.random.choice(["http://x.example/z"])}
        return definition if self.often(0.8) else definition["@id"]

    def context(self) -> dict[str, Any]:
        made = {name: self.term() for name in self.random.sample(TERMS, 3)}
        made |= {"@vocab": "http://v.example/"} if self.often(0.8) else {}
        for name in self.random.sample("TUV", 2):
            made[name] = {"@id": f"http://x.example/{name}"}
            if self.often(0.6):
                made[name]["@context"] = {term: self.term() for term in self.random.sample(TERMS, 2)}
        return made

    def value(self, depth: int) -> Any:
        kind = self.random.random()
        if kind < 0.35:
            return self.random.choice(TEXTS)
        if kind < 0.45:
            return self.random.choice([1, 1.0, 0.5, True, -7])
        if kind < 0.55:
            return {"@value": "v", **({"@language": "de"} if self.often(0.3) else {})}
        if kind < 0.6:
            return {"@list": [self.value(depth + 1)]}
        if kind < 0.75:
            return [self.value(depth + 1) for _ in range(2)]
        return self.node(depth + 1) if depth < 4 else "deep"

    def node(self, depth: int = 0) -> dict[str, Any]:
        made = {name: self.value(depth) for name in self.random.sample(TERMS, self.random.randint(0, 3))}
        if self.often(0.5):
            made["id"] = self.random.choice(["urn:n:1", "urn:n:2", "http://n.example/3"])
        if self.often(0.5):
            made["type"] = self.random.sample("TUV", self.random.choice([1, 1, 2]))
        if self.often(0.08):
            made["@context"] = self.context()
        return made


@pytest.mark.parametrize("seed", range(8))
def test_both_ways_find_the_same(seed: int) -> None:
    """Of fifty random documents a seed, each that is accepted has the canonical form PyLD's quads have."""
    maker = Maker(seed)
    accepted = 0
    for _ in range(50):
        document = {"@context": [V2, maker.context()], **maker.node(), "type": ["VerifiableCredential"]}
        try:
            ours = graph.canonical(document)
        except RemoteProtocolError:
            continue
        accepted += 1
        options = {"format": "application/n-quads", "base": "urn:none:", "rdfDirection": "i18n-datatype"}
        theirs = ox.parse(contexts.pyld().to_rdf(document, options), format=ox.RdfFormat.N_QUADS)
        assert ours == graph.canonical_dataset(ox.Dataset(theirs)), document
    assert accepted > 10
