"""`anode negotiate` and `anode fetch`: from a peer's dataset to a contract, and on to its bytes."""

import contextlib
import hashlib
import os
import re
import time
from functools import partial
from http.client import HTTPMessage
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from connector.cli import output, timeline
from connector.cli.api import Api, path_of
from connector.cli.output import COMMON, Common
from connector.cli.timeline import amount, follow
from connector.config import seconds
from connector.errors import AnodeError, InvalidFile, Unavailable

_CHUNK = 256 * 1024
_TRIES = 5
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)\Z")

PeerArgument = Annotated[str, Parameter(help="The peer: its DID, or its node's URL.")]
DatasetArgument = Annotated[str, Parameter(help="The dataset's id, as `anode catalog show PEER` lists it.")]
OfferOption = Annotated[
    str | None, Parameter(show_default=False, help="The id of the offer to ask for. Else the first.")
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
    api, deadline, tell = Api.of(common), _deadline(timeout), partial(output.note, common)
    process = _ask(api, peer, dataset, offer)
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
    api, deadline, began = Api.of(common), _deadline(timeout), time.monotonic()
    target, tell = to or Path(_name(dataset)), partial(output.note, common)
    if agreement is None:
        tell(output.style(f"negotiation about {dataset}", "1"))
        process = _ask(api, peer, dataset, offer)
        agreement = str(follow(api, process, {"FINALIZED"}, deadline, tell)["agreement"])
    tell(output.style(f"transfer under {agreement}", "1"))
    process = api.post("/transfers", {"agreement": agreement})["process"]
    follow(api, process, {"STARTED"}, deadline, tell)
    pid = process["pid"]
    done = download(api, common, pid, target)
    if not keep:
        with contextlib.suppress(AnodeError):  # the data is here; if the provider was first, so be it
            api.post(path_of("transfers", pid, "moves"), {"kind": "complete"})
    value = {"agreement": agreement, "transfer": pid, "seconds": round(time.monotonic() - began, 3), **done}
    text = f"{output.shown(target)}  {amount(done['bytes'])}  sha256 {done['sha256']}"
    output.show(common, value, text)
    return output.OK


def download(api: Api, common: Common, pid: str, target: Path) -> dict[str, Any]:
    """Write a running transfer's data to a file; what it is.

    It grows beside the file as `NAME.part`, together with the version it is a part of (`NAME.part.etag`),
    so that a later try goes on only with the same version.
    """
    part, version = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.etag")
    media_type = ""
    try:
        for left in reversed(range(_TRIES)):
            try:
                media_type = _read(api, common, pid, part, version)
                break
            except Unavailable:  # broken off: go on where it did
                if not left:
                    raise
        digest, size = hashlib.sha256(), part.stat().st_size
        with part.open("rb") as file:
            while piece := file.read(_CHUNK):
                digest.update(piece)
        os.replace(part, target)
        version.unlink(missing_ok=True)
    except OSError as problem:
        raise InvalidFile(f"{problem.filename or part}: can't be written: {problem.strerror}") from None
    return {
        "file": str(target),
        "bytes": size,
        "sha256": digest.hexdigest(),
        "media_type": media_type,
    }


def _read(api: Api, common: Common, pid: str, part: Path, version: Path) -> str:
    """One request for what is missing of a part, appended to it; the media type."""
    known = part.stat().st_size if part.exists() and version.exists() else 0
    headers = {"Range": f"bytes={known}-", "If-Range": version.read_text()} if known else {}
    with api.data(pid, headers) as answer:
        start, total = _extent(answer.headers, answer.status)
        etag = answer.headers.get("ETag", "")
        if start != known or (known and etag not in ("", headers["If-Range"])):
            start = 0
        version.unlink(missing_ok=True)  # until the part is of this version
        with part.open("r+b" if start and answer.status == 206 else "wb") as file:
            if etag and not etag.startswith("W/"):
                version.write_text(etag)
            file.seek(start)
            file.truncate()
            with timeline.bar(common, total) as bar:
                while piece := answer.read1(_CHUNK):
                    file.write(piece)
                    bar.at(file.tell())
            if total is not None and file.tell() != total:
                raise Unavailable(f"the data broke off after {file.tell()} of {total} bytes")
        return str(answer.headers.get("Content-Type", ""))


def _extent(headers: HTTPMessage, status: int) -> tuple[int, int | None]:
    """Where the bytes of an answer begin, and how many there are in all."""
    match = _RANGE.match(headers.get("Content-Range", "")) if status == 206 else None
    if match:
        return int(match[1]), int(match[2])
    length = headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _ask(api: Api, peer: str, dataset: str, offer: str | None) -> dict[str, Any]:
    body = {"peer": peer, "dataset": dataset, **({"offer": offer} if offer else {})}
    process: dict[str, Any] = api.post("/negotiations", body)["process"]
    return process


def _deadline(timeout: str) -> float:
    with contextlib.suppress(ValueError):
        return time.monotonic() + seconds(float(timeout) if timeout.isdecimal() else timeout)
    raise output.Usage(f"--timeout: {timeout} is not a duration, such as 30s or 10m")


def _name(dataset: str) -> str:
    """A file name for a dataset's id: its last part, if that is fit to be one."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", dataset.rstrip("/").rpartition("/")[2] or dataset).strip(".-")
    return name[-100:] or "dataset"
