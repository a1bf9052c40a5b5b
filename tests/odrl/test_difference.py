"""What changes between two versions of a policy: who gains what, who loses what."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from connector import yamlfile
from connector.odrl.authoring import read
from connector.odrl.authoring.backwards import blocks
from connector.odrl.canonical import canonical
from connector.odrl.difference import changes, rule_form
from connector.odrl.model import parse
from tests.odrl.test_model import documents

BASE = "{offer: %s, allow: %s, when: %s, never: %s, duty: %s}"


def policy(offer="everyone", allow="use", when="[{for: 90 days}]", never="[sell]", duty="[log]"):
    text = "a: " + BASE % (offer, allow, when, never, duty)
    return read(yamlfile.parse(text, "p"), evaluable=False)["a"]


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ({}, []),
        ({"when": "[{for: 30 days}]"}, [("loses", "who agrees", "it may be used for 30 days")]),
        ({"when": "[{for: 1 year}]"}, [("gains", "who agrees", "it may be used for 1 year")]),
        ({"when": "[{for: 90 days}, {from: 2026-01-01}]"}, [("loses", "who agrees", "now only from 1 Jan")]),
        (
            {"when": "[{times: 3}]"},
            [("gains", "who agrees", "no longer only for 90 days"), ("loses", "", "")],
        ),
        ({"never": "[sell, distribute]"}, [("loses", "who agrees", "must not: shared with third parties")]),
        (
            {"never": "[derive]"},
            [("loses", "", "must not: made into"), ("gains", "", "no longer forbidden: sold")],
        ),
        ({"duty": "[log, inform]"}, [("changes", "who agrees", "inform the provider: newly")]),
        ({"duty": "[inform]"}, [("changes", "", "log each use: no longer"), ("changes", "", "newly")]),
        ({"allow": "[use, transfer]"}, [("gains", "who agrees", "it may be handed over")]),
        ({"allow": "transfer"}, [("loses", "", "it may be used"), ("gains", "", "handed over")]),
        ({"offer": "{partners: did:web:p}"}, [("loses", "everybody else", "sees the offer")]),
        (
            {"offer": "{to: everyone, data: {point: 1}}"},
            [("changes", "the provider", "may offer so: point 1")],
        ),
    ],
)
def test_each_kind_of_change(new, told):
    """Shorter is a loss, longer a gain; each change is told for what it is."""
    found = changes(policy(), policy(**new))
    assert [change.effect for change in found] == [effect for effect, _, _ in told]
    for change, (_, who, what) in zip(found, told, strict=True):
        assert who in change.who
        assert what in change.what


def test_who_is_named_where_it_can_be():
    """Partners that come or go are named; a policy that comes or goes is told as a whole."""
    old = policy(offer="{partners: [did:web:p, did:web:q]}")
    new = policy(offer="{partners: [did:web:q, did:web:r]}")
    told = [(c.effect, c.who, c.what) for c in changes(old, new)]
    assert told == [("gains", "did:web:r", "sees the offer"), ("loses", "did:web:p", "sees the offer")]
    (whole,) = changes(None, old)
    assert (whole.effect, whole.who) == ("gains", "did:web:p and did:web:q")
    assert changes(old, None)[0].effect == "loses"
    assert changes(None, None) == []


@settings(max_examples=200, deadline=None)
@given(documents, documents)
def test_no_difference_goes_unsaid(first, second):
    """Two policies with different rules are never told to be the same, and the same never to be different."""
    made = []
    for document in (first, second):
        text = yamlfile.write({"a": {"offer": "everyone", **blocks(parse(document))}})
        made.append(read(yamlfile.parse(text, "p"), evaluable=False)["a"])
    once = [
        replace(
            policy.contract,
            permission=tuple({rule_form(rule): rule for rule in policy.contract.permission}.values()),
            prohibition=tuple({rule_form(rule): rule for rule in policy.contract.prohibition}.values()),
        )
        for policy in made
    ]
    same = canonical(once[0]) == canonical(once[1])
    assert (changes(*made) == []) == same
    assert changes(made[0], made[0]) == []
