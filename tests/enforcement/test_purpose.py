"""Purposes: declared with each request, one, among those agreed, and written down."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from connector.odrl.vocabulary import CX, PURPOSE
from tests.enforcement.lab import lab, renewed, status, use
from tests.pull import USE, Pull, pull

HEADER = "Usage-Purpose"
REPAIR = use(("odrl:purpose", "isAnyOf", ["repair", "inspection"]))


async def raw(data: Pull, *lines: bytes) -> int:
    """A request with header lines as no client would write them; its status."""
    url = URL(data.node.running.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    token = b"Authorization: " + data.address.authorization.encode()
    writer.write(
        b"\r\n".join([b"GET /data HTTP/1.1", b"Host: x", b"Connection: close", token, *lines, b"", b""])
    )
    answer = await reader.read()
    writer.close()
    return int(answer[9:12])


@pytest.mark.enforces(PURPOSE, f"{CX}UsagePurpose")
@pytest.mark.parametrize(
    ("permission", "agreed"),
    [(REPAIR, "repair"), (use(("UsagePurpose", "isAnyOf", ["cx.circular.dpp:1"])), "cx.circular.dpp:1")],
)
async def test_only_for_what_was_agreed(tmp_path: Path, permission: list[Any], agreed: str) -> None:
    """No purpose, another, two in one or in two headers, or one of an earlier request: none of them opens."""
    async with lab(tmp_path) as node:
        data = await pull(node, "record", permission)
        said = agreed.encode()
        assert await status(data, **{HEADER: agreed}) == 200
        for lines in (
            [],
            [b"Usage-Purpose: marketing"],
            [b"Usage-Purpose: " + said + b", marketing"],
            [b"Usage-Purpose: " + said + b"x"],
            [b"X-Usage-Purpose: " + said],
            [b"Usage-Purpose: marketing", b"Cookie: Usage-Purpose=" + said],
        ):
            assert await raw(data, *lines) == 403, lines
        for lines in (
            [b"Usage-Purpose: " + said, b"Usage-Purpose: marketing"],
            [b"Usage-Purpose: marketing", b"usage-purpose: " + said],
            [b"Usage-Purpose:"],
            [b"Usage-Purpose: " + said + b"\xff"],
            [b"Usage-Purpose: " + said * 100],
        ):
            assert await raw(data, *lines) == 400, lines
        assert await raw(data, b"uSAGE-pURPOSE: " + said) == 200, "names of headers have no case"
        late = await renewed(data)
        for method in ("GET", "HEAD"):
            assert await status(late, method) == 403
            assert await status(late, method, Range="bytes=0-0", **{HEADER: "marketing"}) == 403
        assert await status(late, **{HEADER: agreed}) == 200
        (line,) = node.node.audit.tail(1)
        assert (line["purpose"], line["permitted"]) == (agreed, True)
        assert [one["purpose"] for one in node.node.audit.tail(2)] == ["marketing", agreed]


@pytest.mark.enforces("prohibition", PURPOSE)
@pytest.mark.parametrize(
    "rules",
    [
        {"permission": USE, "prohibition": use(("odrl:purpose", "isAnyOf", ["marketing"]))},
        {"permission": use(("odrl:purpose", "isNoneOf", ["marketing"]))},
        {"permission": use(("odrl:purpose", "neq", "marketing"))},
    ],
)
async def test_what_is_excluded_has_no_other_spelling(tmp_path: Path, rules: dict[str, Any]) -> None:
    """A capital letter, a space, a wide letter more does not lead past what is excluded; nor does silence."""
    async with lab(tmp_path) as node:
        data = await pull(node, "record", **rules)
        for said in ("marketing", "Marketing", "MARKETING", "\N{FULLWIDTH LATIN SMALL LETTER M}arketing"):
            assert await raw(data, f"Usage-Purpose:   {said} ".encode()) == 403, said
        assert await status(data) == 403
        assert await status(data, **{HEADER: "repair"}) == 200


@pytest.mark.enforces("prohibition")
async def test_what_is_forbidden_is(tmp_path: Path) -> None:
    """A prohibition without conditions leaves nothing of a permission: no transfer starts, by any way."""
    async with lab(tmp_path) as node:
        for rules in (
            {"prohibition": [{"action": "use"}]},
            {"prohibition": [{"action": "use"}], "permission": [{"action": "use"}, {"action": "odrl:read"}]},
        ):
            with pytest.raises(Exception, match="The policy forbids it"):
                await pull(node, "record", **{"permission": USE, **rules})
