"""The VC API (W3C Verifiable Credential API) on the management listener: issue, verify, derive, resolve.

One path to issue for each key and cryptosuite, since clients name neither. What is refused is refused with
400 and `{"verified": false, "errors": [...]}`, never with 200 and never with 5xx.
"""

from dataclasses import replace
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from connector.errors import AnodeError, NotFound, RemoteProtocolError, Untrusted
from connector.node import Node
from connector.vc import credential as model
from connector.vc import envelope
from connector.web.identifiers import answer, resolve_identifier
from connector.web.openapi import BadRequest, Call, Route

_PROBLEMS = "https://www.w3.org/TR/vc-data-model#"


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class IssueOptions(_Body):
    """`mandatoryPointers`: for selective disclosure, what every derived credential shows."""

    mandatoryPointers: list[str] = Field([], max_length=1000)  # noqa: N815  # the API's own name


class IssueRequest(_Body):
    """A credential to be issued."""

    credential: dict[str, Any]
    options: IssueOptions | None = None


class DeriveOptions(_Body):
    """`selectivePointers`: what is shown besides what always is, as JSON pointers."""

    selectivePointers: list[str] = Field([], max_length=1000)  # noqa: N815  # the API's own name


class DeriveRequest(_Body):
    """A credential with a base proof, and what of it shall be shown."""

    verifiableCredential: dict[str, Any]  # noqa: N815  # the API's own name
    options: DeriveOptions | None = None


class VerifyOptions(_Body):
    """`checks`: of `proof`, `credentialStatus` and `credentialSchema`, what is checked; all, if left out."""

    checks: list[str] | None = Field(None, max_length=10)
    challenge: str | None = None
    domain: str | None = None


class VerifyRequest(_Body):
    """A credential to be verified."""

    verifiableCredential: dict[str, Any]  # noqa: N815  # the API's own name
    options: VerifyOptions | None = None


class VerifyPresentationRequest(_Body):
    """A presentation to be verified."""

    verifiablePresentation: dict[str, Any]  # noqa: N815  # the API's own name
    options: VerifyOptions | None = None


class StatusRequest(_Body):
    """A status entry of a credential that this node issued, and whether its bit shall be set."""

    credentialStatus: dict[str, Any]  # noqa: N815  # the API's own name
    status: bool


class Verified(_Body):
    """The credential, or presentation, is what it says."""

    verified: bool = True
    errors: list[Any] = []
    warnings: list[Any] = []


class IssuerEntry(_Body):
    """A key to issue with: its name in paths, who issues, and under which suites."""

    name: str
    did: str
    suites: list[str]


class Issuers(_Body):
    """The keys that this node issues credentials with."""

    issuers: list[IssuerEntry]


def told(error: AnodeError) -> web.Response:
    """An error as the VC API tells it: 400 for whatever is wrong with what was sent."""
    kind = "MALFORMED_VALUE_ERROR" if isinstance(error, (RemoteProtocolError, BadRequest)) else "about:blank"
    kind = "CRYPTOGRAPHIC_SECURITY_ERROR" if isinstance(error, Untrusted) else kind
    problems = [
        {
            "type": kind if kind == "about:blank" else _PROBLEMS + kind,
            "title": error.code,
            "detail": "; ".join(error.reasons),
        }
    ]
    status = 404 if isinstance(error, NotFound) else 400
    return answer({"verified": False, "errors": problems}, status)


async def list_issuers(node: Node, call: Call) -> Issuers:
    """The keys to issue with; `name` and a suite make the path."""
    entries = [
        IssuerEntry(name=name, did=issuer.did, suites=[suite.name for suite in issuer.suites])
        for name, issuer in node.credentials.issuers.items()
    ]
    return Issuers(issuers=entries)


async def issue_credential(node: Node, call: Call) -> web.Response:
    """The credential with a proof added."""
    return await _issue(node, call, revocable=False)


async def issue_revocable_credential(node: Node, call: Call) -> web.Response:
    """The credential with status entries and a proof added."""
    return await _issue(node, call, revocable=True)


async def _issue(node: Node, call: Call, *, revocable: bool) -> web.Response:
    if call.path["suite"] == "jose":
        token = await node.credentials.issue_jwt(
            call.path["issuer"], call.body.credential, revocable=revocable
        )
        older = model.version(call.body.credential) == "1.1"
        return answer(envelope.envelope(token, "vc", older=older), 201)
    pointers = call.body.options.mandatoryPointers if call.body.options else []
    issued = await node.credentials.issue(
        call.path["issuer"], call.path["suite"], call.body.credential, pointers, revocable=revocable
    )
    return answer(issued, 201)


async def derive_credential(node: Node, call: Call) -> web.Response:
    """The parts of a credential that the pointers name, with a derived proof (ecdsa-sd-2023)."""
    pointers = call.body.options.selectivePointers if call.body.options else []
    return answer(await node.credentials.derive(call.body.verifiableCredential, pointers), 201)


async def verify_credential(node: Node, call: Call) -> Verified:
    """Whether a credential's proofs hold, it is valid now, its status is unset, and it fits its schema."""
    checks = call.body.options.checks if call.body.options else None
    await node.verifier.verify(
        call.body.verifiableCredential,
        status=checks is None or "credentialStatus" in checks,
        schema=checks is None or "credentialSchema" in checks,
    )
    return Verified()


async def verify_presentation(node: Node, call: Call) -> Verified:
    """Whether a presentation's proof holds for this challenge and domain, and all its credentials hold."""
    options = call.body.options or VerifyOptions(checks=None)
    await node.verifier.verify_presentation(
        call.body.verifiablePresentation, options.challenge, options.domain
    )
    return Verified()


async def set_credential_status(node: Node, call: Call) -> Verified:
    """Revoke or suspend a credential of ours, or take that back."""
    await node.credentials.statuses.set(call.body.credentialStatus, value=call.body.status)
    return Verified()


async def show_status_list(node: Node, call: Call) -> web.Response:
    """A status list of credentials issued here."""
    return answer(await node.credentials.status_list(call.path["name"]), 200)


_ISSUER = {"issuer": "The key's name.", "suite": "The cryptosuite's name, such as eddsa-rdfc-2022; or jose."}
_TAG = "credentials"
_ROUTES = [
    Route("GET", "/vc/issuers", list_issuers, "Keys to issue with", _TAG, response=Issuers),
    Route(
        "POST",
        "/vc/issuers/{issuer}/{suite}/credentials/issue",
        issue_credential,
        "Issue a credential",
        _TAG,
        request=IssueRequest,
        status=201,
        parameters=_ISSUER,
        told=told,
    ),
    Route(
        "POST",
        "/vc/issuers/{issuer}/{suite}/revocable/credentials/issue",
        issue_revocable_credential,
        "Issue a credential that can be revoked",
        _TAG,
        request=IssueRequest,
        status=201,
        parameters=_ISSUER,
        told=told,
    ),
    Route(
        "POST",
        "/vc/credentials/verify",
        verify_credential,
        "Verify a credential",
        _TAG,
        request=VerifyRequest,
        response=Verified,
        told=told,
    ),
    Route(
        "POST",
        "/vc/credentials/derive",
        derive_credential,
        "Show a part of a credential",
        _TAG,
        request=DeriveRequest,
        status=201,
        told=told,
    ),
    Route(
        "POST",
        "/vc/presentations/verify",
        verify_presentation,
        "Verify a presentation",
        _TAG,
        request=VerifyPresentationRequest,
        response=Verified,
        told=told,
    ),
    Route(
        "POST",
        "/vc/credentials/status",
        set_credential_status,
        "Revoke or suspend a credential",
        _TAG,
        request=StatusRequest,
        response=Verified,
        told=told,
    ),
    Route(
        "GET",
        "/vc/status/{name}",
        show_status_list,
        "A status list",
        _TAG,
        media_type="application/json",
        parameters={"name": "The list's name."},
        told=told,
        is_open=True,
    ),
    Route(
        "GET",
        "/vc/identifiers/{did:.+}",
        resolve_identifier,
        "Resolve a DID",
        _TAG,
        parameters={"did": "The DID; percent-encoded or not."},
    ),
]


def routes(api: str) -> list[Route]:
    """The routes, as `credentials.api` in the settings says: `token`, `open` or `off`.

    Revoking needs the token in any case.
    """
    if api == "off":
        return []
    opened = {route.path for route in _ROUTES} - {"/vc/credentials/status"} if api == "open" else set()
    return [replace(route, is_open=route.is_open or route.path in opened) for route in _ROUTES]
