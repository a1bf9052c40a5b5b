"""Which credentials this node issues, and to whom: the operator's file, read and checked.

```yaml
MembershipCredential:
  to: everyone             # or a list of DIDs; whoever else asks waits for `anode credential issue`
  lasts: 365 days
  formats: [vc11-sl2021/jwt, vc20-bssl/jwt]
  status: [revocation, suspension]
  claims: {memberOf: Battery data space}
  about: Members of the battery data space
```
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from connector import yamlfile
from connector.dcp.messages import CredentialObject
from connector.dcp.profiles import JWT_11
from connector.errors import InvalidFile
from connector.flows.clock import iso
from connector.quantities import Duration
from connector.vc import credential as model

Format = Literal["vc11-sl2021/jwt", "vc20-bssl/jwt"]
Purpose = Literal["revocation", "suspension"]
Did = Annotated[str, Field(pattern=r"^did:[a-z0-9]+:\S+$", max_length=512)]
_FIRST: Format = "vc11-sl2021/jwt"
RESERVED = frozenset({"id", "type", "@id", "@type", "@context"})
"""What no claim can be called: it would say who the holder is."""


def _listed(value: object) -> object:
    return value if isinstance(value, list) or value == "everyone" else [value]


def _both() -> list[Purpose]:
    return ["revocation", "suspension"]


class Issuable(BaseModel):
    """A credential type that this node issues."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: Annotated[Literal["everyone"] | list[Did], BeforeValidator(_listed)] = Field(
        default_factory=list,
        description="Who gets it for the asking. Whoever else asks waits until the operator decides.",
    )
    lasts: Duration = Field(365 * 86_400.0, description="How long a credential is valid.")
    formats: Annotated[list[Format], Field(min_length=1, max_length=2)] = Field(
        default_factory=lambda: [_FIRST], description="The data models it is given in."
    )
    status: Annotated[list[Purpose], Field(min_length=1, max_length=2)] = Field(
        default_factory=_both,
        description="What can be said of it later. Some peers read one entry only: then say revocation.",
    )
    claims: dict[str, Any] = Field(
        default_factory=dict, description="What the credential says of each holder, besides its DID."
    )
    about: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        "given on request", description="Why one would ask for it: told in the issuer's metadata."
    )

    def permits(self, holder: str) -> bool:
        """Whether this holder gets it without anybody's decision."""
        return self.to == "everyone" or holder in self.to


@dataclass(frozen=True, slots=True)
class Kind:
    """A type in one format: what a credential object of the protocol stands for. `id` is the object's."""

    type: str
    format: str
    issuable: Issuable

    @property
    def id(self) -> str:
        """The id of the credential object."""
        return f"{self.type}:{self.format}"

    def object(self, schema: str) -> CredentialObject:
        """The credential object of the metadata; `schema` is where the type's JSON schema is found."""
        return CredentialObject(
            id=self.id,
            credential_type=self.type,
            offer_reason=self.issuable.about,
            credential_schema=schema,
            binding_methods=["did:web"],
            profile=self.format,
        )

    def document(
        self, id_: str, issuer: str, holder: str, claims: Mapping[str, Any], now: float
    ) -> dict[str, Any]:
        """The credential, without status and signature."""
        older = self.format == JWT_11
        begins, ends = ("issuanceDate", "expirationDate") if older else ("validFrom", "validUntil")
        return {
            "@context": [model.V1 if older else model.V2],
            "id": id_,
            "type": ["VerifiableCredential", self.type],
            "issuer": issuer,
            begins: iso(now),
            ends: iso(now + self.issuable.lasts),
            "credentialSubject": {"id": holder, **self.issuable.claims, **claims},
        }

    def schema(self) -> dict[str, Any]:
        """A JSON schema of credentials of this type."""
        claims = self.issuable.claims
        subject = {
            "type": "object",
            "required": ["id", *claims],
            "properties": {"id": {"type": "string"}, **{name: {"const": claims[name]} for name in claims}},
        }
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.type,
            "type": "object",
            "required": ["type", "issuer", "credentialSubject"],
            "properties": {
                "type": {"type": "array", "contains": {"const": self.type}},
                "credentialSubject": subject,
            },
        }


def load(path: Path) -> dict[str, Issuable]:
    """What the file says, by type. InvalidFile: every problem, each with its line."""
    document = yamlfile.read(path, limit=1 << 20)
    value = document.value
    if not isinstance(value, dict) or not value:
        raise InvalidFile(
            f"{document.place()}: must map credential types to what is issued: `to`, `lasts`, …"
        )
    found: dict[str, Issuable] = {}
    problems: list[str] = []
    for type_, blocks in value.items():
        problems += _checked(document, type_, blocks, found)
    if problems:
        raise InvalidFile(*problems)
    return found


def _checked(
    document: yamlfile.Document, type_: str, blocks: object, found: dict[str, Issuable]
) -> Iterator[str]:
    if not type_[:1].isupper() or not type_.isalnum():
        where = document.place(type_)
        yield f"{where}: {type_[:100]!r} is no credential type; write it like MembershipCredential"
    try:
        found[type_] = one = Issuable.model_validate(blocks or {})
    except ValidationError as wrong:
        for error in wrong.errors(include_url=False, include_input=False):
            path = (type_, *error["loc"])
            yield f"{document.place(*path)}: {'.'.join(map(str, path))}: {error['msg']}"
        return
    for name in RESERVED & one.claims.keys():
        yield f"{document.place(type_, 'claims', name)}: a claim can't be called {name}"


def kinds(issuable: Mapping[str, Issuable]) -> dict[str, Kind]:
    """Every type in every format it is given in, by the id of its credential object."""
    found = [Kind(type_, format_, one) for type_, one in issuable.items() for format_ in one.formats]
    return {kind.id: kind for kind in found}
