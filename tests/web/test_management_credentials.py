"""The management API of credentials: whatever a holder, an issuer and a reader of credentials can do."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from connector.dcp.messages import CredentialObject, CredentialOfferMessage
from connector.flows.identify import Caller
from tests.nodes import free_port
from tests.space import MEMBER, RECYCLER, Space, settled, space
from tests.web.test_management import Operator, operating


@asynccontextmanager
async def operators(folder: Path, *names: str) -> AsyncIterator[tuple[Space, list[Operator]]]:
    """A data space with members of these names; the operators of the authority and of each."""
    async with space(folder) as made, AsyncExitStack() as stack:
        nodes = [made.authority, *[await made.add(name) for name in names]]
        yield made, [await stack.enter_async_context(operating(node)) for node in nodes]


def of(id_: str, *more: str) -> str:
    return "/".join(["/credentials/held", quote(id_, safe=""), *more])


async def test_a_holder_sees_and_drops_its_credentials(tmp_path: Path) -> None:
    """The list tells what each says; one is told whole, its JWT too; a dropped one is gone."""
    async with operators(tmp_path, "member") as (made, (_, member)):
        (entry,) = (await member("GET", "/credentials/held"))["credentials"]
        assert (entry["type"], entry["issuer"]) == (MEMBER, made.authority.did)
        assert entry["claims"] == {"memberOf": "Batteries"}
        whole = await member("GET", of(entry["id"]))
        assert whole["credential"] == entry
        assert whole["document"]["credentialSubject"]["id"] == member.running.did
        found = await member("POST", "/credentials/verify", {"credential": whole["token"]})
        assert (found["outcome"], found["kind"], found["by"]) == ("ok", "credential", made.authority.did)
        await member("DELETE", of(entry["id"]), status=204)
        assert (await member("GET", "/credentials/held"))["credentials"] == []
        for method in ("GET", "DELETE"):
            await member(method, of(entry["id"]), status=404)


async def test_a_request_is_approved_with_claims(tmp_path: Path) -> None:
    """Asked of the settings' authority, seen by its operator, approved, delivered, told to both."""
    async with operators(tmp_path, "member") as (made, (authority, member)):
        given = await member("GET", "/credentials/issuer")
        assert sorted(one["type"] for one in given["credentials"]) == [MEMBER, RECYCLER]
        asked = await member("POST", "/credentials/requests", {"types": [RECYCLER]}, 201)
        assert (asked["status"], asked["issuer"]) == ("REQUESTED", made.authority.did)
        asked = await member("POST", f"/credentials/requests/{asked['pid']}/refresh")
        assert asked["status"] == "RECEIVED"
        (waiting,) = [
            one
            for one in (await authority("GET", "/credentials/issuances"))["issuances"]
            if one["status"] == "RECEIVED"
        ]
        assert (waiting["types"], waiting["holder"], waiting["asked"]) == (
            [RECYCLER],
            member.running.did,
            True,
        )
        counts = (await authority("GET", "/status"))["credentials"]
        assert counts == {"held": 0, "requested": 0, "offered": 0, "waiting": 1, "issued": 1}
        path = f"/credentials/issuances/{waiting['pid']}/approve"
        done = await authority("POST", path, {"claims": {"site": "Hamburg"}})
        assert (done["status"], done["delivered"]) == ("ISSUED", True)
        held = (await member("GET", "/credentials/held"))["credentials"]
        assert next(one for one in held if one["type"] == RECYCLER)["claims"] == {"site": "Hamburg"}
        statuses = [one["status"] for one in (await member("GET", "/credentials/requests"))["requests"]]
        assert statuses == ["ISSUED", "ISSUED"]
        again = await authority("POST", path, {"claims": {}}, 409)
        assert "is decided: ISSUED" in again["reasons"][0]


async def test_a_request_is_refused_with_a_reason(tmp_path: Path) -> None:
    """The holder reads why; a request that nobody made is not there."""
    async with operators(tmp_path, "member") as (_, (authority, member)):
        asked = await member("POST", "/credentials/requests", {"types": [RECYCLER]}, 201)
        (waiting, _) = (await authority("GET", "/credentials/issuances"))["issuances"]
        path = f"/credentials/issuances/{waiting['pid']}/reject"
        done = await authority("POST", path, {"reason": "no permit"})
        assert (done["status"], done["reason"], done["delivered"]) == ("REJECTED", "no permit", True)
        (found, _) = (await member("GET", "/credentials/requests"))["requests"]
        assert (found["pid"], found["status"], found["reason"]) == (asked["pid"], "REJECTED", "no permit")
        await authority("POST", "/credentials/issuances/urn:x/reject", {"reason": "x"}, 404)
        await authority("POST", path, {"reason": ""}, 400)


async def test_issued_unasked_revoked_suspended_reinstated(tmp_path: Path) -> None:
    """A credential goes to whom the operator names; its state changes; what was revoked stays so."""
    async with operators(tmp_path, "member") as (made, (authority, member)):
        body = {"holder": member.running.did, "types": [RECYCLER], "claims": {"n": 1}}
        done = await authority("POST", "/credentials/issuances", body, 201)
        assert (done["asked"], done["delivered"]) == (False, True)
        listed = await authority("GET", "/credentials/issued", holder=member.running.did)
        (one, _) = listed["credentials"]
        assert (one["type"], one["state"], one["claims"]) == (RECYCLER, "valid", {"n": 1})
        other = await authority("GET", "/credentials/issued", holder="did:web:other.example")
        assert other["credentials"] == []
        path = f"/credentials/issued/{quote(one['id'], safe='')}/state"
        whole = await member("GET", of(one["id"]))
        for state, outcome in (("suspended", "wrong"), ("valid", "ok"), ("revoked", "wrong")):
            assert (await authority("POST", path, {"state": state}))["state"] == state
            made.clock.ahead += 301
            found = await member("POST", "/credentials/verify", {"credential": whole["token"]})
            assert found["outcome"] == outcome, found
        again = await authority("POST", path, {"state": "valid"}, 409)
        assert "can't be undone: issue a new one" in again["reasons"][0]
        await authority("POST", path, {"state": "lost"}, 400)


async def test_a_request_for_just_that_is_approved_by_it(tmp_path: Path) -> None:
    """Issuing what a holder waits for answers its request: nothing waits, and there is one credential."""
    async with operators(tmp_path, "member") as (_, (authority, member)):
        await member("POST", "/credentials/requests", {"types": [RECYCLER]}, 201)
        body = {"holder": member.running.did, "types": [RECYCLER]}
        done = await authority("POST", "/credentials/issuances", body, 201)
        assert done["asked"]
        statuses = [one["status"] for one in (await authority("GET", "/credentials/issuances"))["issuances"]]
        assert statuses == ["ISSUED", "ISSUED"]
        assert len((await member("GET", "/credentials/held"))["credentials"]) == 2


@pytest.mark.parametrize("name", ["id", "type", "@context"])
async def test_no_claim_says_who_the_holder_is(tmp_path: Path, name: str) -> None:
    """A claim that would make the credential another's is refused before anything is signed."""
    async with operators(tmp_path, "member") as (_, (authority, member)):
        body = {"holder": member.running.did, "types": [RECYCLER], "claims": {name: "did:web:x.example"}}
        told = await authority("POST", "/credentials/issuances", body, 409)
        assert f"can't be called {name}" in told["reasons"][0]
        assert len((await authority("GET", "/credentials/issued"))["credentials"]) == 1


async def test_what_can_not_be_issued(tmp_path: Path) -> None:
    """Unknown types are named with what there is; a node without the file says which setting is missing."""
    async with operators(tmp_path, "member") as (_, (authority, member)):
        body = {"holder": member.running.did, "types": ["Nope"]}
        told = await authority("POST", "/credentials/issuances", body, 404)
        assert f"it issues: {MEMBER}, {RECYCLER}" in told["reasons"][0]
        told = await member("POST", "/credentials/issuances", body, 404)
        assert "credentials.issue names the file" in told["reasons"][0]
        nobody = f"did:web:localhost%3A{free_port()}"
        await authority(
            "POST", "/credentials/issuances", {**body, "types": [RECYCLER], "holder": nobody}, 503
        )


async def test_a_holder_that_is_away_gets_it_later(tmp_path: Path) -> None:
    """What can't be delivered now says why, and when it is tried again."""
    async with operators(tmp_path, "member") as (made, (authority, member)):
        node = made.authority.node
        await node.resolver.resolve(member.running.did)
        service = member.running.node.wallet
        member.running.node.wallet = None  # as a node whose wallet is not there
        body = {"holder": member.running.did, "types": [RECYCLER]}
        done = await authority("POST", "/credentials/issuances", body, 201)
        assert (done["status"], done["delivered"]) == ("ISSUED", False)
        assert "answered 404" in done["problem"]
        assert "next_try" in done
        member.running.node.wallet = service
        made.clock.advance(10)
        await settled(made.authority)
        done = (await authority("GET", "/credentials/issuances"))["issuances"][0]
        assert (done["delivered"], "problem" in done) == (True, False)


async def test_an_offer_is_taken_up(tmp_path: Path) -> None:
    """What an issuer offers is listed, and asked for when the operator says so, once."""
    async with operators(tmp_path, "member") as (made, (_, member)):
        offered = CredentialObject(id=f"{RECYCLER}:vc11-sl2021/jwt")
        message = CredentialOfferMessage(issuer=made.authority.did, credentials=[offered])
        await member.running.node.wallet.offered(Caller(made.authority.did), message)
        (offer, _) = (await member("GET", "/credentials/requests"))["requests"]
        assert offer["status"] == "OFFERED"
        assert (await member("GET", "/status"))["credentials"]["offered"] == 1
        path = f"/credentials/requests/{offer['pid']}/take-up"
        assert (await member("POST", path))["status"] == "REQUESTED"
        await member("POST", path, status=404)
        await settled(made.authority)
        (waiting, _) = made.authority.node.issuer.requests()
        assert (waiting.holder, waiting.status) == (member.running.did, "RECEIVED")


async def test_whom_to_ask(tmp_path: Path) -> None:
    """Without an authority an issuer must be named; one that gives no such type says what it gives."""
    async with operators(tmp_path) as (made, _):
        stranger = await made.add("stranger", credentials={"authority": None, "require": []})
        async with operating(stranger) as ask:
            told = await ask("POST", "/credentials/requests", {"types": [RECYCLER]}, 400)
            assert "name one" in told["reasons"][0]
            body = {"types": ["Nope"], "issuer": made.authority.did}
            told = await ask("POST", "/credentials/requests", body, 404)
            assert told["reasons"] == [f"{made.authority.did} gives no Nope; it gives: {MEMBER}, {RECYCLER}"]
            nobody = f"did:web:localhost%3A{free_port()}"
            await ask("GET", "/credentials/issuer", status=503, issuer=nobody)
            await ask("POST", "/credentials/requests/urn:x/refresh", status=404)


@pytest.mark.parametrize("given", ["x", {}, {"type": "VerifiableCredential"}, 1, None])
async def test_what_is_no_credential_is_a_bad_request(tmp_path: Path, given: Any) -> None:
    """The operator is told that it is none; nobody else is blamed."""
    async with operators(tmp_path) as (_, (authority,)):
        told = await authority("POST", "/credentials/verify", {"credential": given}, 400)
        assert told["code"] == "bad-request"
