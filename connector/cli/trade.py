"""`anode negotiate` and `anode fetch`: from a peer's dataset to a contract, and on to its bytes."""

import contextlib
import re
import shlex
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from connector.cli import output
from connector.cli.api import Api, path_of
from connector.cli.download import check, download
from connector.cli.output import COMMON, Common
from connector.cli.terms import said
from connector.cli.timeline import amount, follow
from connector.errors import AnodeError
from connector.quantities import seconds

PeerArgument = Annotated[str, Parameter(help="The peer: its DID, or its node's URL.")]
DatasetArgument = Annotated[str, Parameter(help="The dataset's id, as `anode catalog show PEER` lists it.")]
OfferOption = Annotated[
    str | None,
    Parameter(show_default=False, help="The id of the offer to ask for. Else as `negotiation.accept` wants."),
]
TimeoutOption = Annotated[str, Parameter(help="How long to wait, such as 30s or 10m. The process goes on.")]


def negotiate(
    peer: PeerArgument,
    dataset: DatasetArgument,
    *,
    offer: OfferOption = None,
    wait: Annotated[
        bool, Parameter(negative="", show_default=False, help="Wait until there is an agreement, or none.")
    ] = False,
    timeout: TimeoutOption = "2m",
    common: Common = COMMON,
) -> int:
    """Ask a peer for a contract about one of its datasets."""
    api, deadline, tell = Api.of(common), deadline_of(timeout), partial(output.note, common)
    process = _ask(api, peer, dataset, offer, tell)
    if not wait:
        pid = process["pid"]
        output.show(common, process, f"asked: {pid}\nfollow it with `anode status {pid}`")
        return output.OK
    process = follow(api, process, {"FINALIZED"}, deadline, tell)
    output.show(common, process, f"agreed: {process['agreement']}")
    return output.OK


def fetch(
    peer: PeerArgument,
    dataset: DatasetArgument,
    *,
    to: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"],
            show_default=False,
            help="The file to write. Else named after the dataset, in this folder.",
        ),
    ] = None,
    offer: OfferOption = None,
    agreement: Annotated[
        str | None, Parameter(show_default=False, help="Use this agreement instead of negotiating one.")
    ] = None,
    purpose: Annotated[
        str | None,
        Parameter(show_default=False, help="What the data are for, where the agreement names purposes."),
    ] = None,
    keep: Annotated[
        bool,
        Parameter(
            negative="", show_default=False, help="Leave the transfer running, to read the data again."
        ),
    ] = False,
    timeout: TimeoutOption = "2m",
    common: Common = COMMON,
) -> int:
    """Get a dataset: catalog, negotiation, transfer, file. Steps are shown as they happen.

    The file appears when it is complete; what has arrived of it before is kept beside it and not read again.
    """
    api, deadline, began = Api.of(common), deadline_of(timeout), time.monotonic()
    target, tell = to or Path(_name(dataset)), partial(output.note, common)
    check(target)
    if agreement is None:
        tell(output.style(f"negotiation about {dataset}", "1"))
        process = _ask(api, peer, dataset, offer, tell)
        agreement = str(follow(api, process, {"FINALIZED"}, deadline, tell)["agreement"])
    tell(output.style(f"transfer under {agreement}", "1"))
    process = api.post("/transfers", {"agreement": agreement})["process"]
    follow(api, process, {"STARTED"}, deadline, tell)
    pid = process["pid"]
    again = [peer, dataset, "--agreement", agreement, "-o", str(target)]
    again += ["--purpose", purpose] if purpose else []
    with _told_how_to_go_on(common, *again):
        done = download(api, common, pid, target, purpose)
    if not keep:
        with contextlib.suppress(AnodeError):  # the data is here; if the provider was first, so be it
            api.post(path_of("transfers", pid, "moves"), {"kind": "complete"})
    value = {"agreement": agreement, "transfer": pid, "seconds": round(time.monotonic() - began, 3), **done}
    text = f"{output.shown(target)}  {amount(done['bytes'])}  sha256 {done['sha256']}"
    output.show(common, value, text)
    return output.OK


@contextlib.contextmanager
def _told_how_to_go_on(common: Common, *arguments: str) -> Iterator[None]:
    """Who is not refused can take up a download again, under the agreement that there is."""
    try:
        yield
    except AnodeError as problem:
        if output.exit_code(problem.code) != output.REFUSED:
            settings = ["-c", str(common.config)] if common.config else []
            command = shlex.join([output.program(), "fetch", *arguments, *settings])
            problem.reasons += (f"to go on from what has arrived: {command}",)
        raise


def _ask(api: Api, peer: str, dataset: str, offer: str | None, tell: Callable[[str], None]) -> dict[str, Any]:
    """Ask for a contract, and tell what its terms are."""
    body = {"peer": peer, "dataset": dataset, **({"offer": offer} if offer else {})}
    found = api.post("/negotiations", body)
    for line in said(found["terms"], "  "):
        tell(line)
    process: dict[str, Any] = found["process"]
    return process


def deadline_of(timeout: str) -> float:
    """The end of a wait that is given as text, of `time.monotonic`. Usage: it is no duration."""
    with contextlib.suppress(ValueError):
        return time.monotonic() + seconds(float(timeout) if timeout.isdecimal() else timeout)
    raise output.Usage(f"--timeout: {timeout} is not a duration, such as 30s or 10m")


def _name(dataset: str) -> str:
    """A file name for a dataset's id: its last part, if that is fit to be one."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", dataset.rstrip("/").rpartition("/")[2] or dataset).strip(".-")
    return name[-100:] or "dataset"
