"""`anode config`: whether the settings are right, and what holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import BaseModel

from connector import yamlfile
from connector.cli import output
from connector.cli.output import COMMON, Common
from connector.cli.template import text

FileArgument = Annotated[
    Path | None, Parameter(show_default=False, help="The settings. Else what --config says.")
]


def check(
    file: FileArgument = None,
    *,
    common: Common = COMMON,
) -> int:
    """Say whether settings, and the files they name, are right: every mistake with its line."""
    from connector.flows import issuable  # here: `config show` needs none of it
    from connector.flows.publish import declared
    from connector.odrl import authoring
    from connector.web import tokens

    path = file or common.path()
    config = Common(config=path).settings()
    policies = authoring.load(config.policies)
    datasets = declared(config.catalog, policies)
    issued = issuable.load(config.credentials.issue) if config.credentials.issue is not None else {}
    clients = (
        tokens.read_clients(config.credentials.clients) if config.credentials.clients is not None else {}
    )
    value = {
        "file": str(path),
        "ok": True,
        "did": config.participant.did,
        "policies": sorted(policies),
        "datasets": len(datasets),
        "issues": sorted(issued),
        "clients": sorted(clients),
    }
    what = f"{len(policies)} policies, {len(datasets)} datasets in files"
    what += f"; issues {', '.join(sorted(issued))}" if issued else ""
    what += f"; {len(clients)} clients of the token service" if clients else ""
    who = f"{config.participant.name}, {config.participant.did}, at {config.public.url}"
    output.show(common, value, f"{path} is right: {who}; {what}")
    return output.OK


def show_settings(file: FileArgument = None, *, common: Common = COMMON) -> int:
    """Show what holds, and where it is set."""
    path = file or common.path()
    config = Common(config=path).settings()
    document = yamlfile.read(path)
    rows = [(key, value, _origin(document, key)) for key, value, _ in _settings(config)]
    values = [{"key": key, "value": raw, "set": _origin(document, key)} for key, _, raw in _settings(config)]
    output.show(common, values, output.table(rows, "key", "value", "set in"))
    return output.OK


def _settings(section: BaseModel, above: str = "") -> Iterator[tuple[str, str, Any]]:
    """Each key with its value as text and as JSON."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _settings(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", text(value, field), section.model_dump(mode="json", include={name})[name]


def _origin(document: yamlfile.Document, key: str) -> str:
    where = tuple(key.split("."))
    return str(document.place(*where)) if where in document.lines else "default"
