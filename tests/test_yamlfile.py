"""YAML as people mean it: scalars are what they look like, and every part has its line."""

from pathlib import Path

import pytest

from connector import yamlfile
from connector.errors import InvalidFile

LOOKS = """\
norway: NO
switch: on
off: off
yes: yes
day: 2027-01-01
moment: 2027-01-01T12:30:45Z
clock: 12:30:45
version: 1.0.1
padded: 007
hex: 0x1F
octal: 0o17
thousands: 1_000
empty:
nothing: ~
truth: true
count: 12
share: 0.5
quoted: "12"
bpn: BPNL000000000001
purpose: cx.circular.dpp:1
"""


def test_scalars_are_what_they_look_like(tmp_path: Path):
    """Only true, false, null and plain numbers are not text: no country turns into a boolean, no clock into
    seconds, no key into True."""
    value = yamlfile.parse(LOOKS, "p.yaml").value
    assert value == {
        "norway": "NO",
        "switch": "on",
        "off": "off",
        "yes": "yes",
        "day": "2027-01-01",
        "moment": "2027-01-01T12:30:45Z",
        "clock": "12:30:45",
        "version": "1.0.1",
        "padded": "007",
        "hex": "0x1F",
        "octal": "0o17",
        "thousands": "1_000",
        "empty": None,
        "nothing": None,
        "truth": True,
        "count": 12,
        "share": 0.5,
        "quoted": "12",
        "bpn": "BPNL000000000001",
        "purpose": "cx.circular.dpp:1",
    }
    assert all(type(key) is str for key in value)


@pytest.mark.parametrize("text", ["a: &x 1", "a: *x", "a: !!int 1", "a: 1\n---\nb: 2", "? [a]\n: 1", "a: [1"])
def test_what_yaml_can_do_beyond_that_is_refused(text: str):
    """Aliases, tags, several documents, odd keys and broken text are refused with their line."""
    with pytest.raises(InvalidFile, match=r"^p\.yaml:\d"):
        yamlfile.parse(text, "p.yaml")


@pytest.mark.parametrize("text", ["a:\n\tb: 1\n", "a:\n  b: 1\n \tc: 2\n"])
def test_a_tab_that_indents_is_named(text: str):
    """YAML's own words for it are about tokens."""
    with pytest.raises(InvalidFile, match=r"p.yaml:[23]: not YAML: a tab can't indent; use spaces"):
        yamlfile.parse(text, "p.yaml")


def test_each_part_has_its_line():
    """A value that is nested in lists and mappings is found where it stands."""
    document = yamlfile.parse("a:\n  - b: 1\n    c: [2,\n      3]\n", "p.yaml")
    assert str(document.place("a", 0, "c", 1)) == "p.yaml:4"
    assert str(document.place("a", 0, "missing")) == "p.yaml:2"
