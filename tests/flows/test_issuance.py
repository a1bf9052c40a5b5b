"""What an issuer's file says of the credentials that are issued by it."""

from pathlib import Path

import pytest

from connector.dcp.messages import CredentialMessage
from connector.errors import LocalProtocolError, RemoteProtocolError
from connector.flows.identify import Caller
from tests.space import MEMBER, space


async def test_a_type_without_suspension_has_one_status(tmp_path: Path) -> None:
    """Its credentialStatus is an object, which every reader understands; it can be revoked and no more."""
    async with space(tmp_path, {MEMBER: {"to": "everyone", "status": ["revocation"]}}) as made:
        member, issuer = await made.add("member"), made.authority.node.issuer
        (held,) = member.node.wallet.held()
        assert held.document["credentialStatus"]["statusPurpose"] == "revocation"
        with pytest.raises(LocalProtocolError, match="no status for suspension"):
            await issuer.set_state(held.id, "suspended")
        assert (await issuer.set_state(held.id, "revoked")).state == "revoked"


async def test_credentials_say_what_they_answer(tmp_path: Path) -> None:
    """A message with credentials and no holderPid is refused, although it comes from a trusted issuer."""
    async with space(tmp_path) as made:
        member = await made.add("member")
        message = CredentialMessage(issuer_pid="x", status="ISSUED", credentials=[])
        with pytest.raises(RemoteProtocolError, match="holderPid is missing"):
            await member.node.wallet.receive(Caller(made.authority.did), message)
