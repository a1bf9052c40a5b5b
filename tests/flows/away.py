"""A transport on which, for a while, nobody answers."""

from typing import Any

from connector.errors import Unavailable
from connector.peers.client import Answer, Client
from connector.peers.egress import Egress


class Away:
    """The network, on which nobody answers for now."""

    def __init__(self) -> None:
        self.client, self.away, self.asked = Client(Egress("loopback")), False, 0

    async def request(self, *arguments: Any, **named: Any) -> Answer:
        if self.away:
            self.asked += 1
            raise Unavailable("nobody answers")
        return await self.client.request(*arguments, **named)
