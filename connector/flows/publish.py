"""Datasets come into the catalog: from YAML files at start, through the management API while running.

A file is published as a whole: what it no longer declares is withdrawn. An unchanged file costs a digest.
"""

import difflib
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from connector import yamlfile
from connector.dcat import model as dcat
from connector.errors import InvalidFile, NotFound
from connector.flows.catalog import Catalog, Terms
from connector.flows.clock import Clock
from connector.flows.derived import in_the_way
from connector.flows.sources import Sources
from connector.odrl.authoring import Authored
from connector.store import catalog as rows
from connector.store.catalog import Stored
from connector.store.database import Database, Transaction

Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
URI = r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$"
"""What a dataset's id must look like."""
Uri = Annotated[str, StringConstraints(pattern=URI, max_length=1000)]
# The length apart: a counted repetition of \w takes a quarter of a second to compile.
Name = Annotated[str, StringConstraints(pattern=r"^[\w.:/#-]+$", max_length=200)]
Policies = Mapping[str, Authored] | Mapping[str, Terms]
API = "api"
"""Origin of datasets that were published through the management API."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpSource(_Strict):
    """An upstream of the operator's own, read for each request."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$", max_length=2000)] = Field(
        description="Where the node reads the data."
    )
    headers: dict[str, str] = Field(
        default_factory=dict, description="Sent with each request, such as an API key. Never shown to peers."
    )


class Source(_Strict):
    """Where the bytes of a dataset come from: exactly one of a file, inline JSON, or an upstream."""

    file: str | None = Field(default=None, description="A path, relative to the catalog file.")
    inline: Any = Field(default=None, description="The JSON document itself.")
    http: HttpSource | None = None
    media_type: Annotated[str, StringConstraints(pattern=r"^[\w.+-]+/[\w.+-]+$", max_length=200)] | None = (
        Field(
            default=None,
            description="Default: by the file's name; application/json for inline; the upstream's own.",
        )
    )

    @model_validator(mode="after")
    def _one(self) -> "Source":
        if sum(v is not None for v in (self.file, self.inline, self.http)) != 1:
            raise ValueError("give exactly one of file, inline, http")
        return self


class Dataset(_Strict):
    """What an operator declares: a dataset, its offers, and where its bytes are."""

    id: Uri = Field(description="A URI that stays.")
    title: Text
    description: Text | None = None
    keywords: list[Text] = Field(default_factory=list, max_length=50)
    properties: dict[Name, Text] = Field(
        default_factory=dict, max_length=50, description="Names and values that a catalog filter can ask for."
    )
    offers: list[str] = Field(min_length=1, max_length=50, description="Ids of policies.")
    derived_from: Uri | None = Field(
        default=None,
        description="The agreement under which this node has what the dataset is made from. It can only be "
        "offered within what was agreed.",
    )
    source: Source


class CatalogFile(_Strict):
    """A file in `catalog/`."""

    datasets: list[Dataset]


class Publisher:
    """Puts datasets into the catalog of one node."""

    def __init__(self, db: Database, clock: Clock, catalog: Catalog, sources: Sources) -> None:
        self._db, self._clock, self._catalog, self._sources = db, clock, catalog, sources

    async def publish(self, dataset: Dataset) -> None:
        """Add or replace one dataset, for the management API.

        :raises NotFound: a policy that this node does not have.
        :raises InvalidFile: a file that is not there.
        """
        _check_policies(dataset, self._catalog.terms)
        stored = _stored(dataset, Path.cwd(), API)
        now = self._clock.now()
        if faults := list(self._beyond(dataset, now)):
            raise InvalidFile(*faults)
        definition = dataset.model_dump(exclude_none=True)
        await self._db.write(lambda tx: rows.publish(tx, stored, dataset.properties, definition, API, now))
        self._changed()

    async def withdraw(self, dataset_id: str) -> None:
        """Take a dataset out.

        :raises NotFound: there is none.
        """
        if not await self._db.write(lambda tx: rows.withdraw(tx, dataset_id)):
            raise NotFound(f"There is no dataset {dataset_id} in this node's catalog.")
        self._changed()

    async def files(self, paths: Iterable[Path]) -> None:
        """Publish all catalog files below these paths; withdraw what came from files that are gone.

        :raises InvalidFile: with every fault of every file; then nothing is changed.
        """
        found = list(_files(paths))
        changed: list[tuple[str, str, list[tuple[Dataset, Stored]]]] = []
        faults: list[str] = []
        for path in found:
            origin, digest = str(path), self._digest(path)
            if rows.file_digest(self._db.read, origin) == digest:
                continue
            try:
                datasets = _declared(path, self._catalog.terms)
                # An agreement that has ended must not stop the node: the catalog leaves such datasets out.
                faults += [f"{path}: {why}" for d, _ in datasets for why in self._beyond(d, None)]
                changed.append((origin, digest, datasets))
            except InvalidFile as fault:
                faults += fault.reasons
        if faults:
            raise InvalidFile(*faults)
        gone = set(rows.files(self._db.read)) - {str(p) for p in found}
        if not changed and not gone:
            return
        now = self._clock.now()

        def step(tx: Transaction) -> None:
            for origin in gone:
                rows.forget_file(tx, origin)
            for origin, digest, datasets in changed:
                rows.forget_file(tx, origin)
                for dataset, stored in datasets:
                    definition = dataset.model_dump(exclude_none=True)
                    rows.publish(tx, stored, dataset.properties, definition, origin, now)
                rows.note_file(tx, origin, digest)

        await self._db.write(step)
        self._changed()

    def _beyond(self, dataset: Dataset, now: float | None) -> Iterator[str]:
        """In what the offers of a dataset that is passed on go beyond what was agreed."""
        for name in dataset.offers if dataset.derived_from else ():
            policy = self._catalog.terms[name].policy
            for reason in in_the_way(self._db.read, str(dataset.derived_from), policy, now):
                if now is not None or reason.code != "agreement-ended":
                    yield f"{dataset.id} can't be offered under {name}: {reason.text}"

    def _changed(self) -> None:
        self._catalog.changed()
        self._sources.changed()

    def _digest(self, path: Path) -> str:
        """Of the file and of what its meaning depends on: the policies, and which data each is for."""
        known = repr(
            sorted((name, sorted(terms.data.items())) for name, terms in self._catalog.terms.items())
        )
        return hashlib.sha256(path.read_bytes() + known.encode()).hexdigest()


def declared(paths: Iterable[Path], policies: Policies) -> list[Dataset]:
    """What all catalog files below these paths declare, checked as at a start.

    :raises InvalidFile: with every fault of every file.
    """
    found: list[Dataset] = []
    faults: list[str] = []
    for path in _files(paths):
        try:
            found += [dataset for dataset, _ in _declared(path, policies)]
        except InvalidFile as fault:
            faults += fault.reasons
    if faults:
        raise InvalidFile(*faults)
    return found


def _declared(path: Path, policies: Policies) -> list[tuple[Dataset, Stored]]:
    datasets = read_file(path)
    for dataset in datasets:
        _check_policies(dataset, policies, path)
    return [(dataset, _stored(dataset, path.parent, str(path))) for dataset in datasets]


def _check_policies(dataset: Dataset, policies: Policies, path: Path | None = None) -> None:
    for name in dataset.offers:
        for property_, values in policies[name].data.items() if name in policies else ():
            if (found := dataset.properties.get(property_)) not in values:
                has = f"has {found}" if found else "has none"
                what = (
                    f'Dataset {dataset.id} can\'t be offered under policy "{name}": that is for data whose '
                    f"{property_} is {' or '.join(values)}, and this {has}."
                )
                raise NotFound(what) if path is None else InvalidFile(f"{path}: {what}")
        if name not in policies:
            near = difflib.get_close_matches(name, policies, 1)
            hint = f' Did you mean "{near[0]}"?' if near else f" There are: {', '.join(policies) or 'none'}."
            what = f'Dataset {dataset.id} is offered under policy "{name}", which is not here.{hint}'
            if path is None:  # the node runs, and knows the policies that were there when it started
                raise NotFound(f"{what} If it is new, restart the node: policies are read at its start.")
            raise InvalidFile(f"{path}: {what}")


def read_file(path: Path) -> list[Dataset]:
    """The datasets that a YAML file declares.

    :raises InvalidFile: each fault with its line.
    """
    document = yamlfile.read(path)
    try:
        return CatalogFile.model_validate(document.value).datasets
    except ValidationError as error:
        raise InvalidFile(
            *(
                f"{document.place(*e['loc'])}: {'.'.join(map(str, e['loc']))}: {e['msg']}"
                for e in error.errors(include_url=False)
            )
        ) from None


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.rglob("*.yaml"))
        elif path.exists():
            yield path


def _stored(dataset: Dataset, folder: Path, origin: str) -> Stored:
    source = _source(dataset, folder, origin)
    if dataset.derived_from is not None:
        source["derived_from"] = dataset.derived_from
    members = dcat.dataset_members(
        dataset.title, dataset.description, dataset.keywords, source.get("media_type"), dataset.properties
    )
    return Stored(dataset.id, dataset.title, members, source, tuple(dataset.offers))


def _source(dataset: Dataset, folder: Path, origin: str) -> dict[str, Any]:
    declared = dataset.source
    if declared.file is not None:
        path = (folder / declared.file).resolve()
        if not path.is_file():
            raise InvalidFile(f"{origin}: dataset {dataset.id}: there is no file {path}.")
        return {"file": str(path), "media_type": declared.media_type or _media_type(path)}
    if declared.http is not None:
        http: Mapping[str, Any] = declared.http.model_dump()
        return {"http": http, "media_type": declared.media_type}
    body = orjson.dumps(declared.inline).decode()
    return {"inline": body, "media_type": declared.media_type or "application/json"}


def _media_type(path: Path) -> str:
    known = {
        ".jsonld": "application/ld+json",
        ".json": "application/json",
        ".pdf": "application/pdf",
        ".csv": "text/csv; charset=utf-8",
        ".txt": "text/plain; charset=utf-8",
        ".ttl": "text/turtle",
        ".xml": "application/xml",
        ".zip": "application/zip",
    }
    return known.get(path.suffix.lower(), "application/octet-stream")
