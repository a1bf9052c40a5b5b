"""The node that the DCP kit tests: the product's own, with the kit's profile, and the one hook it needs.

    python -m tests.conformance.dcp_node FOLDER ROLE KIT_PORT KIT_VERSION

Prints the kit's settings for it as one line of JSON once it listens, and runs until it is terminated.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from aiohttp import web

from connector import config as settings
from connector.dcp.profiles import JWT_11, Deviation, Profile
from connector.node import Node, Parts
from connector.web import management, public
from connector.web.rendering import refusals
from tests.conformance.artifacts import free_ports
from tests.nodes import prepare

Leniencies = Mapping[Deviation, str]

ALWAYS: Mapping[str, Leniencies] = {
    "holder": {},
    "issuer": {},
    "verifier": {
        Deviation.THREE_PART_SCOPES: "the kit's holder answers only scopes with an operation (:read)",
        # Without these the verifier refuses all the same, but not for the reason that a test is about.
        Deviation.SHORT_STATUS_LISTS: "the kit's status list has 16,384 bits, an eighth of the least",
        Deviation.UNSIGNED_STATUS_LISTS: "the kit serves its status list as plain JSON",
        Deviation.LOOSE_SHAPE: "credentials that must be refused lack @context and type VerifiableCredential",
    },
}
"""What every version of the kit does otherwise than the specification, by the role that the node plays."""

IN_RC6: Mapping[str, Leniencies] = {
    "holder": {
        Deviation.NO_RELATIONSHIPS: "the kit's DID documents list no verification relationships",
        Deviation.OLDER_FORMAT_NAMES: "the kit sends vc11-sl2021/jwt under the name VC1_0_JWT",
        Deviation.LOOSE_SHAPE: "no credential has the type VerifiableCredential; @context and sub are its id",
    },
    "issuer": {Deviation.NO_RELATIONSHIPS: "as for a holder"},
    "verifier": {Deviation.NO_RELATIONSHIPS: "as for a holder"},
}
"""What 1.0.0-RC6 does besides."""

TYPES = ("MembershipCredential", "SensitiveDataCredential")
CLIENT, SECRET = "tck", "a-secret-of-the-kit-0123456789abcdef"


def profile(role: str, version: str) -> Profile:
    """`strict` with what the kit forces on a role. It is an argument of the node; no setting reaches it."""
    more = IN_RC6[role] if version == "1.0.0-RC6" else {}
    return Profile(f"kit-{version}", deviations=MappingProxyType({**ALWAYS[role], **more}))


def credentials(role: str, folder: Path, kit_port: int) -> dict[str, object]:
    """The node's settings about credentials, for a role."""
    issuer, holder = (f"did:web:localhost%3A{kit_port}:{name}" for name in ("issuer", "holder"))
    folder.mkdir(parents=True, exist_ok=True)
    if role == "holder":
        (folder / "clients").write_text(f"{CLIENT} {SECRET}\n")
        (folder / "clients").chmod(0o600)
        return {"authority": issuer, "clients": "clients"}
    if role == "issuer":
        # One status: the kit reads a credentialStatus that is an object, no array.
        each = {"to": [holder], "formats": [JWT_11], "status": ["revocation"]}
        issuable = dict.fromkeys(TYPES, each)
        (folder / "issuer.yaml").write_text(json.dumps(issuable))
        return {"issue": "issuer.yaml"}
    return {"trusted": {TYPES[0]: [issuer]}, "require": [TYPES[0]]}


def told(role: str, node: Node, sts: str, hooks: str) -> dict[str, str]:
    """The kit's settings for the node in a role; `sts` and `hooks` are URLs."""
    found = {f"dataspacetck.did.{role}": node.participant, "dataspacetck.credentials.correlation.id": "tck"}
    if role == "holder":
        found["dataspacetck.sts.url"] = sts
        found["dataspacetck.sts.client.id"] = CLIENT
        found["dataspacetck.sts.client.secret"] = SECRET
    if role == "verifier":
        found["dataspacetck.vpp.trigger.endpoint"] = f"{hooks}/verify"
    return found


def hooks(node: Node) -> web.Application:
    """Where the kit makes the node ask a holder for credentials.

    The kit would send a catalog request, but its body is none; so this does what comes before the body is
    read. What was proved before is forgotten, in the store too: each test of the kit is about another holder,
    and all have one DID.
    """

    async def verify(request: web.Request) -> web.Response:
        caller = await node.identity.authenticate(request.headers.get("Authorization"))
        assert node.presentations is not None
        await node.db.write(lambda tx: tx.execute("DELETE FROM presented"))
        node.presentations.forget()
        await node.prove(caller)
        return web.Response()

    application = web.Application()
    application.router.add_post("/verify", refusals(verify))
    return application


async def tell(request: web.Request, response: web.StreamResponse) -> None:
    """Say in the log what was refused, and why."""
    if response.status >= 400 and isinstance(response, web.Response):
        print(request.method, request.path, response.status, response.text, file=sys.stderr, flush=True)


async def serve(folder: Path, role: str, kit_port: int, version: str) -> None:
    # The kit listens only while a test runs: what is delivered later would disturb another test.
    once = {"first_retry": "1h", "longest_retry": "1h"}
    about = credentials(role, folder, kit_port)
    config = settings.load(prepare(folder, free_ports(1)[0], credentials=about, delivery=once))
    node = Node(config, Parts(profile=profile(role, version)))
    asked, triggered = public.application(node), hooks(node)
    for application in (asked, triggered):
        application.on_response_prepare.append(tell)
    listening, _ = await public.listen(asked, config.public.host, config.public.port)
    beside, port = await public.listen(triggered, config.public.host, 0)
    managed, sts = await management.start(node)
    await node.start()
    urls = (f"http://127.0.0.1:{sts}/sts", f"http://127.0.0.1:{port}")
    print(json.dumps(told(role, node, *urls)), flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    for runner in (beside, managed, listening):
        await runner.cleanup()
    await node.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where its files go")
    parser.add_argument("role", choices=["holder", "issuer", "verifier"])
    parser.add_argument("kit_port", type=int, help="where the kit listens, which plays the other roles")
    parser.add_argument("version", help="of the kit")
    given = parser.parse_args()
    asyncio.run(serve(given.folder, given.role, given.kit_port, given.version))
