"""Credentials issued with keys that the node holds: with a proof, or enveloped; and parts of them shown."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from connector.errors import NotFound, RemoteProtocolError
from connector.flows import ids
from connector.flows.clock import iso
from connector.flows.remembered import Remembered
from connector.flows.signing import signed
from connector.flows.status import Statuses
from connector.flows.verify import hashes
from connector.flows.workers import Workers
from connector.vc import credential as model
from connector.vc import envelope, methods, multikey
from connector.vc.jose import shown
from connector.vc.proofs import proof as proofs
from connector.vc.proofs import sd, suites
from connector.vc.proofs.suites import Suite
from connector.vc.signers import InMemory, Signer

MANDATORY = ("issuer", "validFrom", "validUntil", "issuanceDate", "expirationDate", "credentialStatus")
"""What a selective disclosure always shows, if nobody says otherwise: nobody shall hide that it has ended."""
LIST_LIFETIME = 60.0
"""Seconds that a signed status list of ours is handed out unchanged."""
DATA_INTEGRITY = "https://w3id.org/security/data-integrity/v2"


@dataclass(frozen=True, slots=True)
class Issuer:
    """A key to issue with: `did` is who issues, `method` the DID URL of the key."""

    did: str
    method: str
    signer: Signer = field(repr=False)

    @property
    def suites(self) -> list[Suite]:
        """The cryptosuites that this key can sign under."""
        return [s for s in suites.SUITES.values() if multikey.kind(self.signer.public) in s.kinds]


def key_issuer(signer: Signer) -> Issuer:
    """An issuer known by its key alone: a did:key."""
    did = methods.did_key(signer.public)
    return Issuer(did, f"{did}#{did.removeprefix('did:key:')}", signer)


class Credentials:
    """Issue, and show parts of what was issued.

    `issuers` by name; `statuses` gives out status entries; `resources` is what is held of resources named
    with a digest.
    """

    def __init__(
        self,
        issuers: Mapping[str, Issuer],
        workers: Workers,
        now: Callable[[], float],
        statuses: Statuses,
        *,
        resources: Mapping[str, tuple[bytes, ...]] | None = None,
    ) -> None:
        self.issuers = issuers
        self.workers = workers
        self.statuses = statuses
        self._now = now
        self._resources = resources or {}
        self._lists: Remembered[Any] = Remembered(
            now,
            lambda found: len(str(found)),
            lifetime=LIST_LIFETIME,
            failure_lifetime=1.0,
            capacity=64,
            fetches=16,
        )

    def issuer(self, name: str, cryptosuite: str) -> tuple[Issuer, Suite]:
        """The issuer called `name`, and the suite if its key can sign under it. Raises NotFound."""
        issuer = self._named(name)
        suite = next((s for s in issuer.suites if s.name == cryptosuite), None)
        if suite is None:
            able = ", ".join(s.name for s in issuer.suites)
            raise NotFound(f"the issuer {name} does not sign under {shown(cryptosuite)}, but under {able}")
        return issuer, suite

    def _named(self, name: str) -> Issuer:
        issuer = self.issuers.get(name)
        if issuer is None:
            raise NotFound(f"there is no issuer {shown(name)}; there are {', '.join(self.issuers)}")
        return issuer

    def prepared(self, issuer: Issuer, credential: object) -> dict[str, Any]:
        """A credential with its issuer filled in, and checked. Raises RemoteProtocolError."""
        if not isinstance(credential, dict):
            raise RemoteProtocolError("the credential must be a JSON object")
        document = dict(credential)
        if "issuer" not in document:
            document["issuer"] = issuer.did
        elif isinstance(document["issuer"], dict) and "id" not in document["issuer"]:
            document["issuer"] = {"id": issuer.did, **document["issuer"]}
        model.check(document, self._resources)
        if model.identifier(document["issuer"]) != issuer.did:
            raise RemoteProtocolError(f"this key issues as {issuer.did}, not as {shown(document['issuer'])}")
        return document

    async def issue(
        self,
        name: str,
        cryptosuite: str,
        credential: object,
        pointers: Sequence[str] = (),
        *,
        revocable: bool = False,
    ) -> dict[str, Any]:
        """`credential` with a proof added, and with status entries of ours if it shall be `revocable`.

        `pointers`: what a selective disclosure must always show.
        Raises NotFound (no such issuer) or RemoteProtocolError (not a credential that can be issued).
        """
        issuer, suite = self.issuer(name, cryptosuite)
        document = self.prepared(issuer, credential)
        if model.version(document) == "1.1" and DATA_INTEGRITY not in model.contexts(document):
            document["@context"] = [*model.contexts(document), DATA_INTEGRITY]
        if revocable:
            document = await self.statuses.assigned(name, document)
        return await self._secured(issuer, suite, document, "assertionMethod", pointers)

    async def status_list(self, name: str) -> dict[str, Any]:
        """A status list of ours, with a proof. Raises NotFound.

        Anybody may ask for it, so it is signed anew only once it is changed, or a minute old.
        """
        by, document = self.statuses.credential(name)
        make = partial(self._list, self.issuers[by], document)
        return dict((await self._lists.get((name, "proof", _bits(document)), make))[0])

    async def _list(self, issuer: Issuer, document: dict[str, Any]) -> dict[str, Any]:
        suite = next((s for s in issuer.suites if s.form == "rdfc"), None)
        if suite is None:
            raise NotFound("the list's issuer makes no proofs: ask for application/vc+jwt")
        if model.version(document) == "1.1":
            document["@context"] = [*model.contexts(document), DATA_INTEGRITY]
        return await self._secured(issuer, suite, document, "assertionMethod", ())

    async def status_list_jwt(self, name: str, *, older: bool) -> tuple[str, str]:
        """A status list of ours as JWT, and its media type. Raises NotFound.

        It is a `vc+jwt`; or, if `older` or the list is of data model 1.1, a JWT with a `vc` claim.
        """
        by, document = self.statuses.credential(name)
        issuer = self.issuers[by]
        older = older or model.version(document) == "1.1"
        form = "application/jwt" if older else "application/vc+jwt"
        make = partial(_jwt, issuer, document, older=older)
        return (await self._lists.get((name, form, _bits(document)), make))[0], form

    async def _secured(
        self, issuer: Issuer, suite: Suite, document: dict[str, Any], purpose: str, pointers: Sequence[str]
    ) -> dict[str, Any]:
        unsecured = {key: value for key, value in document.items() if key != "proof"}
        others = model.proofs(document) if "proof" in document else []
        proof = proofs.unsigned(suite, issuer.method, iso(self._now()), purpose)
        if suite.form == "jcs":
            proof["@context"] = unsecured["@context"]
        if suite.form == "sd":
            proof["proofValue"] = await self._base_proof(issuer, unsecured, proof, pointers)
        else:
            found = await hashes(self.workers, suite, unsecured, proof, issuer.signer.public)
            proof["proofValue"] = await signed(issuer.signer, partial(suites.sign, issuer.signer, found))
        return {**unsecured, "proof": [*others, proof] if others else proof}

    async def _base_proof(
        self, issuer: Issuer, document: dict[str, Any], proof: dict[str, Any], pointers: Sequence[str]
    ) -> str:
        hmac_key, once = secrets.token_bytes(32), InMemory(multikey.generate("P-256"))
        always = list(pointers) or [f"/{name}" for name in MANDATORY if name in document]
        config = suites.options(proof, document)
        found, parts = await self.workers.run("base", document, config, always, hmac_key.hex())
        sign = partial(sd.sign, issuer.signer, once, hmac_key, bytes.fromhex(found), parts, always)
        return await signed(issuer.signer, sign)

    async def derive(self, document: object, pointers: Sequence[str]) -> dict[str, Any]:
        """The part of a credential that `pointers` name, still signed by its issuer (ecdsa-sd-2023).

        Raises RemoteProtocolError: no base proof, or pointers that match nothing.
        """
        model.check(document, self._resources)
        assert isinstance(document, dict)  # noqa: S101  # just checked
        unsecured = {key: value for key, value in document.items() if key != "proof"}
        bases = [p for p in model.proofs(document) if p.get("cryptosuite") == "ecdsa-sd-2023"]
        if len(bases) != 1:
            raise RemoteProtocolError(
                f"the credential has {len(bases)} proofs of ecdsa-sd-2023; one is needed"
            )
        base = sd.read_base(bases[0].get("proofValue"))
        shown, labels, mandatory, wanted = await self.workers.run(
            "derived", unsecured, base.pointers, list(pointers), base.hmac_key.hex()
        )
        named = {number: bytes.fromhex(octets) for number, octets in labels}
        return {**shown, "proof": {**bases[0], "proofValue": sd.derived(base, named, mandatory, wanted)}}

    async def issue_jwt(
        self, name: str, credential: object, *, revocable: bool = False, meaning: bool = True
    ) -> str:
        """`credential` as a JWT: `vc+jwt` of data model 2.0, with a `vc` claim of 1.1 (§6.3.1 there).

        `meaning` False takes terms that no context defines: for readers who take the signed JSON by its
        names, as the JWT profiles of the Decentralized Claims Protocol do. Raises as `issue` does.
        """
        issuer = self._named(name)
        document = self.prepared(issuer, credential)
        if revocable:
            document = await self.statuses.assigned(name, document)
        if meaning:
            await self.workers.run("check", document)
        older = model.version(document) == "1.1"
        return await _jwt(issuer, document, older=older)


async def _jwt(issuer: Issuer, document: dict[str, Any], *, older: bool) -> str:
    if older:
        name = str(document.get("id", ids.new_id()))
        make = partial(envelope.older_credential_jwt, document, issuer.signer, issuer.method, name)
    else:
        make = partial(envelope.credential_jwt, document, issuer.signer, issuer.method)
    return await signed(issuer.signer, make)


def _bits(listed: Mapping[str, Any]) -> str:
    return str(listed["credentialSubject"]["encodedList"])
