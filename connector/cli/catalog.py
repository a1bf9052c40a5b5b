"""`anode catalog` and `anode publish`: what peers offer us, and what this node offers."""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
from cyclopts import Parameter

from connector.cli import output
from connector.cli.api import Api, path_of
from connector.cli.output import COMMON, Common
from connector.cli.terms import said
from connector.dcat.terms import PROPERTY
from connector.errors import InvalidFile
from connector.flows.publish import URI, read_file

_MOST_PAGES = 10_000
_ONE_DATASET = 32 << 20


def show(
    peer: Annotated[str, Parameter(help="The peer: its DID, or its node's URL.")],
    dataset: Annotated[
        str | None, Parameter(show_default=False, help="One dataset, with all that is known of it.")
    ] = None,
    *,
    filters: Annotated[
        list[str] | None,
        Parameter(
            name="--filter",
            negative="",
            show_default=False,
            help="NAME=VALUE: only datasets with this property. More values of a name: one of them.",
        ),
    ] = None,
    all_pages: Annotated[
        bool, Parameter(name="--all", negative="", show_default=False, help="All pages, not only the first.")
    ] = False,
    common: Common = COMMON,
) -> int:
    """Show what a peer offers this node."""
    api = Api.of(common)
    if dataset is not None:
        found = api.get("/peers/dataset", peer=peer, dataset=dataset)
        output.show(common, found, "\n".join(_lines(found["dataset"], found["offers"])))
        return output.OK
    body: dict[str, Any] = {"peer": peer, "filter": _pairs(filters or [], "--filter")}
    datasets: list[dict[str, Any]] = []
    page = api.post("/peers/catalog", body)
    datasets += page["datasets"]
    for _ in range(_MOST_PAGES):
        if not all_pages or "next" not in page:
            break
        page = api.post("/peers/catalog", {**body, "next": page["next"]})
        datasets += page["datasets"]
    value = {**page, "datasets": datasets}
    more = "\nThere is more: --all, or narrow it down with --filter NAME=VALUE." if "next" in page else ""
    rows = [(d.get("@id", ""), _text(d.get("dct:title")), " ".join(_properties(d))) for d in datasets]
    text = (
        output.table(rows, "dataset", "title", "properties") if rows else f"{peer} offers this node nothing."
    )
    output.show(common, value, text + more)
    return output.OK


def list_own(*, common: Common = COMMON) -> int:
    """List all datasets of this node, whoever may see them."""
    api, datasets, after = Api.of(common), [], ""
    while True:
        page = api.get("/catalog", after=after, limit=500)
        datasets += page["datasets"]
        after = page.get("next", "")
        if not after:
            break
    rows = [(d["id"], d["title"], d["origin"]) for d in datasets]
    text = output.table(rows, "dataset", "title", "declared in") if rows else "This node offers nothing yet."
    output.show(common, datasets, text)
    return output.OK


def withdraw(dataset: Annotated[str, Parameter(help="The dataset's id.")], *, common: Common = COMMON) -> int:
    """Take a dataset out of the catalog. Agreements about it stay; its data can't be read any more."""
    Api.of(common).delete(path_of("catalog", dataset))
    output.show(common, {"withdrawn": dataset}, f"withdrawn: {dataset}")
    return output.OK


def publish(
    file: Annotated[Path, Parameter(help="A catalog file (*.yaml), or the data itself.")],
    *,
    identifier: Annotated[
        str | None,
        Parameter(
            name="--id",
            show_default=False,
            help="The dataset's id, a URI. Else its own (`id` or `@id` of JSON), else made of its name.",
        ),
    ] = None,
    title: Annotated[
        str | None, Parameter(show_default=False, help="Its title. Else the file's name.")
    ] = None,
    offer: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            show_default=False,
            help="A policy to offer it under; can be given more than once. Needed if the node has several.",
        ),
    ] = None,
    properties: Annotated[
        list[str] | None,
        Parameter(
            name="--property",
            negative="",
            show_default=False,
            help="NAME=VALUE: a property that peers can filter by.",
        ),
    ] = None,
    derived_from: Annotated[
        str | None,
        Parameter(
            show_default=False,
            help="The agreement under which this node has what it is made from: offered within that only.",
        ),
    ] = None,
    common: Common = COMMON,
) -> int:
    """Publish a dataset in the running node: at once, and until it is withdrawn.

    FILE is read for each request for the data, so leave it where it is.
    """
    if identifier and not re.match(URI, identifier):
        raise output.Usage(
            f"publish: --id {identifier} is not a URI, such as https://maker.example/1 or urn:uuid:…"
        )
    config = common.settings()
    api = Api.at(config, common.path())
    if file.suffix in (".yaml", ".yml"):
        if identifier or title or offer or properties or derived_from:
            raise output.Usage("publish: a catalog file says everything itself; leave out the options")
        datasets = [_absolute(d.model_dump(exclude_none=True), file) for d in read_file(file)]
    else:
        described = _pairs(properties or [], "--property")
        if wrong := [name for name, value in described.items() if not isinstance(value, str)]:
            raise output.Usage(f"--property {wrong[0]}: given twice")
        datasets = [
            {
                "id": identifier or _identifier(file, config.participant.did),
                "title": title or file.stem,
                "offers": offer or [_only_policy(api)],
                "properties": described,
                "source": {"file": str(file.resolve())},
                **({"derived_from": derived_from} if derived_from else {}),
            }
        ]
    for dataset in datasets:
        api.post("/catalog", dataset)
    ids = [dataset["id"] for dataset in datasets]
    output.show(common, {"published": ids}, "\n".join(f"published: {i}" for i in ids) or "nothing to publish")
    return output.OK


def _absolute(dataset: dict[str, Any], file: Path) -> dict[str, Any]:
    """The same with the path of its data as the node needs it, wherever that was started."""
    source = dataset["source"]
    if "file" in source:
        source = {**source, "file": str((file.parent / source["file"]).resolve())}
    return {**dataset, "source": source}


def _identifier(file: Path, did: str) -> str:
    """A URI that is the same whenever this file is published by this participant."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_ONE_DATASET)
    except OSError as problem:
        raise InvalidFile(f"{file}: can't be read: {problem.strerror}") from None
    if "json" in file.suffix:
        try:
            value = orjson.loads(content)
        except ValueError as problem:
            if len(content) < _ONE_DATASET:
                raise InvalidFile(f"{file}: not JSON: {problem}") from None
            value = None
        own = (value.get("@id") or value.get("id")) if isinstance(value, dict) else None
        if isinstance(own, str) and ":" in own and not any(c.isspace() for c in own):
            return own
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{did}/{file.name}')}"


def _only_policy(api: Api) -> str:
    policies = api.get("/policies")["policies"]
    if len(policies) == 1:
        return str(policies[0]["id"])
    known = "".join(f"\n  {p['id']}: {p['sentence']}" for p in policies) or " none; write one in policies/"
    raise output.Usage(f"publish: say --offer POLICY, one of:{known}")


def _pairs(given: list[str], option: str) -> dict[str, str | list[str]]:
    """NAME=VALUE as a mapping; a name given more than once has a list."""
    found: dict[str, list[str]] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise output.Usage(f"{option}: {pair} is not NAME=VALUE")
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _properties(dataset: Mapping[str, Any]) -> Iterator[str]:
    for name, value in dataset.items():
        if name.startswith(PROPERTY):
            yield f"{name.removeprefix(PROPERTY)}={_text(value)}"


def _lines(dataset: Mapping[str, Any], offers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A dataset in full: what it is, and what each offer of it says, term by term."""
    yield output.style(_text(dataset.get("dct:title")), "1")
    yield f"  {_text(dataset.get('@id'))}"
    if text := _text(dataset.get("dct:description")):
        yield f"  {text}"
    yield from (f"  {line}" for line in _properties(dataset))
    for offer in offers:
        yield f"offer {_text(offer.get('id'))}"
        yield from said(offer, "  ")


def _text(value: Any) -> str:
    """A peer's text, whatever its notation, safe to print: no control characters."""
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, dict):
        value = value.get("@value", value.get("@id", ""))
    return output.plain(str("" if value is None else value))
