"""Keys in a token of SoftHSM: made there, used there, never read."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.errors import InvalidFile, NotFound, Unavailable, Untrusted
from connector.vc import jose, multikey
from connector.vc.keys import Key
from connector.vc.pkcs11 import Token
from connector.vc.signers import InMemory, Signer
from tests import softhsm
from tests.softhsm import SoftHsm

pytestmark = pytest.mark.needs("softhsm2-util")
KINDS: tuple[multikey.Kind, ...] = ("P-256", "Ed25519")


@pytest.fixture
def made(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    return softhsm.fresh(tmp_path, tmp_path_factory.mktemp("softhsm"))


@pytest.fixture
def token(made: SoftHsm) -> Iterator[Token]:
    opened = made.open()
    yield opened
    opened.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_made_and_signs_in_the_token(token: Token, kind: multikey.Kind) -> None:
    """Its signatures have the form that ours have, and verify with the public key that the token tells."""
    assert token.can_make(kind)
    assert not token.holds("key-1")
    public = token.make("key-1", kind)
    assert token.holds("key-1")
    assert multikey.kind(public) == kind
    signer: Signer = token.key("key-1", public)
    for number in range(50):
        signature = signer.sign(b"%d" % number)
        assert len(signature) == 64
        multikey.verify(public, signature, b"%d" % number)
    with pytest.raises(Untrusted):
        multikey.verify(public, signer.sign(b"one"), b"another")


def test_the_key_can_not_leave(made: SoftHsm, token: Token) -> None:
    """The token gives the private key to nobody, not even to us."""
    import pkcs11

    token.make("key-1", "P-256")
    with pkcs11.lib(str(made.module)).get_token(token_label=made.label).open() as session:
        (found,) = session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY})
        assert (found[pkcs11.Attribute.SENSITIVE], found[pkcs11.Attribute.EXTRACTABLE]) == (True, False)
        with pytest.raises(pkcs11.PKCS11Error):
            _ = found[pkcs11.Attribute.VALUE]


def test_a_token_of_ours_is_signed_in_the_hsm(token: Token) -> None:
    """jose.sign takes a key in a token as it takes one in memory, and anybody verifies it."""
    public = token.make("key-1", "P-256")
    signed = jose.sign({"typ": "JWT"}, {"a": 1}, Key("did:web:a.example#key-1", token.key("key-1", public)))
    jose.verify(jose.parse(signed), public)


def test_the_key_is_checked_to_be_the_published_one(token: Token) -> None:
    """Another key under the same name is not taken: peers could not check what it signs."""
    token.make("key-1", "P-256")
    with pytest.raises(InvalidFile, match="another key 'key-1' than is published"):
        token.key("key-1", InMemory(multikey.generate("P-256")).public)


def test_keys_that_are_not_there(token: Token) -> None:
    """A name that the token does not know, or knows twice, is told."""
    with pytest.raises(NotFound, match="0 public keys 'key-9'"):
        token.public("key-9")
    with pytest.raises(InvalidFile, match="no private key 'key-9'"):
        token.key("key-9", InMemory(multikey.generate("P-256")).public)
    token.make("twice", "P-256")
    with pytest.raises(NotFound, match="2 public keys 'twice'"):
        token.make("twice", "P-256")


def test_a_wrong_pin_is_tried_once(made: SoftHsm) -> None:
    """The error names the file and not the PIN; until the file is read anew nothing locks the token."""
    made.pin_file.write_text("wrong-pin")
    wrong = made.open()
    for _ in range(20):
        with pytest.raises(InvalidFile, match=r"pkcs11\.pin: the token .* does not take this PIN") as caught:
            wrong.holds("key-1")
        assert "wrong-pin" not in str(caught.value)
    made.pin_file.write_text(softhsm.PIN)
    right = made.open()
    assert not right.holds("key-1")
    right.close()


def test_what_is_no_token_is_told(made: SoftHsm, tmp_path: Path) -> None:
    """A token of another name, a module that is none, a PIN that others can read: each with what is wrong."""
    with pytest.raises(InvalidFile, match="has 0 tokens 'another'"):
        Token(made.module, "another", made.pin_file).holds("x")
    with pytest.raises(InvalidFile, match="can't be used as a PKCS #11 module"):
        Token(tmp_path / "no.so", made.label, made.pin_file).holds("x")
    made.pin_file.chmod(0o644)
    with pytest.raises(InvalidFile, match="others may read the PIN"):
        made.open().holds("x")


def test_a_session_that_dies_is_opened_anew(token: Token) -> None:
    """Whoever closes our session, or restarts what is behind it, costs nothing but a little time."""
    public = token.make("key-1", "P-256")
    signer = token.key("key-1", public)
    token._session.close()
    multikey.verify(public, signer.sign(b"message"), b"message")


def test_what_happens_to_other_tokens_is_not_ours(
    made: SoftHsm, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A token in another slot of the module that is taken out does not keep us from ours."""
    (tmp_path / "other").mkdir()
    other = softhsm.fresh(tmp_path / "other", tmp_path_factory.mktemp("softhsm"))
    command = ["softhsm2-util", "--delete-token", "--token", other.label]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    ours = made.open()
    ours.make("key-1", "P-256")
    assert ours.holds("key-1")
    ours.close()


def test_a_token_that_is_gone_is_unavailable(made: SoftHsm, token: Token) -> None:
    """Then nothing is signed, and the error says that it may work later."""
    public = token.make("key-1", "P-256")
    signer = token.key("key-1", public)
    command = ["softhsm2-util", "--delete-token", "--token", made.label]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    with pytest.raises(Unavailable, match="token"):
        signer.sign(b"message")
