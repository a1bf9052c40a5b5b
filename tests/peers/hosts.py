"""A clock and a network for tests of what needs neither: seconds and answers as told."""

import asyncio
import json
from collections.abc import Mapping

from connector.errors import AnodeError
from connector.peers.client import Answer
from connector.vc import did as did_web

A = "did:web:a.example"


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Hosts:
    """A Transport to hosts that answer as told: `answers[url]` is an Answer, or an error to raise."""

    def __init__(self, answers: dict[str, Answer | AnodeError] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 0,
        max_bytes: int = 0,
    ) -> Answer:
        """Answer once `open` is set."""
        self.asked.append(url)
        await self.open.wait()
        answer = self.answers.get(url, Answer(404, {}, b""))
        if isinstance(answer, AnodeError):
            raise answer
        return answer

    def publish(self, document: object, did: str = A) -> None:
        """Put `document` where `did` says."""
        self.answers[did_web.document_url(did)] = Answer(200, {}, json.dumps(document).encode())
