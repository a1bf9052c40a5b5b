"""What we ask of peers outside negotiations and transfers: who they are, what they offer, new tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from connector.dsp.messages import CatalogRequestMessage
from connector.dsp.terms import VERSION
from connector.errors import Denied, NotFound, RemoteProtocolError, Unavailable
from connector.flows.identify import Identity
from connector.flows.transfer import DataAddress, read_address
from connector.jsonld import documents
from connector.peers.client import Answer, Transport
from connector.peers.did_web import DidResolver
from connector.store import processes as rows
from connector.store.database import Database
from connector.vc import did as did_web

_VERSION_PATH = "/.well-known/dspace-version"


@dataclass(frozen=True, slots=True)
class Peer:
    """A participant and the base URL of its protocol endpoints."""

    participant: str
    address: str


class Peers:
    """Our side of the catalog protocol, discovery and token refresh."""

    def __init__(self, transport: Transport, identity: Identity, resolver: DidResolver, db: Database) -> None:
        self._transport, self._identity, self._resolver, self._db = transport, identity, resolver, db

    async def find(self, peer: str) -> Peer:
        """A peer by DID (its document names the endpoint) or by URL (of its node, or its version document).

        :raises NotFound: it does not speak DSP 2025-1, or does not say who it is.
        :raises Denied: it says that it is a participant who is at home elsewhere.
        """
        participant = peer if peer.startswith("did:") else None
        if participant is not None:
            document = await self._resolver.resolve(participant)
            root = did_web.service_endpoint(document, "DataService").removesuffix(_VERSION_PATH)
        else:
            root = peer.removesuffix(_VERSION_PATH).rstrip("/")
            if urlsplit(root).scheme not in ("http", "https"):
                raise NotFound(f"{peer!r} is neither a DID nor a URL of a node.")
        answer = await self._transport.request("GET", root + _VERSION_PATH)
        if answer.status != 200:
            raise NotFound(
                f"{root}{_VERSION_PATH} answered {answer.status}; is this the root of a DSP connector?"
            )
        body: Any = documents.loads(answer.body)
        versions = body.get("protocolVersions") if isinstance(body, dict) else None
        for entry in versions if isinstance(versions, list) else []:
            if (
                isinstance(entry, dict)
                and entry.get("version") == VERSION
                and entry.get("binding", "HTTPS") == "HTTPS"
            ):
                participant = participant or entry.get("serviceId")
                if not isinstance(participant, str):
                    raise NotFound(f"{root} does not say which participant it is; name the peer by its DID.")
                if participant != peer and participant.startswith("did:"):
                    await self._confirm(participant, root)
                return Peer(participant, root + str(entry.get("path", "")).rstrip("/"))
        raise NotFound(f"{root} does not speak the Dataspace Protocol {VERSION}.")

    async def _confirm(self, participant: str, root: str) -> None:
        """That the participant a URL claims to be is at home there.

        Else whoever answers at that URL could collect tokens that we sign for another, and use them there
        in our name.

        :raises Denied: its DID document names another place.
        """
        document = await self._resolver.resolve(participant)
        endpoint = did_web.service_endpoint(document, "DataService").removesuffix(_VERSION_PATH)
        if endpoint.rstrip("/") != root:
            raise Denied(f"{root} says that it is {participant}, whose DID document names {endpoint}.")

    async def catalog(
        self, peer: Peer, filters: Sequence[Mapping[str, Any]] | None = None, url: str | None = None
    ) -> tuple[dict[str, Any], str | None]:
        """A page of a peer's catalog, and the URL of the next one. `url` is a `next` given before."""
        where = url or f"{peer.address}/catalog/request"
        if not where.startswith(peer.address + "/"):
            raise RemoteProtocolError(
                f"The next page {where} is not at the peer's own address {peer.address}."
            )
        message = CatalogRequestMessage(filter=list(filters) if filters else None)
        answer = await self._ask("POST", where, peer.participant, orjson.dumps(message.document()))
        return _document(answer, "Catalog"), _next(answer.headers.get("link", ""))

    async def dataset(self, peer: Peer, dataset_id: str) -> dict[str, Any]:
        """One dataset of a peer, with the offers it makes to us."""
        where = f"{peer.address}/catalog/datasets/{quote(dataset_id, safe='')}"
        return _document(await self._ask("GET", where, peer.participant, None), "Dataset")

    async def offers(self, peer: Peer, dataset_id: str) -> list[dict[str, Any]]:
        """The offers that a peer makes to us for a dataset, one at least, ready to ask for: with `target`.

        :raises NotFound: no such dataset, or no offer of it.
        """
        listed = (await self.dataset(peer, dataset_id)).get("hasPolicy")
        every = listed if isinstance(listed, list) else [listed]
        found = [o for o in every if isinstance(o, dict) and isinstance(o.get("@id"), str)]
        if not found:
            raise NotFound(f"{peer.participant} makes no offer for {dataset_id} that has an @id.")
        return [{**one, "@type": "Offer", "target": dataset_id} for one in found]

    async def offer(self, peer: Peer, dataset_id: str, offer_id: str) -> dict[str, Any]:
        """One of them, by its id. Raises NotFound."""
        offers = await self.offers(peer, dataset_id)
        for offer in offers:
            if offer.get("@id") == offer_id:
                return offer
        made = ", ".join(str(o.get("@id")) for o in offers)
        raise NotFound(f"{peer.participant} makes no offer {offer_id} for {dataset_id}; it makes: {made}.")

    async def state(self, pid: str) -> dict[str, Any]:
        """What the peer says of a process (only a provider must answer)."""
        process = rows.process(self._db.read, pid)
        if process is None or process.peer_pid is None or process.address is None:
            raise NotFound(f"There is no process {pid} that the peer knows.")
        where = f"{process.address}/{process.subject}s/{quote(process.peer_pid, safe=':')}"
        answer = await self._ask("GET", where, process.participant, None)
        return _document(
            answer, "ContractNegotiation" if process.subject == "negotiation" else "TransferProcess"
        )

    def data_address(self, pid: str) -> DataAddress:
        """Where the data of a transfer is, as its provider told."""
        process = rows.process(self._db.read, pid)
        if process is None or process.subject != "transfer":
            raise NotFound(f"There is no transfer {pid} in this node.")
        if process.state != "STARTED":
            why = f": {process.reason}" if process.reason else ""
            raise NotFound(f"The transfer is {process.state or 'not answered yet'}, not STARTED{why}.")
        address = read_address(process.details.get("address"))
        return replace(address, expires=process.details.get("address_ends"))

    async def refreshed(self, pid: str) -> dict[str, Any]:
        """New tokens from the provider, as a DataAddress to keep."""
        process, old = rows.process(self._db.read, pid), self.data_address(pid)
        if process is None or old.refresh_token is None or old.refresh_endpoint is None:
            raise NotFound("The provider gave no way to refresh this transfer's token; start a new transfer.")
        form = f"grant_type=refresh_token&refresh_token={quote(old.refresh_token, safe='')}".encode()
        content = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await self._ask("POST", old.refresh_endpoint, process.participant, form, content)
        body: Any = documents.loads(answer.body)
        token, refresh = (
            body.get(n) if isinstance(body, dict) else None for n in ("access_token", "refresh_token")
        )
        if not isinstance(token, str):
            raise RemoteProtocolError("The provider's answer to the refresh has no access_token.")
        lifetime = body.get("expires_in")
        return {
            "@type": "DataAddress",
            "endpoint": old.endpoint,
            "endpointType": process.details["address"]["endpointType"],
            "endpointProperties": [
                {"@type": "EndpointProperty", "name": name, "value": value}
                for name, value in (
                    ("authorization", token),
                    ("authType", "bearer"),
                    ("refreshToken", refresh or old.refresh_token),
                    ("refreshEndpoint", old.refresh_endpoint),
                    ("expiresIn", str(lifetime) if isinstance(lifetime, int) else None),
                )
                if value is not None
            ],
        }

    async def _ask(
        self,
        method: str,
        url: str,
        participant: str,
        body: bytes | None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        authorization = await self._identity.authorization(participant)
        content = headers or ({"Content-Type": "application/json"} if body is not None else {})
        answer = await self._transport.request(
            method, url, headers={"Authorization": authorization, **content}, body=body
        )
        if answer.status == 200:
            return answer
        said = "; ".join(reasons(answer)) or "no reason given"
        if answer.status == 404:
            raise NotFound(f"{participant}: {said}")
        if answer.status in (401, 403):
            raise Denied(f"{participant} refused ({answer.status}): {said}")
        if answer.status >= 500 or answer.status in (408, 409, 429):
            raise Unavailable(f"{participant} can't answer now ({answer.status}): {said}")
        raise RemoteProtocolError(f"{participant} answered {answer.status} to {method} {url}: {said}")


def _document(answer: Answer, type_: str) -> dict[str, Any]:
    body = documents.loads(answer.body)
    document = documents.message(body) if isinstance(body, dict) else {}
    if document.get("@type") != type_:
        raise RemoteProtocolError(f"The peer's answer is not a {type_}.")
    return document


def reasons(answer: Answer) -> list[str]:
    """The reasons in a peer's error body, if it has any: what it wrote, so not to be trusted."""
    try:
        body: Any = documents.loads(answer.body)
    except RemoteProtocolError:
        return []
    given = body.get("reason") if isinstance(body, dict) else None
    listed = given if isinstance(given, list) else []
    if any(isinstance(r, str) for r in listed):  # then objects with codes say the same for programs
        listed = [r for r in listed if not (isinstance(r, dict) and "code" in r)]
    return [str(r.get("@value", r) if isinstance(r, dict) else r)[:500] for r in listed[:10]]


def _next(link: str) -> str | None:
    """The URL of `rel="next"` in a Link header (RFC 8288)."""
    for part in link.split(","):
        target, _, parameters = part.partition(";")
        if 'rel="next"' in parameters.replace(" ", "") or "rel=next" in parameters.replace(" ", ""):
            return target.strip().strip("<>")
    return None
