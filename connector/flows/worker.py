"""What runs in the processes of `connector.flows.workers`: the costly, fragile part of reading credentials.

Frames on both pipes: four bytes of length, then JSON. A process holds no key of this node and opens nothing;
it may be killed at any moment, and a document that makes a library crash takes only it along.
"""

import resource
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import orjson

from connector.errors import AnodeError, RemoteProtocolError, Unavailable, Untrusted
from connector.jsonld import graph
from connector.vc.proofs import sd, suites

_MEMORY = 2 << 30
_SPARE_SECONDS = 60
"""CPU after which the system ends a process whose node has died and can't kill it any more."""


def _digests(form: suites.Form, document: Any, config: Any, name: graph.Algorithm) -> list[str]:
    return [octets.hex() for octets in suites.digests(form, document, config, name)]


def _check(document: Any) -> None:
    graph.dataset(document)


def _base(document: Any, config: Any, pointers: list[str], hmac_key: str) -> list[Any]:
    return [suites.config_digest(config).hex(), sd.base_parts(document, pointers, bytes.fromhex(hmac_key))]


def _derived(document: Any, mandatory: list[str], selective: list[str], hmac_key: str) -> list[Any]:
    shown, labels, indexes, wanted = sd.derived_parts(document, mandatory, selective, bytes.fromhex(hmac_key))
    return [shown, [[number, octets.hex()] for number, octets in labels.items()], indexes, wanted]


def _shown(document: Any, config: Any, labels: list[tuple[int, str]], mandatory: list[int]) -> list[Any]:
    named = {number: bytes.fromhex(octets) for number, octets in labels}
    return [suites.config_digest(config).hex(), sd.shown_parts(document, named, mandatory)]


def _schema(schema: Any, values: list[Any]) -> list[str]:
    from connector.vc.schema import failures  # the validator costs 60 ms and 15 MB, and few need it

    return failures(schema, values)


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "digests": _digests,
    "check": _check,
    "base": _base,
    "derived": _derived,
    "shown": _shown,
    "schema": _schema,
}
ERRORS: Mapping[str, type[AnodeError]] = {
    error.code: error for error in (RemoteProtocolError, Untrusted, Unavailable)
}


def main() -> None:
    """Answer frames until the node closes the pipe."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    write(sink, {"ready": True})
    while head := source.read(4):
        body = source.read(int.from_bytes(head, "big"))
        used = resource.getrusage(resource.RUSAGE_SELF)
        ceiling = int(used.ru_utime + used.ru_stime) + _SPARE_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (ceiling, resource.RLIM_INFINITY))
        write(sink, answer(body))


def answer(body: bytes) -> dict[str, Any]:
    """The outcome of one operation: `{"result"}`, or `{"error", "reasons"}`."""
    operation, *arguments = orjson.loads(body)
    try:
        return {"result": OPERATIONS[operation](*arguments)}
    except AnodeError as wrong:
        return {"error": wrong.code, "reasons": wrong.reasons}
    except Exception as wrong:  # whatever a library does on a stranger's document is his
        return {
            "error": RemoteProtocolError.code,
            "reasons": [f"the document can't be processed ({type(wrong).__name__})"],
        }


def write(sink: BinaryIO, value: dict[str, Any]) -> None:
    """Send a frame."""
    body = orjson.dumps(value)
    sink.write(len(body).to_bytes(4, "big") + body)
    sink.flush()
