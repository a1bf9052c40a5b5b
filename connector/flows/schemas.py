"""Whether credentials fit the schemas that they name.

Schemas are fetched as status lists are, kept for an hour, and run in a process that may be killed: what a
stranger wrote there is a program. A schema that can't be had, or is of a type not known here, is a reason not
to believe.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from connector.errors import EgressDenied, RemoteProtocolError, Untrusted
from connector.flows.remembered import Remembered
from connector.flows.workers import Workers
from connector.jsonld.documents import loads
from connector.vc import credential as model
from connector.vc.jose import shown
from connector.vc.resources import check_digests

LIFETIME = 3600.0
FAILURE_LIFETIME = 5.0
MAX_BYTES = 256 << 10
_MAX_DEPTH = 64

CREDENTIAL = "JsonSchemaCredential"
_OF_SUBJECT = "JsonSchemaValidator2018"
TYPES = ("JsonSchema", CREDENTIAL, _OF_SUBJECT)
"""`JsonSchema` and `JsonSchemaCredential` describe the whole credential (VC JSON Schema Specification §2);
`JsonSchemaValidator2018`, older and never specified, its subject: so Eclipse connectors read it."""

Fetch = Callable[[str], Awaitable[bytes]]
Verify = Callable[[bytes], Awaitable[Mapping[str, Any]]]
"""Gives the credential in a body, verified."""


@dataclass(frozen=True, slots=True)
class _Found:
    schema: Any
    body: bytes


class Schemas:
    """Checks credentials against schemas. `fetch` gets the body at an address."""

    def __init__(self, workers: Workers, now: Callable[[], float], fetch: Fetch) -> None:
        self._workers = workers
        self._fetch = fetch
        self._found: Remembered[_Found] = Remembered(
            now,
            lambda found: len(found.body),
            lifetime=LIFETIME,
            failure_lifetime=FAILURE_LIFETIME,
            capacity=128,
            fetches=16,
        )

    async def check(self, document: Mapping[str, Any], verify: Verify) -> None:
        """Raise unless a credential fits each schema that it names.

        Untrusted: it does not. RemoteProtocolError: no schema, or of a type that is not understood.
        Unavailable: it can't be had now.
        """
        for entry in model.schemas(document):
            kind = next((kind for kind in model.types(entry) if kind in TYPES), None)
            if kind is None:
                raise RemoteProtocolError(
                    f"credentialSchema of type {shown(entry.get('type'))} is not understood; "
                    f"{', '.join(TYPES)} are"
                )
            url = entry["id"]
            read = partial(self._read, url, kind, verify)
            found, _ = await self._found.get((url, kind == CREDENTIAL), read)
            check_digests(entry, (found.body,), f"the schema {shown(url)}")
            whole = {key: value for key, value in document.items() if key != "proof"}
            values = model.subjects(document) if kind == _OF_SUBJECT else [whole]
            failures = await self._workers.run("schema", found.schema, values)
            if failures:
                raise Untrusted(f"the credential does not fit its schema {shown(url)}", *failures)

    async def _read(self, url: str, kind: str, verify: Verify) -> _Found:
        try:
            body = await self._fetch(url)
            if len(body) > MAX_BYTES:
                raise RemoteProtocolError(f"it has more than {MAX_BYTES} bytes")
            if kind != CREDENTIAL:
                return _Found(loads(body, MAX_BYTES, _MAX_DEPTH), body)
            return _Found(_within(await verify(body)), body)
        except (RemoteProtocolError, EgressDenied) as wrong:
            raise Untrusted(f"the schema at {shown(url)} can't be used", *wrong.reasons) from None


def _within(credential: Mapping[str, Any]) -> Any:
    """The schema in a JsonSchemaCredential (VC JSON Schema Specification §2.2)."""
    subject = credential.get("credentialSubject")
    if CREDENTIAL not in model.types(credential) or not isinstance(subject, dict):
        raise RemoteProtocolError(f"it is not a {CREDENTIAL}")
    if "JsonSchema" not in model.types(subject) or "jsonSchema" not in subject:
        raise RemoteProtocolError("its subject is not of type JsonSchema, or has no jsonSchema")
    return subject["jsonSchema"]
