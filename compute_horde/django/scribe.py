"""Writing facts in order: while one transaction runs, what else is heard waits for the next."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

Fact = TypeVar("Fact")
Key = TypeVar("Key", bound=Hashable)


class Scribe(Generic[Key, Fact]):
    """Calls `write(key, facts)` for each key in order, never twice at once for the same key.

    A burst costs one transaction and the speaker never waits. `write` handles its own errors;
    one that escapes is logged and the facts of that call are dropped. With `linger_seconds`, facts
    that may be lost in a crash wait that long for company, unless someone waits for them.
    """

    def __init__(
        self, write: Callable[[Key, list[Fact]], Awaitable[None]], *, linger_seconds: float = 0
    ) -> None:
        self._write = write
        self._linger = linger_seconds
        self._hurry: dict[Key, asyncio.Event] = {}
        self._waiting: dict[Key, list[Fact]] = {}
        self._writers: dict[Key, asyncio.Task[None]] = {}

    def hear(self, key: Key, *facts: Fact) -> None:
        """Take facts to be written soon; returns at once."""
        self._waiting.setdefault(key, []).extend(facts)
        if key not in self._writers:
            self._hurry[key] = asyncio.Event()
            self._writers[key] = asyncio.create_task(self._drain(key))

    async def settled(self, key: Key) -> None:
        """Return when all that was heard so far of `key` is written."""
        if writer := self._writers.get(key):
            self._hurry[key].set()
            await asyncio.shield(writer)

    async def close(self) -> None:
        """Return when everything is written."""
        while self._writers:
            for hurry in self._hurry.values():
                hurry.set()
            await asyncio.gather(*self._writers.values(), return_exceptions=True)

    async def _drain(self, key: Key) -> None:
        try:
            while key in self._waiting:
                await self._company(self._hurry[key])
                await self._attempt(key, self._waiting.pop(key))
        finally:
            del self._writers[key], self._hurry[key]

    async def _company(self, hurry: asyncio.Event) -> None:
        """Wait for more facts, but no longer than we may."""
        if self._linger and not hurry.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(hurry.wait(), self._linger)

    async def _attempt(self, key: Key, facts: list[Fact]) -> None:
        try:
            await self._write(key, facts)
        except Exception:
            log.exception(
                "facts could not be written", extra={"key": str(key), "facts": len(facts)}
            )
