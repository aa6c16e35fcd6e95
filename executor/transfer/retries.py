"""Retries with exponential backoff, as long as the job has time for another attempt."""

import asyncio
import itertools
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from compute_horde.concurrency.backoff import Backoff
from executor.transfer.http_errors import RetryableError

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 30.0

Result = TypeVar("Result")


def never() -> bool:
    """The default of `has_progressed`: no attempt makes progress."""
    return False


def ignore_problem(problem: RetryableError) -> None:
    """The default of `on_problem`."""


async def with_retries(
    attempt: Callable[[], Awaitable[Result]],
    seconds_left: Callable[[], float],
    has_progressed: Callable[[], bool] = never,
    on_problem: Callable[[RetryableError], None] = ignore_problem,
) -> Result:
    """The result of the first attempt that succeeds.

    After each `RetryableError` the next attempt waits twice as long, and at least as long as the
    server asks for. An attempt that made progress, which `has_progressed` says, resets the
    waits. `on_problem` is called with each error after which another attempt follows.
    When the wait would be over after `seconds_left` the error is raised at once.
    """
    backoff = Backoff(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)
    for following in itertools.count(2):
        try:
            return await attempt()
        except RetryableError as exc:
            if has_progressed():
                backoff.reset()
            wait = max(backoff.take() * random.uniform(1, 1.1), exc.retry_after or 0.0)
            if wait >= (left := seconds_left()):
                raise _too_late(exc, following, wait, left) from exc
            on_problem(exc)
            log.info("another attempt follows", extra={"problem": str(exc), "after": wait})
        await asyncio.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def _too_late(exc: RetryableError, attempt: int, wait: float, left: float) -> RetryableError:
    """The error with the reason why `attempt` is not made: `wait` is longer than `left`."""
    asks = exc.retry_after is not None and exc.retry_after >= wait
    when = f"it asks to wait {wait:.0f} s before" if asks else f"in {wait:.0f} s would follow"
    text = f"{when} attempt {attempt}, but the time limit ends in {max(left, 0.0):.1f} s"
    return exc.with_text(f"{exc}; {text}")
