"""`anode status`: how the running node is, or how one process of it came to where it is."""

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from connector.cli import duty, output, timeline
from connector.cli.api import Api, Told, path_of
from connector.cli.output import COMMON, Common
from connector.cli.processes import describe


def status(
    pid: Annotated[str | None, Parameter(show_default=False, help="One negotiation or transfer.")] = None,
    *,
    common: Common = COMMON,
) -> int:
    """Show how the node is: what it holds, what it waits for. Or the timeline of one process."""
    api = Api.of(common)
    if pid is None:
        found = api.get("/status")
        output.show(common, found, _node(found, api.url))
        return output.OK
    try:
        found = api.get(path_of("negotiations", pid))
    except Told as told:
        if told.code != "not-found":
            raise
        found = api.get(path_of("transfers", pid))
    output.show(common, found, describe(found))
    return output.OK


def _node(found: Mapping[str, Any], page: str) -> str:
    lines = [
        f"{found['name']}, Anode {found['version']}",
        f"DID           {found['did']}",
        f"public        {found['public_url']} (reaches: {found['reach']})",
        f"management    {page}",
        f"running since {timeline.moment(found['started'])}",
        f"catalog       {_number(found['datasets'], 'dataset', 'datasets')}, "
        f"{_number(found['policies'], 'policy', 'policies')}",
        f"credentials   {_credentials(found['credentials'])}",
        *(f"{name:<13} {_counts(found[name])}" for name in ("negotiations", "transfers")),
    ]
    if found["duties"]:
        lines.append(f"duties        {_counts(found['duties'])}")
    owed, undecided = found["to_do"], found["to_decide"]
    lines += ["", "to be done:"] if owed or undecided else []
    if undecided:
        number = _number(found["waiting"], "negotiation waits", "negotiations wait")
        lines.append(f"{number} for your decision; look with `anode negotiation show PID`:")
        waiting = [
            (
                p["pid"],
                p["participant"],
                p.get("dataset", ""),
                timeline.moment(p["waits_until"]) if p.get("waits_until") else "",
            )
            for p in undecided
        ]
        lines.append(output.table(waiting, "pid", "peer", "dataset", "until"))
    if owed:
        lines.append(duty.table(owed))
    if waiting := found["deliveries"]:
        lines += ["", "on their way:"]
        rows = [
            (d["pid"], d["kind"], d["participant"], timeline.moment(d["next_try"]), d.get("problem", ""))
            for d in waiting
        ]
        lines.append(output.table(rows, "pid", "message", "to", "next try", "problem"))
    return "\n".join(lines)


def _credentials(counts: Mapping[str, int]) -> str:
    """Those held, and whatever else is not nothing."""
    told = {"requested": "asked for", "offered": "offered to us", "waiting": "waiting for our decision"}
    told["issued"] = "issued"
    more = (f"{counts[name]} {text}" for name, text in told.items() if counts[name])
    return ", ".join([f"{counts['held']} held", *more])


def _number(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _counts(states: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in sorted(states.items())) or "none"
