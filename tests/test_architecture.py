"""The tour in connector/ARCHITECTURE.md names what is there."""

import re
from pathlib import Path

CONNECTOR = Path(__file__).resolve().parents[1] / "connector"
TOUR = (CONNECTOR / "ARCHITECTURE.md").read_text()


def test_each_place_on_the_tour_exists() -> None:
    """A file or folder that the tour names can be opened."""
    named = re.findall(r"`((?:[\w-]+/)*[\w-]+\.(?:py|md)|[\w-]+/(?:[\w-]+/)*)`", TOUR)
    assert len(named) > 20
    root = CONNECTOR.parent
    assert [name for name in named if not (CONNECTOR / name).exists() and not (root / name).exists()] == []


def test_each_package_is_on_the_tour() -> None:
    """No folder of code is left out."""
    packages = {path.parent.name for path in CONNECTOR.glob("*/__init__.py")}
    assert {name for name in packages if f"`{name}/`" not in TOUR} == set()


def test_the_tour_fits_on_a_screen() -> None:
    """A guided tour, not a manual."""
    assert len(TOUR.splitlines()) < 70
