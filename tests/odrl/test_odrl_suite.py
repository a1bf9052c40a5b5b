"""The ODRL test suite of SolidLab (imec): 68 policies, requests and states of the world, and what follows.

The suite's rule for duties is lenient (a duty counts unless it was violated), the specification's draft and
ours are strict. Expected are the activation of each rule and the satisfaction of its action, party, target
and constraints, which is the suite's own comparison. It is read where it lies; it is not ours to carry along.
"""

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest

from connector.odrl import moments, truth
from connector.odrl.compile import compile_policy
from connector.odrl.facts import Facts, Performance
from connector.odrl.model import parse
from connector.odrl.why import Finding, why

SUITE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "odrl-test-suite" / "data"
CASES = sorted((SUITE / "test_cases").glob("*.ttl"))
NOT_STRICT = {"testcase-059-nonset", "testcase-065-alice"}
"""What the suite permits although a duty is not done: "not violated", where the draft says fulfilled."""

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
ODRL = "http://www.w3.org/ns/odrl/2/"
REPORT = "https://w3id.org/force/compliance-report#"
EX = "http://example.org/"
NOW = "http://example.com/request/currentTime"

pytestmark = pytest.mark.skipif(not CASES, reason=f"the ODRL test suite is not at {SUITE}")


class Graph:
    """Turtle files, and the few questions that are asked of them."""

    def __init__(self, *paths: Path) -> None:
        self._store = ox.Store()
        for path in paths:
            self._store.load(path.read_bytes(), ox.RdfFormat.TURTLE)

    def values(self, subject: str, predicate: str) -> list[str]:
        quads = self._store.quads_for_pattern(ox.NamedNode(subject), ox.NamedNode(predicate), None)
        return sorted(quad.object.value for quad in quads)

    def value(self, subject: str, predicate: str) -> str | None:
        return next(iter(self.values(subject, predicate)), None)

    def typed(self, kind: str) -> list[str]:
        quads = self._store.quads_for_pattern(None, ox.NamedNode(f"{RDF}type"), ox.NamedNode(kind))
        return sorted(quad.subject.value for quad in quads)


@cache
def _file(folder: str, id_: str) -> Graph:
    """The file that describes something: names of constraints mean another thing in each."""
    return Graph(next(p for p in sorted((SUITE / folder).glob("*.ttl")) if f"<{id_}> a" in p.read_text()))


def _part(graph: Graph, id_: str, kind: str) -> Any:
    if kind not in graph.values(id_, f"{RDF}type"):
        return id_
    return {"@id": id_, "@type": kind, "source": graph.value(id_, f"{ODRL}source")}


def _constraint(graph: Graph, id_: str) -> dict[str, Any]:
    for connective in ("and", "or", "xone"):
        if parts := graph.values(id_, ODRL + connective):
            return {connective: [_constraint(graph, part) for part in parts]}
    names = ("leftOperand", "operator", "rightOperand")
    return {name: graph.value(id_, ODRL + name) for name in names}


def _rule(graph: Graph, id_: str, asked: str) -> dict[str, Any]:
    """A rule as JSON. One without an action is no ODRL; the suite means any, so it is the one asked for."""
    rule: dict[str, Any] = {"action": graph.value(id_, f"{ODRL}action") or asked}
    for name, kind in (("target", "AssetCollection"), ("assignee", "PartyCollection")):
        if (part := graph.value(id_, ODRL + name)) is not None:
            rule[name] = _part(graph, part, ODRL + kind)
    rule["constraint"] = [_constraint(graph, c) for c in graph.values(id_, f"{ODRL}constraint")]
    rule["duty"] = [_rule(graph, duty, asked) for duty in graph.values(id_, f"{ODRL}duty")]
    return rule


def _read(path: Path) -> tuple[dict[str, Any], Facts, Counter[str], Graph]:
    """A case: the policy, the facts, and what is expected, and the graph with the suite's own names."""
    case = Graph(path)
    (test,) = case.typed(f"{EX}TestCase")
    policy, request, state = (case.value(test, EX + name) for name in ("policy", "request", "sotw"))
    graph, wanted, sotw = _file("policies", policy), _file("requests", request), _file("sotw", state)
    rule = wanted.value(request, f"{ODRL}permission")
    asked, party, target = (wanted.value(rule, ODRL + n) for n in ("action", "assignee", "target"))
    kinds = ("permission", "prohibition")
    document = {"@type": "Set", "@id": policy} | {
        kind: [_rule(graph, id_, asked) for id_ in graph.values(policy, ODRL + kind)] for kind in kinds
    }
    facts = Facts(
        now=moments.instant(
            sotw.value("http://example.com/request/currentTime", "http://purl.org/dc/terms/issued")
        ),
        participant=party,
        target=target,
        action=asked.removeprefix(ODRL),
        groups=frozenset(sotw.values(party, f"{ODRL}partOf")),
        collections=frozenset(sotw.values(target, f"{ODRL}partOf")),
        duties=_duties(graph, sotw, policy, kinds),
    )
    return document, facts, _expected(case), graph


def _duties(graph: Graph, sotw: Graph, policy: str, kinds: tuple[str, ...]) -> dict[str, Performance]:
    states = {"Fulfilled": "fulfilled", "NonSet": "pending", "Violated": "violated"}
    told = {sotw.value(r, f"{REPORT}rule"): r for r in sotw.typed(f"{REPORT}DutyReport")}
    return {
        f"{kind}[{n}].duty[{m}]": Performance(
            states[sotw.value(told[duty], f"{REPORT}deonticState").removeprefix(REPORT)]
        )
        for kind in kinds
        for n, rule in enumerate(graph.values(policy, ODRL + kind))
        for m, duty in enumerate(graph.values(rule, f"{ODRL}duty"))
        if duty in told
    }


def _expected(case: Graph) -> Counter[str]:
    """What the expected report says: activations, and satisfactions by the kind of what is satisfied."""
    found: Counter[str] = Counter()
    for kind in ("Permission", "Prohibition"):
        for report in case.typed(f"{REPORT}{kind}Report"):
            found[f"{kind} {case.value(report, f'{REPORT}activationState').removeprefix(REPORT)}"] += 1
    for kind in ("Action", "Party", "Target", "Constraint"):
        for report in case.typed(f"{REPORT}{kind}Report"):
            found[f"{kind} {case.value(report, f'{REPORT}satisfactionState').removeprefix(REPORT)}"] += 1
    return found


def _found(finding: Finding, document: dict[str, Any], graph: Graph) -> Counter[str]:
    """What our tree says, in the report's words."""
    found: Counter[str] = Counter()
    for rule in finding.parts:
        kind = rule.path.split("[")[0].title()
        active = rule.truth is True
        found[f"{kind} {'Active' if active else 'Inactive'}"] += 1
        for part in _below(rule):
            name = part.path.removeprefix(rule.path).lstrip(".").split("[")[0]
            names = {"action": "Action", "assignee": "Party", "target": "Target", "constraint": "Constraint"}
            if name in names:
                found[f"{names[name]} {'Satisfied' if part.truth is True else 'Unsatisfied'}"] += 1
    if not any(graph.values(id_, f"{ODRL}action") for id_ in _rules(document, graph)):
        found = Counter({key: n for key, n in found.items() if not key.startswith("Action")})
    return found


def _rules(document: dict[str, Any], graph: Graph) -> list[str]:
    return [
        id_ for kind in ("permission", "prohibition") for id_ in graph.values(document["@id"], ODRL + kind)
    ]


def _below(finding: Finding) -> list[Finding]:
    return [part for inner in finding.parts for part in (inner, *_below(inner))]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_each_case_is_as_the_suite_expects(path: Path) -> None:
    """Under the suite's own rule for duties each rule is active, and each part satisfied, as it expects."""
    document, facts, expected, graph = _read(path)
    policy = compile_policy(parse(document), facts.action, duties="lenient")
    assert policy.problems == ()
    assert _found(why(policy, facts), document, graph) == expected
    active = expected["Permission Active"] > 0 and not expected["Prohibition Active"]
    assert policy.decide(facts).permitted is active


def test_strict_duties_differ_in_two_named_cases() -> None:
    """Where a duty must be done first, 66 of the 68 are as expected: all but two, whose duty is not done."""
    differ = set()
    for path in CASES:
        document, facts, expected, graph = _read(path)
        policy = compile_policy(parse(document), facts.action)
        if _found(why(policy, facts), document, graph) != expected:
            differ.add(path.stem)
            assert [r.code for r in policy.decide(facts).reasons] == ["duty-unfulfilled"]
    assert (len(CASES), differ) == (68, NOT_STRICT)


def test_the_unfulfilled_duty_is_what_stops_them() -> None:
    """In those two cases everything but the duty holds: nothing else hides behind the difference."""
    for path in CASES:
        if path.stem in NOT_STRICT:
            document, facts, _, _ = _read(path)
            (rule,) = why(compile_policy(parse(document), facts.action), facts).parts
            assert [part.path for part in rule.parts if truth.denied(part.truth)] == ["permission[0].duty[0]"]
