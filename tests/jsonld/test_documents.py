"""JSON and JSON-LD from outside: guarded, and brought into one form."""

import contextlib
import copy
import json
import time
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.errors import RemoteProtocolError
from connector.jsonld import contexts, documents
from connector.jsonld.contexts import DSP
from connector.jsonld.documents import loads, message

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "dsp"
EXAMPLES = sorted(REFERENCE.glob("*/example/*.json"))
EDC = "https://w3id.org/edc/dspace/v0.0.1"

REQUEST = {
    "@context": [DSP],
    "@type": "ContractRequestMessage",
    "consumerPid": "9976648d-0a7a-4160-9b90-d8391d9cb582",
    "callbackAddress": "https://consumer.example/callback",
    "offer": {
        "@id": "urn:uuid:d526561f-528e-4d5a-ae12-9a9dd9b7a518",
        "@type": "Offer",
        "target": "a1",
        "assigner": "did:web:provider.example",
        "permission": [
            {
                "action": "use",
                "constraint": [
                    {
                        "or": [
                            {
                                "leftOperand": "odrl:dateTime",
                                "operator": "lteq",
                                "rightOperand": "2027-12-31T12:00:00Z",
                            },
                            {
                                "leftOperand": "https://w3id.org/anode/v1/participant",
                                "operator": "isAnyOf",
                                "rightOperand": ["did:web:a.example", "did:web:b.example"],
                            },
                        ]
                    }
                ],
            }
        ],
    },
}
EVENT = {
    "@context": [DSP],
    "@type": "ContractNegotiationEventMessage",
    "providerPid": "urn:uuid:1",
    "consumerPid": "urn:uuid:2",
    "eventType": "ACCEPTED",
}
START = {
    "@context": [DSP],
    "@type": "TransferStartMessage",
    "providerPid": "urn:uuid:1",
    "consumerPid": "urn:uuid:2",
    "dataAddress": {
        "@type": "DataAddress",
        "endpointType": "https://w3id.org/idsa/v4.1/HTTP",
        "endpoint": "https://provider.example/data",
        "endpointProperties": [{"@type": "EndpointProperty", "name": "authType", "value": "bearer"}],
    },
}
TERMINATION = {
    "@context": [DSP],
    "@type": "ContractNegotiationTerminationMessage",
    "providerPid": "urn:uuid:1",
    "consumerPid": "urn:uuid:2",
    "code": "99",
    "reason": ["No."],
}
CATALOG = {
    "@context": [DSP],
    "@id": "urn:uuid:3",
    "@type": "Catalog",
    "participantId": "did:web:provider.example",
    "service": [{"@id": "urn:uuid:4", "@type": "DataService", "endpointURL": "https://provider.example/dsp"}],
    "dataset": [
        {
            "@id": "a1",
            "@type": "Dataset",
            "hasPolicy": [{"@id": "urn:uuid:5", "@type": "Offer", "permission": [{"action": "use"}]}],
            "distribution": [
                {"@type": "Distribution", "format": "HttpData-PULL", "accessService": "urn:uuid:4"}
            ],
        }
    ],
}
DOCUMENTS = [REQUEST, EVENT, START, TERMINATION, CATALOG]
DOCUMENTS += [d for d in (json.loads(path.read_bytes()) for path in EXAMPLES) if d.get("@type")]
DOCUMENTS = [{k: v for k, v in d.items() if v != []} for d in DOCUMENTS]  # an empty array says nothing


def _name(document):
    return document["@type"]


def _spelled(value, spell):
    """A compact document with each protocol term written as `spell(iri)` says."""
    names = {term.name: iri for iri, term in contexts.terms().items()}
    names["dataset"] = contexts.iri("dcat:dataset")
    if isinstance(value, list):
        return [_spelled(item, spell) for item in value]
    if not isinstance(value, dict):
        return value
    result = {}
    for key, item in value.items():
        if key in ("@type", "state", "eventType", "action", "operator"):
            item = spell(names[item])
        if key != "@context":
            result[spell(names[key]) if key in names else key] = _spelled(item, spell)
    return result


def _prefixed(iri):
    for prefix, namespace in contexts.prefixes().items():
        if iri.startswith(namespace):
            return f"{prefix}:{iri[len(namespace) :]}"
    return iri


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_compact_documents_pass_as_they_are(document):
    """A document in the protocol's own form is returned itself, whatever other contexts it names."""
    assert message(document) is document
    for foreign in ([DSP, EDC], ["https://example.org/unknown", DSP]):
        beside = {**document, "@context": foreign}
        assert message(beside) is beside


@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if d["@type"] != "DatasetRequestMessage"], ids=_name
)
@pytest.mark.parametrize(
    "context",
    [
        {
            "dspace": contexts.DSPACE,
            "odrl": "http://www.w3.org/ns/odrl/2/",
            "dcat": "http://www.w3.org/ns/dcat#",
        },
        "https://example.org/a-context-nobody-holds",
        [DSP],
        None,
    ],
    ids=["inline", "unknown", "protocol", "absent"],
)
def test_prefixed_documents_become_compact(document, context):
    """A document whose terms are prefixed becomes the same document in compact form."""
    prefixed = _spelled(document, _prefixed)
    if context is not None:
        prefixed["@context"] = context
    assert message(prefixed) == document


@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if d["@type"] != "DatasetRequestMessage"], ids=_name
)
def test_full_iris_become_compact(document):
    """A document whose terms are full IRIs becomes the same document in compact form."""
    assert message(_spelled(document, str)) == document


def test_a_request_for_a_dataset_keeps_its_dataset():
    """`dspace:dataset` and `dcat:dataset` share a name in compact form, one is a value and one a list."""
    foreign = {"@type": "dspace:DatasetRequestMessage", "dspace:dataset": {"@id": "urn:uuid:1"}}
    assert message(foreign)["dataset"] == "urn:uuid:1"


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_expanded_documents_become_compact(document):
    """What PyLD expands a document to, as one node or as the array around it, leads back to the document."""
    initial = {"@base": None, **contexts.prefixes()}
    expanded = contexts.pyld().expand(document, {"expandContext": initial})
    assert message(expanded) == message(expanded[0]) == document


def test_an_older_protocol_is_read_as_todays():
    """A 2024-1 style message (own context, prefixes, typed values, objects for ids) is understood."""
    older = {
        "@context": "https://w3id.org/dspace/2024/1/context.json",
        "@type": "dspace:ContractAgreementMessage",
        "dspace:providerPid": "urn:uuid:1",
        "dspace:consumerPid": {"@id": "urn:uuid:2"},
        "dspace:agreement": {
            "@id": "urn:uuid:3",
            "@type": "odrl:Agreement",
            "odrl:target": {"@id": "urn:uuid:4"},
            "dspace:timestamp": {"@value": "2023-01-01T01:00:00Z", "@type": "xsd:dateTime"},
            "odrl:assigner": "urn:a",
            "odrl:assignee": "urn:b",
            "odrl:permission": {
                "odrl:action": {"@id": "odrl:use"},
                "odrl:constraint": {
                    "odrl:and": {
                        "odrl:leftOperand": {"@id": "odrl:dateTime"},
                        "odrl:operator": {"@id": "odrl:lteq"},
                        "odrl:rightOperand": {"@value": "2023-12-31T06:00Z", "@type": "xsd:dateTime"},
                    }
                },
                "odrl:duty": [],
            },
            "odrl:prohibition": [],
        },
    }
    typed = {"@value": "2023-12-31T06:00Z", "@type": "xsd:dateTime"}
    constraint = {"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": typed}
    assert message(older) == {
        "@context": [DSP],
        "@type": "ContractAgreementMessage",
        "providerPid": "urn:uuid:1",
        "consumerPid": "urn:uuid:2",
        "agreement": {
            "@id": "urn:uuid:3",
            "@type": "Agreement",
            "target": "urn:uuid:4",
            "timestamp": "2023-01-01T01:00:00Z",
            "assigner": "urn:a",
            "assignee": "urn:b",
            "permission": [{"action": "use", "constraint": [{"and": [constraint]}]}],
        },
    }
    state = {
        "@context": older["@context"],
        "@type": "dspace:TransferProcess",
        "dspace:state": "dspace:REQUESTED",
    }
    assert message(state)["state"] == "REQUESTED"
    old = "https://w3id.org/dspace/v0.8/"
    assert (
        message({"@type": old + "TransferProcess", old + "state": {"@id": old + "STARTED"}})["state"]
        == "STARTED"
    )


def test_own_prefixes_of_a_peer_work():
    """A prefix that a document defines itself, and terms mixed with plain ones, are understood."""
    mixed = copy.deepcopy(REQUEST)
    mixed["@context"] = [DSP, {"ex": "https://example.org/", "o": "http://www.w3.org/ns/odrl/2/"}]
    rule = mixed["offer"]["permission"][0]
    rule["o:action"] = {"@id": "o:use"}
    del rule["action"]
    rule["constraint"][0]["or"][0]["leftOperand"] = "ex:quota"
    plain = message(mixed)["offer"]["permission"][0]
    assert plain["action"] == "use"
    assert plain["constraint"][0]["or"][0]["leftOperand"] == "https://example.org/quota"


def test_values_may_be_prefixed_under_the_protocols_context():
    """`"eventType": "dspace:ACCEPTED"` with otherwise plain terms is the same message."""
    assert message({**EVENT, "eventType": "dspace:ACCEPTED"}) == EVENT


def test_descriptions_do_not_make_a_catalog_foreign():
    """Dublin Core and DCAT descriptions under the protocol's context stay on the fast path."""
    described = {**CATALOG["dataset"][0], "dct:title": "Cells", "dct:format": "application/ld+json"}
    catalog = {**CATALOG, "dataset": [described | {"dcat:keyword": ["x"]}] * 1000}
    assert message(catalog) is catalog


def test_foreign_properties_are_kept_with_their_names():
    """What is not the protocol's survives under a prefix or its IRI, so that a catalog keeps its titles."""
    foreign = {"@type": "dcat:Catalog", "dct:title": "Cells", "https://example.org/x": {"@id": "urn:y"}}
    compact = message(foreign)
    assert compact["dct:title"] == "Cells"
    assert compact["https://example.org/x"] == {"@id": "urn:y"}


@pytest.mark.parametrize(
    "document",
    [
        {"@type": "ContractRequestMessage", "consumerPid": "x"},
        {"@context": ["https://example.org/"], "@type": "ContractRequestMessage"},
        {"@context": {"@vocab": 7}, "@type": "x"},
        {"@context": {"a": {"@id": "b:c", "@context": {"d": "e:f"}}}, "a": 1},
        {"@context": {"@import": "https://example.org/"}, "a": 1},
        {"@context": {f"t{i}": "u:v" for i in range(200)}, "t1": 1},
        {"@context": [DSP, {"@base": 5}]},
        {"@context": {"@base": "http://x/" + "a/" * 2000}, "@type": "dspace:TransferProcess"},
        {"@type": "dspace:TransferProcess", "dspace:state": [[[{"@value": {}}]]]},
        {"@id": {}, "@type": "dspace:TransferProcess"},
        {"dspace:x": [{}] * 3000},
        {"@graph": [{"@type": "dspace:TransferProcess"}, {"@type": "dspace:TransferProcess"}]},
        [],
        "text",
        [{}, {}],
    ],
)
def test_documents_without_sense_are_the_peers_fault(document):
    """Bodies that mean nothing, or that would cost much, are refused with a sentence."""
    with pytest.raises(RemoteProtocolError):
        message(document)


def test_hostile_contexts_cost_little():
    """The worst contexts that the limits allow are handled in well under a second."""
    inline = {"@context": {f"t{i}": {"@id": f"dspace:t{i}", "@type": "@id"} for i in range(8)}, "dspace:a": 1}
    document = {"@type": "dspace:TransferProcess", "dspace:x": [inline] * 11}
    chain = {"@context": {f"t{i}": {"@id": f"t{i + 1}:x"} for i in range(90)}, "t0": "x"}
    many = {
        "@type": "dspace:TransferProcess",
        "dspace:x": [{"dspace:y": {"@id": f"u:{i}"}} for i in range(600)],
    }
    started = time.process_time()
    for hostile in (document, chain, many):
        try:
            message(hostile)
        except RemoteProtocolError:
            continue
    assert time.process_time() - started < 5  # seen: 0.1 s; a quadratic cost would be minutes


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b'{"a": NaN}', "line 1, column 7"),
        (b'{"a": "\\ud800"}', "line 1, column 8"),
        (b'{"a": "\xff"}', "byte 0xff at position 7"),
        (b"[" * 1_000_000, "depth limit"),
        (b"[" * 33 + b"]" * 33, "deeper than 32"),
        (b'{"a": 1e999}', "infinity"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        (b" " * (1 << 20) + b"1", "at most 1048576"),
    ],
)
def test_bad_json_is_refused_with_its_place(body, says):
    """A body that is not JSON, or too large or deep, is refused; the reason says what and where."""
    with pytest.raises(RemoteProtocolError, match=says):
        loads(body)


def test_brackets_in_text_are_not_depth():
    """Only real nesting counts as depth."""
    value = {"a": "[{" * 100, "b": [[]] * 100}
    assert loads(orjson.dumps(value)) == value


KEYS = ["@id", "@type", "@context", "@value", "@list", "@set", "@graph", "@reverse", "@language", "@vocab"]
KEYS += ["@base", "@included", "dspace:state", "odrl:permission", "odrl:and", "offer", "x", ":"]

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS) | st.text(max_size=6),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None, max_examples=300)
@given(_json)
def test_no_document_crashes(document):
    """Whatever JSON comes, the answer is a document or a RemoteProtocolError."""
    if isinstance(document, dict):
        document = {"@type": "dspace:TransferProcess", **document}
    try:
        compact = message(document)
    except RemoteProtocolError:
        return
    assert compact["@context"]


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_no_body_crashes(body):
    """Whatever bytes come, the answer is a value or a RemoteProtocolError."""
    with contextlib.suppress(RemoteProtocolError):
        loads(body)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"a":1,"a":1}', "a"),
        ('{"a":1,"b":{"c":[{"d":1,"d":2}]}}', "d"),
        ('{"a":1, "\\u0061":2}', "a"),
        ('{"a":1 , "a" :2}', "a"),
        ('{"x":[1e300],"a":null,"a":null}', "a"),
        ('{"":1,"":2}', ""),
    ],
)
def test_what_is_signed_says_each_thing_once(text: str, name: str) -> None:
    """A member that is there twice, however it is written, is refused by its name."""
    with pytest.raises(RemoteProtocolError, match=f"the token has '{name}' more than once"):
        documents.signed(text.encode(), 1_000, 16, "the token")


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"b":1}',
        '[{"a":1},{"a":2}]',
        '{"a":{"a":1}}',
        ' { "a" : "\\"a\\":1" } ',
        '{"a":1' + "0" * 300 + "}",
        '"x"',
    ],
)
def test_what_is_signed_may_be_written_in_any_way(text: str) -> None:
    """Blanks, escapes, long numbers, equal names in different objects: read as by anybody."""
    assert documents.signed(text.encode(), 10_000, 16, "the token") == orjson.loads(text)


def test_what_is_signed_is_told_by_its_name() -> None:
    """Too large, too deep and not JSON are told of what it is."""
    for body, why in [
        (b"x" * 20, "the token has 20 bytes"),
        (b"[" * 5 + b"]" * 5, "the token is nested"),
        (b"", "the token is empty"),
        (b"{", "the token is not JSON"),
    ]:
        with pytest.raises(RemoteProtocolError, match=why):
            documents.signed(body, 10, 3, "the token")
