"""`anode credential …`: what this participant holds, asks for and issues, and what others present."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from cyclopts import Parameter

from connector.cli import credential_text as text
from connector.cli import output
from connector.cli.api import Api, Told, path_of
from connector.cli.output import COMMON, Common
from connector.cli.timeline import Refused
from connector.cli.trade import TimeoutOption, deadline_of
from connector.errors import InvalidFile, Unavailable

Id = Annotated[str, Parameter(name="ID", help="The credential's id, as `anode credential list` shows it.")]
Which = Annotated[
    str, Parameter(help="The credential's id; or a participant's DID: all that this node has issued to it.")
]
Only = Annotated[
    str | None, Parameter(name="--type", show_default=False, help="Of several, those of this type only.")
]
_PAUSE = 0.2
"""Seconds between two looks at our own node."""


def list_all(*, common: Common = COMMON) -> int:
    """List what is held, asked for and offered; as an issuer also what waits here and what was issued."""
    api = Api.of(common)
    value = {
        "held": api.get("/credentials/held")["credentials"],
        "requests": api.get("/credentials/requests")["requests"],
        "issuances": api.get("/credentials/issuances")["issuances"],
        "issued": api.get("/credentials/issued")["credentials"],
    }
    output.show(common, value, text.overview(value))
    return output.OK


def show(
    identifier: Annotated[
        str, Parameter(name="ID", help="Of a credential held or issued here, or of a request.")
    ],
    /,
    *,
    common: Common = COMMON,
) -> int:
    """Show a credential, or how a request stands: its issuer is asked, unless it has decided."""
    api = Api.of(common)
    if _find(api.get("/credentials/held")["credentials"], "id", identifier):
        found = api.get(path_of("credentials/held", identifier))
        output.show(common, found, text.held(found["credential"]))
    elif one := _find(api.get("/credentials/requests")["requests"], "pid", identifier):
        if one["status"] in ("REQUESTED", "RECEIVED"):
            one = _refreshed(api, one, common)
        output.show(common, one, text.request(one))
    elif one := _find(api.get("/credentials/issuances")["issuances"], "pid", identifier):
        output.show(common, one, text.issuance(one))
    elif one := _find(api.get("/credentials/issued")["credentials"], "id", identifier):
        output.show(common, one, text.issued(one))
    else:
        raise Told(
            "not-found", f"there is no credential or request {identifier}; see `anode credential list`"
        )
    return output.OK


def request(
    *types: Annotated[str, Parameter(show_default=False, help="Such as MembershipCredential.")],
    issuer: Annotated[
        str | None,
        Parameter(
            name="--from",
            show_default=False,
            help="The issuer's DID. Else credentials.authority of the settings.",
        ),
    ] = None,
    offer: Annotated[
        str | None, Parameter(show_default=False, help="Take up this offer, as `credential list` shows it.")
    ] = None,
    wait: Annotated[
        bool, Parameter(negative="", show_default=False, help="Wait until the issuer has decided.")
    ] = False,
    timeout: TimeoutOption = "2m",
    common: Common = COMMON,
) -> int:
    """Ask an issuer for credentials. Without a type: show what the issuer gives."""
    if offer is not None and (types or issuer):
        raise output.Usage("request: --offer says whom and what for; leave out the rest")
    api, deadline = Api.of(common), deadline_of(timeout)
    if offer is None and not types:
        found = api.get("/credentials/issuer", issuer=issuer)
        output.show(common, found, text.offered(found))
        return output.OK
    if offer is not None:
        asked = api.post(path_of("credentials/requests", offer, "take-up"), {})
    else:
        body = {"types": list(types), **({"issuer": issuer} if issuer else {})}
        asked = api.post("/credentials/requests", body)
    if wait:
        asked = _decided(api, asked, deadline)
    output.show(common, asked, text.request(asked))
    return output.OK


def issue(
    request_id: Annotated[
        str | None, Parameter(name="REQUEST", show_default=False, help="The request that is approved by it.")
    ] = None,
    /,
    *,
    to: Annotated[
        str | None, Parameter(show_default=False, help="Instead: the DID of a participant to issue to.")
    ] = None,
    types: Annotated[
        list[str] | None,
        Parameter(
            name="--type",
            negative="",
            show_default=False,
            help="With --to: what to issue; may be given often. A request for just that is approved.",
        ),
    ] = None,
    claims: Annotated[
        list[str] | None,
        Parameter(
            name="--claim",
            negative="",
            show_default=False,
            help="NAME=VALUE: said of the holder beside what the issuer's file says. VALUE may be JSON.",
        ),
    ] = None,
    common: Common = COMMON,
) -> int:
    """Issue credentials: what a request asks for, or unasked. They are brought to the holder's wallet."""
    if (request_id is None) == (to is None) or bool(types) != (to is not None):
        raise output.Usage("issue: name a request that waits; or say --to DID and --type TYPE")
    said = dict(_claim(pair) for pair in claims or [])
    api = Api.of(common)
    if request_id is not None:
        done = api.post(path_of("credentials/issuances", request_id, "approve"), {"claims": said})
    else:
        done = api.post("/credentials/issuances", {"holder": to, "types": types, "claims": said})
    output.show(common, done, text.issuance(done))
    return output.OK


def reject(
    request_id: Annotated[str, Parameter(name="REQUEST", help="The request that waits here.")],
    /,
    *,
    reason: Annotated[str, Parameter(help="Why, for the holder's people.")],
    common: Common = COMMON,
) -> int:
    """Refuse a request, and tell its holder why."""
    done = Api.of(common).post(path_of("credentials/issuances", request_id, "reject"), {"reason": reason})
    output.show(common, done, text.issuance(done))
    return output.OK


def revoke(which: Which, /, *, only: Only = None, common: Common = COMMON) -> int:
    """Revoke a credential that this node has issued: for ever."""
    return _change(which, only, "revoked", {"valid", "suspended"}, common)


def suspend(which: Which, /, *, only: Only = None, common: Common = COMMON) -> int:
    """Suspend a credential that this node has issued, until it is reinstated."""
    return _change(which, only, "suspended", {"valid"}, common)


def reinstate(which: Which, /, *, only: Only = None, common: Common = COMMON) -> int:
    """Make a suspended credential valid again."""
    return _change(which, only, "valid", {"suspended"}, common)


def verify(
    given: Annotated[
        str,
        Parameter(
            name="CREDENTIAL",
            allow_leading_hyphen=True,
            help="A file with a JWT or JSON, `-` for standard input, a JWT, or the id of one that is held.",
        ),
    ],
    /,
    *,
    common: Common = COMMON,
) -> int:
    """Look at a credential or presentation: who says what of whom, does it hold, is it believed here.

    Exit code 1 if something is wrong with it, 4 if something could not be looked at.
    """
    api = Api.of(common)
    found = api.post("/credentials/verify", {"credential": _given(api, given)})
    output.show(common, found, text.examination(found))
    return {"ok": output.OK, "wrong": output.FAILED}.get(found["outcome"], output.UNREACHABLE)


def drop(identifier: Id, /, *, common: Common = COMMON) -> int:
    """Remove a credential from this node's wallet. Its issuer is not told."""
    Api.of(common).delete(path_of("credentials/held", identifier))
    output.show(common, {"dropped": identifier}, f"dropped: {identifier}")
    return output.OK


def _find(listed: list[dict[str, Any]], name: str, wanted: str) -> dict[str, Any] | None:
    return next((one for one in listed if one[name] == wanted), None)


def _refreshed(api: Api, one: dict[str, Any], common: Common) -> dict[str, Any]:
    """A request as its issuer tells that it stands; as it stood, if the issuer can't be asked now."""
    try:
        found: dict[str, Any] = api.post(path_of("credentials/requests", one["pid"], "refresh"), {})
    except Told as told:
        if told.code not in ("unavailable", "not-found"):
            raise
        output.note(common, f"the issuer can't be asked now: {told}")
        return one
    return found


def _decided(api: Api, asked: Mapping[str, Any], deadline: float) -> Mapping[str, Any]:
    """The request once it is decided. Refused: the issuer said no; Unavailable: it has not decided yet."""
    pid = asked["pid"]
    while time.monotonic() < deadline:
        one = _find(api.get("/credentials/requests")["requests"], "pid", pid) or asked
        if one["status"] == "REJECTED":
            raise Refused(one.get("reason") or f"{one['issuer']} has refused, without a reason")
        if one["status"] == "ISSUED":
            return one
        time.sleep(_PAUSE)
    raise Unavailable(
        f"{asked['issuer']} has not decided yet; the request stands: `anode credential show {pid}`"
    )


def _change(
    which: str,
    only: str | None,
    state: Literal["valid", "suspended", "revoked"],
    before: set[str],
    common: Common,
) -> int:
    api = Api.of(common)
    if which.startswith("did:"):
        of_holder = api.get("/credentials/issued", holder=which)["credentials"]
        ids = [one["id"] for one in of_holder if one["state"] in before and only in (None, one["type"])]
        if not ids:
            what = only or "credential"
            raise Told("not-found", f"this node has issued no {what} to {which} that could become {state}")
    else:
        ids = [which]
    changed = [api.post(path_of("credentials/issued", one, "state"), {"state": state}) for one in ids]
    output.show(common, changed, "\n".join(map(text.changed, changed)))
    return output.OK


def _claim(pair: str) -> tuple[str, Any]:
    """NAME=VALUE; a value that is JSON is taken as that, any other as text."""
    name, equals, value = pair.partition("=")
    if not name or not equals:
        raise output.Usage(f"--claim {pair}: say NAME=VALUE")
    try:
        return name, orjson.loads(value)
    except ValueError:
        return name, value


def _given(api: Api, given: str) -> Any:
    """What is to be looked at: a JWT as text, or a JSON object."""
    if given == "-":
        content = sys.stdin.read()
    elif given.startswith("eyJ"):
        content = given
    elif Path(given).is_file():
        content = Path(given).read_text(errors="replace")
    elif _find(api.get("/credentials/held")["credentials"], "id", given):
        return api.get(path_of("credentials/held", given))["token"]
    else:
        raise InvalidFile(f"{given}: no such file, nor a credential that is held here")
    content = content.strip()
    if not content.startswith(("{", "[", '"')):
        return content
    try:
        return orjson.loads(content)
    except ValueError as problem:
        raise InvalidFile(f"{given}: not JSON: {problem}") from None
