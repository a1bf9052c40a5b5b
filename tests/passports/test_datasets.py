"""The catalog, and the example data space of five operators: files, ids, offers, readers."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from connector.flows import issuable, publish
from connector.odrl import authoring
from tests.passports import documents
from tests.passports.documents import CATALOG, DATASPACE

OPERATORS = ("cathode-supplier", "cell-maker", "oem", "recycler", "authority")
ISSUER, MEMBER = "dataspace-authority", "MembershipCredential"
OPERATOR = pytest.mark.parametrize("operator", OPERATORS)
DIDS = {f"${{{name.upper().replace('-', '_')}_DID}}" for name in OPERATORS}
PLACEHOLDERS = DIDS | {"${PASSPORTS}", "${DISMANTLING_LASTS}"}
KNOWN_KEYS = {"id", "title", "description", "keywords", "properties", "offers", "source", "_in"}


def _file(dataset: dict[str, Any]) -> Path:
    written: str = dataset["source"]["file"].replace("${PASSPORTS}", str(CATALOG))
    return Path(dataset["_in"]).parent / written


def _offered(operator: str) -> dict[str, set[str] | str]:
    """For each dataset of an operator: `everyone`, or the partners (or credentials) that see an offer."""
    rules = documents.policies(DATASPACE / operator / "policies")
    seen: dict[str, set[str] | str] = {}
    for dataset in documents.datasets(DATASPACE / operator / "catalog"):
        (policy,) = dataset["offers"]
        offer = rules[policy]["offer"]
        seen[dataset["id"]] = offer if offer == "everyone" else _listed(offer)
    return seen


def _listed(offer: dict[str, Any]) -> set[str]:
    (who,) = offer.values()
    return set(who) if isinstance(who, list) else {who}


ALL = [
    *documents.datasets(CATALOG),
    *(entry for operator in OPERATORS for entry in documents.datasets(DATASPACE / operator / "catalog")),
]


@pytest.mark.parametrize("dataset", ALL, ids=lambda entry: entry["id"])
def test_a_dataset_is_the_document_it_names(dataset: dict[str, Any]) -> None:
    """The file of each dataset exists, is JSON-LD, and its @id is the dataset's id, so the id is stable."""
    assert dataset.keys() <= KNOWN_KEYS
    assert documents.read(_file(dataset))["@id"] == dataset["id"]
    assert dataset["source"]["media_type"] == "application/ld+json"
    assert all(isinstance(value, str) for value in dataset["properties"].values())


def test_each_file_is_in_a_catalog() -> None:
    """No passport part and no supplier document is forgotten."""
    assert {_file(dataset).resolve() for dataset in ALL} == set(documents.every())


@pytest.mark.parametrize("folder", [CATALOG, *(DATASPACE / operator / "catalog" for operator in OPERATORS)])
def test_ids_stand_once(folder: Path) -> None:
    """A node never declares one id twice."""
    ids = [dataset["id"] for dataset in documents.datasets(folder)]
    assert len(ids) == len(set(ids))


@OPERATOR
def test_offers_name_policies_of_the_operator(operator: str) -> None:
    """Each offer's policy stands among the operator's policies, and each policy is used."""
    rules = documents.policies(DATASPACE / operator / "policies")
    declared = documents.datasets(DATASPACE / operator / "catalog")
    used = {name for entry in declared for name in entry["offers"]}
    assert used == rules.keys()


@OPERATOR
def test_placeholders_are_the_ones_explained(operator: str) -> None:
    """What a program has to fill in is exactly what the README lists."""
    readme = (DATASPACE / "README.md").read_text(encoding="utf-8")
    for path in (DATASPACE / operator).rglob("*.yaml"):
        found = set(re.findall(r"\$\{\w+\}", path.read_text(encoding="utf-8")))
        assert found <= PLACEHOLDERS
        assert all(placeholder in readme for placeholder in found)


def test_carbon_data_goes_to_customers_only() -> None:
    """The cathode supplier's data is for the cell maker and the OEM, the cell maker's for the OEM."""
    assert list(_offered("cathode-supplier").values()) == [{"${CELL_MAKER_DID}", "${OEM_DID}"}]
    assert list(_offered("cell-maker").values()) == [{"${OEM_DID}"}, {"${OEM_DID}"}]


def test_each_point_has_its_readers() -> None:
    """Point 1 is for everyone, points 2 and 4 for recyclers, point 3 for authorities: not nested."""
    readers = {
        "public": set(),
        "dismantling": {"RecyclerCredential"},
        "test-reports": {"MarketSurveillanceCredential"},
        "use-data": {"RecyclerCredential"},
    }
    rules = documents.policies(DATASPACE / "oem" / "policies")
    for entry in documents.datasets(DATASPACE / "oem" / "catalog"):
        part = entry["id"].rpartition("/")[2]
        if part in readers:
            (terms,) = (rules[name] for name in entry["offers"])
            assert {c["credential"] for c in terms.get("when", []) if "credential" in c} == readers[part]
    assert _offered("oem")["https://passports.example.org/ev/A00142/use-data"] == {"${RECYCLER_DID}"}


def test_partners_in_the_offer_are_those_of_the_terms() -> None:
    """Who sees an offer that is not for everyone may use the data, and nobody else."""
    for operator in OPERATORS:
        for name, policy in documents.policies(DATASPACE / operator / "policies").items():
            if policy["offer"] != "everyone":
                words = {"partners": "participant", "credential": "credential"}
                (seen,) = policy["offer"].items()
                assert {words[seen[0]]: seen[1]} in policy["when"], name


def test_the_authority_gives_each_credential_that_is_asked_for() -> None:
    """Every type in an operator's policy is one of its file; a node takes that file; none is automatic."""
    issued = issuable.load(DATASPACE / ISSUER / "issuer.yaml")
    named = {MEMBER}
    for operator in OPERATORS:
        for policy in documents.policies(DATASPACE / operator / "policies").values():
            conditions = [*policy.get("when", []), policy["offer"] if policy["offer"] != "everyone" else {}]
            named |= {c["credential"] for c in conditions if "credential" in c}
    assert named == issued.keys()
    assert not any(one.permits("did:web:anybody.example") for one in issued.values())


def test_the_dismantling_policy_ends() -> None:
    """The recycler's access ends a while after the agreement; how long is for the program to say."""
    policy = documents.policies(DATASPACE / "oem" / "policies")["dismantling"]
    assert {"for": "${DISMANTLING_LASTS}"} in policy["when"]


def _filled_in(folder: Path, made: Path) -> Path:
    """A copy of the folder with a value for each placeholder."""
    shutil.copytree(folder, made)
    values = dict.fromkeys(DIDS, "did:web:localhost%3A8081")
    values |= {"${PASSPORTS}": str(CATALOG), "${DISMANTLING_LASTS}": "8 seconds"}
    for path in made.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        path.write_text(text, encoding="utf-8")
    return made


@OPERATOR
def test_a_node_accepts_the_operators_files(operator: str, tmp_path: Path) -> None:
    """Filled in, an operator's policies and catalog are what a node reads, without a complaint."""
    folder = _filled_in(DATASPACE / operator, tmp_path / operator)
    rules = authoring.load([folder / "policies"])
    for path in (folder / "catalog").glob("*.yaml"):
        for dataset in publish.read_file(path):
            assert set(dataset.offers) <= rules.keys()


def test_a_node_accepts_the_catalog() -> None:
    """The product's catalog is offered under the product's policies; only point 1 is open."""
    rules = authoring.load([documents.ROOT / "policies"])
    for dataset in publish.read_file(CATALOG / "passports.yaml"):
        assert set(dataset.offers) <= rules.keys()
        assert (dataset.offers == ["open"]) == (dataset.properties["point"] == "1")


@pytest.mark.parametrize("operator", ["recycler", "authority"])
def test_who_only_asks_offers_nothing(operator: str) -> None:
    """Recycler and authority have an empty catalog."""
    assert documents.datasets(DATASPACE / operator / "catalog") == []
