"""What everybody needs is asked for at start, when it is about to end, and when the settings say so."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from connector.flows.membership import renewal
from connector.store import issuance as rows
from connector.store.wallet import Held
from tests.flows.away import Away
from tests.nodes import Running
from tests.space import MEMBER, RECYCLER, settled, space

DAY = 86_400.0
MONTHLY = {MEMBER: {"to": "everyone", "lasts": "30 days"}}


def ends(node: Running) -> list[float]:
    return [one.until for one in node.node.wallet.held()]


async def test_a_membership_is_renewed_before_it_ends(tmp_path: Path) -> None:
    """When its last tenth begins the node asks again by itself; the new one takes the place of the old."""
    async with space(tmp_path, MONTHLY) as made:
        member = await made.add("member")
        (first,) = ends(member)
        made.clock.advance(26 * DAY)
        await settled(member, made.authority)
        assert ends(member) == [first]
        made.clock.advance(1.1 * DAY)
        await settled(member, made.authority)
        (second,) = ends(member)
        assert second >= first + 26 * DAY
        made.clock.advance(27.1 * DAY)
        await settled(member, made.authority)
        (third,) = ends(member)
        assert third >= second + 26 * DAY
        assert len(made.authority.node.issuer.issued(member.did)) == 3


async def test_what_ended_while_the_node_was_off_is_asked_for_at_start(tmp_path: Path) -> None:
    """An expired membership is as good as none."""
    async with space(tmp_path, MONTHLY) as made:
        member = await made.add("member")
        made.clock.ahead = 40 * DAY
        member.node.membership.look()  # as at start; no timer has told it
        await settled(member, made.authority)
        assert len(made.authority.node.issuer.issued(member.did)) == 2


async def test_a_request_that_waits_is_not_made_again(tmp_path: Path) -> None:
    """While the authority has yet to decide, looking again asks nothing; its decision arms the next look."""
    async with space(tmp_path, {MEMBER: {"lasts": "30 days"}}) as made:
        member, issuer = await made.add("member"), made.authority.node.issuer
        member.node.membership.look()
        await settled(member, made.authority)
        (waiting,) = issuer.requests()
        assert [one.status for one in member.node.wallet.requests()] == ["REQUESTED"]
        await issuer.approve(waiting.pid)
        await settled(made.authority, member)
        assert member.node.membership.due() == frozenset()


@pytest.mark.parametrize("lost", ["given up", "forgotten"])
async def test_a_request_that_nothing_will_come_of_is_made_again(tmp_path: Path, lost: str) -> None:
    """What the authority could not deliver in time, or has no record of, does not keep a member waiting."""
    async with space(tmp_path, {MEMBER: {"lasts": "30 days"}}) as made:
        member, issuer = await made.add("member"), made.authority.node.issuer
        (waiting,) = issuer.requests()
        changes = {"status": "ISSUED"} if lost == "given up" else {"holder": "did:web:else.example"}
        await made.authority.node.db.write(lambda tx: rows.save(tx, replace(waiting, **changes)))
        member.node.membership.look()
        await settled(member, made.authority)
        assert len(issuer.requests()) == 2
        again, before = member.node.wallet.requests()
        assert (again.status, before.status) == ("REQUESTED", "REJECTED")
        assert ("ISSUED" if lost == "given up" else "knows it no more") in before.reason


async def test_another_request_does_not_stand_in_the_way(tmp_path: Path) -> None:
    """A membership is asked for although a request for a role waits with the same authority."""
    async with space(tmp_path) as made:
        member = await made.add("member", credentials={"require": []})
        await member.node.wallet.request(made.authority.did, (RECYCLER,))
        await member.node.wallet.ask_once(made.authority.did, frozenset({MEMBER, RECYCLER}))
        await settled(member, made.authority)
        assert [one.type for one in member.node.wallet.held()] == [MEMBER]
        asked = [one.objects for one in made.authority.node.issuer.requests()]
        assert asked == [(f"{MEMBER}:vc11-sl2021/jwt",), (f"{RECYCLER}:vc11-sl2021/jwt",)]


async def test_an_authority_that_is_away_is_asked_again(tmp_path: Path) -> None:
    """Until it answers; then its answer comes, and nothing is asked any more."""
    async with space(tmp_path) as made, asyncio.timeout(20):
        network = Away()
        member = await made.add("member", {"transport": network}, credentials={"authority": None})
        network.away = True
        member.node.membership.authority = made.authority.did
        member.node.membership.look()
        while network.asked < 3:
            made.clock.advance(10)
            await asyncio.sleep(0)
        network.away = False
        while not member.node.wallet.held():
            made.clock.advance(10)
            await asyncio.sleep(0)
        await settled(member, made.authority)
        assert len(made.authority.node.issuer.requests()) == 1
        await network.client.close()


async def test_a_reload_joins(tmp_path: Path) -> None:
    """An authority that comes into the settings of a running node is asked at once."""
    async with space(tmp_path) as made:
        member = await made.add("member", credentials={"authority": None, "require": []})
        assert member.node.wallet.held() == []
        new = {"authority": made.authority.did, "require": (MEMBER,)}
        credentials = member.node.config.credentials.model_copy(update=new)
        member.node._reread = lambda: member.node.config.model_copy(update={"credentials": credentials})
        member.node.reload()
        await settled(member, made.authority)
        assert [one.type for one in member.node.wallet.held()] == [MEMBER]


@pytest.mark.parametrize(("until", "when"), [(1_000.0, 910.0), (None, float("inf"))])
def test_the_last_tenth(until: float | None, when: float) -> None:
    """The life that counts begins when the credential came."""
    assert renewal(Held("urn:x", MEMBER, "did:web:a", "f", "t", {}, None, 100.0, until)) == when
