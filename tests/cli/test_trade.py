"""Two operators trade on the command line: real processes, real sockets, files at the end."""

import hashlib
import json
import shlex
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from connector.cli.api import Api
from connector.cli.app import run
from connector.cli.download import download
from connector.cli.output import Common
from connector.cli.terms import said
from connector.errors import InvalidFile
from tests.served import Served, served

Captured = pytest.CaptureFixture[str]
HELLO = "https://maker.example/hello"
ENFORCED = "for 90 days from the agreement on  decided by the provider's node at every step\n"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    """A provider with policies for everyone, for nobody here and for a moment; and a consumer."""
    folder = tmp_path_factory.mktemp("trade")
    policies = (
        "friends: {offer: {partners: ['did:web:friend.example']}, allow: use}\n"
        "moment: {offer: everyone, allow: use, when: [{for: 2 seconds}]}\n"
        "once: {offer: everyone, allow: use, stop: {uses: 1}}\n"
    )
    with served(folder / "consumer") as consumer, served(folder / "provider", policies=policies) as provider:
        yield consumer, provider


@pytest.fixture
def cli(capsys: Captured) -> Any:
    """Runs a command with --json; its exit code and what it printed."""

    def command(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = run([*arguments, "--json"])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    return command


def publish(cli: Any, provider: Served, name: str, content: bytes, *options: str) -> str:
    """Publish a file of the provider's; the dataset's id."""
    file = provider.folder / name
    file.write_bytes(content)
    code, told = cli("publish", str(file), "-c", provider.config, *options)
    assert code == 0, told
    return str(told["published"][0])


def test_publish_show_and_fetch(
    nodes: tuple[Served, Served], cli: Any, capsys: Captured, tmp_path: Path
) -> None:
    """From a file of one operator to a file of another, with each step shown as it happens."""
    consumer, provider = nodes
    content = json.dumps({"@id": HELLO, "hello": "battery"}).encode()
    code, told = cli("publish", str(provider.folder / "hello.jsonld"), "-c", provider.config)
    assert (code, told["error"]) == (2, "invalid-file")
    (provider.folder / "hello.jsonld").write_bytes(content)
    code, told = cli("publish", str(provider.folder / "hello.jsonld"), "-c", provider.config)
    assert code == 2
    assert "everyone-90-days: Offered to everyone. The data may be used for 90 days" in told["reasons"][0]
    options = ["--offer", "everyone-90-days", "--property", "category=EV", "--title", "Hello"]
    assert publish(cli, provider, "hello.jsonld", content, *options) == HELLO

    peer = provider.ready["public_url"]
    assert run(["catalog", "show", peer, "-c", consumer.config, "--filter", "category=EV"]) == 0
    assert f"{HELLO}  Hello  category=EV" in capsys.readouterr().out
    assert run(["catalog", "show", peer, "-c", consumer.config, "--filter", "category=LMT"]) == 0
    assert "offers this node nothing" in capsys.readouterr().out
    assert run(["catalog", "show", peer, HELLO, "-c", consumer.config]) == 0
    out = capsys.readouterr().out
    assert "The data may be used for 90 days from the agreement on." in out
    assert ENFORCED in out

    target = tmp_path / "got.jsonld"
    assert run(["fetch", peer, HELLO, "-o", str(target), "-c", consumer.config]) == 0
    out, err = capsys.readouterr()
    assert target.read_bytes() == content
    assert hashlib.sha256(content).hexdigest() in out
    assert ENFORCED in err
    arrows = [line.split(" s  ")[1].split()[:3] for line in err.splitlines() if " s  " in line]
    assert arrows == [
        ["→", "request", "REQUESTED"],
        ["←", "agree", "AGREED"],
        ["→", "verify", "VERIFIED"],
        ["←", "finalize", "FINALIZED"],
        ["→", "request", "REQUESTED"],
        ["←", "start", "STARTED"],
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["got.jsonld"]
    code, agreements = cli("agreement", "list", "-c", consumer.config)
    assert [a["dataset"] for a in agreements] == [HELLO]
    code, told = cli("agreement", "show", agreements[0]["id"], "-c", provider.config)
    assert (told["role"], told["terms"]["terms"][0]["enforcement"]) == ("PROVIDER", "enforced")
    _, [negotiation] = cli("negotiation", "list", "-c", provider.config)
    for side in nodes:
        for words in (["agreement", "show", told["id"]], ["negotiation", "show", negotiation["pid"]]):
            if side is provider or words[0] == "agreement":
                assert run([*words, "-c", side.config]) == 0
                out = capsys.readouterr().out
                assert "\nThe data may be used for 90 days from the agreement on.\n\n" in out
                assert ENFORCED in out


def test_terms_give_a_terminal_no_orders() -> None:
    """What a peer has written into its terms is printed without control characters."""
    term = {"says": "by \x1b[31mred", "how": "refused: \x07"}
    shown = list(said({"sentence": "May be \x1b[2J used.", "terms": [term]}, "  "))
    assert shown[:2] == ["  May be [2J used.", ""]
    assert shown[-1].split("  ")[1:] == ["by [31mred", "refused:"]


def test_a_list_that_is_cut_says_so(nodes: tuple[Served, Served], cli: Any, capsys: Captured) -> None:
    """The newest comes first, and the last line says how to see more; a list that is whole says nothing."""
    consumer, provider = nodes
    at = ["-c", consumer.config]
    for name in ("first.txt", "second.txt"):
        dataset = publish(cli, provider, name, b"x", "--offer", "everyone-90-days", "--id", f"urn:x:{name}")
        assert cli("negotiate", provider.ready["did"], dataset, "--wait", *at)[0] == 0
    for name in ("agreement", "negotiation"):
        assert run([name, "list", "--limit", "1", *at]) == 0
        lines = capsys.readouterr().out.splitlines()[-2:]
        assert ("urn:x:second.txt" in lines[0], lines[1]) == (True, "… more; --limit 2")
        assert run([name, "list", *at]) == 0
        assert "…" not in capsys.readouterr().out


def test_a_file_that_can_not_be_written_costs_no_contract(nodes: tuple[Served, Served], cli: Any) -> None:
    """What is wrong with the target is found before a peer is asked for anything."""
    consumer, provider = nodes
    before = cli("negotiation", "list", "-c", consumer.config)
    for target, why in (("/nowhere/at/all", "no folder"), ("/", "is a folder")):
        code, told = cli("fetch", provider.ready["did"], HELLO, "-o", target, "-c", consumer.config)
        assert (code, told["error"]) == (2, "invalid-file")
        assert why in told["reasons"][0]
    assert cli("negotiation", "list", "-c", consumer.config) == before


def test_a_download_that_fails_says_how_to_go_on(
    nodes: tuple[Served, Served], cli: Any, tmp_path: Path
) -> None:
    """The command that it prints fetches the rest under the same agreement."""
    consumer, provider = nodes
    dataset = publish(cli, provider, "gone.txt", b"here again", "--offer", "everyone-90-days")
    (provider.folder / "gone.txt").rename(provider.folder / "away.txt")
    target = tmp_path / "it's here"
    peer = provider.ready["did"]
    code, told = cli("fetch", peer, dataset, "-o", str(target), "-c", consumer.config)
    assert code == 1
    (provider.folder / "away.txt").rename(provider.folder / "gone.txt")
    command = told["reasons"][-1].removeprefix("to go on from what has arrived: ")
    code, told = cli(*shlex.split(command)[1:])
    assert (code, target.read_bytes()) == (0, b"here again")
    assert told["agreement"] in command


def test_status_counts_in_english(nodes: tuple[Served, Served], capsys: Captured) -> None:
    """One policy, no datasets."""
    consumer, _ = nodes
    assert run(["status", "-c", consumer.config]) == 0
    assert "catalog       0 datasets, 1 policy\n" in capsys.readouterr().out


def test_what_is_not_offered_is_refused(nodes: tuple[Served, Served], cli: Any, tmp_path: Path) -> None:
    """A dataset for others looks like none; a peer that does not run can't be reached; nothing is written."""
    consumer, provider = nodes
    hidden = publish(cli, provider, "hidden.txt", b"not for you", "--offer", "friends")
    peer = provider.ready["did"]
    code, catalog = cli("catalog", "show", peer, "--all", "-c", consumer.config)
    assert hidden not in [d["@id"] for d in catalog["datasets"]]
    target = str(tmp_path / "got")
    code, told = cli("fetch", peer, hidden, "-o", target, "-c", consumer.config)
    assert (code, told["error"]) == (1, "not-found")
    assert hidden in told["reasons"][0]
    code, told = cli("fetch", "http://localhost:9", hidden, "-o", target, "-c", consumer.config)
    assert (code, told["error"]) == (4, "unavailable")
    code, told = cli("catalog", "show", "http://192.0.2.1", "-c", consumer.config)
    assert (code, told["error"]) == (3, "egress-denied")
    assert list(tmp_path.iterdir()) == []


def test_what_has_ended_is_refused_with_the_reason(
    nodes: tuple[Served, Served], cli: Any, capsys: Captured, tmp_path: Path
) -> None:
    """When the agreement's time is over, the running transfer ends and a new one is refused: exit code 3."""
    consumer, provider = nodes
    dataset = publish(cli, provider, "moment.txt", b"now", "--offer", "moment")
    peer, target = provider.ready["public_url"], str(tmp_path / "got")
    code, told = cli("fetch", peer, dataset, "-o", target, "--keep", "-c", consumer.config)
    assert code == 0, told
    api = Api.of(Common(config=consumer.folder / "anode.yaml"))
    steps = api.steps(told["transfer"], deadline=time.monotonic() + 30)
    ended = next(step for step in steps if step.get("state") == "TERMINATED")
    assert ended["direction"] == "in"
    code, again = cli(
        "fetch", peer, dataset, "-o", target, "--agreement", told["agreement"], "-c", consumer.config
    )
    assert (code, again["error"]) == (3, "refused")
    assert "The permission ended on" in again["reasons"][0]
    code, status = cli("status", told["transfer"], "-c", consumer.config)
    assert status["process"]["state"] == "TERMINATED"
    for side in nodes:
        code, shown = cli("agreement", "show", told["agreement"], "-c", side.config)
        assert (shown["course"], "ended" in shown, "refused" in shown) == ("ended", True, False)
        assert run(["agreement", "list", "--limit", "1", "-c", side.config]) == 0
        assert f"{dataset}  ended, 2" in capsys.readouterr().out


def test_an_agreement_that_is_used_up_is_said_to_be(
    nodes: tuple[Served, Served], cli: Any, capsys: Captured, tmp_path: Path
) -> None:
    """It runs, as nothing ended it, but its provider sees that it allows nothing, and why."""
    consumer, provider = nodes
    dataset = publish(cli, provider, "once.txt", b"x", "--offer", "once")
    peer, target = provider.ready["did"], str(tmp_path / "got")
    assert cli("fetch", peer, dataset, "-o", target, "-c", consumer.config)[0] == 0
    _, [found] = cli("agreement", "list", "--limit", "1", "-c", provider.config)
    assert found["course"] == "running"
    assert run(["agreement", "list", "--limit", "1", "-c", provider.config]) == 0
    assert f"{dataset}  running, but allows nothing now" in capsys.readouterr().out
    assert run(["agreement", "show", found["id"], "-c", provider.config]) == 0
    assert f"\nreason     {found['refused']}\n" in capsys.readouterr().out
    assert "it has been used" in found["refused"]


def test_by_hand(nodes: tuple[Served, Served], cli: Any) -> None:
    """Negotiate without waiting, look, end a transfer: each verb of the protocol is a command."""
    consumer, provider = nodes
    dataset = publish(cli, provider, "hand.txt", b"x", "--offer", "everyone-90-days")
    peer, at = provider.ready["did"], ["-c", consumer.config]
    code, process = cli("negotiate", peer, dataset, "--wait", *at)
    assert (code, process["state"]) == (0, "FINALIZED")
    code, told = cli("negotiation", "terminate", process["pid"], *at)
    assert (code, told["error"]) == (1, "local-protocol-error")
    code, told = cli("fetch", peer, dataset, "-o", str(consumer.folder / "hand.txt"), "--keep", *at)
    code, told = cli("transfer", "suspend", told["transfer"], "--reason", "lunch", *at)
    assert (code, told["process"]["pending"]) == (0, "suspend")
    code, listed = cli("transfer", "list", "--limit", "1", *at)
    assert [p["pid"] for p in listed] == [told["process"]["pid"]]
    code, shown = cli("negotiation", "show", process["pid"], *at)
    assert shown["process"]["offer"]["target"] == dataset
    code, told = cli("catalog", "withdraw", dataset, "-c", provider.config)
    assert code == 0
    code, own = cli("catalog", "list", "-c", provider.config)
    assert dataset not in [d["id"] for d in own]


class _Awkward(BaseHTTPRequestHandler):
    """Serves CONTENT but breaks off twice on the way; honours Range and If-Range."""

    content = bytes(range(256)) * 5000
    asked: list[str | None] = []  # noqa: RUF012  # one server at a time
    etag = '"one"'

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Range"))
        start = 0
        if self.headers.get("If-Range") == self.etag:
            start = int(self.headers["Range"].removeprefix("bytes=").partition("-")[0])
        part = self.content[start:]
        if not part:
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("ETag", self.etag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part if len(self.asked) % 3 == 0 else part[:400_000])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def awkward() -> Iterator[Api]:
    """An API whose data breaks off."""
    _Awkward.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Awkward)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Api(f"http://127.0.0.1:{server.server_port}", "token")
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_broken_download_goes_on_where_it_broke(awkward: Api, tmp_path: Path) -> None:
    """What has arrived is not read again, and the file appears only when it is complete."""
    target = tmp_path / "big.bin"
    done = download(awkward, Common(), "urn:x:1", target)
    assert done["sha256"] == hashlib.sha256(_Awkward.content).hexdigest()
    assert _Awkward.asked == [None, "bytes=400000-", "bytes=800000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["big.bin"]


def test_a_part_of_another_version_is_not_continued(awkward: Api, tmp_path: Path) -> None:
    """A part left by an earlier try counts only if the provider still has that version."""
    (tmp_path / "big.bin.part").write_bytes(b"old" * 1000)
    (tmp_path / "big.bin.part.etag").write_text('"zero"')
    download(awkward, Common(), "urn:x:1", tmp_path / "big.bin")
    assert (tmp_path / "big.bin").read_bytes() == _Awkward.content


def test_a_part_that_has_no_rest_is_read_anew(awkward: Api, tmp_path: Path) -> None:
    """A complete part that was not renamed, for whatever reason, does not keep the file from coming."""
    (tmp_path / "big.bin.part").write_bytes(bytes(len(_Awkward.content)))
    (tmp_path / "big.bin.part.etag").write_text(_Awkward.etag)
    download(awkward, Common(), "urn:x:1", tmp_path / "big.bin")
    assert (tmp_path / "big.bin").read_bytes() == _Awkward.content


def test_a_folder_that_cannot_be_written_is_named(awkward: Api, tmp_path: Path) -> None:
    """What is wrong with the disk is not taken for a broken connection, and is not tried again."""
    (tmp_path / "big.bin.part").mkdir()
    with pytest.raises(InvalidFile, match=r"big.bin.part: can't be written: Is a directory"):
        download(awkward, Common(), "urn:x:1", tmp_path / "big.bin")
    assert len(_Awkward.asked) == 1
