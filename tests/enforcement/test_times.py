"""Times: nothing opens a moment too early or too late, however it is asked for."""

from pathlib import Path
from typing import Any

import pytest

from connector.errors import Denied
from connector.flows.clock import iso
from connector.odrl.vocabulary import (
    CX,
    DATE_TIME,
    DELAY_PERIOD,
    ELAPSED_TIME,
    IN_FORCE_DATE,
)
from tests.enforcement.lab import answers, clock, ended, lab, nothing_starts, renewed, status, terms, use
from tests.pull import USE, agree, begin, drained, pull
from tests.space import START

DAY = 86_400.0
AGREED = START - 60
MOMENT = iso(START + 100)
MS = 0.001

ENDS: list[tuple[str, dict[str, Any], float, bool]] = [
    (DATE_TIME, {"permission": use(("odrl:dateTime", "lt", MOMENT))}, 100, False),
    (DATE_TIME, {"permission": use(("dateTime", "lteq", MOMENT))}, 100, True),
    (ELAPSED_TIME, {"permission": use(("odrl:elapsedTime", "lteq", "PT160S"))}, 100, True),
    (IN_FORCE_DATE, {"permission": use(("edc:inForceDate", "lt", "contractAgreement+160s"))}, 100, False),
    (f"{CX}DataUsageEndDate", {"permission": use(("DataUsageEndDate", "eq", MOMENT))}, 100, True),
    (
        f"{CX}DataUsageEndDurationDays",
        {"permission": use(("DataUsageEndDurationDays", "eq", "1"))},
        DAY - 60,
        True,
    ),
    (
        f"{CX}DataProvisioningEndDate",
        {"obligation": [{"action": "use", "constraint": terms(("DataProvisioningEndDate", "eq", MOMENT))}]},
        100,
        True,
    ),
    (
        f"{CX}DataProvisioningEndDurationDays",
        {
            "obligation": [
                {"action": "use", "constraint": terms(("DataProvisioningEndDurationDays", "eq", "1"))}
            ]
        },
        DAY - 60,
        True,
    ),
    (
        "prohibition",
        {"permission": USE, "prohibition": use(("odrl:dateTime", "gteq", MOMENT))},
        100,
        False,
    ),
]


@pytest.mark.enforces(*{term for term, *_ in ENDS}, "obligation")
@pytest.mark.parametrize(("term", "rules", "end", "still"), ENDS)
async def test_the_end(tmp_path: Path, term: str, rules: dict[str, Any], end: float, still: bool) -> None:
    """To the millisecond: the last moment opens, the next does not, with no token and in no way, even when
    every timer is late; a download under way is cut; no new transfer starts."""
    async with lab(tmp_path, data={"token_lifetime": "2 days"}) as node:
        rules = {"permission": USE, **rules}
        small, large = await pull(node, "record", **rules), await pull(node, "large", **rules)
        async with large.get() as running:
            await running.content.readexactly(1000)
            clock(node).ahead = end if still else end - MS
            assert await answers(small) == {200, 206, 304}
            late = await renewed(small)
            clock(node).ahead = end + MS if still else end
            assert await answers(small) == {403}
            assert await answers(late) == {403}
            clock(node).advance(0)
            _, broken = await drained(running)
        assert broken
        reason = await ended(large)
        assert await answers(large) == {401}
        assert ("it is now 1" in reason) != (term == "prohibition" and "forbids it" in reason)
        await nothing_starts(small)


@pytest.mark.enforces(DELAY_PERIOD, DATE_TIME, ELAPSED_TIME)
@pytest.mark.parametrize(
    "permission",
    [
        use(("odrl:delayPeriod", "gteq", "PT160S")),
        use(("odrl:dateTime", "gteq", MOMENT)),
        use(("odrl:elapsedTime", "gteq", "PT160S")),
    ],
)
async def test_the_begin(tmp_path: Path, permission: list[dict[str, Any]]) -> None:
    """Before its first moment nothing starts; then it does, and a clock that is set back closes it again."""
    async with lab(tmp_path) as node:
        agreement = await agree(node, "urn:x:record", permission)
        for ahead in (0, 99.999):
            clock(node).ahead = ahead
            with pytest.raises(Denied, match="begins on 15 January 2027 08:01:40"):
                await begin(node, agreement)
        clock(node).ahead = 100
        data = await begin(node, agreement)
        assert await status(data) == 200
        clock(node).ahead = 99.999
        assert await status(data) == 403
