"""Credentials that are right, and every way to spoil one that an issuer and a verifier must refuse."""

import hashlib
from base64 import b64encode
from copy import deepcopy
from typing import Any

from connector.vc import multibase

V1 = "https://www.w3.org/2018/credentials/v1"
V2 = "https://www.w3.org/ns/credentials/v2"
EXAMPLES = "https://www.w3.org/ns/credentials/examples/v2"
LIST = "https://issuer.example/status/1"

GOOD: dict[str, Any] = {
    "@context": [V2],
    "type": ["VerifiableCredential"],
    "credentialSubject": {"id": "did:example:subject", "name": "A subject"},
}
ENTRY: dict[str, Any] = {
    "id": f"{LIST}#7",
    "type": "BitstringStatusListEntry",
    "statusPurpose": "revocation",
    "statusListIndex": "7",
    "statusListCredential": LIST,
}
DIGEST = "sha256-" + b64encode(hashlib.sha256(b"held").digest()).decode()
RESOURCES = {
    f"https://held.example/{n}": (b"other version", b"held") for n in ("", *(str(n) for n in range(7)))
}


def changed(*path_and_value: Any, base: dict[str, Any] = GOOD) -> dict[str, Any]:
    """The good credential with one value put, or (`...`) taken out, at a path."""
    *path, last, value = path_and_value
    document = deepcopy(base)
    place: Any = document
    for key in path:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


def status(**members: Any) -> dict[str, Any]:
    return changed("credentialStatus", {**ENTRY, **members})


def related(*entries: Any) -> dict[str, Any]:
    return changed("relatedResource", list(entries))


ISSUABLE = {
    "plain": GOOD,
    "subjects": changed("credentialSubject", [{"name": "a"}, {"id": "urn:x:y"}]),
    "absolute type": changed("type", ["VerifiableCredential", "https://types.example/T"]),
    "mapped type": {
        **changed("type", ["VerifiableCredential", "T"]),
        "@context": [V2, {"T": "https://types.example/T"}],
    },
    "context as in its file": {
        **changed("type", ["VerifiableCredential", "T"]),
        "@context": [V2, {"@context": {"T": "https://types.example/T"}}],
    },
    "any period": {
        **GOOD,
        "validFrom": "2090-01-01T00:00:00.123+02:00",
        "validUntil": "2099-01-01T00:00:00Z",
    },
    "past period": changed("validUntil", "2000-01-01T00:00:00Z"),
    "status without id": changed("credentialStatus", {k: v for k, v in ENTRY.items() if k != "id"}),
    "unknown status": {
        **changed("credentialStatus", {"type": "https://types.example/Status", "id": "urn:x:s"}),
    },
    "statuses": changed("credentialStatus", [ENTRY, {**ENTRY, "statusPurpose": "suspension"}]),
    "status messages": status(
        statusSize=2, statusMessage=[{"status": f"0x{n}", "message": f"m{n}"} for n in range(4)]
    ),
    "schema": changed("credentialSchema", {"id": "https://s.example/1", "type": "JsonSchema"}),
    "schemas": changed("credentialSchema", [{"id": "https://s.example/1", "type": "JsonSchema"}] * 2),
    "terms, evidence, refresh": {
        **GOOD,
        "@context": [V2, EXAMPLES],
        "termsOfUse": {"type": "SomeTerms"},
        "evidence": [{"type": ["SomeEvidence"]}],
        "refreshService": {"type": "SomeRefresh", "id": "https://r.example/"},
    },
    "language": changed("name", {"@value": "مثال", "@language": "ar", "@direction": "rtl"}),
    "languages": changed("description", [{"@value": "a", "@language": "en"}, "b"]),
    "issuer object": changed("issuer", {"name": "We", "description": {"@value": "us"}}),
    "related in each form": related(
        *[
            {"id": f"https://held.example/{n}", **digest}
            for n, digest in enumerate(
                [
                    *[
                        {"digestSRI": f"{a}-" + b64encode(hashlib.new(a, b"held").digest()).decode()}
                        for a in ("sha256", "sha384", "sha512")
                    ],
                    {"digestMultibase": multibase.encode("u", hashlib.sha256(b"held").digest())},
                    {
                        "digestMultibase": multibase.encode(
                            "z", b"\x12\x20" + hashlib.sha256(b"held").digest()
                        )
                    },
                    {
                        "digestMultibase": multibase.encode(
                            "u", b"\x20\x30" + hashlib.sha384(b"held").digest()
                        )
                    },
                    {
                        "digestMultibase": multibase.encode(
                            "u", b"\x13\x40" + hashlib.sha512(b"held").digest()
                        )
                    },
                ]
            )
        ]
    ),
    "related": related(
        {"id": "https://held.example/", "digestSRI": DIGEST}, {"id": "urn:x:y", "digestSRI": DIGEST}
    ),
}
"""What must be issuable, by what is special about it."""

REJECTED = {
    "context missing": changed("@context", ...),
    "context empty": changed("@context", []),
    "context null": changed("@context", None),
    "context number": changed("@context", [V2, 7]),
    "context no URL": changed("@context", [V2, "not a url"]),
    "context null entry": changed("@context", [V2, None]),
    "context unknown": changed("@context", [V2, "https://unknown.example/v1"]),
    "context without base": changed("@context", [EXAMPLES]),
    "context order": changed("@context", [EXAMPLES, V2]),
    "context redefines": changed("@context", [V2, {"VerifiableCredential": "https://e.example/V"}]),
    "context redefines text": changed("@context", [V2, {"name": "https://e.example/n"}]),
    "context in a context undefined": {
        **changed("type", ["VerifiableCredential", "T"]),
        "@context": [V2, {"@context": {"T": "not-an-iri"}}],
    },
    "context in a context and more": {
        **changed("type", ["VerifiableCredential", "T"]),
        "@context": [V2, {"@context": {"T": "https://types.example/T"}, "T": "https://types.example/U"}],
    },
    "type missing": changed("type", ...),
    "type empty": changed("type", []),
    "type null": changed("type", None),
    "type number": changed("type", ["VerifiableCredential", 7]),
    "type other": changed("type", ["https://types.example/T"]),
    "type unmapped": changed("type", ["VerifiableCredential", "Unmapped"]),
    "type mapped to no IRI": {
        **changed("type", ["VerifiableCredential", "T"]),
        "@context": [V2, {"T": "not-an-iri"}],
    },
    "type through base": {
        **changed("type", ["VerifiableCredential", "T"]),
        "@context": [V2, {"@base": "https://e.example/"}],
    },
    "id null": changed("id", None),
    "id array": changed("id", ["urn:x:1", "urn:x:2"]),
    "id no URL": changed("id", "not a url"),
    "id number": changed("id", 7),
    "subject id null": changed("credentialSubject", "id", None),
    "subject id no URL": changed("credentialSubject", "id", "not-a-url"),
    "subject id array": changed("credentialSubject", "id", ["urn:x:1"]),
    "status id null": status(id=None),
    "status id no URL": status(id="no url"),
    "status id array": status(id=["urn:x:1"]),
    "issuer null": changed("issuer", None),
    "issuer no URL": changed("issuer", "not-a-url"),
    "issuer number": changed("issuer", 7),
    "issuer id null": changed("issuer", {"id": None}),
    "issuer id no URL": changed("issuer", {"id": "not-a-url"}),
    "issuer name number": changed("issuer", {"name": 7}),
    "issuer names": changed("issuer", {"name": ["a", {"@value": 7}]}),
    "issuer description object": changed("issuer", {"description": {"@value": "x", "id": "urn:x:y"}}),
    "subject missing": changed("credentialSubject", ...),
    "subject empty": changed("credentialSubject", {}),
    "subject string": changed("credentialSubject", "did:example:subject"),
    "subject null": changed("credentialSubject", None),
    "subjects none": changed("credentialSubject", []),
    "subjects one empty": changed("credentialSubject", [{"name": "a"}, {}]),
    "from no date": changed("validFrom", "yesterday"),
    "from no time": changed("validFrom", "2026-01-01"),
    "from no offset": changed("validFrom", "2026-01-01T00:00:00"),
    "from impossible": changed("validFrom", "2026-13-41T00:00:00Z"),
    "from number": changed("validFrom", 1767225600),
    "until no date": changed("validUntil", "tomorrow"),
    "until before from": {**GOOD, "validFrom": "2026-01-02T00:00:00Z", "validUntil": "2026-01-01T00:00:00Z"},
    **{
        f"{key} {what}": changed(key, value)
        for key in ("credentialStatus", "termsOfUse", "evidence", "refreshService", "credentialSchema")
        for what, value in {
            "untyped": {"id": "urn:x:1"},
            "untyped, in an array": [{"id": "urn:x:1"}],
            "one untyped": [{"id": "urn:x:1", "type": "https://types.example/T"}, {"id": "urn:x:2"}],
            "type null": {"id": "urn:x:1", "type": None},
            "type number": {"id": "urn:x:1", "type": 7},
            "type empty": {"id": "urn:x:1", "type": []},
            "a string": "urn:x:1",
            "null": None,
        }.items()
    },
    "schema no id": changed("credentialSchema", {"type": "JsonSchema"}),
    "schema id no URL": changed("credentialSchema", {"id": "x", "type": "JsonSchema"}),
    "name number": changed("name", 7),
    "name of objects": changed("name", {"value": "x"}),
    "name with more": changed("name", {"@value": "x", "@language": "en", "url": "did:example:1"}),
    "description null": changed("description", None),
    "description language": changed("description", {"@value": "x", "@language": 7}),
    "descriptions number": changed("description", ["a", 7]),
    "related string": related("https://held.example/"),
    "related no id": related({"digestSRI": DIGEST}),
    "related twice": related(*[{"id": "https://held.example/", "digestSRI": DIGEST}] * 2),
    "related no digest": related({"id": "https://held.example/"}),
    "related wrong digest": related({"id": "https://held.example/", "digestSRI": "sha256-" + "A" * 43 + "="}),
    "related wrong digest in multibase": related(
        {"id": "https://held.example/", "digestMultibase": multibase.encode("u", bytes(32))}
    ),
    "related one wrong of two": related(
        {
            "id": "https://held.example/",
            "digestSRI": DIGEST,
            "digestMultibase": multibase.encode("u", bytes(32)),
        }
    ),
    "related wrong form": related({"id": "https://held.example/", "digestSRI": "md5-AAAA"}),
    "related wrong multibase": related({"id": "https://held.example/", "digestMultibase": "uAAAA"}),
    "undefined term": changed("undefinedTerm", "x"),
    "undefined term below": changed("credentialSubject", "undefinedTerm", "x"),
    "undefined array": changed("credentialSubject", "undefinedTerm", []),
    "entry no purpose": status(statusPurpose=None),
    "entry index negative": status(statusListIndex="-1"),
    "entry index text": status(statusListIndex="seven"),
    "entry index number": status(statusListIndex=7),
    "entry no list": status(statusListCredential=None),
    "entry list no URL": status(statusListCredential="list"),
    "entry id is list": status(id=LIST),
    "entry size zero": status(statusSize=0),
    "entry size text": status(statusSize="2"),
    "entry size without messages": status(statusSize=2),
    "entry messages too few": status(statusSize=2, statusMessage=[{"status": "0x0", "message": "m"}]),
    "entry message malformed": status(statusSize=1, statusMessage=[{"status": "0", "message": "m"}] * 2),
    "list without purpose": {
        **changed("type", ["VerifiableCredential", "BitstringStatusListCredential"]),
        "credentialSubject": {"type": "BitstringStatusList", "encodedList": "uAAAA"},
    },
    "list of another base": {
        **changed("type", ["VerifiableCredential", "BitstringStatusListCredential"]),
        "credentialSubject": {
            "type": "BitstringStatusList",
            "statusPurpose": "revocation",
            "encodedList": "zAA",
        },
    },
}
"""What must be refused at issuing, and at verifying, by what is wrong with it."""

GOOD_1_1: dict[str, Any] = {
    "@context": [V1],
    "type": ["VerifiableCredential"],
    "issuanceDate": "2026-01-01T00:00:00Z",
    "credentialSubject": {"id": "did:example:subject"},
}
