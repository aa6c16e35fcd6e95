"""Database work from async code: on a few threads, repeated while PostgreSQL restarts."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection

from compute_horde.concurrency.backoff import Backoff

log = logging.getLogger(__name__)

THREADS = 4
PATIENCE_SECONDS = 60.0
FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 2.0
RETRY_SECONDS = 1.0

P = ParamSpec("P")
T = TypeVar("T")

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")


async def in_database(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in a database thread; on a lost connection run it again for up to a minute.

    `work` must be harmless to repeat: one transaction whose outcome a repeat recognises.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + PATIENCE_SECONDS
    backoff = Backoff(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)
    while True:
        try:
            return await loop.run_in_executor(_threads, lambda: _attempt(work, *args, **kwargs))
        except (OperationalError, InterfaceError) as exc:
            if loop.time() + backoff.seconds > give_up:
                raise
            log.warning("database lost, trying again", extra={"problem": str(exc)[:200]})
        await asyncio.sleep(backoff.take())


async def write_until_stored(
    write: Callable[[], T], *, job: str, is_closing: Callable[[], bool] = lambda: False
) -> T:
    """Run a write in a database thread, however long the database is away.

    For writes that later ones build upon. `write` must be harmless to repeat, and `job` is the UUID
    of the job that it concerns, for the log.

    Raises:
        OperationalError, InterfaceError: the database is away and `is_closing()` is true.
    """
    while True:
        try:
            return await in_database(write)
        except (OperationalError, InterfaceError):
            if is_closing():
                raise
            log.error("database still unreachable, the write is tried again", extra={"job": job})
            await asyncio.sleep(RETRY_SECONDS)


def _attempt(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return work(*args, **kwargs)
    except (OperationalError, InterfaceError):
        connection.close()
        raise


def close_threads() -> None:
    """End the database threads and their connections; the next use starts new ones."""
    global _threads
    everyone = Barrier(THREADS)

    def leave() -> None:
        # A fast thread must not take the task of another one.
        everyone.wait()
        connection.close()

    for left in [_threads.submit(leave) for _ in range(THREADS)]:
        left.result()
    _threads.shutdown()
    _threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")
