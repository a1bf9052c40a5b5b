"""The memory of used tokens: exact, expiring, bounded."""

import pytest

from connector.dcp.replays import Replays
from connector.errors import Unavailable, Untrusted

A, B = "did:web:a.example", "did:web:b.example"


def test_used_once() -> None:
    """An id is good once for each issuer, and another issuer's equal id is another id."""
    replays = Replays()
    replays.add(A, "1", until=110, now=100)
    replays.add(B, "1", until=110, now=100)
    for issuer in (A, B):
        with pytest.raises(Untrusted, match="used before"):
            replays.check(issuer, "1")
        with pytest.raises(Untrusted, match="used before"):
            replays.add(issuer, "1", until=110, now=100)
    assert len(replays) == 2


def test_forgets_only_what_is_over() -> None:
    """An id is remembered to the last moment at which its token would be taken, then forgotten."""
    replays = Replays()
    replays.add(A, "old", until=110.9, now=100)
    replays.add(A, "new", until=200, now=110.8)
    with pytest.raises(Untrusted, match="used before"):
        replays.check(A, "old")
    replays.add(A, "other", until=200, now=112)
    replays.check(A, "old")
    assert len(replays) == 2
    replays.add(B, "1", until=300, now=250)
    assert len(replays) == 1


def test_one_issuer_locks_out_only_itself() -> None:
    """An issuer that fills its share is put off; others go on; time makes room."""
    replays = Replays(per_issuer=3, total=5)
    for n in range(3):
        replays.add(A, str(n), until=110, now=100)
    with pytest.raises(Unavailable, match="keep track"):
        replays.add(A, "3", until=110, now=100)
    replays.add(B, "0", until=110, now=100)
    replays.add(B, "1", until=110, now=100)
    with pytest.raises(Unavailable, match="keep track"):
        replays.add(B, "2", until=110, now=100)
    assert len(replays) == 5
    replays.add(A, "3", until=130, now=120)
    assert len(replays) == 1
