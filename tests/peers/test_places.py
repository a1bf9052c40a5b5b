"""Room for what is done on behalf of others: one host has its share, who is known has room of its own."""

from connector.peers.places import Places

A, B, C = (f"did:web:{host}" for host in ("a.example", "a.example:path", "c.example%3A8443"))


def test_a_host_has_its_share() -> None:
    """DIDs of one host share its places, under whatever path; another host has its own."""
    places = Places(total=3, of_host=2)
    assert places.take(A, known=False)
    assert places.take(B, known=False)
    assert not places.take(A, known=False)
    assert places.take(C, known=False)
    assert not places.take(C, known=False), "all are taken"
    places.leave(B, known=False)
    assert places.take(A, known=False)


def test_who_is_known_has_room_of_its_own() -> None:
    """Strangers that fill their room leave that of the others free, and it has an end too."""
    places = Places(total=2, of_host=2)
    assert [places.take(A, known=False) for _ in range(3)] == [True, True, False]
    assert [places.take(A, known=True) for _ in range(3)] == [True, True, False]
    places.leave(A, known=True)
    assert places.take(C, known=True)
    assert not places.take(C, known=False)


def test_hosts_that_have_left_are_forgotten() -> None:
    """However many hosts come and go, none is kept in mind."""
    places = Places(total=2, of_host=1)
    for number in range(100):
        did = f"did:web:h{number}.example"
        assert places.take(did, known=False)
        places.leave(did, known=False)
    assert not places._strangers
