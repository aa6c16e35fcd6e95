"""Tasks that belong together: remembered while they run, ended with their owner."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

T = TypeVar("T")


class TaskSet:
    """Keeps references to running tasks, which asyncio itself does not, and ends them together.

    As a context manager, for a few tasks, it remembers them until the end of the block, cancels
    those that still run then, and drops what they raise.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_block = False

    async def __aenter__(self) -> Self:
        self._is_block = True
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cancel()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start `work`; what it raises is only seen by who awaits the task."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        if not self._is_block:
            task.add_done_callback(self._tasks.discard)
        return task

    async def wait(self, timeout_seconds: float | None = None) -> None:
        """Wait until all that run now have ended, or until the timeout; cancels nothing."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout_seconds)

    async def wait_for_first(self, timeout_seconds: float | None = None) -> None:
        """In a block: wait until a task has ended, or until the timeout; cancels nothing."""
        await asyncio.wait(
            set(self._tasks), timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED
        )

    async def cancel(self) -> None:
        """Cancel all and wait for their end; what they raise is dropped."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run_until_first(*works: Coroutine[Any, Any, Any]) -> None:
    """Run all until one has ended, then cancel the others and wait for their end.

    Raises what the first one raised; of several that ended at the same time, the first in the order
    of the arguments counts. What the others raise is dropped.
    """
    async with TaskSet() as tasks:
        running = [tasks.spawn(work) for work in works]
        await tasks.wait_for_first()
        first = next(task for task in running if task.done())
    first.result()
