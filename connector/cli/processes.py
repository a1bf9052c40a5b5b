"""`anode negotiation …`, `anode transfer …`, `anode agreement …`: what is under way, and a hand in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
from cyclopts import Parameter

from connector.cli import output, timeline
from connector.cli.api import Api, path_of
from connector.cli.output import COMMON, Common
from connector.cli.terms import said
from connector.errors import InvalidFile

Pid = Annotated[str, Parameter(help="Our identifier of the process.")]
Reason = Annotated[str | None, Parameter(show_default=False, help="Why, for the peer's people.")]
Terms = Annotated[Path, Parameter(help="A JSON file with an ODRL Offer, in the words of the protocol.")]
Number = Annotated[int, Parameter(help="How many of the newest, at most 500.")]

_CHOICES = {
    "review": "`anode negotiation approve {0}`, or `reject`",
    "offer": "`anode negotiation accept {0}`, `counter`, or `terminate`",
}
"""What an operator can do about a negotiation that waits."""


def list_negotiations(*, limit: Number = 50, common: Common = COMMON) -> int:
    """List negotiations, newest first."""
    return _list("negotiations", limit, common)


def show_negotiation(pid: Pid, *, common: Common = COMMON) -> int:
    """Show a negotiation: its steps, its terms, what comes next."""
    return _show("negotiations", pid, common)


def counter(pid: Pid, terms: Terms, *, common: Common = COMMON) -> int:
    """Counter with other terms: as consumer a request, as provider an offer."""
    try:
        offer = orjson.loads(terms.read_bytes())
    except OSError as problem:
        raise InvalidFile(f"{terms}: can't be read: {problem.strerror}") from None
    except ValueError as problem:
        raise InvalidFile(f"{terms}: not JSON: {problem}") from None
    role = Api.of(common).get(path_of("negotiations", pid))["process"]["role"]
    return _move("negotiations", pid, "request" if role == "CONSUMER" else "offer", None, common, offer)


def accept(pid: Pid, *, common: Common = COMMON) -> int:
    """Accept the provider's offer."""
    return _move("negotiations", pid, "accept", None, common)


def agree(pid: Pid, *, common: Common = COMMON) -> int:
    """Agree to what the consumer asks for, whatever our policies say."""
    return _move("negotiations", pid, "agree", None, common)


def verify(pid: Pid, *, common: Common = COMMON) -> int:
    """Confirm the provider's agreement."""
    return _move("negotiations", pid, "verify", None, common)


def finalize(pid: Pid, *, common: Common = COMMON) -> int:
    """Bring the agreement into force."""
    return _move("negotiations", pid, "finalize", None, common)


def approve(pid: Pid, *, common: Common = COMMON) -> int:
    """Approve what waits for your review: the node agrees, if its policies still say yes."""
    return _review(pid, "approve", {}, common)


def reject(pid: Pid, *, reason: Reason = None, common: Common = COMMON) -> int:
    """Reject what waits for your review; the consumer is told why."""
    return _review(pid, "reject", {"reason": reason} if reason else {}, common)


def end_negotiation(pid: Pid, *, reason: Reason = None, common: Common = COMMON) -> int:
    """End a negotiation without an agreement."""
    return _move("negotiations", pid, "terminate", reason, common)


def list_transfers(*, limit: Number = 50, common: Common = COMMON) -> int:
    """List transfers, newest first."""
    return _list("transfers", limit, common)


def show_transfer(pid: Pid, *, common: Common = COMMON) -> int:
    """Show a transfer: its steps, and what comes next."""
    return _show("transfers", pid, common)


def start(pid: Pid, *, common: Common = COMMON) -> int:
    """Start a transfer, or resume it."""
    return _move("transfers", pid, "start", None, common)


def suspend(pid: Pid, *, reason: Reason = None, common: Common = COMMON) -> int:
    """Suspend a transfer: no data flows until it is resumed."""
    return _move("transfers", pid, "suspend", reason, common)


def complete(pid: Pid, *, common: Common = COMMON) -> int:
    """Say that all data has been transferred."""
    return _move("transfers", pid, "complete", None, common)


def end_transfer(pid: Pid, *, reason: Reason = None, common: Common = COMMON) -> int:
    """End a transfer at once, also a download under way."""
    return _move("transfers", pid, "terminate", reason, common)


def list_agreements(*, limit: Number = 50, common: Common = COMMON) -> int:
    """List agreements, newest first, also those that never came into force."""
    page = Api.of(common).get("/agreements", limit=limit)
    found = page["agreements"]
    rows = [(a["id"], a["role"], a["participant"], a["dataset"], stands(a)) for a in found]
    head = ("agreement", "we are", "peer", "dataset", "stands")
    text = output.table(rows, *head) if rows else "no agreements yet"
    output.show(common, found, text + output.more(page, limit))
    return output.OK


def show_agreement(
    agreement: Annotated[str, Parameter(help="The agreement's id.")], *, common: Common = COMMON
) -> int:
    """Show an agreement: who, what, how it stands, and what becomes of each of its terms."""
    found = Api.of(common).get(path_of("agreements", agreement))
    provider = "this node" if found["role"] == "PROVIDER" else found["participant"]
    lines = [
        f"agreement  {found['id']}",
        f"provider   {provider}",
        f"consumer   {found['participant'] if found['role'] == 'PROVIDER' else 'this node'}",
        f"dataset    {found['dataset']}",
        f"agreed     {timeline.moment(found['agreed'])}",
        f"stands     {stands(found)}",
        *_course(found),
    ]
    lines = [*map(output.plain, lines), "", output.style("terms", "1"), *said(found["terms"])]
    output.show(common, found, "\n".join(lines))
    return output.OK


def stands(found: Mapping[str, Any]) -> str:
    """How an agreement stands, in a few words."""
    if found.get("course") == "retired":
        return f"retired by {found['retired_by']}, {timeline.moment(found['ended'])}"
    if found.get("course") == "ended":
        return f"ended, {timeline.moment(found['ended'])}"
    if found.get("refused"):
        return "running, but allows nothing now"
    return "running" if found.get("course") and found["in_force"] else "not in force"


def _course(found: Mapping[str, Any]) -> list[str]:
    """How an agreement goes on, or ended; its duties."""
    lines = [f"next       {timeline.moment(found['next_moment'])}"] if found.get("next_moment") else []
    lines += [f"ends       {timeline.moment(found['ends'])}"] if found.get("ends") else []
    lines += [f"reason     {found[name]}" for name in ("reason", "refused") if found.get(name)]
    lines += [f"           {found['told']}"] if found.get("told") else []
    for duty in found["duties"]:
        whose = "this node" if duty["ours"] else found["participant"]
        lines.append(f"duty       {duty['id']}: {duty['says']}, by {whose}: {duty['state']}")
    return lines


def describe(detail: Mapping[str, Any]) -> str:
    """A process in full: who with, about what, where it stands, how it came there, what comes next."""
    process = detail["process"]
    lines = [
        f"{process['subject']:<12} {process['pid']}",
        f"{'peer':<12} {process['participant']} (we are {process['role'].lower()})",
        *(f"{name:<12} {process[name]}" for name in ("dataset", "agreement") if process.get(name)),
    ]
    lines = [*map(output.plain, lines), f"{'state':<12} {timeline.state_of(process)}"]
    if process.get("reason"):
        lines.append(output.plain(f"{'reason':<12} {process['reason']}"))
    if waits := timeline.decision(process):
        lines += [f"{'to do':<12} {waits}", f"{'':<12} {_CHOICES[process['waits']].format(process['pid'])}"]
    if delivery := detail.get("delivery"):
        when = timeline.moment(delivery["next_try"])
        lines.append(
            f"{'on its way':<12} {delivery['kind']}, tried {delivery['attempts']} times, next {when}"
        )
        if delivery.get("problem"):
            lines.append(output.plain(f"{'':<12} {delivery['problem']}"))
    return "\n".join([*lines, "", *timeline.lines(detail["history"])])


def _list(collection: str, limit: int, common: Common) -> int:
    page = Api.of(common).get(f"/{collection}", limit=limit)
    found = page["processes"]
    head = ["pid", "we are", "state", "peer", "dataset"]
    rows = [
        [p["pid"], p["role"], p.get("state") or "NEW", p["participant"], p.get("dataset", "")] for p in found
    ]
    if any(map(timeline.decision, found)):
        head.append("to do")
        rows = [[*row, timeline.decision(p)] for row, p in zip(rows, found, strict=True)]
    text = output.table(rows, *head) if rows else f"no {collection} yet"
    output.show(common, found, text + output.more(page, limit))
    return output.OK


def _show(collection: str, pid: str, common: Common) -> int:
    found = Api.of(common).get(path_of(collection, pid))
    text = describe(found)
    if found.get("terms"):
        text = "\n".join([text, "", output.style("terms", "1"), *said(found["terms"])])
    output.show(common, found, text)
    return output.OK


def _review(pid: str, word: str, body: Mapping[str, Any], common: Common) -> int:
    found = Api.of(common).post(path_of("negotiations", pid, word), body)
    output.show(common, found, f"{word}: the negotiation is {timeline.state_of(found['process'])}")
    return output.OK


def _move(
    collection: str,
    pid: str,
    kind: str,
    reason: str | None,
    common: Common,
    terms: Mapping[str, Any] | None = None,
) -> int:
    body: dict[str, Any] = {"kind": kind}
    if reason:
        body["reason"] = reason
    if terms:
        body["terms"] = terms
    found = Api.of(common).post(path_of(collection, pid, "moves"), body)
    process = found["process"]
    output.show(
        common, found, f"{kind} is on its way; the {process['subject']} is {timeline.state_of(process)}"
    )
    return output.OK
