"""Where a participant's keys are kept: files in a folder, a PKCS #11 token, and `keyring.json` about both.

The keyring says which keys there are, and since when each of them signs; it holds no secret. It is the truth:
a key that it does not name does not count, so a crash between making a key and naming it leaves nothing but
an unused file. It is replaced as a whole, and by one process at a time.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import orjson

from connector.config import Config
from connector.errors import InvalidFile, LocalProtocolError
from connector.vc import keyring, keys, methods
from connector.vc.keyring import Entry, Ring
from connector.vc.keys import Key
from connector.vc.multikey import Kind
from connector.vc.pkcs11 import Token
from connector.vc.signers import Signer

_MAX_BYTES = 1 << 20
_FORM = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def configured(config: Config) -> "Keystore":
    """Where the settings say that the participant's keys are."""
    settings, token = config.pkcs11, None
    if settings.module is not None and settings.token is not None:
        token = Token(settings.module, settings.token, settings.pin_file)
    return Keystore(config.participant.did, config.keys.folder, config.keys.passphrase_file, token)


class Keystore:
    """The keys of the participant `did`: in `folder` and, if there is one, in `token`: new ones go there."""

    def __init__(self, did: str, folder: Path, passphrase_file: Path, token: Token | None = None) -> None:
        self.did = did
        self.folder = folder
        self.path = folder / "keyring.json"
        self._passphrase_file = passphrase_file
        self._token = token

    def close(self) -> None:
        """Let go of the token."""
        if self._token is not None:
            self._token.close()

    def ring(self) -> Ring:
        """The keys there are. Raises InvalidFile: none, or no keyring where there are several."""
        try:
            content = self.path.read_bytes()[:_MAX_BYTES]
        except FileNotFoundError:
            return self._before()
        except OSError as trouble:
            raise InvalidFile(f"{self.path}: could not be read: {trouble.strerror}") from None
        try:
            return keyring.read(orjson.loads(content), str(self.path))
        except orjson.JSONDecodeError:
            raise InvalidFile(f"{self.path}: not JSON; restore it from a backup") from None

    def key(self, entry: Entry) -> Key:
        """A key to sign with. Raises InvalidFile: it can't be had, or is another than the keyring says."""
        kid = f"{self.did}#{entry.name}"
        if entry.place == "pkcs11":
            if self._token is None:
                raise InvalidFile(f"{self.path}: {entry.name} is in a token, and pkcs11.module is not set")
            return Key(kid, self._token.key(entry.name, entry.public))
        found = keys.load(self.folder, self.did, entry.name, entry.kind, self._passphrase_file)
        if found.signer.public != entry.public:
            path = keys.path_of(self.folder, entry.name)
            raise InvalidFile(f"{path}: another key than {self.path} says; restore both from one backup")
        return found

    def issuers(self) -> dict[str, Signer]:
        """The keys that issue under did:keys of their own, by name."""
        return keys.load_issuers(self.folder, self._passphrase_file)

    def complete(self, now: float) -> list[Path | str]:
        """Make what is missing: a key of each kind, and the keyring. What was made: files, or words."""
        made: list[Path | str] = []
        with self._changing() as replace:
            there = self.path.exists() or any(self._names())
            ring = self.ring() if there else ()
            for kind, name in keys.FIRST.items():
                if not any(entry.kind == kind for entry in ring):
                    place, what = self._first(kind, name)
                    ring = (*ring, self._entry(kind, name, place, now))
                    made.append(what)
            if made or not self.path.exists():
                replace(ring)
                made.append(self.path)
        return made

    def rotate(
        self, kinds: Iterable[Kind], now: float, *, lead: float, overlap: float, label: str | None = None
    ) -> list[Entry]:
        """A new key of each kind, which signs in `lead` seconds; the ones before speak `overlap` longer.

        A key that is announced already signs at once if `lead` is 0. `label` takes the key that the token has
        under this name instead of making one. Raises LocalProtocolError: one is announced, `lead` is not 0.
        """
        rotated: list[str] = []
        with self._changing() as replace:
            ring = self.ring()
            for kind in kinds:
                coming = keyring.announced(ring, kind, now)
                if coming is None:
                    ring = (*ring, self._new(ring, kind, now + lead, overlap, label))
                    rotated.append(ring[-1].name)
                elif lead > 0 or label is not None:
                    raise LocalProtocolError(f"{coming.name} is announced and signs soon; it comes first")
                else:
                    ring = keyring.hastened(ring, coming.name, now)
                    rotated.append(coming.name)
            replace(ring)
        return [entry for entry in ring if entry.name in rotated]

    def retire(self, name: str, now: float) -> Entry | None:
        """Take a key back at once, for it may be in wrong hands; the key that signs in its place, if it did.

        Raises NotFound, or LocalProtocolError if it is retired already.
        """
        with self._changing() as replace:
            ring = self.ring()
            entry = keyring.named(ring, name)
            signed = keyring.signing(ring, entry.kind, now) == entry
            coming = keyring.announced(ring, entry.kind, now)
            ring = keyring.without(ring, name, now)
            if signed:
                if coming is None:
                    ring = (*ring, self._new(ring, entry.kind, now, 0.0, None))
                else:
                    ring = keyring.hastened(ring, coming.name, now)
            replace(ring)
        return keyring.signing(ring, entry.kind, now) if signed else None

    def add_issuer(self, name: str, kind: Kind) -> tuple[str, Path]:
        """Make a key that issues under a did:key of its own; that DID, and the key's file."""
        key = keys.generate("did:key:", f"{keys.ISSUER}{name}", kind)
        path = keys.save(key, self.folder, self._passphrase_file)
        return methods.did_key(key.signer.public), path

    def encrypt(self, former: Path | None = None) -> list[Path]:
        """Put files under the passphrase: those in the clear, or all that are under the one in `former`."""
        paths = keys.unencrypted(self.folder) if former is None else sorted(self.folder.glob("*.pem"))
        with self._changing():
            for path in paths:
                keys.encrypt(path, self._passphrase_file, former)
        return paths

    def _before(self) -> Ring:
        """The keys of a node from before there were keyrings: the first ones, and nothing else."""
        found = self._names()
        if not found <= set(keys.FIRST.values()):
            raise InvalidFile(f"{self.path}: gone, so nothing says which key signs; restore it from a backup")
        named = [(kind, name) for kind, name in keys.FIRST.items() if kind == "P-256" or name in found]
        return tuple(self._entry(kind, name, "file", 0.0) for kind, name in named)

    def _names(self) -> set[str]:
        return {path.stem for path in self.folder.glob("*.pem") if not path.stem.startswith(keys.ISSUER)}

    def _first(self, kind: Kind, name: str) -> tuple[keyring.Place, Path | str]:
        """Where the first key of a kind is, made if need be; and its file, or words."""
        path = keys.path_of(self.folder, name)
        if self._token is not None and self._token.can_make(kind) and not path.exists():
            if not self._token.holds(name):
                self._token.make(name, kind)
            return "pkcs11", f"the key {name} in the token"
        if not path.exists():
            keys.save(keys.generate(self.did, name, kind), self.folder, self._passphrase_file)
        return "file", path

    def _new(self, ring: Ring, kind: Kind, signs_from: float, overlap: float, label: str | None) -> Entry:
        taken = {entry.name for entry in ring} | self._names()
        token = self._token if self._token is not None and self._token.can_make(kind) else None
        if label is not None:
            if token is None or label in taken or not token.holds(label):
                raise InvalidFile(f"there is no key {label!r} in a token that is not in use yet")
            return self._entry(kind, label, "pkcs11", signs_from, overlap)
        stem = keys.FIRST[kind].rpartition("-")[0]
        number = 1
        while (name := f"{stem}-{number}") in taken or (token is not None and token.holds(name)):
            number += 1
        if token is not None:
            token.make(name, kind)
        else:
            keys.save(keys.generate(self.did, name, kind), self.folder, self._passphrase_file)
        return self._entry(kind, name, "pkcs11" if token else "file", signs_from, overlap)

    def _entry(
        self, kind: Kind, name: str, place: keyring.Place, signs_from: float, overlap: float = 0.0
    ) -> Entry:
        if place == "pkcs11" and self._token is not None:
            public = self._token.public(name)
        else:
            public = keys.load(self.folder, self.did, name, kind, self._passphrase_file).signer.public
        entry = Entry(name, place, public, signs_from, overlap)
        if entry.kind != kind:
            raise InvalidFile(f"the key {name} is {entry.kind}, where {kind} is needed")
        return entry

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Callable[[Ring], None]]:
        """The only process that changes keys; what it gets writes the ring, all of it or nothing."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield lambda ring: keys.replace(self.path, orjson.dumps(keyring.written(ring), option=_FORM))
        finally:
            os.close(folder)
