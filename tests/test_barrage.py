"""One host does everything at once that a hostile peer can do; members go on as if nothing were."""

import asyncio
import gzip
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from aiohttp import web

from connector.node import Parts
from tests.nodes import running
from tests.rogue import MEMBER, Party, Rogue, rogue
from tests.space import Shifted, settled
from tests.web.test_dcp import ISSUES, OFFER, QUERY, REQUEST, STORE, TOKENS, delivery, query, request

SOON = 10.0
"""Seconds in which an honest request must be answered. A node at rest takes a hundredth of one."""
AT_ONCE = 6
"""How many of each attack are under way at any time."""


class Attacks:
    """Each way to be a burden, as a coroutine that does it once and gives the status of the answer."""

    def __init__(self, host: Rogue, url: str, us: str, issuer: Party) -> None:
        self.host, self.url, self.us, self.issuer = host, url, us, issuer
        self.bomb = web.Response(body=gzip.compress(b" " * (8 << 20)), headers={"Content-Encoding": "gzip"})
        self.member, _ = host.party("member"), host.party("issuer")
        self.answers: Counter[int] = Counter()

    def all(self) -> list[Callable[[], Awaitable[tuple[int, Any]]]]:
        return [
            self.document(self.host.nothing), self.document(self.host.endless), self.document(self.bomb),
            self.document(b"[" * 10_000), self.wallet(self.host.nothing), self.wallet(self.bomb),
            self.wallet(b"[" * 10_000), self.own_credentials, self.list(self.host.nothing),
            self.list(self.bomb), self.tokens, self.replays, self.floods, self.deliveries, self.queries,
            self.bodies,
        ]  # fmt: skip

    def document(self, bent: Any) -> Callable[[], Awaitable[tuple[int, Any]]]:
        async def attack() -> tuple[int, Any]:
            party = self.host.party()
            self.host.bent[f"/{party.name}/did.json"] = bent
            return await party.ask(self.url, self.us)

        return attack

    def wallet(self, bent: Any) -> Callable[[], Awaitable[tuple[int, Any]]]:
        async def attack() -> tuple[int, Any]:
            party = self.host.party()
            self.host.bent[f"/{party.name}/wallet/presentations/query"] = bent
            return await party.ask(self.url, self.us)

        return attack

    def list(self, bent: Any) -> Callable[[], Awaitable[tuple[int, Any]]]:
        """What only a real member can do: its credential's issuer has a list, and it is bent."""

        async def attack() -> tuple[int, Any]:
            party = self.host.party()
            path = f"/lists/{party.name}"
            self.host.bent[path] = bent
            held = self.issuer.listed(party.did, f"{self.host.url}{path}")
            party.presents = [party.presentation(self.us, held)]
            return await party.ask(self.url, self.us)

        return attack

    async def own_credentials(self) -> tuple[int, Any]:
        party = self.host.party()
        subject = {"id": party.did, "x": "y" * 5_000}
        held = [party.credential(party.did, credentialSubject=subject) for _ in range(40)]
        party.presents = [party.presentation(self.us, *held)]
        return await party.ask(self.url, self.us)

    async def tokens(self) -> tuple[int, Any]:
        party = self.host.party()
        for make, _ in TOKENS.values():
            found = await party.ask(self.url, self.us, make(party, self.us))
        return found

    async def replays(self) -> tuple[int, Any]:
        token = self.member.token(self.us)
        for _ in range(10):
            found = await self.member.ask(self.url, self.us, token)
        return found

    async def floods(self) -> tuple[int, Any]:
        return await self.send(self.member, REQUEST, request(*[f"{MEMBER}:vc11-sl2021/jwt"] * 50))

    async def deliveries(self) -> tuple[int, Any]:
        party = self.host.party()
        list_ = f"{self.host.url}/{party.name}/list"
        return await self.send(party, STORE, delivery(*[party.listed(self.us, list_)] * 50))

    async def queries(self) -> tuple[int, Any]:
        return await self.send(self.host.party(), QUERY, query(*["a:b"] * 50))

    async def bodies(self) -> tuple[int, Any]:
        await self.send(self.host.party(), OFFER, b"[" * 100_000)
        return await self.send(self.host.party(), OFFER, b"x" * (1 << 21))

    async def send(self, party: Party, path: str, body: Any) -> tuple[int, Any]:
        return await self.host.post(self.url + path, party.token(self.us), body)

    async def go_on(self, attack: Callable[[], Awaitable[tuple[int, Any]]]) -> None:
        """The same again and again."""
        while True:
            code, _ = await attack()
            self.answers[code] += 1


async def test_members_are_served_while_one_host_does_its_worst(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A hundred attacks at any time, of sixteen kinds: a known member's requests are answered soon, newcomers
    of another host become known, and nothing that the attacker sent is kept or fails in us."""
    clock = Shifted()
    (tmp_path / "issuer.yaml").write_text(yaml.safe_dump(ISSUES))
    async with rogue(clock.now) as authority, rogue(clock.now) as honest, rogue(clock.now) as hostile:
        issuer = authority.party("issuer")
        given = {"authority": issuer.did, "require": [MEMBER], "issue": str(tmp_path / "issuer.yaml")}
        async with running(tmp_path / "node", parts=Parts(clock=clock), credentials=given) as node:
            await settled(node)

            async def served(party: Party) -> None:
                party.presents = [party.presentation(node.did, issuer.credential(party.did))]
                async with asyncio.timeout(SOON):
                    assert (await party.ask(node.url, node.did))[0] == 200

            members = [honest.party() for _ in range(5)]
            await served(members[0])
            attacks = Attacks(hostile, node.url, node.did, issuer)
            under_way = [
                asyncio.create_task(attacks.go_on(attack)) for attack in attacks.all() for _ in range(AT_ONCE)
            ]
            with caplog.at_level(logging.ERROR):
                while attacks.answers.total() < 150:
                    await served(members[0])
                for newcomer in members[1:]:
                    await served(newcomer)
                clock.ahead += 301  # what is known of all must be fetched anew, amid all this
                for member in members:
                    await served(member)
                failed = [task for task in under_way if task.done()]
                for task in under_way:
                    task.cancel()
                await asyncio.gather(*under_way, return_exceptions=True)
            assert failed == []
            assert set(attacks.answers) <= {200, 201, 400, 401, 403, 404, 503}
            assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []
            kept = node.node.db.read.execute("SELECT participant, credentials FROM presented").fetchall()
            assert {did for did, _ in kept} <= {member.did for member in members}
            assert all(len(json.loads(credentials)) == 1 for _, credentials in kept)
            assert len(node.node.issuer.issued(attacks.member.did)) <= 100
            assert psutil.Process().memory_info().rss < 1 << 30
