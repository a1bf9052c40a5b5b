"""Mistakes in policies that would be read as less, or as something else, if they were not told."""

import pytest

from connector import yamlfile
from connector.errors import InvalidFile
from connector.odrl import authoring
from connector.odrl.authoring.words import WORDS
from connector.odrl.model import to_document
from connector.odrl.vocabulary import ANODE

RULE = "p: {offer: everyone, allow: [{odrl: {action: use, %s}}]}"


def contract(text):
    return to_document(authoring.read(yamlfile.parse(text, "p.yaml"))["p"].contract)


def mistakes(text):
    with pytest.raises(InvalidFile) as caught:
        authoring.read(yamlfile.parse(text, "p.yaml"))
    return [reason.removeprefix("p.yaml:").replace(": policy p: ", " ", 1) for reason in caught.value.reasons]


def test_what_is_said_once_for_all_holds_for_odrl_too():
    """Conditions, ends, transformations and the node's duties are added to a permission in ODRL."""
    text = """p:
  offer: everyone
  allow:
    - odrl:
        action: use
        constraint: [{leftOperand: "odrl:purpose", operator: eq, rightOperand: audit}]
        duty: [{action: "odrl:attribute"}]
  when: [{credential: RepairerCredential}]
  stop: {uses: 3}
  duty: [log]
  transform: {drop: [owner]}
"""
    (permission,) = contract(text)["permission"]
    assert [c["leftOperand"] for c in permission["constraint"]] == [
        f"{ANODE}credential",
        "odrl:count",
        "odrl:purpose",
    ]
    assert [d["action"] for d in permission["duty"]] == [f"{ANODE}project", f"{ANODE}log", "odrl:attribute"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (RULE % "constrain: []", 'unknown member of a permission "constrain"; did you mean "constraint"?'),
        (RULE % "foo: bar", 'unknown member of a permission "foo"; known: action, constraint, target, '),
        (RULE % '"http://x/foo": 1', 'unknown member of a permission "http://x/foo"; known: action, '),
        (RULE % "duty: [{action: x, constrant: []}]", 'unknown member of a duty "constrant"; did you mean'),
        (RULE % "constraint: [{orr: []}]", 'unknown member of a constraint "orr"; did you mean "or"?'),
        (
            RULE % 'constraint: [{and: [{leftOperand: "odrl:count", operator: eq, refinment: []}]}]',
            'unknown member of a constraint "refinment"',
        ),
        (
            "p: {offer: everyone, allow: use, odrl: {conflit: prohibit}}",
            'unknown member of a policy "conflit"; did you mean "conflict"?',
        ),
        *(
            (
                f'p: {{offer: everyone, allow: use, odrl: {{"{name}": x}}}}',
                f"`{name}` can't stand here: your node sets it; leave it out",
            )
            for name in ("target", "odrl:target", "@context", "@type", "@id", "assigner")
        ),
    ],
)
def test_what_odrl_does_not_say_is_no_odrl(text, fault):
    """A member that the protocol's reader is deaf to would be a condition less: it is an error."""
    (told,) = [line for line in mistakes(text) if "unknown member" in line or "stand here" in line]
    assert told.startswith(f"1 {fault}")


def test_a_mistake_in_odrl_has_its_own_line():
    """The line is that of the member, however deep in the ODRL it stands."""
    text = """p:
  offer: everyone
  allow: use
  never:
    - odrl:
        action: "odrl:sell"
        remedy:
          - action: "odrl:delete"
            constraint:
              - leftOperand: "odrl:event"
                operator: equals
                rightOperand: use
                weight: 3
"""
    assert [line.split(";")[0] for line in mistakes(text)] == [
        '11 operator: unknown operator "equals"',
        '13 unknown member of a constraint "weight"',
    ]


@pytest.mark.parametrize(
    "block", ["when: [{times: 3}]", "stop: {uses: 3}", "transform: {drop: x}", "duty: [log]"]
)
def test_where_nothing_is_allowed_no_condition_stands(block):
    """What is about permissions would be dropped with `allow: nothing`; a duty of the user's would not."""
    name = block.split(":")[0]
    (told,) = mistakes(f"p: {{offer: everyone, allow: nothing, never: [sell], {block}}}")
    assert told.startswith("1 ")
    assert f"`{name}`" in told
    assert "nothing is allowed, so" in told
    text = "p: {offer: everyone, allow: nothing, never: [sell], duty: [{delete: {within: 1 day}}]}"
    assert "permission" not in contract(text)


@pytest.mark.parametrize(
    ("odrl", "word", "instead"),
    [
        ("leftOperand: purpose, operator: eq, rightOperand: audit", "leftOperand", "write odrl:purpose"),
        (
            "leftOperand: inForceDate, operator: eq, rightOperand: x",
            "leftOperand",
            "write https://w3id.org/edc",
        ),
        ("leftOperand: 'odrl:purpos', operator: eq, rightOperand: x", "leftOperand", '"odrl:purpose"'),
        ("leftOperand: participant, operator: eq, rightOperand: x", "leftOperand", f'"{ANODE}participant"'),
        ("leftOperand: 'odrl:purpose', operator: eqq, rightOperand: x", "operator", '"eq"'),
        ("leftOperand: 'odrl:purpose', operator: eq, rightOperand: {'@id': x}", "@id", "write all of it"),
    ],
)
def test_a_word_that_no_context_defines(odrl, word, instead):
    """Such a word is an address that nobody knows: for who sees the offer, and for what is agreed."""
    for text in (
        f"p: {{offer: {{when: [{{odrl: {{{odrl}}}}}]}}, allow: use}}",
        f"p: {{offer: everyone, allow: use, when: [{{odrl: {{{odrl}}}}}]}}",
    ):
        (told,) = mistakes(text)
        assert told.startswith(f"1 {word}: ")
        assert instead in told


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("action: read", 'action: "read" would become an address that nobody defines; write odrl:read'),
        ("action: 'odrl:reed'", 'action: unknown action "odrl:reed"; did you mean "odrl:read"?'),
        ("action: use, assignee: bob", 'assignee: "bob" would become an address'),
    ],
)
def test_an_action_or_party_that_no_context_defines(rule, fault):
    """The same of actions and parties in rules of ODRL."""
    told = mistakes(f"p: {{offer: everyone, allow: [use, {{odrl: {{{rule}}}}}]}}")
    assert told[0].startswith(f"1 {fault}")


@pytest.mark.parametrize(
    ("blocks", "fault"),
    [
        ("offer: everyone, allow: use, review: maybe", "review: must be yes or no"),
        (
            "offer: everyone, allow: use, duty: [{delete: {within: 7 dyas}}]",
            'within: must be a time span such as 90 days, 12 hours or 1 year; did you mean "7 days"?',
        ),
        (
            "offer: everyone, allow: use, duty: [{delete: {of: agrement-end}}]",
            'of: must be one of agreement, first-use, use, agreement-end; did you mean "agreement-end"?',
        ),
        (
            "offer: {security: trst}, allow: use",
            'security: must be one of base, trust, trustPlus; did you mean "trust"?',
        ),
        (
            "offer: everyone, allow: use, stop: {after: 1001 years}",
            "after: must be a time span of at most 1000 years; for no end leave it out",
        ),
        (
            "offer: everyone, allow: use, when: [{times: 0}]",
            "times: must be a whole number from 1 to 999999999, such as 10",
        ),
        (
            "offer: everyone, allow: use, when: [{until: 9999-12-31}]",
            "until: 9999-12-31 is the calendar's last day; for no end leave it out",
        ),
        ("offer: , allow: use", "offer: is empty; write `offer: everyone`"),
        (
            "offer: everyone, allow: use, when: [{every: 0 days}]",
            "every: must be a time span such as 90 days, 12 hours or 1 year",
        ),
        ("offer: everyone, allow: [nothing]", "allow: `nothing` stands alone: write `allow: nothing`"),
        (
            "offer: everyone, allow: use, transform: {minimum_group: 1}",
            "minimum_group: must be a whole number from 2 to 999999, such as 10",
        ),
        (
            "offer: everyone, allow: use, when: [{purpose: second life}]",
            "purpose: must be a purpose, such as repair; 'second life' has a space, which it can't have",
        ),
        (
            "profile: cx, offer: everyone, allow: use, when: [{framework: 'DataExchangeGovernance:1.0'}, "
            "{purpose: x}, {Liability: 'cx.grosNegligence:1'}]",
            "'cx.grosNegligence:1' is no value of `Liability`: cx.grossNegligence:1 or "
            'cx.slightNegligence:1; did you mean "cx.grossNegligence:1"?',
        ),
    ],
)
def test_a_fault_names_its_word_and_what_would_do(blocks, fault):
    """In a policy on one line the line says nothing, so the word is named, with what would do."""
    assert mistakes(f"p: {{{blocks}}}") == [f"1 {fault}"]


def test_a_span_or_number_beyond_the_bounds_is_not_read_back():
    """What can't be written is left to ODRL when a policy is imported."""
    word = WORDS["for"]
    made = word.write("1000 years")
    assert word.read(made) == "1000 years"
    assert word.read(type(made)(made.left_operand, made.operator, "P1001Y")) is None


ALL = "offer: everyone, allow: use"


@pytest.mark.parametrize(
    ("blocks", "fault"),
    [
        (f"{ALL}, when: [{{from: 2028-01-01}}, {{until: 2027-01-01}}]", "until: no moment meets all"),
        (f"{ALL}, when: [{{from: 2028-01-01}}], stop: {{on: 2027-01-01}}", "on: no moment meets all"),
        (
            "offer: {when: [{all: [{from: 2028-01-01}, {until: 2027-01-01}]}]}, allow: use",
            "until: no moment meets all",
        ),
        (
            "profile: cx, offer: everyone, allow: use, when: [{framework: 'DataExchangeGovernance:1.0'}, "
            "{purpose: 'cx.circular.dp:1'}]",
            '"cx.circular.dp:1" is no constant of `UsagePurpose`, and free text must not begin with "cx."; '
            'did you mean "cx.circular.dpp:1"?',
        ),
        (
            "profile: cx, offer: everyone, allow: use, when: [{framework: 'DataExchangeGovernance:1.0'}, "
            "{purpose: x}, {JurisdictionLocation: 'cx.location.dataConsumer:1'}]",
            '"cx.location.dataConsumer:1" is no constant of `JurisdictionLocation`, and free text',
        ),
        (f"{ALL}, when: [{{purpose: audit}}, {{purpose: [repair, sale]}}]", "no purpose meets this and"),
        (
            f"{ALL}, when: [{{purpose: audit}}, "
            "{odrl: {leftOperand: 'odrl:purpose', operator: neq, rightOperand: audit}}]",
            "no purpose meets this and",
        ),
        (
            f"{ALL}, when: [{{odrl: {{leftOperand: 'odrl:count', operator: lteq, rightOperand: '0'}}}}]",
            "so no use is allowed",
        ),
        (f"{ALL}, never: [sell, distribute, sell]", "`sell` is forbidden twice"),
        (
            "offer: {partners: 'did:web:a.example', when: [{participant: 'did:web:b.example'}]}, allow: use",
            "no participant meets this and the `participant` before",
        ),
        (
            f"{ALL}, transform: {{drop: [owner, x], pseudonymise: Owner}}",
            'pseudonymise: "Owner" is both dropped and pseudonymised',
        ),
        (
            f"{ALL}, never: [use]",
            "never: `use` is forbidden without conditions, so allowing `use` means nothing",
        ),
        (
            "offer: everyone, allow: [use, derive], never: [derive]",
            "never: `derive` is forbidden without conditions, so allowing `derive` means nothing",
        ),
        ("offer: everyone, allow: [use, use]", "`use` is allowed twice, and one of them adds nothing"),
        (
            "offer: everyone, allow: [use, {use: {when: [{times: 3}]}}]",
            "`use` is allowed twice, and one of them adds nothing",
        ),
        ("offer: {partners: [bob]}, allow: use", 'partners: "bob" is no participant\'s id: it must be a DID'),
        (f"{ALL}, duty: [{{inform: {{to: nobody}}}}]", 'to: "nobody" is no participant\'s id'),
        ("offer: {to: everyone, data: {point: [1, 9]}}, allow: use", "point: must be of 1, 2, 3 or 4"),
        (
            "offer: everyone, allow: read",
            "allow: every request for data is to use them, so who may only read ",
        ),
        ("offer: everyone, allow: [display, print]", "who may only display and print gets nothing"),
        ("offer: everyone, allow: log", "who may only log gets nothing"),
        (
            "profile: cx, offer: , allow: use, when: [{framework: 'DataExchangeGovernance:1.0'}, "
            "{purpose: x}]",
            "is empty; write `offer: everyone`",
        ),
    ],
)
def test_what_can_never_be_met_or_contradicts_itself(blocks, fault):
    """Such a policy would be decided, and always be a no or mean less than it seems: it is an error."""
    told = mistakes(f"p: {{{blocks}}}")
    assert len(told) == 1
    assert fault in told[0]


@pytest.mark.parametrize(
    "blocks",
    [
        f"{ALL}, when: [{{until: 2001-01-01}}]",
        f"{ALL}, when: [{{any: [{{from: 2028-01-01}}, {{until: 2027-01-01}}]}}]",
        f"{ALL}, when: [{{purpose: [audit, repair]}}, {{purpose: [Repair, sale]}}]",
        f"{ALL}, never: [{{use: [{{purpose: marketing}}]}}]",
        f"{ALL}, never: [use], odrl: {{conflict: perm}}",
        f"{ALL}, never: [derive]",
        "offer: everyone, allow: [{use: {when: [{purpose: a}]}}, {use: {when: [{times: 3}]}}]",
        "offer: everyone, allow: [read, {use: {when: [{times: 3}]}}]",
        "offer: everyone, allow: nothing, never: [use]",
        "profile: cx, offer: everyone, allow: use, when: [{framework: 'DataExchangeGovernance:1.0'}, "
        "{purpose: ['cx.bpdm.poolAll:1', 'for cx. only']}]",
    ],
)
def test_what_only_looks_so_is_taken(blocks):
    """What has ended, alternatives, and rules that leave something are right."""
    assert contract(f"p: {{{blocks}}}")


def test_the_line_of_nonsense_is_the_one_to_mend():
    """Nonsense is told on the line of its later half."""
    text = """p:
  offer: everyone
  allow: [use]
  when:
    - purpose: audit
    - from: 2028-01-01
    - until: 2027-01-01
    - purpose: repair
  never:
    - sell
    - use
"""
    assert [int(line.split()[0]) for line in mistakes(text)] == [7, 8, 11]


def test_an_imported_policy_may_be_nonsense():
    """What is read to be compared with another's policy is not judged: only who would use it is told."""
    text = (
        "p: {offer: {partners: bob}, allow: [read, read], never: [read], when: [{purpose: a}, {purpose: b}]}"
    )
    assert authoring.read(yamlfile.parse(text, "p.yaml"), evaluable=False)
