"""Credentials: issued with keys that the node holds, verified whoever issued them.

Each document is checked for its shape, its keys are resolved, its costly part is done in a process that may
be killed (`connector.flows.workers`), and the signature is checked here.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connector.errors import NotFound, RemoteProtocolError, Untrusted
from connector.flows.clock import iso
from connector.flows.status import Statuses
from connector.flows.workers import Workers
from connector.vc import credential as model
from connector.vc import methods, multikey
from connector.vc.jose import shown
from connector.vc.multikey import Private, Public
from connector.vc.proofs import proof as proofs
from connector.vc.proofs import sd, suites
from connector.vc.proofs.proof import Expected
from connector.vc.proofs.suites import Suite

Resolve = Callable[[str], Awaitable[Mapping[str, Any]]]
MANDATORY = ["/issuer"]
"""What a selective disclosure always shows, if nobody says otherwise."""
DATA_INTEGRITY = "https://w3id.org/security/data-integrity/v2"


@dataclass(frozen=True, slots=True)
class Issuer:
    """A key to issue with: `did` is who issues, `method` the DID URL of the key."""

    did: str
    method: str
    private: Private = field(repr=False)

    @property
    def suites(self) -> list[Suite]:
        """The cryptosuites that this key can sign under."""
        return [s for s in suites.SUITES.values() if multikey.kind(self.private) in s.kinds]


def key_issuer(private: Private) -> Issuer:
    """An issuer known by its key alone: a did:key."""
    did = methods.did_key(private.public_key())
    return Issuer(did, f"{did}#{did.removeprefix('did:key:')}", private)


class Credentials:
    """Issue and verify.

    `issuers` by name; `resolve` gives the DID document of others; `statuses` issues and looks up status
    entries; `resources` is what is held of resources named with a digest. `bind_issuer` False takes proofs by
    keys of other DIDs than the issuer's: published test vectors need that, nobody else does.
    """

    def __init__(
        self,
        issuers: Mapping[str, Issuer],
        workers: Workers,
        resolve: Resolve,
        now: Callable[[], float],
        statuses: Statuses,
        *,
        resources: Mapping[str, tuple[bytes, ...]] | None = None,
        bind_issuer: bool = True,
    ) -> None:
        self.issuers = issuers
        self.workers = workers
        self.statuses = statuses
        self._resolve = resolve
        self._now = now
        self._resources = resources or {}
        self._bind_issuer = bind_issuer

    def issuer(self, name: str, cryptosuite: str) -> tuple[Issuer, Suite]:
        """The issuer called `name`, and the suite if its key can sign under it. Raises NotFound."""
        issuer = self.issuers.get(name)
        if issuer is None:
            raise NotFound(f"there is no issuer {shown(name)}; there are {', '.join(self.issuers)}")
        suite = next((s for s in issuer.suites if s.name == cryptosuite), None)
        if suite is None:
            able = ", ".join(s.name for s in issuer.suites)
            raise NotFound(f"the issuer {name} does not sign under {shown(cryptosuite)}, but under {able}")
        return issuer, suite

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
        """A status list of ours, signed. Raises NotFound."""
        by, document = self.statuses.credential(name)
        issuer = self.issuers[by]
        suite = next(s for s in issuer.suites if s.form == "rdfc")
        return await self._secured(issuer, suite, document, "assertionMethod", ())

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
            hashes = await self._hashes(suite, unsecured, proof, issuer.private.public_key())
            proof["proofValue"] = suites.sign(issuer.private, hashes)
        return {**unsecured, "proof": [*others, proof] if others else proof}

    async def _base_proof(
        self, issuer: Issuer, document: dict[str, Any], proof: dict[str, Any], pointers: Sequence[str]
    ) -> str:
        hmac_key, once = secrets.token_bytes(32), multikey.generate("P-256")
        always = list(pointers) or MANDATORY
        config = suites.options(proof, document, "sd")
        found, parts = await self.workers.run("base", document, config, always, hmac_key.hex())
        return sd.sign(issuer.private, once, hmac_key, bytes.fromhex(found), parts, always)

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

    async def verify(self, document: object, *, status: bool = True) -> None:
        """Raise RemoteProtocolError or Untrusted unless `document` is a credential with proofs that hold.

        `status` False does not look at its status. Unavailable: a DID or a status list can't be had now.
        """
        if not isinstance(document, dict):
            raise RemoteProtocolError("the credential must be a JSON object")
        model.check(document, self._resources)
        model.check_period(document, self._now())
        controllers = await self._proven(document, Expected())
        issuer = model.identifier(document["issuer"])
        if self._bind_issuer and controllers != {issuer}:
            raise Untrusted(
                f"the credential says that {shown(issuer)} issued it, but another one's key signed it"
            )
        if status:
            for entry in model.statuses(document):
                await self.statuses.check(entry, str(issuer), self.verify)

    async def verify_presentation(self, document: object, challenge: str | None, domain: str | None) -> None:
        """As `verify`, for a presentation and each credential in it. Its proof must be for authentication."""
        model.check_presentation(document)
        assert isinstance(document, dict)  # noqa: S101  # just checked
        controllers = await self._proven(document, Expected("authentication", challenge, domain))
        holder = model.identifier(document.get("holder"))
        if holder is not None and controllers != {holder}:
            raise Untrusted(f"the holder is {shown(holder)}, but another one's key signed the presentation")
        for entry in model.credentials(document):
            await self.verify(entry)

    async def _proven(self, document: Mapping[str, Any], expected: Expected) -> set[str]:
        """The DIDs whose keys made the document's proofs, each of which holds."""
        unsecured = {key: value for key, value in document.items() if key != "proof"}
        whole = model.proofs(document)
        controllers = set()
        for proof in whole:
            suite = proofs.check(proof, expected, self._now())
            reference = proof["verificationMethod"]
            controllers.add(reference.partition("#")[0])
            key = await self.key(reference, expected.purpose)
            proofs.fits(suite, key)
            before = list(model.earlier(proof, whole))
            await self._verify_one(suite, {**unsecured, "proof": before} if before else unsecured, proof, key)
        return controllers

    async def _verify_one(
        self, suite: Suite, document: Mapping[str, Any], proof: dict[str, Any], key: Public
    ) -> None:
        if suite.form == "sd":
            derived = sd.read_derived(proof["proofValue"])
            config = suites.options(proof, document, "sd")
            labels = [[number, octets.hex()] for number, octets in derived.labels.items()]
            found, parts = await self.workers.run("shown", document, config, labels, derived.mandatory)
            sd.verify(key, derived, bytes.fromhex(found), parts)
            return
        hashes = await self._hashes(suite, document, proof, key)
        suites.verify(key, proof["proofValue"], hashes)

    async def _hashes(
        self, suite: Suite, document: Mapping[str, Any], proof: Mapping[str, Any], key: Public
    ) -> tuple[bytes, bytes]:
        signed = suites.input_of(document, proof, suite.form)
        if signed.get("@context") != document.get("@context"):
            await self.workers.run(
                "check", document
            )  # what was added to the contexts must still mean something
        config = suites.options(proof, signed, suite.form)
        name = suites.algorithm(multikey.kind(key))
        first, second = await self.workers.run("digests", suite.form, signed, config, name)
        return bytes.fromhex(first), bytes.fromhex(second)

    async def key(self, reference: str, purpose: str) -> Public:
        """The key at a DID URL, for a purpose. Raises Untrusted or Unavailable."""
        did = reference.partition("#")[0]
        own = next((issuer for issuer in self.issuers.values() if issuer.method == reference), None)
        if own is not None:
            return own.private.public_key()
        return methods.method_key(await self.document(did), reference, purpose)

    async def document(self, did: str) -> Mapping[str, Any]:
        """The DID document of `did`."""
        return methods.local_document(did) or await self._resolve(did)
