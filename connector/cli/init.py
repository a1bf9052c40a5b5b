"""`anode init`: a folder from which a node can start."""

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
from connector.cli.template import render
from connector.config import Config, is_loopback, load
from connector.errors import InvalidFile
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
    common: Common = COMMON,
) -> int:
    """Make a node: settings, keys, token, folders. Never overwrites, so it can be run again.

    Parts that exist are kept; parts that are missing are made.
    """
    path = common.config or folder / "anode.yaml"
    made: list[str] = []
    if not path.exists():
        if local and not name:  # all local nodes have the same host
            name = path.resolve().parent.name[:200]
        content = render(_values(public_url, local=local, name=name))
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, content, made)
    elif public_url or name or local:
        raise InvalidFile(
            f"{path}: already there, and init changes nothing; edit it, or leave out the options"
        )
    config = load(path)
    complete(config, path, made)
    next_command = f"{output.program()} serve"
    if path.parent.resolve() != Path.cwd():
        next_command += f" --config {shlex.quote(str(path))}"
    lines = [f"made {file}" for file in made] or ["nothing to make: all there"]
    lines += ["", f"DID   {config.participant.did}", f"Next  {next_command}"]
    value = {"did": config.participant.did, "config": str(path), "made": made, "next": next_command}
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
