"""Statuses on their way to the users who wait for them, in this process's memory.

All validators' websockets and all users' streams end in one process, so what was just written is
handed over without asking the database again.
"""

import asyncio
from collections.abc import Iterable

from facilitator.rules import Told


class Feed:
    """The statuses of one job as they come; None is the last one before we stop."""

    def __init__(self, job_uuid: str, hotkey: str) -> None:
        self.job_uuid, self.hotkey = job_uuid, hotkey
        self._queue: asyncio.Queue[Told | None] = asyncio.Queue()

    def put(self, told: Told | None) -> None:
        """Add a status."""
        self._queue.put_nowait(told)

    async def next(self, *, within_seconds: float) -> Told | None:
        """The next status; `TimeoutError` when none comes in time."""
        async with asyncio.timeout(within_seconds):
            return await self._queue.get()


class Desk:
    """Who waits for news of which job."""

    def __init__(self) -> None:
        self._feeds: dict[str, set[Feed]] = {}
        self._readers: dict[str, int] = {}

    def open(self, job_uuid: str, hotkey: str) -> Feed:
        """A feed of all that is told from now on; the caller must `close` it."""
        feed = Feed(job_uuid, hotkey)
        self._feeds.setdefault(job_uuid, set()).add(feed)
        self._readers[hotkey] = self.readers(hotkey) + 1
        return feed

    def close(self, feed: Feed) -> None:
        """Forget a feed, however often."""
        feeds = self._feeds.get(feed.job_uuid, set())
        if feed not in feeds:
            return
        feeds.remove(feed)
        if not feeds:
            del self._feeds[feed.job_uuid]
        self._readers[feed.hotkey] -= 1
        if not self._readers[feed.hotkey]:
            del self._readers[feed.hotkey]

    def readers(self, hotkey: str = "") -> int:
        """How many feeds are open, or how many a hotkey holds."""
        return self._readers.get(hotkey, 0) if hotkey else sum(self._readers.values())

    def tell(self, job_uuid: str, told: Iterable[Told]) -> None:
        """Hand out what was just stored."""
        feeds = self._feeds.get(job_uuid, ())
        for one in told if feeds else ():
            for feed in feeds:
                feed.put(one)

    def stop(self) -> None:
        """End all feeds; their readers come back to the next process."""
        for feeds in self._feeds.values():
            for feed in feeds:
                feed.put(None)


desk = Desk()
