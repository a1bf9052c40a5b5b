"""`anode serve`: a node with both its listeners, until it is told to stop."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import orjson
from aiohttp import web
from cyclopts import Parameter

from connector.cli import output
from connector.cli.api import address_file
from connector.cli.output import COMMON, Common
from connector.config import Config
from connector.errors import AnodeError, InvalidFile
from connector.node import Node
from connector.store.lock import owned
from connector.vc import keys
from connector.web import management, public

_log = logging.getLogger("connector")


def serve(
    *,
    verbose: Annotated[
        bool,
        Parameter(
            name=["--verbose", "-v"], negative="", show_default=False, help="Log each step of each process."
        ),
    ] = False,
    common: Common = COMMON,
) -> int:
    """Run the node until it gets SIGTERM or SIGINT (Ctrl-C). Its log goes to stderr.

    SIGHUP reads its keys anew, and whom it believes. One line on stdout says when it is ready. What is under
    way goes on when the node is started again.
    """
    config = common.settings()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if common.json else _Lines())
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])
    with owned(config.store):
        asyncio.run(_run(config, common, verbose=verbose))
    return output.OK


async def _run(config: Config, common: Common, *, verbose: bool) -> None:
    stop = asyncio.Event()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_, stop.set)
    node = Node(config, reread=common.settings)
    _warn(config)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, node)
    runners: list[web.AppRunner] = []
    address = address_file(config)
    try:
        # The listener comes before the first message goes out: its receiver asks it for our DID document.
        runners.append((await public.start(node))[0])
        runner, port = await management.start(node)
        runners.append(runner)
        await node.start()
        public.calm_collector()
        if verbose:
            node.tasks.run(_log_steps(node))
        host = config.management.host
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # a comparison
        page = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        _tell(address, page)
        value = {
            "did": node.participant,
            "public_url": config.public.url,
            "management": page,
            "pid": os.getpid(),
        }
        output.show(common, value, f"ready: {node.participant} at {config.public.url}, page at {page}")
        await stop.wait()
    finally:
        address.unlink(missing_ok=True)
        node.events.close()  # ends the streams that listen to them
        await asyncio.gather(*(runner.cleanup() for runner in runners))
        await node.close()


def _warn(config: Config) -> None:
    if clear := keys.unencrypted(config.keys.folder):
        names = ", ".join(path.name for path in clear)
        _log.warning("keys are not encrypted: %s; run `anode key encrypt`", names)


def _reload(node: Node) -> None:
    """What SIGHUP does. A mistake is told, and what held before holds."""
    try:
        node.reload()
    except AnodeError as wrong:
        for reason in wrong.reasons:
            _log.error("not read anew: %s", reason)
    else:
        _log.warning("read anew: keys, and whom this node believes")


def _tell(address: Path, url: str) -> None:
    """Say where the management API is, all at once: a command may be reading."""
    draft = address.with_name(f".{address.name}.{os.getpid()}")
    try:
        draft.write_text(f"{url}\n")
        draft.replace(address)
    except OSError as problem:
        draft.unlink(missing_ok=True)
        raise InvalidFile(f"{address}: can't be written: {problem.strerror}") from None


async def _log_steps(node: Node) -> None:
    """A line for each step of each process."""
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            async with node.events.listen() as events:
                async for event in events:
                    process, step = event.process, event.step
                    _log.info(
                        "%s %s with %s: %s %s, now %s%s",
                        process.subject,
                        process.pid,
                        process.participant,
                        step.direction,
                        step.kind,
                        step.state or "new",
                        f" ({step.note})" if step.note else "",
                    )
            return


class _Lines(logging.Formatter):
    """Time, level, where, what: a line each, but for the traceback of a failure of our own."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03d"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")


class _JsonLines(logging.Formatter):
    """The same as an object a line, for programs that collect logs."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object."""
        line = {
            "at": record.created,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()
