"""The attribute catalogue, and what is written from it."""

from typing import Any

import pytest

from tests.passports import vocabulary

VOCABULARY = vocabulary.read()
POINTS = {1, 2, 3, 4}
NEEDS = {"mandatory", "conditional", "voluntary", "pending", "none"}


def test_the_context_is_written_from_the_catalogue() -> None:
    """`vocab/contexts/battery-v1.jsonld` is what the attribute catalogue says."""
    assert vocabulary.CONTEXT.read_bytes() == vocabulary.context_bytes(VOCABULARY)


def test_the_ontology_is_written_from_the_catalogue() -> None:
    """`vocab/ontology/battery-v1.ttl` is what the attribute catalogue says."""
    assert vocabulary.ONTOLOGY.read_text(encoding="utf-8") == vocabulary.ontology(VOCABULARY)


def test_terms_are_protected() -> None:
    """No context that comes after ours can give our terms another meaning."""
    assert vocabulary.context(VOCABULARY)["@context"]["@protected"] is True


def test_each_name_stands_once() -> None:
    """Attributes and structural terms share one namespace without clashes."""
    assert not VOCABULARY["attributes"].keys() & VOCABULARY["structure"].keys()


@pytest.mark.parametrize(("name", "entry"), VOCABULARY["attributes"].items())
def test_each_attribute_is_whole(name: str, entry: dict[str, Any]) -> None:
    """An attribute has a meaning, a point of Annex XIII, a level, a type, and a need for each category."""
    assert entry["meaning"], name
    assert entry["is"]["point"] in POINTS
    assert entry["is"]["level"] in {"model", "item"}
    assert entry["is"]["changes"] in {"never", "on event", "often"}
    assert entry["need"].keys() == {"ev", "lmt", "industrial"}
    assert set(entry["need"].values()) <= NEEDS


def test_mappings_use_known_prefixes() -> None:
    """Each neighbour in another vocabulary is written with a prefix the catalogue explains."""
    known = VOCABULARY["prefixes"]
    for name, entry in VOCABULARY["attributes"].items():
        for match in [*entry.get("same", ()), *entry.get("like", ())]:
            assert match.partition(":")[0] in known, name


def test_no_term_clashes_with_credentials() -> None:
    """A passport can become a Verifiable Credential: its terms are none that VCDM 2.0 protects otherwise."""
    protected = {
        "confidenceMethod", "credentialSchema", "credentialStatus", "credentialSubject", "description",
        "digestMultibase", "digestSRI", "evidence", "holder", "id", "issuer", "mediaType", "proof",
        "refreshService", "relatedResource", "renderMethod", "termsOfUse", "type", "validFrom", "validUntil",
        "verifiableCredential",
    }  # fmt: skip
    assert not protected & {name for name, _, _ in vocabulary.terms(VOCABULARY)}


def test_points_are_as_the_law_has_them() -> None:
    """Battery status and use data are point 4, test reports alone are point 3, composition is point 2."""
    point = {name: entry["is"]["point"] for name, entry in VOCABULARY["attributes"].items()}
    assert [name for name in point if point[name] == 3] == ["testReports"]
    assert point["batteryStatus"] == point["stateOfCharge"] == point["capacityFade"] == 4
    assert point["cathodeMaterials"] == point["disassemblySteps"] == 2
    assert point["batteryChemistry"] == point["economicOperatorId"] == 1
    assert [sum(1 for value in point.values() if value == each) for each in sorted(POINTS)] == [78, 15, 1, 32]
