"""Runs a coroutine until an event requests its cancellation."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from compute_horde.concurrency.task_set import TaskSet
from compute_horde.errors import Cancelled

T = TypeVar("T")


async def unless_cancelled(asked: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; once `asked` is set, cancels it and raises `Cancelled`.

    If `work` ends at the same time, its result is returned.
    """
    if asked.is_set():
        work.close()
        raise Cancelled
    async with TaskSet() as tasks:
        working = tasks.spawn(work)
        tasks.spawn(asked.wait())
        await tasks.wait_for_first()
        is_done = working.done()
    if is_done or not working.cancelled():
        return working.result()
    raise Cancelled
