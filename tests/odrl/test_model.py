"""Policies: read strictly, written validly, and equal exactly when they say the same."""

import copy
import json
import random
from dataclasses import replace
from pathlib import Path

import jsonschema
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.errors import RemoteProtocolError
from connector.odrl import model
from connector.odrl.canonical import canonical, digest
from connector.odrl.model import Literally, Policy, Reference, Rule, parse, to_document

SHARED = Path(__file__).resolve().parents[3] / "shared"
SCHEMA = SHARED / "reference" / "dsp" / "negotiation" / "contract-schema.json"
EXAMPLES = sorted(SCHEMA.parent.glob("example/*.json"))
WIRE = sorted((SHARED / "conformance" / "edc" / "wire").glob("dsp-*.json"))

UNTIL = {"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": "2027-12-31T12:00:00Z"}
PARTNER = {"leftOperand": "https://w3id.org/anode/v1/participant", "operator": "isAnyOf"}
PARTNER |= {"rightOperand": ["did:web:b.example", "did:web:a.example"]}
FOR = {"leftOperand": "odrl:elapsedTime", "operator": "lteq", "rightOperand": "P90D"}
OFFER = {
    "@id": "urn:uuid:1",
    "@type": "Offer",
    "permission": [
        {"action": "use", "constraint": [UNTIL, {"or": [PARTNER, FOR]}]},
        {"action": "use", "constraint": [{"andSequence": [UNTIL, FOR]}], "duty": [{"action": "delete"}]},
    ],
    "prohibition": [{"action": "use", "constraint": [{"xone": [UNTIL, {"and": [FOR, PARTNER]}]}]}],
    "obligation": [{"action": "inform"}],
}

constraints = st.recursive(
    st.fixed_dictionaries(
        {
            "leftOperand": st.sampled_from(
                ["odrl:dateTime", "elapsedTime", "partner", "edc:x", "inForceDate"]
            ),
            "operator": st.sampled_from(model.OPERATORS),
            "rightOperand": st.one_of(
                st.sampled_from(["2027-12-31T12:00:00Z", "P90D", "gold", ""]),
                st.lists(st.sampled_from(["a", "b", "c"]), max_size=3),
                st.builds(lambda v: {"@value": v, "@type": "xsd:string"}, st.text(max_size=3)),
                st.builds(lambda v: {"@id": f"urn:{v}"}, st.sampled_from("ab")),
            ),
        }
    ),
    lambda inner: st.builds(
        lambda name, parts: {name: parts},
        st.sampled_from(["and", "or", "xone", "andSequence"]),
        st.lists(inner, max_size=3),
    ),
    max_leaves=5,
)
rules = st.fixed_dictionaries(
    {"action": st.sampled_from(["use", "odrl:use", "read"])},
    optional={"constraint": st.lists(constraints, max_size=3), "duty": st.just([{"action": "delete"}])},
)
documents = st.fixed_dictionaries(
    {"@type": st.just("Offer"), "@id": st.just("urn:uuid:1"), "permission": st.lists(rules, max_size=3)},
    optional={
        "prohibition": st.lists(rules, max_size=2),
        "obligation": st.lists(rules, max_size=1),
        "profile": st.just("https://example.org/p"),
        "edc:x": st.just(1),
        "odrl:conflict": st.just({"@id": "odrl:prohibit"}),
    },
)


def test_a_document_is_read_and_written_again():
    """What is read is written as it came, and reads back to the same value."""
    policy = parse(OFFER)
    assert to_document(policy) == OFFER
    assert parse(to_document(policy)) == policy
    assert policy.permission[0].constraint[0].right_operand == "2027-12-31T12:00:00Z"


@settings(max_examples=150)
@given(documents)
def test_any_policy_survives_writing(document):
    """Reading what was written gives the policy again, for every policy."""
    policy = parse(document)
    assert parse(to_document(policy)) == policy


@pytest.mark.skipif(not SCHEMA.exists(), reason="the published schemas are not on this machine")
@settings(max_examples=100)
@given(documents)
def test_what_is_written_fits_the_published_schema(document):
    """Whatever is read, what we write of it is valid by the protocol's own schema."""
    policy = parse(document)
    if policy.permission or policy.prohibition:
        definitions = json.loads(SCHEMA.read_bytes())["definitions"]
        jsonschema.validate(to_document(policy), {"$ref": "#/definitions/Offer", "definitions": definitions})


@pytest.mark.skipif(not EXAMPLES, reason="the published examples are not on this machine")
def test_published_policies_are_read():
    """The policies in the specification's examples read, and write as they are."""
    found = 0
    for path in EXAMPLES:
        message = json.loads(path.read_bytes())
        for member, kind in (("offer", "Offer"), ("agreement", "Agreement")):
            if member in message:
                found += 1
                assert to_document(parse(message[member], kind)) == message[member]
    assert found


@pytest.mark.skipif(not WIRE, reason="the captured messages are not on this machine")
@pytest.mark.parametrize("path", WIRE, ids=lambda path: path.stem)
def test_offer_request_and_agreement_of_eclipse_are_one(path):
    """The offer in EDC's catalog, the one its consumer sends back and the agreement have one digest."""
    messages = [m for m in json.loads(path.read_bytes())["messages"] if m.get("body") or m.get("answer")]
    offered = messages[0]["answer"]["dataset"][0]["hasPolicy"][0]
    echoed = next(m["body"]["offer"] for m in messages if "offer" in m.get("body", {}))
    agreed = next(m["body"]["agreement"] for m in messages if "agreement" in m.get("body", {}))
    assert echoed.keys() > offered.keys()
    assert len({digest(parse(p)) for p in (offered, echoed, agreed)}) == 1


def test_silence_is_tolerated():
    """Empty arrays, nulls and members of other vocabularies say nothing."""
    plain = parse({"@id": "x", "@type": "Offer", "permission": [{"action": "use"}]})
    noisy = {
        "@context": ["https://w3id.org/edc/dspace/v0.0.1"],
        "@id": "x",
        "@type": "Offer",
        "edc:name": {"any": ["thing"]},
        "permission": [{"action": "use", "constraint": [], "duty": [], "edc:x": 1}],
        "prohibition": [],
        "obligation": None,
        "profile": [],
    }
    assert parse(noisy) == plain
    assert "prohibition" not in to_document(parse(noisy))


def test_what_we_do_not_evaluate_is_kept():
    """A refinement or a foreign target changes what a rule means: it is kept, and makes it another."""
    base = {"@id": "x", "@type": "Offer", "target": "t", "permission": [{"action": "use"}]}
    for rule in (
        {"action": "use", "refinement": [FOR]},
        {"action": "use", "odrl:refinement": [FOR]},
        {"action": "use", "target": {"@id": "another", "odrl:hasPart": "x"}},
        {"action": "use", "constraint": [UNTIL | {"unit": "x"}]},
    ):
        policy = parse({**base, "permission": [rule]})
        assert policy.permission[0].unread or policy.permission[0].constraint[0].unread
        assert to_document(policy)["permission"] == [rule]
        assert digest(policy) != digest(parse(base))
    again = {**base, "odrl:permission": [{"action": "use"}]}
    assert parse(again).unread, "a member spelt twice must not be half read"
    assert parse({**base, "permission": [{"action": "use", "target": "t"}]}) == parse(base)


def test_the_kinds_are_made_of_one_set_of_rules():
    """A Set becomes an Offer, and an Agreement with its parties; the rules stay the same."""
    rules_only = Policy("Set", "open", permission=(Rule("use"),))
    offered = model.offer(rules_only, "urn:uuid:1")
    assert to_document(offered) == {"@type": "Offer", "@id": "urn:uuid:1", "permission": [{"action": "use"}]}
    agreed = model.agreement(
        offered, id_="urn:uuid:2", target="t", assigner="a", assignee="b", timestamp="2026-11-23T04:00:00Z"
    )
    assert parse(to_document(agreed), "Agreement") == agreed
    assert digest(agreed) == digest(offered) == digest(rules_only)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"@type": "Request"}, "@type: must be Offer or Agreement or Set"),
        ({"@type": None}, "@type"),
        ({"@id": 7}, "@id: must be there, as text"),
        ({"target": ["a", "b"]}, "target"),
        ({"permission": "use"}, r"permission\[0\]: must be a JSON object"),
        ({"permission": [{}]}, r"permission\[0\]\.action: must be there"),
        ({"permission": [{"action": "use"}] * 101}, "at most 100"),
        (
            {"permission": [{"action": "use", "constraint": [{}]}]},
            r"permission\[0\]\.constraint\[0\]: must have",
        ),
        ({"permission": [{"action": "use", "constraint": [UNTIL | {"or": []}]}]}, "either leftOperand"),
        ({"permission": [{"action": "use", "constraint": [{"or": [], "unit": 1}]}]}, "beside or"),
        (
            {"permission": [{"action": "use", "constraint": [UNTIL | {"operator": "like"}]}]},
            "eq, neq, lt, lteq",
        ),
        ({"permission": [{"action": "use", "constraint": [UNTIL | {"rightOperand": {}}]}]}, "rightOperand"),
        ({"permission": [{"action": "use", "constraint": [UNTIL | {"rightOperand": [[]]}]}]}, "rightOperand"),
        ({"permission": [{"action": "use", "constraint": [UNTIL | {"leftOperand": "x" * 3000}]}]}, "2048"),
        ({"permission": [{"action": "use", "constraint": [UNTIL] * 1001}]}, "at most 1000"),
        ({"permission": [{"action": "use", "constraint": [UNTIL] * 600}] * 2}, "more than 1000 constraints"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(change, says):
    """A malformed policy is the peer's fault: the error names the JSON path and what is allowed."""
    with pytest.raises(RemoteProtocolError, match=says):
        parse({**OFFER, **change})


def test_an_agreement_names_its_parties():
    """An Agreement without target, assigner or assignee is refused, and so is an Offer in its place."""
    with pytest.raises(RemoteProtocolError, match="assigner: an Agreement must have it"):
        parse({**OFFER, "@type": "Agreement", "target": "t"})
    with pytest.raises(RemoteProtocolError, match="@type: must be Agreement"):
        parse(OFFER, "Agreement")


def test_nesting_has_a_limit():
    """Connectives nested without end are refused; a duty within a duty is not followed but kept."""
    constraint, duty = UNTIL, {"action": "use"}
    for _ in range(20):
        constraint = {"and": [constraint]}
    with pytest.raises(RemoteProtocolError, match="nested deeper"):
        parse({**OFFER, "permission": [{"action": "use", "constraint": [constraint]}]})
    deep = {"action": "use", "duty": [duty]}
    outer = parse({**OFFER, "permission": [{"action": "use", "duty": [deep]}]}).permission[0].duty[0]
    assert outer.unread == (("duty", '[{"action":"use"}]'),)


def test_right_operands_keep_their_notation():
    """Typed values and references are kept as they came; numbers become text, which the schema wants."""
    typed = {"@value": 90, "@type": "xsd:integer"}
    values = [typed, {"@id": "urn:x"}, 90, True, {"@list": ["a"]}, {"@value": "x", "@language": "en"}]
    policies = [
        parse({**OFFER, "permission": [{"action": "use", "constraint": [FOR | {"rightOperand": value}]}]})
        for value in values
    ]
    read = [policy.permission[0].constraint[0].right_operand for policy in policies]
    assert read == [
        Literally(90, "xsd:integer"),
        Reference("urn:x"),
        "90",
        "true",
        ("a",),
        Literally("x", None, "en"),
    ]
    written = [to_document(p)["permission"][0]["constraint"][0]["rightOperand"] for p in policies]
    assert written == [typed, {"@id": "urn:x"}, "90", "true", ["a"], {"@value": "x", "@language": "en"}]


def _shuffled(value, seed):
    """The same document with all that has no order in another order, and other notations."""
    rng = random.Random(seed)
    if isinstance(value, list):
        items = [_shuffled(item, seed) for item in value]
        rng.shuffle(items)
        return items
    if not isinstance(value, dict):
        return value
    entries = [(key, item if key == "andSequence" else _shuffled(item, seed)) for key, item in value.items()]
    rng.shuffle(entries)
    result = dict(entries)
    if "leftOperand" in result:
        left = result["leftOperand"]
        if model.short(left) in ("dateTime", "elapsedTime"):
            name = model.short(left)
            result["leftOperand"] = rng.choice([name, f"odrl:{name}", model.ODRL + name])
        if left == "inForceDate":
            result["leftOperand"] = rng.choice(
                [left, "edc:inForceDate", "https://w3id.org/edc/v0.0.1/ns/" + left]
            )
        right = result["rightOperand"]
        if isinstance(right, str):
            result["rightOperand"] = rng.choice([right, [right], {"@value": right, "@type": "xsd:string"}])
    return result


@settings(max_examples=200)
@given(documents, st.integers())
def test_the_digest_does_not_see_order_or_notation(document, seed):
    """A policy in another order and notation, with other parties, has the same digest."""
    other = _shuffled(copy.deepcopy(document), seed)
    other |= {"@id": "urn:uuid:other", "assigner": "p", "assignee": "c", "target": "t", "@type": "Agreement"}
    assert canonical(parse(other)) == canonical(parse(document))


@settings(max_examples=200)
@given(documents, documents)
def test_the_digest_sees_every_rule(one, other):
    """Two policies have the same digest only if the same rules, compared part by part, are in them."""

    def plain(document):
        policy = parse(document)
        return [_multiset(rules) for rules in (policy.permission, policy.prohibition, policy.obligation)] + [
            policy.profile,
            policy.unread,
        ]

    if digest(parse(one)) == digest(parse(other)):
        assert plain(one) == plain(other)


def _multiset(items):
    def form(item):
        if isinstance(item, Rule):
            return repr((model.short(item.action), _multiset(item.constraint), _multiset(item.duty)))
        if isinstance(item, model.LogicalConstraint):
            inner = [form(c) for c in item.constraints]
            return repr((item.operator, inner if item.operator == "andSequence" else sorted(inner)))
        left = item.left_operand.removeprefix("odrl:")
        values = item.right_operand if isinstance(item.right_operand, tuple) else (item.right_operand,)
        return repr((left, item.operator, sorted({model.text_of(v) for v in values})))

    return sorted(map(form, items))


def test_the_order_of_a_sequence_counts():
    """`andSequence` is the one place where order means something; a different right operand always does."""
    first = {**OFFER, "permission": [{"action": "use", "constraint": [{"andSequence": [UNTIL, FOR]}]}]}
    second = {**OFFER, "permission": [{"action": "use", "constraint": [{"andSequence": [FOR, UNTIL]}]}]}
    assert digest(parse(first)) != digest(parse(second))
    assert digest(replace(parse(first), profile=("urn:p",))) != digest(parse(first))


KEYS = ["@id", "@type", "@value", "permission", "action", "constraint", "leftOperand", "operator", "and"]
KEYS += ["rightOperand", "or", "duty", "odrl:x", "refinement", "profile", "target"]

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner | st.sampled_from(["Offer", "use", "eq"]),
            max_size=4,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=300)
@given(_json, st.sampled_from(["permission", "constraint", "whole"]))
def test_no_document_crashes(value, where):
    """Whatever JSON comes, it is a policy or a RemoteProtocolError."""
    document = {
        "permission": {**OFFER, "permission": value},
        "constraint": {**OFFER, "permission": [{"action": "use", "constraint": value}]},
        "whole": value,
    }[where]
    try:
        policy = parse(document)
    except RemoteProtocolError as error:
        assert str(error)  # noqa: PT017 - either outcome is fine, but an error must say something
        return
    assert orjson.dumps(to_document(policy))
    assert digest(policy)


@pytest.mark.parametrize(
    "many",
    [
        {"profile": [f"urn:x:{n}" for n in range(201)]},
        {f"odrl:x{n}": 1 for n in range(201)},
        {"permission": [{"action": "use", **{f"odrl:x{n}": 1 for n in range(201)}}]},
        {
            "permission": [
                {
                    "action": "use",
                    "constraint": [
                        {"leftOperand": "count", "operator": "eq", "rightOperand": "1", f"odrl:x{n}": 1}
                        for n in range(201)
                    ],
                }
            ]
        },
    ],
)
def test_what_is_not_evaluated_is_limited(many):
    """Strangers may write anything, but not any amount of it: each is told with a reason."""
    with pytest.raises(RemoteProtocolError, match="more than 200 profiles and members"):
        parse({"@type": "Set", **many})
