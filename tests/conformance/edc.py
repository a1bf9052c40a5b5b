"""A real Eclipse EDC connector as a process, and its management API (v3) as a few coroutines.

with start("provider", folder) as edc:
    await edc.publish("asset-1", "http://127.0.0.1:9000/file")

Its identity is EDC's mock, or, given a wallet, DCP.
"""

import asyncio
import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.conformance.artifacts import HERE, CannotStart, class_path, free_ports, properties

VERSION = "0.15.1"
MAIN = "org.eclipse.edc.boot.system.runtime.BaseRuntime"
EXTENSION = "org.eclipse.edc.spi.system.ServiceExtension"
PROTOCOL = "dataspace-protocol-http:2025-1"
EDC = "https://w3id.org/edc/v0.0.1/ns/"
CONTEXT = {"@vocab": EDC}
USE: dict[str, Any] = {"action": "use"}
SINCE_2020 = USE | {
    "constraint": [
        {"leftOperand": f"{EDC}inForceDate", "operator": "gteq", "rightOperand": "2020-01-01T00:00:00Z"}
    ]
}

Json = dict[str, Any]


class EdcRefused(Exception):
    """The management API's answer was no."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a connector talks to: participant id and DSP 2025-1 base URL."""

    participant: str
    dsp: str


@dataclass(frozen=True, slots=True)
class Wallet:
    """What a connector with DCP is told; its DID document names the rest, the credential service."""

    token_url: str
    """Where its token service answers."""
    client: str
    secret: str = field(repr=False)
    trusted_issuer: str
    """A DID. Any type of credential is believed."""
    scope: str = "org.eclipse.dspace.dcp.vc.type:MembershipCredential:read"
    """What it asks of each peer, and shows each peer."""


@dataclass(frozen=True, slots=True)
class Connector:
    """A running EDC."""

    peer: Peer
    management: str
    pid: int
    log: Path
    session: aiohttp.ClientSession | None = None
    """Keeps connections to the management API open; without one each call opens its own."""

    # --- as provider

    async def publish(self, asset: str, url: str, permission: Json = SINCE_2020) -> None:
        """Offer what `GET url` answers, as dataset `asset`, to everyone."""
        await self.add_asset(asset, url, {"name": asset})
        await self.offer(asset, permission, [asset])

    async def add_asset(self, asset: str, url: str, properties: Mapping[str, str]) -> None:
        """A dataset; what `GET url` answers is its data. Nobody sees it before it is offered."""
        address = {"type": "HttpData", "baseUrl": url, "proxyPath": "true", "proxyQueryParams": "true"}
        body = {"@id": asset, "properties": dict(properties), "dataAddress": address}
        await self._post("assets", "Asset", body)

    async def offer(self, name: str, permission: Json, assets: Sequence[str] | None = None) -> None:
        """Offer these assets, or all, to everyone. EDC takes only action `use`, and leaves an empty
        permission out of its messages, which would be invalid: so there is always a rule."""
        policy = {
            "@context": "http://www.w3.org/ns/odrl.jsonld",
            "@type": "Set",
            "permission": [permission],
            "prohibition": [],
            "obligation": [],
        }
        await self._post("policydefinitions", "PolicyDefinition", {"@id": name, "policy": policy})
        selector = {"@type": "Criterion", "operandLeft": f"{EDC}id", "operator": "in"}
        selected = [] if assets is None else [{**selector, "operandRight": list(assets)}]
        definition = {"accessPolicyId": name, "contractPolicyId": name, "assetsSelector": selected}
        await self._post("contractdefinitions", "ContractDefinition", {"@id": name, **definition})

    # --- as consumer

    async def catalog(self, provider: Peer) -> Json:
        return await self._post("catalog/request", "CatalogRequest", _towards(provider))

    async def dataset(self, provider: Peer, dataset: str) -> Json:
        return await self._post(
            "catalog/dataset/request", "DatasetRequest", {"@id": dataset, **_towards(provider)}
        )

    async def negotiate(self, provider: Peer, dataset: str, offer: Json) -> str:
        """Ask for `offer`, as the catalog showed it; the negotiation's id here."""
        policy = {"@context": "http://www.w3.org/ns/odrl.jsonld", **offer}
        policy |= {"assigner": provider.participant, "target": dataset}
        started = await self._post(
            "contractnegotiations", "ContractRequest", {**_towards(provider), "policy": policy}
        )
        return str(started["@id"])

    async def transfer(self, provider: Peer, agreement: str) -> str:
        """Ask for an agreement's data; the transfer's id here."""
        body = {**_towards(provider), "contractId": agreement, "transferType": "HttpData-PULL"}
        return str((await self._post("transferprocesses", "TransferRequest", body))["@id"])

    async def data_address(
        self, transfer: str, other_than: tuple[str, str] | None = None, within: float = 10
    ) -> tuple[str, str]:
        """Where the data of a started transfer is, as the provider's start message said, and the token.

        EDC calls a transfer STARTED before it has put the address away, hence the wait.
        """
        end = time.monotonic() + within
        while True:
            try:
                address = await self._get(f"edrs/{transfer}/dataaddress")
                found = (str(address[f"{EDC}endpoint"]), str(address[f"{EDC}authorization"]))
                if found != other_than:
                    return found
            except EdcRefused:
                if time.monotonic() > end:
                    raise
            if time.monotonic() > end:
                raise TimeoutError(f"EDC has no new data address for {transfer}; {self.log}")
            await asyncio.sleep(0.05)

    # --- as either

    async def negotiation(self, negotiation: str) -> Json:
        return await self._get(f"contractnegotiations/{negotiation}")

    async def transfer_process(self, transfer: str) -> Json:
        return await self._get(f"transferprocesses/{transfer}")

    async def negotiation_state(self, negotiation: str) -> str:
        """The cheapest question about a negotiation."""
        return str((await self._get(f"contractnegotiations/{negotiation}/state"))["state"])

    async def negotiations(self) -> list[Json]:
        return await self._query("contractnegotiations/request")

    async def transfers(self) -> list[Json]:
        return await self._query("transferprocesses/request")

    async def terminate_negotiation(self, negotiation: str, reason: str) -> None:
        body = {"@id": negotiation, "reason": reason}
        await self._post(f"contractnegotiations/{negotiation}/terminate", "TerminateNegotiation", body)

    async def suspend(self, transfer: str, reason: str) -> None:
        await self._post(f"transferprocesses/{transfer}/suspend", "SuspendTransfer", {"reason": reason})

    async def resume(self, transfer: str) -> None:
        await self._post(f"transferprocesses/{transfer}/resume", "", {})

    async def terminate(self, transfer: str, reason: str) -> None:
        await self._post(f"transferprocesses/{transfer}/terminate", "TerminateTransfer", {"reason": reason})

    async def until_negotiation(self, negotiation: str, *states: str, within: float = 30) -> Json:
        """The negotiation once it is in one of `states`; TimeoutError with its last state else."""
        return await self._until(f"contractnegotiations/{negotiation}", states, within)

    async def until_transfer(self, transfer: str, *states: str, within: float = 30) -> Json:
        """The transfer once it is in one of `states`; TimeoutError with its last state else."""
        return await self._until(f"transferprocesses/{transfer}", states, within)

    async def _until(self, path: str, states: tuple[str, ...], within: float) -> Json:
        end = time.monotonic() + within
        while True:
            found = await self._get(path)
            if found["state"] in states:
                return found
            if time.monotonic() > end:
                detail = f", {found['errorDetail']}" if found.get("errorDetail") else ""
                raise TimeoutError(
                    f"EDC {path}: still {found['state']}{detail}, not {' or '.join(states)}; {self.log}"
                )
            await asyncio.sleep(0.05)  # EDC offers no way to wait

    async def _get(self, path: str) -> Json:
        found: Json = await self._call("GET", path, None)
        return found

    async def _query(self, path: str) -> list[Json]:
        body = {"@context": CONTEXT, "@type": "QuerySpec", "limit": 1000}
        found: list[Json] = await self._call("POST", path, body)
        return found

    async def _post(self, path: str, kind: str, body: Json) -> Json:
        made: Json = await self._call(
            "POST", path, {"@context": CONTEXT, "@type": kind, **body} if kind else None
        )
        return made

    async def _call(self, method: str, path: str, body: Json | None) -> Any:
        headers = {"Content-Type": "application/json"}  # also where there is no body, else 415
        url, data = f"{self.management}/v3/{path}", None if body is None else json.dumps(body)
        request = self.session.request if self.session else aiohttp.request
        async with request(method, url, data=data, headers=headers) as answer:
            text = await answer.text()
            if answer.status >= 300:
                raise EdcRefused(f"{method} {path}: {answer.status} {text[:1000]}; {self.log}")
            return json.loads(text) if text else {}


async def fetch(address: tuple[str, str]) -> bytes:
    """The data at an endpoint, with its token."""
    endpoint, token = address
    async with aiohttp.request("GET", endpoint, headers={"Authorization": token}) as answer:
        body = await answer.read()
        if answer.status != 200:
            raise EdcRefused(f"GET {endpoint}: {answer.status} {body[:500]!r}")
        return body


def _towards(provider: Peer) -> Json:
    return {"counterPartyId": provider.participant, "counterPartyAddress": provider.dsp, "protocol": PROTOCOL}


@contextmanager
def start(
    participant: str,
    folder: Path,
    *,
    wallet: Wallet | None = None,
    protocol_port: int | None = None,
    pace_ms: int | None = 50,
    settings: Mapping[str, str] | None = None,
    log_level: str = "info",
    java: tuple[str, ...] = ("-Xmx512m",),
    within: float = 120,
) -> Iterator[Connector]:
    """Start EDC on free ports and end it again. `folder` keeps its log and keys.

    With a `wallet`, `participant` is its DID; without, any name, and everyone is believed. `protocol_port` is
    where it listens to peers, if that was told to others already. `pace_ms` is the period of its state
    machines; None leaves EDC's default of 1000. `log_level` "debug" says why tokens are refused. Raises
    CannotStart.
    """
    jars = _class_path("SeedVault", "DcpDefaults") if wallet else _class_path("SeedVault")
    ports = dict(
        zip(("", "control", "management", "protocol", "version", "public"), free_ports(6), strict=True)
    )
    ports["protocol"] = protocol_port or ports["protocol"]
    config, log = folder / f"{participant}.properties", folder / f"{participant}.log"
    identity = _dcp(participant, wallet) if wallet else {}
    told = _settings(participant, ports, folder, pace_ms) | identity | dict(settings or {})
    config.write_text(properties(told))
    command = [
        "java",
        *java,
        f"-Dedc.fs.config={config}",
        "-cp",
        jars,
        MAIN,
        "--no-color",
        f"--log-level={log_level}",
    ]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT)
    try:
        _wait(process, f"http://127.0.0.1:{ports['']}/api/check/readiness", log, within)
        peer = Peer(participant, f"http://127.0.0.1:{ports['protocol']}/protocol/2025-1")
        yield Connector(peer, f"http://127.0.0.1:{ports['management']}/management", process.pid, log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _class_path(*extensions: str) -> str:
    """EDC with some of our extensions; `DcpDefaults` brings DCP with it."""
    pom = f"pom-dcp-{VERSION}.xml" if "DcpDefaults" in extensions else f"pom-{VERSION}.xml"
    sources = [HERE / "edc" / f"{name}.java" for name in extensions]
    services = {EXTENSION: [f"conformance.{name}" for name in extensions]}
    return class_path(HERE / "edc" / pom, sources, services)


def _dcp(participant: str, wallet: Wallet) -> dict[str, str]:
    return {
        "edc.iam.issuer.id": participant,
        "edc.iam.did.web.use.https": "false",
        "edc.iam.sts.oauth.token.url": wallet.token_url,
        "edc.iam.sts.oauth.client.id": wallet.client,
        "edc.iam.sts.oauth.client.secret.alias": "sts-secret",
        "conformance.vault.sts-secret": wallet.secret,
        "conformance.dcp.scope": wallet.scope,
        "edc.iam.trusted-issuer.first.id": wallet.trusted_issuer,
        # Without it EDC wants status lists as JWTs with a `vc` claim, which no standard knows.
        "edc.iam.credential.revocation.mimetype": "application/json",
    }


def _settings(
    participant: str, ports: Mapping[str, int], folder: Path, pace_ms: int | None
) -> dict[str, str]:
    private, public = _token_keys(folder)
    public_url = f"http://127.0.0.1:{ports['public']}/public"
    found = {
        "edc.participant.id": participant,
        "edc.hostname": "127.0.0.1",
        "edc.dsp.callback.address": f"http://127.0.0.1:{ports['protocol']}/protocol",
        "edc.dataplane.api.public.baseurl": public_url,
        "edc.transfer.proxy.token.signer.privatekey.alias": "private-key",
        "edc.transfer.proxy.token.verifier.publickey.alias": "public-key",
        "conformance.vault.private-key": f"@{private}",
        "conformance.vault.public-key": f"@{public}",
    }
    for context, port in ports.items():
        prefix = f"web.http.{context}" if context else "web.http"
        found |= {f"{prefix}.port": str(port), f"{prefix}.path": f"/{context or 'api'}"}
    if pace_ms is not None:
        for machine in ("negotiation", "transfer", "dataplane"):
            found[f"edc.{machine}.state-machine.iteration-wait-millis"] = str(pace_ms)
    return found


def _token_keys(folder: Path) -> tuple[Path, Path]:
    """A P-256 pair for the embedded data plane's tokens."""
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def _wait(process: subprocess.Popen[bytes], health: str, log: Path, within: float) -> None:
    # Its log first: EDC opens its ports before the servlets are in place, and a request in between can leave
    # an API answering 404 or 405 for good (seen with 0.15).
    end = time.monotonic() + within
    while not (re.search(rb"Runtime \S+ ready", log.read_bytes()) and _healthy(health)):
        if process.poll() is not None or time.monotonic() > end:
            raise CannotStart(f"EDC did not become ready; the end of {log}:\n{log.read_text()[-3000:]}")
        time.sleep(0.05)


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 -- our own http URL
            return bool(json.load(answer).get("isSystemHealthy"))
    except (OSError, ValueError):
        return False
