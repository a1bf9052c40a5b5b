"""A node that has nothing to do does nothing: its loop sleeps until something comes from outside."""

import asyncio
import selectors
import time
from pathlib import Path

from connector.dsp.terms import State
from tests.flows.test_trade import OPEN, PASSPORT, agree
from tests.nodes import running, until

SECONDS = 1.0


class Counting(selectors.DefaultSelector):
    """Counts how often the loop goes round."""

    rounds = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.rounds += 1
        return super().select(timeout)


def test_an_idle_node_sleeps(tmp_path: Path) -> None:
    """Two nodes with an agreement and a running transfer between them: in a second the loop goes round a few
    times at most, and no thread uses the processor."""
    selector = Counting()

    async def story() -> tuple[int, float]:
        async with running(tmp_path / "p", OPEN, [PASSPORT]) as provider, running(tmp_path / "c") as consumer:
            transfer = await consumer.node.transfers.request(await agree(consumer, provider))
            assert (await until(consumer, transfer.pid, "STARTED")).state is State.STARTED
            await asyncio.sleep(0.2)  # what goes on at once goes on
            rounds, used = selector.rounds, time.process_time()
            await asyncio.sleep(SECONDS)
            return selector.rounds - rounds, time.process_time() - used

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        rounds, used = runner.run(story())
    assert rounds <= 4
    assert used < 0.02
