"""`anode doctor`: looks at all that a node needs, and says how to mend what is wrong: a line each."""

import asyncio
import shutil
import socket
import stat
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Annotated, Literal

from cyclopts import Parameter

from connector.cli import doctor_credentials as credentials
from connector.cli import output
from connector.cli.api import Api
from connector.cli.output import COMMON, Common, style
from connector.config import Config
from connector.errors import AnodeError, InvalidFile, Unavailable
from connector.flows.publish import declared
from connector.odrl import authoring
from connector.peers.client import Client
from connector.peers.did_web import DidResolver
from connector.peers.egress import Egress
from connector.store.database import quick_check
from connector.vc import did as did_web
from connector.vc import keyring, keys, keystore, methods, multikey
from connector.web.guard import read_token

_LITTLE_SPACE, _NO_SPACE = 1 << 30, 64 << 20
_CLOCK_OFF = 5.0
_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at one thing told. `mend` says what to do, unless all is well."""

    what: str
    verdict: Literal["ok", "warning", "wrong", "skipped"]
    detail: str
    mend: str | None = None


def doctor(
    *,
    peer: Annotated[
        str | None,
        Parameter(show_default=False, help="URL of a peer's node, to compare clocks with."),
    ] = None,
    common: Common = COMMON,
) -> int:
    """Look for what is wrong with this node, and say how to mend it. Exit code 1 if something is."""
    try:
        config = common.settings()
    except InvalidFile as wrong:
        findings = [Finding("settings", "wrong", reason, "mend that line") for reason in wrong.reasons]
    else:
        findings = asyncio.run(_findings(config, common, peer))
    value = [
        {"what": f.what, "verdict": f.verdict, "detail": f.detail, **({"mend": f.mend} if f.mend else {})}
        for f in findings
    ]
    output.show(common, value, "\n".join(map(_text, findings)))
    return output.FAILED if any(f.verdict == "wrong" for f in findings) else output.OK


async def _findings(config: Config, common: Common, peer: str | None) -> list[Finding]:
    running = _is_running(config, common)
    client = Client(Egress(config.network.reach))
    try:
        looks: list[Callable[[], Awaitable[Finding] | Finding]] = [
            lambda: Finding("settings", "ok", str(common.path())),
            lambda: _token(config),
            lambda: _key(config),
            lambda: _files(config),
            lambda: _said("issuer's files", credentials.files(config)),
            lambda: _space(config),
            lambda: _store(config),
            lambda: _said("credentials", credentials.held(config)),
            lambda: _authority(config),
            lambda: _ports(config, running=running),
            lambda: _reachable(config, client, running=running),
            lambda: _did_document(config, client, running=running),
            lambda: _clock(client, peer),
        ]
        findings: list[Finding] = []
        for look in looks:
            found = look()
            findings.append(found if isinstance(found, Finding) else await found)
        return findings
    finally:
        await client.close()


def _is_running(config: Config, common: Common) -> bool:
    try:
        Api.at(config, common.path()).get("/status")
    except Unavailable:
        return False
    except AnodeError:
        pass  # it answers: a wrong token is another look's business
    return True


def _token(config: Config) -> Finding:
    try:
        read_token(config.management.token_file)
    except InvalidFile as wrong:
        return Finding("management token", "wrong", str(wrong), "chmod 600 it, or `anode init` for a new one")
    return Finding("management token", "ok", f"{config.management.token_file}, for its owner only")


def _key(config: Config) -> Finding:
    folder = config.keys.folder
    try:
        held = _signing(config)
        clear = keys.unencrypted(folder)
    except (InvalidFile, Unavailable) as wrong:
        return Finding(
            "keys", "wrong", str(wrong), "restore it from a backup, or `anode init` if it never was"
        )
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o022:
        mend = f"chmod 700 {folder}"
        return Finding("keys", "wrong", f"others may replace keys in {folder} (mode {mode:04o})", mend)
    if clear:
        which = ", ".join(path.name for path in clear)
        return Finding("keys", "warning", f"not encrypted: {which}", "anode key encrypt")
    if len(held) < len(keys.FIRST):
        return Finding("keys", "warning", "there is no Ed25519 key to sign documents with", "anode init")
    return Finding("keys", "ok", ", ".join(f"{key.kid} ({kind})" for kind, key in held.items()))


def _signing(config: Config) -> dict[multikey.Kind, keys.Key]:
    """The keys that sign now, by kind; each has been opened."""
    store = keystore.configured(config)
    try:
        ring, now = store.ring(), time.time()
        entries = {kind: keyring.signing(ring, kind, now) for kind in keys.FIRST}
        return {kind: store.key(entry) for kind, entry in entries.items() if entry is not None}
    finally:
        store.close()


def _files(config: Config) -> Finding:
    try:
        policies = authoring.load(config.policies)
        datasets = declared(config.catalog, policies)
    except InvalidFile as wrong:
        more = f" (and {len(wrong.reasons) - 1} more)" if len(wrong.reasons) > 1 else ""
        return Finding("policies and catalog", "wrong", wrong.reasons[0] + more, "see `anode config check`")
    return Finding(
        "policies and catalog", "ok", f"{len(policies)} policies, {len(datasets)} datasets in files"
    )


def _said(what: str, look: credentials.Look) -> Finding:
    return Finding(what, look.verdict, look.detail, look.mend)


async def _authority(config: Config) -> Finding:
    return _said("authority", await credentials.authority(config))


def _space(config: Config) -> Finding:
    folder = config.store.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as problem:
        return Finding("disk", "wrong", f"{folder}: {problem.strerror}", "make the folder of `store`")
    detail = f"{free / (1 << 30):.1f} GiB free in {folder}"
    if free < _LITTLE_SPACE:
        verdict: Literal["wrong", "warning"] = "wrong" if free < _NO_SPACE else "warning"
        return Finding("disk", verdict, detail, "make room: without it nothing can be agreed or served")
    return Finding("disk", "ok", detail)


def _store(config: Config) -> Finding:
    if not config.store.exists():
        return Finding("store", "ok", "not there yet; `anode serve` makes it")
    try:
        wrong = quick_check(config.store)
    except Unavailable as unreadable:
        wrong = str(unreadable)
    if wrong:
        return Finding("store", "wrong", f"{config.store}: {wrong}", "stop the node and restore a backup")
    return Finding("store", "ok", f"{config.store} is sound")


def _ports(config: Config, *, running: bool) -> Finding:
    if running:
        return Finding("ports", "ok", "the node runs and has them")
    for name, host, port in (
        ("public.port", config.public.host, config.public.port),
        ("management.port", config.management.host, config.management.port),
    ):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as listening:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listening.bind((host, port))
        except OSError as problem:
            detail = f"{host}:{port} can't be listened on: {problem.strerror}"
            return Finding("ports", "wrong", detail, f"stop what listens there, or change {name}")
    return Finding("ports", "ok", f"{config.public.port} and {config.management.port} are free")


async def _reachable(config: Config, client: Client, *, running: bool) -> Finding:
    if not running:
        return Finding("public address", "skipped", "the node does not run")
    where = f"{config.public.url}/.well-known/dspace-version"
    try:
        answer = await client.request("GET", where, timeout=_TIMEOUT)
        told = answer.json() if answer.status == 200 else None
    except AnodeError as problem:
        return Finding("public address", "wrong", str(problem), "check DNS, proxy, firewall and public.url")
    versions = told.get("protocolVersions", []) if isinstance(told, dict) else []
    found = [v.get("serviceId") for v in versions if isinstance(v, dict)]
    if config.participant.did not in found:
        mend = "public.url leads elsewhere: check the proxy's target"
        return Finding("public address", "wrong", f"{where} is not this node's ({answer.status})", mend)
    return Finding("public address", "ok", f"{config.public.url} leads to this node")


async def _did_document(config: Config, client: Client, *, running: bool) -> Finding:
    if not running:
        return Finding("DID document", "skipped", "the node does not run")
    did = config.participant.did
    scheme: Literal["http", "https"] = "http" if config.network.reach == "loopback" else "https"
    try:
        document = await DidResolver(client, scheme, time.time).resolve(did)
        key = _signing(config)["P-256"]
        published = methods.verification_key(document, did, key.kid, None)
        expected = did_web.services(config.public.url, config.participant.services)[0]
        endpoint = did_web.service_endpoint(document, expected.type)
    except AnodeError as problem:
        mend = f"{did_web.document_url(did, scheme)} must lead to this node"
        return Finding("DID document", "wrong", str(problem), mend)
    if published != key.signer.public:
        mend = "use the key that is published, or publish this one: restart the node, or send it SIGHUP"
        return Finding(
            "DID document", "wrong", f"it publishes another key than {config.keys.folder} holds", mend
        )
    if endpoint != expected.endpoint:
        mend = "make participant.did and public.url those of one node"
        return Finding("DID document", "wrong", f"it sends peers to {endpoint}", mend)
    return Finding("DID document", "ok", "it is found, with our key and our address")


async def _clock(client: Client, peer: str | None) -> Finding:
    if peer is None:
        return Finding("clock", "skipped", "say --peer URL to compare it with a peer's")
    try:
        answer = await client.request("GET", peer, timeout=_TIMEOUT)
        theirs = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (AnodeError, KeyError, ValueError) as problem:
        return Finding("clock", "skipped", f"{peer} tells no time: {problem}")
    off = time.time() - theirs
    if abs(off) > _CLOCK_OFF:
        mend = "set this machine's clock by NTP: tokens live a minute"
        return Finding("clock", "wrong", f"{off:+.0f} s from {peer}", mend)
    return Finding("clock", "ok", f"within {_CLOCK_OFF:.0f} s of {peer}")


def _text(finding: Finding) -> str:
    colour = {"ok": "32", "warning": "33", "wrong": "31", "skipped": "2"}[finding.verdict]
    verdict = style(f"{finding.verdict:<8}", colour)
    mend = f"\n{'':<9}{finding.mend}" if finding.mend else ""
    return f"{verdict} {finding.what:<21} {output.plain(finding.detail)}{mend}"
