"""Database work for HTTP requests: an answer before the client's timeout of five seconds."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError

from compute_horde.concurrency.task_set import TaskSet
from compute_horde.django.database import in_database
from compute_horde.errors import ComputeHordeError
from facilitator.web.errors import ApiError

log = logging.getLogger(__name__)

ANSWER_SECONDS = 4.0

P = ParamSpec("P")
T = TypeVar("T")


class DeadlineExceededError(ComputeHordeError):
    """The deadline passed before the work began, so it must not begin."""


async def query_within_deadline(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`query_unless_late`, but with 503 as soon as `ANSWER_SECONDS` are over."""
    return await finish_or_503(query_unless_late(work, *args, **kwargs))


async def query_unless_late(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` by `in_database`, unless it could not begin within `ANSWER_SECONDS`.

    The request has been refused by then. Raises `ApiError` 503, also for a database error.
    """
    deadline = time.monotonic() + ANSWER_SECONDS

    def attempt() -> T:
        if time.monotonic() > deadline:
            raise DeadlineExceededError
        return work(*args, **kwargs)

    try:
        return await in_database(attempt)
    except (DeadlineExceededError, OperationalError, InterfaceError) as exc:
        raise unavailable() from exc


async def finish_or_503(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; raises `ApiError` 503 when it is late, and finishes it anyway."""
    task = _running.spawn(work)
    task.add_done_callback(_log_failure)
    done, _ = await asyncio.wait({task}, timeout=ANSWER_SECONDS)
    if not done:
        raise unavailable()
    return task.result()


def _log_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) and not isinstance(error, ApiError):
        log.error("work of an API request failed", exc_info=error)


def unavailable() -> ApiError:
    """The error for a database that does not answer in time."""
    return ApiError(
        503,
        {"error": "Database unavailable", "details": "try again in a few seconds"},
        headers={"Retry-After": "2"},
    )


_running = TaskSet()
