"""Random policies: the compiled one decides as the rules in words do, at every moment, in every notation."""

import copy
import random

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.odrl import model, truth
from connector.odrl.compile import compile_policy
from connector.odrl.decision import CODES
from connector.odrl.model import parse, to_document
from connector.odrl.vocabulary import CX, iri
from connector.odrl.why import lines, why
from tests.odrl import naive
from tests.odrl.policies import documents, facts


@settings(max_examples=600)
@given(documents, facts)
def test_compiled_and_naive_evaluation_agree(document, facts):
    """The compiled policy decides as the second evaluator does, and a no always has reasons with codes."""
    decision = compile_policy(parse(document), facts.action).decide(facts)
    assert decision.permitted is naive.decision(document, facts)
    assert bool(decision.reasons) is not decision.permitted
    assert {reason.code for reason in decision.reasons} <= CODES.keys()
    assert all(reason.sentence(redacted=True).endswith(".") for reason in decision.reasons)


@settings(max_examples=200)
@given(documents, facts)
def test_between_now_and_the_next_change_nothing_changes(document, facts):
    """Up to the next change the answer stays, at the next change it is another, and never again if none."""
    compiled = compile_policy(parse(document), facts.action)
    change = compiled.next_change(facts)
    now = compiled.decide(facts).permitted
    for later in (facts.now + step / 4 for step in range(80)):
        if change is None or later < change:
            assert compiled.decide(facts._replace(now=later)).permitted is now
    if change is not None:
        assert change > facts.now
        assert compiled.decide(facts._replace(now=change)).permitted is not now


@settings(max_examples=200)
@given(documents, facts)
def test_it_ends_when_nothing_can_help_any_more(document, facts):
    """Up to its end the answer may be yes once facts are known, and at its end it can not be any more."""
    compiled = compile_policy(parse(document), facts.action)
    end = compiled.turn(facts) if compiled.possible(facts) else facts.now
    for later in (facts.now + step / 4 for step in range(80)):
        if end is None or later < end:
            assert compiled.possible(facts._replace(now=later))
    if end is not None:
        assert not compiled.possible(facts._replace(now=end))


@settings(max_examples=200)
@given(documents, facts)
def test_what_is_impossible_stays_a_no(document, facts):
    """What is permitted is possible; what is not possible is refused whatever fact is added."""
    compiled = compile_policy(parse(document), facts.action)
    if compiled.decide(facts).permitted:
        assert compiled.possible(facts)
    if not compiled.possible(facts):
        more = {"agreed_at": 0.0, "purpose": "p", "uses": 0, "last_use": float("-inf"), "target": "t"} | {
            "groups": frozenset("g"),
            "collections": frozenset("g"),
        }
        known = facts._replace(
            **{name: value for name, value in more.items() if getattr(facts, name) is None}
        )
        assert not compiled.decide(known).permitted


def _other_notation(value, seed):
    """The same document as another connector would write it: full names, prefixes, typed values."""
    rng = random.Random(seed)
    if isinstance(value, list):
        return [_other_notation(item, seed + n) for n, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    result = {key: _other_notation(item, seed + 1) for key, item in value.items()}
    if "leftOperand" in result:
        full = iri(result["leftOperand"])
        spellings = [full, full.replace(model.ODRL, "odrl:"), full.replace(CX, "cx-policy:")]
        result["leftOperand"] = rng.choice(spellings)
        result["operator"] = rng.choice([result["operator"], f"odrl:{result['operator']}"])
        right = result["rightOperand"]
        if isinstance(right, str):
            result["rightOperand"] = rng.choice([[right], {"@value": right, "@type": "xsd:string"}, right])
    if isinstance(result.get("action"), str):
        name = result["action"]
        result["action"] = name if ":" in name else rng.choice([name, f"odrl:{name}", model.ODRL + name])
    return result


@settings(max_examples=200)
@given(documents, facts, st.integers(0, 1000))
def test_no_round_trip_changes_a_decision(document, facts, seed):
    """Written and read again, made an agreement, or in another notation, a policy decides the same."""
    policy = parse(document)
    wanted = compile_policy(policy, facts.action).decide(facts).permitted
    agreed = model.agreement(
        policy, id_="urn:a", target="urn:t", assigner="p", assignee="c", timestamp="2026-11-23T04:00:00Z"
    )
    others = [
        parse(orjson.loads(orjson.dumps(to_document(policy)))),
        parse(to_document(agreed)),
        parse(_other_notation(copy.deepcopy(document), seed)),
    ]
    for other in others:
        assert compile_policy(other, facts.action).decide(facts).permitted is wanted


@settings(max_examples=200)
@given(documents, facts)
def test_the_tree_says_what_was_decided(document, facts):
    """The tree for people has the verdict, and for a refusal by rules something in it that stops."""
    compiled = compile_policy(parse(document), facts.action)
    found = why(compiled, facts)
    assert found.truth is compiled.decide(facts).permitted
    assert orjson.dumps(found.document())
    assert len(list(lines(found))) >= 1 + sum(1 for _ in _all(found)) - 1
    for rule in found.parts:
        if (
            rule.path.startswith("permission")
            and found.truth is True
            and compiled.decide(facts).rule == rule.path
        ):
            assert not truth.denied(rule.truth)


def _all(finding):
    yield finding
    for part in finding.parts:
        yield from _all(part)
