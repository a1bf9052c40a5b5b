"""Who plays in `anode demo`, what is told and checked, and what each of them can do."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from connector.cli import output
from connector.cli.api import Api, Told
from connector.cli.download import download
from connector.cli.output import Common, style
from connector.cli.timeline import Refused, follow
from connector.errors import AnodeError
from connector.odrl.explain import explain
from connector.odrl.model import parse

_PATIENCE = 30.0
_PAUSE = 0.1
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

    def cast(self, operators: Mapping[str, Operator], issuer: Operator, seconds: float) -> None:
        """Introduce the operators."""
        self.scene(f"Five operators and their data space's authority, ready after {seconds:.1f} s")
        everybody = [*operators.values(), issuer]
        rows = []
        for operator in everybody:
            status = operator.api.get("/status")
            rows.append((operator.title, operator.did, status["datasets"]))
        self.say(output.table(rows, "operator", "DID", "datasets"))
        self.names = {o.did: f"the {o.title[0].lower()}{o.title[1:]}" for o in everybody}
        self.check("each has a node process, keys and a store of its own", len(rows) == len(everybody))


def fetch(
    story: Story, consumer: Operator, provider: Operator, dataset: str, to: Path, *, quiet: bool = False
) -> tuple[Mapping[str, Any], Path]:
    """Negotiate and transfer, telling the steps; the running transfer, and the file."""
    show = (lambda _: None) if quiet else story.say
    process = consumer.api.post("/negotiations", {"peer": provider.did, "dataset": dataset})["process"]
    agreed = follow(consumer.api, process, {"FINALIZED"}, soon(), show)
    process = consumer.api.post("/transfers", {"agreement": agreed["agreement"]})["process"]
    started = follow(consumer.api, process, {"STARTED"}, soon(), show)
    done = download(consumer.api, _QUIET, process["pid"], to)
    show(f"            {done['bytes']} bytes, sha256 {done['sha256'][:16]}…")
    return started, to


def catalog(
    consumer: Operator, provider: Operator, wanted: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """What the provider offers the consumer."""
    page = consumer.api.post("/peers/catalog", {"peer": provider.did, "filter": dict(wanted or {})})
    datasets: list[dict[str, Any]] = page["datasets"]
    return datasets


def says(dataset: Mapping[str, Any]) -> str:
    """The first offer of a dataset as a sentence."""
    return explain(parse(dataset["hasPolicy"][0], "Offer"))


def title(datasets: Sequence[Mapping[str, Any]]) -> str:
    """The titles of datasets."""
    return "; ".join(str(d.get("dct:title")) for d in datasets) or "nothing"


def refused(attempt: Callable[[], Any]) -> str:
    """Why an attempt fails; empty if it does not."""
    try:
        attempt()
    except (Refused, Told) as refusal:
        return str(refusal)
    return ""


def anonymous(url: str, method: str, token: str | None = None) -> tuple[int, str]:
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


def soon() -> float:
    """A deadline, of `time.monotonic`."""
    return time.monotonic() + _PATIENCE


def wait_for(true: Callable[[], bool]) -> None:
    """Come back when something is so, at the latest when patience ends."""
    deadline = soon()
    while not true() and time.monotonic() < deadline:
        time.sleep(_PAUSE)
