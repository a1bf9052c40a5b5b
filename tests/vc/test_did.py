"""did:web: names to addresses and back; the document; what is believed of a stranger's."""

import json

import pytest

from connector.errors import NotFound, Untrusted
from connector.vc import did, keys, methods, multikey

DID = "did:web:a.example"
KEY = keys.generate(DID)
KID = KEY.kid


@pytest.mark.parametrize(
    ("url", "name", "where"),
    [
        ("https://a.example", "did:web:a.example", "https://a.example/.well-known/did.json"),
        ("https://A.Example/", "did:web:a.example", "https://a.example/.well-known/did.json"),
        ("https://a.example:8443", "did:web:a.example%3A8443", "https://a.example:8443/.well-known/did.json"),
        ("https://a.example/x/y/", "did:web:a.example:x:y", "https://a.example/x/y/did.json"),
        ("http://localhost:9000/n", "did:web:localhost%3A9000:n", "https://localhost:9000/n/did.json"),
    ],
)
def test_name_and_address(url: str, name: str, where: str) -> None:
    """A public URL gives a DID, and the DID gives the document's address under that URL."""
    assert did.did_for(url) == name
    assert did.document_url(name) == where


def test_scheme_is_the_callers() -> None:
    """Plain http is for who asks for it: loopback."""
    assert did.document_url("did:web:localhost%3a80", "http") == "http://localhost:80/.well-known/did.json"


@pytest.mark.parametrize(
    "url",
    [
        "a.example",
        "ftp://a.example",
        "https://",
        "https://127.0.0.1:8080",
        "https://[::1]",
        "https://u@a.example",
        "https://u:p@a.example",
        "https://a.example?x",
        "https://a.example#x",
        "https://a.example/../x",
        "https://a.example/a//b",
        "https://a_b.example",
        "https://a.example:99999",
    ],
)
def test_no_did_for(url: str) -> None:
    """URLs that can't carry a did:web are refused."""
    with pytest.raises(ValueError, match=r"URL|did:web|[Pp]ort"):
        did.did_for(url)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("did:key:z6Mk", "is no did:web"),
        ("did:web:", "not a host name"),
        ("did:WEB:a.example", "is no did:web"),
        ("https://a.example", "is no did:web"),
        ("did:web:127.0.0.1", "not an IP address"),
        ("did:web:2130706433", "not an IP address"),
        ("did:web:0x7f000001", "not an IP address"),
        ("did:web:127.1", "not an IP address"),
        ("did:web:a.0x7f", "not an IP address"),
        ("did:web:[::1]", "not a host name"),
        ("did:web:%5B%3A%3A1%5D", "port"),
        ("did:web:user@a.example", "not a host name"),
        ("did:web:user%40a.example", "not a host name"),
        ("did:web:a.example/x", "not a host name"),
        ("did:web:a.example?x", "not a host name"),
        ("did:web:a.example#x", "not a host name"),
        ("did:web:a..example", "not a host name"),
        ("did:web:.example", "not a host name"),
        ("did:web:a.example.", "not a host name"),
        ("did:web:-a.example", "not a host name"),
        ("did:web:" + "a" * 64 + ".example", "not a host name"),
        ("did:web:bücher.example", "not a host name"),
        ("did:web:a.example%3A", "port"),
        ("did:web:a.example%3A0", "port"),
        ("did:web:a.example%3A65536", "port"),
        ("did:web:a.example%3A80%3A80", "port"),
        ("did:web:a.example%3A80@b", "port"),
        ("did:web:a.example%3A٣", "port"),
        ("did:web:a.example:..:x", "path segment"),
        ("did:web:a.example:.", "path segment"),
        ("did:web:a.example:%2e%2E", "path segment"),
        ("did:web:a.example:a%2fb", "path segment"),
        ("did:web:a.example:a%5cb", "path segment"),
        ("did:web:a.example:a%00", "path segment"),
        ("did:web:a.example:a%252e", "path segment"),
        ("did:web:a.example:", "path segment"),
        ("did:web:a.example::x", "path segment"),
        ("did:web:a.example:a b", "path segment"),
        ("did:web:a.example:a\n", "path segment"),
        ("did:web:" + "a." * 300 + "example", "longer than"),
    ],
)
def test_unsound_did(name: str, reason: str) -> None:
    """Malformed names, addresses in disguise, and ways out of the path are refused with the reason."""
    with pytest.raises(Untrusted, match=reason):
        did.document_url(name)


def of(*held: keys.Key) -> list[did.Method]:
    return [did.method(key.kid, key.signer.public) for key in held]


def test_our_document() -> None:
    """It has what Eclipse connectors read: JsonWebKey2020 first, with absolute ids, and arrays of strings."""
    ed = keys.generate(DID, "ed25519-1", "Ed25519")
    second = keys.generate(DID, "key-2")
    document = did.document(DID, of(ed, KEY, second), [])
    assert document["@context"] == did.CONTEXTS
    first, _, last = document["verificationMethod"]
    assert first == {
        "id": KID,
        "type": "JsonWebKey2020",
        "controller": DID,
        "publicKeyJwk": KEY.public_jwk | {"kid": KID, "alg": "ES256", "use": "sig"},
    }
    assert last == {
        "id": ed.kid,
        "type": "Multikey",
        "controller": DID,
        "publicKeyMultibase": multikey.encode(ed.signer.public),
    }
    assert document["authentication"] == document["assertionMethod"] == [KID, second.kid, ed.kid]
    assert document["capabilityInvocation"] == [KID, second.kid]
    assert "private" not in json.dumps(document)


def test_an_ed25519_key_does_not_speak_for_us() -> None:
    """It signs documents; a token to a peer must be signed by a P-256 key."""
    ed = keys.generate(DID, "ed25519-1", "Ed25519")
    document = did.document(DID, of(KEY, ed), [])
    for purpose in ("authentication", "assertionMethod"):
        assert methods.method_key(document, ed.kid, purpose) == ed.signer.public
    with pytest.raises(Untrusted, match="under capabilityInvocation"):
        methods.method_key(document, ed.kid, "capabilityInvocation")


def test_a_past_key_is_for_what_it_has_signed() -> None:
    """Credentials that it signed still hold; neither tokens nor presentations by it do."""
    past = did.method(KID, KEY.signer.public, past=True)
    document = did.document(DID, [past, *of(keys.generate(DID, "key-2"))], [])
    assert methods.method_key(document, KID, "assertionMethod") == KEY.signer.public
    for purpose in ("authentication", "capabilityInvocation"):
        with pytest.raises(Untrusted, match=f"does not list .{KID}. under {purpose}"):
            methods.verification_key(document, DID, KID, purpose)


def test_our_services() -> None:
    """Where endpoints are, in the form of the standards' own examples; and ours for statements."""
    document = did.document(DID, of(KEY), did.services("https://a.example/base/"))
    assert {service["type"]: service["serviceEndpoint"] for service in document["service"]} == {
        "DataService": "https://a.example/base/.well-known/dspace-version",
        "CatalogService": "https://a.example/base/dsp/catalog",
        "CredentialService": "https://a.example/base/dcp/credential-service",
        "IssuerService": "https://a.example/base/dcp/issuer-service",
        "AgreementStatements": "https://a.example/base/agreements",
    }
    for service in document["service"]:
        assert set(service) == {"id", "type", "serviceEndpoint"}
        assert did.service_endpoint(document, service["type"]) == service["serviceEndpoint"]
    ids = [service["id"] for service in document["service"]]
    assert ids[0] == f"{DID}#data-service"
    assert len(set(ids)) == 5


def test_services_elsewhere() -> None:
    """A connector that is another program takes the place of ours; what we don't know is added."""
    given = {"DataService": "https://edc.example/api/dsp", "LinkedDomains": "https://a.example"}
    found = {service.type: service for service in did.services("https://a.example", given)}
    assert found["DataService"] == ("data-service", "DataService", "https://edc.example/api/dsp")
    assert found["LinkedDomains"].fragment == "linked-domains"
    assert found["IssuerService"].endpoint == "https://a.example/dcp/issuer-service"


def published(**changes: object) -> dict[str, object]:
    return did.document(DID, of(KEY), []) | changes


def method(**changes: object) -> dict[str, object]:
    return {"id": KID, "type": "JsonWebKey2020", "controller": DID, "publicKeyJwk": KEY.public_jwk} | changes


@pytest.mark.parametrize("kid", [KID, "#key-1", "key-1"])
@pytest.mark.parametrize("own_id", [KID, "#key-1", "key-1"])
@pytest.mark.parametrize("listed", [KID, "#key-1"])
def test_key_found(kid: str, own_id: str, listed: str) -> None:
    """Absolute and relative forms of a key's id mean the same key."""
    document = published(verificationMethod=[method(id=own_id)], capabilityInvocation=[listed])
    found = methods.verification_key(document, DID, kid)
    assert found == KEY.signer.public


def test_key_embedded_in_relationship() -> None:
    """A method embedded in a relationship serves for that one only (DID Core §5.3.1)."""
    document = published(verificationMethod=[], capabilityInvocation=[method()], authentication=[])
    methods.verification_key(document, DID, KID)
    with pytest.raises(Untrusted, match="no verification method"):
        methods.verification_key(document, DID, KID, "authentication")


def test_relationship_is_an_argument() -> None:
    """Eclipse identity hubs list no relationships; who asks for none gets the key."""
    document = published()
    del document["capabilityInvocation"]
    with pytest.raises(Untrusted, match=f"does not list .{KID}. under capabilityInvocation"):
        methods.verification_key(document, DID, KID)
    methods.verification_key(document, DID, KID, None)


def test_no_kid() -> None:
    """Without a kid the only key counts, if there is exactly one."""
    methods.verification_key(published(), DID, None)
    two = did.document(DID, of(KEY, keys.generate(DID, "key-2")), [])
    for document, count in ((two, 2), (published(verificationMethod=[]), 0)):
        with pytest.raises(Untrusted, match=f"names no key .kid., and {DID} publishes {count}"):
            methods.verification_key(document, DID, None)


@pytest.mark.parametrize(
    ("changes", "kid", "reason"),
    [
        ({"id": "did:web:b.example"}, KID, "has the id 'did:web:b.example'"),
        ({"id": None}, KID, "has the id None"),
        ({}, f"{DID}#key-9", "has no verification method"),
        ({}, "did:web:b.example#key-1", "not a key of did:web:a.example"),
        ({}, "did:web:a.example.evil#key-1", "not a key of"),
        ({}, DID, "not a key of"),
        ({}, "", "not a key of"),
        ({"verificationMethod": [method(), method()]}, KID, "twice"),
        ({"verificationMethod": [method(controller="did:web:b.example")]}, KID, "controlled by"),
        (
            {"verificationMethod": [method(publicKeyJwk=None)]},
            KID,
            "neither publicKeyMultibase nor publicKeyJwk",
        ),
        ({"verificationMethod": [method(publicKeyJwk={"kty": "RSA"})]}, KID, "none of Ed25519, P-256"),
        ({"verificationMethod": "x"}, KID, "has no verification method"),
        ({"verificationMethod": {"a": 1}}, KID, "has no verification method"),
        ({"verificationMethod": [None, 5, [], {"id": 7}]}, KID, "has no verification method"),
        ({"capabilityInvocation": []}, KID, "does not list"),
        ({"capabilityInvocation": [None, 5]}, KID, "does not list"),
        ({"capabilityInvocation": ["did:web:b.example#key-1"]}, KID, "does not list"),
    ],
)
def test_key_refused(changes: dict[str, object], kid: str, reason: str) -> None:
    """Each way in which a document does not vouch for a key has its own reason."""
    with pytest.raises(Untrusted, match=reason):
        methods.verification_key(published(**changes), DID, kid)


def test_service_endpoint() -> None:
    """The first service of a type counts; unsound entries are passed over; none is NotFound."""
    document = {
        "id": DID,
        "service": [
            None,
            {"type": "DataService", "serviceEndpoint": {"uri": "x"}},
            {"type": ["X", "DataService"], "serviceEndpoint": "https://a.example/1"},
        ],
    }
    assert did.service_endpoint(document, "DataService") == "https://a.example/1"
    for broken in (document, {"id": DID, "service": "x"}, {}):
        with pytest.raises(NotFound, match="names no CatalogService"):
            did.service_endpoint(broken, "CatalogService")
