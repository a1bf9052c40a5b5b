"""Credentials and presentations verified, whoever issued them, in each form.

Each document is checked for its shape, its keys are resolved, its costly part is done in a process that may
be killed (`connector.flows.workers`), and the signature is checked here.
"""

import copy
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connector.errors import RemoteProtocolError, Untrusted
from connector.flows.older_proofs import OlderProofs, has_older_proof
from connector.flows.schemas import Schemas
from connector.flows.status import Statuses
from connector.flows.workers import Workers
from connector.jsonld.documents import loads
from connector.vc import credential as model
from connector.vc import envelope, jws, methods, multikey
from connector.vc.dates import instant
from connector.vc.envelope import Enveloped
from connector.vc.jose import shown
from connector.vc.multikey import Public
from connector.vc.proofs import proof as proofs
from connector.vc.proofs import sd, suites
from connector.vc.proofs.proof import Expected
from connector.vc.proofs.suites import Suite
from connector.vc.status import BITSTRING, STRICT, Demands

Resolve = Callable[[str], Awaitable[Mapping[str, Any]]]

_MAX_LIST = 2 << 20
_MAX_DEPTH = 32


async def hashes(
    workers: Workers, suite: Suite, document: Mapping[str, Any], proof: Mapping[str, Any], key: Public
) -> tuple[bytes, bytes]:
    """Hashes of a proof's configuration and of the document it stands over. Raises RemoteProtocolError."""
    signed = suites.input_of(document, proof, suite.form)
    if signed.get("@context") != document.get("@context"):
        await workers.run("check", document)  # what was added to the contexts must still mean something
    config = suites.options(proof, signed)
    name = suites.algorithm(multikey.kind(key))
    first, second = await workers.run("digests", suite.form, signed, config, name)
    return bytes.fromhex(first), bytes.fromhex(second)


@dataclass(frozen=True, slots=True)
class VerifiedCredential:
    """A credential that holds, before `until` (epoch seconds).

    `document` is what `issuer` signed; `token` the JWT it came in, if in one.
    """

    document: Mapping[str, Any]
    issuer: str
    token: str | None = None
    until: float = math.inf


@dataclass(frozen=True, slots=True)
class Presented:
    """A presentation that holds: whose key signed it, and the credentials in it, each of which holds."""

    holder: str
    credentials: tuple[VerifiedCredential, ...]


@dataclass(frozen=True, slots=True)
class Unopened:
    """A presentation whose own signature holds; what is in it was not looked at."""

    holder: str | None
    document: Mapping[str, Any]


def _end(document: Mapping[str, Any]) -> float:
    end = model.period(document)[1]
    return math.inf if end is None else end


class Verifier:
    """Says whether credentials hold.

    `resolve` gives the DID document of a DID, `statuses` looks up status entries, `schemas` the schemas that
    credentials name; `resources` is what is held of resources named with a digest. `bind_issuer` False takes
    proofs by keys of other DIDs than the issuer's: published test vectors need that, nobody else does.
    `older_jwt` takes JWTs with a `vc` or `vp` claim (data model 1.1) as well, `older_proofs` its linked-data
    proofs.
    `relationships` False takes a key whose DID document lists none for the purpose: Eclipse's wallets don't.
    `loose_shape` takes JWTs of data model 1.1 with the mistakes of the 1.0.0-RC6 conformance kit: no type
    VerifiableCredential, a `sub` that is not the subject, null members, `context` for `@context`, an id as
    context.
    """

    def __init__(
        self,
        workers: Workers,
        resolve: Resolve,
        now: Callable[[], float],
        statuses: Statuses,
        schemas: Schemas,
        *,
        resources: Mapping[str, tuple[bytes, ...]] | None = None,
        bind_issuer: bool = True,
        older_jwt: bool = True,
        older_proofs: OlderProofs | None = None,
        relationships: bool = True,
        loose_shape: bool = False,
    ) -> None:
        self._workers = workers
        self._resolve = resolve
        self._now = now
        self._statuses = statuses
        self._schemas = schemas
        self._resources = resources or {}
        self._bind_issuer = bind_issuer
        self._older_jwt = older_jwt
        self._older_proofs = older_proofs
        self._relationships = relationships
        self._loose_shape = loose_shape

    def at(self, moment: float) -> "Verifier":
        """The same as of another time: was what has ended since ever right? Keys are those of today."""
        other = copy.copy(self)
        other._now = lambda: moment
        return other

    async def close(self) -> None:
        """End the process for older proofs. `workers` belongs to who made it."""
        if self._older_proofs is not None:
            await self._older_proofs.workers.close()

    async def verify(
        self, document: object, *, status: bool = True, schema: bool = True
    ) -> VerifiedCredential:
        """The credential in `document`, if its proofs hold; else raises RemoteProtocolError or Untrusted.

        It may be enveloped. `status` and `schema` False do not look at these. Unavailable: a DID, a status
        list or a schema can't be had now.
        """
        if not isinstance(document, dict):
            raise RemoteProtocolError("the credential must be a JSON object")
        if envelope.is_enveloped(document, "vc"):
            token, older = envelope.unwrapped(document, "vc")
            return await self.verify_jwt(token, older=older, status=status, schema=schema)
        model.check(document, self._resources)
        model.check_period(document, self._now())
        if self._older_proofs is not None and has_older_proof(document):
            await self._workers.run("check", {key: v for key, v in document.items() if key != "proof"})
            controllers = {await self._older_proofs.verify(document, self._now())}
        else:
            controllers = await self._proven(document, Expected())
        issuer = str(model.identifier(document["issuer"]))
        # Others may have signed it as well: a proof made after another's, or one beside it.
        if self._bind_issuer and issuer not in controllers:
            raise Untrusted(
                f"the credential says that {shown(issuer)} issued it, but another one's key signed it"
            )
        await self._look_up(document, issuer, status, schema)
        return VerifiedCredential(document, issuer, None, _end(document))

    async def verify_jwt(
        self,
        token: str,
        *,
        older: bool = False,
        status: bool = True,
        schema: bool = True,
        meaning: bool = True,
    ) -> VerifiedCredential:
        """The credential in a JWT, verified as `verify` does. `older`: with a `vc` claim, of VCDM 1.1.

        `meaning` False takes the signed JSON by its names, as the JWT profiles of the Decentralized Claims
        Protocol do, and asks no context what they mean. Nothing can be lost or added then: it is signed as
        it stands.
        """
        found = await self._credential(token, older=older, meaning=meaning, loose=self._loose_shape)
        document = envelope.unclaimed(found.document)
        await self._look_up(document, found.signer, status, schema)
        exp = found.token.payload.get("exp")
        until = min(_end(found.document), math.inf if exp is None else exp)
        return VerifiedCredential(document, found.signer, token, until)

    async def _credential(self, token: str, *, older: bool, meaning: bool, loose: bool) -> Enveloped:
        if older and not self._older_jwt:
            raise RemoteProtocolError("credentials as JWT with a vc claim are not taken here")
        found = envelope.read(token, "vc", self._now(), older=older, loose=loose)
        document = found.document
        # Eclipse's issuers put lists of the newer kind into JWTs of the older form.
        listed = BITSTRING[1] in model.types(document)
        version = model.check(document, self._resources, by_name=not meaning, loose=loose)
        if version == "2.0" and older and not listed:
            raise RemoteProtocolError("a JWT with a vc claim holds a credential of data model 1.1")
        model.check_period(document, self._now())
        await self._signed(found, "assertionMethod")
        if meaning:
            await self._workers.run("check", envelope.unclaimed(document))
        return found

    async def check_status(self, document: Mapping[str, Any], issuer: str) -> float:
        """Raise Untrusted if the status of a credential of `issuer` is set; Unavailable: can't be told now.

        Returns until when that answer is good (epoch seconds).
        """
        good = math.inf
        for entry in model.statuses(document):
            good = min(good, await self._statuses.check(entry, issuer, self.fetched))
        return good

    async def _look_up(self, document: Mapping[str, Any], issuer: str, status: bool, schema: bool) -> None:
        if status:
            await self.check_status(document, issuer)
        if schema:
            await self.check_schema(document)

    async def check_schema(self, document: Mapping[str, Any]) -> None:
        """Raise Untrusted unless a credential is what its schemas want; Unavailable: not to be had now."""
        await self._schemas.check(document, self._schema)

    async def _schema(self, body: bytes) -> Mapping[str, Any]:
        found = await self.fetched(body, STRICT)
        await self._look_up(found, str(model.identifier(found["issuer"])), status=True, schema=False)
        return found

    async def fetched(self, body: bytes, demands: Demands) -> Mapping[str, Any]:
        """The credential in the body of an answer: with a proof, enveloped, or a JWT of either form.

        Neither its own status nor its schema is looked at. Raises as `verify` does.
        """
        if body[:1] == b"e":  # base64url of a JWT's `{"`
            return await self._listed(body.decode("ascii", "replace").strip(), demands)
        document = loads(body, max_bytes=_MAX_LIST, max_depth=_MAX_DEPTH)
        if envelope.is_enveloped(document, "vc"):
            return await self._listed(envelope.unwrapped(document, "vc")[0], demands)
        if demands.signed or not isinstance(document, dict) or "proof" in document:
            return (await self.verify(document, status=False, schema=False)).document
        for member in ("validUntil", "expirationDate"):
            end = document.get(member)
            if end is not None and instant(end, member) < self._now():
                raise Untrusted("the status list has expired")
        return document

    async def _listed(self, token: str, demands: Demands) -> Mapping[str, Any]:
        older = "vc" in jws.parse(token).payload
        loose = not demands.shaped
        return (await self._credential(token, older=older, meaning=False, loose=loose)).document

    async def _signed(self, found: Enveloped, purpose: str) -> None:
        """Raise Untrusted unless the JWT is signed by a key of who it says, for that purpose."""
        kid = found.token.header["kid"]
        if kid.startswith("did:"):
            if kid.partition("#")[0] != found.signer:
                raise Untrusted(f"the JWT's key is {shown(kid)}, which is none of {shown(found.signer)}")
            key = await self.key(kid, purpose)
        else:
            document = await self.document(found.signer)
            asked = methods.asked(document, purpose, demanded=self._relationships)
            key = methods.key_by_thumbprint(document, found.signer, kid, asked)
        jws.verify(found.token, key)

    async def verify_presentation(self, document: object, challenge: str | None, domain: str | None) -> None:
        """As `verify`, for a presentation and each credential in it. Its proof must be for authentication."""
        if isinstance(document, dict) and envelope.is_enveloped(document, "vp"):
            token, older = envelope.unwrapped(document, "vp")
            await self.verify_presentation_jwt(token, domain, challenge, older=older)
            return
        opened = await self.presentation(document, challenge, domain)
        for entry in model.credentials(opened.document):
            await self.verify(entry)

    async def presentation(self, document: object, challenge: str | None, domain: str | None) -> Unopened:
        """What a presentation with a proof presents, its own proof verified; its credentials not."""
        model.check_presentation(document)
        assert isinstance(document, dict)  # noqa: S101  # just checked
        controllers = await self._proven(document, Expected("authentication", challenge, domain))
        holder = model.identifier(document.get("holder"))
        if holder is not None and controllers != {holder}:
            raise Untrusted(f"the holder is {shown(holder)}, but another one's key signed the presentation")
        return Unopened(holder, document)

    async def verify_presentation_jwt(
        self,
        token: str,
        audience: str | None,
        nonce: str | None,
        *,
        older: bool = False,
        meaning: bool = True,
    ) -> Presented:
        """What the presentation in a JWT presents, verified with each credential in it; also in the double
        envelope. `meaning` as for `verify_jwt`.

        Audience, period and key are checked on each layer, which Eclipse connectors do not.
        """
        found = await self.presentation_jwt(token, audience, nonce, older=older, meaning=meaning)
        entries = model.credentials(found.document)
        return Presented(
            str(found.holder), tuple([await self._presented(entry, meaning) for entry in entries])
        )

    async def presentation_jwt(
        self, token: str, audience: str | None, nonce: str | None, *, older: bool, meaning: bool
    ) -> Unopened:
        """The same without looking at the credentials in it. Without `meaning` it must say when it ends."""
        if older and not self._older_jwt:
            raise RemoteProtocolError("presentations as JWT with a vp claim are not taken here")
        inner, outer = (token, None) if older else envelope.inner_presentation(token)
        found = envelope.read(inner, "vp", self._now(), older=older, loose=self._loose_shape)
        envelope.asked_for(found.token, audience, nonce, ends=not meaning)
        await self._signed(found, "authentication")
        if outer is not None:
            wrapped = envelope.outer(outer, self._now())
            envelope.asked_for(wrapped.token, audience, None, ends=not meaning)
            if wrapped.signer != found.signer:
                raise Untrusted("the two envelopes of the presentation are signed by different parties")
            await self._signed(wrapped, "authentication")
        model.check_presentation(found.document, strings=older, by_name=not meaning)
        if not older and meaning:
            await self._workers.run("check", envelope.unclaimed(found.document))
        return Unopened(found.signer, found.document)

    async def _presented(self, entry: Any, meaning: bool) -> VerifiedCredential:
        """A credential in a presentation that is a JWT."""
        if isinstance(entry, str):
            return await self.verify_jwt(entry, older=True, meaning=meaning)
        if envelope.is_enveloped(entry, "vc"):
            token, older = envelope.unwrapped(entry, "vc")
            return await self.verify_jwt(token, older=older, meaning=meaning)
        if "proof" not in entry:
            raise Untrusted("a credential in the presentation is neither enveloped nor has it a proof")
        return await self.verify(entry)

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
            config = suites.options(proof, document)
            labels = [[number, octets.hex()] for number, octets in derived.labels.items()]
            digest, parts = await self._workers.run("shown", document, config, labels, derived.mandatory)
            sd.verify(key, derived, bytes.fromhex(digest), parts)
            return
        found = await hashes(self._workers, suite, document, proof, key)
        suites.verify(key, proof["proofValue"], found)

    async def key(self, reference: str, purpose: str) -> Public:
        """The key at a DID URL, for a purpose. Raises Untrusted or Unavailable."""
        document = await self.document(reference.partition("#")[0])
        asked = methods.asked(document, purpose, demanded=self._relationships)
        return methods.method_key(document, reference, asked)

    async def document(self, did: str) -> Mapping[str, Any]:
        """The DID document of `did`."""
        return await self._resolve(did)
