"""Ensures one working process of a kind; a second one waits until the first has ended."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg

from compute_horde.concurrency.task_set import run_until_first
from compute_horde.django.notifications import RETRY_SECONDS, connect
from compute_horde.errors import ComputeHordeError
from compute_horde.platform.forced_exit import STOP_SECONDS, exit_within

log = logging.getLogger(__name__)

# Longer than the working process needs to reconnect after a restart of PostgreSQL.
LOOK_SECONDS = 2.0
# Frees the lock of a machine that vanished after half a minute.
KEEPALIVE = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5"
TRY = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"


class TakenOverError(ComputeHordeError):
    """Another process took over the work while this one had lost the database."""


async def run_exclusively(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `work` while no other process does; raises `TakenOverError` when one took over."""
    line = await _acquire_lock(name)
    await run_until_first(work(), _hold_lock(name, line))


async def run_until_signal(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `work` while no other process does, until SIGTERM or Ctrl-C.

    Once told to stop, the process ends in `STOP_SECONDS` at the latest: a database that does not
    answer would keep the threads that wait for it, and the process with them.
    """
    loop, running = asyncio.get_running_loop(), asyncio.create_task(run_exclusively(name, work))

    def stop() -> None:
        exit_within(STOP_SECONDS, f"{name}: something did not end in time and is abandoned")
        running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await running
    except asyncio.CancelledError:
        log.info("%s stopped", name)


async def _acquire_lock(name: str) -> psycopg.AsyncConnection:
    """Wait for the lock; the connection that holds it."""
    waiting = False
    while True:
        try:
            if line := await _try_lock(name):
                return line
        except psycopg.OperationalError as exc:
            log.warning("database lost, trying again", extra={"problem": str(exc)[:200]})
        else:
            if not waiting:
                log.warning("another process is at work, waiting for its end", extra={"as": name})
            waiting = True
        await asyncio.sleep(LOOK_SECONDS)


async def _hold_lock(name: str, line: psycopg.AsyncConnection) -> None:
    """Hold the lock, and acquire it again when the connection is lost."""
    while True:
        try:
            async with line:
                async for _ in line.notifies():
                    continue
        except psycopg.OperationalError as exc:
            log.warning(
                "lock lost with the database connection, acquiring it again",
                extra={"problem": str(exc)[:200]},
            )
        line = await _reacquire_lock(name)


async def _reacquire_lock(name: str) -> psycopg.AsyncConnection:
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        try:
            line = await _try_lock(name)
        except psycopg.OperationalError:
            continue
        if line is None:
            raise TakenOverError(f"another process works as {name} now")
        return line


async def _try_lock(name: str) -> psycopg.AsyncConnection | None:
    """A connection that holds the lock, or None while another process has it."""
    line = await connect()
    try:
        await line.execute(KEEPALIVE)
        found = await (await line.execute(TRY, (name,))).fetchone()
        if found and found[0]:
            return line
    except BaseException:
        await line.close()
        raise
    await line.close()
    return None
