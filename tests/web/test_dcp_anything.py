"""Any JSON in any place of the claims protocol: refused in its words, and nothing is written."""

import asyncio
import json
import logging
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.dcp.scopes import TYPE_ALIAS
from connector.vc import multibase
from tests.nodes import running
from tests.rogue import MEMBER, Party, jwt, rogue
from tests.space import settled
from tests.test_hostile import mutations, values
from tests.web.test_dcp import (
    ISSUES,
    OFFER,
    QUERY,
    REQUEST,
    STORE,
    TABLES,
    delivery,
    query,
    request,
    said,
)

ALLOWED = {200, 201, 400, 401, 403, 404, 501, 503}
"""What anybody may be answered: never that we failed."""
QUIET = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


class Attacked:
    """A node that believes one issuer and issues itself, and a host of strangers; both until `close`."""

    def __init__(self, loop: asyncio.Runner, folder: Path) -> None:
        self.loop = loop
        (folder / "issuer.yaml").write_text(yaml.safe_dump(ISSUES))
        self._host = rogue(time.time)
        self.host = loop.run(self._host.__aenter__())
        self.issuer = self.host.party("issuer")
        given = {"authority": self.issuer.did, "require": [MEMBER], "issue": str(folder / "issuer.yaml")}
        self._node = running(folder / "node", credentials=given)
        self.node = loop.run(self._node.__aenter__())
        loop.run(settled(self.node))
        self.seen: Counter[int] = Counter()

    def contents(self) -> Any:
        return {name: self.node.node.db.read.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}  # noqa: S608  # ours

    def expect(self, party: Party, answer: Any) -> None:
        """Send, by `answer`; fail unless it is one that may be, and nothing is written if it is a refusal."""
        before = self.contents()
        code, body = self.loop.run(answer)
        assert code in ALLOWED, (code, body)
        if code >= 400:
            assert body["reason"], body
            assert self.contents() == before
        self.loop.run(settled(self.node))
        self.seen[code] += 1

    def close(self) -> None:
        self.loop.run(self._node.__aexit__(None, None, None))
        self.loop.run(self._host.__aexit__(None, None, None))


def test_messages_with_anything_in_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each message of the protocol, with any JSON in any place, and any JSON in place of a message."""
    with asyncio.Runner() as loop:
        made = Attacked(loop, tmp_path)
        token = made.issuer.credential(made.node.did)
        sound = [
            (QUERY, query(f"{TYPE_ALIAS}:{MEMBER}")),
            (STORE, delivery(token)),
            (STORE, delivery(holder_pid="x", status="REJECTED", credentials=None, rejectionReason="no")),
            (OFFER, said("CredentialOfferMessage", issuer=made.issuer.did, credentials=[{"id": "x"}])),
            (REQUEST, request(f"{MEMBER}:vc11-sl2021/jwt", "x")),
        ]

        @QUIET
        @given(st.data())
        def attack(data: st.DataObject) -> None:
            path, body = data.draw(st.sampled_from(sound))
            body = data.draw(st.just(body) | mutations(body) | values)
            party = data.draw(st.sampled_from([made.issuer, made.host.party()]))
            access = loop.run(made.node.node.own.access_token(party.did, [f"{TYPE_ALIAS}:{MEMBER}"]))
            sent = party.token(made.node.did, token=data.draw(st.sampled_from([access, "x", ...])))
            made.expect(party, made.host.post(made.node.url + path, sent, body))

        try:
            with caplog.at_level(logging.ERROR):
                attack()
            assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []
            assert made.seen[400] > 30
            assert made.seen[200] + made.seen[201] > 0, "some changes are harmless"
        finally:
            made.close()


def test_answers_with_anything_in_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Any JSON in a DID document, a wallet's answer, a presentation, a credential, a status list."""
    with asyncio.Runner() as loop:
        made = Attacked(loop, tmp_path)
        node, host, issuer = made.node, made.host, made.issuer

        @QUIET
        @given(st.data())
        def attack(data: st.DataObject) -> None:
            party = host.party()
            older = data.draw(st.booleans())
            url = f"{host.url}/lists/{party.name}"
            what = data.draw(st.sampled_from(["document", "wallet", "vp", "vc", "list", "header"]))

            def spoiled(by: Party, token: str) -> str:
                header, payload = (
                    json.loads(multibase.from_base64url(part)) for part in token.split(".")[:2]
                )
                if what == "header":
                    kept = data.draw(st.sampled_from(["alg", "kid", "typ", "x"]))
                    return jwt({**header, kept: data.draw(values)}, payload, by.key.signer)
                return jwt(header, data.draw(mutations(payload)), by.key.signer)

            list_ = issuer.status_list(url, older=older)
            held = issuer.listed(party.did, url, older=older)
            held = spoiled(issuer, held) if what in ("vc", "header") else held
            vp = party.presentation(node.did, held, older=older)
            party.presents = [spoiled(party, vp) if what == "vp" else vp]
            list_ = spoiled(issuer, list_) if what == "list" else list_
            host.bent[f"/lists/{party.name}"] = list_.encode()
            if what == "document":
                document = data.draw(mutations(party.document) | values)
                host.bent[f"/{party.name}/did.json"] = json.dumps(document).encode()
            if what == "wallet":
                answer = said("PresentationResponseMessage", presentation=party.presents)
                answer = data.draw(mutations(answer) | values)
                host.bent[f"/{party.name}/wallet/presentations/query"] = json.dumps(answer).encode()
            made.expect(party, party.ask(node.url, node.did))

        try:
            with caplog.at_level(logging.ERROR):
                attack()
            assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []
            assert made.seen[401] > 30
            assert made.seen[200] > 0, "some changes are harmless"
        finally:
            made.close()
