"""Keys in memory sign as JOSE and Data Integrity want it."""

import pytest

from connector.errors import Untrusted
from connector.vc import multikey
from connector.vc.signers import InMemory, Signer


@pytest.mark.parametrize(("kind", "size"), [("Ed25519", 64), ("P-256", 64), ("P-384", 96)])
def test_signatures_are_raw(kind: multikey.Kind, size: int) -> None:
    """A signature has the fixed length of its kind of key, however small r and s are, and verifies."""
    signer: Signer = InMemory(multikey.generate(kind))
    for number in range(300):  # one in 128 has a short r or s
        message = b"%d" % number
        signature = signer.sign(message)
        assert len(signature) == size
        multikey.verify(signer.public, signature, message)
    with pytest.raises(Untrusted):
        multikey.verify(signer.public, signature, b"another")


def test_a_signer_shows_no_secret() -> None:
    """Its text form tells nothing of the key."""
    private = multikey.generate("P-256")
    text = repr(InMemory(private)) + str(InMemory(private))
    assert format(private.private_numbers().private_value, "x") not in text  # type: ignore[union-attr] # it is one
    assert "Private" not in text
