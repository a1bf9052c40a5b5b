"""A transfer's data becomes a file: whole or not at all, and what has arrived is not asked for again."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from connector.cli import timeline
from connector.cli.api import Api
from connector.cli.output import Common
from connector.errors import InvalidFile, Unavailable

_CHUNK = 256 * 1024
_TRIES = 5
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)\Z")


@dataclass(frozen=True, slots=True)
class _Part:
    """What has arrived so far and its version (ETag), in two files beside the target."""

    data: Path
    version: Path

    def known(self) -> tuple[int, str]:
        """Its size and its version; nothing if the version is not known."""
        try:
            return self.data.stat().st_size, self.version.read_text()
        except OSError:
            return 0, ""

    def forget(self) -> None:
        """Begin anew."""
        self.version.unlink(missing_ok=True)
        self.data.unlink(missing_ok=True)


def check(target: Path) -> None:
    """That a file can be written there, before a contract is made for it.

    :raises InvalidFile: with the reason.
    """
    if target.is_dir():
        raise InvalidFile(f"{target}: is a folder; name the file to write")
    if not target.parent.is_dir():
        raise InvalidFile(f"{target}: there is no folder {target.parent}")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InvalidFile(f"{target}: nothing can be written in {target.parent}")


def download(api: Api, common: Common, pid: str, target: Path, purpose: str | None = None) -> dict[str, Any]:
    """Write a running transfer's data to a file; its `file`, `bytes`, `sha256` and `media_type`.

    `purpose` is what the data are for, where the agreement names purposes.

    :raises Unavailable: it broke off again and again. What has arrived is kept for the next time.
    :raises InvalidFile: the file can't be written.
    """
    part = _Part(target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.etag"))
    media_type = ""
    for left in reversed(range(_TRIES)):
        try:
            media_type = _read(api, common, pid, part, purpose)
            break
        except Unavailable:
            if not left:
                raise
    digest, size = hashlib.sha256(), 0
    with _writing(target):
        with part.data.open("rb") as file:
            while piece := file.read(_CHUNK):
                digest.update(piece)
                size += len(piece)
        os.replace(part.data, target)
        part.version.unlink(missing_ok=True)
    return {"file": str(target), "bytes": size, "sha256": digest.hexdigest(), "media_type": media_type}


def _read(api: Api, common: Common, pid: str, part: _Part, purpose: str | None) -> str:
    """One request for what is missing, added to the part; the media type."""
    known, version = part.known()
    headers = {"Range": f"bytes={known}-", "If-Range": version} if known else {}
    if purpose is not None:
        headers["Usage-Purpose"] = purpose
    with api.data(pid, headers) as answer:
        start, total = _extent(answer)
        if answer.status not in (200, 206) or (answer.status == 206 and start != known):
            with _writing(part.data):
                part.forget()
            raise Unavailable("the data does not go on where it broke off; fetch it again from the start")
        with _writing(part.data):
            if not start:
                part.forget()
                etag = answer.headers.get("ETag", "")
                if etag and not etag.startswith("W/"):  # a weak one does not stand for each byte
                    part.version.write_text(etag)
            file = part.data.open("ab")
        with file, timeline.bar(common, total) as bar:
            done = start
            while piece := answer.read1(_CHUNK):
                with _writing(part.data):
                    file.write(piece)
                done += len(piece)
                bar.at(done)
        if total is not None and done != total:
            raise Unavailable(f"the data broke off after {done} of {total} bytes")
        return str(answer.headers.get("Content-Type", ""))


def _extent(answer: HTTPResponse) -> tuple[int, int | None]:
    """Where the bytes of an answer begin, and how many there are in all."""
    if answer.status == 206:
        match = _RANGE.match(answer.headers.get("Content-Range", ""))
        return (int(match[1]), int(match[2])) if match else (-1, None)
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """A full disk is not a broken connection."""
    try:
        yield
    except OSError as problem:
        raise InvalidFile(f"{problem.filename or path}: can't be written: {problem.strerror}") from None
