"""Keys: kept safely, read strictly."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from connector.errors import InvalidFile
from connector.vc import keys, multikey

DID = "did:web:a.example"


def pem(private, encryption: serialization.KeySerializationEncryption) -> bytes:
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


def test_saved_key_comes_back(tmp_path: Path) -> None:
    """What was saved is loaded again: the same key under the same absolute kid."""
    key = keys.generate(DID)
    path = keys.save(key, tmp_path / "keys")
    loaded = keys.load(tmp_path / "keys", DID)
    assert path == tmp_path / "keys" / "key-1.pem"
    assert (loaded.kid, loaded.public_jwk) == (f"{DID}#key-1", key.public_jwk)
    multikey.verify(key.signer.public, loaded.signer.sign(b"message"), b"message")


def test_file_is_private(tmp_path: Path) -> None:
    """Key file and key folder are open to their owner only, and no draft is left behind."""
    keys.save(keys.generate(DID), tmp_path / "keys")
    assert (tmp_path / "keys" / "key-1.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["key-1.pem"]


def test_never_overwrites(tmp_path: Path) -> None:
    """A second key of the same name is refused, and the first one stays."""
    keys.save(keys.generate(DID), tmp_path)
    before = (tmp_path / "key-1.pem").read_bytes()
    with pytest.raises(InvalidFile, match="already there"):
        keys.save(keys.generate(DID), tmp_path)
    assert (tmp_path / "key-1.pem").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_several_keys(tmp_path: Path) -> None:
    """A participant may hold several keys, each under its own name."""
    keys.save(keys.generate(DID), tmp_path)
    keys.save(keys.generate(DID, "key-2"), tmp_path)
    assert keys.load(tmp_path, DID, "key-2").kid == f"{DID}#key-2"
    assert keys.load(tmp_path, DID).public_jwk != keys.load(tmp_path, DID, "key-2").public_jwk


@pytest.mark.parametrize("name", ["", "../key", "a/b", ".hidden", "a" * 65, "a\n"])
def test_key_name_is_no_path(tmp_path: Path, name: str) -> None:
    """A key's name can't lead out of the folder."""
    with pytest.raises(InvalidFile, match="can't name a key"):
        keys.load(tmp_path, DID, name)
    with pytest.raises(InvalidFile, match="can't name a key"):
        keys.generate(DID, name)


def test_missing(tmp_path: Path) -> None:
    """A missing key says which command makes one."""
    with pytest.raises(InvalidFile, match=r"key-1\.pem: no key there; `anode init`"):
        keys.load(tmp_path, DID)


def test_readable_by_others(tmp_path: Path) -> None:
    """A key that others may read is refused, with the command that mends it."""
    keys.save(keys.generate(DID), tmp_path)
    (tmp_path / "key-1.pem").chmod(0o640)
    with pytest.raises(InvalidFile, match=r"mode 0640.*chmod 600"):
        keys.load(tmp_path, DID)


@pytest.mark.parametrize(
    ("private", "reason"),
    [
        (ec.generate_private_key(ec.SECP384R1()), "secp384r1"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519"),
    ],
)
def test_wrong_kind(tmp_path: Path, private, reason: str) -> None:
    """A key of another curve or kind is refused and named."""
    put(tmp_path / "key-1.pem", pem(private, serialization.NoEncryption()))
    with pytest.raises(InvalidFile, match=reason):
        keys.load(tmp_path, DID)


def test_not_a_key(tmp_path: Path) -> None:
    """Rubbish and passphrases are told apart."""
    put(tmp_path / "key-1.pem", b"rubbish")
    with pytest.raises(InvalidFile, match="not a private key"):
        keys.load(tmp_path, DID)
    locked = pem(ec.generate_private_key(ec.SECP256R1()), serialization.BestAvailableEncryption(b"x"))
    put(tmp_path / "key-1.pem", locked)
    with pytest.raises(InvalidFile, match="passphrase"):
        keys.load(tmp_path, DID)


def test_private_part_stays_out_of_sight() -> None:
    """Neither repr nor the published JWK holds the private key."""
    key = keys.generate(DID)
    assert repr(key) == f"Key(kid='{DID}#key-1')"
    assert set(key.public_jwk) == {"kty", "crv", "x", "y"}


def passphrase(folder: Path, text: str = "a passphrase of 32 characters or more") -> Path:
    file = folder / "keys.passphrase"
    put(file, f"{text}\n".encode())
    return file


@pytest.mark.parametrize("kind", ["P-256", "Ed25519"])
def test_an_encrypted_key_comes_back(tmp_path: Path, kind: multikey.Kind) -> None:
    """The file shows no key without the passphrase; with it the same key is read."""
    key = keys.generate(DID, keys.FIRST[kind], kind)
    path = keys.save(key, tmp_path / "keys", passphrase(tmp_path))
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert keys.unencrypted(tmp_path / "keys") == []
    loaded = keys.load(tmp_path / "keys", DID, key.name, kind, tmp_path / "keys.passphrase")
    assert loaded.signer.public == key.signer.public
    with pytest.raises(InvalidFile, match="has a passphrase, and no file is named"):
        keys.load(tmp_path / "keys", DID, key.name, kind)


def test_a_wrong_passphrase(tmp_path: Path) -> None:
    """It is told with the file it is from, and never shown."""
    keys.save(keys.generate(DID), tmp_path / "keys", passphrase(tmp_path))
    wrong = passphrase(tmp_path, "another passphrase, long enough as well")
    with pytest.raises(InvalidFile, match=r"the passphrase in .*keys\.passphrase does not open") as caught:
        keys.load(tmp_path / "keys", DID, passphrase_file=wrong)
    assert "another" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (b"short", 0o600, "one line of 32 or more characters"),
        (b"", 0o600, "one line of 32 or more characters"),
        (b"a" * 40 + b"\n" + b"b" * 40, 0o600, "one line"),
        (b"a" * 40, 0o604, r"mode 0604.*chmod 600"),
        (b"a" * 40, 0o620, r"mode 0620.*chmod 600"),
        (None, 0, "no passphrase of the keys there"),
    ],
)
def test_a_passphrase_that_guards_nothing(
    tmp_path: Path, content: bytes | None, mode: int, reason: str
) -> None:
    """One that is short, or open to strangers, or gone, is refused, and no key is written."""
    file = tmp_path / "keys.passphrase"
    if content is not None:
        put(file, content)
        file.chmod(mode)
    with pytest.raises(InvalidFile, match=reason) as caught:
        keys.save(keys.generate(DID), tmp_path / "keys", file)
    assert "a" * 10 not in str(caught.value)
    assert not list((tmp_path / "keys").glob("*.pem"))


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600, 0o640])
def test_a_passphrase_that_the_system_hands_in(tmp_path: Path, mode: int) -> None:
    """systemd credentials and mounted secrets are readable by a group: that is taken."""
    file = passphrase(tmp_path)
    file.chmod(mode)
    keys.save(keys.generate(DID), tmp_path / "keys", file)
    keys.load(tmp_path / "keys", DID, passphrase_file=file)


@pytest.mark.needs("openssl")
def test_a_file_by_openssl(tmp_path: Path) -> None:
    """A key that openssl has made and stretched with scrypt is read, and openssl reads ours."""
    file, folder = passphrase(tmp_path), tmp_path / "keys"
    folder.mkdir()
    made = ["openssl", "genpkey", "-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    plain = subprocess.run(made, check=True, capture_output=True).stdout
    wrap = ["openssl", "pkcs8", "-topk8", "-scrypt", "-passout", f"file:{file}", "-out", folder / "key-1.pem"]
    subprocess.run(wrap, check=True, input=plain, capture_output=True)
    (folder / "key-1.pem").chmod(0o600)
    keys.load(folder, DID, passphrase_file=file)
    ours = keys.save(keys.generate(DID, "key-2"), folder, file)
    subprocess.run(
        ["openssl", "pkey", "-in", ours, "-passin", f"file:{file}", "-noout"], check=True, capture_output=True
    )


def test_encrypting_what_was_not(tmp_path: Path) -> None:
    """The same key is there after, under the passphrase; a crash before the end leaves the old file."""
    folder, file = tmp_path / "keys", passphrase(tmp_path)
    key = keys.generate(DID)
    path = keys.save(key, folder)
    assert keys.unencrypted(folder) == [path]
    keys.encrypt(path, file)
    assert keys.unencrypted(folder) == []
    assert keys.load(folder, DID, passphrase_file=file).signer.public == key.signer.public
    assert [entry.name for entry in folder.iterdir()] == ["key-1.pem"]
    assert path.stat().st_mode & 0o777 == 0o600
