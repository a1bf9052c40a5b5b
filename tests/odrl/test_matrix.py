"""The enforcement matrix: each term with what becomes of it, so that a promise is not taken for a lock."""

from connector import yamlfile
from connector.odrl.authoring import read
from connector.odrl.explain import explain
from connector.odrl.matrix import HOW, matrix
from connector.odrl.model import parse
from connector.odrl.vocabulary import Enforcement

TEXT = """
a:
  offer: everyone
  allow: [use, {transfer: {when: [purpose: [audit, repair]]}}]
  when:
    - credential: RecyclerCredential
    - purpose: repair
    - any: [{for: 9 days}, {times: 3}]
  duty: [log, delete: {within: 7 days, of: agreement-end}, attribute]
  never: [distribute, {use: [{purpose: marketing}]}]
c:
  profile: cx
  offer: everyone
  allow: use
  when:
    - framework: DataExchangeGovernance:1.0
    - purpose: cx.pcf.base:1
    - Liability: cx.grossNegligence:1
    - for: 9 days
  never: [distribute]
  stop: {after: 9 days}
"""
DAYS, USES = "for 9 days from the agreement on", "for the first 3 uses under one agreement"


def rows(policy):
    return {row.says: row.enforcement for row in matrix(policy)}


def test_each_term_has_its_class():
    """Conditions, ends, duties of either side, promises: each is of the class that the engine gives it."""
    policy = read(yamlfile.parse(TEXT, "p"))["a"].contract
    assert rows(policy) == {
        "by holders of a RecyclerCredential": Enforcement.ENFORCED,
        "for repair": Enforcement.PER_REQUEST,
        f"either {DAYS}, or {USES}": Enforcement.PER_REQUEST,
        "The provider must log each use": Enforcement.PER_REQUEST,
        "may be handed over for good where all of this holds at once: by holders of a RecyclerCredential; "
        f"for repair; either {DAYS}, or {USES}; for audit or repair": Enforcement.AGREED,
        "The user must delete the data within 7 days of the agreement's end": Enforcement.TRACKED,
        "The user must name the provider as the source": Enforcement.AGREED,
        "not sharing the data with third parties": Enforcement.AGREED,
        "not for marketing": Enforcement.PER_REQUEST,
    }
    assert HOW[Enforcement.AGREED] == "agreed, not technically enforceable"


def test_catena_x_terms_have_theirs():
    """What Catena-X's connectors wave through is shown as agreed only; what this node decides is not."""
    policy = read(yamlfile.parse(TEXT, "p"))["c"].contract
    assert rows(policy) == {
        "by those who signed DataExchangeGovernance 1.0": Enforcement.ENFORCED,
        "for cx.pcf.base:1": Enforcement.PER_REQUEST,
        "with liability for gross negligence": Enforcement.AGREED,
        "for 9 days from the agreement on": Enforcement.ENFORCED,
        "not by sharing it with third parties": Enforcement.AGREED,
        "The provider must provide the data for 9 days from the agreement on": Enforcement.ENFORCED,
    }


def test_what_is_refused_says_why():
    """A term that this node refuses has no class but the reason, and the sentence says that it is refused."""
    pay = {"leftOperand": "odrl:payAmount", "operator": "eq", "rightOperand": "5"}
    policy = parse(
        {
            "@type": "Offer",
            "@id": "x",
            "permission": [{"action": "use", "constraint": [pay], "duty": [{"action": "odrl:play"}]}],
            "prohibition": [{"action": "odrl:fly"}],
        }
    )
    found = matrix(policy)
    assert [row.enforcement for row in found] == [None, None, None]
    assert all(row.how.startswith("refused: ") for row in found)
    assert explain(policy) == (
        "The data may be used where all of this holds at once: "
        "if payAmount eq 5 (refused: this node can't evaluate it); "
        "on condition to play the data (refused: can't be tracked). "
        'It must not be used by "fly" (refused: not an action this node decides about).'
    )
    for action, says in (
        ("use", "using the data by who has agreed"),
        ("access", "seeing the offer by everyone"),
    ):
        assert matrix(parse({"@type": "Set", "permission": [{"action": action}]}))[0].says == says
