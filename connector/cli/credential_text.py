"""Credentials as people read them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connector.cli import output
from connector.cli.output import plain, style
from connector.cli.timeline import moment

_STATES = {
    "OFFERED": "offered",
    "REQUESTED": "asked; the issuer decides",
    "RECEIVED": "the issuer has yet to decide",
    "ISSUED": "issued",
    "REJECTED": "refused",
}
_COLOURS = {"ok": "32", "wrong": "31", "unknown": "33"}
Entry = Mapping[str, Any]


def overview(value: Mapping[str, Sequence[Entry]]) -> str:
    """All that concerns this node."""
    asked = [one for one in value["requests"] if one["status"] != "ISSUED"]
    waiting = [one for one in value["issuances"] if one["status"] == "RECEIVED"]
    late = [one for one in value["issuances"] if one.get("problem")]
    parts = [
        _table("held", value["held"], ("credential", "type", "issuer", "until"), _held),
        _table("asked for, and offered", asked, ("request", "what", "issuer", "how it stands"), _asked),
        _table(
            "waiting for this node's decision", waiting, ("request", "types", "holder", "since"), _waiting
        ),
        _table("not delivered yet", late, ("request", "types", "holder", "problem"), _late),
        _table("issued", value["issued"], ("credential", "type", "holder", "state", "until"), _issued),
    ]
    nothing = "no credentials yet; `anode credential request` shows what an issuer gives"
    return "\n\n".join(filter(None, parts)) or nothing


def held(one: Entry) -> str:
    """A credential in our wallet."""
    return _lines(
        ("credential", one["id"]),
        ("type", one["type"]),
        ("issuer", one["issuer"]),
        *_common(one),
        ("received", moment(one["received"])),
    )


def issued(one: Entry) -> str:
    """A credential in a holder's hands."""
    return _lines(
        ("credential", one["id"]),
        ("type", one["type"]),
        ("holder", one["holder"]),
        ("state", one["state"]),
        *_common(one),
        ("issued", moment(one["issued"])),
    )


def request(one: Entry) -> str:
    """A request of ours, or an offer to us."""
    why = f": {one['reason']}" if one.get("reason") else ""
    return _lines(
        ("request", one["pid"]),
        ("issuer", one["issuer"]),
        ("credential", ", ".join(one["credentials"])),
        ("stands", _STATES[one["status"]] + why),
        ("changed", moment(one["changed"])),
    )


def issuance(one: Entry) -> str:
    """A request of a holder, or what it was given unasked."""
    stands = {"RECEIVED": "waits for this node's decision", "ISSUED": "issued", "REJECTED": "refused"}
    told = "yes" if one["delivered"] else str(one.get("problem", "not yet"))
    if one.get("problem"):
        told += f"; tried again {moment(one['next_try'])}" if "next_try" in one else "; given up"
    return _lines(
        ("request", one["pid"]),
        ("holder", one["holder"]),
        ("types", ", ".join(one["types"])),
        ("stands", stands[one["status"]] + (f": {one['reason']}" if one.get("reason") else "")),
        *([] if one["status"] == "RECEIVED" else [("delivered", told)]),
    )


def offered(found: Entry) -> str:
    """What an issuer gives."""
    rows = [
        (one.get("type", "–"), one.get("format", "–"), one.get("about", "")) for one in found["credentials"]
    ]
    return (
        output.table(rows, "type", "format", "about") if rows else f"{found['issuer']} gives no credentials"
    )


def changed(one: Entry) -> str:
    """A credential whose state was set."""
    return plain(f"{one['state']}: {one['type']} of {one['holder']} ({one['id']})")


def examination(found: Entry, indent: str = "") -> str:
    """What was found about a credential or presentation, check by check."""
    said = [
        (found["kind"], ", ".join(found["types"]) or "of no special type"),
        ("issuer" if found["kind"] == "credential" else "holder", found.get("by", "nobody named")),
        *([("about", ", ".join(found["subjects"]))] if found["subjects"] else []),
    ]
    lines = _lines(*said).splitlines()
    for check in found["checks"]:
        verdict = style(f"{check['outcome']:<8}", _COLOURS[check["outcome"]])
        lines.append(f"{verdict} {check['what']:<10} {plain(check['detail'])}")
    lines = [indent + line for line in lines]
    return "\n\n".join(["\n".join(lines), *(examination(one, indent + "  ") for one in found["inside"])])


def _common(one: Entry) -> Iterator[tuple[str, str]]:
    yield "until", moment(one["until"]) if "until" in one else "no end"
    for name, value in one["claims"].items():
        yield "says", f"{name}: {value}"


def _table(title: str, entries: Sequence[Entry], head: tuple[str, ...], row: Any) -> str:
    if not entries:
        return ""
    return f"{style(title, '1')}\n{output.table([row(one) for one in entries], *head)}"


def _held(one: Entry) -> tuple[str, ...]:
    return one["id"], one["type"], one["issuer"], _until(one)


def _issued(one: Entry) -> tuple[str, ...]:
    return one["id"], one["type"], one["holder"], one["state"], _until(one)


def _asked(one: Entry) -> tuple[str, ...]:
    what = ", ".join(dict.fromkeys(id_.partition(":")[0] for id_ in one["credentials"]))
    stands = _STATES[one["status"]] + (f": {one['reason']}" if one.get("reason") else "")
    return one["pid"], what, one["issuer"], stands


def _waiting(one: Entry) -> tuple[str, ...]:
    return one["pid"], ", ".join(one["types"]), one["holder"], moment(one["created"])


def _late(one: Entry) -> tuple[str, ...]:
    return one["pid"], ", ".join(one["types"]), one["holder"], one["problem"]


def _until(one: Entry) -> str:
    return moment(one["until"]) if "until" in one else "no end"


def _lines(*pairs: tuple[str, str]) -> str:
    return "\n".join(plain(f"{name:<11}{value}") for name, value in pairs)
