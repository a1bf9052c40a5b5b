"""`anode key …`: keys as an operator handles them, with a node running and without."""

import json
import select
import signal
import stat
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from connector.cli.app import run
from connector.config import load
from connector.vc import keys
from tests import softhsm
from tests.served import Served, served

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that `anode init` has filled, and in which the command is run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANODE_CONFIG", raising=False)
    assert run(["init", "--local"]) == 0
    return tmp_path


def told(capsys: Captured, *arguments: str, code: int = 0) -> Any:
    """What a command answers to a program."""
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def states(capsys: Captured, *arguments: str) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in told(capsys, "key", "list", *arguments)}


def published(node: Served) -> dict[str, Any]:
    with urllib.request.urlopen(f"{node.ready['public_url']}/.well-known/did.json") as answer:  # noqa: S310
        return dict(json.load(answer))


def names(document: dict[str, Any], purpose: str) -> list[str]:
    return [method.partition("#")[2] for method in document[purpose]]


def test_init_keeps_the_passphrase_away_from_the_keys(node: Path) -> None:
    """Keys are encrypted; their passphrase is beside the management token; git ignores both."""
    config = load(node / "anode.yaml")
    assert keys.unencrypted(config.keys.folder) == []
    assert sorted(path.name for path in config.keys.folder.iterdir()) == [
        "ed25519-1.pem",
        "key-1.pem",
        "keyring.json",
    ]
    file = config.keys.passphrase_file
    assert file.parent == config.management.token_file.parent
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text().strip()) == 43
    assert "/keys.passphrase" in (node / ".gitignore").read_text()


def test_a_passphrase_in_the_keys_folder_is_refused(node: Path, capsys: Captured) -> None:
    """Whoever copies the folder would have both."""
    for inside in ("keys/p", "keys/sub/p", "./x/../keys/p"):
        text = (node / "anode.yaml").read_text()
        (node / "other.yaml").write_text(
            text.replace("#passphrase_file: keys.passphrase", f"passphrase_file: {inside}")
        )
        assert run(["config", "check", "other.yaml"]) == 2
        assert "keys: expected a file outside of keys.folder" in capsys.readouterr().err


def test_keys_are_handled_without_a_node(node: Path, capsys: Captured) -> None:
    """List, rotate, hasten, retire: each says what holds, and that the node will start with it."""
    assert states(capsys) == {"key-1": "signs", "ed25519-1": "signs"}
    made = told(capsys, "key", "rotate", "P-256")
    assert [(key["name"], key["state"]) for key in made["keys"]] == [("key-2", "announced")]
    assert made["taken_up"] is False
    assert "is announced and signs soon" in told(capsys, "key", "rotate", code=1)["reasons"][0]
    told(capsys, "key", "rotate", "P-256", "--now")
    assert states(capsys) == {"key-1": "speaks", "ed25519-1": "signs", "key-2": "signs"}
    assert told(capsys, "key", "retire", "key-2")["signs"] == "key-3"
    assert states(capsys)["key-2"] == "retired"
    assert "retired already" in told(capsys, "key", "retire", "key-2", code=1)["reasons"][0]
    assert "there is no key 'key-9'" in told(capsys, "key", "retire", "key-9", code=1)["reasons"][0]
    assert run(["key", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["key", "kind", "in", "state", "signs", "from", "until"]
    assert lines[1].split()[:4] == ["key-1", "P-256", "file", "speaks"]
    assert run(["key", "rotate", "--label", "x"]) == 2


def test_a_running_node_takes_it_up(tmp_path: Path, capsys: Captured) -> None:
    """Without a restart: what a command changes at once, what a hand changes on SIGHUP; mistakes are told."""
    with served(tmp_path / "node") as node:
        assert told(capsys, "key", "rotate", "--now", "-c", node.config)["taken_up"] is True
        document = published(node)
        assert names(document, "capabilityInvocation") == ["key-2", "key-1"]
        assert names(document, "assertionMethod") == ["key-2", "key-1", "ed25519-2", "ed25519-1"]
        assert told(capsys, "key", "retire", "key-1", "-c", node.config)["taken_up"] is True
        assert names(published(node), "capabilityInvocation") == ["key-2"]
        assert (told(capsys, "key", "add", "me", "-c", node.config))["did"].startswith("did:key:z6Mk")
        keyring = node.folder / "keys" / "keyring.json"
        good = keyring.read_bytes()
        for content, said in ((b"{}", b"not read anew: "), (good, b"read anew: keys")):
            keyring.write_bytes(content)
            node.process.send_signal(signal.SIGHUP)
            assert node.process.stderr is not None
            assert select.select([node.process.stderr], [], [], 10)[0]
            assert said in node.process.stderr.readline()
            assert names(published(node), "capabilityInvocation") == ["key-2"]
        keyring.write_bytes(b"{}")
        assert "not a keyring" in told(capsys, "key", "list", "-c", node.config, code=2)["reasons"][0]
        assert node.stop() == (0, "")


def test_keys_in_the_clear_are_warned_of(tmp_path: Path, capsys: Captured) -> None:
    """A node from before keys were encrypted starts; its log and doctor name the command that mends it."""
    folder = tmp_path / "node"
    with served(folder) as node:
        node.stop()
    config = load(folder / "anode.yaml")
    clear = keys.generate(config.participant.did)
    for path in (*config.keys.folder.iterdir(), config.keys.passphrase_file):
        path.unlink()
    keys.save(clear, config.keys.folder)
    with served(folder) as node:
        finding = {f["what"]: f for f in told(capsys, "doctor", "-c", node.config)}["keys"]
        assert (finding["verdict"], finding["mend"]) == ("warning", "anode key encrypt")
        assert names(published(node), "assertionMethod") == ["key-1"]
        _, log = node.stop()
        assert "keys are not encrypted: key-1.pem; run `anode key encrypt`" in log
    assert (
        "no passphrase of the keys there"
        in told(capsys, "key", "encrypt", "-c", node.config, code=2)["reasons"][0]
    )
    assert run(["init", "-c", node.config]) == 0
    told(capsys, "key", "encrypt", "-c", node.config)
    with served(folder) as node:
        assert names(published(node), "assertionMethod") == ["key-1", "ed25519-1"]
        assert {f["verdict"] for f in told(capsys, "doctor", "-c", node.config) if f["what"] == "keys"} == {
            "ok"
        }
        assert node.stop() == (0, "")


def test_no_secret_is_printed(node: Path, capsys: Captured) -> None:
    """Whatever is done, and whatever fails, neither passphrase nor private key shows."""
    passphrase = (node / "keys.passphrase").read_text().strip()
    commands = [
        ["key", "list"], ["key", "rotate", "--now"], ["key", "retire", "key-1"], ["key", "add", "me"],
        ["config", "show"], ["config", "show", "--json"], ["doctor"],
        ["key", "encrypt", "--former", "keys.passphrase"],
    ]  # fmt: skip
    for command in commands:
        run(command)
    (node / "keys.passphrase").write_text(passphrase + "\nmore")
    for command in commands:
        run(command)
    shown = "".join(capsys.readouterr())
    assert passphrase not in shown
    assert "PRIVATE" not in shown


@pytest.mark.needs("softhsm2-util", "openssl")
def test_a_node_with_a_token(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: Captured
) -> None:
    """init makes the keys in SoftHSM; the node starts with them, and takes up one that a command makes."""
    hsm = softhsm.fresh(tmp_path, tmp_path_factory.mktemp("softhsm"))
    folder = tmp_path / "node"
    with served(folder) as node:
        node.stop()
    for path in (folder / "keys").iterdir():
        path.unlink()
    settings = (folder / "anode.yaml").read_text()
    for key, value in hsm.settings.items():
        line = next(
            line
            for line in settings.splitlines()
            if line.startswith(f"  #{key}:") and "certificate" not in line
        )
        settings = settings.replace(f"{line}\n", f'  {key}: "{value}"\n')
    (folder / "anode.yaml").write_text(settings)
    made = told(capsys, "init", "-c", str(folder / "anode.yaml"))["made"]
    assert made[:2] == ["the key key-1 in the token", "the key ed25519-1 in the token"]
    with served(folder) as node:
        assert names(published(node), "capabilityInvocation") == ["key-1"]
        assert told(capsys, "key", "rotate", "P-256", "--now", "-c", node.config)["taken_up"] is True
        assert names(published(node), "capabilityInvocation") == ["key-2", "key-1"]
        finding = {f["what"]: f for f in told(capsys, "doctor", "-c", node.config)}
        assert {finding["keys"]["verdict"], finding["DID document"]["verdict"]} == {"ok"}
        assert node.stop() == (0, "")
    hsm.pin_file.write_text("wrong-pin")
    with pytest.raises(AssertionError, match="does not take this PIN"), served(folder):
        pass
