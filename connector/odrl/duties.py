"""Duties: what is to be done, until when, and how the answer depends on whether it was.

A duty says when by constraints, as DSP's actions are names only: `delayPeriod lteq P7D` within seven days,
`event eq agreement-end` counted from that event on (from the agreement, if none is named), `dateTime lt` at
the latest then, `recipient` to whom. Anything else makes a duty that can't be tracked, and denies.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from connector.odrl import moments, vocabulary
from connector.odrl.conditions import either, one, quoted, texts, untold
from connector.odrl.facts import FULFILLED, Facts, Performance
from connector.odrl.policy import Constraint, Constraints, Rule
from connector.odrl.truth import Holds, Truth
from connector.odrl.vocabulary import ANODE, Enforcement, iri

Mode: TypeAlias = Literal["strict", "lenient"]
"""Strict: a duty of a permission comes first, unless it has time left. Lenient: unless it was violated."""

PROJECT, PSEUDONYMIZE, GENERALIZE = ANODE + "project", ANODE + "pseudonymize", ANODE + "generalize"
DONE_HERE: Mapping[str, Performance] = MappingProxyType(
    dict.fromkeys((f"{ANODE}log", PROJECT, PSEUDONYMIZE, GENERALIZE), FULFILLED)
)
"""What this node's data plane does itself at each request, before a byte leaves: so it counts as done.

Who decides with it does what `Decision.view` says, or denies.
"""

EVENTS: Mapping[str, str] = MappingProxyType(
    {
        "agreement": "the agreement",
        "first-use": "the first use",
        "use": "each use",
        "agreement-end": "the agreement's end",
    }
)
"""What a deadline may count from, and how it is said; written bare, or in this node's namespace."""
TOLD: Mapping[str, str] = MappingProxyType({"inform": "inform", "compensate": "pay"})
"""Duties that are done to their recipient: the verb. Of others it is said who receives what they give."""


@dataclass(frozen=True, slots=True)
class Duty:
    """A duty, read. `within` counts from the `event`; `until` is an instant (epoch seconds).

    `attributes` and `group` say what is done to the data that are served.
    """

    action: str
    enforcement: Enforcement
    within: moments.Duration | None = None
    event: str = "agreement"
    until: float = math.inf
    recipients: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    group: int = 0

    def due(self, event_at: float | None) -> float:
        """When it is violated if it is not done, given when the event was (None: not yet, or not known)."""
        if self.within is None or event_at is None:
            return self.until
        return min(self.until, self.within.after(event_at))

    def has_deadline(self) -> bool:
        """Whether it may be done later than what it is a duty of."""
        return self.within is not None or self.until < math.inf

    def says(self) -> str:
        """The duty in plain English, after "with the duty to"."""
        name = quoted(self.action.removeprefix(ANODE))
        whom = f" {either(self.recipients, 'and')}" if self.recipients else ""
        if whom and self.action not in TOLD:
            whom = f" with{whom} as recipient"
        span = f" within {self.within} of {EVENTS[self.event]}" if self.within else ""
        if not span and self.event != "agreement":
            span = f" at {EVENTS[self.event]}"
        last = f" by {moments.text(self.until)}" if self.until < math.inf else ""
        about = f" {either(self.attributes, 'and')}" if self.attributes else ""
        about += f" to groups of {self.group}" if self.group else ""
        return f"{name}{about}{whom}{span}{last}"


def read(rule: Rule) -> Duty:
    """A duty or an obligation. ValueError says what of it can't be tracked."""
    action = vocabulary.action_name(rule.action)
    known = vocabulary.ACTIONS.get(action)
    if known is None or known.duty is None:
        raise ValueError(f"the duty to {quoted(action[:100])} is not one that this node can track")
    for name in ("refinement", "target", "assignee", "assigner", "unread"):
        if getattr(rule, name):
            raise ValueError(f"its {name} can't be tracked")
    for consequence in rule.consequence:
        read(consequence)
    if action in (PROJECT, PSEUDONYMIZE, GENERALIZE):
        return _transformation(action, known.duty, _flat(rule.constraint))
    within: moments.Duration | None = None
    event, until = "agreement", math.inf
    recipients: tuple[str, ...] = ()
    said: set[str] = set()
    for constraint in _flat(rule.constraint):
        left, how = iri(constraint.left_operand), constraint.operator
        if left in said and left != vocabulary.DATE_TIME:
            raise ValueError(f"it says {quoted(constraint.left_operand[:100])} twice")
        said.add(left)
        if constraint.unread:
            raise ValueError(f"{quoted(constraint.unread[0][0][:100])} of ODRL is not evaluated by this node")
        if left in (vocabulary.DELAY_PERIOD, vocabulary.ELAPSED_TIME) and how in ("lt", "lteq", "eq"):
            within = moments.duration(one(constraint.right_operand))
        elif left == vocabulary.DATE_TIME and how in ("lt", "lteq"):
            until = min(until, moments.instant(one(constraint.right_operand)))
        elif left == vocabulary.EVENT and how == "eq":
            event = one(constraint.right_operand).removeprefix(ANODE).removeprefix("anode:")
            if event not in EVENTS:
                raise ValueError(f"the event {event[:60]!r} must be one of {', '.join(EVENTS)}")
        elif left == vocabulary.RECIPIENT and how in ("eq", "isAnyOf", "isAllOf"):
            recipients = texts(how, constraint.right_operand, "recipient")
        else:
            raise ValueError(
                f"{quoted(constraint.left_operand[:100])} {how} is no term of a duty that can be tracked"
            )
    return Duty(action, known.duty, within, event, until, recipients)


def _transformation(action: str, enforcement: Enforcement, terms: list[Constraint]) -> Duty:
    """What is done to the data: attributes that are left out or replaced, or the size of groups."""
    if len(terms) != 1 or terms[0].unread:
        raise ValueError("it must say one thing: which attributes, or how large a group")
    (term,) = terms
    left, how = iri(term.left_operand), term.operator
    if action == GENERALIZE and left == vocabulary.GROUP_SIZE and how in ("gteq", "eq"):
        text = one(term.right_operand)
        if not (text.isascii() and text.isdigit() and 2 <= int(text[:9]) < 1_000_000):
            raise ValueError(f"{text[:60]!r} must be a number of records, at least 2")
        return Duty(action, enforcement, group=int(text[:9]))
    if action != GENERALIZE and left == vocabulary.ATTRIBUTE and how in ("eq", "isAnyOf", "isAllOf"):
        return Duty(action, enforcement, attributes=texts(how, term.right_operand, "attribute"))
    raise ValueError(f"{quoted(term.left_operand[:100])} {how} is no term of it")


def _flat(constraints: Constraints) -> list[Constraint]:
    found = []
    for constraint in constraints:
        if isinstance(constraint, Constraint):
            found.append(constraint)
        elif constraint.operator not in ("and", "andSequence") or not constraint.constraints:
            raise ValueError(f"{constraint.operator} is no term of a duty that can be tracked")
        else:
            found += _flat(constraint.constraints)
    return found


def due(duty: Duty, facts: Facts, found: Performance | None) -> float:
    """When the duty is violated if it is not done: as stated with how it stands, or by its own terms."""
    stated = math.inf if found is None else found.due
    return min(stated, duty.due(facts.agreed_at if duty.event == "agreement" else None))


def state(duty: Duty, path: str, facts: Facts) -> Performance | None:
    """How the duty stands now: pending no longer once it is due; None if that is not known."""
    found = facts.duties.get(path) or facts.duties.get(duty.action)
    if found is None or found.state != "pending":
        return found
    end = due(duty, facts, found)
    return Performance("pending" if facts.now < end else "violated", end)


def allows(duty: Duty, path: str, *, first: bool, mode: Mode) -> Holds:
    """Whether the duty lets the answer be yes. `first` says that it comes before, as a permission's does."""
    if duty.enforcement is Enforcement.AGREED:
        return lambda _: True
    first = first or duty.enforcement is Enforcement.PER_REQUEST

    def holds(facts: Facts) -> Truth:
        found = state(duty, path, facts)
        if found is None:
            if mode == "lenient":
                return True
            if first:
                return untold(facts)
            return facts.now < due(duty, facts, None)
        if found.state == "violated":
            return False
        if found.state == "fulfilled" or mode == "lenient" or not first:
            return True
        return True if found.due < math.inf or duty.has_deadline() else None

    return holds
