"""Status lists as bytes: written as each standard has it, read however others write it."""

from base64 import b64encode, urlsafe_b64encode

import pytest

from connector.errors import Untrusted
from connector.vc import multibase, status
from connector.vc.status import Entry
from tests.vc import cases

BITS = status.with_bit(bytes(16384), 131071, value=True)


def read(kind: tuple[str, str, str], text: object) -> bytes:
    subject = {"type": kind[2], "statusPurpose": "revocation", "encodedList": text}
    listed = {"id": cases.LIST, "type": ["VerifiableCredential", kind[1]], "issuer": "did:web:a.example"}
    entry = Entry(kind[0], cases.LIST, "revocation", 131071)
    found = status.read({**listed, "credentialSubject": subject}, entry)
    assert found.value(entry) == found.bits[-1] & 1
    return found.bits


@pytest.mark.parametrize("kind", [status.BITSTRING, status.STATUS_LIST_2021])
def test_what_is_written_is_read(kind: tuple[str, str, str]) -> None:
    """The newer list is multibase base64url, the older plain base64; both give back their bits."""
    text = status.encoded(BITS, kind[0])
    assert text.startswith("uH4sI" if kind == status.BITSTRING else "H4sI")
    assert read(kind, text) == BITS


def test_older_lists_are_read_in_each_base64() -> None:
    """Of StatusList2021 there are lists in base64, base64url and multibase, padded or not."""
    packed = multibase.from_base64url(status.encoded(BITS)[1:])
    for text in (b64encode(packed), urlsafe_b64encode(packed)):
        for found in (text.decode(), text.decode().rstrip("="), "u" + text.decode()):
            assert read(status.STATUS_LIST_2021, found) == BITS
    with pytest.raises(Untrusted, match="form its type needs"):
        read(status.BITSTRING, b64encode(packed).decode())
    for wrong in (None, 7, "", "u", "H4sI", "!" * 40, "z" + b64encode(packed).decode()):
        with pytest.raises(Untrusted):
            read(status.STATUS_LIST_2021, wrong)
