"""How foreign peers say who they are. Both are mocks: they live here, where no product setting can reach."""

import json
from dataclasses import dataclass

from connector.errors import Untrusted
from connector.flows.identify import Caller


@dataclass(frozen=True, slots=True)
class FixedIdentity:
    """Everyone who calls is `peer`, whatever the header says: what the conformance kit wants."""

    peer: str

    async def authorization(self, audience: str, types: frozenset[str] = frozenset()) -> str:
        return "Bearer kit"

    async def authenticate(self, authorization: str | None) -> Caller:
        return Caller(self.peer)


@dataclass(frozen=True, slots=True)
class MockIdentity:
    """EDC's mock (`iam-mock`): the header is bare JSON and its `clientId` is believed."""

    participant: str

    async def authorization(self, audience: str, types: frozenset[str] = frozenset()) -> str:
        # EDC 0.15 answers 500 without `region`; "any" is the audience it sends itself.
        return json.dumps({"region": "eu", "audience": "any", "clientId": self.participant})

    async def authenticate(self, authorization: str | None) -> Caller:
        try:
            client = json.loads(authorization or "")["clientId"]
        except (ValueError, KeyError, TypeError):
            raise Untrusted("the Authorization header is not EDC's mock token") from None
        if not isinstance(client, str) or not client:
            raise Untrusted("the mock token's clientId is not a participant id")
        return Caller(client)
