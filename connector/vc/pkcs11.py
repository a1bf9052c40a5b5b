"""Keys in a PKCS #11 token (HSM, smart card, SoftHSM): they sign there and never leave it.

PKCS #11 3.0: mechanisms CKM_ECDSA over a digest made here, which tokens know that know nothing else, and
CKM_EDDSA. A key is found by its label, which is its name. The token is this node's alone: one of another
node's could have keys of the same names.
"""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from connector.errors import InvalidFile, NotFound, Unavailable, Untrusted
from connector.vc import multikey
from connector.vc.keys import secret
from connector.vc.multikey import Kind, Public

_CURVES: dict[Kind, bytes] = {
    "P-256": bytes.fromhex("06082a8648ce3d030107"),
    "Ed25519": bytes.fromhex("06032b6570"),
}
"""DER of the curves' object identifiers."""
_CHECK = b"Anode: is this the key that is published?"


class Token:
    """A token, opened when it is first used. `pin_file` is read for that and the PIN not kept.

    `module` is the library of the token's maker, `label` the token's own name.
    """

    def __init__(self, module: Path, label: str, pin_file: Path) -> None:
        self._module = module
        self._label = label
        self._pin_file = pin_file
        self._session: Any = None
        self._found: dict[str, Any] = {}
        self._refused: str | None = None
        self._lock = threading.RLock()  # a session takes one call at a time
        self.executor: Executor = ThreadPoolExecutor(1, thread_name_prefix="pkcs11")

    def close(self) -> None:
        """Let go of the token."""
        self.executor.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._drop()

    def holds(self, name: str) -> bool:
        """Whether there is a private key called so. Raises InvalidFile or Unavailable, as all here."""
        with self._speaking() as session:
            return any(True for _ in session.get_objects(self._private(name)))

    def can_make(self, kind: Kind) -> bool:
        """Whether the token makes keys of a kind and signs with them; Ed25519 is beyond many."""
        library = _library()
        makes, signs = {
            "P-256": (library.Mechanism.EC_KEY_PAIR_GEN, library.Mechanism.ECDSA),
            "Ed25519": (library.Mechanism.EC_EDWARDS_KEY_PAIR_GEN, library.Mechanism.EDDSA),
        }[kind]
        with self._speaking() as session:
            return {makes, signs} <= set(session.token.slot.get_mechanisms())

    def make(self, name: str, kind: Kind) -> Public:
        """Make a key in the token; its public key."""
        library = _library()
        with self._speaking(), self._opened(writing=True) as session:
            type_ = library.KeyType.EC if kind == "P-256" else library.KeyType.EC_EDWARDS
            curve = session.create_domain_parameters(
                type_, {library.Attribute.EC_PARAMS: _CURVES[kind]}, local=True
            )
            how = library.Mechanism["EC_KEY_PAIR_GEN" if kind == "P-256" else "EC_EDWARDS_KEY_PAIR_GEN"]
            curve.generate_keypair(mechanism=how, store=True, label=name, id=name.encode())
        return self.public(name)

    def public(self, name: str) -> Public:
        """The public key that the token has under a name. Raises NotFound if there is none."""
        library = _library()
        wanted = {
            library.Attribute.CLASS: library.ObjectClass.PUBLIC_KEY,
            library.Attribute.LABEL: name,
        }
        with self._speaking() as session:
            found = [one[library.Attribute.EC_POINT] for one in session.get_objects(wanted)]
        if len(found) != 1:
            raise NotFound(f"the token {self._label!r} has {len(found)} public keys {name!r}; one is needed")
        return self._point(found[0], name)

    def key(self, name: str, public: Public) -> "TokenKey":
        """The key called `name`, checked to be the one that is published as `public`."""
        if not self.holds(name):
            raise InvalidFile(f"the token {self._label!r} has no private key {name!r}")
        key = TokenKey(self, name, public)
        try:
            multikey.verify(public, key.sign(_CHECK), _CHECK)
        except Untrusted:
            raise InvalidFile(
                f"the token {self._label!r} has another key {name!r} than is published"
            ) from None
        return key

    def sign(self, name: str, kind: Kind, message: bytes) -> bytes:
        """A signature by the key called `name`, with the session opened anew if it has died.

        Raises Unavailable, also for what would be wrong with a file at the start: the node runs on.
        """
        library = _library()
        message, how = (
            (sha256(message).digest(), library.Mechanism.ECDSA)
            if kind == "P-256"
            else (message, library.Mechanism.EDDSA)
        )
        with self._lock:
            for last in (False, True):
                try:
                    with self._speaking() as session:
                        return bytes(self._key(session, name).sign(message, mechanism=how))
                except (Unavailable, InvalidFile) as trouble:
                    self._drop()
                    if last:
                        raise Unavailable(*trouble.reasons) from None
        raise AssertionError  # the loop returns or raises

    def _key(self, session: Any, name: str) -> Any:
        if name not in self._found:
            found = list(session.get_objects(self._private(name)))
            if len(found) != 1:
                what = f"has {len(found)} private keys {name!r}; one is needed"
                raise InvalidFile(f"the token {self._label!r} {what}")
            self._found[name] = found[0]
        return self._found[name]

    def _private(self, name: str) -> dict[Any, Any]:
        library = _library()
        return {
            library.Attribute.CLASS: library.ObjectClass.PRIVATE_KEY,
            library.Attribute.LABEL: name,
        }

    def _point(self, octets: bytes, name: str) -> Public:
        """A public key from CKA_EC_POINT: a DER octet string, from some tokens without its head."""
        octets = octets[2:] if len(octets) in (34, 67) else octets
        try:
            if len(octets) == 32:
                return Ed25519PublicKey.from_public_bytes(octets)
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), octets)
        except ValueError:
            raise InvalidFile(
                f"the token {self._label!r}: the key {name!r} is neither Ed25519 nor on the curve P-256"
            ) from None

    @contextlib.contextmanager
    def _speaking(self) -> Iterator[Any]:
        """The session, its errors told as ours."""
        library = _library()
        with self._lock:
            try:
                if self._session is None:
                    self._session = self._open(writing=False)
                yield self._session
            except library.PKCS11Error as trouble:
                what = type(trouble).__name__
                raise Unavailable(f"the token {self._label!r} does not do it now: {what}") from None

    @contextlib.contextmanager
    def _opened(self, *, writing: bool) -> Iterator[Any]:
        session = self._open(writing=writing)
        try:
            yield session
        finally:
            session.close()

    def _open(self, *, writing: bool) -> Any:
        library = _library()
        if self._refused:  # a token locks itself for good after some wrong PINs
            raise InvalidFile(self._refused)
        try:
            module = library.lib(str(self._module))
        except RuntimeError as trouble:
            raise InvalidFile(f"{self._module}: can't be used as a PKCS #11 module: {trouble}") from None
        token = self._token(module)
        pin = secret(self._pin_file, "PIN", 4).decode(errors="replace")
        try:
            return token.open(user_pin=pin, rw=writing)
        except library.UserAlreadyLoggedIn:  # by another session: that counts for the whole process
            return token.open(rw=writing)
        except (library.PinIncorrect, library.PinInvalid, library.PinLenRange, library.PinLocked) as wrong:
            what = "is locked" if isinstance(wrong, library.PinLocked) else "does not take this PIN"
            self._refused = f"{self._pin_file}: the token {self._label!r} {what}"
            raise InvalidFile(self._refused) from None

    def _token(self, module: Any) -> Any:
        found = []
        for slot in module.get_slots(token_present=True):
            # One of another slot may be out of order, or have been taken out since: not our business.
            with contextlib.suppress(_library().PKCS11Error):
                token = slot.get_token()
                if token.label == self._label:
                    found.append(token)
        if len(found) != 1:
            what = f"has {len(found)} tokens {self._label!r}; one is needed, see pkcs11.token"
            raise InvalidFile(f"{self._module} {what}")
        return found[0]

    def _drop(self) -> None:
        session, self._session = self._session, None
        self._found.clear()
        if session is not None:
            with contextlib.suppress(RuntimeError):
                session.close()


class TokenKey:
    """A key in a token, as a signer."""

    __slots__ = ("_kind", "_name", "_token", "executor", "public")

    def __init__(self, token: Token, name: str, public: Public) -> None:
        self._token = token
        self._name = name
        self._kind = multikey.kind(public)
        self.public = public
        self.executor: Executor | None = token.executor

    def sign(self, message: bytes, /) -> bytes:
        """As `Signer` says."""
        return self._token.sign(self._name, self._kind, message)


def _library() -> Any:
    try:
        import pkcs11  # here: an extra, which most nodes do without
    except ImportError:
        raise InvalidFile(
            "pkcs11.module is set, and the package for it is missing: pip install 'anode-connector[pkcs11]'"
        ) from None
    return pkcs11
