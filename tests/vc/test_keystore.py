"""Keys in a folder and in a token: made, rotated, taken back; and what a crash leaves behind."""

import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from connector.errors import InvalidFile, LocalProtocolError, NotFound
from connector.vc import keyring, keys, methods, multikey
from connector.vc.keystore import Keystore
from tests import softhsm
from tests.served import environment

DID = "did:web:a.example"
NOW = 1_790_000_000.0


def store(folder: Path, **more: object) -> Keystore:
    file = folder / "keys.passphrase"
    if not file.exists():
        file.write_text(secrets.token_urlsafe(32))
        file.chmod(0o600)
    return Keystore(DID, folder / "keys", file, **more)  # type: ignore[arg-type] # a token or nothing


def states(kept: Keystore, now: float) -> dict[str, str]:
    ring = kept.ring()
    return {entry.name: keyring.state(ring, entry, now) for entry in ring}


def signer(kept: Keystore, kind: multikey.Kind, now: float) -> keys.Key:
    entry = keyring.signing(kept.ring(), kind, now)
    assert entry is not None
    return kept.key(entry)


def test_what_is_missing_is_made_once(tmp_path: Path) -> None:
    """A key of each kind, encrypted, and the keyring; a second time nothing."""
    kept = store(tmp_path)
    made = kept.complete(NOW)
    assert [Path(one).name for one in made] == ["key-1.pem", "ed25519-1.pem", "keyring.json"]
    assert kept.complete(NOW + 5) == []
    assert states(kept, NOW) == {"key-1": "signs", "ed25519-1": "signs"}
    assert keys.unencrypted(kept.folder) == []
    for kind in keys.FIRST:
        key = signer(kept, kind, NOW)
        multikey.verify(key.signer.public, key.signer.sign(b"m"), b"m")
    assert {path.stat().st_mode & 0o777 for path in kept.folder.iterdir()} == {0o600}


def test_a_folder_from_before_there_were_keyrings(tmp_path: Path) -> None:
    """Its one key signs as before, in the clear or not; completing it adds what is new and keeps the key."""
    kept = store(tmp_path)
    old = keys.generate(DID)
    keys.save(old, kept.folder)
    assert signer(kept, "P-256", NOW).signer.public == old.signer.public
    assert keyring.signing(kept.ring(), "Ed25519", NOW) is None
    assert [Path(one).name for one in kept.complete(NOW)] == ["ed25519-1.pem", "keyring.json"]
    assert signer(kept, "P-256", NOW).signer.public == old.signer.public
    assert keys.unencrypted(kept.folder) == [kept.folder / "key-1.pem"]
    assert kept.encrypt() == [kept.folder / "key-1.pem"]
    assert keys.unencrypted(kept.folder) == []
    assert signer(kept, "P-256", NOW).signer.public == old.signer.public


def test_a_keyring_that_is_lost_is_not_guessed(tmp_path: Path) -> None:
    """With several keys and no keyring nothing is signed: the first key may have been taken back."""
    kept = store(tmp_path)
    kept.complete(NOW)
    kept.rotate(["P-256"], NOW, lead=0, overlap=60)
    kept.path.unlink()
    with pytest.raises(InvalidFile, match=r"keyring\.json: gone, so nothing says which key signs"):
        kept.ring()
    with pytest.raises(InvalidFile, match="gone"):
        kept.complete(NOW)


def test_a_folder_without_keys(tmp_path: Path) -> None:
    """It is told as what it is, with the command that makes them."""
    with pytest.raises(InvalidFile, match=r"key-1\.pem: no key there; `anode init`"):
        store(tmp_path).ring()


def test_rotation(tmp_path: Path) -> None:
    """The new key is announced for `lead`, the old one speaks `overlap` longer; names go on counting."""
    kept = store(tmp_path)
    kept.complete(NOW)
    made = kept.rotate(["P-256", "Ed25519"], NOW, lead=300, overlap=600)
    assert [entry.name for entry in made] == ["key-2", "ed25519-2"]
    assert states(kept, NOW + 299)["key-2"] == "announced"
    assert signer(kept, "P-256", NOW + 299).name == "key-1"
    assert signer(kept, "P-256", NOW + 300).name == "key-2"
    assert states(kept, NOW + 899)["key-1"] == "speaks"
    assert states(kept, NOW + 900)["key-1"] == "past"
    assert [entry.name for entry in kept.rotate(["P-256"], NOW + 900, lead=0, overlap=600)] == ["key-3"]


def test_one_announced_key_at_a_time(tmp_path: Path) -> None:
    """A second rotation waits for the first; or hastens it."""
    kept = store(tmp_path)
    kept.complete(NOW)
    kept.rotate(["P-256"], NOW, lead=300, overlap=600)
    with pytest.raises(LocalProtocolError, match="key-2 is announced and signs soon"):
        kept.rotate(["Ed25519", "P-256"], NOW, lead=300, overlap=600)
    assert states(kept, NOW) == {"key-1": "signs", "ed25519-1": "signs", "key-2": "announced"}
    assert [entry.name for entry in kept.rotate(["P-256"], NOW + 1, lead=0, overlap=600)] == ["key-2"]
    assert states(kept, NOW + 1)["key-2"] == "signs"


def test_retirement_leaves_no_node_without_a_key(tmp_path: Path) -> None:
    """Who retires the signing key gets another, the announced one or a new one; else there is none."""
    kept = store(tmp_path)
    kept.complete(NOW)
    successor = kept.retire("key-1", NOW)
    assert successor is not None
    assert successor.name == "key-2"
    assert states(kept, NOW) == {"key-1": "retired", "ed25519-1": "signs", "key-2": "signs"}
    kept.rotate(["P-256"], NOW + 10, lead=300, overlap=600)
    successor = kept.retire("key-2", NOW + 20)
    assert successor is not None
    assert (successor.name, states(kept, NOW + 20)["key-3"]) == ("key-3", "signs")
    kept.rotate(["P-256"], NOW + 30, lead=0, overlap=600)
    assert kept.retire("key-3", NOW + 40) is None
    assert signer(kept, "P-256", NOW + 40).name == "key-4"
    with pytest.raises(NotFound, match="no key 'key-9'"):
        kept.retire("key-9", NOW)


def elsewhere(folder: Path, code: str) -> subprocess.Popen[bytes]:
    """A process of its own that does something with the store `kept`."""
    program = f"""
import os
from pathlib import Path
from connector.vc.keystore import Keystore

def die(*_, **__):
    os._exit(9)

folder = Path({str(folder)!r})
kept = Keystore({DID!r}, folder / "keys", folder / "keys.passphrase")
{code}
"""
    return subprocess.Popen([sys.executable, "-c", program], env=environment())


@pytest.mark.parametrize(("moment", "after"), [("os.link", "key-2"), ("Path.replace", "key-3")])
def test_a_crash_leaves_the_old_keys_or_the_new(tmp_path: Path, moment: str, after: str) -> None:
    """Killed while a key, or the keyring, is put in its place: what was there holds, and it works again."""
    kept = store(tmp_path)
    kept.complete(NOW)
    before = kept.path.read_bytes()
    rotate = f"kept.rotate(['P-256'], {NOW}, lead=0, overlap=60)"
    assert elsewhere(tmp_path, f"{moment} = die\n{rotate}").wait(30) == 9
    assert kept.path.read_bytes() == before
    assert signer(kept, "P-256", NOW).name == "key-1"
    kept.rotate(["P-256"], NOW, lead=0, overlap=60)
    assert signer(kept, "P-256", NOW).name == after


def test_two_processes_at_once(tmp_path: Path) -> None:
    """However many rotate at one time, each gets its key, and the keyring names them all."""
    kept = store(tmp_path)
    kept.complete(NOW)
    rotate = f"for _ in range(5): kept.rotate(['Ed25519'], {NOW}, lead=0, overlap=60)"
    children = [elsewhere(tmp_path, rotate) for _ in range(3)]
    assert [child.wait(30) for child in children] == [0] * 3
    assert sorted(states(kept, NOW)) == sorted([*(f"ed25519-{n}" for n in range(1, 17)), "key-1"])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda kept: kept.path.write_text("{"), r"keyring\.json: not JSON"),
        (lambda kept: kept.path.write_text("{}"), r"keyring\.json: not a keyring"),
        (lambda kept: (kept.folder / "key-1.pem").unlink(), r"key-1\.pem: no key there"),
        (
            lambda kept: keys.replace(
                kept.folder / "key-1.pem", (kept.folder / "ed25519-1.pem").read_bytes()
            ),
            r"key-1\.pem: the key must be on the curve P-256",
        ),
    ],
)
def test_damage_is_told_by_its_file(
    tmp_path: Path, damage: Callable[[Keystore], object], reason: str
) -> None:
    """A file that is gone, exchanged or broken is named, and nothing is signed."""
    kept = store(tmp_path)
    kept.complete(NOW)
    damage(kept)
    with pytest.raises(InvalidFile, match=reason):
        signer(kept, "P-256", NOW)


def test_a_key_that_was_exchanged_is_not_used(tmp_path: Path) -> None:
    """A file with another key of the same kind is refused: peers know another one."""
    kept = store(tmp_path)
    kept.complete(NOW)
    path = kept.folder / "key-1.pem"
    path.unlink()
    keys.save(keys.generate(DID), kept.folder)
    with pytest.raises(InvalidFile, match=r"key-1\.pem: another key than .*keyring\.json says"):
        signer(kept, "P-256", NOW)


def test_issuers_of_their_own(tmp_path: Path) -> None:
    """A key for a did:key is made encrypted like all others, under a name that is free."""
    kept = store(tmp_path)
    kept.complete(NOW)
    did, path = kept.add_issuer("authority", "P-384")
    assert path == kept.folder / "issuer-authority.pem"
    assert {name: methods.did_key(one.public) for name, one in kept.issuers().items()} == {"authority": did}
    assert keys.unencrypted(kept.folder) == []
    with pytest.raises(InvalidFile, match="already there"):
        kept.add_issuer("authority", "P-384")
    assert sorted(states(kept, NOW)) == ["ed25519-1", "key-1"]


def test_a_new_passphrase(tmp_path: Path) -> None:
    """All keys come under the new one; the old one opens them no more."""
    kept = store(tmp_path)
    kept.complete(NOW)
    kept.add_issuer("a", "Ed25519")
    new = tmp_path / "new.passphrase"
    new.write_text(secrets.token_urlsafe(32))
    new.chmod(0o600)
    renewed = Keystore(DID, kept.folder, new)
    assert len(renewed.encrypt(tmp_path / "keys.passphrase")) == 3
    assert signer(renewed, "P-256", NOW).name == "key-1"
    assert list(renewed.issuers()) == ["a"]
    with pytest.raises(InvalidFile, match="does not open this key"):
        signer(kept, "P-256", NOW)


@pytest.mark.needs("softhsm2-util")
def test_keys_in_a_token(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With a token, keys are made and rotated there; no file has a private part; a label brings one along."""
    hsm = softhsm.fresh(tmp_path, tmp_path_factory.mktemp("softhsm"))
    token = hsm.open()
    kept = store(tmp_path, token=token)
    assert "the key key-1 in the token" in kept.complete(NOW)
    kept.rotate(["P-256", "Ed25519"], NOW, lead=0, overlap=60)
    for kind, name in (("P-256", "key-2"), ("Ed25519", "ed25519-2")):
        key = signer(kept, kind, NOW)  # type: ignore[arg-type] # a kind
        assert key.name == name
        multikey.verify(key.signer.public, key.signer.sign(b"m"), b"m")
    assert [path.name for path in kept.folder.iterdir()] == ["keyring.json"]
    token.make("ceremony", "P-256")
    assert [e.name for e in kept.rotate(["P-256"], NOW, lead=0, overlap=60, label="ceremony")] == ["ceremony"]
    assert signer(kept, "P-256", NOW).name == "ceremony"
    for label in ("ceremony", "nobody"):
        with pytest.raises(InvalidFile, match=f"no key '{label}' in a token that is not in use yet"):
            kept.rotate(["P-256"], NOW, lead=0, overlap=60, label=label)
    token.make("wrong", "Ed25519")
    with pytest.raises(InvalidFile, match="the key wrong is Ed25519, where P-256 is needed"):
        kept.rotate(["P-256"], NOW, lead=0, overlap=60, label="wrong")
    kept.close()
    with pytest.raises(InvalidFile, match=r"ceremony is in a token, and pkcs11\.module is not set"):
        signer(store(tmp_path), "P-256", NOW)


@pytest.mark.needs("softhsm2-util")
def test_from_files_into_a_token(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A node that gets a token goes on with its file keys; the next rotation moves it."""
    kept = store(tmp_path)
    kept.complete(NOW)
    moved = store(tmp_path, token=softhsm.fresh(tmp_path, tmp_path_factory.mktemp("softhsm")).open())
    assert moved.complete(NOW) == []
    assert signer(moved, "P-256", NOW).name == "key-1"
    moved.rotate(["P-256"], NOW, lead=0, overlap=60)
    assert json.loads(moved.path.read_bytes())["keys"][-1]["place"] == "pkcs11"
    assert signer(moved, "P-256", NOW).signer.executor is not None
    moved.close()
