"""The management listener: the table of what an operator, and the `anode` command, can ask of a node."""

from aiohttp import web

from connector import __version__
from connector.errors import (
    AnodeError,
    InvalidFile,
    LocalProtocolError,
    NotFound,
    RemoteProtocolError,
    Unavailable,
)
from connector.flows.publish import Dataset
from connector.node import Node
from connector.web import (
    credentials,
    duty_models,
    guard,
    management_answers,
    management_credentials,
    pages,
    public,
    tokens,
)
from connector.web import management_agreements as agreements
from connector.web import management_models as model
from connector.web import management_node as about
from connector.web import management_processes as processes
from connector.web import management_streams as streams
from connector.web.openapi import PEER, Route, document

_MOVE: tuple[type[AnodeError], ...] = (NotFound, LocalProtocolError, RemoteProtocolError, Unavailable)
_PID = {"pid": "Our identifier of the process."}
_DATASET = {"id": "The dataset's id, percent-encoded."}
_AGREEMENT = {"id": "The agreement's id, percent-encoded."}
_DUTY = {"duty": "The duty's id in this node."}
_DESCRIPTION = (
    "What an operator can ask of this node. Each request needs the management token: Authorization: Bearer …"
)

ROUTES = [
    Route("GET", "/status", about.status, "How this node is", "node", response=model.Status),
    Route(
        "POST",
        "/reload",
        about.reload,
        "Read keys anew",
        "node",
        errors=(InvalidFile, Unavailable),
    ),
    Route(
        "GET",
        "/events",
        streams.stream_events,
        "What happens, as it happens",
        "node",
        query=model.EventsQuery,
        media_type="text/event-stream",
        errors=(NotFound,),
    ),
    Route(
        "GET",
        "/audit",
        about.show_audit,
        "Decisions about data",
        "node",
        query=model.AuditQuery,
        response=model.Audit,
    ),
    Route(
        "GET",
        "/catalog",
        about.list_datasets,
        "The datasets of this node",
        "catalog",
        query=model.After,
        response=model.DatasetPage,
    ),
    Route(
        "POST",
        "/catalog",
        about.publish_dataset,
        "Publish a dataset",
        "catalog",
        request=Dataset,
        response=model.DatasetDetail,
        status=201,
        errors=(InvalidFile, NotFound, Unavailable),
    ),
    Route(
        "GET",
        "/catalog/{id:.+}",
        about.show_dataset,
        "A dataset of this node",
        "catalog",
        response=model.DatasetDetail,
        parameters=_DATASET,
    ),
    Route(
        "DELETE",
        "/catalog/{id:.+}",
        about.withdraw_dataset,
        "Withdraw a dataset",
        "catalog",
        parameters=_DATASET,
        errors=(Unavailable,),
    ),
    Route(
        "GET",
        "/policies",
        about.list_policies,
        "The policies of this node",
        "catalog",
        response=model.Policies,
    ),
    Route(
        "GET",
        "/peers",
        about.find_peer,
        "Find a peer",
        "peers",
        query=model.PeerQuery,
        response=model.Peer,
        errors=PEER,
    ),
    Route(
        "POST",
        "/peers/catalog",
        about.show_peer_catalog,
        "What a peer offers us",
        "peers",
        request=model.PeerCatalogRequest,
        response=model.PeerCatalog,
        errors=PEER,
    ),
    Route(
        "GET",
        "/peers/dataset",
        about.show_peer_dataset,
        "A dataset of a peer",
        "peers",
        query=model.PeerDatasetQuery,
        response=model.PeerDataset,
        errors=PEER,
    ),
    Route(
        "GET",
        "/negotiations",
        processes.list_negotiations,
        "Negotiations",
        "negotiations",
        query=model.Before,
        response=model.ProcessPage,
    ),
    Route(
        "POST",
        "/negotiations",
        processes.request_negotiation,
        "Ask for a contract",
        "negotiations",
        request=model.NegotiationRequest,
        response=model.ProcessDetail,
        status=201,
        errors=PEER,
    ),
    Route(
        "POST",
        "/negotiations/offers",
        processes.offer_negotiation,
        "Offer a contract",
        "negotiations",
        request=model.NegotiationOffer,
        response=model.ProcessDetail,
        status=201,
        errors=PEER,
    ),
    Route(
        "GET",
        "/negotiations/{pid}",
        processes.show_negotiation,
        "A negotiation",
        "negotiations",
        response=model.ProcessDetail,
        parameters=_PID,
    ),
    Route(
        "POST",
        "/negotiations/{pid}/moves",
        processes.move_negotiation,
        "Send a message in a negotiation",
        "negotiations",
        request=model.NegotiationMove,
        response=model.ProcessDetail,
        parameters=_PID,
        errors=_MOVE,
    ),
    Route(
        "GET",
        "/transfers",
        processes.list_transfers,
        "Transfers",
        "transfers",
        query=model.Before,
        response=model.ProcessPage,
    ),
    Route(
        "POST",
        "/transfers",
        processes.request_transfer,
        "Ask for data",
        "transfers",
        request=model.TransferRequest,
        response=model.ProcessDetail,
        status=201,
        errors=(NotFound, Unavailable),
    ),
    Route(
        "GET",
        "/transfers/{pid}",
        processes.show_transfer,
        "A transfer",
        "transfers",
        response=model.ProcessDetail,
        parameters=_PID,
    ),
    Route(
        "POST",
        "/transfers/{pid}/moves",
        processes.move_transfer,
        "Send a message in a transfer",
        "transfers",
        request=model.TransferMove,
        response=model.ProcessDetail,
        parameters=_PID,
        errors=_MOVE,
    ),
    Route(
        "GET",
        "/transfers/{pid}/data",
        streams.stream_data,
        "The data of a transfer",
        "transfers",
        media_type="*/*",
        parameters=_PID,
        errors=PEER,
    ),
    Route(
        "GET",
        "/transfers/{pid}/data-address",
        processes.show_data_address,
        "Where the data of a transfer is",
        "transfers",
        response=model.DataAddress,
        parameters=_PID,
        errors=PEER,
    ),
    Route(
        "GET",
        "/agreements",
        processes.list_agreements,
        "Agreements",
        "agreements",
        query=model.After,
        response=model.AgreementPage,
    ),
    Route(
        "GET",
        "/agreements/{id:.+}",
        agreements.show_agreement,
        "An agreement",
        "agreements",
        response=duty_models.AgreementDetail,
        parameters=_AGREEMENT,
    ),
    *management_answers.ROUTES,
    Route(
        "POST",
        "/agreements/{id:.+}/retirement",
        agreements.retire_agreement,
        "Retire an agreement",
        "agreements",
        request=duty_models.Retirement,
        response=duty_models.AgreementDetail,
        parameters=_AGREEMENT,
        errors=(NotFound, LocalProtocolError, Unavailable),
    ),
    Route(
        "GET",
        "/duties",
        agreements.list_duties,
        "Duties of agreements",
        "duties",
        query=duty_models.DutiesQuery,
        response=duty_models.DutyPage,
    ),
    Route(
        "GET",
        "/duties/{duty}",
        agreements.show_duty,
        "A duty",
        "duties",
        response=duty_models.Duty,
        parameters=_DUTY,
    ),
    Route(
        "POST",
        "/duties/{duty}/fulfilment",
        agreements.fulfil_duty,
        "Say that a duty was done",
        "duties",
        request=duty_models.Fulfilment,
        response=duty_models.Duty,
        parameters=_DUTY,
        errors=(NotFound, LocalProtocolError, Unavailable),
    ),
    *management_credentials.ROUTES,
]


def application(node: Node, token: str) -> web.Application:
    """The API, its OpenAPI document and its page, behind the guard."""
    settings = node.config.credentials
    routes = [*ROUTES, *credentials.routes(settings.api), *tokens.routes(settings.clients)]
    described = document(routes, title="Anode management API", version=__version__, description=_DESCRIPTION)
    return guard.application(
        node,
        routes,
        pages.page_routes(described),
        token=token,
        message_bytes=node.limits.message_bytes,
        json_depth=node.limits.json_depth,
        any_host=node.config.management.allow_remote,
    )


async def start(node: Node) -> tuple[web.AppRunner, int]:
    """Listen; the runner to clean up, and the port (the system's choice if the settings say 0)."""
    settings = node.config.management
    token = guard.read_token(settings.token_file)
    return await public.listen(application(node, token), settings.host, settings.port)
