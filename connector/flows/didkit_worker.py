"""What runs in a process of its own to check the linked-data proofs of VCDM 1.1, by `didkit`.

didkit 0.3 is archived and can crash its interpreter: nothing else is in this process, and it leaves without
tidying up. It would fetch a did:web by itself, so who asks sees to it that keys are in their DIDs.
"""

import asyncio
import os
import sys
from typing import Any

import orjson

from connector.errors import RemoteProtocolError, Unavailable
from connector.flows.worker import write


def main() -> None:
    """Answer frames until the node closes the pipe."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    write(sink, {"ready": True})
    with asyncio.Runner() as runner:
        while head := source.read(4):
            _, document = orjson.loads(source.read(int.from_bytes(head, "big")))
            write(sink, runner.run(_answer(document)))
        os._exit(0)  # the interpreter's own end is where didkit crashes


async def _answer(document: Any) -> dict[str, Any]:
    try:
        import didkit
    except ImportError:
        reason = "proofs of this type need didkit: install anode-connector[didkit]"
        return {"error": Unavailable.code, "reasons": [reason]}
    try:
        return {"result": orjson.loads(await didkit.verify_credential(orjson.dumps(document).decode(), "{}"))}
    except Exception as wrong:  # didkit's own exception, whose type is known only where it is installed
        return {
            "error": RemoteProtocolError.code,
            "reasons": [f"the proof can't be processed: {wrong}"[:300]],
        }
