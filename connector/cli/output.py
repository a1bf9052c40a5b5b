"""What commands print: results on stdout (text, or JSON with `--json`), errors and progress on stderr."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from cyclopts import Group, Parameter

from connector.errors import AnodeError, InvalidFile

if TYPE_CHECKING:
    from connector.config import Config

OK, FAILED, USAGE, REFUSED, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130

_EXIT = {
    "invalid-file": USAGE,
    "usage": USAGE,
    "policy-denied": REFUSED,
    "not-authenticated": REFUSED,
    "egress-denied": REFUSED,
    "refused": REFUSED,
    "unavailable": UNREACHABLE,
}


_MOST = 500
"""What the management API lists at once."""


class Usage(AnodeError):
    """The command line asks for something that can't be."""

    code = "usage"


@Parameter(name="*", group=Group("Options of every command", sort_key=100))
@dataclass(frozen=True, slots=True)
class Common:
    """The options that every command has."""

    json: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="Print one JSON document (or one a line) to stdout."),
    ] = False
    config: Annotated[
        Path | None,
        Parameter(
            name=["--config", "-c"],
            show_default=False,
            help="The node's anode.yaml. Else $ANODE_CONFIG, else ./anode.yaml.",
        ),
    ] = None

    def path(self) -> Path:
        """Where the settings are: named here, by the environment, or in this folder."""
        return self.config or Path(os.environ.get("ANODE_CONFIG") or "anode.yaml")

    def settings(self) -> "Config":
        """The settings of this node. InvalidFile says how to get some if there are none."""
        from connector.config import load  # here: pydantic takes longer to load than help to print

        path = self.path()
        if not path.exists():
            raise InvalidFile(f"{path}: no such file; say --config FILE, or make a node with `anode init`")
        return load(path)


COMMON = Common()


def exit_code(code: str) -> int:
    """The exit code for an error's `code` (see `connector.errors`)."""
    return _EXIT.get(code, FAILED)


def show(common: Common, value: Any, text: str) -> None:
    """Print the result: `value` as JSON if that was asked for, else `text`."""
    print(orjson.dumps(value).decode() if common.json else text, flush=True)


def note(common: Common, text: str) -> None:
    """A remark for a person; scripts don't get it."""
    if not common.json:
        print(text, file=sys.stderr, flush=True)


def fail(reasons: Sequence[str], code: str, *, as_json: bool) -> int:
    """Print each reason as a line on stderr (and one JSON document on stdout); returns the exit code."""
    for reason in reasons:
        print(f"{style('anode:', '31', sys.stderr)} {plain(' '.join(reason.split()))}", file=sys.stderr)
    if as_json:
        print(orjson.dumps({"error": code, "reasons": list(reasons)}).decode())
    sys.stdout.flush()
    return exit_code(code)


def plain(text: str) -> str:
    """Text that a peer may have written, safe to print: a terminal takes no orders from it."""
    return "".join(c for c in text if c.isprintable())


def shown(path: Path) -> str:
    """A path as a person would type it here."""
    here, absolute = Path.cwd(), path.absolute()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else path)


def more(page: Mapping[str, Any], limit: int) -> str:
    """A last line for a list that goes on: how to see more of it."""
    if "next" not in page:
        return ""
    wider = min(2 * limit, _MOST)
    return f"\n… more; --limit {wider}" if wider > limit else "\n… more; the management API has it by pages"


def program() -> str:
    """The command as a person can type it: `anode`, or where it is if it is on no search path."""
    called = Path(sys.argv[0])
    if called.name != "anode" or shutil.which("anode") is not None:
        return "anode"
    return shown(called)


def style(text: str, code: str, stream: Any = None) -> str:
    """`text` in an ANSI style where a person sees it: on a terminal, unless NO_COLOR is set."""
    stream = stream or sys.stdout
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def table(rows: Sequence[Sequence[object]], *head: str) -> str:
    """Columns as wide as their widest cell."""
    cells = [[plain(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in [head, *cells]
    ]
    return "\n".join([style(lines[0].rstrip(), "1"), *(line.rstrip() for line in lines[1:])])
