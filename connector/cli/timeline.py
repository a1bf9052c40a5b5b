"""Processes as people read them: each step a line, live or afterwards, and a bar for what is long."""

import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from connector.cli.api import Api, path_of
from connector.cli.output import Common, plain, style
from connector.errors import AnodeError

_ARROW = {"out": "→", "in": "←", "own": "·"}
_BAR = 30
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class Refused(AnodeError):
    """The peer ended a process, or does not want it as we do; with its reasons."""

    code = "refused"


def line(step: Mapping[str, Any], began: datetime) -> str | None:
    """A step in one line: when, which way, what, the state after it. None for one that says nothing new."""
    said = step.get("note")
    if step["direction"] == "own" and not said:
        return None  # what we decide by ourselves goes out at once, and that is a step too
    if said == "acknowledged":
        said = None
    after = (datetime.fromisoformat(step["at"]) - began).total_seconds()
    state = step.get("state") or ""
    text = f"{after:9.3f} s  {_ARROW[step['direction']]} {step['kind']:<10}{state:<11}"
    return f"{text}{plain(said)}" if said else text.rstrip()


def lines(history: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The lines of a history; times count from its first step."""
    began: datetime | None = None
    for step in history:
        began = began or datetime.fromisoformat(step["at"])
        if (text := line(step, began)) is not None:
            yield text


def follow(
    api: Api,
    process: Mapping[str, Any],
    states: Collection[str],
    deadline: float,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Tell the steps of a process as they happen, until it is in one of these states; the process then.

    `deadline` is of `time.monotonic`; the process goes on after it.

    :raises Refused: it ended otherwise, or waits for the operator's decision about other terms.
    """
    pid, collection = process["pid"], f"{process['subject']}s"
    began: datetime | None = None
    for step in api.steps(pid, deadline):
        began = began or datetime.fromisoformat(step["at"])
        if (text := line(step, began)) is not None:
            tell(text)
        state = step.get("state")
        if state in states or state in ("TERMINATED", "COMPLETED", "FINALIZED", "OFFERED"):
            now: dict[str, Any] = api.get(path_of(collection, pid))["process"]
            if now.get("state") in states:
                return now
            if now.get("state") == "TERMINATED":
                raise Refused(now.get("reason") or "ended without a reason")
            if now.get("state") == "OFFERED" and "pending" not in now and now["role"] == "CONSUMER":
                raise Refused(
                    "the provider offers other terms; look at them and accept or end it: "
                    f"`anode negotiation show {pid}`"
                )
    raise AssertionError("steps end with an error or not at all")


def moment(text: str) -> str:
    """An instant of the API in this machine's time zone, and how far from now."""
    at = datetime.fromisoformat(text)
    away = at.timestamp() - time.time()
    shown = at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"{shown} ({'in ' if away >= 0 else ''}{_span(abs(away))}{'' if away >= 0 else ' ago'})"


def _span(seconds: float) -> str:
    for unit, least in (("d", 172_800.0), ("h", 7_200.0), ("min", 120.0)):
        if seconds >= least:
            per = {"d": 86_400, "h": 3_600, "min": 60}[unit]
            return f"{seconds / per:.0f} {unit}"
    return f"{seconds:.0f} s"


def amount(octets: float) -> str:
    """Bytes in a unit that people read.

    >>> amount(1536)
    '1.5 KiB'
    """
    for unit in _UNITS:
        if octets < 1024 or unit == _UNITS[-1]:
            break
        octets /= 1024
    return f"{octets:.0f} B" if unit == "B" else f"{octets:.1f} {unit}"


@contextmanager
def bar(common: Common, total: int | None) -> Iterator["Bar"]:
    """A progress bar on a terminal; elsewhere nothing."""
    shown = Bar(total, visible=not common.json and sys.stderr.isatty())
    try:
        yield shown
    finally:
        shown.clear()


class Bar:
    """How far a download is. Drawn at most ten times a second."""

    def __init__(self, total: int | None, *, visible: bool) -> None:
        self._visible, self._total = visible, total
        self._next = 0.0
        self._drawn = False

    def at(self, done: int) -> None:
        """So many bytes are here."""
        now = time.monotonic()
        if not self._visible or now < self._next:
            return
        self._next, self._drawn = now + 0.1, True
        if self._total:
            filled = min(_BAR, _BAR * done // self._total)
            text = f"[{'#' * filled}{' ' * (_BAR - filled)}] {amount(done)} of {amount(self._total)}"
        else:
            text = amount(done)
        print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave the line as if there had been no bar."""
        if self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def decision(process: Mapping[str, Any]) -> str:
    """That a process waits for this node's operator, and until when; nothing if it does not."""
    if not process.get("waits"):
        return ""
    until = f" until {moment(process['waits_until'])}" if process.get("waits_until") else ""
    return f"waits for your decision{until}"


def state_of(process: Mapping[str, Any]) -> str:
    """A process's state in a word or two, coloured on a terminal."""
    state = process.get("state") or "NEW"
    colour = {"FINALIZED": "32", "STARTED": "32", "COMPLETED": "32", "TERMINATED": "31"}.get(state, "33")
    pending = f" ({process['pending']} on its way)" if process.get("pending") else ""
    return style(state, colour) + pending
