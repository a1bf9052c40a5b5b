"""Cases: facts and what must come of them, in the policy's own file."""

import pytest

from connector import yamlfile
from connector.errors import InvalidFile
from connector.odrl.authoring import cases, read

POLICY = """
a:
  offer: {credential: X}
  allow: use
  when: [{for: 90 days}, {purpose: repair}, {every: 1 hour}, {group: g}, {times: 3}]
  duty: [{inform: {within: 1 day}}]
  cases:
"""


def run(*lines):
    text = POLICY + "".join(f"    - {line}\n" for line in lines)
    return cases.run(read(yamlfile.parse(text, "p.yaml"))["a"])


def test_each_fact_counts():
    """Every word for a fact reaches the decision: each refusal is for the fact that its case is about."""
    open_, done = "purpose: repair, groups: g", "duties: {inform: fulfilled}"
    fine = f"{open_}, {done}"
    results = run(
        f"{{{fine}, expect: allowed}}",
        f"{{{fine}, after: 91 days, expect: refused, because: ended on 1 April 2026}}",
        f"{{{fine}, agreed: 2027-01-01, at: 2027-04-02, expect: refused, because: ended on 1 April 2027}}",
        f"{{{fine}, used: 3, expect: refused, because: used 3 times}}",
        f"{{{fine}, last_used: 2025-12-31T23:30:00Z, expect: refused, because: come back after}}",
        f"{{purpose: repair, groups: h, {done}, expect: refused, because: by partners in g}}",
        f"{{purpose: sale, groups: g, {done}, expect: refused, because: constraint-not-satisfied}}",
        f"{{groups: g, {done}, expect: refused, because: fact-missing}}",
        f"{{{fine}, doing: transfer, expect: refused, because: no-permission}}",
        f"{{{open_}, duties: {{inform: violated}}, expect: refused, because: duty-violated}}",
        f"{{{open_}, after: 12 hours, expect: allowed}}",
        f"{{{open_}, after: 2 days, expect: refused, because: was not done in time}}",
        f"{{{fine}, after: 2 days, expect: allowed}}",
        "{holds: X, groups: g, expect: seen}",
        "{holds: {X: {level: gold}}, groups: g, who: did:web:p.example, expect: seen}",
        "{groups: g, expect: unseen}",
        "{holds: X, expect: unseen}",
    )
    assert [result.says for result in results if result.says] == []
    assert [result.outcome for result in results].count("refused") == 10


def test_a_case_that_does_not_come_out_says_what_did():
    """The other outcome is told with its reasons; so is a refusal for another reason."""
    first, second, third = run(
        "{purpose: repair, groups: g, after: 91 days, duties: {inform: fulfilled}, expect: allowed}",
        "{groups: g, expect: refused, because: no such reason}",
        "{holds: X, groups: g, expect: unseen}",
    )
    assert first.says.startswith("expected allowed, is refused: The permission ended on 1 April 2026")
    assert second.says.startswith(
        'refused as expected, but not because "no such reason": The data may be used'
    )
    assert third.says == "expected unseen, is seen"


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("7", "must map words such as `who` and `expect` to values"),
        ("{expect: maybe}", 'unknown outcome "maybe"'),
        ("{}", "`expect` must say what comes of it: seen, unseen, allowed or refused"),
        ("{expect: refused}", "`because` must tell the reason of a refusal, and only of one"),
        ("{expect: allowed, because: x}", "`because` must tell the reason of a refusal, and only of one"),
        ("{expect: refused, because: 7}", "must be a part of the reason, of 4 characters or more, or its"),
        ("{expect: refused, because: ed}", "must be a part of the reason, of 4 characters or more"),
        ("{agreed: 2026-03-01, at: 2026-02-28, expect: allowed}", "must not be later than `at`"),
        ("{duties: {infrom: violated}, expect: allowed}", 'policy "infrom"; did you mean "inform"?'),
        ("{duties: {log: violated}, expect: allowed}", 'unknown duty of this policy "log"; known: inform'),
        ("{expects: allowed, expect: allowed}", 'unknown word of a case "expects"; did you mean "expect"?'),
        ("{at: 2026-01-01, after: 3 days, expect: allowed}", "give one of them"),
        ("{at: soon, expect: allowed}", "must be a date and time"),
        ("{at: 5, expect: allowed}", "must be a day such as 2026-03-01"),
        ("{who: [a, b], expect: allowed}", "must be one text"),
        ("{used: -1, expect: allowed}", "must be how often it has been used before"),
        ("{doing: fly, expect: allowed}", "'fly' is no action that Anode knows"),
        ("{holds: {X: 7}, expect: seen}", "must map a credential's type to what it says"),
        ("{duties: {inform: perhaps}, expect: allowed}", "must map a duty's action to fulfilled, pending"),
    ],
)
def test_a_wrong_case_is_an_error_with_its_line(case, reason):
    """What a case can't say is told with line and policy, as any mistake in the file."""
    with pytest.raises(InvalidFile) as caught:
        run(case)
    assert caught.value.reasons[0].startswith("p.yaml:8: policy a: ")
    assert any(reason in found for found in caught.value.reasons)
    with pytest.raises(InvalidFile, match="must be a list of cases"):
        read(yamlfile.parse("a: {offer: everyone, allow: use, cases: {}}", "p.yaml"))


def judged(blocks, *lines):
    text = f"a: {{{blocks}, cases: [{', '.join(lines)}]}}"
    return cases.run(read(yamlfile.parse(text, "p.yaml"))["a"])


def test_nobody_agrees_to_what_he_is_not_offered():
    """A case that says who asks is judged by the offer as well, as far as its facts tell."""
    offer = "offer: {partners: did:web:oem.example, credential: X, group: g}, allow: use"
    stranger, oem = "who: did:web:stranger.example", "who: did:web:oem.example"
    allowed, refused, *others = judged(
        offer,
        f"{{{stranger}, expect: allowed}}",
        f"{{{stranger}, expect: refused, because: not offered to did:web:stranger.example}}",
        f"{{{stranger}, expect: refused, because: not-offered}}",
        f"{{{oem}, expect: allowed}}",
        f"{{{oem}, groups: g, holds: X, expect: allowed}}",
        f"{{{oem}, groups: h, expect: refused, because: not-offered}}",
        "{expect: allowed}",
    )
    assert allowed.says == (
        "expected allowed, is refused: The policy is not offered to did:web:stranger.example: it is offered "
        "only where all of this holds at once: to did:web:oem.example; to holders of a X; "
        "to partners in g."
    )
    assert [result.says for result in (refused, *others)] == [""] * 6


def test_a_part_of_a_reason_is_whole_words():
    """A few letters that happen to be in a reason are no reason."""
    results = judged(
        "offer: everyone, allow: use, when: [{for: 90 days}]",
        "{after: 91 days, expect: refused, because: ended on 1 April}",
        "{after: 91 days, expect: refused, because: ende}",
        "{after: 91 days, expect: refused, because: constraint-not}",
    )
    assert [bool(result.says) for result in results] == [False, True, True]


def test_duties_of_a_permission_are_told_too():
    """Those that come first count as the case says; a policy without duties has none to tell of."""
    blocks = "offer: everyone, allow: [{use: {duty: [{delete: {within: 7 days}}]}}]"
    results = judged(
        blocks,
        "{expect: allowed}",
        "{after: 8 days, duties: {delete: fulfilled}, expect: allowed}",
        "{duties: {delete: violated}, expect: refused, because: duty-violated}",
    )
    assert [result.says for result in results] == ["", "", ""]
    with pytest.raises(InvalidFile, match="delete is no duty of this policy that somebody could miss"):
        judged("offer: everyone, allow: use", "{duties: {delete: violated}, expect: allowed}")
    terms = "[framework: 'DataExchangeGovernance:1.0', purpose: p]"
    provided = f"profile: cx, offer: everyone, allow: use, when: {terms}"
    with pytest.raises(InvalidFile, match="use is no duty of this policy"):
        judged(f"{provided}, stop: {{after: 9 days}}", "{duties: {use: violated}, expect: allowed}")
