"""The terms of an offer or an agreement as people read them before they sign."""

from collections.abc import Iterator, Mapping
from typing import Any

from connector.cli import output

HEAD = ("term", "what becomes of it")


def said(terms: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """What they say, then each term with what becomes of it. Peers write them: safe to print."""
    yield f"{indent}{output.plain(terms['sentence'])}"
    if rows := [(term["says"], term["how"]) for term in terms["terms"]]:
        yield ""
        yield from (f"{indent}{line}" for line in output.table(rows, *HEAD).splitlines())
