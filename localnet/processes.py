"""Keeps a set of processes alive: start in order, readiness, restart, clean stop."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from localnet.keeper import Keeper, Process

log = logging.getLogger(__name__)


class Supervisor:
    """Runs processes in the order of their needs and keeps each of them running."""

    def __init__(
        self,
        processes: Sequence[Process],
        log_of: Callable[[str], Path],
        on_change: Callable[[Keeper], None] = lambda keeper: None,
    ) -> None:
        self.keepers = {
            process.name: Keeper(process, log_of(process.name), on_change) for process in processes
        }
        self._tasks: list[asyncio.Task[None]] = []
        self._since = time.monotonic()

    async def start(self) -> None:
        """Start all. Returns when all are ready; raises when one cannot become so."""
        self._tasks = [asyncio.create_task(self._run(keeper)) for keeper in self.keepers.values()]
        waiting = asyncio.create_task(self._all_ready())
        watched: set[asyncio.Task[None]] = {waiting, *self._tasks}
        while not waiting.done():
            # A keeper's task ends early only by failing, or by being done with its `once`.
            done, watched = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if failure := next((task.exception() for task in done if task.exception()), None):
                waiting.cancel()
                raise failure
        log.info("all ready", extra={"seconds": round(time.monotonic() - self._since, 2)})

    async def _all_ready(self) -> None:
        for keeper in self.keepers.values():
            await keeper.ready.wait()

    async def stop(self) -> None:
        """Stop all, each after those that need it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._stop(keeper) for keeper in self.keepers.values()))

    async def _run(self, keeper: Keeper) -> None:
        for name in keeper.process.after:
            await self.keepers[name].ready.wait()
        await keeper.run()

    async def _stop(self, keeper: Keeper) -> None:
        for other in self.keepers.values():
            if keeper.process.name in other.process.after:
                await other.stopped.wait()
        await keeper.stop()
