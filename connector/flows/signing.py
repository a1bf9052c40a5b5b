"""Signing without keeping others waiting."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from connector.errors import Unavailable
from connector.vc.signers import Signer

_T = TypeVar("_T")

PATIENCE = 10.0
"""Seconds that a signature by a token may take."""


async def signed(signer: Signer, make: Callable[[], _T], patience: float = PATIENCE) -> _T:
    """What `make` gives, which signs with `signer`: here, or where the signer says.

    Raises Unavailable if that takes longer than `patience` seconds.
    """
    if signer.executor is None:
        return make()
    under_way = asyncio.get_running_loop().run_in_executor(signer.executor, make)
    try:
        return await asyncio.wait_for(under_way, patience)
    except TimeoutError:
        raise Unavailable(f"the token that holds our key did not sign within {patience:g} s") from None
