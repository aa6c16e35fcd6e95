"""Waits for what other tasks, threads and processes bring about without telling the test."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

WITHIN_SECONDS = 30.0
LOOK_SECONDS = 0.01

Value = TypeVar("Value")


async def eventually(
    condition: Callable[[], Value | Awaitable[Value]], *, within: float = WITHIN_SECONDS
) -> Value:
    """The first true value of `condition`, a function or coroutine function.

    Raises `AssertionError` when there was none within so many seconds. Where the code under test
    sets an event or answers, wait for that instead.
    """
    give_up = time.monotonic() + within
    while True:
        value: Any = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < give_up, f"not within {within:g} s: {_source(condition)}"
        await asyncio.sleep(LOOK_SECONDS)


def eventually_true(
    condition: Callable[[], Value], *, within: float = WITHIN_SECONDS, look: float = LOOK_SECONDS
) -> Value:
    """Like `eventually`, for tests without an event loop; looks every `look` seconds."""
    give_up = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < give_up, f"not within {within:g} s: {_source(condition)}"
        time.sleep(look)
    return value


def _source(condition: Callable[[], Any]) -> str:
    try:
        return " ".join(inspect.getsource(condition).split())
    except (OSError, TypeError):
        return repr(condition)
