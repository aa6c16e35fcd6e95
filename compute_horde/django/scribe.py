"""Writing facts in order: while one transaction runs, what else is heard waits for the next."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

Fact = TypeVar("Fact")
Key = TypeVar("Key", bound=Hashable)


class Scribe(Generic[Key, Fact]):
    """Calls `write(key, facts)` for each key in order, never twice at once for the same key.

    A burst costs one transaction and the speaker never waits. `write` handles its own errors;
    one that escapes is logged and the facts of that call are dropped.
    """

    def __init__(self, write: Callable[[Key, list[Fact]], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: dict[Key, list[Fact]] = {}
        self._writers: dict[Key, asyncio.Task[None]] = {}

    def hear(self, key: Key, *facts: Fact) -> None:
        """Take facts to be written soon; returns at once."""
        self._waiting.setdefault(key, []).extend(facts)
        if key not in self._writers:
            self._writers[key] = asyncio.create_task(self._drain(key))

    async def settled(self, key: Key) -> None:
        """Return when all that was heard so far of `key` is written."""
        if writer := self._writers.get(key):
            await asyncio.shield(writer)

    async def close(self) -> None:
        """Return when everything is written."""
        while self._writers:
            await asyncio.gather(*self._writers.values(), return_exceptions=True)

    async def _drain(self, key: Key) -> None:
        try:
            while facts := self._waiting.pop(key, None):
                await self._attempt(key, facts)
        finally:
            del self._writers[key]

    async def _attempt(self, key: Key, facts: list[Fact]) -> None:
        try:
            await self._write(key, facts)
        except Exception:
            log.exception(
                "facts could not be written", extra={"key": str(key), "facts": len(facts)}
            )
