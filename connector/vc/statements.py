"""Statements: what one side of an agreement signs about it for the other, as a JWS.

An extension of this node's; no standard has a message for it. A participant that takes statements has a
service `AgreementStatements` in its DID document. They are sent to it as
`POST <service>/<agreement id>/statements`, `{"statement": "<JWS>"}`, with a self-issued token like any other
message. The JWS has the `typ` below and is signed by a key of the participant's DID. A side that takes none
is told nothing but what the Dataspace Protocol can say: its transfers are terminated.

Two kinds: `evidence` that a duty was done, and `retirement`, by which a side ends the agreement.
"""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError

from connector.errors import RemoteProtocolError

TYP = "agreement-statement+jwt"
MAX_TEXT = 1_000
AHEAD = 60.0
"""Seconds that the signer's clock may be ahead of ours."""
Kind = Literal["evidence", "retirement"]


class _Claims(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)
    iss: StrictStr
    aud: StrictStr
    jti: StrictStr = Field(min_length=8, max_length=128)
    iat: int | float = Field(ge=0, le=1e11)
    agreement: StrictStr = Field(min_length=1, max_length=2_048)
    kind: Kind
    duty: StrictStr | None = Field(None, max_length=512)
    action: StrictStr | None = Field(None, max_length=512)
    note: StrictStr | None = Field(None, max_length=MAX_TEXT)
    digest: StrictStr | None = Field(None, pattern=r"^sha-256:[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class Statement:
    """What is signed: about which agreement, when (epoch seconds), and what.

    Evidence names the `duty` by its path in the policy, as in `obligation[0]`, and its `action`; `digest` is
    of a document that proves it, `sha-256:` and hexadecimal digits. `note` is for people: what was done, or
    why the agreement is retired.
    """

    issuer: str
    audience: str
    jti: str
    at: float
    agreement: str
    kind: Kind
    duty: str | None = None
    action: str | None = None
    note: str | None = None
    digest: str | None = None

    def claims(self) -> dict[str, Any]:
        """The payload of its JWS."""
        found = {"iss": self.issuer, "aud": self.audience, "jti": self.jti, "iat": self.at}
        found |= {"agreement": self.agreement, "kind": self.kind}
        names = ("duty", "action", "note", "digest")
        return found | {name: value for name in names if (value := getattr(self, name)) is not None}


def read(claims: dict[str, Any], issuer: str, audience: str, agreement: str, now: float) -> Statement:
    """The statement in a payload, which must be by `issuer`, for `audience`, about `agreement`.

    Raises RemoteProtocolError. The signature is not looked at here.
    """
    try:
        found = _Claims.model_validate(claims)
    except ValidationError as wrong:
        errors = wrong.errors(include_url=False, include_input=False, include_context=False)
        raise RemoteProtocolError(
            *(f"statement.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in errors[:10])
        ) from None
    for name, expected in (("iss", issuer), ("aud", audience), ("agreement", agreement)):
        if getattr(found, name) != expected:
            raise RemoteProtocolError(f"statement.{name}: must be {expected}.")
    if found.iat > now + AHEAD:
        raise RemoteProtocolError("statement.iat: lies in the future.")
    if found.kind == "evidence" and (found.duty is None or (found.note is None and found.digest is None)):
        raise RemoteProtocolError("statement: evidence names a duty, and has a note or a digest.")
    given = (found.duty, found.action, found.note, found.digest)
    return Statement(found.iss, found.aud, found.jti, float(found.iat), found.agreement, found.kind, *given)
