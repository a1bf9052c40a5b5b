"""Policies: CPU of a decision, of a refusal with its reasons, of a compilation; and what other engines take.

The policy is the same in three languages: member, framework agreement, one of two purposes, one of two
partner numbers, 30 days from the agreement on. Ours is measured with the facts built each time; the others
with what they take in as their callers have it, parsed beforehand where they can keep it.
"""

import time
from collections.abc import Callable
from typing import Any

import orjson

from connector.odrl.compile import compile_policy
from connector.odrl.facts import Claim, Claims, Facts
from connector.odrl.model import parse

Verdict = Callable[..., None]
ME = "did:web:consumer.example"
NUMBERS = ("BPNL000000000001", "BPNL000000000002")
PURPOSES = ("cx.circular.dpp:1", "cx.pcf.base:1")
MONTH = 30 * 86_400.0
FIVE: dict[str, Any] = {
    "@type": "Set",
    "permission": [
        {
            "action": "use",
            "constraint": [
                {"leftOperand": "Membership", "operator": "eq", "rightOperand": "active"},
                {
                    "leftOperand": "FrameworkAgreement",
                    "operator": "eq",
                    "rightOperand": "DataExchangeGovernance:1.0",
                },
                {"leftOperand": "UsagePurpose", "operator": "isAnyOf", "rightOperand": list(PURPOSES)},
                {
                    "leftOperand": "BusinessPartnerNumber",
                    "operator": "isAnyOf",
                    "rightOperand": list(NUMBERS),
                },
                {"leftOperand": "odrl:elapsedTime", "operator": "lteq", "rightOperand": "P30D"},
            ],
        }
    ],
}
REGO = """
package policy
default allow := false
allow if {
    input.member == "active"
    input.framework == "DataExchangeGovernance:1.0"
    input.purpose in {"cx.circular.dpp:1", "cx.pcf.base:1"}
    input.number in {"BPNL000000000001", "BPNL000000000002"}
    input.now <= input.agreed + 2592000
}
"""
CEDAR = """
permit(principal, action == Action::"use", resource) when {
    context.member == "active" &&
    context.framework == "DataExchangeGovernance:1.0" &&
    ["cx.circular.dpp:1", "cx.pcf.base:1"].contains(context.purpose) &&
    ["BPNL000000000001", "BPNL000000000002"].contains(context.number) &&
    context.now <= context.agreed + 2592000
};
"""
_SUBJECTS = {
    "MembershipCredential": {"holderIdentifier": NUMBERS[0]},
    "DataExchangeGovernanceCredential": {"contractVersion": "1.0"},
}
CLAIMS = Claims({t: (Claim(t, "did:web:issuer.example", subject),) for t, subject in _SUBJECTS.items()})


def windows(number: int) -> dict[str, Any]:
    """A permission for office hours: so many windows of time, any of them."""
    spans = [
        {
            "and": [
                {"leftOperand": "odrl:dateTime", "operator": "gt", "rightOperand": f"{year}-01-01T09:00:00Z"},
                {"leftOperand": "odrl:dateTime", "operator": "lt", "rightOperand": f"{year}-07-01T17:00:00Z"},
            ]
        }
        for year in range(2000, 2000 + number)
    ]
    return {"@type": "Set", "permission": [{"action": "use", "constraint": [{"or": spans}]}]}


def measured(works: dict[str, tuple[int, Callable[[], Any]]], rounds: int = 7) -> dict[str, float]:
    """Best CPU microseconds of one run of each, sampled in turn; all run in this process and its thread."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, (number, run) in works.items():
            before = time.process_time()
            for _ in range(number):
                run()
            best[name] = min(best[name], (time.process_time() - before) / number * 1e6)
    for name, spent in best.items():
        print(f"    {name:<60} {spent:>9.2f} µs CPU", flush=True)
    return best


def facts(purpose: str = PURPOSES[0]) -> Facts:
    """A data request as it is decided about."""
    return Facts(100.0, ME, 0.0, claims=CLAIMS, purpose=purpose, uses=3)


def rego() -> Callable[[], bool] | None:
    """The same decision by regorus (Rust), or None where it is not installed."""
    try:
        import regorus
    except ImportError:
        return None
    engine = regorus.Engine()
    engine.add_policy("policy.rego", REGO)
    asked = _input()

    def decide() -> bool:
        engine.set_input_json(orjson.dumps(asked).decode())
        return bool(engine.eval_rule("data.policy.allow"))

    return decide


def cedar() -> Callable[[], bool] | None:
    """The same decision by Cedar (Rust), with policies and entities parsed beforehand; None without it."""
    try:
        import cedarpy
    except ImportError:
        return None
    policies, entities = cedarpy.PolicySet.from_str(CEDAR), cedarpy.Entities.from_json_str("[]")
    request = {"principal": f'User::"{ME}"', "action": 'Action::"use"', "resource": 'Data::"x"'}
    asked = _input()

    def decide() -> bool:
        answer = cedarpy.is_authorized({**request, "context": asked}, policies, entities)
        return bool(answer.decision is cedarpy.Decision.Allow)

    return decide


def _input() -> dict[str, Any]:
    return {
        "member": "active",
        "framework": "DataExchangeGovernance:1.0",
        "purpose": PURPOSES[0],
        "number": NUMBERS[0],
        "now": 100,
        "agreed": 0,
    }


def compare(verdict: Verdict) -> None:
    """Run and print."""
    policy, many = parse(FIVE), compile_policy(parse(windows(262)))
    five = compile_policy(policy)
    inside = Facts(1_900_000_000.0, ME)
    refused = facts("another")
    nothing = Claims(dict.fromkeys(_SUBJECTS, ()))
    hopeless = Facts(40 * 86_400.0, ME, 0.0, claims=nothing, purpose="another", uses=3)
    if not (five.decide(facts()).permitted and many.decide(inside).permitted):
        raise RuntimeError("the policies of this benchmark do not permit what they are measured by")
    if len(five.decide(refused).reasons) != 1:
        raise RuntimeError("the refusal of this benchmark has no reason")
    if len(five.decide(hopeless).reasons) != 5:
        raise RuntimeError("the other refusal of this benchmark has not all reasons")
    works: dict[str, tuple[int, Callable[[], Any]]] = {
        "decision, with its facts built": (20_000, lambda: five.decide(facts())),
        "refusal, with its reason": (5_000, lambda: five.decide(refused)),
        "refusal, all five failing": (5_000, lambda: five.decide(hopeless)),
        "compilation": (500, lambda: compile_policy(policy)),
        "decision, 262 windows of time in one `or`": (20_000, lambda: many.decide(inside)),
        "next change, five constraints": (2_000, lambda: five.next_change(facts())),
    }
    rivals = {"regorus": rego(), "Cedar": cedar()}
    for name, decide in rivals.items():
        if decide is None:
            print(f"    {name} is not installed: pip install .[rivals]", flush=True)
        elif not decide():
            raise RuntimeError(f"{name} does not permit what it is measured by")
        else:
            works[f"the same decision by {name}"] = (500, decide)
    found = measured(works)
    ours = found["decision, with its facts built"]
    verdict("decision with its facts built", ours, 5, False, " µs CPU")
    verdict("refusal with its reason", found["refusal, with its reason"], 20, False, " µs CPU")
    verdict("refusal, all five failing", found["refusal, all five failing"], 20, False, " µs CPU")
    verdict("compilation", found["compilation"], 200, False, " µs CPU")
    verdict("262 windows", found["decision, 262 windows of time in one `or`"], 2, False, " µs CPU")
    for name, decide in rivals.items():
        if decide is not None:
            ratio = found[f"the same decision by {name}"] / ours
            verdict(f"{name} takes, in decisions of ours", ratio, 1, True)
