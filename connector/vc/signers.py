"""What signs: a private key in use, wherever it is held.

The node signs through `Signer` and sees no private key. There are two: a key that was read from a file into
memory (here), and a key that never leaves its PKCS #11 token (`connector.vc.pkcs11`).
"""

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from connector.vc.multikey import Private, Public

_ECDSA = {
    "secp256r1": (ec.ECDSA(hashes.SHA256()), 32),
    "secp384r1": (ec.ECDSA(hashes.SHA384()), 48),
    "secp521r1": (ec.ECDSA(hashes.SHA512()), 66),
}


class Signer(Protocol):
    """A private key that signs and is not handed out."""

    @property
    def public(self) -> Public:
        """Its public key."""
        ...

    @property
    def executor(self) -> Executor | None:
        """Where to sign, if a signature may take long; None if it takes no time worth mentioning."""
        ...

    def sign(self, message: bytes, /) -> bytes:
        """The signature over `message`: Ed25519, or ECDSA with the curve's own hash as `r‖s` (IEEE P1363).

        Raises Unavailable if the key can't be used now.
        """
        ...


class InMemory:
    """A key that this process has read. `private` is for who writes it to a file, and nobody else."""

    __slots__ = ("private", "public", "sign")

    executor = None

    def __init__(self, private: Private) -> None:
        self.private = private
        self.public: Public = private.public_key()
        self.sign = private.sign if isinstance(private, Ed25519PrivateKey) else _ecdsa(private)


def _ecdsa(private: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    algorithm, size = _ECDSA[private.curve.name]

    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(private.sign(message, algorithm))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    return sign
