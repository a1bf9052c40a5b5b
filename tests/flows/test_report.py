"""What is said of credentials that somebody shows: each check by itself, whatever the others found."""

from pathlib import Path
from typing import Any

import pytest

from connector.errors import RemoteProtocolError
from connector.flows.report import Examiner, Report
from connector.vc import envelope, jws
from tests.flows.away import Away
from tests.nodes import Running
from tests.space import MEMBER, RECYCLER, Space, space


async def look(made: Space, node: Running, given: Any) -> Report:
    """What `node` says."""
    examiner = Examiner(node.node.verifier, node.node.trust, node.node.profile, made.clock.now())
    return await examiner.examine(given)


def outcomes(report: Report) -> dict[str, str]:
    return {check.what: check.outcome for check in report.checks}


def token(node: Running, type_: str = MEMBER) -> str:
    (found,) = [one.token for one in node.node.wallet.held() if one.type == type_]
    return found


def presentation(made: Space, by: Running, *tokens: str) -> str:
    key = by.node.keys.key()
    about = {"audience": "did:web:a.example", "now": made.clock.now(), "lifetime": 60, "token_id": "urn:x:1"}
    return envelope.older_presentation_jwt(tokens, key.signer, key.kid, **about)


async def test_a_credential_that_holds(tmp_path: Path) -> None:
    """Who issued it, about whom, until when, and that nothing is wrong."""
    async with space(tmp_path) as made:
        member = await made.add("member")
        found = await look(made, member, token(member))
        assert (found.kind, found.types, found.outcome) == ("credential", (MEMBER,), "ok")
        assert (found.by, found.subjects) == (made.authority.did, (member.did,))
        assert found.ends is not None
        assert outcomes(found) == dict.fromkeys(("signature", "period", "status", "issuer"), "ok")


async def test_an_expired_credential_was_genuine(tmp_path: Path) -> None:
    """That it has ended does not hide who signed it."""
    async with space(tmp_path) as made:
        member = await made.add("member")
        given = token(member)
        made.clock.ahead = 400 * 86_400
        found = await look(made, member, given)
        assert outcomes(found) == {"signature": "ok", "period": "wrong", "status": "ok", "issuer": "ok"}
        assert found.outcome == "wrong"


async def test_a_revoked_credential(tmp_path: Path) -> None:
    """Only its status is wrong, and the reason says what its issuer has done."""
    async with space(tmp_path) as made:
        member, issuer = await made.add("member"), made.authority.node.issuer
        await issuer.set_state(issuer.issued()[0].id, "suspended")
        made.clock.ahead = 301
        found = await look(made, member, token(member))
        assert [c.detail for c in found.checks if c.outcome == "wrong"] == [
            "the credential has been suspended by its issuer"
        ]


async def test_a_forged_credential_is_not_looked_up(tmp_path: Path) -> None:
    """When the signature is wrong, nothing that it says is followed: neither its list nor its issuer."""
    async with space(tmp_path) as made:
        member = await made.add("member")
        claims = jws.parse(token(member)).payload
        key = member.node.keys.key()
        forged = jws.sign({"typ": "JWT", "kid": f"{made.authority.did}#key-1"}, claims, key.signer)
        found = await look(made, member, forged)
        assert outcomes(found) == {
            "signature": "wrong",
            "period": "ok",
            "status": "unknown",
            "issuer": "unknown",
        }


async def test_an_issuer_who_is_not_believed(tmp_path: Path) -> None:
    """A stranger's genuine credential is told apart from a false one."""
    async with space(tmp_path) as made:
        member = await made.add("member")
        stranger = await made.add("stranger", credentials={"authority": None, "require": []})
        found = await look(made, stranger, token(member))
        assert [c.what for c in found.checks if c.outcome != "ok"] == ["issuer"]
        assert "add it to credentials.trusted" in found.checks[-1].detail


async def test_what_can_not_be_looked_at_now(tmp_path: Path) -> None:
    """An issuer out of reach makes a check unknown, not wrong."""
    async with space(tmp_path) as made:
        network = Away()
        member = await made.add("member", {"transport": network})
        network.away = True
        made.clock.ahead = 301
        found = await look(made, member, token(member))
        assert (outcomes(found)["signature"], found.outcome) == ("unknown", "unknown")
        await network.client.close()


async def test_a_presentation_and_what_is_in_it(tmp_path: Path) -> None:
    """Each credential in it is looked at, and whether it is about who presents it."""
    async with space(tmp_path) as made:
        member = await made.add("member")
        await made.give(member, RECYCLER)
        found = await look(made, member, presentation(made, member, token(member), token(member, RECYCLER)))
        assert (found.kind, found.by, found.outcome) == ("presentation", member.did, "ok")
        assert sorted(one.types for one in found.inside) == [(MEMBER,), (RECYCLER,)]
        thief = await made.add("thief")
        found = await look(made, member, presentation(made, thief, token(member)))
        assert found.outcome == "wrong"
        assert [c.what for c in found.inside[0].checks if c.outcome == "wrong"] == ["subject"]


async def test_a_document_with_a_proof(tmp_path: Path) -> None:
    """A JSON credential with a Data Integrity proof is looked at like a JWT, enveloped ones too."""
    async with space(tmp_path) as made:
        member = await made.add("member")
        name = next(n for n, kind in made.authority.node.keys.names.items() if kind == "Ed25519")
        credential = {
            "@context": ["https://www.w3.org/ns/credentials/v2"],
            "type": ["VerifiableCredential"],
            "credentialSubject": {"id": member.did},
        }
        issued = await made.authority.node.credentials.issue(name, "eddsa-rdfc-2022", credential)
        found = await look(made, member, issued)
        assert outcomes(found) == {"signature": "ok", "period": "ok", "status": "ok", "issuer": "wrong"}
        assert found.by == made.authority.did
        found = await look(made, member, {**issued, "credentialSubject": {"id": "did:web:other.example"}})
        assert outcomes(found)["signature"] == "wrong"
        enveloped = envelope.envelope(token(member), "vc", older=True)
        assert (await look(made, member, enveloped)).outcome == "ok"


@pytest.mark.parametrize("given", ["x", "e.y.J", {}, {"type": "VerifiableCredential"}])
async def test_what_is_no_credential(tmp_path: Path, given: Any) -> None:
    """What is neither a credential nor a presentation is an error, not a report."""
    async with space(tmp_path) as made:
        with pytest.raises(RemoteProtocolError):
            await look(made, made.authority, given)


async def test_an_end_beyond_all_time(tmp_path: Path) -> None:
    """A number that is no time is malformed, whatever it would do to a calendar."""
    async with space(tmp_path) as made:
        member = await made.add("member")
        claims = {**jws.parse(token(member)).payload, "exp": 1e300}
        key = member.node.keys.key()
        with pytest.raises(RemoteProtocolError, match="exp is 1e\\+300, not a time"):
            await look(made, member, jws.sign({"kid": key.kid}, claims, key.signer))
