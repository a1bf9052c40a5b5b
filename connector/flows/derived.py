"""Data passed on: offered only within what this node agreed to, as consumer of what it was made from, and
given only while that agreement lasts."""

from connector.dsp.terms import Role
from connector.odrl.decision import Reason
from connector.odrl.model import Policy, parse
from connector.odrl.subset import passed_on
from connector.store import catalog, courses
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


def over(connection: Transaction, dataset_id: str, now: float) -> Reason | None:
    """Why a dataset is passed on no more, if it is made from others' data: that agreement has ended."""
    upstream = catalog.upstream(connection, dataset_id)
    if upstream is None:
        return None
    for one in rows.agreements_with_id(connection, upstream):
        course = courses.find(connection, one.role, one.id, one.participant)
        lasts = course is None or course.ends is None or now < course.ends
        if one.role is Role.CONSUMER and one.in_force and lasts:
            return None
    return Reason("agreement-ended", "", "The agreement under which the provider has the data has ended.")
