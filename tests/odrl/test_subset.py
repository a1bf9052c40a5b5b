"""Whether one policy stays within another: what is known, what is denied in doubt, and no wrong yes."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from connector import yamlfile
from connector.odrl import authoring
from connector.odrl.compile import compile_policy
from connector.odrl.facts import FULFILLED, Facts
from connector.odrl.model import Policy, parse
from connector.odrl.subset import beyond, demands, passed_on
from tests.odrl.policies import claims, documents, facts

DAY = 86_400.0


def policy(text: str) -> Policy:
    """The contract that these blocks of a policy file make."""
    document = yamlfile.parse(f"p: {{offer: everyone, {text}}}\n", "p.yaml")
    return authoring.read(document, evaluable=False)["p"].contract


OFFERED = "allow: use, when: [{for: 90 days}, {purpose: [repair, audit]}], never: [distribute]"
DUTY = "allow: use, duty: [{delete: {within: 7 days, of: agreement-end}}]"


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        ("allow: use, when: [{for: 30 days}, {purpose: repair}], never: [distribute]", OFFERED),
        ("allow: read, when: [{for: 2 months}, {purpose: [audit, repair]}], never: [distribute]", OFFERED),
        ("allow: use, when: [{for: 90 days}, {purpose: [audit]}, {times: 3}], never: [use, sell]", OFFERED),
        ("allow: use, when: [{until: 2026-01-31}]", "allow: use, when: [{until: 2026-03-31}]"),
        ("allow: use, when: [{times: 3}]", "allow: [read, {use: {when: [{times: 10}]}}]"),
        ("allow: use, when: [{every: 2 days}]", "allow: use, when: [{every: 1 hour}]"),
        (
            "allow: use, when: [{purpose: repair}]",
            "allow: use, when: [{any: [{purpose: repair}, {times: 1}]}]",
        ),
        (
            "allow: use, when: [{any: [{times: 1}, {times: 2}]}]",
            "allow: use, when: [{any: [{purpose: repair}, {times: 2}]}]",
        ),
        ("allow: use, when: [{credential: A}]", "allow: use, when: [{credential: [A, B]}]"),
        ("allow: use, duty: [{delete: {within: 3 days, of: agreement-end}}]", DUTY),
    ],
)
def test_what_stays_within(asked: str, offered: str) -> None:
    """Shorter, fewer, a smaller choice, a sooner duty, a prohibition more: within, and not the reverse."""
    assert beyond(policy(asked), policy(offered)) == ()
    assert beyond(policy(offered), policy(offered)) == ()
    assert beyond(policy(offered), policy(asked)) != ()


@pytest.mark.parametrize(
    ("asked", "offered", "because"),
    [
        (
            "allow: use, when: [{for: 91 days}, {purpose: repair}], never: [distribute]",
            OFFERED,
            "for 90 days",
        ),
        (
            "allow: use, when: [{for: 3 months}, {purpose: repair}], never: [distribute]",
            OFFERED,
            "for 90 days",
        ),
        ("allow: use, when: [{for: 3 days}], never: [distribute]", OFFERED, "for audit or repair"),
        ("allow: use, when: [{for: 3 days}, {purpose: repair}]", OFFERED, "must not be"),
        ("allow: use", DUTY, "delete"),
        ("allow: use, duty: [{delete: {within: 8 days, of: agreement-end}}]", DUTY, "delete"),
        ("allow: use, duty: [{delete: {within: 3 days, of: agreement}}]", DUTY, "delete"),
        ("allow: sell", "allow: use", "may only be used"),
        ("allow: use", "allow: nothing, never: [sell]", "nothing is permitted"),
        (
            "allow: use, when: [{one: [{times: 1}]}]",
            "allow: use, when: [{times: 1}]",
            "for the first use",
        ),
    ],
)
def test_what_goes_beyond_is_named(asked: str, offered: str, because: str) -> None:
    """What is longer, more, without a condition, prohibition or duty, or not known, is named with a code."""
    reasons = beyond(policy(asked), policy(offered))
    assert {reason.code for reason in reasons} == {"wider-terms"}
    assert any(because in reason.text for reason in reasons), reasons


def test_terms_of_a_contract_bind_the_provider() -> None:
    """A warranty or a duty of the provider's node that was not offered is a demand, not a restraint."""
    base = "profile: cx, allow: use, when: [{framework: 'DataExchangeGovernance:1.0'}, {purpose: a}"
    offered = policy(f"{base}]")
    warranty = policy(f"{base}, {{Warranty: 'cx.warranty.dataQualityIssues:1'}}]")
    assert beyond(warranty, offered) == ()
    assert [reason.code for reason in demands(warranty, offered)] == ["demands-more"]
    assert beyond(offered, warranty) != ()
    provide = policy(f"{base}], stop: {{after: 90 days}}")
    assert [reason.path for reason in demands(provide, offered)] == ["obligation[0]"]
    assert demands(policy(f"{base}, {{for: 3 days}}]"), offered) == ()
    assert [r.code for r in demands(policy("allow: use, duty: [log]"), policy("allow: use"))] == [
        "demands-more"
    ]


def test_passing_on_lasts_no_longer_than_what_was_agreed() -> None:
    """Ninety days agreed eighty days ago leave ten to pass on; numbers of uses leave nothing."""
    agreed, now = policy("allow: use, when: [{for: 90 days}]"), 1_800_000_000.0
    for days, within in ((9, True), (10, True), (11, False)):
        offer = policy(f"allow: use, when: [{{for: {days} days}}]")
        assert (passed_on(offer, agreed, now - 80 * DAY, now) == ()) is within
    assert passed_on(policy("allow: use"), policy("allow: use"), now, now) == ()
    for kept, why in (
        ("allow: use, never: [distribute]", "forbids passing it on"),
        ("allow: use, when: [{times: 5}]", "number of uses"),
        ("allow: read", "does not permit"),
    ):
        (reason,) = passed_on(
            policy("allow: read, when: [{times: 1}], never: [distribute]"), policy(kept), now, now
        )
        assert why in reason.text


def test_a_comparison_ends() -> None:
    """Two policies of nested alternatives, as large as they may be, are given up and not within."""

    def nest(depth: int, most: str) -> dict[str, Any]:
        if not depth:
            return {"leftOperand": "odrl:count", "operator": "lteq", "rightOperand": most}
        return {"or": [nest(depth - 1, most), nest(depth - 1, most)]}

    one, other = (
        parse({"@type": "Set", "permission": [{"action": "use", "constraint": [nest(8, most)]}]})
        for most in "54"
    )
    assert beyond(one, replace(other, permission=(replace(one.permission[0], constraint=()),))) == ()
    assert beyond(one, other)[0].text.endswith("compared.")


_narrowing = st.sampled_from(
    [
        ("odrl:count", "lteq", ["1", "2", "3"]),
        ("odrl:count", "lt", ["1", "2", "3"]),
        ("odrl:count", "eq", ["1", "2", "3"]),
        ("elapsedTime", "lteq", ["PT2S", "PT5S", "P1M", "P31D", "P30D"]),
        ("elapsedTime", "gt", ["PT2S", "PT5S"]),
        ("edc:inForceDate", "lteq", ["contractAgreement+3s", "contractAgreement+5s", "1970-01-01T00:00:06Z"]),
        ("odrl:delayPeriod", "gteq", ["PT2S", "PT4S"]),
        ("odrl:timeInterval", "gteq", ["PT2S", "PT4S"]),
        ("odrl:timeInterval", "gt", ["PT2S", "PT4S"]),
        ("odrl:dateTime", "lt", ["1970-01-01T00:00:05Z", "1970-01-01T00:00:08Z"]),
        ("odrl:dateTime", "eq", ["1970-01-01T00:00:05Z", "1970-01-01T00:00:08Z"]),
        ("DataUsageEndDate", "eq", ["1970-01-01T00:00:05Z", "1970-01-01T00:00:08Z"]),
        ("DataUsageEndDurationDays", "eq", ["0", "1"]),
        ("odrl:purpose", "isAnyOf", [["p"], ["p", "q"], ["r"]]),
        ("odrl:purpose", "isNoneOf", [["p"], ["p", "q"], ["r"]]),
        ("UsagePurpose", "isAnyOf", [["p"], ["p", "q"]]),
        ("https://w3id.org/anode/v1/participant", "isAnyOf", [["a"], ["a", "b"]]),
        ("https://w3id.org/anode/v1/participant", "isNoneOf", [["b"], ["a", "b"], ["c"]]),
        ("https://w3id.org/anode/v1/credential", "isAnyOf", [["M"], ["M", "R"]]),
        ("https://w3id.org/anode/v1/credential", "isAllOf", [["M"], ["M", "R"]]),
        ("https://w3id.org/anode/v1/claim", "isAnyOf", [["M.bpn=BPNL000000000002"], ["M.bpn=x"]]),
        (
            "BusinessPartnerNumber",
            "isAnyOf",
            [["BPNL000000000001"], ["BPNL000000000001", "BPNL000000000002"]],
        ),
        ("BusinessPartnerGroup", "isAnyOf", [["g"], ["g", "h"]]),
        ("BusinessPartnerGroup", "isNoneOf", [["g"], ["g", "h"]]),
        ("Liability", "eq", ["cx.grossNegligence:1", "cx.slightNegligence:1"]),
    ]
).flatmap(
    lambda atom: st.sampled_from(atom[2]).map(
        lambda right: {"leftOperand": atom[0], "operator": atom[1], "rightOperand": right}
    )
)
_tree = _narrowing | st.builds(
    lambda how, parts: {how: parts},
    st.sampled_from(["and", "or"]),
    st.lists(_narrowing, min_size=1, max_size=3),
)
_owed = st.builds(
    lambda action, terms: {"action": action, "constraint": terms},
    st.sampled_from(["delete", "inform"]),
    st.lists(
        st.sampled_from(["PT3S", "PT6S"]).map(
            lambda span: {"leftOperand": "odrl:delayPeriod", "operator": "lteq", "rightOperand": span}
        ),
        max_size=1,
    ),
)
_rule = st.fixed_dictionaries(
    {"action": st.sampled_from(["use", "use", "read"]), "constraint": st.lists(_tree, max_size=2)},
    optional={"duty": st.lists(_owed, max_size=1), "assignee": st.just("a")},
)
_authored = st.fixed_dictionaries(
    {"@type": st.just("Set"), "permission": st.lists(_rule, min_size=1, max_size=2)},
    optional={
        "prohibition": st.lists(
            st.builds(
                lambda action, terms: {"action": action, "constraint": terms},
                st.sampled_from(["read", "use", "distribute"]),
                st.lists(_narrowing, max_size=1),
            ),
            max_size=1,
        ),
        "obligation": st.lists(_owed, max_size=2),
    },
)
_sampled = st.builds(
    lambda found, duties, proved: found._replace(duties=duties, claims=proved),
    facts,
    st.dictionaries(st.sampled_from(["delete", "inform"]), st.just(FULFILLED)),
    claims,
)


def _contradicted(one: Policy, other: Policy, samples: list[Facts]) -> list[Facts]:
    mine = {action: compile_policy(one, action) for action in ("use", "read", "display")}
    theirs = {action: compile_policy(other, action) for action in mine}
    return [
        found
        for found in samples
        if mine[found.action].decide(found).permitted and not theirs[found.action].decide(found).permitted
    ]


@settings(max_examples=400)
@given(_authored, _authored, st.lists(_sampled, min_size=8, max_size=8))
def test_no_facts_speak_against_a_yes(
    one: dict[str, Any], other: dict[str, Any], samples: list[Facts]
) -> None:
    """Where a policy is said to stay within another, it permits nothing that the other denies."""
    mine, theirs = parse(one), parse(other)
    if not beyond(mine, theirs):
        assert _contradicted(mine, theirs, samples) == []


@settings(max_examples=100)
@given(documents, documents, st.lists(_sampled, min_size=5, max_size=5))
def test_nor_among_policies_of_strangers(
    one: dict[str, Any], other: dict[str, Any], samples: list[Facts]
) -> None:
    """The same of policies with everything that the model has; and no policy makes the comparison fail."""
    mine, theirs = parse(one), parse(other)
    if not beyond(mine, theirs):
        assert _contradicted(mine, theirs, samples) == []
    demands(mine, theirs)
    passed_on(mine, theirs, 0.0, 5.0)


@settings(max_examples=100)
@given(_authored, _narrowing, st.lists(_sampled, min_size=5, max_size=5))
def test_one_condition_more_is_within(
    one: dict[str, Any], more: dict[str, Any], samples: list[Facts]
) -> None:
    """A policy with a condition more stays within the one without: the comparison is no empty no."""
    theirs = parse(one)
    narrower = [{**rule, "constraint": [*rule["constraint"], more]} for rule in one["permission"]]
    mine = parse({**one, "permission": narrower})
    assume(not compile_policy(mine).problems)
    assert beyond(mine, theirs) == ()
    assert _contradicted(mine, theirs, samples) == []
