"""Self-issued ID tokens and the access tokens inside them: what is in one, and which are to be believed.

Decentralized Claims Protocol 1.0.1, "Self-Issued ID Tokens". The signature, and whether a `jti` was used
before, are checked by who calls (`flows/identify`): the first needs the sender's DID document, the second
a memory.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from connector.errors import Untrusted
from connector.vc.did import MAX_LENGTH
from connector.vc.jose import shown

LIFETIME = 60
"""Seconds that our own tokens live."""
MAX_LIFETIME = 600
"""Longest life, in seconds, that a peer's token may have: what Eclipse connectors give theirs."""
LEEWAY = 5
"""Seconds that two clocks may differ."""
_MAX_JTI = 256


ACCESS_LIFETIME = 300
"""Seconds that our access tokens live: a verifier asks within moments, and once more when a peer is slow."""


class Statement(NamedTuple):
    """What a sound token says: who (a DID), its one-time id, issued and expires in epoch seconds.

    `token` is the access token in it, by which its sender's credentials can be asked for.
    """

    did: str
    jti: str
    iat: float
    exp: float
    token: str | None = None


def claims(
    did: str, audience: str, now: float, jti: str, lifetime: int = LIFETIME, token: str | None = None
) -> dict[str, Any]:
    """The claims by which `did` proves itself to `audience` (both DIDs), once, within `lifetime` seconds.

    There is no `nbf`: it adds nothing to `iat` but one more way for two clocks to disagree.
    """
    issued = int(now)
    stated = {"iss": did, "sub": did, "aud": audience, "iat": issued, "exp": issued + lifetime, "jti": jti}
    return stated if token is None else {**stated, "token": token}


def access_claims(did: str, bearer: str, scopes: Sequence[str], now: float) -> dict[str, Any]:
    """The claims of an access token ("Verifiable Presentation Access Token"): from `did` to itself.

    Only `bearer`, proving itself by a token of its own, can use it, and for these scopes.
    """
    issued = int(now)
    times = {"iat": issued, "exp": issued + ACCESS_LIFETIME}
    return {"iss": did, "aud": did, "sub": bearer, "scope": " ".join(scopes), **times}


def check_access(claims: Mapping[str, Any], own_did: str, bearer: str, now: float) -> list[str]:
    """The scopes of an access token of ours that `bearer` shows. Raises Untrusted.

    Its signature must be checked too: with our own keys.
    """
    if claims.get("iss") != own_did or claims.get("aud") != own_did:
        raise Untrusted("the access token (token) is not one that this participant has given out")
    if claims.get("sub") != bearer:
        raise Untrusted(f"the access token (token) was given to another participant than {shown(bearer)}")
    if _time(claims, "exp") <= now:
        raise Untrusted("the access token (token) has expired; it comes anew with each request of ours")
    scope = claims.get("scope")
    if not isinstance(scope, str):
        raise Untrusted("the access token (token) has no scope")
    return scope.split()


def check(
    claims: Mapping[str, Any],
    own_did: str,
    now: float,
    max_lifetime: float = MAX_LIFETIME,
    leeway: float = LEEWAY,
) -> Statement:
    """What the claims of a token say, if they are sound for us at `now`. Raises Untrusted."""
    did = claims.get("iss")
    if not isinstance(did, str) or not did.startswith("did:") or len(did) > MAX_LENGTH:
        raise Untrusted(f"the token's iss must be the sender's DID, not {shown(did)}")
    if claims.get("sub") != did:
        raise Untrusted(f"the token's sub must equal its iss ({shown(did)}), not {shown(claims.get('sub'))}")
    audience = claims.get("aud")
    if audience != own_did and not (isinstance(audience, list) and own_did in audience):
        raise Untrusted(f"the token is for {shown(audience)}; its aud must be {own_did}")
    if "vp" in claims or "vc" in claims:
        raise Untrusted("the token is a credential or presentation (vc, vp), not a self-issued ID token")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_JTI:
        raise Untrusted(f"the token's jti must be a string of 1 to {_MAX_JTI} characters")
    token = claims.get("token")
    if token is not None and (not isinstance(token, str) or not token):
        raise Untrusted("the token's access token (token) must be a string that is not empty")
    iat, exp = _time(claims, "iat"), _time(claims, "exp")
    if exp + leeway <= now:
        raise Untrusted(f"the token expired {now - exp:.0f} s ago; sign a new one for each request")
    if iat > now + leeway:
        raise Untrusted(f"the token is from {iat - now:.0f} s in the future; check both clocks")
    if exp <= iat:
        raise Untrusted("the token expires before it was issued")
    if exp - iat > max_lifetime:
        raise Untrusted(f"the token lives for {exp - iat:.0f} s; {max_lifetime:.0f} s is the most")
    if "nbf" in claims and (nbf := _time(claims, "nbf")) > now + leeway:
        raise Untrusted(f"the token is valid only in {nbf - now:.0f} s (nbf); check both clocks")
    return Statement(did, jti, iat, exp, token)


def _time(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate (RFC 7519 §2)."""
    value = claims.get(name)
    # Not bool, which is an int to Python; the bounds are the years 1970 to 5138 and keep out NaN.
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e11:
        return value
    raise Untrusted(f"the token's {name} must be a number of seconds since 1970, not {shown(value)}")
