"""The command line: what it prints where, how it ends, and that it starts fast."""

import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from connector.cli.app import _COMMANDS, _GROUPS, run
from connector.config import load
from connector.flows import issuable
from connector.vc import keys

COMMANDS = """\
init
serve
demo
publish
negotiate
fetch
status
why
doctor
catalog show
catalog list
catalog withdraw
negotiation list
negotiation show
negotiation counter
negotiation accept
negotiation agree
negotiation verify
negotiation finalize
negotiation approve
negotiation reject
negotiation terminate
agreement list
agreement show
transfer list
transfer show
transfer start
transfer suspend
transfer complete
transfer terminate
credential list
credential show
credential request
credential issue
credential reject
credential revoke
credential suspend
credential reinstate
credential verify
credential drop
key list
key rotate
key retire
key add
key encrypt
policy check
policy explain
policy test
policy diff
policy whatif
policy import
config check
config show"""
"""Commands that people have in their scripts: none goes away unnoticed."""
Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test works in a folder of its own, without the caller's settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANODE_CONFIG", raising=False)


def test_init_makes_a_node(tmp_path: Path, capsys: Captured) -> None:
    """init makes all that a node needs, tells its DID and the next command, and keeps secrets private."""
    assert run(["init", "--local"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-2:] == ["DID   did:web:localhost%3A8080", "Next  anode serve"]
    assert err == ""
    config = load(tmp_path / "anode.yaml")
    assert (config.participant.did, config.network.reach) == ("did:web:localhost%3A8080", "loopback")
    key = keys.load(config.keys.folder, config.participant.did, passphrase_file=config.keys.passphrase_file)
    assert key.kid == "did:web:localhost%3A8080#key-1"
    assert stat.S_IMODE(config.management.token_file.stat().st_mode) == 0o600
    assert len(config.management.token_file.read_text().strip()) >= 43
    assert (tmp_path / "catalog").is_dir()
    assert [path.name for path in (tmp_path / "policies").iterdir()] == ["everyone-90-days.yaml"]
    assert "management" in (tmp_path / ".gitignore").read_text()


def test_init_for_the_internet(tmp_path: Path, capsys: Captured) -> None:
    """A public address gives the DID; the operator's name is as said; --json tells the same to programs."""
    assert run(["init", "node", "--public-url", "https://a.example/x/", "--name", "A: b", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["did"] == "did:web:a.example:x"
    assert told["next"] == "anode serve --config node/anode.yaml"
    assert "node/keys/key-1.pem" in told["made"]
    config = load(tmp_path / "node/anode.yaml")
    assert (config.participant.name, config.public.url) == ("A: b", "https://a.example/x")
    assert config.network.reach == "internet"


def test_init_makes_an_issuer(tmp_path: Path, capsys: Captured) -> None:
    """--issue writes the file that says what is issued: nobody gets anything without a decision."""
    assert run(["init", "authority", "--local", "--issue", "--name", "A: b, c"]) == 0
    assert "made authority/issuer.yaml\n" in capsys.readouterr().out
    config = load(tmp_path / "authority/anode.yaml")
    assert config.credentials.issue == tmp_path / "authority/issuer.yaml"
    issued = issuable.load(config.credentials.issue)
    assert issued["MembershipCredential"].claims == {"memberOf": "A: b, c"}
    assert not any(one.permits("did:web:anybody.example") for one in issued.values())
    (tmp_path / "authority/issuer.yaml").write_text("mine: {}")
    assert run(["init", "authority"]) == 0
    assert (tmp_path / "authority/issuer.yaml").read_text() == "mine: {}"


def test_init_again_overwrites_nothing(tmp_path: Path, capsys: Captured) -> None:
    """A second init keeps every byte, and makes only what was lost."""
    assert run(["init", "--local"]) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / "management.token").unlink()
    capsys.readouterr()
    assert run(["init", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["made"] == ["management.token"]
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.name for path in before if before[path] != after[path]} == {"management.token"}
    assert run(["init", "--local"]) == 2
    assert "already there" in capsys.readouterr().err


def test_two_local_nodes_have_their_own_ports(tmp_path: Path) -> None:
    """Local nodes at different addresses differ in ports and, by their folders, in names, without editing."""
    assert run(["init", "a", "--local"]) == 0
    assert run(["init", "b", "--local", "--public-url", "http://localhost:9080"]) == 0
    a, b = (load(tmp_path / name / "anode.yaml") for name in "ab")
    assert (a.public.port, a.management.port) == (8080, 8081)
    assert (b.public.port, b.management.port) == (9080, 9081)
    assert (a.participant.name, b.participant.name) == ("a", "b")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["init"], "init: say --public-url https://… (how peers reach this node), or --local to try it out"),
        (["init", "--public-url", "http://a.example"], "init: http://a.example is not https"),
        (["init", "--public-url", "https://10.0.0.1"], "a did:web needs a host name, not an IP address"),
        (["init", "--public-url", "https://a.example:x"], "init: "),
        (
            ["init", "--local", "--public-url", "https://a.example"],
            "https://a.example is not on this machine",
        ),
        (["init", "--public-ulr", "x"], "Unknown option: --public-ulr. Did you mean --public-url?"),
        (["intt"], 'Unknown command "intt". Did you mean "init"?'),
        (["config", "chekc"], 'Unknown command "chekc". Did you mean "check"?'),
        (
            ["config", "check"],
            "anode.yaml: no such file; say --config FILE, or make a node with `anode init`",
        ),
        (["config", "show", "--config"], "requires an argument"),
        (["status", "a", "b", "c"], "b c: not expected here; see `anode status --help`"),
        (["publish", "a.json", "--id", "notauri"], "--id notauri is not a URI, such as https://"),
    ],
)
def test_wrong_usage(arguments: list[str], reason: str, tmp_path: Path, capsys: Captured) -> None:
    """Wrong usage ends with 2 and one line on stderr that says what to do; nothing is written."""
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("anode: ")
    assert reason in err
    assert not list(tmp_path.iterdir())


def test_config_check(tmp_path: Path, capsys: Captured) -> None:
    """config check says that settings are right, or each mistake on a line of its own."""
    run(["init", "--local"])
    capsys.readouterr()
    assert run(["config", "check"]) == 0
    assert f"anode.yaml is right: {tmp_path.name}, did:web:localhost%3A8080" in capsys.readouterr().out
    (tmp_path / "wrong.yaml").write_text("pubilc: {}\npublic: {port: x}\n")
    assert run(["config", "check", "wrong.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert 'anode: wrong.yaml:1: unknown key "pubilc"; did you mean "public"?' in err.splitlines()
    assert run(["config", "check", "wrong.yaml", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["error"] == "invalid-file"
    assert len(told["reasons"]) == len(err.splitlines())


def test_config_is_found(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    """--config comes before $ANODE_CONFIG, which comes before ./anode.yaml."""
    for name in ("one", "two"):
        run(["init", name, "--public-url", f"https://{name}.example"])
    monkeypatch.setenv("ANODE_CONFIG", "one/anode.yaml")
    capsys.readouterr()
    for arguments, did in (([], "did:web:one.example"), (["-c", "two/anode.yaml"], "did:web:two.example")):
        assert run(["config", "check", "--json", *arguments]) == 0
        assert json.loads(capsys.readouterr().out)["did"] == did


def test_config_show(capsys: Captured) -> None:
    """config show lists every key with its value, and where it is set."""
    run(["init", "--local"])
    capsys.readouterr()
    assert run(["config", "show"]) == 0
    rows = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()[1:]]
    shown = {key: (value, origin) for key, value, origin in rows}
    assert shown["delivery.deadline"] == ("24h", "default")
    assert shown["network.reach"][0] == "loopback"
    assert shown["network.reach"][1].startswith("anode.yaml:")
    assert run(["config", "show", str(Path.cwd() / "anode.yaml"), "--json"]) == 0
    values = {entry["key"]: entry["value"] for entry in json.loads(capsys.readouterr().out)}
    assert (values["public.url"], values["limits.message_bytes"]) == ("http://localhost:8080", 1 << 20)


def test_help_is_fast() -> None:
    """Help loads no command's module and none of the heavy libraries."""
    code = (
        "import sys; from connector.__main__ import main; sys.argv = ['anode', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(*{'aiohttp', 'pydantic', 'cryptography', 'asyncio', 'connector.cli.init'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == ""
    assert "config" in done.stdout
    assert done.stderr == ""


def test_output_is_plain_in_pipes() -> None:
    """Into a pipe no colour and no cursor movement is written."""
    command = [sys.executable, "-m", "connector", "config", "check", "missing.yaml"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert (
        done.stderr
        == "anode: missing.yaml: no such file; say --config FILE, or make a node with `anode init`\n"
    )


def test_help_lists_every_command(capsys: Captured) -> None:
    """Each command is in the help with what it does, and has a help of its own that names its options."""
    assert run(["--help"]) == 0
    top = capsys.readouterr().out
    for name in [*_COMMANDS, *_GROUPS]:
        assert re.search(rf"^│ {name} ", top, re.MULTILINE), name
    names = [[name] for name in _COMMANDS] + [[g, name] for g, (_, cs) in _GROUPS.items() for name in cs]
    for name in names:
        assert run([*name, "--help"]) == 0
        shown = capsys.readouterr().out
        assert shown.startswith(f"Usage: anode {' '.join(name)}")
        assert "--json" in shown
        assert "--config" in shown
    assert [" ".join(name) for name in names] == COMMANDS.split("\n")
