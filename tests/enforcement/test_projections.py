"""What is left out, replaced or grouped is nowhere in what is served, whatever way the data have it."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from connector.odrl.vocabulary import ANODE, ATTRIBUTE, GROUP_SIZE
from tests.enforcement.lab import another, lab, renewed, status
from tests.pull import Pull, dataset, pull, upstream

DID = "did:web:operator.example"
HIDDEN = ("ACME Recycling", "B-4711", "Berlin-Mitte")
DOCUMENT = {
    "@context": [
        {
            "ex": "https://example.org/",
            "who": {"@id": "ex:operatorId"},
            "firm": "who",
            "id": "@id",
            "cell": {"@id": "https://example.org/x#battery", "@context": {"maker": "ex:operatorId"}},
        }
    ],
    "id": "urn:battery:B-4711",
    "operatorId": "ACME Recycling",
    "OPERATORID": {"name": "ACME Recycling"},
    "who": "ACME Recycling",
    "firm": ["ACME Recycling", {"@value": "ACME Recycling"}],
    "ex:operatorId": "ACME Recycling",
    "https://example.org/operatorId": [[["ACME Recycling"]]],
    "cell": [{"maker": "ACME Recycling", "capacity": 50}],
    "batteryId": "B-4711",
    "label": "Battery b-4711 of acme recycling, at Berlin-Mitte",
    "B-4711": {"capacity": 51},
    "link": "https://example.org/p/B-4711?by=ACME%20Recycling",
    "submodel": [
        {"idShort": "operatorId", "value": "ACME Recycling"},
        {"name": "batteryId", "value": "B-4711"},
        {"name": "location", "value": "Berlin-Mitte"},
    ],
    "location": {"city": "Berlin-Mitte"},
    "export": orjson.dumps({"operatorId": "ACME Recycling", "a": {"location": "Berlin-Mitte"}}).decode(),
    "signed": "eyJhbGciOiJub25lIn0.eyJvcGVyYXRvcklkIjoiQUNNRSBSZWN5Y2xpbmcifQ.",
    "image": "data:text/plain,QUNNRSBSZWN5Y2xpbmc=",
    "proof": {"proofValue": "z3J8"},
    "nominalVoltage": 3.7,
}


def duty(action: str, *attributes: str) -> dict[str, Any]:
    return {
        "action": ANODE + action,
        "constraint": [{"leftOperand": ATTRIBUTE, "operator": "isAnyOf", "rightOperand": list(attributes)}],
    }


def groups(size: int) -> dict[str, Any]:
    return {
        "action": f"{ANODE}generalize",
        "constraint": [{"leftOperand": GROUP_SIZE, "operator": "gteq", "rightOperand": str(size)}],
    }


def allow(*duties: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"action": "use", "duty": list(duties)}]


CUT = allow(duty("project", "operatorId", "location"), duty("pseudonymize", "batteryId"))


async def everything(data: Pull) -> str:
    """All bytes that can be had by any request, headers too."""
    found = []
    for method, headers in (
        ("GET", {}),
        ("HEAD", {}),
        ("GET", {"Range": "bytes=0-"}),
        ("GET", {"Range": "bytes=-99999999"}),
        ("GET", {"Accept": "text/plain", "Accept-Encoding": "identity"}),
        ("GET", {"If-None-Match": '"x"'}),
    ):
        answered, body, said = await data.read(method, **headers)
        assert answered in (200, 206)
        found += [body.decode(), str(dict(said))]
    return "\n".join(found)


@pytest.mark.enforces(f"{ANODE}project", f"{ANODE}pseudonymize")
@pytest.mark.parametrize("kind", ["inline", "file", "http"])
async def test_no_value_leaks(tmp_path: Path, kind: str) -> None:
    """Aliases, contexts in contexts, case, nesting, pairs of name and value, keys, addresses, sentences, JSON
    in a text, tokens and signatures: nothing that is left out or replaced is in any byte that leaves."""
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "d.json").write_bytes(orjson.dumps(DOCUMENT))

    async def serve(request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(DOCUMENT), content_type="application/json")

    async with upstream(serve) as address:
        source: dict[str, Any] = {
            "inline": {"inline": DOCUMENT},
            "file": {"file": "d.json", "media_type": "application/ld+json"},
            "http": {"http": {"url": address}},
        }[kind]
        async with lab(tmp_path, datasets=[dataset("passport", **source)]) as node:
            data = await pull(node, "passport", CUT)
            text = await everything(data)
            for hidden in (*HIDDEN, "ACME%20", "QUNNRSBSZWN5Y2xpbmc", "eyJ", "z3J8"):
                assert hidden.casefold() not in text.casefold()
            _, body, headers = await data.read()
            served = orjson.loads(body)
            assert served["nominalVoltage"] == 3.7
            assert served["cell"] == [{"capacity": 50}]
            assert served["batteryId"].startswith("pseudonym-")
            assert served["id"] == f"urn:battery:{served['batteryId']}"
            assert served["submodel"] == [{"name": "batteryId", "value": served["batteryId"]}]
            whole = await pull(node, "passport")
            assert headers["ETag"] != (await whole.read())[2].get("ETag"), "no tag to try guesses against"


@pytest.mark.enforces(f"{ANODE}pseudonymize")
async def test_pseudonyms_are_an_agreements_own(tmp_path: Path) -> None:
    """The same within an agreement, over tokens, transfers and restarts; others in another agreement, so that
    two agreements can't be put together; and nothing that anybody could compute without the node's key."""
    rows = [{"batteryId": "B-1234", "n": 1}, {"batteryId": "B-1234", "n": 2}, {"batteryId": "B-9999", "n": 3}]
    datasets = [dataset("rows", inline=rows)]
    permission = allow(duty("pseudonymize", "batteryId"))

    def names(body: bytes) -> list[str]:
        return [row["batteryId"] for row in orjson.loads(body)]

    async with lab(tmp_path, datasets=datasets) as node:
        data, other = await pull(node, "rows", permission), await pull(node, "rows", permission)
        first = names((await data.read())[1])
        assert first[0] == first[1] != first[2]
        assert set(first).isdisjoint(names((await other.read())[1]))
        assert names((await (await another(data)).read())[1]) == first
        assert names((await (await renewed(data)).read())[1]) == first
    async with lab(tmp_path, datasets=datasets) as node:
        again = await another(Pull(node, data.pid, data.address))
        assert names((await again.read())[1]) == first


@pytest.mark.enforces(f"{ANODE}generalize")
async def test_no_record_stands_alone(tmp_path: Path) -> None:
    """Each record that leaves is like two others at least, but for its pseudonym; who is alone in a category
    is not there; no value of a single record is; the order tells nothing."""
    rows = [
        {
            "batteryId": f"B-{n}{n}{n}",
            "kind": "EV" if n < 8 else "LMT",
            "soh": 70 + n * n * 0.37,
            "cycles": n * 100,
        }
        for n in range(10)
    ]
    permission = allow(duty("pseudonymize", "batteryId"), groups(3))
    async with lab(tmp_path, datasets=[dataset("rows", inline={"records": rows})]) as node:
        data = await pull(node, "rows", permission)
        served = orjson.loads((await data.read())[1])["records"]
        assert len(served) == 8
        assert {row["kind"] for row in served} == {"EV"}
        alike = sorted((row["kind"], row["soh"], row["cycles"]) for row in served)
        assert all(len(list(same)) >= 3 for _, same in itertools.groupby(alike))
        assert {row["soh"] for row in served}.isdisjoint(row["soh"] for row in rows)
        assert sum(row["cycles"] for row in served) == pytest.approx(sum(n * 100 for n in range(8)))
        assert [row["batteryId"] for row in served] == sorted(row["batteryId"] for row in served)


@pytest.mark.enforces(f"{ANODE}generalize", f"{ANODE}project", f"{ANODE}pseudonymize")
@pytest.mark.parametrize(
    ("source", "permission", "why"),
    [
        ({"inline": [{"v": 1}, {"v": 2}]}, allow(groups(3)), "no 3 of its records are alike"),
        ({"inline": {"v": 1, "w": [1, 2]}}, allow(groups(2)), "not a list of records"),
        ({"file": "large.bin"}, CUT, "not JSON"),
        ({"file": "large.bin", "media_type": "application/json"}, CUT, "larger than"),
        (
            {"inline": {"@context": "https://elsewhere.example/c", "x": 1}},
            CUT,
            "is not one that this node has",
        ),
        ({"file": "broken.json", "media_type": "application/json"}, CUT, "not JSON that can be read"),
        ({"file": "deep.json", "media_type": "application/json"}, CUT, "nested more than"),
    ],
)
async def test_what_can_not_be_cut_down_is_not_served(
    tmp_path: Path, source: dict[str, Any], permission: list[Any], why: str
) -> None:
    """Data of which nobody can tell what they hold are refused, with the reason, and written down as refused;
    no use is counted."""
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "broken.json").write_text('{"operatorId": "ACME"')
    (tmp_path / "catalog" / "deep.json").write_text("[" * 200 + "]" * 200)
    async with lab(tmp_path, datasets=[dataset("odd", **source)]) as node:
        once = [{"leftOperand": "odrl:count", "operator": "lteq", "rightOperand": "1"}]
        data = await pull(node, "odd", [{**permission[0], "constraint": once}])
        for method in ("GET", "HEAD", "GET"):
            assert await status(data, method) == 403
        answered, body, _ = await data.read(Range="bytes=0-10")
        assert (answered, why in body.decode()) == (403, True)
        assert {line["permitted"] for line in node.node.audit.tail(9)} == {False}
        assert node.node.db.read.execute("SELECT count(*) FROM uses").fetchone() == (0,)


@pytest.mark.enforces(f"{ANODE}project")
async def test_a_new_version_is_cut_down_too(tmp_path: Path) -> None:
    """What is kept of an earlier version, or for another policy, is never served for this one; many requests
    at once all get the same."""
    (tmp_path / "catalog").mkdir()
    path = tmp_path / "catalog" / "d.json"
    path.write_bytes(orjson.dumps({"operatorId": "ACME Recycling", "v": 1}))
    source = {"file": "d.json", "media_type": "application/json"}
    async with lab(tmp_path, datasets=[dataset("d", **source)]) as node:
        less, whole = await pull(node, "d", allow(duty("project", "operatorId"))), await pull(node, "d")
        assert b"ACME" in (await whole.read())[1]
        found = await asyncio.gather(*(less.read() for _ in range(20)))
        assert {body for _, body, _ in found} == {b'{"v":1}'}
        path.write_bytes(orjson.dumps({"operatorId": "ACME Recycling", "v": 2, "n": {"operatorid": 7}}))
        assert (await less.read())[1] == b'{"v":2,"n":{}}'
