"""Why, asked by both sides on the command line; reviews; and what another policy would have said."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from connector.cli.app import run
from tests.served import Served, served

Captured = pytest.CaptureFixture[str]
POLICIES = (
    "moment: {offer: everyone, allow: use, when: [{for: 1 hour}]}\n"
    "over: {offer: everyone, allow: use, when: [{credential: RepairerCredential}]}\n"
    "hourly: {offer: everyone, allow: use, when: [{every: 1 hour}]}\n"
    "asked: {offer: everyone, allow: use, review: yes}\n"
)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    """A consumer, and a provider with a policy for an hour, one for repairers, and one with a review."""
    folder = tmp_path_factory.mktemp("why")
    with served(folder / "consumer") as consumer, served(folder / "provider", policies=POLICIES) as provider:
        for offer in ("moment", "over", "hourly", "asked"):
            file = provider.folder / f"{offer}.txt"
            file.write_text("data")
            arguments = ["--id", f"urn:x:{offer}", "--offer", offer, "-c", provider.config]
            assert run(["publish", str(file), *arguments]) == 0
        yield consumer, provider


@pytest.fixture
def cli(capsys: Captured) -> Any:
    """Runs a command; its exit code and what it printed, as JSON if that was asked for."""

    def command(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = run(arguments)
        out = capsys.readouterr().out
        return code, json.loads(out) if "--json" in arguments else out

    return command


def test_both_sides_learn_why_a_negotiation_was_refused(nodes: tuple[Served, Served], cli: Any) -> None:
    """The provider sees the tree with what would do; the consumer the code and the sentence it was told."""
    consumer, provider = nodes
    peer = provider.ready["did"]
    code, _ = cli("negotiate", peer, "urn:x:over", "--wait", "-c", consumer.config)
    assert code == 3
    _, (theirs, *_) = cli("negotiation", "list", "--json", "-c", provider.config)
    _, (ours, *_) = cli("negotiation", "list", "--json", "-c", consumer.config)
    code, out = cli("why", theirs["pid"], "-c", provider.config)
    assert code == 0
    assert "negotiation: refused, policy over" in out
    assert "✗ use is refused" in out
    assert "    ? by holders of a RepairerCredential (seen: none of these) (not known) [enforced]" in out
    assert "would do: by holders of a RepairerCredential" in out
    code, out = cli("why", ours["pid"], "-c", consumer.config)
    assert "what the peer told:" in out
    assert "[constraint-not-satisfied]" in out or "[fact-missing]" in out
    _, found = cli("why", ours["pid"], "--json", "-c", consumer.config)
    assert found["told"][0]["operand"] == "https://w3id.org/anode/v1/credential"
    assert cli("why", "urn:x:nothing", "-c", consumer.config)[0] == 1


def test_a_review_on_the_command_line(nodes: tuple[Served, Served], cli: Any) -> None:
    """What waits is shown by `why`, approved or rejected by a command, and the consumer sees the state."""
    consumer, provider = nodes
    for word, state in (("approve", "FINALIZED"), ("reject", "TERMINATED")):
        code, _ = cli("negotiate", provider.ready["did"], "urn:x:asked", "-c", consumer.config)
        assert code == 0
        found: list[dict[str, Any]] = []
        while not found or found[0].get("state") != "REQUESTED":
            found = cli("negotiation", "list", "--json", "-c", consumer.config)[1]
        _, (theirs, *_) = cli("negotiation", "list", "--json", "-c", provider.config)
        pid = theirs["pid"]
        assert "waits for your decision until" in cli("why", pid, "-c", provider.config)[1]
        assert (theirs["waits"], "waits_until" in theirs, "waits" in found[0]) == ("review", True, False)
        for words in (["negotiation", "list"], ["negotiation", "show", pid], ["status", pid]):
            assert "waits for your decision until" in cli(*words, "-c", provider.config)[1]
        assert f"`anode negotiation approve {pid}`" in cli("status", pid, "-c", provider.config)[1]
        out = cli("status", "-c", provider.config)[1]
        assert "to be done:\n1 negotiation waits for your decision; look with `anode negotiation show" in out
        assert f"{pid}  {consumer.ready['did']}  urn:x:asked  2" in out
        assert cli("negotiation", word, theirs["pid"], "-c", provider.config)[0] == 0
        while found[0]["state"] not in ("FINALIZED", "TERMINATED"):
            found = cli("negotiation", "list", "--json", "-c", consumer.config)[1]
        assert found[0]["state"] == state
        assert "waits" not in cli("negotiation", "list", "-c", provider.config)[1]
        assert "to be done" not in cli("status", "-c", provider.config)[1]
        assert cli("negotiation", word, theirs["pid"], "-c", provider.config)[0] != 0


def test_a_request_is_explained_and_replayed(nodes: tuple[Served, Served], cli: Any, tmp_path: Path) -> None:
    """A request is found by its X-Request-ID; a changed policy turns it, and the negotiation, not others."""
    consumer, provider = nodes
    target = tmp_path / "got"
    done = cli("fetch", provider.ready["did"], "urn:x:moment", "-o", str(target), "-c", consumer.config)
    assert done[0] == 0
    audit = Path(f"{provider.folder}/anode.sqlite.audit.jsonl").read_text().splitlines()
    name = json.loads(audit[-1])["request"]
    code, out = cli("why", name, "-c", provider.config)
    assert code == 0
    assert "request: permitted" in out
    assert "✓ for 1 hour from the agreement on" in out
    gone = {**json.loads(audit[-1]), "request": "gone", "permitted": False, "reasons": ["It is gone."]}
    with Path(f"{provider.folder}/anode.sqlite.audit.jsonl").open("a") as log:
        log.write(json.dumps(gone, separators=(",", ":")) + "\n")  # no policy refused it, so none is asked
    changed = tmp_path / "changed.yaml"
    changed.write_text("moment: {offer: everyone, allow: use, when: [{until: 2020-01-01}]}\n")
    code, found = cli("policy", "whatif", str(changed), "--json", "-c", provider.config)
    assert code == 0
    assert found["replayed"] == {"negotiation": 1, "transfer": 1, "request": 1}
    assert {(turn["was"], turn["now"]) for turn in found["turns"]} == {(True, False)}
    assert all("ended on" in turn["reasons"][0] for turn in found["turns"])
    assert (
        cli("policy", "whatif", str(changed), "--since", "2099-01-01", "--json", "-c", provider.config)[1][
            "replayed"
        ]
        == {}
    )
    assert cli("negotiate", provider.ready["did"], "urn:x:over", "--wait", "-c", consumer.config)[0] == 3
    over = tmp_path / "over.yaml"
    over.write_text("over: {offer: everyone, allow: use}\n")
    code, out = cli("policy", "whatif", str(over), "--since", "1 day", "-c", provider.config)
    assert "was refused, would be allowed" in out
    assert re.search(r"decided again: ([12]) negotiations; \1 would turn", out)
    assert cli("policy", "whatif", str(over), "--since", "soon", "-c", provider.config)[0] == 2
    assert cli("policy", "whatif", str(over), "-p", "other", "-c", provider.config)[0] == 1


def test_a_refused_reader_can_quote_its_request(
    nodes: tuple[Served, Served], cli: Any, tmp_path: Path
) -> None:
    """The consumer's `why` has the code, and the id by which both sides find the request."""
    consumer, provider = nodes
    ask = ["fetch", provider.ready["did"], "urn:x:hourly", "-c", consumer.config, "-o"]
    code, done = cli(*ask, str(tmp_path / "got"), "--json")
    assert code == 0
    code, again = cli(*ask, str(tmp_path / "again"), "--agreement", done["agreement"], "--json")
    assert code == 3
    _, (ours, *_) = cli("transfer", "list", "--json", "-c", consumer.config)
    _, found = cli("why", ours["pid"], "--json", "-c", consumer.config)
    (told,) = found["told"]
    assert (told["code"], told["operand"]) == (
        "constraint-not-satisfied",
        "http://www.w3.org/ns/odrl/2/timeInterval",
    )
    assert again["reasons"][-1] == f"To ask the provider why, quote request {told['request']}."
    assert f"request {told['request']}" in cli("why", ours["pid"], "-c", consumer.config)[1]
    code, out = cli("why", told["request"], "-c", provider.config)
    assert code == 0
    assert "request: refused" in out
    assert "✗ when the last use under the same agreement, if any, was at least 1 hour ago (seen: used " in out
    _, ours_too = cli("why", told["request"], "--json", "-c", consumer.config)
    assert (ours_too["id"], ours_too["told"]) == (ours["pid"], [told])


async def test_a_refused_request_names_itself(nodes: tuple[Served, Served]) -> None:
    """Each answer of the data plane, also a refusal, has an X-Request-ID of its own."""
    _, provider = nodes
    async with aiohttp.ClientSession() as session:
        names = set()
        for _ in range(2):
            async with session.get(f"{provider.ready['public_url']}/data") as answer:
                assert answer.status == 401
                names.add(answer.headers["X-Request-ID"])
        assert len(names) == 2
