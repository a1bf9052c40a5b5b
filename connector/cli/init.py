"""`anode init`: a folder from which a node can start."""

import asyncio
import os
import secrets
import shlex
import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from cyclopts import Parameter

from connector.cli import output
from connector.cli.output import COMMON, Common
from connector.cli.template import render, scalar
from connector.config import Config, load
from connector.errors import InvalidFile
from connector.quantities import is_loopback
from connector.vc import keystore
from connector.vc.did import did_for

_LOCAL = "http://localhost:8080"

_POLICY = """\
# A policy says who may see an offer, what they may do, and under which conditions. Each key is a policy's id;
# datasets in catalog/ name it under `offers`. See `policies/` in the product for more.
everyone-90-days:
  offer: everyone # or {partners: ["did:web:partner.example"]}
  allow: use
  when:
    - for: 90 days # from the agreement on
"""

ISSUER = """\
# The credentials that this node issues, by type: to whom, for how long, saying what. Read when it starts.
# Whoever asks and is not named under `to` waits: `anode credential list` shows who, `anode credential issue`
# and `anode credential reject` decide.
MembershipCredential:
  about: Member of this data space # why one would ask for it, for everybody to read
  to: [] # DIDs that get it for the asking, or: everyone
  lasts: 365 days # its holder asks again in time, by itself
  claims: # what it says of each holder
    memberOf: ${NAME}

# A role that policies can ask for: `when: [credential: RecyclerCredential]`.
RecyclerCredential:
  about: Treatment facility under permit
  lasts: 90 days
"""

_MEMBERSHIP = "MembershipCredential"
"""What a data space asks of everybody, if its authority gives it."""

_IGNORED = """\
# Secrets and state: never in version control.
/keys/
/keys.passphrase
/*.pin
/management.*
/*.sqlite*
"""


def init(
    folder: Annotated[Path, Parameter(help="Where the node will live.")] = Path(),
    *,
    public_url: Annotated[
        str | None,
        Parameter(show_default=False, help="The address under which peers will reach the node: https://…"),
    ] = None,
    local: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="A node to try out: reachable on this machine only."),
    ] = False,
    name: Annotated[
        str | None,
        Parameter(
            show_default=False,
            help="The operator's name, for people. Else the host's, or a local node's folder.",
        ),
    ] = None,
    join: Annotated[
        str | None,
        Parameter(
            show_default=False,
            help="The DID of a data space's authority: believe it, ask it for what everybody there needs.",
        ),
    ] = None,
    issue: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="A node that issues credentials, such as an authority: issuer.yaml says which.",
        ),
    ] = False,
    common: Common = COMMON,
) -> int:
    """Make a node: settings, keys, token, folders. Never overwrites, so it can be run again.

    Parts that exist are kept; parts that are missing are made. With --join the authority is asked first; if
    it can't be reached, nothing is made (exit code 4).
    """
    path = common.config or folder / "anode.yaml"
    made: list[str] = []
    if not path.exists():
        if local and not name:  # all local nodes have the same host
            name = path.resolve().parent.name[:200]
        values = _values(public_url, local=local, name=name)
        values["credentials"] = _space(join, local=local) | ({"issue": "issuer.yaml"} if issue else {})
        content = render(values)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, content, made)
    elif public_url or name or local or join or issue:
        raise InvalidFile(
            f"{path}: already there, and init changes nothing; edit it, or leave out the options"
        )
    config = load(path)
    complete(config, path, made)
    next_command = f"{output.program()} serve"
    if path.parent.resolve() != Path.cwd():
        next_command += f" --config {shlex.quote(str(path))}"
    lines = [f"made {file}" for file in made] or ["nothing to make: all there"]
    lines += ["", f"DID   {config.participant.did}"]
    if join:
        needed = ", ".join(config.credentials.require) or "no credential of everybody"
        lines.append(f"Joins {join}, which asks for {needed}")
    lines.append(f"Next  {next_command}")
    value: dict[str, Any] = {
        "did": config.participant.did,
        "config": str(path),
        "made": made,
        "next": next_command,
    }
    if join:
        value["joins"] = {"authority": join, "require": list(config.credentials.require)}
    output.show(common, value, "\n".join(lines))
    return output.OK


def _values(public_url: str | None, *, local: bool, name: str | None) -> dict[str, dict[str, Any]]:
    """The settings to write, from what was asked for; Usage if no node can be made of it."""
    url = public_url or (_LOCAL if local else "")
    if not url:
        raise output.Usage(
            "init: say --public-url https://… (how peers reach this node), or --local to try it out"
        )
    if local and not is_loopback(urlsplit(url).hostname or ""):
        raise output.Usage(f"init: {url} is not on this machine; leave out --local, or use {_LOCAL}")
    if not local and not url.startswith("https://"):
        raise output.Usage(f"init: {url} is not https, which peers insist on; or add --local to try it out")
    try:
        parts = urlsplit(url)
        participant = {"did": did_for(url), "name": name or parts.hostname}
        port = parts.port
    except ValueError as problem:
        raise output.Usage(f"init: {problem}") from None
    values: dict[str, dict[str, Any]] = {"participant": participant, "public": {"url": url}}
    if local:
        values["network"] = {"reach": "loopback"}
        if port is not None and url != _LOCAL:  # so that several nodes find room on one machine
            values["public"]["port"] = port
            values["management"] = {"port": port + 1}
    return values


def _space(authority: str | None, *, local: bool) -> dict[str, Any]:
    """The settings of who belongs to a data space, from what its authority gives.

    Raises Unavailable, or another error that says what is wrong with the authority.
    """
    if authority is None:
        return {}
    if not authority.startswith("did:web:"):
        raise output.Usage(
            f"init: --join {authority}: say the authority's DID, such as did:web:authority.example"
        )
    from connector.cli.authority import given_by  # here: most nodes are made without the network

    given = asyncio.run(given_by(authority, "loopback" if local else "internet"))
    return {"authority": authority, "require": (_MEMBERSHIP,) if _MEMBERSHIP in given else ()}


def complete(config: Config, path: Path, made: list[str]) -> None:
    """Make what the settings name and is not there yet."""
    for file in (config.keys.passphrase_file, config.management.token_file):
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            _write(file, secrets.token_urlsafe(32) + "\n", made, mode=0o600)
    kept = keystore.configured(config).complete(time.time())
    made += [output.shown(one) if isinstance(one, Path) else one for one in kept]
    for place in (*config.catalog, *config.policies):
        if not place.exists() and not place.suffix:
            place.mkdir(parents=True)
            made.append(f"{output.shown(place)}/")
            if place in config.policies:
                _write(place / "everyone-90-days.yaml", _POLICY, made)
    issuer = config.credentials.issue
    if issuer is not None and not issuer.exists():
        issuer.parent.mkdir(parents=True, exist_ok=True)
        _write(issuer, ISSUER.replace("${NAME}", scalar(config.participant.name)), made)
    ignored = path.parent / ".gitignore"
    if not ignored.exists():
        _write(ignored, _IGNORED, made)


def _write(path: Path, content: str, made: list[str], mode: int = 0o644) -> None:
    """Write a new file; InvalidFile if it can't be. Never an existing one, also when two commands race."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as problem:
        raise InvalidFile(f"{path}: can't be written: {problem.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    made.append(output.shown(path))
