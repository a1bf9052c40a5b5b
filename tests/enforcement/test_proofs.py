"""What participants prove: nothing that is missing, says something else, expired or was revoked opens."""

from pathlib import Path
from typing import Any

import pytest

from connector.flows.transfer import DataAddress
from connector.odrl.vocabulary import CLAIM, CREDENTIAL, CX, SECURITY_PROFILE, SPATIAL
from tests.flows.test_claims import negotiate, read, transfer
from tests.nodes import Running, until
from tests.space import Space, Still, settled, space

DATASET = "urn:x:data"
LEGAL, CONNECTOR, MEMBER = "LegalParticipantCredential", "ConnectorCredential", "MembershipCredential"
FRAMEWORK = "DataExchangeGovernanceCredential"
ROLE, BPN = "RecyclerCredential", "BpnCredential"
ISSUED = {name: {"lasts": "30 days"} for name in (LEGAL, CONNECTOR, MEMBER, FRAMEWORK, ROLE, BPN)}
DAYS = 30 * 86_400

ROWS: list[tuple[str, dict[str, Any], str, dict[str, Any], dict[str, Any] | None]] = [
    (CREDENTIAL, {"when": [{"credential": ROLE}]}, ROLE, {}, None),
    (
        CLAIM,
        {"when": [{"claim": f"{ROLE}.site.city=Hamburg"}]},
        ROLE,
        {"site": {"city": "Hamburg"}},
        {"site": "Hamburg", "city": "Hamburg"},
    ),
    (SPATIAL, {"when": [{"region": "EU"}]}, LEGAL, {"country": "DE"}, {"country": "CH", "name": "DE"}),
    (
        SECURITY_PROFILE,
        {"when": [{"security": "trust"}]},
        CONNECTOR,
        {"securityProfile": "trustPlus"},
        {"securityProfile": "base", "profile": "trustPlus"},
    ),
    (f"{CX}Membership", {"when": [{"odrl": ["Membership", "eq", "active"]}]}, MEMBER, {}, None),
    (
        f"{CX}FrameworkAgreement",
        {"when": [{"odrl": ["FrameworkAgreement", "eq", "DataExchangeGovernance:1.0"]}]},
        FRAMEWORK,
        {"contractVersion": "1.0"},
        {"contractVersion": "0.9"},
    ),
    (
        f"{CX}BusinessPartnerNumber",
        {"when": [{"odrl": ["BusinessPartnerNumber", "isAnyOf", ["BPNL000000000001"]]}]},
        BPN,
        {"bpn": "BPNL000000000001"},
        {"bpn": "BPNL000000000002", "note": "BPNL000000000001"},
    ),
]


def policy(blocks: dict[str, Any]) -> dict[str, Any]:
    when = [
        {"odrl": dict(zip(("leftOperand", "operator", "rightOperand"), item["odrl"], strict=True))}
        if "odrl" in item
        else item
        for item in blocks["when"]
    ]
    return {"offer": "everyone", "allow": "use", "when": when}


async def parties(made: Space, blocks: dict[str, Any]) -> tuple[Running, Running]:
    datasets = [{"id": DATASET, "title": "D", "offers": ["p"], "source": {"inline": {"a": 1}}}]
    credentials = {"require": []}
    provider = await made.add(
        "provider",
        policies={"p": policy(blocks)},
        datasets=datasets,
        credentials=credentials,
        data={"token_lifetime": "90 days"},
    )
    return provider, await made.add("consumer", credentials=credentials)


async def opened(made: Space, consumer: Running, provider: Running) -> tuple[str, DataAddress]:
    done = await negotiate(consumer, provider, DATASET)
    assert done.state == "FINALIZED", done.reason
    address = await transfer(consumer, done.details["agreement"])
    assert (await read(address))[0] == 200
    return done.details["agreement"], address


@pytest.mark.enforces(*(term for term, *_ in ROWS))
@pytest.mark.parametrize(("term", "blocks", "type_", "says", "other"), ROWS)
async def test_only_by_what_holds(
    tmp_path: Path, term: str, blocks: dict[str, Any], type_: str, says: dict[str, Any], other: Any
) -> None:
    """Without the credential, or with one that says something else, there is no agreement. With it data is
    read, until it is revoked: then neither the token nor a new transfer opens, and the transfer ends."""
    async with space(tmp_path, ISSUED, Still()) as made:
        provider, consumer = await parties(made, blocks)
        assert (await negotiate(consumer, provider, DATASET)).state == "TERMINATED"
        if other is not None:
            await made.give(consumer, type_, **other)
            assert (await negotiate(consumer, provider, DATASET)).state == "TERMINATED"
        made.clock.ahead += 301  # when what was presented is asked for again
        await made.give(consumer, type_, **says)
        agreement, address = await opened(made, consumer, provider)
        for one in made.authority.node.issuer.issued(consumer.did):
            await made.authority.node.issuer.set_state(one.id, "revoked")
        made.clock.ahead += 301
        assert (await read(address))[0] == 403
        await settled(provider)
        assert (await read(address))[0] == 401
        process = await consumer.node.transfers.request(agreement)
        assert (await until(consumer, process.pid, "STARTED")).state == "TERMINATED"


@pytest.mark.enforces(CREDENTIAL)
async def test_what_a_single_request_lacks_ends_nothing(tmp_path: Path) -> None:
    """A request without its purpose, or one too early, is refused, and the transfer goes on; without the
    credential it ends, whatever the request says."""
    when = [{"credential": ROLE}, {"purpose": "repair"}, {"every": "1 hour"}]
    async with space(tmp_path, ISSUED, Still()) as made:
        provider, consumer = await parties(made, {"when": when})
        identity = await made.give(consumer, ROLE)
        done = await negotiate(consumer, provider, DATASET)
        address = await transfer(consumer, done.details["agreement"])
        for purpose, answered in ((None, 403), ("repair", 200), ("repair", 403), ("marketing", 403)):
            assert (await read(address, purpose))[0] == answered
        await settled(provider)
        made.clock.ahead += 3600
        assert (await read(address, "repair"))[0] == 200
        await made.authority.node.issuer.set_state(identity, "revoked")
        made.clock.ahead += 3600
        assert (await read(address, "repair"))[0] == 403
        await settled(provider)
        assert (await read(address, "repair"))[0] == 401


@pytest.mark.enforces(CREDENTIAL, SPATIAL)
@pytest.mark.parametrize(
    ("blocks", "type_", "says"), [(ROWS[0][1], ROLE, {}), (ROWS[2][1], LEGAL, {"country": "DE"})]
)
async def test_until_the_moment_it_expires(
    tmp_path: Path, blocks: dict[str, Any], type_: str, says: dict[str, Any]
) -> None:
    """A credential counts to the last millisecond, with a token that would live longer; not at its end, and
    not after a restart has forgotten what was looked at."""
    async with space(tmp_path, ISSUED, Still()) as made:
        provider, consumer = await parties(made, blocks)
        await made.give(consumer, type_, **says)
        _, address = await opened(made, consumer, provider)
        (held,) = [one for one in consumer.node.wallet.held() if one.type == type_]
        end = held.until - made.clock.now() + made.clock.ahead
        made.clock.ahead = end - 0.001
        assert (await read(address))[0] == 200
        made.clock.ahead = end
        provider.node.presentations.forget()
        status, body = await read(address)
        assert (status, f"{type_}" in str(body)) == (403, True)
