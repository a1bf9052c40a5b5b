"""Where the data files that ship with the product lie: in a checkout beside `connector/`, or in the wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The folder `vocab`, `policies`, `catalog` or `examples`."""
    bundled = _PACKAGE / "_bundled" / name
    return bundled if bundled.is_dir() else _PACKAGE.parent / name
