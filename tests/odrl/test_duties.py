"""Duties: read from constraints, due at a moment, and what a decision makes of how they stand."""

import json

import pytest

from connector.odrl import duties
from connector.odrl.compile import compile_policy
from connector.odrl.facts import FULFILLED, Facts, Performance
from connector.odrl.model import Rule, parse, to_document
from connector.odrl.vocabulary import ANODE, Enforcement

DAY = 86_400.0
LOG = ANODE + "log"


def term(left, how, right):
    return {"leftOperand": f"odrl:{left}", "operator": how, "rightOperand": right}


def owed(action, *terms, **more):
    return {"action": action, "constraint": list(terms), **more}


def read(duty):
    return duties.read(parse({"@type": "Set", "obligation": [duty]}).obligation[0])


def decide(facts, permission_duty=None, obligation=None, mode="strict"):
    rules = {"permission": [{"action": "use"} | ({"duty": [permission_duty]} if permission_duty else {})]}
    rules |= {"obligation": [obligation]} if obligation else {}
    compiled = compile_policy(parse({"@type": "Set", **rules}), duties=mode)
    assert compiled.problems == ()
    return compiled.decide(facts)


def test_a_duty_is_read_from_its_constraints():
    """Deadline, event, last day and recipients are constraints of the duty; it is said in a sentence."""
    duty = read(
        owed(
            "odrl:delete",
            term("delayPeriod", "lteq", "P7D"),
            {"and": [term("event", "eq", "anode:agreement-end"), term("recipient", "eq", "did:web:p")]},
            term("dateTime", "lt", "2027-01-01T00:00:00Z"),
        )
    )
    assert (duty.action, duty.event, duty.recipients) == ("delete", "agreement-end", ("did:web:p",))
    assert duty.enforcement is Enforcement.TRACKED
    assert duty.says() == (
        "delete with did:web:p as recipient within 7 days of the agreement's end by 1 January 2027 00:00 UTC"
    )
    assert duty.due(None) == duty.until
    assert duty.due(0.0) == 7 * DAY
    assert duty.has_deadline()
    assert not read(owed("inform", term("event", "eq", "first-use"))).has_deadline()


@pytest.mark.parametrize(
    "duty",
    [
        owed("play"),
        owed("invent"),
        owed("use"),
        owed("delete", term("count", "eq", "1")),
        owed("delete", term("delayPeriod", "gteq", "P7D")),
        owed("delete", term("delayPeriod", "lteq", "soon")),
        owed("delete", term("event", "eq", "the end of days")),
        owed("delete", {"or": [term("delayPeriod", "lteq", "P7D")]}),
        owed("delete", {"and": []}),
        owed("delete", term("delayPeriod", "lteq", "P7D"), term("delayPeriod", "lteq", "P9D")),
        owed("inform", term("recipient", "eq", "did:web:a"), term("recipient", "eq", "did:web:b")),
        owed("delete", term("delayPeriod", "lteq", "P7D") | {"unit": "x"}),
        owed("delete", inheritFrom="x"),
        owed("delete", assignee="did:web:another"),
        owed("delete", consequence=[owed("play")]),
        {"action": {"@id": "odrl:compensate", "refinement": [term("payAmount", "eq", "5")]}},
    ],
)
def test_a_duty_that_cannot_be_tracked_denies(duty):
    """What is not known to be done, by when or by whom makes the whole policy a no, with the reason."""
    compiled = compile_policy(
        parse({"@type": "Set", "permission": [{"action": "use"}], "obligation": [duty]})
    )
    assert [p.code for p in compiled.problems] == ["duty-not-tracked"]
    assert not compiled.decide(Facts(0.0, "x", 0.0)).permitted


def test_a_duty_comes_first_unless_it_has_time():
    """Strict: a permission's duty must be done, or have time left; when that is over it is violated."""
    for state, permitted in (("fulfilled", True), ("pending", False), ("violated", False)):
        facts = Facts(0.0, "x", 0.0, duties={"permission[0].duty[0]": Performance(state)})
        decision = decide(facts, owed("inform"))
        assert decision.permitted is permitted
    assert not decide(Facts(0.0, "x", 0.0), owed("inform")).permitted
    timed = owed("inform", term("delayPeriod", "lteq", "P7D"))
    pending = {"permission[0].duty[0]": Performance("pending")}
    for now, permitted in ((0.0, True), (7 * DAY - 1, True), (7 * DAY, False)):
        assert decide(Facts(now, "x", 0.0, duties=pending), timed).permitted is permitted
    (reason,) = decide(Facts(8 * DAY, "x", 0.0, duties=pending), timed).reasons
    assert (reason.code, reason.seen) == ("duty-violated", "violated")


def test_lenient_is_anything_but_violated():
    """The other rule, of the ODRL test suite: a duty counts unless it was violated."""
    for state, permitted in (("fulfilled", True), ("pending", True), ("violated", False)):
        facts = Facts(0.0, "x", duties={"permission[0].duty[0]": Performance(state)})
        assert decide(facts, owed("compensate"), mode="lenient").permitted is permitted
    assert decide(Facts(0.0, "x"), owed("compensate"), mode="lenient").permitted


def test_an_obligation_denies_once_it_is_violated():
    """What is owed later stands in nobody's way until its time is over, by its own terms or as is stated."""
    last = owed("delete", term("dateTime", "lt", "1970-01-08T00:00:00Z"))
    compiled = compile_policy(
        parse({"@type": "Set", "permission": [{"action": "use"}], "obligation": [last]})
    )
    assert decide(Facts(0.0, "x"), obligation=last).permitted
    assert not decide(Facts(7 * DAY, "x"), obligation=last).permitted
    assert compiled.next_change(Facts(0.0, "x")) == 7 * DAY
    done = Facts(8 * DAY, "x", duties={"obligation[0]": FULFILLED})
    assert decide(done, obligation=last).permitted
    ending = owed("delete", term("delayPeriod", "lteq", "P7D"), term("event", "eq", "agreement-end"))
    assert decide(Facts(1e9, "x", 0.0), obligation=ending).permitted
    stated = {"obligation[0]": Performance("pending", due=5.0)}
    assert decide(Facts(4.0, "x", 0.0, duties=stated), obligation=ending).permitted
    assert not decide(Facts(5.0, "x", 0.0, duties=stated), obligation=ending).permitted


def test_what_this_node_does_itself_it_must_have_done():
    """To log is done with each request by the node: it says so by the action's name, or the answer is no."""
    for args in ({"permission_duty": owed(LOG)}, {"obligation": owed("anode:log")}):
        assert decide(Facts(0.0, "x", duties={LOG: FULFILLED}), **args).permitted
        (reason,) = decide(Facts(0.0, "x"), **args).reasons
        assert reason.code == "duty-unfulfilled"
        assert decide(Facts(0.0, "x", phase="negotiation"), **args).permitted


def test_what_is_only_agreed_to_do_is_named():
    """To attribute can't be checked: it permits, and comes with the yes as agreed."""
    decision = decide(Facts(0.0, "x"), owed("attribute"))
    assert [(t.path, t.enforcement.value) for t in decision.terms] == [("permission[0].duty[0]", "agreed")]


def test_consequences_and_remedies_are_data():
    """A duty's consequence and a prohibition's remedy are read, kept and written again."""
    document = {
        "@type": "Set",
        "permission": [
            {"action": "use", "duty": [{"action": "delete", "odrl:consequence": [{"action": "inform"}]}]}
        ],
        "prohibition": [{"action": "distribute", "odrl:remedy": [{"action": "delete"}]}],
        "obligation": [{"action": "inform", "odrl:consequence": [{"action": "compensate"}]}],
    }
    policy = parse(document)
    assert policy.permission[0].duty[0].consequence == (Rule("inform"),)
    assert policy.prohibition[0].remedy == (Rule("delete"),)
    assert to_document(policy) == document
    assert compile_policy(policy).problems == ()
    assert parse(json.loads(json.dumps(document).replace("odrl:", ""))) == policy
