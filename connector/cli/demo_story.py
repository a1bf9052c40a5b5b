"""What happens in `anode demo`, scene by scene. Each claim is checked: a test that can be watched."""

import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from connector.cli import output
from connector.cli.api import Api, Told, path_of
from connector.cli.download import download
from connector.cli.output import Common, style
from connector.cli.timeline import Refused, follow
from connector.errors import AnodeError
from connector.odrl.explain import explain
from connector.odrl.model import parse

CATHODE = "https://cathode.example.org/footprints/nmc-65-20-15/2026"
PASSPORT = "https://passports.example.org/ev/A00142"
_PATIENCE = 30.0
_QUIET = Common(json=True)


@dataclass(frozen=True, slots=True)
class Operator:
    """One of the cast: its node runs."""

    name: str
    title: str
    did: str
    url: str
    folder: Path
    api: Api


@dataclass(slots=True)
class Story:
    """Tells, checks, and remembers how the checks came out."""

    common: Common
    checks: list[tuple[str, bool]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """Who is behind a DID: easier to follow than port numbers."""

    @property
    def ok(self) -> bool:
        """Whether all went as told."""
        return all(ok for _, ok in self.checks)

    def say(self, text: str = "") -> None:
        """A line for people."""
        for did, name in self.names.items():
            text = text.replace(did, name)
        if not self.common.json:
            print(text, flush=True)

    def scene(self, title: str) -> None:
        """Begin a scene."""
        self.say(f"\n{style(title, '1')}")

    def quote(self, text: str) -> None:
        """What a node said."""
        self.say(style(f"  {output.plain(text)}", "2"))

    def check(self, claim: str, ok: bool) -> None:
        """A claim, and whether it is true."""
        self.checks.append((claim, ok))
        self.say(f"{style('✓', '32') if ok else style('✗', '31')} {claim}")

    def cast(self, operators: Mapping[str, Operator], seconds: float) -> None:
        """Introduce the operators."""
        self.scene(f"Five operators, five nodes, ready after {seconds:.1f} s")
        rows = []
        for operator in operators.values():
            status = operator.api.get("/status")
            rows.append((operator.title, operator.did, status["datasets"]))
        self.say(output.table(rows, "operator", "DID", "datasets"))
        self.names = {o.did: f"the {o.title[0].lower()}{o.title[1:]}" for o in operators.values()}
        self.check("each has a node process, keys and a store of its own", len(rows) == len(operators))


def tell(story: Story, cast: Mapping[str, Operator], folder: Path, lasts: int) -> None:
    """The story. `lasts`: seconds for which the recycler may read what it agrees to."""
    supplier, maker, oem = cast["cathode-supplier"], cast["cell-maker"], cast["oem"]
    recycler, authority = cast["recycler"], cast["authority"]
    _supply(story, oem, supplier, folder)
    lease, ends = _dismantling(story, recycler, oem, folder, lasts)
    _surveillance(story, authority, oem, folder)
    _public(story, maker, oem, folder)
    _nothing(story, recycler, supplier)
    _ended(story, recycler, oem, lease, ends)
    _audit(story, oem)


def _supply(story: Story, oem: Operator, supplier: Operator, folder: Path) -> None:
    story.scene("1. The car maker needs its supplier's carbon footprint")
    datasets = _catalog(oem, supplier)
    story.say("It asks the cathode supplier's node, which it has never met, what it offers:")
    story.quote(_title(datasets))
    story.quote(_says(datasets[0]))
    story.check(
        "the supplier's catalog shows the car maker one dataset", [d["@id"] for d in datasets] == [CATHODE]
    )
    _, file = _fetch(story, oem, supplier, CATHODE, folder / "oem" / "cathode-footprint.jsonld")
    original = supplier.folder / "catalog" / "nmc-carbon-footprint.jsonld"
    told = orjson.loads(file.read_bytes())
    story.quote(f"{told['title']}: {told['footprint']} kgCO2e for {told['declaredUnit']}")
    story.check(
        "the car maker has it, byte for byte, under a contract", file.read_bytes() == original.read_bytes()
    )


def _dismantling(
    story: Story, recycler: Operator, oem: Operator, folder: Path, lasts: int
) -> tuple[Mapping[str, Any], float]:
    story.scene("2. The recycler must know how to take the battery apart")
    dataset = f"{PASSPORT}/dismantling"
    answer = recycler.api.get("/peers/dataset", peer=oem.did, dataset=dataset)["dataset"]
    story.quote(_says(answer))
    process, file = _fetch(story, recycler, oem, dataset, folder / "recycler" / "dismantling.jsonld")
    ends = time.monotonic() + lasts
    materials = orjson.loads(file.read_bytes())["battery"]["cathodeMaterials"]
    story.quote("cathode: " + ", ".join(f"{m['mass']} kg {m['name']}" for m in materials))
    story.check(f"the recycler has the dismantling data, for {lasts} s from the agreement", bool(materials))
    return process, ends


def _surveillance(story: Story, authority: Operator, oem: Operator, folder: Path) -> None:
    story.scene("3. The authority wants to see test reports: point 3 of Annex XIII")
    found = _catalog(authority, oem, {"point": "3"})
    story.quote(_title(found))
    story.check("it sees the reports of three batteries", len(found) == 3)
    _, file = _fetch(
        story, authority, oem, f"{PASSPORT}/test-reports", folder / "authority" / "reports.jsonld"
    )
    reports = orjson.loads(file.read_bytes())["battery"]["testReports"]
    for report in reports[:3]:
        story.quote(f"{report['reportNumber']}: {report['standard']}: {report['result']}")
    story.check("it has them", bool(reports))
    use_data = [d["@id"] for d in _catalog(authority, oem, {"point": "4"})]
    story.check("it sees no use data: points 3 and 4 have different readers", use_data == [])


def _public(story: Story, maker: Operator, oem: Operator, folder: Path) -> None:
    story.scene("4. Point 1 is for everyone")
    found = [d["@id"] for d in _catalog(maker, oem)]
    public = {f"{PASSPORT}/public"} | {d for d in found if d.endswith("/public")}
    story.check("the cell maker sees the public parts of three passports, no more", set(found) == public)
    _, file = _fetch(
        story, maker, oem, f"{PASSPORT}/public", folder / "cell-maker" / "public.jsonld", quiet=True
    )
    story.check("and reads one", orjson.loads(file.read_bytes())["@id"] == f"{PASSPORT}/public")


def _nothing(story: Story, recycler: Operator, supplier: Operator) -> None:
    story.scene("5. Who is entitled to nothing gets nothing")
    story.check("the supplier's catalog is empty for the recycler", _catalog(recycler, supplier) == [])
    said = _refused(
        lambda: recycler.api.post("/negotiations", {"peer": supplier.did, "dataset": CATHODE}),
    )
    story.quote(said)
    story.check("asking for the dataset by its id is refused: it looks like none", CATHODE in said)
    terms = {"@id": f"{CATHODE}#offer", "@type": "Offer", "permission": [{"action": "use"}]}
    asked = {"peer": supplier.did, "dataset": CATHODE, "terms": terms}
    process = recycler.api.post("/negotiations", asked)["process"]
    said = _refused(lambda: follow(recycler.api, process, {"FINALIZED"}, _soon(), lambda _: None))
    story.quote(said)
    story.check("negotiating with terms of its own making ends TERMINATED", "no dataset" in said.lower())
    for what, path, method in (
        ("the catalog", "/dsp/catalog/request", "POST"),
        ("data", "/data", "GET"),
    ):
        status, reason = _anonymous(supplier.url + path, method)
        story.quote(reason)
        story.check(
            f"a stranger without proof of identity gets no answer about {what}: {status}", status == 401
        )


def _ended(story: Story, recycler: Operator, oem: Operator, lease: Mapping[str, Any], ends: float) -> None:
    story.scene("6. The recycler's time is over")
    pid, agreement = lease["pid"], lease["agreement"]
    token = None
    if time.monotonic() < ends - 0.5:
        token = recycler.api.get(path_of("transfers", pid, "data-address"))
        story.say(f"Some {ends - time.monotonic():.0f} s are left. Waiting.")
    said = _refused(lambda: follow(recycler.api, lease, {"COMPLETED"}, _soon(), _late(story, lease)))
    story.check("the car maker's node has ended the transfer by itself, at that moment", "ended" in said)
    said = _refused(lambda: recycler.api.get(path_of("transfers", pid, "data")))
    story.quote(said)
    story.check("reading again is refused, with the reason", "ended" in said)
    if token is not None:
        status, reason = _anonymous(token["endpoint"], "GET", token["authorization"])
        story.quote(reason)
        story.check(f"the token that it still has opens nothing: {status}", status == 401)
    process = recycler.api.post("/transfers", {"agreement": agreement})["process"]
    said = _refused(lambda: follow(recycler.api, process, {"STARTED"}, _soon(), story.say))
    story.check("a new transfer under the old agreement is refused, with the reason", "ended" in said)


def _audit(story: Story, oem: Operator) -> None:
    story.scene("7. What the car maker's node has written down")
    entries = oem.api.get("/audit")["entries"]
    for entry in entries:
        verdict = "permitted" if entry["permitted"] else "denied"
        story.quote(f"{entry['at']}  {verdict}  {entry['participant']}  {entry['dataset']}")
    readers = {entry["participant"] for entry in entries if entry["permitted"]}
    story.check(
        "each byte that went out is in its audit log: who, what, under which agreement", len(readers) == 3
    )


def _fetch(
    story: Story, consumer: Operator, provider: Operator, dataset: str, to: Path, *, quiet: bool = False
) -> tuple[Mapping[str, Any], Path]:
    """Negotiate and transfer, telling the steps; the running transfer, and the file."""
    show = (lambda _: None) if quiet else story.say
    process = consumer.api.post("/negotiations", {"peer": provider.did, "dataset": dataset})["process"]
    agreed = follow(consumer.api, process, {"FINALIZED"}, _soon(), show)
    process = consumer.api.post("/transfers", {"agreement": agreed["agreement"]})["process"]
    started = follow(consumer.api, process, {"STARTED"}, _soon(), show)
    done = download(consumer.api, _QUIET, process["pid"], to)
    show(f"            {done['bytes']} bytes, sha256 {done['sha256'][:16]}…")
    return started, to


def _catalog(
    consumer: Operator, provider: Operator, wanted: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    page = consumer.api.post("/peers/catalog", {"peer": provider.did, "filter": dict(wanted or {})})
    datasets: list[dict[str, Any]] = page["datasets"]
    return datasets


def _says(dataset: Mapping[str, Any]) -> str:
    return explain(parse(dataset["hasPolicy"][0], "Offer"))


def _title(datasets: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(str(d.get("dct:title")) for d in datasets) or "nothing"


def _refused(attempt: Any) -> str:
    """Why an attempt fails; empty if it does not."""
    try:
        attempt()
    except (Refused, Told) as refusal:
        return str(refusal)
    return ""


def _late(story: Story, process: Mapping[str, Any]) -> Any:
    """Tells only how a transfer ends: how it began was told."""
    return lambda text: story.say(text) if "terminate" in text else None


def _anonymous(url: str, method: str, token: str | None = None) -> tuple[int, str]:
    """A request of somebody without a node: the status and the first reason."""
    headers = {"Authorization": token} if token else {}
    data = b"{}" if method == "POST" else None
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310  # our own nodes
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310  # our own nodes
            return answer.status, ""
    except urllib.error.HTTPError as refusal:
        reasons = orjson.loads(refusal.read()).get("reason", [""])
        reason = reasons[0]
        return refusal.code, str(reason.get("@value", reason) if isinstance(reason, dict) else reason)
    except OSError as problem:
        raise AnodeError(f"{url} can't be reached: {problem}") from None


def _soon() -> float:
    return time.monotonic() + _PATIENCE
