"""What happens in `anode demo`, scene by scene. Each claim is checked: a test that can be watched."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from connector.cli import demo_cast as cast
from connector.cli import demo_space as space
from connector.cli.api import path_of
from connector.cli.demo_cast import Operator, Story
from connector.cli.timeline import follow

CATHODE = "https://cathode.example.org/footprints/nmc-65-20-15/2026"
PASSPORT = "https://passports.example.org/ev/A00142"


class Times(NamedTuple):
    """Seconds: for how long the recycler may read what it agrees to; how long what was proved is believed."""

    lease: int
    trust: int


def tell(
    story: Story, operators: Mapping[str, Operator], issuer: Operator, folder: Path, times: Times
) -> None:
    """The story. `issuer` is the data space's authority."""
    supplier, maker, oem = operators["cathode-supplier"], operators["cell-maker"], operators["oem"]
    recycler, authority = operators["recycler"], operators["authority"]
    space.onboarding(story, issuer, operators, supplier)
    _supply(story, oem, supplier, folder)
    lease, ends = _dismantling(story, recycler, oem, issuer, folder, times.lease)
    _surveillance(story, authority, oem, folder)
    _public(story, maker, oem, folder)
    _nothing(story, recycler, supplier)
    _ended(story, recycler, oem, lease, ends)
    space.revocation(story, issuer, recycler, oem, folder, times.trust)
    _audit(story, oem)


def _supply(story: Story, oem: Operator, supplier: Operator, folder: Path) -> None:
    story.scene("2. The car maker needs its supplier's carbon footprint")
    datasets = cast.catalog(oem, supplier)
    story.say("It asks the cathode supplier's node, which it has never met, what it offers:")
    story.quote(cast.title(datasets))
    story.quote(cast.says(datasets[0]))
    story.check(
        "the supplier's catalog shows the car maker one dataset", [d["@id"] for d in datasets] == [CATHODE]
    )
    _, file = cast.fetch(story, oem, supplier, CATHODE, folder / "oem" / "cathode-footprint.jsonld")
    original = supplier.folder / "catalog" / "nmc-carbon-footprint.jsonld"
    told = orjson.loads(file.read_bytes())
    story.quote(f"{told['title']}: {told['footprint']} kgCO2e for {told['declaredUnit']}")
    story.check(
        "the car maker has it, byte for byte, under a contract", file.read_bytes() == original.read_bytes()
    )


def _dismantling(
    story: Story, recycler: Operator, oem: Operator, issuer: Operator, folder: Path, lasts: int
) -> tuple[Mapping[str, Any], float]:
    story.scene("3. The recycler must know how to take the battery apart")
    dataset = f"{PASSPORT}/dismantling"
    answer = recycler.api.get("/peers/dataset", peer=oem.did, dataset=dataset)["dataset"]
    story.quote(cast.says(answer))
    space.admission(story, recycler, oem, issuer, dataset)
    process, file = cast.fetch(story, recycler, oem, dataset, folder / "recycler" / "dismantling.jsonld")
    ends = time.monotonic() + lasts
    materials = orjson.loads(file.read_bytes())["battery"]["cathodeMaterials"]
    story.quote("cathode: " + ", ".join(f"{m['mass']} kg {m['name']}" for m in materials))
    story.check(f"the recycler has the dismantling data, for {lasts} s from the agreement", bool(materials))
    return process, ends


def _surveillance(story: Story, authority: Operator, oem: Operator, folder: Path) -> None:
    story.scene("4. Market surveillance wants to see test reports: point 3 of Annex XIII")
    found = cast.catalog(authority, oem, {"point": "3"})
    story.quote(cast.title(found))
    story.check("it sees the reports of three batteries", len(found) == 3)
    _, file = cast.fetch(
        story, authority, oem, f"{PASSPORT}/test-reports", folder / "authority" / "reports.jsonld"
    )
    reports = orjson.loads(file.read_bytes())["battery"]["testReports"]
    for report in reports[:3]:
        story.quote(f"{report['reportNumber']}: {report['standard']}: {report['result']}")
    story.check("it has them", bool(reports))
    use_data = [d["@id"] for d in cast.catalog(authority, oem, {"point": "4"})]
    story.check("it sees no use data: points 3 and 4 have different readers", use_data == [])


def _public(story: Story, maker: Operator, oem: Operator, folder: Path) -> None:
    story.scene("5. Point 1 is for everyone")
    found = [d["@id"] for d in cast.catalog(maker, oem)]
    seen = {kind: [d for d in found if d.endswith(f"/{kind}")] for kind in ("public", "dismantling")}
    story.check(
        "the cell maker sees the public parts of three passports, and what recyclers could have, no more",
        [len(seen["public"]), len(seen["dismantling"]), len(found)] == [3, 3, 6],
    )
    _, file = cast.fetch(
        story, maker, oem, f"{PASSPORT}/public", folder / "cell-maker" / "public.jsonld", quiet=True
    )
    story.check("and reads one", orjson.loads(file.read_bytes())["@id"] == f"{PASSPORT}/public")


def _nothing(story: Story, recycler: Operator, supplier: Operator) -> None:
    story.scene("6. Who is entitled to nothing gets nothing")
    story.check("the supplier's catalog is empty for the recycler", cast.catalog(recycler, supplier) == [])
    said = cast.refused(
        lambda: recycler.api.post("/negotiations", {"peer": supplier.did, "dataset": CATHODE}),
    )
    story.quote(said)
    story.check("asking for the dataset by its id is refused: it looks like none", CATHODE in said)
    terms = {"@id": f"{CATHODE}#offer", "@type": "Offer", "permission": [{"action": "use"}]}
    asked = {"peer": supplier.did, "dataset": CATHODE, "terms": terms}
    process = recycler.api.post("/negotiations", asked)["process"]
    said = cast.refused(lambda: follow(recycler.api, process, {"FINALIZED"}, cast.soon(), lambda _: None))
    story.quote(said)
    story.check("negotiating with terms of its own making ends TERMINATED", "no dataset" in said.lower())
    for what, path, method in (
        ("the catalog", "/dsp/catalog/request", "POST"),
        ("data", "/data", "GET"),
    ):
        status, reason = cast.anonymous(supplier.url + path, method)
        story.quote(reason)
        story.check(
            f"a stranger without proof of identity gets no answer about {what}: {status}", status == 401
        )


def _ended(story: Story, recycler: Operator, oem: Operator, lease: Mapping[str, Any], ends: float) -> None:
    story.scene("7. The recycler's time is over")
    pid, agreement = lease["pid"], lease["agreement"]
    token = None
    if time.monotonic() < ends - 0.5:
        token = recycler.api.get(path_of("transfers", pid, "data-address"))
        story.say(f"Some {ends - time.monotonic():.0f} s are left. Waiting.")
    said = cast.refused(lambda: follow(recycler.api, lease, {"COMPLETED"}, cast.soon(), _late(story, lease)))
    story.check("the car maker's node has ended the transfer by itself, at that moment", "ended" in said)
    said = cast.refused(lambda: recycler.api.get(path_of("transfers", pid, "data")))
    story.quote(said)
    story.check("reading again is refused, with the reason", "ended" in said)
    if token is not None:
        status, reason = cast.anonymous(token["endpoint"], "GET", token["authorization"])
        story.quote(reason)
        story.check(f"the token that it still has opens nothing: {status}", status == 401)
    process = recycler.api.post("/transfers", {"agreement": agreement})["process"]
    said = cast.refused(lambda: follow(recycler.api, process, {"STARTED"}, cast.soon(), story.say))
    story.check("a new transfer under the old agreement is refused, with the reason", "ended" in said)


def _audit(story: Story, oem: Operator) -> None:
    story.scene("9. What the car maker's node has written down")
    entries = oem.api.get("/audit")["entries"]
    for entry in entries:
        verdict = "permitted" if entry["permitted"] else "denied"
        story.quote(f"{entry['at']}  {verdict}  {entry['participant']}  {entry['dataset']}")
    readers = {entry["participant"] for entry in entries if entry["permitted"]}
    story.check(
        "each byte that went out is in its audit log: who, what, under which agreement", len(readers) == 3
    )


def _late(story: Story, process: Mapping[str, Any]) -> Any:
    """Tells only how a transfer ends: how it began was told."""
    return lambda text: story.say(text) if "terminate" in text else None
