"""`anode duty …` and `anode agreement retire`: what agreements oblige to, and their end before their time."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from connector.cli import output, timeline
from connector.cli.api import Api, path_of
from connector.cli.output import COMMON, Common
from connector.errors import InvalidFile

Id = Annotated[str, Parameter(help="The duty's id.")]
State = Annotated[
    str | None, Parameter(show_default=False, help="due, reminded, breached, fulfilled, pending.")
]


def list_duties(
    *,
    state: State = None,
    limit: Annotated[int, Parameter(help="How many, at most 500.")] = 50,
    common: Common = COMMON,
) -> int:
    """List the duties of agreements that are tracked, newest agreement first: ours, and those of others."""
    asked: dict[str, Any] = {"limit": limit, **({"state": state} if state else {})}
    page = Api.of(common).get("/duties", **asked)
    found = page["duties"]
    text = table(found) if found else "no duties"
    output.show(common, found, text + output.more(page, limit))
    return output.OK


def table(duties: Sequence[Mapping[str, Any]]) -> str:
    """Duties as a table: whose, what, until when."""
    rows = [
        (
            d["id"],
            d["state"],
            "this node" if d["ours"] else d["participant"],
            d["says"],
            timeline.moment(d["due"]) if d.get("due") else "",
        )
        for d in duties
    ]
    return output.table(rows, "duty", "state", "by", "to", "until")


def show(duty: Id, *, common: Common = COMMON) -> int:
    """Show a duty: whose it is, until when, what happened to it."""
    found = Api.of(common).get(path_of("duties", duty))
    output.show(common, found, describe(found))
    return output.OK


def fulfil(
    duty: Id,
    *,
    note: Annotated[str | None, Parameter(show_default=False, help="What was done.")] = None,
    evidence: Annotated[
        Path | None,
        Parameter(show_default=False, help="A document that proves it: it stays here, its digest is signed."),
    ] = None,
    common: Common = COMMON,
) -> int:
    """Say that a duty was done: signed, and told to the other side. For one of theirs: accept it as done."""
    body: dict[str, Any] = {"note": note} if note else {}
    if evidence is not None:
        body["digest"] = f"sha-256:{_digest(evidence)}"
    found = Api.of(common).post(path_of("duties", duty, "fulfilment"), body)
    output.show(common, found, describe(found))
    return output.OK


def retire(
    agreement: Annotated[str, Parameter(help="The agreement's id.")],
    *,
    reason: Annotated[str, Parameter(help="Why, for the other side's people.")],
    common: Common = COMMON,
) -> int:
    """End an agreement before its time: its transfers end, and the other side is told."""
    found = Api.of(common).post(path_of("agreements", agreement, "retirement"), {"reason": reason})
    told = found.get("told") or "the other side learns it when its transfers end"
    text = f"{found['id']} is retired by {found['retired_by']}; {told}"
    output.show(common, found, output.plain(text))
    return output.OK


def describe(found: Mapping[str, Any]) -> str:
    """A duty in full."""
    whose = "this node" if found["ours"] else found["participant"]
    lines = [
        f"duty        {found['id']}, {found['path']} of {found['agreement']}",
        f"to          {found['says']}",
        f"by          {whose}",
        f"state       {found['state']}",
    ]
    lines += [f"until       {timeline.moment(found['due'])}"] if found.get("due") else []
    lines += [f"evidence    {found['evidence']}"] if found.get("evidence") else []
    if found.get("statement"):
        lines.append(f"            a JWS: `anode duty show {found['id']} --json` has it in `statement`")
    lines += [
        f"  {timeline.moment(mark['at'])}  {mark['state']}: {mark['note']}" for mark in found["history"]
    ]
    return "\n".join(map(output.plain, lines))


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        raise InvalidFile(f"{path}: can't be read: {problem.strerror}") from None
