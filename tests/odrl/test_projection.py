"""Projections, as functions: whatever the document, what is left out is not in it any more."""

import hashlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.odrl.grouping import grouped
from connector.odrl.projection import Projection, projected

SECRET = "Zebra-9041"
KEYS = st.sampled_from(
    ["operatorId", "alias", "x:operatorId", "https://e.example/operatorId", "name", "v", "@id"]
)
TEXTS = st.sampled_from([SECRET, f"urn:x:{SECRET}", f"by {SECRET.lower()}!", "other", "operatorId", ""])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 9), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS | TEXTS, inner, max_size=4)),
    max_leaves=20,
)
CONTEXT = {"x": "https://e.example/", "alias": {"@id": "x:operatorId"}}


def pseudonym(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@given(VALUES, st.booleans())
def test_nothing_of_it_is_left(value: object, drop: bool) -> None:
    """However it is nested, named or repeated, a value of the attribute is nowhere in what comes out; and to
    do it again changes nothing more."""
    document = {"@context": CONTEXT, "operatorId": SECRET, "rest": value}
    names = frozenset({"operatorId"})
    made = projected(document, Projection(names) if drop else Projection(pseudonymise=names), pseudonym)
    assert SECRET.casefold() not in orjson.dumps(made).decode().casefold()
    if drop:
        assert projected(made, Projection(names), pseudonym) == made


@given(
    st.lists(
        st.fixed_dictionaries({"k": st.sampled_from("ab"), "n": st.integers(0, 9), "f": st.floats(0, 1)}),
        max_size=30,
    ),
    st.integers(2, 5),
)
def test_groups_are_never_smaller(records: list[dict[str, object]], size: int) -> None:
    """Each record that comes out is there at least as often as a group is large; records are only left out
    where too few are alike, and the sums of numbers stay."""
    made = grouped(records, size)
    seen = [orjson.dumps(record) for record in made]
    assert all(seen.count(one) >= size for one in seen)
    for kind in "ab":
        before = [record for record in records if record["k"] == kind]
        after = [record for record in made if record["k"] == kind]
        assert len(after) == (len(before) if len(before) >= size else 0)
        if after:
            assert sum(r["n"] for r in after) == pytest.approx(sum(r["n"] for r in before), rel=1e-6)
