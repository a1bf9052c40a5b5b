"""Which credentials the policies in play name: what a peer is asked for, and what it may read of ours."""

from connector.dsp import messages
from connector.dsp.messages import Message
from connector.dsp.process import Process
from connector.dsp.terms import Role, Subject
from connector.errors import RemoteProtocolError
from connector.flows.catalog import Catalog
from connector.flows.transfer import Policies
from connector.odrl.compile import compiled_for
from connector.odrl.model import parse
from connector.store import processes as rows
from connector.store.database import Database

_NONE: frozenset[str] = frozenset()


class Needs:
    """Reads the policies that a message, or a process, is about."""

    def __init__(self, db: Database, catalog: Catalog, policies: Policies) -> None:
        self._db, self._catalog, self._policies = db, catalog, policies

    def of_message(self, participant: str, message: Message) -> frozenset[str]:
        """Types that its sender may have to prove."""
        if isinstance(message, messages.ContractRequestMessage):
            target = message.offer.get("target")
            return self._catalog.needs(target) if isinstance(target, str) else _NONE
        if isinstance(message, messages.TransferRequestMessage):
            return self._of_agreement(Role.PROVIDER, message.agreement_id, participant)
        return _NONE

    def of_process(self, pid: str, participant: str | None = None) -> frozenset[str]:
        """Types that the consumer of a process may have to prove, whichever side we are.

        None for a `participant` whose process it is not: what others need is nothing to it.
        """
        process = rows.process(self._db.read, pid)
        if process is None or participant not in (None, process.participant):
            return _NONE
        return self._of_negotiation(process) if process.subject is Subject.NEGOTIATION else self._of(process)

    def _of(self, transfer: Process) -> frozenset[str]:
        agreement = transfer.details.get("agreement")
        return self._of_agreement(transfer.role, agreement, transfer.participant) if agreement else _NONE

    def _of_negotiation(self, process: Process) -> frozenset[str]:
        needed = _NONE
        if process.role is Role.PROVIDER and (dataset := process.details.get("dataset")) is not None:
            needed |= self._catalog.needs(dataset)
        if (offer := process.details.get("offer")) is not None:
            try:
                needed |= compiled_for(parse(offer, "Offer")).credentials
            except RemoteProtocolError:
                return needed  # the negotiation refuses it, with the reason
        return needed

    def _of_agreement(self, role: Role, agreement_id: str, participant: str) -> frozenset[str]:
        agreement = rows.agreement(self._db.read, role, agreement_id, participant)
        return _NONE if agreement is None else self._policies.of(agreement).credentials
