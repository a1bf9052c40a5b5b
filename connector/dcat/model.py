"""DCAT documents as the Dataspace Protocol profiles them (2025-1, section 5), made of ready parts.

A dataset's own members are made into JSON once, when it is published; its policies once per policy. An
answer is those bytes joined, so that a page of a hundred costs no serialisation.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from connector.dcat.terms import CONTEXT, PROPERTY
from connector.odrl.model import Policy, to_document

HTTP_PULL = "HttpData-PULL"


def offer_id(dataset_id: str, digest: str) -> str:
    """The id of the offer of a dataset under a policy: a URI that stays while the policy's rules stay.

    >>> offer_id("urn:uuid:1", "c0ffee" * 8)
    'urn:uuid:1#offer-c0ffeec0ffeec0ff'
    """
    return f"{dataset_id}{'-' if '#' in dataset_id else '#'}offer-{digest[:16]}"


def rule_members(policy: Policy) -> bytes:
    """The rules of a policy as inner JSON, the same for all datasets it applies to."""
    document = to_document(policy)
    return inner(
        {n: v for n, v in document.items() if n in ("profile", "permission", "prohibition", "obligation")}
    )


def dataset_members(
    title: str,
    description: str | None,
    keywords: Sequence[str],
    media_type: str | None,
    properties: Mapping[str, str],
) -> bytes:
    """The descriptive members of a Dataset as inner JSON. Properties become terms of our own vocabulary."""
    members: dict[str, Any] = {"dct:title": title}
    if description:
        members["dct:description"] = description
    if keywords:
        members["dcat:keyword"] = list(keywords)
    if media_type:
        members["dct:format"] = media_type
    members.update({PROPERTY + name: value for name, value in properties.items()})
    return inner(members)


class Parts:
    """The parts that are the same in every answer of one node."""

    def __init__(self, participant: str, address: str) -> None:
        service = {"@id": f"{address}#dsp", "@type": "DataService", "endpointURL": address}
        self._distribution = inner(
            {"distribution": [{"@type": "Distribution", "format": HTTP_PULL, "accessService": service}]}
        )
        self._catalog = inner(
            {
                "@context": [CONTEXT],
                "@id": f"{address}#catalog",
                "@type": "Catalog",
                "participantId": participant,
            }
            | {"service": [service]}
        )
        self._context = inner({"@context": [CONTEXT]})

    def dataset(
        self, dataset_id: str, members: bytes, offers: Sequence[tuple[str, bytes]], alone: bool
    ) -> bytes:
        """A Dataset from its inner members and its offers (id, inner rules); `alone`: with an @context."""
        policies = b",".join(
            b'{"@id":%b,"@type":"Offer",%b}' % (orjson.dumps(offer), offer_rules)
            for offer, offer_rules in offers
        )
        return b'{%b"@id":%b,"@type":"Dataset","hasPolicy":[%b],%b,%b}' % (
            self._context + b"," if alone else b"",
            orjson.dumps(dataset_id),
            policies,
            self._distribution,
            members,
        )

    def catalog(self, datasets: Sequence[bytes]) -> bytes:
        """A Catalog. Without datasets it has no `dataset` member, as the schema wants."""
        listed = b',"dataset":[%b]' % b",".join(datasets) if datasets else b""
        return b"{%b%b}" % (self._catalog, listed)


def inner(document: Mapping[str, Any]) -> bytes:
    """A JSON object without its braces."""
    return orjson.dumps(document)[1:-1]
