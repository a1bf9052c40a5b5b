"""`anode credential` and `anode init --join`: a data space is founded, joined, and a member is shut out."""

import io
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.cli.app import run
from connector.config import load
from tests.served import Served, served, start, two_free_ports

Captured = pytest.CaptureFixture[str]
MEMBER, RECYCLER = "MembershipCredential", "RecyclerCredential"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The node of an authority, as `init --issue` makes it."""
    folder = tmp_path_factory.mktemp("space") / "authority"
    url = f"http://localhost:{two_free_ports()}"
    assert run(["init", str(folder), "--local", "--issue", "--public-url", url]) == 0
    with served(folder) as node:
        yield node


@pytest.fixture
def member(authority: Served, tmp_path: Path) -> Iterator[Served]:
    """A node that has just joined."""
    join(authority, tmp_path / "member")
    with served(tmp_path / "member") as node:
        yield node


@pytest.fixture
def cli(capsys: Captured) -> Any:
    """Runs a command with --json; its exit code and what it printed."""

    def command(node: Served, *arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = run([*arguments, "--json", "-c", node.config])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    return command


@pytest.fixture
def says(capsys: Captured) -> Any:
    """Runs a command; its exit code, what it printed, and what it complained of."""

    def command(node: Served, *arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        return (run([*arguments, "-c", node.config]), *capsys.readouterr())

    return command


def join(authority: Served, folder: Path) -> list[str]:
    url = f"http://localhost:{two_free_ports()}"
    command = ["init", str(folder), "--local", "--public-url", url, "--join", authority.ready["did"]]
    assert run(command) == 0
    return command


def waiting(authority: Served, member: Served, cli: Any, type_: str) -> str:
    """The id of the member's request for this type, once it waits."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for one in cli(authority, "credential", "list")[1]["issuances"]:
            if (one["holder"], one["types"], one["status"]) == (member.ready["did"], [type_], "RECEIVED"):
                return str(one["pid"])
    raise AssertionError(f"{member.ready['did']} has not asked for {type_}")


def admitted(authority: Served, member: Served, cli: Any) -> str:
    """Give the member its membership; the credential's id."""
    code, told = cli(authority, "credential", "issue", waiting(authority, member, cli, MEMBER))
    assert (code, told["delivered"]) == (0, True), told
    return str(cli(member, "credential", "list")[1]["held"][0]["id"])


def test_joining_asks_the_authority_first(authority: Served, tmp_path: Path, capsys: Captured) -> None:
    """What its authority gives, everybody needs; the settings and what is printed say so."""
    join(authority, tmp_path / "member")
    out = capsys.readouterr().out
    assert f"Joins {authority.ready['did']}, which asks for {MEMBER}\n" in out
    settings = load(tmp_path / "member" / "anode.yaml").credentials
    assert (settings.authority, settings.require) == (authority.ready["did"], (MEMBER,))


@pytest.mark.parametrize(
    ("join", "code", "why"),
    [
        ("did:web:localhost%3A1", 4, "can't be reached"),
        ("did:web:10.0.0.1", 3, "needs a host name, not an IP address"),
        ("did:key:z6Mk", 2, "say the authority's DID"),
    ],
)
def test_who_can_not_be_joined(join: str, code: int, why: str, tmp_path: Path, capsys: Captured) -> None:
    """Without the authority's answer nothing is made, and the reason is told."""
    assert run(["init", str(tmp_path / "node"), "--local", "--join", join]) == code
    assert why in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_authority_beyond_reach_is_not_asked(authority: Served, tmp_path: Path, capsys: Captured) -> None:
    """A node for the internet does not ask an authority on this machine: the node's own guard says no."""
    joining = ["init", str(tmp_path / "node"), "--public-url", "https://a.example"]
    assert run([*joining, "--join", authority.ready["did"]]) == 3
    assert "network.reach" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_issuer_that_gives_nothing_is_no_authority(tmp_path: Path, capsys: Captured) -> None:
    """A node that issues nothing can't be joined by mistake."""
    with served(tmp_path / "other") as other:
        joining = ["init", str(tmp_path / "node"), "--local", "--join", other.ready["did"]]
        assert run(joining) == 1
    assert "gives no credentials: is it the authority?" in capsys.readouterr().err
    assert not (tmp_path / "node").exists()


def test_a_membership_from_request_to_revocation(
    authority: Served, member: Served, cli: Any, says: Any
) -> None:
    """Asked for at start, decided by the authority, held, verified; revoked for ever."""
    did = member.ready["did"]
    waiting(authority, member, cli, MEMBER)
    issue = ["credential", "issue", "--to", did, "--type", MEMBER, "--claim", "since=2026", "--claim", "of=x"]
    code, told = cli(authority, *issue)
    assert (code, told["status"], told["delivered"]) == (0, "ISSUED", True)
    code, told = cli(member, "credential", "list")
    (held,) = told["held"]
    assert held["claims"] == {"memberOf": "authority", "since": 2026, "of": "x"}
    code, out, _ = says(member, "credential", "list")
    assert code == 0
    assert f"{held['id']}  {MEMBER}  {authority.ready['did']}" in out
    code, out, _ = says(member, "credential", "show", held["id"])
    assert "says       since: 2026\n" in out
    code, out, _ = says(member, "credential", "verify", held["id"])
    assert (code, out.count("ok ")) == (0, 4)
    assert "is believed here about MembershipCredential" in out
    code, told = cli(authority, "credential", "show", held["id"])
    assert (told["holder"], told["state"]) == (did, "valid")
    code, out, _ = says(authority, "credential", "revoke", did, "--type", MEMBER)
    assert (code, out) == (0, f"revoked: {MEMBER} of {did} ({held['id']})\n")
    code, _, err = says(authority, "credential", "revoke", did, "--type", MEMBER)
    assert (code, f"this node has issued no {MEMBER} to {did} that could become revoked" in err) == (1, True)
    code, _, err = says(authority, "credential", "reinstate", held["id"])
    assert (code, "can't be undone" in err) == (1, True)


def test_a_request_is_approved_or_refused(authority: Served, member: Served, cli: Any, says: Any) -> None:
    """By its id; who waits learns the answer and its reason, by the exit code too."""
    admitted(authority, member, cli)
    code, asked = cli(member, "credential", "request", RECYCLER)
    assert (code, asked["status"]) == (0, "REQUESTED")
    code, out, _ = says(member, "credential", "show", asked["pid"])
    assert "the issuer has yet to decide" in out
    code, out, _ = says(member, "credential", "list")
    assert f"{asked['pid']}  {RECYCLER}" in out
    pid = waiting(authority, member, cli, RECYCLER)
    code, out, _ = says(authority, "credential", "list")
    assert "waiting for this node's decision\nrequest" in out
    code, out, _ = says(authority, "credential", "issue", pid)
    assert (code, out.splitlines()[-1]) == (0, "delivered  yes")
    code, told = cli(member, "credential", "request", "--wait", RECYCLER, "--timeout", "10ms")
    assert (code, "has not decided yet; the request stands" in told["reasons"][0]) == (4, True)
    pid = waiting(authority, member, cli, RECYCLER)
    code, out, _ = says(authority, "credential", "reject", pid, "--reason", "one is enough")
    assert "stands     refused: one is enough" in out
    code, out, _ = says(member, "credential", "list")
    assert "refused: one is enough" in out


def test_an_issuer_that_decides_at_once_and_one_that_is_away(tmp_path: Path, cli: Any, says: Any) -> None:
    """--wait comes back with the credential; a request whose issuer is away is shown as it stood."""
    url = f"http://localhost:{two_free_ports()}"
    assert run(["init", str(tmp_path / "a"), "--local", "--issue", "--public-url", url]) == 0
    (tmp_path / "a" / "issuer.yaml").write_text(f"{MEMBER}: {{}}\n{RECYCLER}: {{to: everyone}}\n")
    with served(tmp_path / "a") as issuer:
        join(issuer, tmp_path / "member")
        with served(tmp_path / "member") as member:
            code, told = cli(member, "credential", "request", "--wait", RECYCLER)
            assert (code, told["status"]) == (0, "ISSUED")
            code, asked = cli(member, "credential", "request", MEMBER)
            issuer.stop()
            code, out, err = says(member, "credential", "show", asked["pid"])
            assert (code, "asked; the issuer decides" in out) == (0, True)
            assert "the issuer can't be asked now" in err


def test_suspended_and_reinstated(authority: Served, member: Served, cli: Any) -> None:
    """All that was issued to a participant, or one credential; dropped, it is gone from the wallet."""
    id_ = admitted(authority, member, cli)
    _, changed = cli(authority, "credential", "suspend", member.ready["did"])
    assert [(one["id"], one["state"]) for one in changed] == [(id_, "suspended")]
    _, changed = cli(authority, "credential", "reinstate", id_)
    assert [(one["id"], one["state"]) for one in changed] == [(id_, "valid")]
    assert cli(member, "credential", "drop", id_) == (0, {"dropped": id_})
    assert cli(member, "credential", "list")[1]["held"] == []
    assert cli(member, "credential", "drop", id_)[0] == 1


def test_what_is_verified(
    authority: Served, member: Served, cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file, standard input, the text itself: all the same. What is false ends with 1."""
    id_ = admitted(authority, member, cli)
    token = cli(member, "credential", "show", id_)[1]["token"]
    (tmp_path / "jwt").write_text(f"{token}\n")
    (tmp_path / "json").write_text(json.dumps({"@context": "x", "type": "VerifiableCredential"}))
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(token)))
    for given in (str(tmp_path / "jwt"), "-", token):
        code, told = cli(member, "credential", "verify", given)
        assert (code, told["outcome"], told["subjects"]) == (0, "ok", [member.ready["did"]])
    code, told = cli(member, "credential", "verify", token[:-8] + "AAAAAAAA")
    assert (code, told["outcome"]) == (1, "wrong")
    assert cli(member, "credential", "verify", str(tmp_path / "json"))[0] == 1
    assert cli(member, "credential", "verify", str(tmp_path / "none"))[0] == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["issue"], "name a request that waits; or say --to DID and --type TYPE"),
        (["issue", "--to", "did:web:a.example"], "--type TYPE"),
        (["issue", "urn:x", "--type", RECYCLER], "--type TYPE"),
        (["issue", "urn:x", "--claim", "x"], "--claim x: say NAME=VALUE"),
        (["request", RECYCLER, "--offer", "urn:x"], "leave out the rest"),
        (["reject", "urn:x"], "reason"),
    ],
)
def test_wrong_usage(arguments: list[str], why: str, authority: Served, says: Any) -> None:
    """What can't be meant ends with 2 and says what would be right."""
    code, out, err = says(authority, "credential", *arguments)
    assert (code, out, why in err) == (2, "", True), err


def test_what_is_not_there(authority: Served, member: Served, says: Any, cli: Any) -> None:
    """Unknown ids, types and issuers are told as that; a node that is off as off."""
    code, _, err = says(member, "credential", "show", "urn:x")
    assert (code, "see `anode credential list`" in err) == (1, True)
    code, _, err = says(member, "credential", "request", "Nope")
    assert (code, f"gives no Nope; it gives: {MEMBER}, {RECYCLER}" in err) == (1, True)
    assert cli(member, "credential", "request", "--from", "did:web:localhost%3A1", "A")[0] == 4
    assert cli(authority, "credential", "issue", "urn:x")[0] == 1
    code, out, _ = says(member, "credential", "request")
    assert (code, RECYCLER in out, "Treatment facility under permit" in out) == (0, True, True)
    member.stop()
    assert cli(member, "credential", "list")[0] == 4


def test_doctor_and_status(authority: Served, tmp_path: Path, cli: Any, says: Any) -> None:
    """Before, while and after a membership is asked for; an authority that is away; a wrong file."""

    def looks(node: Any) -> dict[str, dict[str, str]]:
        return {one["what"]: one for one in cli(node, "doctor")[1]}

    join(authority, tmp_path / "member")
    node = start(tmp_path / "member")
    try:
        admitted(authority, node, cli)
        found = looks(node)
        assert (found["credentials"]["verdict"], found["authority"]["verdict"]) == ("ok", "ok")
        assert "credentials   1 held" in says(node, "status")[1].splitlines()
        (id_,) = [one["id"] for one in cli(node, "credential", "list")[1]["held"]]
        cli(node, "credential", "drop", id_)
    finally:
        node.stop()
    found = looks(node)
    assert found["credentials"]["verdict"] == "wrong"
    assert f"{MEMBER}, which everybody needs, is missing" in found["credentials"]["detail"]
    assert f"anode credential request {MEMBER}" in found["credentials"]["mend"]
    settings = Path(node.config)
    text = settings.read_text().replace(authority.ready["did"], "did:web:localhost%3A1")
    settings.write_text(text.replace("#issue:", "issue: wrong.yaml #"))
    (settings.parent / "wrong.yaml").write_text("MembershipCredential:\n  too: everyone\n")
    found = looks(node)
    assert found["authority"]["verdict"] == "warning"
    assert found["issuer's files"]["verdict"] == "wrong"
    assert "wrong.yaml:2" in found["issuer's files"]["detail"]
    code, _, err = says(node, "config", "check")
    assert (code, "wrong.yaml:2" in err) == (2, True)


def test_config_check_reads_the_files_of_an_issuer(authority: Served, says: Any) -> None:
    """What is issued and who may use the token service is told with the rest."""
    clients = authority.folder / "token-clients"
    clients.write_text(f"connector {'s' * 20}\n")
    clients.chmod(0o600)
    settings = Path(authority.config)
    before = settings.read_text()
    settings.write_text(before.replace("#clients:", "clients: token-clients #"))
    code, out, _ = says(authority, "config", "check")
    settings.write_text(before)
    assert code == 0
    assert out.endswith(f"; issues {MEMBER}, {RECYCLER}; 1 clients of the token service\n")
