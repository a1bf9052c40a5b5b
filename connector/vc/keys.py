"""The participant's keys: made, kept in a folder as encrypted PKCS #8 PEM, used under their `kid`.

P-256 comes first because Eclipse connectors read nothing else of what the node can publish, and because
ES256 is the cheapest signature to check here; Ed25519 signs Data Integrity proofs. Each key has a name, which
is the fragment of its `kid` and the name of its file (`key-1` → `keys/key-1.pem`).

Files are encrypted with the passphrase in a file elsewhere (RFC 8018 PBES2: PBKDF2, AES-256-CBC, as
`cryptography` and OpenSSL write it). Its 2,048 rounds would not save a short passphrase, so a short one is
refused. Whoever wants more can write a file with `openssl pkcs8 -topk8 -scrypt`: it is read as well. Files
without encryption are read too, from before there was any; `anode doctor` warns of them.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connector.errors import InvalidFile
from connector.vc import multikey
from connector.vc.multikey import Kind, Private
from connector.vc.signers import InMemory, Signer

FIRST: Mapping[Kind, str] = {"P-256": "key-1", "Ed25519": "ed25519-1"}
"""The kinds of keys that a participant has, and what the first of each is called."""
ISSUER = "issuer-"
"""What names of keys begin with that issue under a did:key of their own."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHORTEST_PASSPHRASE = 32
_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class Key:
    """A key that signs under `kid`, an absolute DID URL."""

    kid: str
    signer: Signer = field(repr=False)

    @property
    def name(self) -> str:
        """The fragment of `kid`."""
        return self.kid.partition("#")[2]

    @property
    def kind(self) -> Kind:
        """Which kind of key it is."""
        return multikey.kind(self.signer.public)

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public key as JWK (RFC 7517): strings only."""
        return multikey.jwk(self.signer.public)


def generate(did: str, name: str = FIRST["P-256"], kind: Kind = "P-256") -> Key:
    """A new key of the participant `did`, called `name`."""
    return Key(f"{did}#{checked(name)}", InMemory(multikey.generate(kind)))


def save(key: Key, folder: Path, passphrase_file: Path | None = None, name: str | None = None) -> Path:
    """Write a key of this process to `folder/NAME.pem`, for its owner only; returns the path.

    It is encrypted if there is a passphrase. `name`: if the file is not called as the key.

    All of the file appears or none. Raises InvalidFile if there is a file already: a key is never
    overwritten, since what it signed could no longer be checked.
    """
    assert isinstance(key.signer, InMemory)  # noqa: S101  # others have no file
    path = path_of(folder, name or key.name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _draft(path, _pem(key.signer.private, passphrase_file)) as draft:
        try:
            os.link(draft, path)  # unlike rename, fails if the path exists
        except FileExistsError:
            raise InvalidFile(f"{path}: a key is already there; move it away to make a new one") from None
    return path


def load(
    folder: Path,
    did: str,
    name: str = FIRST["P-256"],
    kind: Kind = "P-256",
    passphrase_file: Path | None = None,
) -> Key:
    """Read the key `name` of `did`. Raises InvalidFile: missing, readable by others, or of another kind."""
    path = path_of(folder, name)
    private = _read(path, passphrase_file)
    if not _is(private, [kind]):
        raise InvalidFile(f"{path}: the key must be {_WANTED[kind]}, this one is {_called(private)}")
    return Key(f"{did}#{name}", InMemory(private))


def load_issuers(folder: Path, passphrase_file: Path | None = None) -> dict[str, Signer]:
    """The keys in `folder/issuer-*.pem` by what stands for the star: Ed25519, P-256 or P-384.

    Raises InvalidFile: readable by others, or another kind of key.
    """
    found: dict[str, Signer] = {}
    for path in sorted(folder.glob(f"{ISSUER}*.pem")):
        private = _read(path, passphrase_file)
        if not _is(private, multikey.KINDS):
            raise InvalidFile(f"{path}: a key to issue with must be Ed25519, P-256 or P-384")
        found[path.stem.removeprefix(ISSUER)] = InMemory(private)
    return found


def unencrypted(folder: Path) -> list[Path]:
    """The files of keys in `folder` that stand there in the clear."""
    return [path for path in sorted(folder.glob("*.pem")) if not _content(path).startswith(_ENCRYPTED)]


def encrypt(path: Path, passphrase_file: Path, former: Path | None = None) -> None:
    """Write the key at `path` anew under the passphrase; `former` is the file of the one it is under, if any.

    The old or the new file is there at any time, whole. Raises InvalidFile.
    """
    replace(path, _pem(_read(path, former), passphrase_file))


def replace(path: Path, content: bytes) -> None:
    """Write a file of the owner's: whole and durable, or not at all. Raises InvalidFile."""
    with _draft(path, content) as draft:
        draft.replace(path)


def secret(path: Path, what: str, shortest: int = 1) -> bytes:
    """A secret of one line in a file that no stranger can read. Raises InvalidFile, never with the secret.

    The group may read it: systemd credentials and mounted secrets come so.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(4096).strip()
    except FileNotFoundError:
        raise InvalidFile(f"{path}: no {what} there; restore it from where it is kept") from None
    except OSError as trouble:
        raise InvalidFile(f"{path}: the {what} could not be read: {trouble.strerror}") from None
    if mode & 0o027:
        raise InvalidFile(
            f"{path}: others may read the {what}, or write it (mode {mode:04o}); run: chmod 600 {path}"
        )
    if len(content) < shortest or b"\n" in content:
        raise InvalidFile(f"{path}: the {what} must be one line of {shortest} or more characters")
    return content


def checked(name: str) -> str:
    """`name`, if a key can be called so. Raises InvalidFile."""
    if not _NAME.fullmatch(name):
        raise InvalidFile(f"{name!r} can't name a key: use letters, digits, '.', '_' and '-'")
    return name


def path_of(folder: Path, name: str) -> Path:
    """The file of the key `name`. Raises InvalidFile if no key can be called so."""
    return folder / f"{checked(name)}.pem"


_WANTED: Mapping[Kind, str] = {"P-256": "on the curve P-256 (secp256r1)", "Ed25519": "Ed25519"}


def _is(private: Any, kinds: Iterable[Kind]) -> bool:
    known = isinstance(private, Ed25519PrivateKey) or (
        isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in ("secp256r1", "secp384r1")
    )
    return known and multikey.kind(private) in kinds


def _called(private: Any) -> str:
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return private.curve.name
    return "Ed25519" if isinstance(private, Ed25519PrivateKey) else "of another kind"


def _pem(private: Private, passphrase_file: Path | None) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase_file is not None:
        encryption = serialization.BestAvailableEncryption(_passphrase(passphrase_file))
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _passphrase(path: Path) -> bytes:
    return secret(path, "passphrase of the keys", _SHORTEST_PASSPHRASE)


def _read(path: Path, passphrase_file: Path | None) -> Any:
    pem = _content(path)
    encrypted = pem.startswith(_ENCRYPTED)
    if encrypted and passphrase_file is None:
        raise InvalidFile(f"{path}: the key has a passphrase, and no file is named that holds it")
    passphrase = _passphrase(passphrase_file) if encrypted and passphrase_file else None
    try:
        return serialization.load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError):
        if encrypted:
            raise InvalidFile(f"{path}: the passphrase in {passphrase_file} does not open this key") from None
        raise InvalidFile(f"{path}: not a private key in PEM form (PKCS #8)") from None


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(64 * 1024)
    except FileNotFoundError:
        raise InvalidFile(f"{path}: no key there; `anode init` makes one") from None
    except OSError as trouble:
        raise InvalidFile(f"{path}: the key could not be read: {trouble.strerror}") from None
    if mode & 0o077:
        raise InvalidFile(f"{path}: others may read this key (mode {mode:04o}); run: chmod 600 {path}")
    return content.lstrip()


@contextlib.contextmanager
def _draft(path: Path, content: bytes) -> Iterator[Path]:
    """A durable file beside `path`, to be put in its place; gone at the end, the new name durable too."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    except OSError as trouble:
        raise InvalidFile(f"{path}: could not be written: {trouble.strerror}") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
