"""Duties and retirement on the command line: two operators, real processes, one agreement."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.cli.app import run
from tests.cli.test_trade import cli, publish  # noqa: F401  # the fixture is found by its name
from tests.served import Served, served

POLICIES = """\
reviewed:
  offer: everyone
  allow: use
  duty:
    - reviewPolicy: {within: 2 days}
"""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    """A consumer, and a provider whose policy obliges to something."""
    folder = tmp_path_factory.mktemp("duties")
    with served(folder / "consumer") as consumer, served(folder / "provider", policies=POLICIES) as provider:
        yield consumer, provider


def test_a_duty_from_due_to_fulfilled_and_the_end(
    nodes: tuple[Served, Served],
    cli: Any,  # noqa: F811  # pytest's way
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """The consumer sees its duty in `status` and `duty list`, proves it with a document of which only the
    digest leaves; the provider sees that; then it retires the agreement, and the consumer sees by whom."""
    consumer, provider = nodes
    publish(cli, provider, "hello.json", b'{"@id": "urn:x:h"}', "--id", "urn:x:h", "--offer", "reviewed")
    code, told = cli("negotiate", provider.ready["public_url"], "urn:x:h", "--wait", "-c", consumer.config)
    assert code == 0, told
    agreement = told["agreement"]
    for _ in range(200):  # it is worked out right after the agreement is in force
        code, found = cli("duty", "list", "--state", "due", "-c", consumer.config)
        if found:
            break
    [duty] = found
    assert (code, duty["state"], duty["ours"], duty["agreement"]) == (0, "due", True, agreement)
    assert run(["status", "-c", consumer.config]) == 0
    out = capsys.readouterr().out
    assert "duties        1 due" in out
    assert f"{duty['id']}  due    this node  reviewPolicy within 2 days of the agreement" in out

    code, told = cli("duty", "fulfil", duty["id"], "-c", consumer.config)
    assert (code, told["error"]) == (1, "bad-request")
    proof = tmp_path / "minutes.txt"
    proof.write_text("reviewed by the board")
    words = ["duty", "fulfil", duty["id"], "--evidence", str(proof), "--note", "by the board"]
    assert run([*words, "-c", consumer.config]) == 0
    assert "state       fulfilled" in capsys.readouterr().out
    code, told = cli(*words, "-c", consumer.config)
    assert (code, "fulfilled already" in told["reasons"][0]) == (1, True)

    # The provider has it once the consumer's node says that it has told it.
    for _ in range(200):
        _, known = cli("duty", "show", duty["id"], "-c", consumer.config)
        if "told to the other side" in known["evidence"]:
            break
    code, [theirs] = cli("duty", "list", "--state", "fulfilled", "-c", provider.config)
    assert (theirs["ours"], theirs["history"][-1]["note"]) == (False, "done: by the board")
    assert "statement" not in theirs
    for side, id_ in ((consumer, duty["id"]), (provider, theirs["id"])):
        _, shown = cli("duty", "show", id_, "-c", side.config)
        claims = json.loads(base64.urlsafe_b64decode(shown["statement"].split(".")[1] + "=="))
        assert (claims["kind"], claims["note"]) == ("evidence", "by the board")
        assert run(["duty", "show", id_, "-c", side.config]) == 0
        assert f"a JWS: `anode duty show {id_} --json` has it" in capsys.readouterr().out

    peer = provider.ready["public_url"]
    target = str(tmp_path / "hello.json")
    code, told = cli(
        "fetch", peer, "urn:x:h", "--agreement", agreement, "-o", target, "--keep", "-c", consumer.config
    )
    assert code == 0, told
    code, told = cli("agreement", "retire", agreement, "--reason", "sold", "-c", provider.config)
    assert (code, told["course"], told["in_force"]) == (0, "retired", False)
    code, told = cli("agreement", "retire", agreement, "--reason", "stolen", "-c", provider.config)
    assert (code, told["error"]) == (1, "local-protocol-error")
    assert f"The agreement {agreement} was retired by this node's operator at 2" in told["reasons"][0]
    assert (told["reasons"][0].endswith(" UTC: sold"), len(told["reasons"])) == (True, 2)
    for _ in range(200):
        _, known = cli("agreement", "show", agreement, "-c", consumer.config)
        if known["course"] == "retired":
            break
    assert known["retired_by"] == provider.ready["did"]
    assert run(["agreement", "show", agreement, "-c", consumer.config]) == 0
    out = capsys.readouterr().out
    assert f"stands     retired by {provider.ready['did']}, 2" in out
    assert "reason     sold\n" in out
    assert "reviewPolicy within 2 days of the agreement, by this node: fulfilled" in out
    for _ in range(200):
        if cli("transfer", "list", "-c", consumer.config)[1][0]["state"] == "TERMINATED":
            break
    for side, who in ((consumer, provider.ready["did"]), (provider, "this node's operator")):
        assert run(["agreement", "list", "-c", side.config]) == 0
        assert f"retired by {who}, 2" in capsys.readouterr().out
        _, [transfer] = cli("transfer", "list", "-c", side.config)
        for words in (["transfer", "show", transfer["pid"]], ["why", transfer["pid"]]):
            assert run([*words, "-c", side.config]) == 0
            out = capsys.readouterr().out
            assert f"The agreement was retired by {provider.ready['did']}: sold" in out
    code, told = cli("fetch", peer, "urn:x:h", "--agreement", agreement, "-c", consumer.config)
    assert (code, told["error"]) == (1, "not-found")
    assert f"The agreement {agreement} was retired by {provider.ready['did']} at 2" in told["reasons"][0]
    assert told["reasons"][0].endswith(" UTC: sold")
