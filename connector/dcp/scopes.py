"""Scopes: which credentials somebody asks for, or may ask for.

Decentralized Claims Protocol 1.0.1, "Scopes": `alias:discriminator`, where the alias says whether the
discriminator is a credential's type or its id. Eclipse software writes a third part, the operation (`:read`),
and aliases of its own. All are read; which is written is a matter of the data space's profile.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from connector.errors import RemoteProtocolError
from connector.vc.jose import shown

TYPE_ALIAS = "org.eclipse.dspace.dcp.vc.type"
ID_ALIAS = "org.eclipse.dspace.dcp.vc.id"
EDC_ALIAS = "org.eclipse.edc.vc.type"
TRACTUSX_ALIAS = "org.eclipse.tractusx.vc.type"
OPERATIONS = ("read", "*", "all")
"""What may be asked for in a third part. All mean the same here: a credential can only be read."""
MAX_SCOPES = 50
MAX_LENGTH = 1_024

By = Literal["type", "id"]
_BY: dict[str, By] = {TYPE_ALIAS: "type", EDC_ALIAS: "type", TRACTUSX_ALIAS: "type", ID_ALIAS: "id"}


class Scope(NamedTuple):
    """A credential by its `type` or by its `id`, however the scope was written."""

    by: By
    value: str


def parse(text: object) -> Scope | None:
    """What a scope asks for; None if its alias is not known here, so that it matches nothing.

    Raises RemoteProtocolError if it has not the form of a scope.

    >>> parse("org.eclipse.dspace.dcp.vc.type:Member") == parse("org.eclipse.edc.vc.type:Member:read")
    True
    """
    if not isinstance(text, str) or not 0 < len(text) <= MAX_LENGTH:
        raise RemoteProtocolError(f"a scope must be a string of at most {MAX_LENGTH} characters")
    alias, colon, rest = text.partition(":")
    if not alias or not colon or not rest or any(c.isspace() for c in text):
        raise RemoteProtocolError(f"{shown(text)} is not a scope, such as {TYPE_ALIAS}:MembershipCredential")
    value, _, operation = rest.rpartition(":")
    if not value or operation not in OPERATIONS:  # two parts; a colon in the discriminator is its own
        value = rest
    by = _BY.get(alias)
    return None if by is None else Scope(by, value)


def parse_all(texts: Iterable[object]) -> frozenset[Scope]:
    """The scopes that are understood. Raises RemoteProtocolError: too many, or malformed."""
    listed = list(texts)
    if len(listed) > MAX_SCOPES:
        raise RemoteProtocolError(f"{len(listed)} scopes are asked for; {MAX_SCOPES} is the most")
    return frozenset(scope for text in listed if (scope := parse(text)) is not None)
