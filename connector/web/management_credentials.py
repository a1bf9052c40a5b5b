"""Management API: credentials that we hold, ask for and issue, and what is to be said of others'."""

from connector.errors import (
    AnodeError,
    EgressDenied,
    LocalProtocolError,
    NotFound,
    RemoteProtocolError,
    Unavailable,
    Untrusted,
)
from connector.flows.issue import CredentialIssuer
from connector.flows.report import Examiner
from connector.flows.wallet import Wallet
from connector.node import Node
from connector.web import credential_models as model
from connector.web.openapi import PEER, BadRequest, Call, Route

_PATIENCE = 10.0
"""Seconds that an answer waits for the holder to take what was issued."""
_DECISION: tuple[type[AnodeError], ...] = (NotFound, LocalProtocolError, Unavailable)
_ID = {"id": "The credential's id, percent-encoded."}
_REQUEST = {"pid": "Our identifier of the request, or of the offer."}
_ISSUANCE = {"pid": "Our identifier of the request."}


async def list_held(node: Node, call: Call) -> model.Wallets:
    """The credentials that this participant holds."""
    return model.Wallets(credentials=[model.HeldEntry.of(one) for one in _wallet(node).held()])


async def show_held(node: Node, call: Call) -> model.HeldDetail:
    """A credential of ours with what its issuer signed."""
    for one in _wallet(node).held():
        if one.id == call.path["id"]:
            return model.HeldDetail(
                credential=model.HeldEntry.of(one), document=one.document, token=one.token
            )
    raise NotFound(f"this wallet holds no credential {call.path['id'][:200]!a}")


async def drop_held(node: Node, call: Call) -> None:
    """Remove a credential from the wallet. Its issuer is not told."""
    await _wallet(node).drop(call.path["id"])


async def list_requests(node: Node, call: Call) -> model.Requests:
    """What we have asked issuers for, and what they offer."""
    return model.Requests(requests=[model.RequestEntry.of(one) for one in _wallet(node).requests()])


async def request_credentials(node: Node, call: Call) -> model.RequestEntry:
    """Ask an issuer for credentials. They come when it has decided: `GET /credentials/requests` tells."""
    types = tuple(dict.fromkeys(call.body.types))
    return model.RequestEntry.of(await _wallet(node).request(_issuer_of(node, call.body.issuer), types))


async def take_up_offer(node: Node, call: Call) -> model.RequestEntry:
    """Ask for what an issuer has offered."""
    return model.RequestEntry.of(await _wallet(node).take_up(call.path["pid"]))


async def refresh_request(node: Node, call: Call) -> model.RequestEntry:
    """Ask the issuer how a request of ours stands."""
    return model.RequestEntry.of(await _wallet(node).refresh(call.path["pid"]))


async def show_issuer(node: Node, call: Call) -> model.IssuerMetadata:
    """Ask an issuer what it gives."""
    issuer = _issuer_of(node, call.query.issuer)
    found = [
        model.Offered(id=one.id, type=one.credential_type, format=one.profile, about=one.offer_reason)
        for one in await _wallet(node).metadata(issuer)
    ]
    return model.IssuerMetadata(issuer=issuer, credentials=found)


async def list_issuances(node: Node, call: Call) -> model.Issuances:
    """What holders have asked this node for, decided or not, and what was given unasked."""
    return model.Issuances(issuances=[model.IssuanceEntry.of(one) for one in _issuer(node).requests()])


async def issue_credentials(node: Node, call: Call) -> model.IssuanceEntry:
    """Issue credentials to a participant, and bring them to its wallet.

    A request of the participant for just these that waits is approved by it.
    """
    given = await _issuer(node).give(call.body.holder, call.body.types, call.body.claims)
    return await _attempted(node, given.pid)


async def approve_request(node: Node, call: Call) -> model.IssuanceEntry:
    """Issue what a holder has asked for, and bring it to its wallet."""
    await _issuer(node).approve(call.path["pid"], call.body.claims)
    return await _attempted(node, call.path["pid"])


async def reject_request(node: Node, call: Call) -> model.IssuanceEntry:
    """Refuse what a holder has asked for, and tell it why."""
    await _issuer(node).reject(call.path["pid"], call.body.reason)
    return await _attempted(node, call.path["pid"])


async def list_issued(node: Node, call: Call) -> model.IssuedList:
    """The credentials that this node has issued to participants."""
    return model.IssuedList(
        credentials=[model.IssuedEntry.of(one) for one in _issuer(node).issued(call.query.holder)]
    )


async def change_issued(node: Node, call: Call) -> model.IssuedEntry:
    """Revoke a credential, suspend it, or make a suspended one valid again.

    Whoever looks learns it when its copy of the status list is too old: after `credentials.lifetime` there.
    """
    return model.IssuedEntry.of(await _issuer(node).set_state(call.path["id"], call.body.state))


async def examine_credential(node: Node, call: Call) -> model.Examination:
    """Look at a credential or presentation: its signature, period, status, and issuer.

    What is wrong with it is in the checks; 400 says that it is neither.
    """
    examiner = Examiner(node.verifier, node.trust, node.profile, node.clock.now())
    try:
        return model.Examination.of(await examiner.examine(call.body.credential))
    except (RemoteProtocolError, Untrusted) as wrong:
        raise BadRequest(*wrong.reasons) from None


def _wallet(node: Node) -> Wallet:
    if node.wallet is None:
        raise NotFound("this node has no keys of its own, and so no wallet")
    return node.wallet


def _issuer(node: Node) -> CredentialIssuer:
    if node.issuer is None:
        raise NotFound("this node has no keys of its own, and so issues nothing")
    return node.issuer


def _issuer_of(node: Node, named: str | None) -> str:
    found = named or (node.membership.authority if node.membership is not None else None)
    if found is None:
        raise BadRequest("issuer: name one; the settings name no credentials.authority to ask else")
    return found


async def _attempted(node: Node, pid: str) -> model.IssuanceEntry:
    return model.IssuanceEntry.of(await _issuer(node).attempted(pid, _PATIENCE))


_HOLDING, _ISSUING = "wallet", "issuing"
ROUTES = [
    Route(
        "GET",
        "/credentials/held",
        list_held,
        "Credentials that we hold",
        _HOLDING,
        response=model.Wallets,
        errors=(NotFound,),
    ),
    Route(
        "GET",
        "/credentials/held/{id:.+}",
        show_held,
        "A credential that we hold",
        _HOLDING,
        response=model.HeldDetail,
        parameters=_ID,
    ),
    Route(
        "DELETE",
        "/credentials/held/{id:.+}",
        drop_held,
        "Drop a credential",
        _HOLDING,
        parameters=_ID,
        errors=(Unavailable,),
    ),
    Route(
        "GET",
        "/credentials/issuer",
        show_issuer,
        "What an issuer gives",
        _HOLDING,
        query=model.IssuerQuery,
        response=model.IssuerMetadata,
        errors=PEER,
    ),
    Route(
        "GET",
        "/credentials/requests",
        list_requests,
        "Requests of ours, offers to us",
        _HOLDING,
        response=model.Requests,
        errors=(NotFound,),
    ),
    Route(
        "POST",
        "/credentials/requests",
        request_credentials,
        "Ask for credentials",
        _HOLDING,
        request=model.CredentialRequest,
        response=model.RequestEntry,
        status=201,
        errors=PEER,
    ),
    Route(
        "POST",
        "/credentials/requests/{pid}/take-up",
        take_up_offer,
        "Take up an offer",
        _HOLDING,
        response=model.RequestEntry,
        parameters=_REQUEST,
        errors=PEER,
    ),
    Route(
        "POST",
        "/credentials/requests/{pid}/refresh",
        refresh_request,
        "Ask how a request stands",
        _HOLDING,
        response=model.RequestEntry,
        parameters=_REQUEST,
        errors=PEER,
    ),
    Route(
        "GET",
        "/credentials/issuances",
        list_issuances,
        "Requests of holders",
        _ISSUING,
        response=model.Issuances,
        errors=(NotFound,),
    ),
    Route(
        "POST",
        "/credentials/issuances",
        issue_credentials,
        "Issue credentials",
        _ISSUING,
        request=model.Issue,
        response=model.IssuanceEntry,
        status=201,
        errors=(*_DECISION, Untrusted, EgressDenied),
    ),
    Route(
        "POST",
        "/credentials/issuances/{pid}/approve",
        approve_request,
        "Issue what was asked for",
        _ISSUING,
        request=model.Approval,
        response=model.IssuanceEntry,
        parameters=_ISSUANCE,
        errors=_DECISION,
    ),
    Route(
        "POST",
        "/credentials/issuances/{pid}/reject",
        reject_request,
        "Refuse what was asked for",
        _ISSUING,
        request=model.Rejection,
        response=model.IssuanceEntry,
        parameters=_ISSUANCE,
        errors=_DECISION,
    ),
    Route(
        "GET",
        "/credentials/issued",
        list_issued,
        "Credentials that we have issued",
        _ISSUING,
        query=model.IssuedQuery,
        response=model.IssuedList,
        errors=(NotFound,),
    ),
    Route(
        "POST",
        "/credentials/issued/{id:.+}/state",
        change_issued,
        "Revoke, suspend, reinstate",
        _ISSUING,
        request=model.NewState,
        response=model.IssuedEntry,
        parameters=_ID,
        errors=_DECISION,
    ),
    Route(
        "POST",
        "/credentials/verify",
        examine_credential,
        "Look at a credential",
        _HOLDING,
        request=model.Given,
        response=model.Examination,
    ),
]
