"""Credentials and presentations as JWTs: how they are wrapped, and what is inside.

Securing Verifiable Credentials using JOSE and COSE 1.0 (`vc+jwt`, `vp+jwt`, and the objects that envelop them
in JSON-LD); the double envelope of Eclipse connectors, whose outer token holds an enveloped presentation; and
the older form of VCDM 1.1 §6.3.1, with a `vc` or `vp` claim.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from connector.errors import RemoteProtocolError, Untrusted
from connector.vc import jws
from connector.vc.credential import V1, V2, contexts, identifier, types, version
from connector.vc.dates import instant, iso
from connector.vc.jose import shown
from connector.vc.jws import Jws
from connector.vc.signers import Signer

What = Literal["vc", "vp"]
CREDENTIAL, PRESENTATION = "EnvelopedVerifiableCredential", "EnvelopedVerifiablePresentation"
_WRAPPERS: Mapping[What, str] = {"vc": CREDENTIAL, "vp": PRESENTATION}
_MAX_LAYERS = 2
_CLAIMS = {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "nonce", "cnf"}


class Enveloped(NamedTuple):
    """A document out of a JWT: `signer` is who must have signed it, by `token.header["kid"]`."""

    token: Jws
    document: dict[str, Any]
    signer: str


def is_enveloped(document: object, what: What) -> bool:
    """Whether a JSON object is the envelope of a credential, or presentation."""
    return isinstance(document, dict) and _WRAPPERS[what] in types(document)


def envelope(token: str, what: What, *, older: bool = False) -> dict[str, Any]:
    """The JSON-LD object that stands for a JWT. `older`: the JWT has a `vc` or `vp` claim."""
    kind = "jwt" if older else f"{what}+jwt"
    return {"@context": V2, "id": f"data:application/{kind},{token}", "type": _WRAPPERS[what]}


def unwrapped(document: Mapping[str, Any], what: What) -> tuple[str, bool]:
    """The JWT in an envelope, and whether it is in the form of VCDM 1.1. Raises RemoteProtocolError."""
    if contexts(document)[0] != V2:
        raise RemoteProtocolError(f"the envelope's @context must begin with {V2}")
    if types(document) != [_WRAPPERS[what]]:
        raise RemoteProtocolError(f"the envelope's type must be {_WRAPPERS[what]} and nothing else")
    text = document.get("id")
    head, comma, token = text.partition(",") if isinstance(text, str) else ("", "", "")
    kinds = {f"data:application/{what}+jwt": False, "data:application/jwt": True}
    if not comma or head not in kinds:
        raise RemoteProtocolError(f"the envelope's id must be data:application/{what}+jwt, and a JWS")
    return unquote(token) if "%" in token else token, kinds[head]


def read(token: str, what: What, now: float | None, *, older: bool = False, loose: bool = False) -> Enveloped:
    """What a JWT holds, its own period checked, its signature not yet.

    `now` None looks at no period. `older` takes the form of VCDM 1.1; `loose` in that form takes a `sub` that
    is not the subject's id, null members, and a context that is called `context` or is the document's id.
    Raises RemoteProtocolError
    (malformed) or Untrusted.
    """
    parsed = jws.parse(token)
    header, claims = parsed.header, parsed.payload
    if not isinstance(header.get("kid"), str):
        raise RemoteProtocolError("the JWT names no key: its header needs a kid")
    for key, right in (("typ", ("jwt",) if older else (f"{what}+jwt",)), ("cty", (what,))):
        found = header.get(key)
        if found is not None and (not isinstance(found, str) or found.lower() not in right):
            raise RemoteProtocolError(f"the JWT's {key} is {shown(found)}; for this it must be {right[0]}")
    _check_times({key: v for key, v in claims.items() if v is not None} if loose else claims, now)
    if older:
        return _older(parsed, what, loose)
    if "vc" in claims or "vp" in claims:
        raise RemoteProtocolError(f"a {what}+jwt has no vc or vp claim: its payload is the document itself")
    key = "issuer" if what == "vc" else "holder"
    signer = identifier(claims.get(key)) or claims.get("iss") or header["kid"].partition("#")[0]
    if "iss" in claims and claims["iss"] != signer:
        raise Untrusted(f"the JWT's iss is {shown(claims['iss'])}, the document's {key} is {shown(signer)}")
    return Enveloped(parsed, claims, str(signer))


def _older(parsed: Jws, what: What, loose: bool) -> Enveloped:
    """VCDM 1.1 §6.3.1: registered claims stand for members of the document."""
    claims = parsed.payload
    inner = claims.get(what)
    if not isinstance(inner, dict):
        raise RemoteProtocolError(f"the JWT has no {what} claim")
    signer = claims.get("iss")
    if not isinstance(signer, str):
        raise RemoteProtocolError("the JWT has no iss claim")
    document = dict(inner)
    if loose:
        document = {key: value for key, value in inner.items() if value is not None}
        document.setdefault("@context", document.pop("context", None))
        if isinstance(document["@context"], str) and document["@context"] == document.get("id"):
            document["@context"] = [V1]
    named = "issuer" if what == "vc" else "holder"
    if identifier(document.get(named, signer)) != signer:
        raise Untrusted(f"the JWT's iss is {shown(signer)}, the document's {named} another")
    document.setdefault(named, signer)
    if isinstance(claims.get("jti"), str):
        document.setdefault("id", claims["jti"])
    subject = document.get("credentialSubject")
    if what == "vc" and isinstance(claims.get("sub"), str) and isinstance(subject, dict):
        if subject.get("id", claims["sub"]) != claims["sub"] and not loose:
            raise Untrusted("the JWT's sub is not the id of the credential's subject")
        document["credentialSubject"] = {"id": claims["sub"], **subject}
    for claim, member in (("nbf", "issuanceDate"), ("exp", "expirationDate")):
        if what == "vc" and claims.get(claim) is not None and version(document) == "1.1":
            document.setdefault(member, iso(claims[claim]))
    return Enveloped(parsed, document, signer)


def unclaimed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document without the claims that are the JWT's and not its own."""
    return {key: value for key, value in document.items() if key not in _CLAIMS}


def asked_for(token: Jws, audience: str | None, nonce: str | None, *, ends: bool = False) -> None:
    """Raise Untrusted unless a presentation was made for this audience and nonce, if they are given.

    `ends`: it must say when it expires.
    """
    found = token.payload.get("aud")
    if audience is not None and audience not in (found if isinstance(found, list) else [found]):
        raise Untrusted("the presentation is made for another audience (aud)")
    if nonce is not None and token.payload.get("nonce") != nonce:
        raise Untrusted("the presentation's nonce is not the one that was asked for")
    if ends and token.payload.get("exp") is None:
        raise Untrusted("the presentation does not say when it expires (exp)")


def inner_presentation(token: str) -> tuple[str, Jws | None]:
    """The `vp+jwt` in an outer token of an Eclipse connector, and that outer token; else the token itself."""
    parsed = jws.parse(token)
    if not is_enveloped(parsed.payload, "vp"):
        return token, None
    inner, older = unwrapped({"@context": V2, **parsed.payload, "type": PRESENTATION}, "vp")
    if older or is_enveloped(jws.parse(inner).payload, "vp"):
        raise RemoteProtocolError(f"a presentation has at most {_MAX_LAYERS} envelopes")
    return inner, parsed


def outer(token: Jws, now: float) -> Enveloped:
    """The outer token of a double envelope, its period checked, its signature not yet. Raises as `read`."""
    _check_times(token.payload, now)
    if not isinstance(token.header.get("kid"), str) or not isinstance(token.payload.get("iss"), str):
        raise RemoteProtocolError("the outer token of the presentation needs a kid and an iss")
    return Enveloped(token, token.payload, token.payload["iss"])


def credential_jwt(document: Mapping[str, Any], key: Signer, kid: str) -> str:
    """A credential of VCDM 2.0 as `vc+jwt`."""
    return jws.sign({"typ": "vc+jwt", "cty": "vc", "kid": kid}, document, key)


def presentation_jwt(
    credentials: Sequence[str],
    key: Signer,
    kid: str,
    *,
    audience: str,
    now: float,
    lifetime: float,
    token_id: str,
    nonce: str | None = None,
    double: bool = False,
) -> str:
    """A presentation of `vc+jwt` credentials as `vp+jwt`. Times in seconds.

    `double` wraps it once more, in the form that Eclipse connectors send and demand.
    """
    holder = kid.partition("#")[0]
    claims: dict[str, Any] = {"iss": holder, "aud": audience, "jti": token_id}
    claims |= {"iat": int(now), "nbf": int(now), "exp": int(now + lifetime)}
    claims |= {"nonce": nonce} if nonce is not None else {}
    document = {
        "@context": [V2],
        "type": ["VerifiablePresentation"],
        "holder": holder,
        "verifiableCredential": [envelope(token, "vc") for token in credentials],
    }
    inner = jws.sign({"typ": "vp+jwt", "cty": "vp", "kid": kid}, {**document, **claims}, key)
    if not double:
        return inner
    return jws.sign({"typ": "JWT", "kid": kid}, {**claims, "sub": holder, **envelope(inner, "vp")}, key)


def older_credential_jwt(document: Mapping[str, Any], key: Signer, kid: str, token_id: str) -> str:
    """A credential as a JWT with a `vc` claim (VCDM 1.1 §6.3.1), which holds all of it.

    The form belongs to data model 1.1; Eclipse connectors want status lists of 2.0 in it as well.
    """
    claims: dict[str, Any] = {"iss": identifier(document.get("issuer")), "jti": document.get("id", token_id)}
    subject = document.get("credentialSubject")
    if isinstance(subject, dict) and "id" in subject:
        claims["sub"] = subject["id"]
    for claim, member in (
        ("nbf", "issuanceDate"),
        ("nbf", "validFrom"),
        ("exp", "expirationDate"),
        ("exp", "validUntil"),
    ):
        if member in document:
            claims[claim] = int(instant(document[member], member))
    return jws.sign({"typ": "JWT", "kid": kid}, {**claims, "vc": dict(document)}, key)


def older_presentation_jwt(
    credentials: Sequence[str],
    key: Signer,
    kid: str,
    *,
    audience: str,
    now: float,
    lifetime: float,
    token_id: str,
) -> str:
    """A presentation of VCDM 1.1 as a JWT with a `vp` claim."""
    holder = kid.partition("#")[0]
    claims = {"iss": holder, "sub": holder, "aud": audience, "jti": token_id}
    times = {"iat": int(now), "nbf": int(now), "exp": int(now + lifetime)}
    vp = {
        "@context": ["https://www.w3.org/2018/credentials/v1"],
        "type": ["VerifiablePresentation"],
        "holder": holder,
        "verifiableCredential": [*credentials],
    }
    return jws.sign({"typ": "JWT", "kid": kid}, {**claims, **times, "vp": vp}, key)


def _check_times(claims: Mapping[str, Any], now: float | None, leeway: float = 5) -> None:
    found = {}
    for name in ("exp", "nbf", "iat"):
        if name not in claims:
            continue
        value = claims[name]
        if name == "iat" and isinstance(value, str):
            value = instant(value, "iat")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e11:
            raise RemoteProtocolError(f"the JWT's {name} is {shown(value)}, not a time in seconds")
        found[name] = value
    if now is None:
        return
    if found.get("exp", now + 1) <= now:
        raise Untrusted("the JWT has expired (exp)")
    if found.get("nbf", now) > now + leeway:
        raise Untrusted("the JWT is not valid yet (nbf)")
    if found.get("iat", now) > now + leeway:
        raise Untrusted("the JWT says that it is issued in the future (iat)")
