"""Where the bytes of a dataset are: read from the store once, kept for the requests that follow."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector.errors import NotFound
from connector.store import catalog
from connector.store.database import Database

_KEPT = 1024
_KEPT_BYTES = 64 * 1024
"""The largest inline document that stays in memory: a passport's, not an archive's."""


@dataclass(frozen=True, slots=True)
class Source:
    """Exactly one of `body` (with its `etag`), `file`, `http` (url, headers)."""

    media_type: str | None
    body: bytes | None = None
    etag: str = ""
    file: Path | None = None
    http: Mapping[str, Any] | None = None


class Sources:
    """The sources of one node's datasets."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._kept: dict[str, Source] = {}

    def changed(self) -> None:
        """Datasets were published or withdrawn."""
        self._kept.clear()

    def of(self, dataset_id: str) -> Source:
        """The source of a dataset.

        :raises NotFound: it was withdrawn.
        """
        found = self._kept.get(dataset_id)
        if found is None:
            found = self._read(dataset_id)
            if len(found.body or b"") <= _KEPT_BYTES:
                if len(self._kept) >= _KEPT:
                    self._kept.clear()
                self._kept[dataset_id] = found
        return found

    def _read(self, dataset_id: str) -> Source:
        declared = catalog.source(self._db.read, dataset_id)
        if declared is None:
            raise NotFound(f"The dataset {dataset_id} has been withdrawn by its provider.")
        media_type = declared["media_type"]
        if "file" in declared:
            return Source(media_type, file=Path(declared["file"]))
        if "http" in declared:
            return Source(media_type, http=declared["http"])
        body = declared["inline"].encode()
        return Source(media_type, body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
