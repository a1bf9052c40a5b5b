"""`anode why` and `anode policy whatif`: how something was decided, and how it would have been."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from connector.cli import output
from connector.cli.api import Api, path_of
from connector.cli.output import COMMON, Common
from connector.errors import InvalidFile
from connector.quantities import seconds

_MARKS = {"yes": ("✓", "32"), "agreed": ("✓", "32"), "no": ("✗", "31")}


def why(
    identifier: Annotated[
        str, Parameter(help="A negotiation, a transfer, or a request for data (its X-Request-ID).")
    ],
    *,
    common: Common = COMMON,
) -> int:
    """Say why something was decided as it was: each rule, what was seen, what would help, who can give it."""
    found = Api.of(common).get(path_of("why", identifier))
    output.show(common, found, "\n".join(_lines(found)))
    return output.OK


def whatif(
    file: Annotated[Path, Parameter(help="The changed policies: a file.")],
    *,
    policy: Annotated[
        str | None,
        Parameter(name=["--policy", "-p"], show_default=False, help="Only the policy with this id."),
    ] = None,
    since: Annotated[
        str | None,
        Parameter(show_default=False, help="Only the last while, such as 7 days, or from a day: 2027-01-31."),
    ] = None,
    common: Common = COMMON,
) -> int:
    """Decide past requests again by changed policies, and say which answers would be others."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as problem:
        raise InvalidFile(f"{file}: can't be read: {problem}") from None
    body = {"policies": text, "name": output.shown(file), "since": _since(since)}
    found = Api.of(common).post("/policies/whatif", body | ({"policy": policy} if policy else {}))
    lines = []
    for turn in found["turns"]:
        now = {True: "allowed", False: "refused", None: "not known"}[turn.get("now")]
        was = "allowed" if turn["was"] else "refused"
        lines.append(f"{turn['at'][:19]}  {turn['subject']} {turn['id']} of {turn['participant']}")
        lines.append(f"  was {was}, would be {now}")
        lines += [f"  {reason}" for reason in turn["reasons"]]
    counts = ", ".join(f"{n} {subject}s" for subject, n in sorted(found["replayed"].items())) or "nothing"
    unknown = f", of {found['unknown']} it can't be told" if found["unknown"] else ""
    lines.append(
        f"decided again: {counts}; {found['turned']} would turn{unknown}; {found['skipped']} left out"
    )
    output.show(common, found, "\n".join(map(output.plain, lines)))
    return output.OK


def _since(text: str | None) -> float:
    if text is None:
        return 0.0
    try:
        return max(0.0, time.time() - seconds(text))
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise output.Usage(
            f"--since: {text} is no duration such as 7 days, and no day such as 2027-01-31"
        ) from None


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    state = f": {found['state']}" if found.get("state") else ""
    yield output.plain(f"{found['subject']} {found['id']} with {found['participant']}{state}")
    if found.get("dataset"):
        yield output.plain(f"about {found['dataset']}")
    if found.get("waits_until"):
        until = datetime.fromtimestamp(found["waits_until"], UTC)
        yield f"waits for your decision until {until:%Y-%m-%d %H:%M} UTC (negotiation approve, reject)"
    for decision in found["decisions"]:
        yield from _decision(decision)
    if found.get("told"):
        yield output.style("what the peer told:", "1")
        yield from (line for reason in found["told"] for line in _reason(reason))
    elif found.get("reason"):
        yield output.plain(f"ended: {found['reason']}")
    elif not found["decisions"]:
        yield "this node has decided nothing by a policy here"


def _decision(decision: Mapping[str, Any]) -> Iterator[str]:
    at = datetime.fromtimestamp(decision["at"], UTC)
    by = f", policy {decision['policy']}" if decision.get("policy") else ""
    verdict = "permitted" if decision["permitted"] else "refused"
    yield output.style(f"{at:%Y-%m-%d %H:%M:%S} UTC  {decision['phase']}: {verdict}{by}", "1")
    if tree := decision.get("tree"):
        yield from _tree(tree, 1)
    else:
        yield from (line for reason in decision.get("reasons", ()) for line in _reason(reason))


def _tree(finding: Mapping[str, Any], depth: int) -> Iterator[str]:
    """A rule, a connective or a term in a line, with what it came to; below it, what would help."""
    mark, colour = _MARKS.get(finding["holds"], ("?", "33"))
    seen = f" (seen: {finding['seen']})" if finding.get("seen") else ""
    how = f" [{finding['enforcement']}]" if finding.get("enforcement") else ""
    later = f" ({finding['holds']})" if mark == "?" else ""
    yield f"{'  ' * depth}{output.style(mark, colour)} {output.plain(finding['says'] + seen + later + how)}"
    if (reason := finding.get("reason")) and depth > 1:
        yield from (f"{'  ' * depth}{line}" for line in _helps(reason))
    for part in finding.get("parts", ()):
        yield from _tree(part, depth + 1)


def _reason(reason: Mapping[str, Any]) -> Iterator[str]:
    code = f"[{reason['code']}] " if reason.get("code") else ""
    yield f"  {output.style('✗', '31')} {output.plain(code + str(reason.get('text', '')))}"
    yield from (f"  {line}" for line in _helps(reason))


def _helps(reason: Mapping[str, Any]) -> Iterator[str]:
    if reason.get("expected"):
        yield output.plain(f"  would do: {reason['expected']}")
    if reason.get("request"):
        yield output.plain(f"  quote to the provider: request {reason['request']}")
    if reason.get("givers"):
        yield output.plain(f"  ask: {', '.join(map(str, reason['givers']))}")
