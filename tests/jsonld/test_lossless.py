"""What JSON-LD drops or makes up without a word is found."""

import json
from pathlib import Path

import pytest

from connector.errors import RemoteProtocolError
from connector.jsonld import contexts, lossless

CATENA_X = (
    Path(__file__).resolve().parents[3] / "shared" / "reference" / "policy" / "cx-odrl-profile" / "schema"
)


def offer(context, **constraint):
    rule = {"action": "use", "constraint": [{"leftOperand": "odrl:dateTime", "operator": "lt"} | constraint]}
    policy = {"@id": "urn:uuid:1", "@type": "Offer", "permission": [rule]}
    return {"@context": context, "@type": "ContractOfferMessage", "providerPid": "urn:p", "offer": policy}


def test_a_document_that_means_what_it_says():
    """Under the protocol's context nothing of a plain offer gets lost."""
    reading = lossless.read(offer([contexts.DSP]))
    assert (reading.dropped, reading.invented, reading.unknown) == ((), (), ())
    assert len(reading.nodes) == 1


def test_a_bare_word_that_became_an_address():
    """An operand or action that the contexts do not define is found, though JSON-LD makes an IRI of it."""
    assert lossless.read(offer([contexts.DSP], leftOperand="dateTime")).invented == ("dateTime",)
    assert lossless.read(offer([contexts.DSP], leftOperand="Membershp")).invented == ("Membershp",)
    assert lossless.read(offer([contexts.CATENA_X, contexts.DSP], leftOperand="Membership")).invented == ()


def test_a_member_that_is_dropped():
    """A member without a definition is told, and so is a context that nobody here holds."""
    reading = lossless.read(offer([contexts.DSP, "https://peer.example/context"], refinement=[{}]))
    assert reading.dropped == ("refinement",)
    assert reading.unknown == ("https://peer.example/context",)


def test_odrl_for_itself():
    """A policy under ODRL's own context is read whole, refinements and all."""
    text = {
        "@context": "http://www.w3.org/ns/odrl.jsonld",
        "@type": "Set",
        "uid": "http://example.com/policy:1",
    }
    right = {
        "leftOperand": "resolution",
        "operator": "lteq",
        "rightOperand": {"@value": "1200"},
        "unit": "urn:dpi",
    }
    action = {"rdf:value": {"@id": "odrl:print"}, "refinement": [right]}
    rule = {"target": "http://example.com/asset:1", "action": [action]}
    reading = lossless.read(text | {"permission": [rule]})
    assert (reading.dropped, reading.invented, reading.unknown) == ((), (), ())
    assert "http://www.w3.org/ns/odrl/2/refinement" in json.dumps(reading.nodes)


@pytest.mark.parametrize("document", [{"@context": 7}, {"@context": {"@vocab": []}}, [[[[{"@id": 7}]]]]])
def test_what_is_no_json_ld(document):
    """Broken JSON-LD is refused, not crashed on."""
    with pytest.raises(RemoteProtocolError):
        lossless.read(document)


@pytest.mark.skipif(not CATENA_X.exists(), reason="Catena-X's published context is not on this machine")
def test_catena_xs_terms_are_known():
    """Each term of the published Catena-X context is in ours with the same IRI, but for its `odrl` prefix."""
    published = json.loads((CATENA_X / "context" / "context.jsonld").read_bytes())["@context"]
    ours = contexts.context("catenax-policy-2025-9")["@context"]
    assert {name for name in published if ours.get(name) != published[name]} == {"odrl"}
