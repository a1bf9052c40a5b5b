"""Each passport part and each supplier document, as JSON, as JSON-LD, and by Annex XIII."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.passports import documents, vocabulary
from tests.passports.documents import ENVELOPE, PARTS, PASSPORTS

VOCABULARY = vocabulary.read()
ATTRIBUTES: dict[str, Any] = VOCABULARY["attributes"]
KINDS = {name: kind for name, kind, _ in vocabulary.terms(VOCABULARY)}
KEYWORDS = {"@context", "@id", "@type"}

FILES = pytest.mark.parametrize(
    "path", documents.every(), ids=lambda path: str(path.relative_to(documents.ROOT))
)
PASSPORT = pytest.mark.parametrize("folder", PASSPORTS)


def test_there_is_something_to_test() -> None:
    """Three passports of four parts, and four documents of the supply chain."""
    assert len(documents.every()) == 16


@FILES
def test_each_key_has_a_meaning(path: Path) -> None:
    """No key of a document is outside the vocabulary: JSON-LD would drop it without a word."""
    keys = {key for key, _ in documents.members(documents.read(path))}
    assert keys - KEYWORDS <= KINDS.keys()


@FILES
def test_json_ld_loses_nothing(path: Path) -> None:
    """Compacted and expanded again, a document says the same; all it refers to has an absolute IRI."""
    meant = documents.expanded(documents.read(path))
    assert documents.expanded(documents.compacted(meant)) == meant
    for node in documents.nodes(meant):
        assert node.get("@id", "https:").startswith(("https:", "http:")), node


@FILES
def test_each_node_has_an_id(path: Path) -> None:
    """Each node has an absolute @id of its own, so that parts can be signed and disclosed one by one."""
    for node in documents.nodes(documents.read(path)):
        assert str(node.get("@id", "")).startswith("https://"), node


@FILES
def test_ids_within_a_document_are_told_apart(path: Path) -> None:
    """An id stands for one thing: where it comes twice, the content is the same or only refers."""
    seen: dict[str, dict[str, Any]] = {}
    for node in documents.nodes(documents.read(path)):
        assert seen.setdefault(node["@id"], node) == node


@FILES
def test_numbers_are_exact(path: Path) -> None:
    """Decimal values are strings (JSON's numbers would round), counts are integers; no float anywhere."""
    for key, value in documents.members(documents.read(path)):
        assert not isinstance(value, float), key
        if KINDS.get(key) == "number":
            assert isinstance(value, str), key
            assert Decimal(value).is_finite(), key
        if KINDS.get(key) == "integer":
            assert isinstance(value, int), key


@FILES
def test_lists_are_lists(path: Path) -> None:
    """What can be many is an array, also when it is one."""
    for key, value in documents.members(documents.read(path)):
        assert isinstance(value, list) == (KINDS.get(key, "") in {"texts", "links", "nodes", "terms"}), key


@FILES
def test_values_say_where_they_come_from(path: Path) -> None:
    """Each measured value is covered by a source, each source covers values that are there."""
    document = documents.read(path)
    present = {key for key, _ in documents.members(document)}
    covered = {name for source in document["sources"] for name in source["covers"]}
    measured = {key for key in present & ATTRIBUTES.keys() if KINDS[key] in {"number", "integer"}}
    assert covered <= present
    if "battery" in document:
        assert measured <= covered


@FILES
def test_derived_values_show_their_arithmetic(path: Path) -> None:
    """A source says whether it is print, arithmetic or invention, and arithmetic is shown."""
    for source in documents.read(path)["sources"]:
        assert source["certainty"] in {"published", "derived", "illustrative"}
        assert ("arithmetic" in source) == (source["certainty"] == "derived")


@PASSPORT
def test_parts_share_an_envelope(folder: str) -> None:
    """The parts of a passport agree on the envelope of EN 18223, and their ids hang on the passport's id."""
    parts = documents.passport(folder)
    envelopes = [{key: part[key] for key in ENVELOPE} for part in parts.values()]
    assert all(envelope == envelopes[0] for envelope in envelopes)
    assert envelopes[0]["dppSchemaVersion"] == "EN18223:v1.0"
    assert envelopes[0]["granularity"] == "item"
    for name, part in parts.items():
        assert part["@id"] == f"{part['digitalProductPassportId']}/{name}"
        assert part["battery"]["@id"] == part["uniqueProductIdentifier"]


@PASSPORT
@pytest.mark.parametrize("part", PARTS)
def test_no_part_holds_another_points_attributes(folder: str, part: str) -> None:
    """A document holds attributes of its own point of Annex XIII only, besides the envelope."""
    for key, _ in documents.members(documents.passport(folder)[part]):
        if key in ATTRIBUTES and key not in ENVELOPE:
            assert ATTRIBUTES[key]["is"]["point"] == PARTS[part], key


@PASSPORT
def test_the_public_part_says_nothing_restricted(folder: str) -> None:
    """No text of points 2 to 4 stands in the public part, in whatever field: status, layout, parts, …"""
    parts = documents.passport(folder)
    public = (documents.CATALOG / folder / "public.jsonld").read_text(encoding="utf-8")
    values = {value for _, value in documents.members(parts["public"]) if isinstance(value, str)}
    for part in ("dismantling", "test-reports", "use-data"):
        for key, value in documents.members(parts[part]["battery"]):
            texts = value if isinstance(value, list) else [value]
            if KINDS.get(key) == "texts" or key in {"cellLayout", "instruction", "reportNumber"}:
                assert not [text for text in texts if text in public], key
    assert parts["use-data"]["battery"]["batteryStatus"] not in values
    keys = {key for key, _ in documents.members(parts["public"])}
    assert not keys & {"predecessorPassports", "batteryStatus"}


def test_the_public_part_keeps_suppliers_figures() -> None:
    """What suppliers give under contract stays out of the public part: it states the total only."""
    public = (documents.CATALOG / "ev" / "public.jsonld").read_text(encoding="utf-8")
    for name in ("cathode-supplier/catalog/nmc-carbon-footprint", "cell-maker/catalog/cell-carbon-footprint"):
        study = documents.read(documents.DATASPACE / f"{name}.jsonld")
        for contribution in [study, *study["contributions"]]:
            assert contribution["footprint"] not in public
        assert f"{Decimal(study['footprint']):.2f}" not in public


@PASSPORT
def test_the_public_part_tells_of_the_others(folder: str) -> None:
    """A reader of the public part learns that other parts exist, and who may read them."""
    parts = documents.passport(folder)
    others = {other["@id"] for other in parts["public"]["otherParts"]}
    assert others == {part["@id"] for name, part in parts.items() if name != "public"}


@PASSPORT
def test_the_passport_is_complete(folder: str) -> None:
    """Each mandatory attribute is present or explained; what the law suspends is pending, not missing."""
    parts, category = documents.passport(folder), PASSPORTS[folder]
    report = documents.completeness(parts, category)
    missing = {name for name, state in report.items() if state == "missing"}
    assert missing == ({"renewableContent"} if folder == "ev" else set())
    for name, state in report.items():
        need = ATTRIBUTES[name]["need"][category]
        assert (state == "present") <= (need not in {"none", "pending"}), name
        if need == "pending":
            assert state == "pending", name
        if need == "none":
            assert state == "not applicable", name
    assert sum(1 for state in report.values() if state == "present") >= 75


@PASSPORT
def test_an_explained_absence_is_an_absence(folder: str) -> None:
    """No attribute is both given and explained away, and its absence is told in the part it belongs to."""
    parts = documents.passport(folder)
    present = {key for part in parts.values() for key, _ in documents.members(part)}
    for name, part in parts.items():
        for group in part.get("withoutValue", ()):
            assert group["state"] in {"pending", "missing", "notApplicable"}
            for attribute in group["attributes"]:
                assert attribute not in present
                assert ATTRIBUTES[attribute]["is"]["point"] == PARTS[name]


def _check_digit(digits: str) -> int:
    """GS1's check digit of a number without it."""
    return -sum(int(d) * (1 if place % 2 else 3) for place, d in enumerate(reversed(digits))) % 10


@FILES
def test_gs1_numbers_are_demonstration_numbers(path: Path) -> None:
    """GS1 Digital Links carry a right check digit and the prefix for demonstrations, 952."""
    for _, value in documents.members(documents.read(path)):
        if isinstance(value, str) and value.startswith("https://id.example.org/"):
            digits = value.split("/")[4]
            assert digits.removeprefix("0").startswith("952"), value
            assert int(digits[-1]) == _check_digit(digits[:-1]), value


@PASSPORT
def test_battery_identifiers_fit_the_registry(folder: str) -> None:
    """A battery's identifier is an https URL with its serial number, at most 50 characters."""
    public = documents.passport(folder)["public"]
    identifier = public["uniqueProductIdentifier"]
    assert identifier.startswith("https://")
    assert len(identifier) <= 50
    assert identifier.rpartition("/")[2] in public["battery"]["serialNumber"]
