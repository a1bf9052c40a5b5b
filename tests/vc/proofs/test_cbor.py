"""The CBOR of selective disclosure proofs: one encoding for each value."""

from typing import Any

import pytest

from connector.errors import RemoteProtocolError
from connector.vc.proofs import cbor


@pytest.mark.parametrize(
    ("value", "octets"),
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (1000, "1903e8"),
        (1_000_000, "1a000f4240"),
        (b"\x01\x02", "420102"),
        ("/issuer", "672f697373756572"),
        ([1, [2, 3]], "8201820203"),
        ({1: b"\xaa", 0: b"\xbb"}, "a20041bb0141aa"),
    ],
)
def test_values_read_and_write_as_the_rfc_says(value: Any, octets: str) -> None:
    """Examples of RFC 8949 appendix A, and maps in key order."""
    assert cbor.dumps(value).hex() == octets
    assert cbor.loads(bytes.fromhex(octets)) == value


@pytest.mark.parametrize(
    "octets",
    ["", "18", "1817", "190017", "5f41004100ff", "9f00ff", "d84043010203", "f5", "20", "fb3ff8000000000000",
     "820102ff", "430102", "9bffffffffffffffff", "a200010001", "61ff", "818181818181810000"],
)  # fmt: skip
def test_other_encodings_are_refused(octets: str) -> None:
    """Tags, floats, negative numbers, indefinite or overlong forms, cut and trailing data."""
    with pytest.raises(RemoteProtocolError):
        cbor.loads(bytes.fromhex(octets))
