"""The W3C's test vectors for Data Integrity, where a machine has them (they are not part of the project)."""

import os
from pathlib import Path
from typing import Any

import orjson
import pytest

_NEAR = Path(__file__).resolve().parents[4] / "shared" / "reference" / "vectors"
FOLDER = Path(os.environ.get("ANODE_VECTORS", _NEAR))
"""Holds `eddsa/TestVectors` and `ecdsa/TestVectors`: those folders of W3C's vc-di-eddsa and vc-di-ecdsa."""

present = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="no Data Integrity test vectors here: set ANODE_VECTORS to their folder"
)


def read(path: str) -> Any:
    """A vector: JSON as its value, anything else as text."""
    text = (FOLDER / path).read_bytes()
    return orjson.loads(text) if path.endswith(".json") else text.decode().strip()
