"""What `anode doctor` looks at for credentials: the files of an issuer, what is held, the authority."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from connector.cli.authority import given_by, missing
from connector.config import Config
from connector.errors import AnodeError, InvalidFile, Unavailable
from connector.flows import issuable
from connector.flows.membership import renewal
from connector.store import database, wallet
from connector.store.wallet import Held, Request
from connector.web import tokens

Verdict = Literal["ok", "warning", "wrong"]


class Look(NamedTuple):
    """What a look at one thing told. `mend` says what to do, unless all is well."""

    verdict: Verdict
    detail: str
    mend: str | None = None


def files(config: Config) -> Look:
    """The files of what is issued here, and of clients of the token service."""
    issue, clients = config.credentials.issue, config.credentials.clients
    if issue is None and clients is None:
        return Look("ok", "this node issues none, and its token service has no clients")
    said = []
    try:
        if issue is not None:
            said.append(f"issues {', '.join(issuable.load(issue))}")
        if clients is not None:
            said.append(f"{len(tokens.read_clients(clients))} clients of the token service")
    except InvalidFile as wrong:
        more = f" (and {len(wrong.reasons) - 1} more)" if len(wrong.reasons) > 1 else ""
        return Look("wrong", wrong.reasons[0] + more, "mend that line; `anode config check` shows all")
    return Look("ok", "; ".join(said))


def held(config: Config) -> Look:
    """What everybody needs, and whatever else is held: is it there, and for how long?"""
    now = time.time()
    try:
        credentials, requests = _stored(config)
    except Unavailable as unreadable:
        return Look("wrong", str(unreadable), "see what is said of the store")
    looks = [*_required(config, credentials, requests, now), *_ending(config, credentials, now)]
    for verdict in ("wrong", "warning"):
        if worst := [look for look in looks if look.verdict == verdict]:
            return Look(worst[0].verdict, "; ".join(look.detail for look in worst), worst[0].mend)
    types = ", ".join(sorted({one.type for one in credentials})) or "none"
    needed = ", ".join(config.credentials.require) or "none"
    return Look("ok", f"held: {types}; needed by everybody: {needed}")


async def authority(config: Config) -> Look:
    """The data space's authority: is it reached, and does it give what everybody needs?"""
    did = config.credentials.authority
    if did is None:
        return Look("ok", "none: this node belongs to no data space that has one")
    try:
        given = await given_by(did, config.network.reach)
    except Unavailable as away:
        return Look("warning", str(away), "nothing can be asked of it now; its people may know more")
    except AnodeError as wrong:
        return Look("wrong", str(wrong), "is credentials.authority the right DID?")
    if lacking := missing(config, given):
        mend = "name who gives it in credentials.trusted, or take it out of credentials.require"
        return Look("wrong", f"{did} gives no {', '.join(lacking)}", mend)
    return Look("ok", f"{did} is reached, and gives {', '.join(sorted(given))}")


def _stored(config: Config) -> tuple[list[Held], list[Request]]:
    if not config.store.exists():
        return [], []
    with database.reading(config.store) as connection:
        return wallet.held(connection), wallet.requests(connection)


def _required(config: Config, found: list[Held], requests: list[Request], now: float) -> Iterator[Look]:
    for type_ in config.credentials.require:
        if any(one.type == type_ and (one.until is None or one.until > now) for one in found):
            continue
        ended = any(one.type == type_ for one in found)
        what = f"{type_}, which everybody needs, {'has ended' if ended else 'is missing'}"
        asked = next((one for one in requests if _is_about(one, type_)), None)
        if asked is not None and asked.status in ("REQUESTED", "RECEIVED"):
            detail = f"{what}: {asked.issuer} was asked, and has yet to decide"
            yield Look("warning", detail, f"anode credential show {asked.pid}")
        elif asked is not None and asked.status == "REJECTED":
            detail = f"{what}: {asked.issuer} refused: {asked.reason or 'without a reason'}"
            yield Look("wrong", detail, f"when that is mended: anode credential request {type_}")
        elif config.credentials.authority is None:
            yield Look("wrong", what, f"anode credential request {type_} --from ISSUER")
        elif not config.store.exists():
            yield Look("warning", what, "`anode serve` asks for it")
        else:
            yield Look("wrong", what, f"start the node, or: anode credential request {type_}")


def _ending(config: Config, found: list[Held], now: float) -> Iterator[Look]:
    required: Mapping[str, None] = dict.fromkeys(config.credentials.require)
    for one in found:
        if one.until is None or now < renewal(one):
            continue
        mend = f"anode credential request {one.type} --from {one.issuer}"
        moment = datetime.fromtimestamp(int(one.until), UTC).isoformat().replace("+00:00", "Z")
        if one.until > now:
            yield Look("warning", f"{one.type} ends on {moment}", mend)
        elif one.type not in required:
            yield Look("warning", f"{one.type} ended on {moment}", mend)


def _is_about(one: Request, type_: str) -> bool:
    return any(object_.partition(":")[0] == type_ for object_ in one.objects)
