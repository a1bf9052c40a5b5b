"""Transfer processes: what their messages carry, when data may flow, and what an operator may do by hand."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from connector.dsp import messages, transfer
from connector.dsp.messages import Message
from connector.dsp.process import Process
from connector.dsp.terms import HTTP_ENDPOINT, HTTP_PULL, Kind, Role, State, Subject
from connector.errors import NotFound, RemoteProtocolError
from connector.flows import derived
from connector.flows.decisions import ended, entry, kept, refusal, with_told
from connector.flows.exchange import Exchange, Move, Reaction
from connector.odrl.compile import Compiled, compile_policy
from connector.odrl.duties import DONE_HERE
from connector.odrl.facts import Performance
from connector.odrl.model import parse
from connector.odrl.operands import NO_CLAIMS, Claims, Facts
from connector.store import access, uses
from connector.store import processes as rows
from connector.store.access import digest_of
from connector.store.database import Transaction
from connector.store.processes import Agreement

_EDC = "https://w3id.org/edc/v0.0.1/ns/"
_CUTS = frozenset({Kind.SUSPEND, Kind.COMPLETE, Kind.TERMINATE})


@dataclass(frozen=True, slots=True)
class DataEndpoint:
    """Where this node serves data, and how long its tokens live (seconds)."""

    url: str
    refresh_url: str
    token_lifetime: float
    refresh_lifetime: float


@dataclass(frozen=True, slots=True)
class DataAddress:
    """Where a consumer finds the data of a started transfer, read from the provider's DataAddress."""

    endpoint: str
    authorization: str
    refresh_token: str | None = None
    refresh_endpoint: str | None = None
    expires: float | None = None
    """When the token ends, if the provider said so."""


class Transfer:
    """The content of transfer messages (a `Conduct`).

    A process's details: `agreement`, `dataset`, `format`; as consumer `address` (the provider's
    DataAddress, as it came) and `address_ends` (when its token expires); as provider `resume` (the
    consumer has asked to go on).
    """

    table = transfer.TRANSITIONS

    def __init__(
        self,
        address: str,
        endpoint: DataEndpoint,
        cut: Callable[[str], None],
        watch: Callable[[Process], None],
        new_id: Callable[[], str],
        react: Reaction,
    ) -> None:
        self._address, self._endpoint, self._new_id = address, endpoint, new_id
        self._cut, self._watch = cut, watch
        self.react = react

    def take(self, tx: Transaction, process: Process, message: Message, now: float) -> Process:
        """Check a request against its agreement; keep a data address or a reason."""
        if isinstance(message, messages.TransferRequestMessage):
            return self._take_request(tx, process, message)
        if isinstance(message, messages.TransferStartMessage):
            if process.role is Role.PROVIDER:
                return replace(process, details={**process.details, "resume": True})
            if message.data_address is not None:
                return _with_address(process, message.data_address, now)
        if isinstance(message, messages.TransferTerminationMessage):
            return replace(process, reason=message.why, details=with_told(process, message.reason))
        return process

    def _take_request(
        self, tx: Transaction, process: Process, message: messages.TransferRequestMessage
    ) -> Process:
        agreement = rows.agreement(tx, Role.PROVIDER, message.agreement_id, process.participant)
        if agreement is None or not agreement.in_force:
            raise NotFound(
                f"There is no agreement {message.agreement_id} in force between us. "
                "Negotiate one, or wait until the negotiation is FINALIZED."
            )
        if message.format != HTTP_PULL:
            raise RemoteProtocolError(f"The format {message.format!r} is not offered; {HTTP_PULL} is.")
        details = {"agreement": agreement.id, "dataset": agreement.dataset, "format": message.format}
        return replace(process, details=details)

    def compose(self, tx: Transaction, process: Process, move: Move, now: float) -> tuple[Process, Message]:
        """Write our message. A message that stops data makes the tokens void before it is sent."""
        message_id = self._new_id()
        if move.kind is Kind.REQUEST:
            process = replace(process, details=dict(move.content))
            return process, messages.TransferRequestMessage(
                id=message_id,
                consumer_pid=process.pid,
                agreement_id=move.content["agreement"],
                format=move.content["format"],
                callback_address=self._address,
            )
        pids: dict[str, Any] = {"consumer_pid": process.consumer_pid, "provider_pid": process.provider_pid}
        reason = move.told
        if move.kind is Kind.START:
            address = None
            if process.role is Role.PROVIDER:
                address = data_address(self._endpoint, *self.new_tokens(tx, process.pid, now))
                process = replace(
                    process, details={k: v for k, v in process.details.items() if k != "resume"}
                )
            return process, messages.TransferStartMessage(id=message_id, data_address=address, **pids)
        if process.role is Role.PROVIDER:
            access.revoke(tx, process.pid)
        if move.kind is Kind.SUSPEND:
            return process, messages.TransferSuspensionMessage(id=message_id, reason=reason, **pids)
        if move.kind is Kind.COMPLETE:
            return process, messages.TransferCompletionMessage(id=message_id, **pids)
        return process, messages.TransferTerminationMessage(
            id=message_id, reason=reason, code=move.code, **pids
        )

    def new_tokens(self, tx: Transaction, pid: str, now: float) -> tuple[str, str]:
        """A new pair: access token, refresh token. Only their digests are kept."""
        token, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        ends, refresh_ends = now + self._endpoint.token_lifetime, now + self._endpoint.refresh_lifetime
        access.issue(tx, pid, digest_of(token), digest_of(refresh), ends, refresh_ends)
        return token, refresh

    def entered(self, tx: Transaction, process: Process) -> None:
        """Whatever is not STARTED opens nothing."""
        if (
            process.role is Role.PROVIDER
            and process.state is not State.STARTED
            and process.pending is not Kind.START
        ):
            access.revoke(tx, process.pid)

    def settled(self, process: Process) -> None:
        """Cut downloads under way, or watch for the moment the policy ends them."""
        if process.role is not Role.PROVIDER:
            return
        if process.pending is Kind.START or (process.state is State.STARTED and process.pending not in _CUTS):
            self._watch(process)  # a consumer can use its token before we know that it has it
        elif process.state is not None:
            self._cut(process.pid)


class Policies:
    """Compiled policies of agreements, found by the digest of their rules without parsing them again."""

    def __init__(self, most: int = 4096) -> None:
        self._most = most
        self._compiled: dict[str, Compiled] = {}

    def known(self, digest: str) -> Compiled | None:
        """The policy with these rules, if it was asked for before."""
        return self._compiled.get(digest)

    def of(self, agreement: Agreement) -> Compiled:
        """The agreement's policy. Agreements with the same rules share one."""
        found = self._compiled.get(agreement.digest)
        if found is None:
            found = compile_policy(parse(agreement.document, "Agreement"))
            if len(self._compiled) >= self._most:
                self._compiled.clear()
            self._compiled[agreement.digest] = found
        return found


def policy_reaction(
    policies: Policies,
    claims: Callable[[str], Claims] = lambda _: NO_CLAIMS,
    groups: Callable[[str], frozenset[str]] = lambda _: frozenset(),
    performed: Callable[[Transaction, Role, str, str], Mapping[str, Performance]] = lambda *_: DONE_HERE,
    used: Callable[[Transaction, tuple[str, str]], int] = lambda tx, key: uses.of(tx, *key).number,
) -> Reaction:
    """As provider: start what the agreement's policy allows now, end what it does not.

    `claims` is what is known of a participant, `groups` those of partners that it is in, `performed` how the
    duties of an agreement stand, `used` how often it has been used. Uses that are used up start nothing; a
    pause between uses does not stand in the way.
    """

    def react(tx: Transaction, process: Process, now: float) -> Move | None:
        if process.role is Role.CONSUMER:
            return None
        resumed = process.state is State.STARTED and process.details.get("resume")
        if process.state is not State.REQUESTED and not resumed:
            return None
        agreement = rows.agreement(tx, process.role, process.details["agreement"], process.participant)
        if agreement is None:
            return Move(Kind.TERMINATE, "The agreement is no longer in force.")
        if (over := derived.over(tx, agreement.dataset, now)) is not None:
            return ended(process, (over,), now)
        proved = claims(agreement.participant)
        policy = policies.of(agreement)
        facts = Facts(
            now,
            agreement.participant,
            agreement.agreed,
            claims=proved,
            phase="transfer",
            uses=used(tx, (agreement.id, agreement.participant)) if "uses" in policy.needs else None,
            target=agreement.dataset,
            groups=groups(agreement.participant),
            collections=frozenset(),
            duties=performed(tx, agreement.role, agreement.id, agreement.participant),
        )
        decision = policy.decide(facts)
        known = {"decisions": kept(process, entry(decision, facts, tree=policy))}
        return replace(Move(Kind.START) if decision.permitted else refusal(decision.reasons), kept=known)

    return react


class Transfers:
    """What an operator can do with transfers."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def request(self, agreement_id: str, format_: str = HTTP_PULL) -> Process:
        """Ask the provider of an agreement for its data."""
        found = [
            a
            for a in rows.agreements(self._exchange.db.read, agreement_id, "", 10)
            if a.role is Role.CONSUMER and a.in_force
        ]
        if not found:
            raise NotFound(f"This node has no agreement {agreement_id} in force as consumer.")
        agreement = found[0]
        negotiation = rows.process(self._exchange.db.read, agreement.negotiation)
        if negotiation is None or negotiation.address is None:
            raise NotFound(f"The negotiation of {agreement_id} is not known any more.")
        content = {"agreement": agreement.id, "dataset": agreement.dataset, "format": format_}
        return await self._exchange.open(
            Subject.TRANSFER, agreement.participant, negotiation.address, Move(Kind.REQUEST, content=content)
        )

    async def move(self, pid: str, kind: Kind, reason: str | None = None) -> Process:
        """Start (resume), suspend, complete or terminate."""
        return await self._exchange.send(Subject.TRANSFER, pid, Move(kind, reason))

    async def keep_address(self, pid: str, document: dict[str, Any]) -> Process:
        """Keep a refreshed data address of a transfer in which we consume.

        :raises NotFound: the transfer is not running any more, so the address is of no use.
        """

        def step(tx: Transaction) -> Process:
            now = self._exchange.clock.now()
            process = rows.process(tx, pid)
            if process is None or process.role is not Role.CONSUMER or process.state is not State.STARTED:
                raise NotFound(f"There is no running transfer {pid} in which this node consumes.")
            process = _with_address(process, document, now)
            rows.save(tx, process, now)
            return process

        return await self._exchange.db.write(step)

    async def keep_refusal(self, pid: str, reasons: Any, request: str | None) -> None:
        """Keep with which codes the provider refused a request for data of a running transfer."""

        def step(tx: Transaction) -> None:
            process = rows.process(tx, pid)
            if process is not None and process.state is State.STARTED:
                details = with_told(process, reasons, request)
                rows.save(tx, replace(process, details=details), self._exchange.clock.now())

        await self._exchange.db.write(step)


def _with_address(process: Process, document: dict[str, Any], now: float) -> Process:
    """The process with a data address, and the time at which its token ends."""
    lifetime = next(
        (v for n, v in _properties(document) if n == "expiresIn" and isinstance(v, str) and v.isdecimal()),
        None,
    )
    ends = now + float(lifetime) if lifetime is not None and len(lifetime) < 10 else None
    return replace(process, details={**process.details, "address": document, "address_ends": ends})


def data_address(endpoint: DataEndpoint, token: str, refresh: str) -> dict[str, Any]:
    """The DataAddress of a pull: plain names, and the long ones that Eclipse EDC reads."""
    values = {
        "authorization": token,
        "authType": "bearer",
        "expiresIn": str(int(endpoint.token_lifetime)),
        "refreshToken": refresh,
        "refreshEndpoint": endpoint.refresh_url,
        _EDC + "endpoint": endpoint.url,
        _EDC + "endpointType": HTTP_ENDPOINT,
        _EDC + "authType": "bearer",
        _EDC + "authorization": token,
    }
    return {
        "@type": "DataAddress",
        "endpointType": HTTP_ENDPOINT,
        "endpoint": endpoint.url,
        "endpointProperties": [
            {"@type": "EndpointProperty", "name": n, "value": v} for n, v in values.items()
        ],
    }


def read_address(document: Any) -> DataAddress:
    """A peer's DataAddress.

    :raises NotFound: it names no endpoint or no token, in either dialect.
    """
    values = dict(_properties(document))
    endpoint = (document.get("endpoint") if isinstance(document, dict) else None) or values.get("endpoint")
    token = values.get("authorization")
    if not isinstance(endpoint, str) or not isinstance(token, str):
        raise NotFound(
            "The provider has given no usable data address (endpoint and authorization) for this transfer."
        )
    return DataAddress(endpoint, token, values.get("refreshToken"), values.get("refreshEndpoint"))


def _properties(document: Any) -> list[tuple[str, Any]]:
    """Names, without Eclipse's prefix, and values of a DataAddress."""
    listed = document.get("endpointProperties") if isinstance(document, dict) else None
    return [
        (str(p.get("name")).removeprefix(_EDC), p.get("value"))
        for p in (listed if isinstance(listed, list) else [])
        if isinstance(p, dict)
    ]
