"""Data passed on: offered only within what this node agreed to, as consumer of what it was made from."""

from connector.dsp.terms import Role
from connector.odrl.decision import Reason
from connector.odrl.model import Policy, parse
from connector.odrl.subset import passed_on
from connector.store import processes as rows
from connector.store.database import Transaction


def in_the_way(tx: Transaction, agreement_id: str, policy: Policy, now: float | None) -> tuple[Reason, ...]:
    """What stands in the way of offering, under a policy, what was made from an agreement's data.

    `now` is when the offer would be agreed to; without it, the question is whether it could ever have been.
    """
    found = [a for a in rows.agreements(tx, agreement_id, "", 10) if a.role is Role.CONSUMER and a.in_force]
    if not found:
        text = f"{agreement_id} is no agreement in force in which this node is the consumer."
        return (Reason("agreement-ended", "", text),)
    agreed = found[0]
    moment = agreed.agreed if now is None else now
    return passed_on(policy, parse(agreed.document, "Agreement"), agreed.agreed, moment)
