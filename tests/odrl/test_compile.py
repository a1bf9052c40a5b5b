"""Decisions: closed world, reasons, and the moment when the answer changes."""

import math
import operator
from datetime import UTC, datetime

import pytest

from connector.odrl.compile import Facts, compile_policy, compiled_for
from connector.odrl.model import agreement, parse
from connector.odrl.operands import (
    CREDENTIAL,
    IN_FORCE_DATE,
    OPERANDS,
    PARTICIPANT,
    Claim,
    Claims,
    Condition,
    Operand,
)

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC).timestamp()
ME = "did:web:me.example"


def until(moment="2026-11-23T04:00:00Z", how="lteq"):
    return {"leftOperand": "odrl:dateTime", "operator": how, "rightOperand": moment}


def for_(span="P90D", how="lteq"):
    return {"leftOperand": "elapsedTime", "operator": how, "rightOperand": span}


def participant(*names, how="isAnyOf"):
    return {"leftOperand": PARTICIPANT, "operator": how, "rightOperand": list(names)}


def credential(*types, how="isAnyOf"):
    return {"leftOperand": CREDENTIAL, "operator": how, "rightOperand": list(types)}


UNKNOWN = {"leftOperand": "partner", "operator": "eq", "rightOperand": "gold"}
PAST, FUTURE = until("2020-01-01T00:00:00Z"), until("2030-01-01T00:00:00Z")


def policy(*constraints, **members):
    rules = {"permission": [{"action": "use", "constraint": list(constraints)}]}
    return parse({"@id": "x", "@type": "Offer", **rules, **members})


def decide(*constraints, facts=None, **members):
    return compile_policy(policy(*constraints, **members)).decide(facts or Facts(NOW, ME, NOW))


def codes(decision):
    return [reason.code for reason in decision.reasons]


def test_a_permission_without_constraints_allows():
    """What is allowed without a condition is allowed, and only that action."""
    assert decide().permitted
    assert codes(decide(facts=Facts(NOW, ME, action="read"))) == ["no-permission"]


def test_an_empty_policy_denies():
    """No rules allow nothing, and so do prohibitions alone."""
    assert codes(decide(permission=[])) == ["empty-policy"]
    forbidden = [{"action": "use", "constraint": [PAST]}]
    assert codes(decide(permission=[], prohibition=forbidden)) == ["no-permission"]


@pytest.mark.parametrize(
    ("members", "code", "path"),
    [
        (
            {"permission": [{"action": "use", "constraint": [UNKNOWN]}]},
            "unknown-operand",
            "permission[0].constraint[0]",
        ),
        (
            {"permission": [{"action": "use", "constraint": [until(how="isAnyOf")]}]},
            "unknown-operator",
            "permission[0].constraint[0]",
        ),
        (
            {"permission": [{"action": "use", "constraint": [until("tomorrow")]}]},
            "unreadable-value",
            "permission[0].constraint[0]",
        ),
        (
            {"permission": [{"action": "use", "constraint": [{"or": []}]}]},
            "empty-constraint",
            "permission[0].constraint[0].or",
        ),
        (
            {"permission": [{"action": "use", "constraint": [FUTURE | {"unit": "x"}]}]},
            "unread-term",
            "permission[0].constraint[0].unit",
        ),
        ({"permission": [{"action": "look"}]}, "unknown-action", "permission[0].action"),
        ({"permission": [{"action": "use", "refinement": {}}]}, "unread-term", "permission[0].refinement"),
        (
            {"permission": [{"action": "use", "duty": [{"action": "play"}]}]},
            "duty-not-tracked",
            "permission[0].duty[0]",
        ),
        (
            {"obligation": [{"action": "inform", "constraint": [UNKNOWN]}]},
            "duty-not-tracked",
            "obligation[0]",
        ),
        ({"profile": "https://example.org/profile"}, "unknown-profile", "profile"),
        ({"inheritFrom": "urn:parent"}, "unread-term", "inheritFrom"),
        ({"prohibition": [{"action": "look"}]}, "unknown-action", "prohibition[0].action"),
        (
            {"prohibition": [{"action": "use", "constraint": [PAST, UNKNOWN]}]},
            "unknown-operand",
            "prohibition[0].constraint[1]",
        ),
        (
            {"prohibition": [{"action": "use", "constraint": [{"or": [PAST, UNKNOWN]}]}]},
            "unknown-operand",
            "prohibition[0].constraint[0].or[1]",
        ),
    ],
)
def test_what_cannot_be_evaluated_denies_with_a_reason(members, code, path):
    """Whatever this node does not know denies, is found at compile time, and is named with its path."""
    compiled = compile_policy(policy(**members))
    decision = compiled.decide(Facts(NOW, ME, NOW))
    assert not decision.permitted
    assert [(r.code, r.path) for r in decision.reasons] == [(code, path)]
    assert decision.reasons == compiled.problems
    assert compiled.next_change(Facts(NOW, ME, NOW)) is None
    assert decision.reasons[0].sentence().endswith(".")


def test_any_permission_is_enough():
    """Permissions are alternatives: one that can't be evaluated does not spoil another."""
    bad, good = {"action": "use", "constraint": [UNKNOWN]}, {"action": "use", "constraint": [FUTURE]}
    assert decide(permission=[bad, good]).permitted
    assert decide({"or": [UNKNOWN, FUTURE]}).permitted
    assert not decide({"xone": [UNKNOWN, FUTURE]}).permitted
    assert not decide({"and": [UNKNOWN, FUTURE]}).permitted


def test_a_prohibition_wins():
    """A prohibition denies if it holds, has no condition or can't be told, and not if it does not hold."""
    for constraints in ([], [FUTURE], [{"or": [PAST, FUTURE]}]):
        decision = decide(prohibition=[{"action": "use", "constraint": constraints}])
        assert codes(decision) == ["prohibited"]
        assert decision.reasons[0].path == "prohibition[0]"
    assert decide(prohibition=[{"action": "use", "constraint": [FUTURE, PAST]}]).permitted
    unsure = [{"action": "use", "constraint": [for_()]}]
    assert not decide(prohibition=unsure, facts=Facts(NOW, ME, agreed_at=None)).permitted


@pytest.mark.parametrize(
    ("connective", "truths", "holds"),
    [
        ("and", "11", True),
        ("and", "10", False),
        ("andSequence", "11", True),
        ("andSequence", "01", False),
        ("or", "01", True),
        ("or", "00", False),
        ("xone", "010", True),
        ("xone", "110", False),
        ("xone", "000", False),
    ],
)
def test_connectives(connective, truths, holds):
    """`and` wants all, `or` one, `xone` exactly one; a sequence is all, as nothing we know has an order."""
    parts = [FUTURE if truth == "1" else PAST for truth in truths]
    decision = decide({connective: parts})
    assert decision.permitted is holds
    assert bool(decision.reasons) is not holds


def test_a_missing_agreement_denies():
    """Time since an agreement that does not exist is not known, so no condition on it holds."""
    nobody = Facts(NOW, ME, agreed_at=None)
    for how in ("lteq", "gteq"):
        assert codes(decide(for_(how=how), facts=nobody)) == ["fact-missing"]
    assert not decide({"xone": [for_(), FUTURE]}, facts=nobody).permitted
    assert decide({"or": [for_(), FUTURE]}, facts=nobody).permitted


@pytest.mark.parametrize("how", ["lt", "lteq", "gt", "gteq", "eq", "neq"])
@pytest.mark.parametrize("after", [-1.0, 0.0, 1.0])
def test_instants_compare_as_written(how, after):
    """Date and time, EDC's date in force, and both of its notations compare to the instant itself."""
    holds = {"lteq": operator.le, "gteq": operator.ge, "neq": operator.ne}.get(how) or getattr(operator, how)
    instant = until("2026-11-23T05:00:00+01:00", how)
    facts = Facts(NOW + after, ME, agreed_at=NOW - 86400)
    in_force = instant | {"leftOperand": "inForceDate"}
    offset = {"leftOperand": IN_FORCE_DATE, "operator": how, "rightOperand": "contractAgreement+1d"}
    for constraint in (instant, in_force, offset, offset | {"rightOperand": "contractagreement+24h"}):
        assert decide(constraint, facts=facts).permitted is holds(after, 0.0)
    if how not in ("eq", "neq"):
        assert decide(for_("P1D", how), facts=facts).permitted is holds(after, 0.0)


def test_participants_are_compared_by_id():
    """A participant is one of those named, or none of them."""
    assert decide(participant("did:web:other.example", ME)).permitted
    assert not decide(participant("did:web:other.example")).permitted
    assert not decide(participant(ME, how="isNoneOf")).permitted
    assert decide(participant(ME, how="eq")).permitted
    assert codes(decide(participant("a", "b", how="eq"))) == ["unreadable-value"]
    assert codes(decide(participant())) == ["unreadable-value"]


def test_reasons_say_what_to_do():
    """A reason names operand, what is expected and what is seen, in a sentence with the next step."""
    decision = decide(until(), facts=Facts(NOW + 65, ME, NOW))
    (reason,) = decision.reasons
    assert reason.sentence() == (
        "The permission ended on 23 November 2026 04:00 UTC; it is now 23 November 2026 04:01:05 UTC: "
        "ask the provider for a new offer."
    )
    assert reason.sentence(redacted=True) == reason.sentence()
    assert reason.expected == "until 23 November 2026 04:00 UTC"
    assert (reason.code, reason.path) == ("constraint-not-satisfied", "permission[0].constraint[0]")
    assert reason.operator == "lteq"


def test_partners_are_not_told_of_each_other():
    """The redacted sentence does not name the participants that the policy is for."""
    (reason,) = decide(participant("did:web:secret.example")).reasons
    assert "secret" in reason.sentence()
    assert "secret" not in reason.sentence(redacted=True)
    assert "secret" not in str(reason.public)


def test_the_answer_changes_when_it_is_said_to():
    """The next change is the first moment of the other answer: just after an inclusive end."""
    facts = Facts(NOW - 100, ME, NOW - 100)
    assert compile_policy(policy(until(how="lteq"))).next_change(facts) == math.nextafter(NOW, math.inf)
    assert compile_policy(policy(until(how="lt"))).next_change(facts) == NOW
    assert compile_policy(policy(until(how="gteq"))).next_change(facts) == NOW
    assert compile_policy(policy(for_("PT5S", "lt"))).next_change(facts) == NOW - 95
    assert compile_policy(policy(until(how="lt"), participant("other"))).next_change(facts) is None
    assert compile_policy(policy()).next_change(facts) is None
    proved = compile_policy(policy(until(how="lt"), credential("MembershipCredential")))
    assert proved.next_change(facts) is None, "it is a no now, and stays one"
    assert proved.possible(facts), "but it might become a yes"
    assert proved.turn(facts) == NOW, "until then"


def test_calendar_spans_end_on_the_same_day():
    """A month or a year ends on the same day of the calendar, or on the last of a shorter month."""
    agreed = datetime(2027, 1, 31, 12, 0, tzinfo=UTC).timestamp()
    end = datetime(2027, 2, 28, 12, 0, tzinfo=UTC).timestamp()
    assert compile_policy(policy(for_("P1M", "lt"))).next_change(Facts(agreed, ME, agreed)) == end
    assert compile_policy(policy(for_("P9999Y"))).decide(Facts(agreed, ME, agreed)).permitted


def test_hundreds_of_windows_are_one_line():
    """However many windows a policy has, the next change is exact, and reasons have an end."""
    windows = [
        {"and": [until(f"{year}-01-01T00:00:00Z", "gteq"), until(f"{year}-07-01T00:00:00Z", "lt")]}
        for year in range(2000, 2262)
    ]
    compiled = compile_policy(policy({"or": windows}))
    middle = datetime(2100, 3, 1, tzinfo=UTC).timestamp()
    assert compiled.decide(Facts(middle, ME)).permitted
    assert compiled.next_change(Facts(middle, ME)) == datetime(2100, 7, 1, tzinfo=UTC).timestamp()
    assert not compiled.decide(Facts(middle + 180 * 86400, ME)).permitted
    (reason,) = compiled.decide(Facts(middle + 180 * 86400, ME)).reasons
    assert "begins on 1 January 2101 00:00 UTC" in reason.sentence()
    (reason,) = compiled.decide(Facts(middle + 180 * 86400 * 1000, ME)).reasons
    assert "ended on 1 July 2261 00:00 UTC" in reason.sentence()


def test_operands_are_a_plain_mapping():
    """Another operand is one more entry: it needs a name, operators and a way to make a condition."""

    def condition(how, value):
        if value not in ("gold", "silver"):
            raise ValueError("must be gold or silver")
        return Condition(
            holds=lambda facts: facts.participant.endswith(value),
            says=f"by {value} partners",
            public="by certain partners",
            seen=lambda facts: facts.participant,
            refusal=lambda facts, redacted: f"Only {value} partners may.",
            changes=lambda facts: (),
        )

    known = {**OPERANDS, "partner": Operand("partner level", ("eq",), condition)}
    gold = compile_policy(policy(UNKNOWN), known=known)
    assert gold.decide(Facts(NOW, "urn:gold")).permitted
    assert gold.decide(Facts(NOW, "urn:lead")).reasons[0].sentence() == "Only gold partners may."
    bad = compile_policy(policy(UNKNOWN | {"rightOperand": "tin"}), known=known)
    assert bad.problems[0].sentence() == "partner level: must be gold or silver."


def test_a_credential_is_asked_for_and_named():
    """A policy says which credentials it needs; who has presented none is told which one, and by whom."""
    compiled = compile_policy(policy(credential("MembershipCredential")))
    assert compiled.credentials == {"MembershipCredential"}
    unasked = Facts(NOW, ME, NOW)
    assert compiled.possible(unasked)
    assert codes(compiled.decide(unasked)) == ["fact-missing"]
    issuers = {"MembershipCredential": ("did:web:authority.example",)}
    without = unasked._replace(claims=Claims({"MembershipCredential": ()}, issuers))
    (reason,) = compiled.decide(without).reasons
    assert not compiled.possible(without)
    assert reason.sentence(redacted=True) == (
        "The permission needs a MembershipCredential; did:web:me.example has presented none that is valid "
        "now: get one from did:web:authority.example, and present it."
    )
    claim = Claim("MembershipCredential", "did:web:authority.example", {}, NOW + 60)
    having = unasked._replace(claims=Claims({"MembershipCredential": (claim,)}))
    assert compiled.decide(having).permitted
    assert compiled.next_change(having) == NOW + 60


def test_policies_with_the_same_rules_share_one_compilation():
    """An offer and the agreement made of it are compiled once; another action is another decision."""
    offered = policy(FUTURE)
    agreed = agreement(
        offered, id_="urn:a", target="t", assigner="p", assignee="c", timestamp="2026-11-23T04:00:00Z"
    )
    assert compiled_for(agreed) is compiled_for(offered)
    assert compiled_for(policy(PAST)) is not compiled_for(offered)
    assert compiled_for(offered, "read") is not compiled_for(offered)
