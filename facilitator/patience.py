"""Database work that a user waits for: an answer within the client's five seconds, always."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError

from compute_horde.django.database import in_database
from facilitator.refusal import Refusal

log = logging.getLogger(__name__)

ANSWER_SECONDS = 4.0

P = ParamSpec("P")
T = TypeVar("T")


class TooLate(Exception):
    """Nobody waits for this work any more; it must not begin."""


async def promptly(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`in_time` for a caller who hangs up soon: 503 when the database does not answer."""
    return await answered(in_time(work, *args, **kwargs))


async def in_time(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`in_database`, but what did not begin in time never does: it was refused already."""
    deadline = time.monotonic() + ANSWER_SECONDS

    def attempt() -> T:
        if time.monotonic() > deadline:
            raise TooLate
        return work(*args, **kwargs)

    try:
        return await in_database(attempt)
    except (TooLate, OperationalError, InterfaceError) as exc:
        raise unavailable() from exc


async def answered(work: Coroutine[Any, Any, T]) -> T:
    """The outcome of `work`, or 503 when it takes too long; what began is always finished."""
    task = asyncio.create_task(work)
    _running.add(task)
    task.add_done_callback(_finished)
    done, _ = await asyncio.wait({task}, timeout=ANSWER_SECONDS)
    if not done:
        raise unavailable()
    return task.result()


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) and not isinstance(error, Refusal):
        log.error("work for a user failed", exc_info=error)


def unavailable() -> Refusal:
    """The database is away for a moment."""
    return Refusal(
        503,
        {"error": "Database unavailable", "details": "try again in a few seconds"},
        headers={"Retry-After": "2"},
    )


_running: set[asyncio.Task[Any]] = set()
