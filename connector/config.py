"""What an operator may set: `anode.yaml`, checked whole before anything starts.

The models are the reference: docs, the commented template of `anode init` and did-you-mean come from them.
Paths in the file are relative to the file. Durations become seconds, sizes become bytes.
"""

import difflib
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from connector import yamlfile
from connector.errors import InvalidFile
from connector.quantities import (
    Address,
    Did,
    Duration,
    FilePath,
    Group,
    Port,
    ServiceType,
    Size,
    is_loopback,
)


class Section(BaseModel):
    """A mapping in the file: keys that are not in the model are mistakes; values don't change."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)


class Participant(Section):
    """Who the operator of this node is in the data space."""

    did: Did = Field(
        description="The participant's DID. Peers look up this node's keys under it, so keep it. `anode "
        "init` derives a did:web from the public address."
    )
    name: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="The operator's name, for people: shown in the catalog."
    )
    services: Annotated[dict[ServiceType, Address], Field(max_length=16)] = Field(
        {},
        description="Addresses by type of service, for the DID document, where they are not this node's own. "
        "If the connector is another program, whose wallet this node is: {DataService: https://…}.",
    )


class Public(Section):
    """The listener that peers reach: Dataspace Protocol, DID document, data."""

    url: Address = Field(
        description="The address under which peers reach this listener, as seen from outside (behind a proxy "
        "the address of that). https, unless network.reach is loopback."
    )
    host: Annotated[str, Field(min_length=1)] = Field(
        "127.0.0.1",
        description="The address to listen on. Behind a proxy on this machine 127.0.0.1, else 0.0.0.0.",
    )
    port: Port = Field(8080, description="The port to listen on. 0 lets the system choose one.")
    tls_certificate: FilePath | None = Field(
        None,
        description="PEM file with the certificate chain. Leave out if a proxy speaks TLS for this node.",
        examples=["tls/chain.pem"],
    )
    tls_key: FilePath | None = Field(
        None, description="PEM file with the certificate's private key.", examples=["tls/key.pem"]
    )

    @model_validator(mode="after")
    def _both_or_neither(self) -> "Public":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise PydanticCustomError(
                "expected", "{what}", {"what": "tls_certificate and tls_key, or neither"}
            )
        return self


class Management(Section):
    """The listener for the operator: management API and its page. A token is always asked for."""

    host: Annotated[str, Field(min_length=1)] = Field(
        "127.0.0.1", description="The address to listen on. Other than loopback only with allow_remote."
    )
    port: Port = Field(8081, description="The port to listen on. 0 lets the system choose one.")
    token_file: FilePath = Field(
        Path("management.token"),
        description="The file that holds the token. Only its owner may read it (mode 0600).",
    )
    allow_remote: bool = Field(
        False,
        description="Allow a host that other machines can reach. Whoever holds the token rules the node, and "
        "this listener speaks no TLS: put it behind something that does.",
    )

    @model_validator(mode="after")
    def _stays_here(self) -> "Management":
        if not self.allow_remote and not is_loopback(self.host):
            what = f"a loopback host such as 127.0.0.1, not {self.host}; or set allow_remote: true"
            raise PydanticCustomError("expected", "{what}", {"what": what, "key": "host"})
        return self


class Keys(Section):
    """The participant's keys, in files."""

    folder: FilePath = Field(
        Path("keys"), description="Folder of the keys, and of what holds for each. For its owner only."
    )
    passphrase_file: FilePath = Field(
        Path("keys.passphrase"),
        description="The file with the passphrase of the keys: never in their folder, at best elsewhere, "
        "such as a systemd credential (/run/credentials/…) or a mounted secret. Only its owner and group may "
        "read it.",
    )
    announced: Duration = Field(
        300.0,
        description="How long `anode key rotate` publishes a new key before it signs: as long as peers keep "
        "DID documents. Who meets a key he does not know may refuse the message.",
    )
    overlap: Duration = Field(
        86400.0,
        ge=600,
        description="How long a key goes on speaking for the participant after a new one signs. What it has "
        "signed verifies beyond that.",
    )

    @model_validator(mode="after")
    def _apart(self) -> "Keys":
        if self.folder.resolve() in self.passphrase_file.resolve().parents:
            what = {"what": "a file outside of keys.folder", "key": "passphrase_file"}
            raise PydanticCustomError("expected", "{what}", what)
        return self


class Pkcs11(Section):
    """A PKCS #11 token (HSM, smart card, SoftHSM) where the participant's keys are made and stay."""

    module: FilePath | None = Field(
        None,
        description="The library of the token's maker. Leave out to keep keys in files.",
        examples=["/usr/lib/softhsm/libsofthsm2.so"],
    )
    token: Annotated[str, Field(min_length=1, max_length=32)] | None = Field(
        None, description="The token's label. It must be this node's alone.", examples=["anode"]
    )
    pin_file: FilePath = Field(
        Path("pkcs11.pin"), description="The file with the user PIN. For it holds what holds for passphrases."
    )

    @model_validator(mode="after")
    def _both_or_neither(self) -> "Pkcs11":
        if (self.module is None) != (self.token is None):
            raise PydanticCustomError("expected", "{what}", {"what": "module and token, or neither"})
        return self


class Network(Section):
    """What this node may reach. Peers name the addresses that it calls, so this is a guard against them."""

    reach: Literal["internet", "intranet", "loopback"] = Field(
        "internet",
        description="internet: https to public addresses only. intranet: https, private addresses too. "
        "loopback: http too, this machine only (for demos and tests).",
    )


class Delivery(Section):
    """How messages to peers are tried again. Between tries the time doubles, with jitter."""

    first_retry: Duration = Field(0.5, description="Time until the second try.")
    longest_retry: Duration = Field(300.0, description="The longest time between two tries.")
    deadline: Duration = Field(
        86400.0, description="When a message is undelivered for so long, its process ends as TERMINATED."
    )


class Negotiation(Section):
    """How far the node goes by itself when it negotiates."""

    accept: tuple[FilePath, ...] = Field(
        (),
        strict=False,
        description="Files, or folders of *.yaml files, in the language of policies, with what this node "
        "needs as consumer: an offer that gives at least that, and asks no more, is accepted. The first is "
        "asked for first.",
        examples=["[accept.yaml]"],
    )
    counters: Annotated[int, Field(ge=0, le=10)] = Field(
        3, description="How often this node counters in one negotiation before it ends it, 0 to 10."
    )
    review: bool = Field(
        False,
        description="Whether each agreement that this node would make as provider waits for its operator, "
        "not only those whose policies say `review: yes`. Access by law never waits.",
    )
    review_deadline: Duration = Field(
        604800.0, description="How long a negotiation waits for the operator before it ends."
    )


class Data(Section):
    """The data plane: how agreed data is handed out."""

    token_lifetime: Duration = Field(
        600.0, description="How long a consumer's access token lasts before it must be refreshed."
    )


class Credentials(Section):
    """Verifiable Credentials."""

    api: Literal["token", "open", "off"] = Field(
        "token",
        description="The VC API on the management listener, under /vc. token: with the management token. "
        "open: without, for interoperability suites. off: not there.",
    )
    profile: Literal["strict", "edc", "catena-x"] = Field(
        "strict",
        description="How the data space speaks the Decentralized Claims Protocol. strict: as specified. edc, "
        "catena-x: with what Eclipse connectors and Catena-X do otherwise.",
    )
    authority: Did | None = Field(
        None,
        description="The DID of the data space's authority: an issuer believed for every type of credential, "
        "and asked at start for those in require that are missing here. `anode init --join` sets it.",
        examples=["did:web:authority.example"],
    )
    trusted: dict[str, Annotated[tuple[Did, ...], Field(strict=False)]] = Field(
        default_factory=dict,
        description="Other issuers that are believed, by credential type: {MembershipCredential: [did:web:"
        "issuer.example]}. Read again on SIGHUP, as authority, require and present are.",
    )
    require: tuple[str, ...] = Field(
        (),
        strict=False,
        description="Types of credentials that every participant must present, such as "
        "[MembershipCredential].",
    )
    present: tuple[str, ...] = Field(
        (),
        strict=False,
        description="Types of our credentials that participants we speak to may read, besides those in "
        "require and those that a policy in play names.",
    )
    lifetime: Duration = Field(
        300.0,
        description="How long a presentation, or a status list, is used before it is asked for again: a "
        "revoked credential is shut out within this time.",
    )
    issue: FilePath | None = Field(
        None,
        description="YAML file that says which credentials this node issues, and to whom.",
        examples=["issuer.yaml"],
    )
    resources: dict[str, Annotated[tuple[FilePath, ...], Field(strict=False)]] = Field(
        default_factory=dict,
        description="What lies at addresses that credentials name with a digest (relatedResource), each "
        "version in a file: {https://www.w3.org/ns/credentials/v2: [v2.jsonld]}. For other addresses a "
        "digest can't be checked, since nothing is fetched.",
    )
    clients: FilePath | None = Field(
        None,
        description="File of programs that may get tokens in this participant's name, such as a connector "
        "whose wallet this node is: a line `id secret` for each. Only its owner may read it.",
        examples=["token-clients"],
    )


class Limits(Section):
    """Bounds on what comes from outside. Beyond them a request is refused."""

    message_bytes: Size = Field(
        1 << 20, description="The largest message that is read, from peers and from the API."
    )
    json_depth: Annotated[int, Field(ge=8, le=512)] = Field(
        64, description="The deepest nesting of JSON that is read, 8 to 512."
    )
    projected_bytes: Size = Field(
        8 << 20, description="The largest JSON document that a policy may have changed before it is served."
    )
    open_processes: Annotated[int, Field(ge=1)] = Field(
        10_000,
        description="The most negotiations, and the most transfers, that one participant may have under way.",
    )


class Config(Section):
    """One node's settings."""

    participant: Participant = Field(description="Who the operator of this node is in the data space.")
    public: Public = Field(
        description="The listener that peers reach: Dataspace Protocol, DID document, data."
    )
    management: Management = Field(
        default_factory=Management, description="The listener for the operator. A token is always asked for."
    )
    keys: Keys = Field(default_factory=Keys, description="The participant's keys, in files.")
    pkcs11: Pkcs11 = Field(
        default_factory=Pkcs11,
        description="A PKCS #11 token (HSM, smart card, SoftHSM) where the participant's keys are made and "
        "stay.",
    )
    store: FilePath = Field(
        Path("anode.sqlite"),
        description="The database file: all processes and agreements. The audit log is a file beside it.",
    )
    network: Network = Field(default_factory=Network, description="What this node may reach.")
    catalog: tuple[FilePath, ...] = Field(
        (Path("catalog"),),
        strict=False,  # YAML has lists, no tuples
        description="Files, or folders of *.yaml files, that declare the datasets on offer.",
    )
    policies: tuple[FilePath, ...] = Field(
        (Path("policies"),),
        strict=False,
        description="Files, or folders of *.yaml files, with the policies offers are made from.",
    )
    groups: dict[Group, Annotated[tuple[Did, ...], Field(strict=False)]] = Field(
        default_factory=dict,
        description="Groups of partners that policies name: {recyclers: [did:web:recycler.example]}. Read on "
        "SIGHUP too.",
    )
    delivery: Delivery = Field(default_factory=Delivery, description="How messages to peers are tried again.")
    negotiation: Negotiation = Field(
        default_factory=Negotiation,
        description="How far the node goes by itself when it negotiates.",
    )
    data: Data = Field(default_factory=Data, description="The data plane: how agreed data is handed out.")
    credentials: Credentials = Field(default_factory=Credentials, description="Verifiable Credentials.")
    limits: Limits = Field(default_factory=Limits, description="Bounds on what comes from outside.")

    @model_validator(mode="after")
    def _address_within_reach(self) -> "Config":
        url = urlsplit(self.public.url)
        if self.network.reach != "loopback" and url.scheme != "https":
            what = f"public.url with https, since network.reach is {self.network.reach}"
        elif self.network.reach == "loopback" and not is_loopback(url.hostname or ""):
            what = (
                "public.url on this machine (such as http://127.0.0.1:8080), since network.reach is loopback"
            )
        else:
            return self
        raise PydanticCustomError("expected", "{what}", {"what": what, "key": "public.url"})


def load(path: Path) -> Config:
    """The settings in the YAML file `path`; InvalidFile lists everything that is wrong, line by line."""
    document = yamlfile.read(path, limit=1 << 20)
    values = document.value
    if not isinstance(values, dict):
        raise InvalidFile(f"{document.place()}: expected settings, such as `participant:`; see `anode init`")
    sections = sections_of(Config)
    # Sections left out, or left empty, are validated too: their default paths also start at the file.
    whole = {**values, **{name: values.get(name) or {} for name in sections if values.get(name) is None}}
    try:
        return Config.model_validate(whole, context={"folder": path.resolve().parent})
    except ValidationError as problem:
        errors = problem.errors(include_url=False, include_input=True)
    found = sorted((_place(document, error), _explain(error)) for error in errors)
    raise InvalidFile(*(f"{path}:{line}: {what}" for line, what in found))


def sections_of(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The fields of a model that are mappings themselves, by key."""
    fields = ((name, field.annotation) for name, field in model.model_fields.items())
    return {name: kind for name, kind in fields if isinstance(kind, type) and issubclass(kind, BaseModel)}


def _place(document: yamlfile.Document, error: ErrorDetails) -> int:
    where = error["loc"]
    extra = str(error.get("ctx", {}).get("key", ""))
    return document.place(*where, *filter(None, extra.split("."))).line or 1


def _explain(error: ErrorDetails) -> str:
    where, kind, context = error["loc"], error["type"], error.get("ctx", {})
    name = ".".join(str(part) for part in where if isinstance(part, str))
    if kind == "extra_forbidden":
        return _unknown(where)
    if kind == "missing":
        return f'"{name}" is missing; set it, or start from `anode init`'
    known = {
        "string_type": "text; put it in quotes",
        "int_type": "a whole number",
        "bool_type": "true or false",
        "tuple_type": "a list, such as [a, b]",
        "model_type": "a mapping of keys to values",
        "model_attributes_type": "a mapping of keys to values",
        "string_pattern_mismatch": "a DID, such as did:web:connector.example",
        "string_too_short": "some text",
        "string_too_long": f"at most {context.get('max_length')} characters",
        "greater_than": f"more than {context.get('gt'):g}" if kind == "greater_than" else "",
        "greater_than_equal": f"at least {context.get('ge'):g}" if kind == "greater_than_equal" else "",
        "less_than_equal": f"at most {context.get('le'):g}" if kind == "less_than_equal" else "",
        "literal_error": f"one of {context.get('expected')}".replace("'", ""),
        "expected": str(context.get("what")),
    }
    expected = known.get(kind) or error["msg"]
    if not name or "key" in context or isinstance(error["input"], (dict, BaseModel)):
        return f"{name}: expected {expected}" if name else f"expected {expected}"
    return f"{name}: expected {expected}; it is {_shown(error['input'])}"


def _shown(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value[:80]}"' if isinstance(value, str) else str(value)[:80]


def _unknown(where: tuple[int | str, ...]) -> str:
    """An unknown key, with the key that was probably meant, or where it belongs."""
    *parents, last = map(str, where)
    model: type[BaseModel] = Config
    for parent in parents:
        model = sections_of(model)[parent]
    what = f'unknown key "{last}"' + (f" in {'.'.join(parents)}" if parents else "")
    close = difflib.get_close_matches(last, model.model_fields, 1, 0.6)
    if close:
        return f'{what}; did you mean "{close[0]}"?'
    homes = [f"{name}.{last}" for name, kind in sections_of(Config).items() if last in kind.model_fields]
    if homes:
        return f"{what}; did you mean {' or '.join(homes)}?"
    return f"{what}; known here: {', '.join(model.model_fields)}"
