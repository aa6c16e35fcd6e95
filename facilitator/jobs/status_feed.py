"""Pushes new statuses to the event streams of users, in this process's memory.

One process serves all validators' websockets and all users' streams, so a stored status reaches
the streams without another database query.
"""

import asyncio
from collections.abc import Iterable

from compute_horde.protocol.extensions import ProgressMade
from facilitator.jobs.rules import StatusEvent

# Jobs of which the latest progress is kept; beyond that the oldest is dropped.
MAX_PROGRESS = 4096


class Feed:
    """Queue of new statuses of one job for one reader; None means that the server stops.

    With a `validator` set, also the job's progress; a slow reader gets only the newest.
    """

    def __init__(self, job_uuid: str, hotkey: str) -> None:
        self.job_uuid, self.hotkey = job_uuid, hotkey
        self.validator = ""
        self._queue: asyncio.Queue[StatusEvent | type[ProgressMade] | None] = asyncio.Queue()
        self._progress: ProgressMade | None = None

    def put(self, event: StatusEvent | None) -> None:
        """Add a status."""
        self._queue.put_nowait(event)

    def put_progress(self, progress: ProgressMade) -> None:
        """Add progress, replacing one that was not read yet."""
        if self._progress is None:
            self._queue.put_nowait(ProgressMade)
        self._progress = progress

    async def next(self, *, within_seconds: float) -> StatusEvent | ProgressMade | None:
        """The next status or progress; raises `TimeoutError` after `within_seconds`."""
        async with asyncio.timeout(within_seconds):
            update = await self._queue.get()
        if update is None or isinstance(update, StatusEvent):
            return update
        progress, self._progress = self._progress, None
        return progress


class FeedRegistry:
    """All open feeds, by job."""

    def __init__(self) -> None:
        self._feeds: dict[str, set[Feed]] = {}
        self._counts: dict[str, int] = {}
        self._progress: dict[tuple[str, str], ProgressMade] = {}

    def open(self, job_uuid: str, hotkey: str) -> Feed:
        """A feed of what is published from now on; the caller must `close` it."""
        feed = Feed(job_uuid, hotkey)
        self._feeds.setdefault(job_uuid, set()).add(feed)
        self._counts[hotkey] = self.count(hotkey) + 1
        return feed

    def close(self, feed: Feed) -> None:
        """Unregister a feed; harmless to repeat."""
        feeds = self._feeds.get(feed.job_uuid, set())
        if feed not in feeds:
            return
        feeds.remove(feed)
        if not feeds:
            del self._feeds[feed.job_uuid]
        self._counts[feed.hotkey] -= 1
        if not self._counts[feed.hotkey]:
            del self._counts[feed.hotkey]

    def count(self, hotkey: str = "") -> int:
        """The number of open feeds, in all or of one hotkey."""
        return self._counts.get(hotkey, 0) if hotkey else sum(self._counts.values())

    def publish(self, job_uuid: str, events: Iterable[StatusEvent]) -> None:
        """Put stored statuses into the feeds of their job."""
        feeds = self._feeds.get(job_uuid, ())
        for event in events if feeds else ():
            for feed in feeds:
                feed.put(event)
        if events and any(event.is_end for event in events):
            for key in [key for key in self._progress if key[0] == job_uuid]:
                del self._progress[key]

    def publish_progress(self, validator: str, progress: ProgressMade) -> None:
        """Put a validator's progress report into the feeds of its own job."""
        key = (progress.job_uuid, validator)
        self._progress.pop(key, None)
        if len(self._progress) >= MAX_PROGRESS:
            del self._progress[next(iter(self._progress))]
        self._progress[key] = progress
        for feed in self._feeds.get(progress.job_uuid, ()):
            if feed.validator == validator:
                feed.put_progress(progress)

    def subscribe_progress(self, feed: Feed, validator: str) -> None:
        """Add progress that `validator` reports to this feed, beginning with the latest one."""
        feed.validator = validator
        if progress := self._progress.get((feed.job_uuid, validator)):
            feed.put_progress(progress)

    def stop(self) -> None:
        """End all feeds; their readers reconnect to the next process."""
        for feeds in self._feeds.values():
            for feed in feeds:
                feed.put(None)


feed_registry = FeedRegistry()
