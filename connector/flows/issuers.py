"""Issuers as everybody sees them: where they are found, what they give, what their answers mean.

Decentralized Claims Protocol 1.0.1, "Issuer Metadata API".
"""

from connector.dcp import messages
from connector.dcp.messages import CredentialObject, IssuerMetadata
from connector.errors import Denied, RemoteProtocolError, Unavailable
from connector.flows.peers import reasons
from connector.peers.client import Answer, Transport
from connector.peers.did_web import DidResolver
from connector.vc import did as did_web
from connector.vc.jose import shown

TIMEOUT = 30.0


async def service(resolver: DidResolver, issuer: str) -> str:
    """The base URL of an issuer's service. Raises NotFound: its DID document names none."""
    return did_web.service_endpoint(await resolver.resolve(issuer), "IssuerService").rstrip("/")


async def metadata(
    resolver: DidResolver, transport: Transport, issuer: str, timeout: float = TIMEOUT
) -> list[CredentialObject]:
    """What an issuer can give. Raises NotFound: it has no such service; Unavailable: not reached now."""
    where = f"{await service(resolver, issuer)}/metadata"
    answer = await transport.request("GET", where, timeout=timeout)
    expect(answer, issuer, {200})
    told = messages.parse(answer.json(), IssuerMetadata)
    if told.issuer != issuer:
        raise RemoteProtocolError(f"the metadata of {issuer} is that of {shown(told.issuer)}")
    return told.credentials_supported


def expect(answer: Answer, issuer: str, statuses: set[int]) -> None:
    """Raise what an answer of another status means: Denied, Unavailable or RemoteProtocolError."""
    if answer.status in statuses:
        return
    said = "; ".join(reasons(answer))[:500]
    what = f"the issuer {issuer} answered {answer.status}{said and f': {said}'}"
    if answer.status >= 500:
        raise Unavailable(what)
    raise Denied(what) if answer.status in (401, 403) else RemoteProtocolError(what)
