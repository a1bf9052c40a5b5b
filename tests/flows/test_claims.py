"""Claims between nodes: presented, verified, remembered, and gone when their issuer says so."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from connector.dcp.trust import Trust
from connector.errors import Denied
from connector.flows.transfer import DataAddress
from tests.flows.away import Away
from tests.nodes import Running, until
from tests.space import MEMBER, RECYCLER, Space, settled, space

DATASET = "urn:x:dismantling"
POLICIES = {
    "recyclers": {"offer": "everyone", "allow": "use", "when": [{"credential": RECYCLER}]},
    "members": {"offer": {"credential": MEMBER}, "allow": "use"},
}
DATASETS = [
    {"id": DATASET, "title": "Dismantling", "offers": ["recyclers"], "source": {"inline": {"a": 1}}},
    {"id": "urn:x:members", "title": "Members", "offers": ["members"], "source": {"inline": {"b": 1}}},
]
OFFER = {"policies": POLICIES, "datasets": DATASETS}


async def negotiate(consumer: Running, provider: Running, dataset_id: str = DATASET) -> Any:
    """Ask for the first offer of a dataset; the negotiation at its end."""
    peer = await consumer.node.peers.find(provider.did)
    offer, *_ = await consumer.node.peers.offers(peer, dataset_id)
    process = await consumer.node.negotiations.request(peer.participant, peer.address, offer)
    return await until(consumer, process.pid, "FINALIZED")


async def transfer(consumer: Running, agreement: str) -> DataAddress:
    process = await consumer.node.transfers.request(agreement)
    started = await until(consumer, process.pid, "STARTED")
    assert started.state == "STARTED", started.reason
    return consumer.node.peers.data_address(process.pid)


async def read(address: DataAddress, purpose: str | None = None) -> tuple[int, Any]:
    headers = {"Authorization": address.authorization, **({"Usage-Purpose": purpose} if purpose else {})}
    async with aiohttp.ClientSession() as session, session.get(address.endpoint, headers=headers) as answer:
        return answer.status, await answer.json()


async def recycler_and_provider(made: Space) -> tuple[Running, Running]:
    provider = await made.add("provider", **OFFER)
    return await made.add("recycler"), provider


async def test_members_get_their_credential_by_joining(tmp_path: Path) -> None:
    """A node that names an authority asks it for what everybody needs, and holds it soon after its start."""
    async with space(tmp_path) as made:
        member = await made.add("member")
        (held,) = member.node.wallet.held()
        assert (held.type, held.issuer, held.format) == (MEMBER, made.authority.did, "vc11-sl2021/jwt")
        assert held.document["credentialSubject"] == {"id": member.did, "memberOf": "Batteries"}


async def test_a_stranger_without_membership_is_told_which_credential_is_missing(tmp_path: Path) -> None:
    """Who presents no membership sees nothing; the refusal names the credential and who gives it."""
    async with space(tmp_path) as made:
        provider = await made.add("provider", **OFFER)
        stranger = await made.add("stranger", credentials={"authority": None, "require": []})
        peer = await stranger.node.peers.find(provider.did)
        with pytest.raises(Denied) as caught:
            await stranger.node.peers.catalog(peer)
        assert f"{stranger.did} has presented no {MEMBER} that is valid now" in str(caught.value)
        assert f"get it from {made.authority.did}" in str(caught.value)


async def test_what_everybody_needs_is_presented_without_being_asked(tmp_path: Path) -> None:
    """Members trade: each request carries an access token, and the other side reads the membership by it."""
    async with space(tmp_path) as made:
        member, provider = await recycler_and_provider(made)
        peer = await member.node.peers.find(provider.did)
        catalog, _ = await member.node.peers.catalog(peer)
        assert [d["@id"] for d in catalog["dataset"]] == [DATASET, "urn:x:members"]
        done = await negotiate(member, provider, "urn:x:members")
        assert done.state == "FINALIZED", done.reason
        assert await read(await transfer(member, done.details["agreement"])) == (200, {"b": 1})
        assert provider.node.presentations.of(member.did).held[MEMBER][0].subject["memberOf"] == "Batteries"
        assert MEMBER in member.node.presentations.of(provider.did).held


async def test_a_policy_asks_for_a_credential_and_names_it(tmp_path: Path) -> None:
    """The offer is seen without it; the negotiation ends with its name; with it, the data is read."""
    async with space(tmp_path) as made:
        recycler, provider = await recycler_and_provider(made)
        refused = await negotiate(recycler, provider)
        assert refused.state == "TERMINATED"
        assert f"needs a {RECYCLER}" in refused.reason
        assert f"get one from {made.authority.did}" in refused.reason
        await made.give(recycler, RECYCLER)
        done = await negotiate(recycler, provider)  # at once: a new access token is a reason to ask again
        assert done.state == "FINALIZED", done.reason
        assert await read(await transfer(recycler, done.details["agreement"])) == (200, {"a": 1})


async def test_a_new_credential_counts_in_the_place_of_a_revoked_one(tmp_path: Path) -> None:
    """Who gets another one after a revocation is asked again, although it was asked moments ago."""
    async with space(tmp_path) as made:
        recycler, provider = await recycler_and_provider(made)
        revoked = await made.give(recycler, RECYCLER)
        await made.authority.node.issuer.set_state(revoked, "revoked")
        made.clock.ahead = 301
        assert (await negotiate(recycler, provider)).state == "TERMINATED"
        await made.give(recycler, RECYCLER)
        done = await negotiate(recycler, provider)
        assert done.state == "FINALIZED", done.reason


async def test_a_request_that_shows_less_takes_nothing_back(tmp_path: Path) -> None:
    """A look at the catalog presents the membership only; running transfers of other credentials go on."""
    async with space(tmp_path) as made:
        recycler, provider = await recycler_and_provider(made)
        await made.give(recycler, RECYCLER)
        done = await negotiate(recycler, provider)
        address = await transfer(recycler, done.details["agreement"])
        made.clock.ahead = 301
        peer = await recycler.node.peers.find(provider.did)
        await recycler.node.peers.catalog(peer)
        assert await read(address) == (200, {"a": 1})
        made.clock.ahead = 31 * 86_400  # the credential has ended meanwhile, and counts no more
        await recycler.node.peers.catalog(peer)
        assert RECYCLER not in provider.node.presentations.of(recycler.did).held


@pytest.mark.parametrize("type_", [RECYCLER, MEMBER])
async def test_a_revoked_credential_ends_running_transfers(tmp_path: Path, type_: str) -> None:
    """Within the time that a status list is kept, data is refused and the transfer ends, with the reason."""
    async with space(tmp_path) as made:
        recycler, provider = await recycler_and_provider(made)
        await made.give(recycler, RECYCLER)
        done = await negotiate(recycler, provider)
        address = await transfer(recycler, done.details["agreement"])
        assert (await read(address))[0] == 200
        issued = made.authority.node.issuer.issued(recycler.did)
        await made.authority.node.issuer.set_state(next(i.id for i in issued if i.type == type_), "revoked")
        assert (await read(address))[0] == 200
        made.clock.ahead = 301
        status, body = await read(address)
        assert status == 403
        assert "revoked by its issuer" in str(body)
        (pid,) = provider.node.db.read.execute(
            "SELECT pid FROM processes WHERE subject = 'transfer'"
        ).fetchone()
        ended = await until(provider, pid, "TERMINATED")
        assert "revoked by its issuer" in ended.reason


async def test_time_ends_a_transfer_whatever_was_proved(tmp_path: Path) -> None:
    """A permission for holders of a credential, for a while, ends by itself; only time is blamed."""
    lease = {**POLICIES["recyclers"], "when": [{"credential": RECYCLER}, {"for": "1 hour"}]}
    async with space(tmp_path) as made:
        provider = await made.add("provider", policies={"recyclers": lease}, datasets=DATASETS[:1])
        recycler = await made.add("recycler")
        await made.give(recycler, RECYCLER)
        done = await negotiate(recycler, provider)
        process = await recycler.node.transfers.request(done.details["agreement"])
        assert (await until(recycler, process.pid, "STARTED")).state == "STARTED"
        made.clock.advance(3_601)
        ended = await until(recycler, process.pid, "TERMINATED")
        assert "The permission ended on" in ended.reason
        assert RECYCLER not in ended.reason


async def test_what_was_presented_outlives_a_restart(tmp_path: Path) -> None:
    """After a restart data is served by what was presented before, looked at again."""
    async with space(tmp_path) as made:
        recycler, provider = await recycler_and_provider(made)
        await made.give(recycler, RECYCLER)
        done = await negotiate(recycler, provider)
        address = await transfer(recycler, done.details["agreement"])
        provider.node.presentations.forget()
        assert (await read(address))[0] == 200


async def test_nobody_reads_more_than_was_granted(tmp_path: Path) -> None:
    """A verifier that asks for more than the access token allows gets less, not an error."""
    async with space(tmp_path) as made:
        recycler, provider = await recycler_and_provider(made)
        await made.give(recycler, RECYCLER)
        peer = await recycler.node.peers.find(provider.did)
        await recycler.node.peers.catalog(peer)
        claims = provider.node.presentations.of(recycler.did)
        assert set(claims.held) == {MEMBER}
        header = await recycler.node.identity.authorization(provider.did)
        caller = await provider.node.identity.authenticate(header)
        await provider.node.presentations.ensure(caller, frozenset({RECYCLER}))
        assert provider.node.presentations.of(recycler.did).held[RECYCLER] == ()


async def test_a_known_participant_is_not_asked_again(tmp_path: Path) -> None:
    """While a presentation is kept, requests cause no request back."""
    async with space(tmp_path) as made:
        recycler, provider = await recycler_and_provider(made)
        peer = await recycler.node.peers.find(provider.did)
        await recycler.node.peers.catalog(peer)
        kept = provider.node.presentations.of(recycler.did)
        await recycler.node.peers.catalog(peer)
        assert provider.node.presentations.of(recycler.did) is kept


async def test_trust_is_read_anew(tmp_path: Path) -> None:
    """An issuer taken out of the settings is not believed any more, without a restart."""
    async with space(tmp_path) as made:
        recycler, provider = await recycler_and_provider(made)
        peer = await recycler.node.peers.find(provider.did)
        await recycler.node.peers.catalog(peer)
        settings = provider.node.config.credentials.model_copy(update={"authority": "did:web:other.example"})
        provider.node._reread = lambda: provider.node.config.model_copy(update={"credentials": settings})
        provider.node.reload()
        with pytest.raises(Denied, match="is not trusted to issue it"):
            await recycler.node.peers.catalog(peer)


async def test_requests_that_the_file_does_not_allow_wait(tmp_path: Path) -> None:
    """A request waits for the operator; approved, its credential comes; rejected, the reason does."""
    async with space(tmp_path) as made:
        member, issuer = await made.add("member"), made.authority.node.issuer
        first = await member.node.wallet.request(made.authority.did, (RECYCLER,))
        await settled(made.authority)
        assert (await member.node.wallet.refresh(first.pid)).status == "RECEIVED"
        await issuer.approve(first.issuer_pid, {"site": "Hamburg"})
        await settled(made.authority, member)
        (held,) = [one for one in member.node.wallet.held() if one.type == RECYCLER]
        assert held.document["credentialSubject"]["site"] == "Hamburg"
        second = await member.node.wallet.request(made.authority.did, (RECYCLER,))
        await issuer.reject(second.issuer_pid, "no such site")
        await settled(made.authority, member)
        (refused,) = [r for r in member.node.wallet.requests() if r.pid == second.pid]
        assert (refused.status, refused.reason) == ("REJECTED", "no such site")


async def test_what_others_need_to_prove_is_nothing_to_a_stranger(tmp_path: Path) -> None:
    """Whoever writes into the process of somebody else is not asked for what that one has to prove."""
    async with space(tmp_path) as made:
        recycler, provider = await recycler_and_provider(made)
        other = await made.add("other")
        await negotiate(recycler, provider)
        query = "SELECT pid FROM processes WHERE subject = 'negotiation'"
        (pid,) = provider.node.db.read.execute(query).fetchone()
        assert provider.node.needs.of_process(pid, recycler.did) == {RECYCLER}
        assert provider.node.needs.of_process(pid, other.did) == frozenset()


async def test_downloads_are_looked_at_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An issuer that serves data itself looks at its own status lists once in a while, not without end."""
    async with space(tmp_path, **OFFER) as made:
        member = await made.add("member")
        authority = made.authority
        authority.node.trust = Trust({MEMBER: (authority.did,)}, frozenset({MEMBER}))
        await made.give(authority, MEMBER)
        done = await negotiate(member, authority, "urn:x:members")
        address = await transfer(member, done.details["agreement"])
        grant = await authority.node.data.open(address.authorization, {})
        looks = []
        current = authority.node.presentations.current

        async def counted(*arguments: Any) -> Any:
            looks.append(arguments)
            return await current(*arguments)

        monkeypatch.setattr(authority.node.presentations, "current", counted)
        with authority.node.data.running(grant, lambda: None):
            for _ in range(500):
                await asyncio.sleep(0)
        assert len(looks) <= 1


async def test_what_can_not_be_told_now_is_refused_and_written_down(tmp_path: Path) -> None:
    """While its issuer can't be reached, data under a credential is answered 503, which the audit log has."""
    network = Away()
    async with space(tmp_path) as made:
        provider = await made.add("provider", {"transport": network}, **OFFER)
        recycler = await made.add("recycler")
        await made.give(recycler, RECYCLER)
        done = await negotiate(recycler, provider)
        address = await transfer(recycler, done.details["agreement"])
        assert (await read(address))[0] == 200
        made.clock.ahead, network.away = 301, True
        assert (await read(address))[0] == 503
        written = provider.node.audit.tail(1)[0]
        assert not written["permitted"]
        assert "nobody answers" in str(written["reasons"])
