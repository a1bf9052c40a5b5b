"""A data space's authority as a command without a running node sees it: through the guard that nodes have."""

import time

from connector.config import Config
from connector.errors import RemoteProtocolError
from connector.flows import issuers
from connector.peers.client import Client
from connector.peers.did_web import DidResolver
from connector.peers.egress import Egress, Reach

_TIMEOUT = 10.0


async def given_by(authority: str, reach: Reach) -> frozenset[str]:
    """The types of credentials that an issuer (a DID) gives.

    Raises Unavailable (not reached), EgressDenied (not within reach), Untrusted (no sound DID document),
    NotFound (it is no issuer), RemoteProtocolError (it gives none).
    """
    client = Client(Egress(reach))
    try:
        resolver = DidResolver(client, "http" if reach == "loopback" else "https", time.time)
        told = await issuers.metadata(resolver, client, authority, _TIMEOUT)
    finally:
        await client.close()
    types = frozenset(one.credential_type for one in told if one.credential_type)
    if not types:
        raise RemoteProtocolError(f"{authority} gives no credentials: is it the authority?")
    return types


def missing(config: Config, given: frozenset[str]) -> list[str]:
    """Types that the settings require and the authority does not give; others may."""
    elsewhere = config.credentials.trusted
    return [type_ for type_ in config.credentials.require if type_ not in given and type_ not in elsewhere]
