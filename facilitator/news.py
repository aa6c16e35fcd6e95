"""Statuses on their way to the users who wait for them, in this process's memory.

All validators' websockets and all users' streams end in one process, so what was just written is
handed over without asking the database again.
"""

import asyncio
from collections.abc import Iterable

from compute_horde.protocol.extensions import ProgressMade
from facilitator.rules import Told

MAX_PROGRESS = 4096


class Feed:
    """The statuses of one job as they come; None is the last one before we stop.

    With a `validator` also the job's progress, as far as the reader keeps up with it.
    """

    def __init__(self, job_uuid: str, hotkey: str) -> None:
        self.job_uuid, self.hotkey = job_uuid, hotkey
        self.validator = ""
        self._queue: asyncio.Queue[Told | type[ProgressMade] | None] = asyncio.Queue()
        self._progress: ProgressMade | None = None

    def put(self, told: Told | None) -> None:
        """Add a status."""
        self._queue.put_nowait(told)

    def made(self, progress: ProgressMade) -> None:
        """Only the latest is worth telling."""
        if self._progress is None:
            self._queue.put_nowait(ProgressMade)
        self._progress = progress

    async def next(self, *, within_seconds: float) -> Told | ProgressMade | None:
        """The next news; `TimeoutError` when none comes in time."""
        async with asyncio.timeout(within_seconds):
            news = await self._queue.get()
        if news is None or isinstance(news, Told):
            return news
        progress, self._progress = self._progress, None
        return progress


class Desk:
    """Who waits for news of which job."""

    def __init__(self) -> None:
        self._feeds: dict[str, set[Feed]] = {}
        self._readers: dict[str, int] = {}
        self._progress: dict[tuple[str, str], ProgressMade] = {}

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

        if told and any(one.is_end for one in told):
            for key in [key for key in self._progress if key[0] == job_uuid]:
                del self._progress[key]

    def made(self, validator: str, progress: ProgressMade) -> None:
        """Hand out how far a validator says that a job is, to readers of that validator's job."""
        key = (progress.job_uuid, validator)
        self._progress.pop(key, None)
        if len(self._progress) >= MAX_PROGRESS:
            del self._progress[next(iter(self._progress))]
        self._progress[key] = progress
        for feed in self._feeds.get(progress.job_uuid, ()):
            if feed.validator == validator:
                feed.made(progress)

    def follow(self, feed: Feed, validator: str) -> None:
        """From now on this feed hears of progress, at once of the latest there was."""
        feed.validator = validator
        if progress := self._progress.get((feed.job_uuid, validator)):
            feed.made(progress)

    def stop(self) -> None:
        """End all feeds; their readers come back to the next process."""
        for feeds in self._feeds.values():
            for feed in feeds:
                feed.put(None)


desk = Desk()
