"""`anode serve` as a process: ready soon, alone on its store, gone at once when told to stop."""

import json
import os
import stat
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from connector.cli.app import run
from tests.served import served, start

Captured = pytest.CaptureFixture[str]


def test_a_node_starts_tells_where_it_is_and_stops(tmp_path: Path, capsys: Captured) -> None:
    """Ready is one line; the management address stands beside the token while it runs; SIGTERM ends it."""
    with served(tmp_path / "node", "-v") as node:
        address = node.folder / "management.address"
        assert address.read_text().strip() == node.ready["management"]
        with urllib.request.urlopen(node.ready["management"]) as page:  # noqa: S310  # our own address
            assert b"Anode management API" in page.read()
        with urllib.request.urlopen(f"{node.ready['public_url']}/.well-known/did.json") as document:  # noqa: S310
            assert json.load(document)["id"] == node.ready["did"]
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{node.ready['management']}/status")  # noqa: S310  # our own address
        assert refused.value.code == 401
        capsys.readouterr()
        assert run(["status", "-c", node.config, "--json"]) == 0
        status = json.loads(capsys.readouterr().out)
        assert (status["did"], status["deliveries"]) == (node.ready["did"], [])
        code, log = node.stop()
        assert (code, log) == (0, "")
        assert not address.exists()
        assert run(["status", "-c", node.config]) == 4
        assert "does not run; start it with `anode serve`" in capsys.readouterr().err


def test_one_node_per_store(tmp_path: Path) -> None:
    """A second node on the same store does not start, and says which process has it."""
    with served(tmp_path / "node") as node:
        with pytest.raises(
            AssertionError, match=f"another node runs on this store .process {node.process.pid}"
        ):
            start(node.folder)
        node.process.kill()
        node.process.wait()
        with served(node.folder):
            pass  # a killed node leaves nothing that keeps the next one from starting


def test_what_keeps_a_node_from_starting_is_told(tmp_path: Path, capsys: Captured) -> None:
    """A wrong policy, a dataset that names none, a port that is taken: a line each, no traceback."""
    with served(tmp_path / "node") as node:
        port = node.ready["public_url"].rpartition(":")[2]
        other = tmp_path / "other"
        assert run(["init", str(other), "--local", "--public-url", f"http://localhost:{port}"]) == 0
        with pytest.raises(
            AssertionError, match=f"127.0.0.1:{port} can't be listened on: address already in use"
        ):
            start(other)
    (other / "policies" / "wrong.yaml").write_text("p: {offer: everyone, allow: use, wenn: []}\n")
    with pytest.raises(AssertionError, match=r'wrong.yaml:1: .*unknown block "wenn"; did you mean "when"'):
        start(other)
    (other / "policies" / "wrong.yaml").unlink()
    (other / "catalog" / "a.yaml").write_text(
        "datasets: [{id: 'urn:x:1', title: t, offers: [nope], source: {inline: 1}}]\n"
    )
    with pytest.raises(AssertionError, match=r'offered under policy \\?"nope'):
        start(other)
    capsys.readouterr()
    assert run(["config", "check", str(other / "anode.yaml")]) == 2
    assert 'policy "nope", which is not here. There are: everyone-90-days.' in capsys.readouterr().err


def test_doctor_finds_what_is_wrong(tmp_path: Path, capsys: Captured) -> None:
    """All is well with a running node; a key that others can read is found, with what to do about it."""

    def findings(*arguments: str, code: int) -> dict[str, dict[str, str]]:
        capsys.readouterr()
        assert run(["doctor", "-c", str(tmp_path / "node" / "anode.yaml"), "--json", *arguments]) == code
        return {f["what"]: f for f in json.loads(capsys.readouterr().out)}

    with served(tmp_path / "node") as node:
        found = findings("--peer", node.ready["public_url"], code=0)
        assert {f["verdict"] for f in found.values()} <= {"ok", "warning"}
        node.stop()
        assert set(found) >= {"keys", "DID document", "public address", "clock", "store", "disk", "ports"}
    (tmp_path / "node" / "keys" / "key-1.pem").chmod(0o644)
    (tmp_path / "node" / "management.token").write_text("short")
    found = findings(code=1)
    assert found["keys"]["verdict"] == found["management token"]["verdict"] == "wrong"
    assert "chmod 600" in found["keys"]["detail"]
    assert found["DID document"]["verdict"] == "skipped"
    assert all("mend" in f for f in found.values() if f["verdict"] == "wrong")
    store = tmp_path / "node" / "anode.sqlite"
    store.write_bytes(b"not a database at all" * 500)
    assert findings(code=1)["store"]["verdict"] == "wrong"


def test_files_of_a_node_are_its_owners(tmp_path: Path) -> None:
    """Nobody else can read keys, token, store lock or audit log."""
    with served(tmp_path / "node"):
        for name in ("management.token", "keys/key-1.pem", "anode.sqlite.lock", "anode.sqlite.audit.jsonl"):
            assert stat.S_IMODE(os.stat(tmp_path / "node" / name).st_mode) == 0o600, name
