"""A second evaluator, written from the rules in words: it walks the document each time, and shares no code.

Truths are "yes", "no", "missing", "later" and, for what can't be evaluated, "unknown". It is slow and says
nothing; `test_equivalence.py` holds the compiled one against it.
"""

import operator
from datetime import datetime
from typing import Any

ODRL = "http://www.w3.org/ns/odrl/2/"
CX = "https://w3id.org/catenax/2025/9/policy/"
ANODE = "https://w3id.org/anode/v1/"
COMPARE = {
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "eq": operator.eq,
    "neq": operator.ne,
}
TRACKED = ("delete", "inform", "compensate", "anonymize")
AGREED = ("attribute", "watermark")
OWN = (f"{ANODE}log",)
WIDER = {"read": "use", "distribute": "use", "display": "play", "play": "use", "sell": "transfer"}
WIDER |= dict.fromkeys((*TRACKED, *AGREED, *OWN), "use")
ACTIONS = {"use", "transfer", *WIDER}
PROMISES = {
    "Liability": ("permission", ["cx.grossNegligence:1", "cx.slightNegligence:1"]),
    "UsageRestriction": ("prohibition", ["cx.thirdParty.forbidden:1", "cx.manipulation.forbidden:1"]),
    "AffiliatesRegion": ("permission prohibition", ["cx.region.europe:1"]),
}


def seconds(span: str) -> int:
    """Of a duration in seconds, PT9S."""
    return int(span.removeprefix("PT").removesuffix("S"))


def instant(text: str) -> float:
    """Epoch seconds."""
    return datetime.fromisoformat(text).timestamp()


def truth(value: bool) -> str:
    """Of something that is known."""
    return "yes" if value else "no"


def untold(facts: Any) -> str:
    """What a request would have to say, and has not."""
    return "missing" if facts.phase == "request" else "later"


def all_of(values: list[str]) -> str:
    """Conjunction: the worst of them."""
    return next((bad for bad in ("no", "missing", "later") if bad in values), "yes")


def any_of(values: list[str]) -> str:
    """Disjunction: the best of them."""
    return next((good for good in ("yes", "later", "missing") if good in values), "no")


def valid(facts: Any, type_: str) -> list[Any]:
    """The claims of a type that have not run out."""
    return [claim for claim in facts.claims.held.get(type_, ()) if claim.until > facts.now]


def by_membership(facts: Any, types: list[str], found: list[Any]) -> str:
    """Yes if something was found; no if everything was asked for."""
    if found:
        return "yes"
    return "no" if all(t in facts.claims.held for t in types) else "missing"


def atom(constraint: dict[str, Any], facts: Any, kind: str) -> str:
    """One constraint."""
    left, how, right = constraint["leftOperand"], constraint["operator"], constraint["rightOperand"]
    values = right if isinstance(right, list) else [right]
    single = how not in ("eq", "neq") or len(set(values)) == 1
    if left in PROMISES:
        kinds, known = PROMISES[left]
        fits = kind in kinds and how in ("isAnyOf", "isAllOf", "eq") and single and values
        if not fits or not set(values) <= set(known):
            return "unknown"
        return "no" if kind == "prohibition" else "yes"
    if kind == "obligation" and left not in ("DataProvisioningEndDate", "DataProvisioningEndDurationDays"):
        return "unknown"
    if left == "odrl:dateTime" and how in COMPARE:
        return truth(COMPARE[how](facts.now, instant(right)))
    if left == "DataUsageEndDate" and how in ("eq", "lteq"):
        return truth(facts.now <= instant(right))
    if left == "elapsedTime" and how in ("lt", "lteq", "gt", "gteq"):
        if facts.agreed_at is None:
            return "missing"
        return truth(COMPARE[how](facts.now, facts.agreed_at + seconds(right)))
    if left == "odrl:delayPeriod" and how in ("gt", "gteq", "eq"):
        if facts.agreed_at is None:
            return "missing"
        gap = facts.now - facts.agreed_at
        return truth(gap > seconds(right) if how == "gt" else gap >= seconds(right))
    if left == "DataProvisioningEndDate" and how in ("eq", "lteq") and kind == "obligation":
        return truth(facts.now <= instant(right))
    if left == "DataProvisioningEndDurationDays" and how in ("eq", "lteq") and kind == "obligation":
        return (
            "missing" if facts.agreed_at is None else truth(facts.now <= facts.agreed_at + int(right) * 86400)
        )
    if left == "odrl:count" and how in COMPARE:
        return untold(facts) if facts.uses is None else truth(COMPARE[how](facts.uses + 1, int(right)))
    if left == "odrl:timeInterval" and how in ("gteq", "eq", "gt"):
        if facts.last_use is None:
            return untold(facts)
        gap = facts.now - facts.last_use
        return truth(gap > seconds(right) if how == "gt" else gap >= seconds(right))
    if (left == "odrl:purpose" and how in ("eq", "neq", "isAnyOf", "isNoneOf", "isA")) or (
        left == "UsagePurpose" and how in ("eq", "isAnyOf", "isAllOf")
    ):
        if not values or not (single if how != "isA" else len(set(values)) == 1):
            return "unknown"
        if facts.purpose is None:
            return untold(facts)
        return truth((facts.purpose in values) != (how in ("neq", "isNoneOf")))
    if left == f"{ANODE}participant" and how in ("eq", "neq", "isAnyOf", "isNoneOf"):
        if not values or not single:
            return "unknown"
        return truth((facts.participant in values) != (how in ("neq", "isNoneOf")))
    if left == "BusinessPartnerGroup" and how in ("eq", "neq", "isAnyOf", "isNoneOf"):
        if not values or not single:
            return "unknown"
        if facts.groups is None:
            return "missing"
        return truth(bool(facts.groups & set(values)) != (how in ("neq", "isNoneOf")))
    if left == f"{ANODE}credential" and how in ("eq", "isAnyOf", "isAllOf"):
        if not values or not single:
            return "unknown"
        each = [by_membership(facts, [t], valid(facts, t)) for t in values]
        return all_of(each) if how == "isAllOf" else any_of(each)
    if left == "Membership" and how in ("eq", "isAnyOf"):
        if values != ["active"]:
            return "unknown"
        return by_membership(facts, ["MembershipCredential"], valid(facts, "MembershipCredential"))
    if left == "FrameworkAgreement" and how in ("eq", "isAnyOf"):
        if len(values) != 1:
            return "unknown"
        name, version = values[0].split(":")
        type_ = f"{name}Credential"
        signed = [c for c in valid(facts, type_) if c.subject.get("contractVersion") == version]
        return by_membership(facts, [type_], signed)
    if left == "BusinessPartnerNumber" and how in ("eq", "neq", "isAnyOf", "isNoneOf"):
        if not values or not single:
            return "unknown"
        types = ["MembershipCredential", "BpnCredential"]
        claims = [c for t in types for c in valid(facts, t)]
        numbers = {c.subject.get(n) for c in claims for n in ("holderIdentifier", "bpn")} - {None}
        if numbers:
            return truth(bool(numbers & set(values)) != (how in ("neq", "isNoneOf")))
        if how in ("neq", "isNoneOf"):
            return "missing"
        return by_membership(facts, types, [])
    return "unknown"


def constraint(node: dict[str, Any], facts: Any, kind: str) -> str:
    """A constraint or a logical one."""
    if "leftOperand" in node:
        return atom(node, facts, kind)
    ((how, parts),) = node.items()
    values = [constraint(part, facts, kind) for part in parts]
    if how == "xone" and any(_unsure(part, facts, kind) for part in parts):
        return "unknown"
    if how == "or":
        values = [value for value in values if value != "unknown"]
    if not values or "unknown" in values:
        return "unknown"
    if how == "or":
        return any_of(values)
    if how != "xone":
        return all_of(values)
    if values.count("yes") > 1:
        return "no"
    return next((v for v in ("missing", "later") if v in values), truth("yes" in values))


def _unsure(node: dict[str, Any], facts: Any, kind: str) -> bool:
    """Whether something in it can't be evaluated, or can only be agreed."""
    return mentions_unknown(node, facts, kind) or _promises(node)


def _promises(node: dict[str, Any]) -> bool:
    if "leftOperand" in node:
        return node["leftOperand"] in PROMISES
    return any(_promises(part) for parts in node.values() for part in parts)


def mentions_unknown(node: dict[str, Any], facts: Any, kind: str) -> bool:
    """Whether something in it can't be evaluated."""
    if constraint(node, facts, kind) == "unknown":
        return True
    return "leftOperand" not in node and any(
        mentions_unknown(part, facts, kind) for parts in node.values() for part in parts
    )


def covers(broad: str, action: str | None) -> bool:
    """Whether an action is the other, or a part of it."""
    return action is not None and (broad == action or covers(broad, WIDER.get(action)))


def part(value: Any, one: str | None, many: frozenset[str] | None) -> str:
    """Whether a rule's party or asset is this one."""
    if isinstance(value, str):
        return "missing" if one is None else truth(value == one)
    if value["@id"] == one:
        return "yes"
    if one is None or many is None:
        return "missing"
    return truth(bool({value["@id"], value["source"]} & many))


def conditions(rule: dict[str, Any], facts: Any, kind: str) -> list[str]:
    """The truths of all that a rule asks."""
    values = [constraint(c, facts, kind) for c in rule.get("constraint", [])]
    if "target" in rule:
        values.append(part(rule["target"], facts.target, facts.collections))
    if "assignee" in rule:
        values.append(part(rule["assignee"], facts.participant, facts.groups))
    return values


def deadline(duty: dict[str, Any], facts: Any) -> tuple[bool, float]:
    """Whether a duty has a deadline, and when that is, as far as its own terms tell."""
    due, has, event = float("inf"), False, "agreement"
    for term in duty.get("constraint", []):
        if term["leftOperand"] == "odrl:event":
            event = term["rightOperand"]
    for term in duty.get("constraint", []):
        if term["leftOperand"] == "odrl:delayPeriod":
            has = True
            if event == "agreement" and facts.agreed_at is not None:
                due = min(due, facts.agreed_at + seconds(term["rightOperand"]))
        if term["leftOperand"] == "odrl:dateTime":
            has, due = True, min(due, instant(term["rightOperand"]))
    return has, due


def trackable(duty: dict[str, Any]) -> bool:
    """Whether it is known how to keep track of a duty."""
    terms = [(t.get("leftOperand"), t.get("operator")) for t in duty.get("constraint", [])]
    known = (("odrl:delayPeriod", "lteq"), ("odrl:dateTime", "lt"), ("odrl:event", "eq"))
    return duty["action"] in (*TRACKED, *AGREED, *OWN) and all(term in known for term in terms)


def duty(node: dict[str, Any], path: str, facts: Any, first: bool) -> str:
    """Whether a duty lets the answer be yes."""
    if node["action"] in AGREED:
        return "yes"
    has, due = deadline(node, facts)
    found = facts.duties.get(path) or facts.duties.get(node["action"])
    if found is None:
        if first or node["action"] in OWN:
            return untold(facts)
        return truth(facts.now < due)
    if found.state == "fulfilled":
        return "yes"
    if found.state == "violated" or facts.now >= min(found.due, due):
        return "no"
    if first or node["action"] in OWN:
        return "yes" if has or found.due < float("inf") else "missing"
    return "yes"


def decision(document: dict[str, Any], facts: Any) -> bool:
    """Whether the policy allows what is asked for."""
    prohibitions = document.get("prohibition", [])
    obligations = document.get("obligation", [])
    permissions = document.get("permission", [])
    if not permissions and not prohibitions:
        return False
    for rule in prohibitions:
        if rule["action"] not in ACTIONS:
            return False
        if any(mentions_unknown(c, facts, "prohibition") for c in rule.get("constraint", [])):
            return False
    for n, rule in enumerate(obligations):
        if covers(rule["action"], facts.action) and rule["action"] in ("use", "transfer", "read", "play"):
            if not rule.get("constraint"):
                return False
            if any(mentions_unknown(c, facts, "obligation") for c in rule["constraint"]):
                return False
            if all_of(conditions(rule, facts, "obligation")) in ("no", "missing"):
                return False
        elif not trackable(rule) or duty(rule, f"obligation[{n}]", facts, first=False) in ("no", "missing"):
            return False
    if document.get("odrl:conflict") != {"@id": "odrl:perm"}:
        for rule in prohibitions:
            forbids = all_of(conditions(rule, facts, "prohibition"))
            if covers(rule["action"], facts.action) and forbids in ("yes", "missing"):
                return False
    for n, rule in enumerate(permissions):
        if rule["action"] not in ACTIONS or not covers(rule["action"], facts.action):
            continue
        values = conditions(rule, facts, "permission")
        duties = rule.get("duty", [])
        if "unknown" in values or not all(map(trackable, duties)):
            continue
        path = f"permission[{n}].duty"
        values += [duty(d, f"{path}[{m}]", facts, first=True) for m, d in enumerate(duties)]
        if all_of(values) in ("yes", "later"):
            return True
    return False
