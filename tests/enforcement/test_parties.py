"""Who and what: the participant, its groups, and the asset of a rule."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from connector.errors import Denied
from connector.odrl.vocabulary import CX, PARTICIPANT
from tests.enforcement.lab import answers, ended, lab, nothing_starts, renewed, status, use
from tests.peer import CALLBACK, PEER, STRANGER, Talk, message
from tests.pull import USE, Pull, agree, drained, pull, state

GROUP = "BusinessPartnerGroup"


@pytest.mark.enforces(PARTICIPANT, "permission")
@pytest.mark.parametrize("permission", [USE, use(("https://w3id.org/anode/v1/participant", "eq", PEER))])
async def test_only_whose_agreement_it_is(tmp_path: Path, permission: list[Any]) -> None:
    """Another participant can't start a transfer under the agreement, nor end it, nor renew its tokens; other
    actions are not allowed because use is."""
    async with lab(tmp_path) as node:
        data = await pull(node, "record", permission)
        body = message(
            "TransferRequestMessage",
            consumerPid="c",
            agreementId=state(data).details["agreement"],
            format="HttpData-PULL",
            callbackAddress=CALLBACK,
        )
        assert (await node.post("/transfers/request", body, who=STRANGER))[0] == 404
        assert (await data.refresh(who=STRANGER))[0] == 401
        assert (await data.refresh(data.address.authorization, who=STRANGER))[0] == 401
        assert await status(data) == 200


@pytest.mark.enforces(PARTICIPANT)
@pytest.mark.parametrize(
    ("operator", "named"), [("eq", STRANGER), ("isAnyOf", [STRANGER, PEER + ".evil"]), ("isNoneOf", [PEER])]
)
async def test_not_for_this_one(tmp_path: Path, operator: str, named: Any) -> None:
    """A permission for others starts nothing, however alike the name; the reason does not tell for whom."""
    async with lab(tmp_path) as node:
        with pytest.raises(Denied, match="not for you") as caught:
            await pull(node, "record", use(("https://w3id.org/anode/v1/participant", operator, named)))
        assert STRANGER not in str(caught.value)


def regroup(node: Talk, **groups: list[str]) -> None:
    config = node.node.config.model_copy(update={"groups": groups})
    node.node._reread = lambda: config
    node.node.reload()


async def _thrown_out(data: Pull, large: Pull) -> Pull:
    async with large.get() as running:
        await running.content.readexactly(1000)
        regroup(data.node, recyclers=[STRANGER])
        await asyncio.gather(*data.node.node.tasks.running)
        _, broken = await drained(running)
    assert broken
    await ended(large)
    late = await renewed(data)
    assert await answers(late) == {403}
    await nothing_starts(data)
    return late


@pytest.mark.enforces(f"{CX}{GROUP}")
async def test_out_of_the_group(tmp_path: Path) -> None:
    """Who is taken out of a group reads nothing more, with no token; a download under way is cut; who is put
    back does."""
    async with lab(tmp_path, groups={"recyclers": [PEER]}) as node:
        inside = use((GROUP, "isAnyOf", ["recyclers"]))
        data, large = await pull(node, "record", inside), await pull(node, "large", inside)
        assert await answers(data) == {200, 206, 304}
        late = await _thrown_out(data, large)
        regroup(node, recyclers=[PEER])
        assert await status(late) == 200
        with pytest.raises(Denied):
            await pull(node, "record", use((GROUP, "isNoneOf", ["recyclers"])))
        with pytest.raises(Denied):
            await pull(node, "record", use((GROUP, "isAnyOf", ["Recyclers"])))


@pytest.mark.enforces("assignee")
async def test_a_rule_for_a_collection_of_parties(tmp_path: Path) -> None:
    """A rule that is only for members of a collection follows the node's own list of them."""
    async with lab(tmp_path, groups={"recyclers": [PEER]}) as node:
        party = {"@type": "PartyCollection", "@id": "recyclers"}
        mine = [{"action": "use", "assignee": party}]
        data, large = await pull(node, "record", mine), await pull(node, "large", mine)
        assert await answers(data) == {200, 206, 304}
        await _thrown_out(data, large)


@pytest.mark.enforces("target")
async def test_a_rule_for_another_asset(tmp_path: Path) -> None:
    """A permission on one dataset opens no other that stands in the same agreement; nor does a collection."""
    async with lab(tmp_path) as node:
        for name, opens in (("record", True), ("large", False)):
            permission = [{"action": "use", "target": "urn:x:record"}]
            if opens:
                assert await status(await pull(node, name, permission)) == 200
            else:
                with pytest.raises(Denied):
                    await pull(node, name, permission)
        everything = [{"action": "use", "target": {"@type": "AssetCollection", "@id": "urn:x:all"}}]
        with pytest.raises(Denied):
            await pull(node, "record", everything)


@pytest.mark.enforces("permission")
async def test_no_permission_is_no(tmp_path: Path) -> None:
    """An agreement that allows only what is narrower than use, or nothing, starts no transfer."""
    async with lab(tmp_path) as node:
        for permission in ([{"action": "odrl:display"}], []):
            await agree(node, "urn:x:record", permission)
            with pytest.raises(Denied):
                await pull(node, "record", permission)
