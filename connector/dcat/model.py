"""DCAT documents as the Dataspace Protocol profiles them (2025-1, section 5), made of ready parts.

A dataset's own members are made into JSON once, when it is published; its policies once per policy. An
answer is those bytes joined, so that a page of a hundred costs no serialisation.
"""

from collections.abc import Iterable, Mapping, Sequence
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


Offered = bytes
"""An Offer as JSON, from within its `@id` on: the same for all datasets under a policy."""

_RULES = ("profile", "permission", "prohibition", "obligation")


def offered(policy: Policy, digest: str) -> Offered:
    """The part of an Offer that does not depend on the dataset."""
    rules = {name: value for name, value in to_document(policy).items() if name in _RULES}
    return b'offer-%b","@type":"Offer",%b}' % (digest[:16].encode(), inner(rules))


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
        distribution = {"@type": "Distribution", "format": HTTP_PULL, "accessService": service}
        self._before_members = b"]," + inner({"distribution": [distribution]}) + b","
        self._catalog = inner(
            {
                "@id": f"{address}#catalog",
                "@type": "Catalog",
                "participantId": participant,
            }
            | {"service": [service]}
        )

    def dataset(
        self, dataset_id: str, members: bytes, offers: Sequence[Offered], contexts: Sequence[str] = (CONTEXT,)
    ) -> bytes:
        """A Dataset by itself. `contexts` are what its offers need."""
        parts = [b"{", _context(contexts), b'"@id":"']
        self._rest(parts, dataset_id, members, offers)
        return b"".join(parts)

    def catalog(
        self, datasets: Iterable[tuple[str, bytes, Sequence[Offered]]], contexts: Sequence[str] = (CONTEXT,)
    ) -> bytes:
        """A Catalog of datasets: id, members, offers. Without any there is no `dataset`: the schema."""
        parts: list[bytes] = [b"{", _context(contexts), self._catalog]
        without = len(parts)
        before = b',"dataset":[{"@id":"'
        for dataset_id, members, offers in datasets:
            parts.append(before)
            self._rest(parts, dataset_id, members, offers)
            before = b',{"@id":"'
        parts.append(b"]}" if len(parts) > without else b"}")
        return b"".join(parts)

    def _rest(self, parts: list[bytes], dataset_id: str, members: bytes, offers: Sequence[Offered]) -> None:
        """What follows the opening of a Dataset's `@id`. Joined once at the end: this runs for each entry."""
        name = orjson.dumps(dataset_id)[1:-1]
        parts.append(name)
        mark = b"-" if "#" in dataset_id else b"#"
        before = b'","@type":"Dataset","hasPolicy":[{"@id":"'
        for offered in offers:
            parts += (before, name, mark, offered)
            before = b',{"@id":"'
        parts += (self._before_members, members, b"}")


def _context(contexts: Sequence[str]) -> bytes:
    return inner({"@context": list(contexts)}) + b","


def inner(document: Mapping[str, Any]) -> bytes:
    """A JSON object without its braces."""
    return orjson.dumps(document)[1:-1]
