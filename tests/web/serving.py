"""A process that serves one large dataset, plain and over TLS, until its standard input ends.

`python -m tests.web.serving FOLDER CERTIFICATE KEY` prints both ports and a token, as JSON.
"""

import asyncio
import json
import sys
from pathlib import Path

from connector.web import public
from tests.peer import POLICIES, talk
from tests.pull import dataset, pull


async def main(folder: Path, certificate: Path, key: Path) -> None:
    datasets = [dataset("large", file="large.bin")]
    async with talk(folder, None, policies=POLICIES, datasets=datasets) as node:
        config = node.node.config
        tls = {"port": 0, "tls_certificate": certificate, "tls_key": key}
        node.node.config = config.model_copy(update={"public": config.public.model_copy(update=tls)})
        runner, port = await public.start(node.node)
        token = (await pull(node, "large")).address.authorization
        print(json.dumps({"plain": config.public.port, "tls": port, "token": token}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(*map(Path, sys.argv[1:])))
