"""Many requests at once from participants that have to prove something: one question, bounded, for all."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from connector.errors import Denied, Unavailable
from connector.flows import claims
from connector.flows.identify import Caller
from connector.node import Parts
from connector.vc import keys
from tests.nodes import Running, running
from tests.rogue import MEMBER, Party, Rogue, rogue
from tests.space import RECYCLER, Shifted, settled


class Slow:
    """A node, its issuer, and parties whose wallets answer when `open` is set."""

    def __init__(self, node: Running, host: Rogue, issuer: Party, clock: Shifted) -> None:
        self.node, self.host, self.issuer, self.clock = node, host, issuer, clock
        self.presentations = node.node.presentations
        self.open = asyncio.Event()
        self.reached = asyncio.Semaphore(0)

    def party(self) -> Party:
        """A party with a membership, and a wallet that takes its time."""
        made = self.host.party()
        self.presents(made)
        path = f"/{made.name}/wallet/presentations/query"

        async def wait(request: web.Request) -> web.StreamResponse:
            self.reached.release()
            await self.open.wait()
            del self.host.bent[path]
            return await self.host.answer(request)

        self.host.bent[path] = wait
        return made

    def presents(self, party: Party) -> None:
        """Have the party present a membership."""
        party.presents = [party.presentation(self.node.did, self.issuer.credential(party.did))]

    def prove(self, party: Party, *types: str, access: bool = True) -> "asyncio.Task[None]":
        caller = Caller(party.did, "access" if access else None)
        return asyncio.create_task(self.node.node.prove(caller, frozenset(types)))


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Slow]:
    clock = Shifted()
    async with rogue(clock.now) as host:
        issuer = host.party("issuer")
        settings = {"authority": issuer.did, "require": [MEMBER]}
        async with running(tmp_path, parts=Parts(clock=clock), credentials=settings) as node:
            await settled(node)
            made = Slow(node, host, issuer, clock)
            yield made
            made.open.set()


async def test_one_question_however_many_wait(slow: Slow) -> None:
    """A hundred requests of a participant cost one question to its wallet, and all are answered by it."""
    party = slow.party()
    asking = [slow.prove(party) for _ in range(100)]
    await slow.reached.acquire()
    slow.open.set()
    await asyncio.gather(*asking)
    assert len(party.queries) == 1


async def test_whoever_stops_waiting_stops_nobody_else(slow: Slow) -> None:
    """The request that asked is cancelled: those that wait for the same answer get it, by no new question."""
    party = slow.party()
    first, *others = [slow.prove(party) for _ in range(5)]
    await slow.reached.acquire()
    first.cancel()
    others.pop().cancel()
    slow.open.set()
    await asyncio.gather(*others)
    assert first.cancelled()
    assert len(party.queries) == 1


async def test_all_who_waited_are_gone(slow: Slow, caplog: pytest.LogCaptureFixture) -> None:
    """The answer that nobody waits for any more is kept for the next request; a failure makes no noise."""
    party, broken = slow.party(), slow.party()
    broken.presents = ["nonsense"]
    asking = [slow.prove(one) for one in (party, broken)]
    for _ in asking:
        await slow.reached.acquire()
    questions = list(slow.presentations._under_way.values())
    for task in asking:
        task.cancel()
    slow.open.set()
    await asyncio.gather(*asking, *questions, return_exceptions=True)
    await slow.node.node.prove(Caller(party.did, "access"))
    assert len(party.queries) == 1
    assert not caplog.records


async def test_who_needs_more_asks_once_more(slow: Slow) -> None:
    """A request that needs another type than was just asked for waits, and then asks for all of them."""
    party = slow.party()
    asking = [slow.prove(party), slow.prove(party, RECYCLER), slow.prove(party, RECYCLER)]
    await slow.reached.acquire()
    slow.open.set()
    await asyncio.gather(*asking)
    scopes = [[scope.rpartition(":")[2] for scope in query["scope"]] for query in party.queries]
    assert scopes == [[MEMBER], [MEMBER, RECYCLER]]


async def test_requests_without_an_access_token(slow: Slow) -> None:
    """Two at once that let nobody ask are both told so, and the node goes on: neither waits for the other."""
    party = slow.party()
    asking: list[asyncio.Task[None]] = []
    for _ in range(3):  # one each turn of the loop, so that one comes upon another's question as it ends
        asking.append(slow.prove(party, access=False))
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Denied] * 3
    assert party.queries == []


async def test_what_is_known_counts_without_an_access_token(slow: Slow) -> None:
    """A request that lets nobody ask for more is judged by what was proved before."""
    party = slow.host.party()
    slow.presents(party)
    await slow.prove(party)
    await slow.prove(party, RECYCLER, access=False)
    slow.clock.ahead = 301
    await slow.prove(party, access=False)
    assert len(party.queries) == 1
    assert len(slow.presentations.of(party.did).held[MEMBER]) == 1


async def test_what_a_key_signed_that_was_taken_back(slow: Slow) -> None:
    """An issuer that publishes a key no more takes back what it signed, though nobody presents that again."""
    party = slow.host.party()
    slow.presents(party)
    await slow.prove(party)
    slow.clock.ahead = 301
    party.presents = []
    await slow.prove(party)  # who shows nothing has proved it nevertheless
    slow.issuer.key = keys.generate(slow.issuer.did, "key-2")
    slow.clock.ahead = 602
    with pytest.raises(Denied, match="has no verification method"):
        await slow.prove(party)
    with pytest.raises(Denied, match="has no verification method"):
        await slow.presentations.current(party.did, frozenset({MEMBER}))


async def test_what_nobody_asked_for_is_not_kept(slow: Slow) -> None:
    """A wallet that shows more than was asked for has the rest neither looked at nor kept."""
    party = slow.host.party()
    slow.presents(party)
    url = f"{slow.host.url}/list"
    listed = {"id": f"{url}#7", "type": "StatusList2021Entry", "statusPurpose": "revocation"}
    listed |= {"statusListIndex": "7", "statusListCredential": url}
    kinds = ["VerifiableCredential", RECYCLER]
    more = slow.issuer.credential(party.did, type=kinds, credentialStatus=listed)
    party.presents.append(party.presentation(slow.node.did, more))
    await slow.prove(party)
    assert set(slow.presentations.of(party.did).held) == {MEMBER}
    assert slow.host.asked["/list"] == 0


async def test_slow_wallets_of_one_host_have_their_share(slow: Slow) -> None:
    """Of strangers on one host sixteen are asked at a time; who is known is asked beside them, at once."""
    known = slow.party()
    slow.open.set()
    await slow.prove(known)
    slow.open.clear()
    strangers = [slow.party() for _ in range(16)]
    waiting = [slow.prove(one) for one in strangers]
    for _ in strangers:
        await slow.reached.acquire()
    for _ in range(3):
        with pytest.raises(Unavailable, match="asks too many participants"):
            await slow.prove(slow.party())
    slow.clock.ahead += 301
    slow.presents(known)
    async with asyncio.timeout(5):
        await slow.prove(known, RECYCLER)
    assert len(known.queries) == 2
    slow.open.set()
    await asyncio.gather(*waiting, return_exceptions=True)  # theirs have expired meanwhile
    await slow.prove(slow.party())


async def test_what_strangers_present_takes_no_room(slow: Slow) -> None:
    """A thousand kilobytes of credentials of one's own making leave a name in memory, nothing on the disk."""
    count = "SELECT count(*) FROM presented"
    for _ in range(5):
        party = slow.host.party()
        subject = {"id": party.did, "x": "y" * 9_000}
        types = ["VerifiableCredential", MEMBER, "T" * 9_000]
        large = [party.credential(party.did, type=types, credentialSubject=subject) for _ in range(20)]
        party.presents = [party.presentation(slow.node.did, *large)]
        assert len(party.presents[0]) > 500_000
        with pytest.raises(Denied, match="is not trusted to issue it"):
            await slow.prove(party)
        assert len(repr(slow.presentations._kept[party.did])) < 5_000
    assert slow.node.node.db.read.execute(count).fetchone() == (0,)


async def test_failures_are_remembered_for_so_many(slow: Slow) -> None:
    """The memory of participants whose wallets failed has an end: the oldest goes first."""
    party = slow.host.party()
    party.presents = ["nonsense"]
    failures = slow.presentations._failures
    failures.update({f"did:web:x:{n}": (Unavailable("x"), 0.0) for n in range(claims._CAPACITY)})
    await asyncio.gather(slow.prove(party), return_exceptions=True)
    assert len(failures) == claims._CAPACITY
    assert party.did in failures
    assert "did:web:x:0" not in failures
