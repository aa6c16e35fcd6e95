"""Runs a set of processes: starts them in order of dependency, restarts and stops them."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from compute_horde.concurrency.task_set import TaskSet
from localnet.supervisor.supervised_process import ProcessSpec, SupervisedProcess

log = logging.getLogger(__name__)


class Supervisor:
    """Starts processes in the order of their dependencies and keeps each of them running."""

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        log_of: Callable[[str], Path],
        on_change: Callable[[SupervisedProcess], None] = lambda supervised: None,
    ) -> None:
        self.processes = {
            spec.name: SupervisedProcess(spec, log_of(spec.name), on_change) for spec in specs
        }
        self._tasks = TaskSet()
        self._started_at = time.monotonic()

    async def start(self) -> None:
        """Start all processes and return when all are ready.

        Raises `NeverReadyError` as soon as one of them fails.
        """
        waiting = asyncio.create_task(self._all_ready())
        watched = {self._tasks.spawn(self._run(one)) for one in self.processes.values()} | {waiting}
        while not waiting.done():
            # The task of a process ends by itself only when it failed or is a finished oneshot.
            done, watched = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if failure := next((task.exception() for task in done if task.exception()), None):
                waiting.cancel()
                raise failure
        log.info("all ready", extra={"seconds": round(time.monotonic() - self._started_at, 2)})

    async def _all_ready(self) -> None:
        for supervised in self.processes.values():
            await supervised.ready.wait()

    async def stop(self) -> None:
        """Stop all processes, each after those that depend on it."""
        await self._tasks.cancel()
        await asyncio.gather(*(self._stop(supervised) for supervised in self.processes.values()))

    async def _run(self, supervised: SupervisedProcess) -> None:
        for name in supervised.spec.depends_on:
            await self.processes[name].ready.wait()
        await supervised.run()

    async def _stop(self, supervised: SupervisedProcess) -> None:
        for other in self.processes.values():
            if supervised.spec.name in other.spec.depends_on:
                await other.stopped.wait()
        await supervised.stop()
