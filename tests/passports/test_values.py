"""The numbers: plausible for a battery, and adding up along the supply chain."""

from decimal import Decimal
from typing import Any

import pytest

from tests.passports import documents
from tests.passports.documents import DATASPACE, PASSPORTS

PASSPORT = pytest.mark.parametrize("folder", PASSPORTS)
MATERIALS = ("cathodeMaterials", "anodeMaterials", "electrolyteMaterials", "otherMaterials")
CHAIN = (
    "cathode-supplier/catalog/nmc-carbon-footprint",
    "cell-maker/catalog/cell-carbon-footprint",
    "oem/catalog/pack-carbon-footprint",
)


def _battery(folder: str, part: str) -> dict[str, Any]:
    return dict(documents.passport(folder)[part]["battery"])


def _study(name: str) -> dict[str, Any]:
    return documents.read(DATASPACE / f"{name}.jsonld")


def _close(value: object, expected: object, tolerance: str) -> bool:
    return abs(Decimal(str(value)) - Decimal(str(expected))) <= Decimal(tolerance)


@PASSPORT
def test_materials_add_up_to_the_battery(folder: str) -> None:
    """The masses of all materials are the battery's mass, their shares 100 %."""
    battery = _battery(folder, "dismantling")
    materials = [material for group in MATERIALS for material in battery[group]]
    mass = Decimal(_battery(folder, "public")["batteryMass"])
    assert _close(sum(Decimal(material["mass"]) for material in materials), mass, "0.005")
    assert _close(sum(Decimal(material["massShare"]) for material in materials), 100, "0.5")
    for material in materials:
        assert _close(material["massShare"], Decimal(material["mass"]) / mass * 100, "0.06")


@PASSPORT
def test_electrical_values_fit_together(folder: str) -> None:
    """Voltages rise from lowest to highest, power over energy is the ratio given, Wh/kg are a battery's."""
    battery = _battery(folder, "public")
    low, nominal, high = (Decimal(battery[f"{which}Voltage"]) for which in ("minimum", "nominal", "maximum"))
    assert low < nominal < high
    energy = nominal * Decimal(battery["ratedCapacity"])
    power = {entry["chargeLevel"]: Decimal(entry["power"]) for entry in battery["originalPowerCapability"]}
    assert _close(battery["powerToEnergyRatio"], power["80"] / energy, "0.01")
    assert power["20"] <= power["80"] <= Decimal(battery["maximumPermittedPower"])
    assert 90 < energy / Decimal(battery["batteryMass"]) < 200
    assert Decimal(battery["idleTemperatureLowest"]) < 0 < Decimal(battery["idleTemperatureHighest"])


@PASSPORT
def test_efficiency_and_shares_are_per_cent(folder: str) -> None:
    """Efficiency falls with age and stays below 100 %; recycled shares lie between 0 and 100 %."""
    battery = _battery(folder, "public")
    half, new = battery["roundTripEfficiencyAtHalfLife"], battery["initialRoundTripEfficiency"]
    assert 80 < Decimal(half) < Decimal(new) < 100
    for key, value in battery.items():
        if key.startswith("recycled"):
            assert 0 <= Decimal(value) <= 100


@PASSPORT
def test_the_battery_aged_a_little(folder: str) -> None:
    """Use data are later than new: what fades is less, what grows is more, by the percentages given."""
    new, used = _battery(folder, "public"), _battery(folder, "use-data")
    power = next(e["power"] for e in new["originalPowerCapability"] if e["chargeLevel"] == "80")
    pack = next(e["resistance"] for e in new["initialInternalResistance"] if e["of"] == "pack")
    assert _close(used["powerFade"], (1 - Decimal(used["powerNow"]) / Decimal(power)) * 100, "0.05")
    grown = (Decimal(used["internalResistanceNow"]) / Decimal(pack) - 1) * 100
    assert _close(used["internalResistanceIncrease"], grown, "0.06")
    if "remainingCapacity" in used:
        left = Decimal(used["remainingCapacity"]) / Decimal(new["ratedCapacity"])
        assert _close(used["capacityFade"], (1 - left) * 100, "0.06")
    else:
        assert _close(used["stateOfCertifiedEnergy"], 100 - Decimal(used["capacityFade"]), "0.001")
    assert 0 <= Decimal(used["stateOfCharge"]) <= 100
    assert used["fullCycles"] < new["expectedCycles"]
    if "capacityThroughput" in used:
        cycles = Decimal(used["capacityThroughput"]) / Decimal(new["ratedCapacity"])
        assert _close(used["fullCycles"], cycles, str(cycles / 10))
        energy = cycles * Decimal(new["ratedCapacity"]) * Decimal(new["nominalVoltage"]) / 1000
        assert _close(used["energyThroughput"], energy, str(energy / 10))


@pytest.mark.parametrize("name", CHAIN)
def test_a_footprint_is_the_sum_of_its_parts(name: str) -> None:
    """Quantity times factor is each part's footprint, and the parts are the whole."""
    study = _study(name)
    for part in study["contributions"]:
        assert _close(part["footprint"], Decimal(part["quantity"]) * Decimal(part["factor"]), "0.0005")
    assert sum(Decimal(part["footprint"]) for part in study["contributions"]) == Decimal(study["footprint"])


@pytest.mark.parametrize("name", CHAIN[1:])
def test_a_footprint_takes_its_suppliers_figure(name: str) -> None:
    """What comes from a supplier counts with the figure in the supplier's own document."""
    figures = {study["@id"]: study["footprint"] for study in map(_study, CHAIN)}
    taken = [part for part in _study(name)["contributions"] if "inputFrom" in part]
    assert taken
    for part in taken:
        assert _close(part["factor"], figures[part["inputFrom"]], "0.005")


def test_the_passport_states_what_the_study_found() -> None:
    """The passport's absolute footprint is the study's in tonnes; its shares are 100 %; the cell is usual."""
    study = _study(CHAIN[2])
    stated = _battery("ev", "public")["carbonFootprintAbsolute"]
    assert _close(stated, Decimal(study["footprint"]) / 1000, "0.05")
    stages = ("RawMaterials", "MainProduction", "Distribution", "EndOfLife")
    assert sum(Decimal(study[f"carbonFootprint{stage}"]) for stage in stages) == 100
    cell = _study(CHAIN[1])
    assert 59 < Decimal(cell["footprint"]) / Decimal("0.2847") < 115  # kgCO2e/kWh, 5th to 95th percentile


def test_the_pack_holds_the_cells_of_the_data_sheet() -> None:
    """The pack's cathode and anode masses are 288 times those of one cell; the cell adds up too."""
    sheet = documents.read(DATASPACE / "cell-maker/catalog/cell-data-sheet.jsonld")
    cell = {material["name"]: Decimal(material["mass"]) for material in sheet["composition"]}
    assert sum(cell.values()) == Decimal(sheet["cellMass"])
    assert _close(sum(Decimal(material["massShare"]) for material in sheet["composition"]), 100, "0.3")
    assert _close(Decimal(sheet["cellEnergy"]) / Decimal(sheet["cellMass"]), sheet["specificEnergy"], "0.5")
    pack = _battery("ev", "dismantling")
    for name, group in (("LiNi0.65Mn0.20Co0.15O2", "cathodeMaterials"), ("Graphite", "anodeMaterials")):
        mass = next(material["mass"] for material in pack[group] if material["name"] == name)
        assert Decimal(mass) == 288 * cell[name]
