"""Whether an agreement in force allows anything now, for those who look at it: nothing follows from it."""

from collections.abc import Callable

from connector.dsp.terms import Role
from connector.flows import derived
from connector.flows.clock import Clock
from connector.flows.duties import standing
from connector.flows.negotiate import read
from connector.flows.uses import Counter
from connector.odrl.compile import compiled_for
from connector.odrl.facts import Facts
from connector.store.database import Database
from connector.store.processes import Agreement


def refusal(
    agreement: Agreement, db: Database, clock: Clock, uses: Counter, groups: Callable[[str], frozenset[str]]
) -> str | None:
    """Why its policy allows nothing now, whatever else is proved: uses that ran out, a duty not done in time,
    its end. None if something may be allowed. Only a provider counts uses and knows the groups."""
    if (passed := derived.over(db.read, agreement.dataset, clock.now())) and agreement.role is Role.PROVIDER:
        return passed.text
    policy = compiled_for(read(agreement.document, "Agreement")[0])
    provides = agreement.role is Role.PROVIDER
    consumer = agreement.participant if provides else str(agreement.document["assignee"])
    facts = Facts(
        clock.now(),
        consumer,
        agreement.agreed,
        phase="transfer",
        target=agreement.dataset,
        groups=groups(consumer) if provides else None,
        uses=uses.number(db.read, (agreement.id, consumer)) if provides and "uses" in policy.needs else None,
        collections=frozenset(),
        duties=standing(db.read, agreement.role, agreement.id, agreement.participant),
    )
    if policy.possible(facts):
        return None
    return " ".join(reason.sentence() for reason in policy.decide(facts).reasons)
