"""One process of a kind at work; a second one waits until the first is gone."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg

from compute_horde.django.listen import RETRY_SECONDS, connect
from compute_horde.errors import ComputeHordeError

log = logging.getLogger(__name__)

# Longer than the one at work needs to be back after a restart of PostgreSQL.
LOOK_SECONDS = 2.0
# The lock of a machine that vanished is free after half a minute.
KEEPALIVE = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5"
TRY = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"


class TakenOverError(ComputeHordeError):
    """Another process does our work since we lost the database."""


async def only(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do `work` while no other process does; it ends with `TakenOverError` when one took over."""
    line = await _seat(name)
    tasks = [asyncio.create_task(work()), asyncio.create_task(_keep(name, line))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()


async def _seat(name: str) -> psycopg.AsyncConnection:
    """The connection that holds the lock, once nobody else does."""
    waiting = False
    while True:
        try:
            if line := await _taken(name):
                return line
        except psycopg.OperationalError as exc:
            log.warning("database lost, trying again", extra={"problem": str(exc)[:200]})
        else:
            if not waiting:
                log.warning("another process is at work, waiting for its end", extra={"as": name})
            waiting = True
        await asyncio.sleep(LOOK_SECONDS)


async def _keep(name: str, line: psycopg.AsyncConnection) -> None:
    """Hold the lock, and take it again when the connection is lost."""
    while True:
        try:
            async with line:
                async for _ in line.notifies():
                    continue
        except psycopg.OperationalError as exc:
            log.warning("lock lost, taking it again", extra={"problem": str(exc)[:200]})
        line = await _again(name)


async def _again(name: str) -> psycopg.AsyncConnection:
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        try:
            line = await _taken(name)
        except psycopg.OperationalError:
            continue
        if line is None:
            raise TakenOverError(f"another process works as {name} now")
        return line


async def _taken(name: str) -> psycopg.AsyncConnection | None:
    """A connection with the lock, or None while another has it."""
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
