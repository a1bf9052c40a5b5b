"""Random policies and facts, of everything that the model has, for hypothesis."""

from typing import Any

from hypothesis import strategies as st

from connector.odrl.facts import Claim, Claims, Facts, Performance
from connector.odrl.model import OPERATORS
from tests.odrl.naive import ANODE

BPN = ("BPNL000000000001", "BPNL000000000002")
TYPES = ("MembershipCredential", "BpnCredential", "DataExchangeGovernanceCredential", "M", "R")


def _lists(*values: str) -> st.SearchStrategy[Any]:
    some = st.lists(st.sampled_from(values), max_size=2)
    return some | st.sampled_from(values)


def _atom(left: str, right: st.SearchStrategy[Any], *operators: str) -> st.SearchStrategy[dict[str, Any]]:
    how = st.sampled_from(operators) if operators else st.sampled_from(OPERATORS)
    return st.builds(lambda o, r: {"leftOperand": left, "operator": o, "rightOperand": r}, how, right)


def _mostly(usual: st.SearchStrategy[Any], wild: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The usual nine times of ten: what can't be evaluated denies, and would leave little to compare."""
    return st.integers(0, 9).flatmap(lambda die: wild if die == 9 else usual)


_instants = st.integers(0, 9).map(lambda second: f"1970-01-01T00:00:{second:02}+00:00")
_spans = st.integers(0, 9).map(lambda number: f"PT{number}S")
_ordered = ("lt", "lteq", "gt", "gteq", "eq", "neq")
_usual = st.one_of(
    _atom("odrl:dateTime", _instants, *_ordered),
    _atom("elapsedTime", _spans, *_ordered[:4]),
    _atom("odrl:delayPeriod", _spans, "gt", "gteq", "eq"),
    _atom("odrl:count", st.integers(0, 4).map(str), *_ordered),
    _atom("odrl:timeInterval", _spans, "gteq", "gt", "eq"),
    _atom("odrl:purpose", st.sampled_from("pq"), "eq", "neq", "isAnyOf", "isNoneOf", "isA"),
    _atom("UsagePurpose", st.sampled_from([["p", "q"], ["q"]]), "isAnyOf"),
    _atom("DataUsageEndDate", _instants, "eq"),
    _atom(f"{ANODE}participant", st.sampled_from("ab"), "eq", "neq", "isAnyOf", "isNoneOf"),
    _atom(f"{ANODE}credential", st.sampled_from([["M"], ["M", "R"]]), "isAnyOf", "isAllOf"),
    _atom("Membership", st.just("active"), "eq"),
    _atom("FrameworkAgreement", st.just("DataExchangeGovernance:1.0"), "eq"),
    _atom("BusinessPartnerNumber", st.sampled_from([BPN[:1], BPN]).map(list), "isAnyOf", "isNoneOf"),
    _atom("BusinessPartnerGroup", st.sampled_from([["g"], ["g", "h"]]), "isAnyOf", "isNoneOf"),
    _atom("Liability", st.just("cx.grossNegligence:1"), "eq"),
    _atom("AffiliatesRegion", st.just(["cx.region.europe:1"]), "isAnyOf"),
)
_wild = st.one_of(
    _atom("odrl:dateTime", _instants),
    _atom("elapsedTime", _spans),
    _atom("odrl:delayPeriod", _spans, *_ordered),
    _atom("odrl:timeInterval", _spans, "lt"),
    _atom("odrl:purpose", _lists("p", "q"), "eq", "neq", "isAnyOf", "isNoneOf", "isA"),
    _atom("UsagePurpose", _lists("p", "q"), "isAnyOf", "eq", "isNoneOf"),
    _atom("DataUsageEndDate", _instants, "gt"),
    _atom("DataProvisioningEndDurationDays", st.sampled_from(["0", "1"]), "eq"),
    _atom(f"{ANODE}participant", _lists("a", "b"), "eq", "neq", "isAnyOf", "isNoneOf", "hasPart"),
    _atom(f"{ANODE}credential", _lists("M", "R"), "eq", "isAnyOf", "isAllOf", "isNoneOf"),
    _atom("Membership", st.sampled_from(["active", "passive"]), "eq", "neq"),
    _atom("BusinessPartnerNumber", _lists(*BPN), "isAnyOf", "isNoneOf", "eq", "isAllOf"),
    _atom("BusinessPartnerGroup", _lists("g", "h"), "isAnyOf", "isNoneOf", "neq"),
    _atom("Liability", st.sampled_from(["cx.grossNegligence:1", "cx.typo:1"]), "eq", "neq"),
    _atom("UsageRestriction", _lists("cx.thirdParty.forbidden:1"), "isAllOf"),
    _atom("AffiliatesRegion", _lists("cx.region.europe:1"), "isAnyOf"),
    _atom("odrl:industry", st.just("x"), "eq"),
)
atoms = _mostly(_usual, _wild)
trees = st.recursive(
    atoms,
    lambda inner: st.builds(
        lambda how, parts: {how: parts},
        st.sampled_from(["and", "or", "or", "xone", "andSequence"]),
        _mostly(st.lists(inner, min_size=1, max_size=3), st.just([])),
    ),
    max_leaves=6,
)
_duty_terms = st.one_of(
    _atom("odrl:delayPeriod", _spans, "lteq"),
    _atom("odrl:dateTime", _instants, "lt"),
    _atom("odrl:event", st.sampled_from(["agreement", "agreement-end"]), "eq"),
    _atom("odrl:event", st.just("agreement"), "eq"),
)
duties = st.fixed_dictionaries(
    {"action": _mostly(st.sampled_from(["delete", "inform", "attribute", f"{ANODE}log"]), st.just("play"))},
    optional={"constraint": st.lists(_duty_terms, max_size=2, unique_by=lambda t: t["leftOperand"])},
)


def _parts(one: str, kind: str) -> st.SearchStrategy[Any]:
    collection = {"@id": f"{one}-group", "@type": f"odrl:{kind}Collection", "source": "g"}
    return st.sampled_from([one, "other", collection])


def _rules(most: int, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "action": _mostly(st.just("use"), st.sampled_from(["read", "distribute", "sell", "look"])),
            "constraint": st.lists(trees, max_size=most),
        },
        optional={"target": _parts("t", "Asset"), "assignee": _parts("a", "Party"), **more},
    )


obligations = duties | st.fixed_dictionaries(
    {
        "action": st.just("use"),
        "constraint": st.lists(
            _atom("DataProvisioningEndDate", _instants, "eq")
            | _atom("DataProvisioningEndDurationDays", st.just("0"), "eq"),
            min_size=1,
            max_size=2,
        ),
    }
)
_permissions = _rules(2, duty=st.lists(duties, max_size=1))
documents = st.fixed_dictionaries(
    {
        "@id": st.just("x"),
        "@type": st.just("Offer"),
        "permission": _mostly(st.lists(_permissions, min_size=1, max_size=3), st.just([])),
    },
    optional={
        "prohibition": st.lists(_rules(3), max_size=1),
        "obligation": st.lists(obligations, max_size=1),
        "odrl:conflict": st.sampled_from([{"@id": f"odrl:{c}"} for c in ("perm", "prohibit", "invalid")]),
    },
)
_subjects = st.sampled_from(
    [{}, {"holderIdentifier": BPN[0]}, {"bpn": BPN[1]}, {"contractVersion": "1.0"}, {"contractVersion": "2"}]
)
_halves = st.integers(0, 24).map(lambda half: half / 2)
claims = st.dictionaries(
    st.sampled_from(TYPES),
    st.lists(st.builds(Claim, st.just("M"), st.just("i"), _subjects, _halves), max_size=2).map(tuple),
).map(Claims)
_performances = st.builds(
    Performance, st.sampled_from(["fulfilled", "pending", "violated"]), _halves | st.just(float("inf"))
)
facts = st.builds(
    Facts,
    now=_halves,
    participant=st.sampled_from("ab"),
    agreed_at=st.none() | st.integers(0, 6).map(float),
    action=_mostly(st.just("use"), st.sampled_from(["read", "display"])),
    claims=claims,
    phase=st.sampled_from(["catalog", "negotiation", "transfer", "request", "request"]),
    purpose=st.none() | st.sampled_from("pqr"),
    uses=st.none() | st.integers(0, 4),
    last_use=st.none() | _halves | st.just(float("-inf")),
    target=_mostly(st.just("t"), st.none()),
    groups=st.none() | st.frozensets(st.sampled_from(["g", "h", "a-group"])),
    collections=st.none() | st.frozensets(st.sampled_from(["g", "t-group"])),
    duties=st.dictionaries(
        st.sampled_from(["permission[0].duty[0]", "obligation[0]", "delete", f"{ANODE}log"]), _performances
    ),
)
