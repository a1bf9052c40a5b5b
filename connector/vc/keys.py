"""P-256 signing keys: made, kept in a folder as PKCS #8 PEM, read as JWK (RFC 7517, RFC 7518 §6.2).

P-256 comes first because Eclipse connectors read nothing else of what the node can publish, and because
ES256 is the cheapest signature to check here. A participant may hold several keys: each has a name, which
is the fragment of its `kid` and the name of its file (`key-1` → `keys/key-1.pem`).
"""

import base64
import binascii
import contextlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connector.errors import InvalidFile, Untrusted
from connector.vc.multikey import Private

FIRST_KEY = "key-1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_COORDINATE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key. `kid` is an absolute DID URL; `public_jwk` is {kty, crv, x, y}, all strings."""

    kid: str
    private: ec.EllipticCurvePrivateKey = field(repr=False)
    public_jwk: dict[str, str]

    @property
    def name(self) -> str:
        """The fragment of `kid`."""
        return self.kid.partition("#")[2]


def generate(did: str, name: str = FIRST_KEY) -> Key:
    """A new key of the participant `did`, called `name`."""
    return _key(ec.generate_private_key(ec.SECP256R1()), did, name)


def save(key: Key, folder: Path) -> Path:
    """Write `key` to `folder/NAME.pem`, readable by its owner only; returns the path.

    All of the file appears or none. Raises InvalidFile if there is a file already: a key is never
    overwritten, since what it signed could no longer be checked.
    """
    path = _path(folder, key.name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = key.private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # unlike rename, fails if the path exists
    except FileExistsError:
        raise InvalidFile(f"{path}: a key is already there; move it away to make a new one") from None
    except OSError as trouble:
        raise InvalidFile(f"{path}: the key could not be written: {trouble.strerror}") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
    _sync_folder(folder)
    return path


def load(folder: Path, did: str, name: str = FIRST_KEY) -> Key:
    """Read the key `name` of `did`. Raises InvalidFile: missing, readable by others, or not a P-256 key."""
    path = _path(folder, name)
    private = _read(path)
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        found = private.curve.name if isinstance(private, ec.EllipticCurvePrivateKey) else "another kind"
        raise InvalidFile(f"{path}: the key must be on the curve P-256 (secp256r1), this one is {found}")
    return _key(private, did, name)


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise InvalidFile(
                    f"{path}: others may read this key (mode {mode:04o}); run: chmod 600 {path}"
                )
            pem = file.read(64 * 1024)
    except FileNotFoundError:
        raise InvalidFile(f"{path}: no key there; `anode init` makes one") from None
    except OSError as trouble:
        raise InvalidFile(f"{path}: the key could not be read: {trouble.strerror}") from None
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise InvalidFile(f"{path}: the key has a passphrase; save it without one") from None
    except ValueError:
        raise InvalidFile(f"{path}: not a private key in PEM form") from None


def load_issuers(folder: Path) -> dict[str, Private]:
    """The keys in `folder/issuer-*.pem` by what stands for the star: Ed25519, P-256 or P-384.

    Raises InvalidFile: readable by others, or another kind of key.
    """
    found: dict[str, Private] = {}
    for path in sorted(folder.glob("issuer-*.pem")):
        private = _read(path)
        known = isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in (
            "secp256r1",
            "secp384r1",
        )
        if not known and not isinstance(private, Ed25519PrivateKey):
            raise InvalidFile(f"{path}: a key to issue with must be Ed25519, P-256 or P-384")
        found[path.stem.removeprefix("issuer-")] = private
    return found


def public_key(jwk: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
    """The key object of a public P-256 JWK that somebody else published. Raises Untrusted if it is none."""
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise Untrusted("the published key is not an EC key on the curve P-256, which ES256 needs")
    if "d" in jwk:
        raise Untrusted("the key is published together with its private part, so anybody can sign with it")
    x, y = _coordinate(jwk.get("x")), _coordinate(jwk.get("y"))
    try:
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except ValueError:
        raise Untrusted("the published key is not a point on the curve P-256") from None


def _key(private: ec.EllipticCurvePrivateKey, did: str, name: str) -> Key:
    if not _NAME.fullmatch(name):
        raise InvalidFile(f"{name!r} can't name a key: use letters, digits, '.', '_' and '-'")
    point = private.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": "P-256", "x": _base64url(point.x), "y": _base64url(point.y)}
    return Key(f"{did}#{name}", private, jwk)


def _path(folder: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise InvalidFile(f"{folder}: {name!r} can't name a key: use letters, digits, '.', '_' and '-'")
    return folder / f"{name}.pem"


def _base64url(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(_COORDINATE_BYTES, "big")).rstrip(b"=").decode()


def _coordinate(text: object) -> int:
    if isinstance(text, str) and len(text) <= 2 * _COORDINATE_BYTES and text.isascii():
        with contextlib.suppress(binascii.Error):
            octets = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            if len(octets) == _COORDINATE_BYTES:  # RFC 7518 §6.2.1.2: neither shorter nor longer
                return int.from_bytes(octets, "big")
    raise Untrusted("the published key has no x and y of 32 bytes each in base64url")


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
