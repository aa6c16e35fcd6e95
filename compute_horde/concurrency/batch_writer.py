"""Batched writes: facts that arrive during a write are written together by the next one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

Fact = TypeVar("Fact")
Key = TypeVar("Key", bound=Hashable)


class BatchWriter(Generic[Key, Fact]):
    """Calls `write(key, facts)` with the facts in order, never concurrently for the same key.

    A burst of facts takes one transaction, and `put` never waits. An exception of `write` is
    logged and the facts of that call are dropped. With `linger_seconds` a write is delayed by that
    time to collect more facts, unless `flush` or `close` is called.
    """

    def __init__(
        self, write: Callable[[Key, list[Fact]], Awaitable[None]], *, linger_seconds: float = 0
    ) -> None:
        self._write = write
        self._linger = linger_seconds
        self._hurry: dict[Key, asyncio.Event] = {}
        self._waiting: dict[Key, list[Fact]] = {}
        self._writers: dict[Key, asyncio.Task[None]] = {}

    def put(self, key: Key, *facts: Fact) -> None:
        """Queue facts to be written; returns at once."""
        self._waiting.setdefault(key, []).extend(facts)
        if key not in self._writers:
            self._hurry[key] = asyncio.Event()
            self._writers[key] = asyncio.create_task(self._drain(key))

    async def flush(self, key: Key) -> None:
        """Return when all facts queued so far for `key` are written."""
        if writer := self._writers.get(key):
            self._hurry[key].set()
            await asyncio.shield(writer)

    async def close(self) -> None:
        """Return when all queued facts are written."""
        while self._writers:
            for hurry in self._hurry.values():
                hurry.set()
            await asyncio.gather(*self._writers.values(), return_exceptions=True)

    async def _drain(self, key: Key) -> None:
        try:
            while key in self._waiting:
                await self._wait_for_more(self._hurry[key])
                await self._attempt(key, self._waiting.pop(key))
        finally:
            del self._writers[key], self._hurry[key]

    async def _wait_for_more(self, hurry: asyncio.Event) -> None:
        """Wait `linger_seconds` for more facts, or until a flush is requested."""
        if self._linger and not hurry.is_set():
            with suppress(TimeoutError):
                # Python 3.11's `wait_for` may swallow a cancellation.
                async with asyncio.timeout(self._linger):
                    await hurry.wait()

    async def _attempt(self, key: Key, facts: list[Fact]) -> None:
        try:
            await self._write(key, facts)
        except Exception:
            log.exception(
                "facts could not be written", extra={"key": str(key), "facts": len(facts)}
            )
