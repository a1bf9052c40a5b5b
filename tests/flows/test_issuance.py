"""An issuer's file says who gets what; its decisions are kept, and once each."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from connector.dcp.messages import CredentialMessage, CredentialReference, CredentialRequestMessage
from connector.errors import LocalProtocolError, RemoteProtocolError, Untrusted
from connector.flows.identify import Caller, Identity
from connector.store import issuance as rows
from tests.space import MEMBER, RECYCLER, settled, space


async def test_a_type_without_suspension_has_one_status(tmp_path: Path) -> None:
    """Its credentialStatus is an object, which every reader understands; it can be revoked and no more."""
    async with space(tmp_path, {MEMBER: {"to": "everyone", "status": ["revocation"]}}) as made:
        member, issuer = await made.add("member"), made.authority.node.issuer
        (held,) = member.node.wallet.held()
        assert held.document["credentialStatus"]["statusPurpose"] == "revocation"
        with pytest.raises(LocalProtocolError, match="no status for suspension"):
            await issuer.set_state(held.id, "suspended")
        assert (await issuer.set_state(held.id, "revoked")).state == "revoked"


async def test_a_revocation_is_not_undone_by_what_comes_at_the_same_time(tmp_path: Path) -> None:
    """Lifted from suspension and revoked at once, a credential is revoked, in its list and in the books."""
    async with space(tmp_path) as made:
        member, issuer = await made.add("member"), made.authority.node.issuer
        (held,) = member.node.wallet.held()
        await issuer.set_state(held.id, "suspended")
        # In this order the second could clear the bit that the first has set.
        asked = (issuer.set_state(held.id, "revoked"), issuer.set_state(held.id, "valid"))
        revoked, undone = await asyncio.gather(*asked, return_exceptions=True)
        assert revoked.state == issuer.find_issued(held.id).state == "revoked"
        assert isinstance(undone, LocalProtocolError)
        with pytest.raises(Untrusted, match="revoked by its issuer"):
            await made.authority.node.verifier.check_status(held.document, held.issuer)


async def test_what_was_allowed_is_issued_after_a_restart(tmp_path: Path) -> None:
    """A request that was taken and not yet decided at a stop is issued if the file allows it."""
    async with space(tmp_path) as made:
        member, authority = await made.add("member", credentials={"require": []}), made.authority
        issuer = authority.node.issuer
        asked = [await member.node.wallet.request(authority.did, (RECYCLER,)) for _ in range(2)]
        allowed = issuer.find(asked[0].issuer_pid)  # in the store, as if it had asked for a membership
        allowed = replace(allowed, objects=(f"{MEMBER}:vc11-sl2021/jwt",))
        await authority.node.db.write(lambda tx: rows.save(tx, allowed))
        issuer.start()
        await settled(authority, member)
        assert [one.type for one in member.node.wallet.held()] == [MEMBER]
        assert issuer.find(asked[1].issuer_pid).status == "RECEIVED"


async def test_credentials_say_what_they_answer(tmp_path: Path) -> None:
    """A message with credentials and no holderPid is refused, although it comes from a trusted issuer."""
    async with space(tmp_path) as made:
        member = await made.add("member")
        message = CredentialMessage(issuer_pid="x", status="ISSUED", credentials=[])
        with pytest.raises(RemoteProtocolError, match="holderPid is missing"):
            await member.node.wallet.receive(Caller(made.authority.did), message)


class Heard:
    """An identity that remembers who has called."""

    def __init__(self, identity: Identity) -> None:
        self.identity, self.callers = identity, list[Caller]()

    async def authorization(self, audience: str, types: frozenset[str] = frozenset()) -> str:
        return await self.identity.authorization(audience, types)

    async def authenticate(self, authorization: str | None) -> Caller:
        self.callers.append(await self.identity.authenticate(authorization))
        return self.callers[-1]


async def test_the_holders_access_token_comes_back_with_its_credentials(tmp_path: Path) -> None:
    """The token claim of a request must be used when its credentials are delivered; it is not kept longer."""
    async with space(tmp_path) as made:
        member, issuer = await made.add("member"), made.authority.node.issuer
        heard = member.node.identity = Heard(member.node.identity)
        message = CredentialRequestMessage(
            holder_pid="urn:x:1", credentials=[CredentialReference(id=f"{MEMBER}:vc11-sl2021/jwt")]
        )
        pid = await issuer.request(Caller(member.did, "write-here"), message)
        await settled(made.authority)
        assert Caller(made.authority.did, "write-here") in heard.callers
        kept = rows.find(made.authority.node.db.read, pid)
        assert (kept.status, kept.message, kept.token) == ("ISSUED", None, None)
