"""The script of the node under test covers the kit."""

import re

from connector.dsp.terms import Kind
from tests.conformance import script
from tests.conformance.artifacts import HERE


def test_every_test_of_the_kit_is_scripted_and_set() -> None:
    """Each of the kit's negotiation and transfer tests finds its id in the settings and a case for it."""
    settings = script.settings("did:web:node", "http://base", "http://base/dsp", "http://hooks")
    titles = (HERE / "dsp" / "tests.txt").read_text().splitlines()
    assert len(titles) == 65
    for title in titles:
        protocol, test = title.split(": ")[0].split(":")
        if protocol in ("CAT", "MET"):
            continue
        name = f"{protocol}_{test.replace('-', '_')}"
        value = settings.get(f"{name}_DATASETID") or settings.get(f"{name}_AGREEMENTID")
        assert value in script.CASES, title


def test_steps_tell_the_first_exchange_from_the_second() -> None:
    """A counter-request is a request, and still another event."""
    assert script.steps("ACN0102", Kind.REQUEST, 1) == (Kind.OFFER,)
    assert script.steps("ACN0102", Kind.REQUEST, 2) == (Kind.TERMINATE,)
    assert script.steps("ATP0104", Kind.REQUEST, 1) == (Kind.START, Kind.SUSPEND, Kind.START, Kind.COMPLETE)


def test_scripts_use_only_the_protocols_verbs() -> None:
    """No typing error hides in the data."""
    kinds = {kind.value for kind in Kind}
    for case in script.CASES.values():
        for when, then in case.items():
            assert re.sub(r"^second ", "", when) in kinds
            assert set(then.split()) <= kinds
