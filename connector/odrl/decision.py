"""Yes, or no with reasons: what a decision says to the operator, and what of it to the counterparty."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from connector.odrl.projection import Projection
from connector.odrl.vocabulary import Enforcement

CODES: Mapping[str, str] = MappingProxyType(
    {
        "constraint-not-satisfied": "A condition of the permission does not hold.",
        "fact-missing": "What a condition is about is not known.",
        "prohibited": "A prohibition applies, or can't be ruled out.",
        "no-permission": "No permission is about this action.",
        "duty-unfulfilled": "A duty that comes first has not been done.",
        "duty-violated": "A duty was not done in time.",
        "empty-policy": "The policy has no rules.",
        "unknown-operand": "A left operand can't be evaluated here.",
        "unknown-operator": "A left operand can't be compared in this way.",
        "unreadable-value": "A right operand can't be read.",
        "misplaced-operand": "A left operand means nothing in this kind of rule.",
        "undecidable": "A term that can only be agreed stands where it would have to be decided.",
        "empty-constraint": "A logical constraint has no parts.",
        "unread-term": "A member of ODRL is not evaluated here.",
        "unknown-action": "The action of a rule is not known here.",
        "unknown-profile": "The policy's profile is not known here.",
        "duty-not-tracked": "A duty can't be tracked here.",
        "wider-terms": "The terms asked for go beyond those offered.",
        "demands-more": "The terms ask more of the provider than is offered.",
        "not-offered": "No offer to the participant is about this dataset.",
        "agreement-ended": "The agreement is not in force.",
        "review-rejected": "The provider's operator has declined.",
        "review-overdue": "The provider's operator has not decided in time.",
    }
)
"""The codes of reasons, for programs of either side. They are stable; sentences are not."""


class Reason(NamedTuple):
    """Why not. `code` is one of CODES; `path` is the rule or constraint, as in the policy's JSON.

    `expected` is what would satisfy it, `seen` the value seen, `givers` who could give what is missing. These
    and `text` are for the operator of this node; the counterparty gets `redacted()`.
    """

    code: str
    path: str
    text: str
    operand: str | None = None
    operator: str | None = None
    expected: str | None = None
    seen: str | None = None
    public: str | None = None
    givers: tuple[str, ...] = ()

    def sentence(self, redacted: bool = False) -> str:
        """The reason in plain English; `redacted` leaves out what is only the provider's business."""
        return self.public if redacted and self.public is not None else self.text

    def redacted(self) -> "Reason":
        """The reason as the counterparty may see it: without what was expected and seen."""
        text = self.sentence(redacted=True)
        return Reason(self.code, self.path, text, self.operand, self.operator, givers=self.givers)

    def document(self) -> dict[str, Any]:
        """The reason as JSON; what is not there is left out."""
        names = ("code", "path", "text", "operand", "operator", "expected", "seen", "givers")
        return {name: value for name in names if (value := getattr(self, name)) not in (None, ())}


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a policy, in plain English, and what becomes of it once it is agreed."""

    path: str
    says: str
    enforcement: Enforcement


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes, by the permission at `rule`, or no with reasons. `terms` are those that hold with a yes.

    `view` is what the data must lose before they are served.
    """

    permitted: bool
    reasons: tuple[Reason, ...] = ()
    rule: str | None = None
    terms: tuple[Term, ...] = ()
    view: Projection | None = None

    def redacted(self) -> "Decision":
        """The decision as the counterparty may see it."""
        return Decision(self.permitted, tuple(r.redacted() for r in self.reasons), self.rule)
