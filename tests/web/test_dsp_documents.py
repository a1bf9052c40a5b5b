"""Documents in and out: version, catalog, datasets, other people's JSON-LD, the published examples."""

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from connector.dsp import messages
from connector.dsp.messages import Message
from connector.dsp.terms import CONTEXT, Kind, Role, State, Subject
from connector.jsonld import documents, lossless
from connector.jsonld.contexts import CATENA_X
from connector.odrl.model import parse
from connector.store import processes as rows
from connector.web.rendering import takes_gzip
from tests import schemas
from tests.peer import CALLBACK, DATASET, OFFER, STRANGER, Talk, message, say, talk

POLICIES = {
    "open": {"offer": "everyone", "allow": "use"},
    "year": {"offer": "everyone", "allow": "use", "when": [{"for": "365 days"}, {"until": "2099-01-01"}]},
    "stranger": {"offer": {"partners": [STRANGER]}, "allow": "use"},
}
DATASETS = [
    {
        "id": f"urn:x:battery/{n:03}",
        "title": f"Battery {n} \N{BATTERY}",
        "keywords": ["traction"],
        "properties": {"category": "EV" if n % 2 else "LMT"},
        "offers": ["stranger"] if n == 7 else ["open", "year"],
        "source": {"inline": {"number": n}},
    }
    for n in range(250)
]
ASK = message("CatalogRequestMessage")


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Talk]:
    async with talk(tmp_path, policies=POLICIES, datasets=DATASETS) as node:
        yield node


@schemas.needs_schemas
def test_the_schemas_are_at_hand() -> None:
    """Where this skips, no message of these tests is checked against the published schemas."""
    with pytest.raises(AssertionError, match="providerPid"):
        schemas.check(message("TransferStartMessage", consumerPid="c"))
    with pytest.raises(AssertionError, match="reason"):
        schemas.check(message("TransferTerminationMessage", consumerPid="c", providerPid="p", reason=[]))


async def test_the_version_document_needs_no_authentication(node: Talk) -> None:
    """It is where the specification says, without credentials, and names the path of what is spoken."""
    status, body = await node.call("GET", "/.well-known/dspace-version", who=None)
    assert status == 200
    assert [(v["version"], v["path"], v["binding"]) for v in body["protocolVersions"]] == [
        ("2025-1", "/dsp", "HTTPS")
    ]


async def pages(node: Talk, body: Any, relation: str, path: str = "/dsp/catalog/request") -> list[list[str]]:
    """The ids on each page, following one relation of the Link header."""
    found = []
    while path:
        url = node.running.url + path
        headers = {
            "Authorization": '{"clientId": "did:web:peer.example"}',
            "Content-Type": "application/json",
        }
        async with node.session.post(url, data=orjson.dumps(body), headers=headers) as response:
            assert response.status == 200
            catalog = await response.json()
            schemas.check(catalog)
            found.append([d["@id"] for d in catalog.get("dataset", [])])
            links = ", ".join(response.headers.getall("Link", []))
            link = re.search(rf'<[^>]*?(/dsp/[^>]+)>; rel="{relation}"', links)
            path = link[1] if link else ""
            last = links
    found.append([last])
    return found


async def test_the_catalog_is_read_page_by_page_in_both_directions(node: Talk) -> None:
    """`next` gives each visible dataset once, `previous` the same backwards; the rest is not shown."""
    visible = [d["id"] for d in DATASETS if d["offers"] != ["stranger"]]
    *forwards, [links] = await pages(node, ASK, "next")
    assert [i for page in forwards for i in page] == visible
    assert [len(page) for page in forwards] == [100, 100, 49]
    last = re.search(r'<[^>]*?(/dsp/[^>]+)>; rel="previous"', links)
    assert last is not None
    *backwards, _ = await pages(node, ASK, "previous", last[1])
    assert [i for page in reversed(backwards) for i in page] == visible[:200]


async def test_the_catalog_is_filtered(node: Talk) -> None:
    """A filter names wanted properties; Eclipse EDC's way of asking is understood too."""
    wanted = [d["id"] for d in DATASETS if d["properties"]["category"] == "EV"][:3]
    spec = {
        "@type": "https://w3id.org/edc/v0.0.1/ns/QuerySpec",
        "limit": 3,
        "filterExpression": [{"operandLeft": "category", "operator": "=", "operandRight": "EV"}],
    }
    for entry in ({"category": "EV"}, {"category": ["EV"]}, spec):
        first, *_ = await pages(node, {**ASK, "filter": [entry]}, "none")
        assert first[:3] == wanted
    nothing, *_ = await pages(node, {**ASK, "filter": [{"category": "none"}]}, "next")
    assert nothing == []


@pytest.mark.parametrize(
    "filter_",
    [
        ["EV"],
        {"category": "EV"},
        [{"category": 7}],
        [{"category": []}],
        [{"category": ["x"] * 51}],
        [{f"p{n}": "x"} for n in range(11)],
        [{"filterExpression": [{"operandLeft": "a", "operator": "like", "operandRight": "%"}]}],
        [{"filterExpression": 7}],
        [{"filterExpression": [7]}],
        [{"filterExpression": [{"operandLeft": "a", "operator": "in", "operandRight": ["x"] * 51}]}],
        [{"@type": "QuerySpec", "offset": 1 << 63}],
        [{"@type": "QuerySpec", "limit": True}],
    ],
)
async def test_a_filter_that_is_not_supported_is_refused(node: Talk, filter_: Any) -> None:
    """Section 6.2.1: 400, a CatalogError, and a sentence about the filter."""
    status, body = await node.post("/catalog/request", {**ASK, "filter": filter_})
    assert (status, body["@type"]) == (400, "CatalogError")
    assert "filter" in body["reason"][0]


@pytest.mark.parametrize("mark", ["", "x", "%00", "a" * 5000, "€"])
async def test_a_page_that_was_never_given_is_refused_or_empty(node: Talk, mark: str) -> None:
    """A cursor is ours; whatever else stands there is 400 and no crash."""
    status, body = await node.call("POST", f"/dsp/catalog/request?page={mark}", ASK)
    assert (status, body["@type"]) == (400, "CatalogError")


async def test_the_catalog_is_compressed_for_those_who_ask(node: Talk) -> None:
    """gzip, and the same bytes when undone."""
    plain = await node.call("POST", "/dsp/catalog/request", ASK, **{"Accept-Encoding": "identity"})
    headers = {"Authorization": '{"clientId": "did:web:peer.example"}', "Content-Type": "application/json"}
    headers |= {"Accept-Encoding": "gzip"}
    url = node.running.url + "/dsp/catalog/request"
    async with node.session.post(url, data=orjson.dumps(ASK), headers=headers) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert await response.json() == plain[1]
    assert len(gzip.compress(orjson.dumps(plain[1]))) < len(orjson.dumps(plain[1])) / 5


@pytest.mark.parametrize(
    ("accepted", "gzipped"),
    [
        ("gzip", True),
        ("br;q=1.0, GZIP ; q=0.2", True),
        ("*", True),
        ("x-gzip", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("*;q=0", False),
        ("br", False),
        ("not-gzip", False),
        ("", False),
    ],
)
def test_gzip_is_for_those_who_take_it(accepted: str, gzipped: bool) -> None:
    """RFC 9110, 12.5.3: a weight of zero is a refusal, and the name counts more than `*`."""
    assert takes_gzip(accepted) is gzipped


@pytest.mark.parametrize(
    ("method", "path", "status", "type_"),
    [
        ("GET", "/", 404, None),
        ("GET", "/dsp", 404, None),
        ("GET", "/dsp/catalog/nothing", 404, "CatalogError"),
        ("POST", "/dsp/negotiations/urn:x:1/nothing", 404, "ContractNegotiationError"),
        ("POST", "/dsp/transfers", 404, "TransferError"),
        ("GET", "/dsp/catalog/request", 405, "CatalogError"),
        ("DELETE", "/dsp/negotiations/urn:x:1", 405, "ContractNegotiationError"),
        ("PUT", "/dsp/transfers/urn:x:1/start", 405, "TransferError"),
        ("POST", "/data", 405, None),
        ("POST", "/.well-known/dspace-version", 405, None),
    ],
)
async def test_what_is_not_here_is_told_as_json(
    node: Talk, method: str, path: str, status: int, type_: str | None
) -> None:
    """Paths that lead nowhere and methods that are not for a path get the error body of their protocol."""
    answered, body = await node.call(method, path)
    assert (answered, body.get("@type")) == (status, type_)
    assert path in body["reason"][0]
    async with node.session.request(method, node.running.url + path) as response:
        allowed = response.headers.get("Allow")
    assert (allowed is None) == (status == 404)
    assert allowed is None or allowed in body["reason"][0]


async def test_a_dataset_is_shown_to_whom_it_is_offered(node: Talk) -> None:
    """Its id is a path segment, escaped or not; who may not see it learns nothing of it."""
    for id_ in ("urn:x:battery/003", quote("urn:x:battery/003", safe="")):
        status, body = await node.call("GET", f"/dsp/catalog/datasets/{id_}")
        assert (status, body["@id"], len(body["hasPolicy"])) == (200, "urn:x:battery/003", 2)
    hidden = await node.call("GET", "/dsp/catalog/datasets/urn:x:battery/007")
    missing = await node.call("GET", "/dsp/catalog/datasets/urn:x:battery/999")
    assert hidden[0] == missing[0] == 404
    assert orjson.dumps(hidden[1]).replace(b"007", b"999") == orjson.dumps(missing[1])
    shown = await node.call("GET", "/dsp/catalog/datasets/urn:x:battery/007", who=STRANGER)
    assert shown[0] == 200


async def test_catena_x_comes_with_its_context(tmp_path: Path) -> None:
    """Who sees an offer in Catena-X's words gets the context that defines them; nobody else does."""
    terms = [{"framework": "DataExchangeGovernance:1.0"}, {"purpose": "cx.pcf.base:1"}]
    cx = {"profile": "cx", "offer": "everyone", "allow": "use", "when": terms}
    for policies, contexts in (({"open": cx}, [CATENA_X, CONTEXT]), ({"open": POLICIES["open"]}, [CONTEXT])):
        dataset = {**DATASETS[0], "offers": ["open"]}
        async with talk(tmp_path / str(len(contexts)), policies=policies, datasets=[dataset]) as node:
            _, page = await node.call("POST", "/dsp/catalog/request", ASK)
            _, alone = await node.call("GET", f"/dsp/catalog/datasets/{DATASETS[0]['id']}")
            for document, found in ((page, page["dataset"][0]), (alone, alone)):
                assert document["@context"] == contexts
                reading = lossless.read(document)
                assert set(reading.invented) <= {"HttpData-PULL"}  # a format, which the protocol leaves open
                assert reading.unknown == ()
                rules = found["hasPolicy"][0]
                offer = messages.ContractOfferMessage(provider_pid="p", offer=rules).document()
                assert offer["@context"] == contexts


@pytest.mark.parametrize(
    "segment",
    ["%ED%A0%80", "%FF", "%00", "a%2Fb", "%20", "x" * 4000, "%E2%80%AE", "..%2f..", "'--", "\N{BATTERY}"],
)
async def test_odd_paths_name_nothing(node: Talk, segment: str) -> None:
    """Half characters, zero bytes and foreign scripts in a path are an id that nobody has: 404, no more."""
    body = message("ContractNegotiationTerminationMessage", providerPid="p", consumerPid="c")
    for method, path, type_ in (
        ("GET", f"/dsp/catalog/datasets/{segment}", "CatalogError"),
        ("GET", f"/dsp/negotiations/{segment}", "ContractNegotiationError"),
        ("GET", f"/dsp/transfers/{segment}", "TransferError"),
        ("POST", f"/dsp/negotiations/{segment}/termination", "ContractNegotiationError"),
    ):
        status, answer = await node.call(method, path, body if method == "POST" else None)
        assert (status, answer["@type"]) == (404, type_), path


# -- other people's JSON-LD


def prefixed(body: Any) -> Any:
    """Every term of a message with a prefix of the sender's own, as DSP 2024-1 and some libraries write."""
    if isinstance(body, list):
        return [prefixed(v) for v in body]
    if not isinstance(body, dict):
        return body
    odrl = {"permission", "action", "target"}
    written = {}
    for name, value in body.items():
        prefix = "" if name.startswith("@") else "o:" if name in odrl else "d:"
        if name == "@type":
            value = f"{'o' if value == 'Offer' else 'd'}:{value}"
        elif name == "action":
            value = {"@id": f"o:{value}"}
        elif name in ("target", "callbackAddress") and prefix:
            value = {"@id": value}
        written[prefix + name] = prefixed(value)
    return written


OWN = {"d": "https://w3id.org/dspace/2025/1/", "o": "http://www.w3.org/ns/odrl/2/"}
REQUEST = message("ContractRequestMessage", consumerPid="c", offer=OFFER, callbackAddress=CALLBACK)
FOREIGN: dict[str, Any] = {
    "an extra context": {**REQUEST, "@context": [CONTEXT, "https://w3id.org/edc/dspace/v0.0.1"]},
    "an unknown context": {**REQUEST, "@context": ["https://nowhere.example/c.jsonld", CONTEXT]},
    "a context as text": {**REQUEST, "@context": CONTEXT},
    "unknown members": {**REQUEST, "edc:hint": {"x": [1]}, "offer": {**OFFER, "edc:more": 7}},
    "own prefixes": {**prefixed({k: v for k, v in REQUEST.items() if k != "@context"}), "@context": OWN},
}


@pytest.mark.parametrize("name", FOREIGN)
async def test_foreign_forms_are_understood(tmp_path: Path, name: str) -> None:
    """What means the same is taken the same, however it is spelled."""
    async with talk(tmp_path) as node:
        status, answer = await node.post("/negotiations/request", FOREIGN[name])
        assert (status, answer["consumerPid"]) == (201, "c"), answer
        process = rows.process(node.node.db.read, answer["@id"])
        assert process is not None
        assert (process.details["dataset"], process.address) == (DATASET, CALLBACK)
        plain = await node.post("/negotiations/request", {**REQUEST, "consumerPid": "c2"})
        other = rows.process(node.node.db.read, plain[1]["@id"])
        assert other is not None
        assert process.details["digest"] == other.details["digest"]


async def test_reasons_in_any_form_are_kept(tmp_path: Path) -> None:
    """Texts, texts with a language, and objects: the operator reads them all; none breaks us."""
    async with talk(tmp_path) as node:
        for number, reason in enumerate(
            (["plain"], [{"@value": "plain", "@language": "en"}], [{"a": 1}, 7, None, ["x"]], ["x" * 100_000])
        ):
            for subject in Subject:
                pid = f"{subject}{number}"
                process = await node.place(subject, Role.PROVIDER, State.REQUESTED, pid)
                path, body = say(node.node, process, Kind.TERMINATE)
                status, _ = await node.post(path, {**body, "reason": reason})
                now = rows.process(node.node.db.read, pid)
                assert (status, now and now.state) == (200, State.TERMINATED)
                assert now is not None
                assert 0 < len(now.reason or "") <= 2000


# -- the published examples


def below(type_: type[Message]) -> list[type[Message]]:
    return [m for child in type_.__subclasses__() for m in (child, *below(child))]


MESSAGES = {m.type: m for m in below(Message) if hasattr(m, "type")}


@schemas.needs_schemas
@pytest.mark.parametrize(
    "path", [p for p in schemas.EXAMPLES if p.parent.parent.name != "common"], ids=lambda p: p.stem
)
def test_the_published_examples_are_understood(path: Path) -> None:
    """Every example of the specification is read, with its policies; what we write of it is valid."""
    document = documents.message(orjson.loads(path.read_bytes()))
    schemas.check(document)
    type_ = MESSAGES.get(document.get("@type", ""))
    if type_ is None:
        return
    read = messages.parse(document, type_)
    schemas.check(read.document())
    for name, kind in (("offer", "Offer"), ("agreement", "Agreement")):
        if name in document:
            parse(document[name], kind)
