"""The frozen contexts mean what the published ones mean, and nothing else can be reached."""

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest

from connector.jsonld import contexts

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "dsp"
EXAMPLES = sorted(REFERENCE.glob("*/example/*.json"))


def _expanded(document, dspace, odrl):
    from pyld import BUNDLED_CONTEXTS, FrozenDocumentLoader
    from pyld.context_resolver import ContextResolver

    loader = FrozenDocumentLoader({**BUNDLED_CONTEXTS, contexts.DSP: dspace, contexts.DSP_ODRL: odrl})
    # A resolver of its own: PyLD's shared cache is keyed by address and would mix the two contexts up.
    options = {"documentLoader": loader, "contextResolver": ContextResolver({}, loader), "base": "urn:x:"}
    return contexts.pyld().expand(document, options)


@pytest.mark.skipif(not EXAMPLES, reason="the published examples are not on this machine")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_published_examples_expand_alike(path):
    """Each published example expands under our contexts to what it expands to under the official ones."""
    document = json.loads(path.read_bytes())
    if "@context" not in document:
        pytest.skip("not a JSON-LD document")
    official = [json.loads((REFERENCE / "context" / f"{n}.jsonld").read_bytes()) for n in ("dspace", "odrl")]
    ours = [deepcopy(contexts.context(n)) for n in ("dspace-2025-1", "dspace-2025-1-odrl")]
    assert _expanded(document, *ours) == _expanded(document, *official)
    assert contexts.pyld().expand(document, {"base": "urn:x:"}) == _expanded(document, *official)


@pytest.mark.skipif(not EXAMPLES, reason="the published contexts are not on this machine")
def test_every_published_term_is_known():
    """Each term of the official contexts is in ours with the same IRI, type and container, and no other."""

    def table(context):
        found = {}
        for name, definition in context.items():
            if not name.startswith("@"):
                detail = {"@id": definition} if isinstance(definition, str) else dict(definition)
                found[name] = (detail, table(detail.pop("@context", {})))
        return found

    for ours, official in (("dspace-2025-1", "dspace"), ("dspace-2025-1-odrl", "odrl")):
        published = json.loads((REFERENCE / "context" / f"{official}.jsonld").read_bytes())
        assert table(contexts.context(ours)["@context"]) == table(published["@context"])


def test_terms_lead_back_to_one_spelling():
    """An IRI, of today's protocol or an earlier one, leads to the plain term the schemas want."""
    full = contexts.iri("dspace:providerPid")
    assert contexts.terms()[full].name == "providerPid"
    assert contexts.today("https://w3id.org/dspace/v0.8/providerPid") == full
    assert contexts.terms()[contexts.iri("odrl:permission")].many
    assert contexts.terms()[contexts.iri("odrl:and")].many


def test_unknown_contexts_are_refused_by_the_loader():
    """PyLD cannot load what we do not hold, from the network or from a file."""
    jsonld = contexts.pyld()
    for address in ("https://example.org/context", "file:///etc/passwd", "http://127.0.0.1:1/"):
        with pytest.raises(jsonld.JsonLdError):
            jsonld.expand({"@context": address, "a": "b"})


def test_pyld_is_not_loaded_without_need():
    """A message in compact form leaves PyLD unimported: it costs 180 ms and 31 MB."""
    code = (
        "import sys; from connector.jsonld import contexts, documents;"
        "documents.message({'@context': [contexts.DSP], '@type': 'CatalogRequestMessage'});"
        "sys.exit('pyld' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
