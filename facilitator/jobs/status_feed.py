"""Pushes new statuses to the event streams of users, in this process's memory.

One process serves all validators' websockets and all users' streams, so a stored status reaches
the streams without another database query.
"""

import asyncio
from collections.abc import Iterable, Sequence

from compute_horde.concurrency.byte_budget import ByteBudget, memory_of
from compute_horde.protocol.extensions import ProgressMade
from facilitator.jobs.rules import StatusEvent

# Readers of one hotkey, unless the operator has set another number.
FEEDS_OF_HOTKEY = 512
# Jobs of which the latest progress is kept; beyond that the oldest is dropped.
MAX_PROGRESS = 4096
# What is kept for readers that have not taken it yet: for all, and for those of one hotkey. Over a
# limit the reader with most loses all of it; its stream ends, and it can resume it.
UNSENT_BYTES, UNSENT_BYTES_OF_HOTKEY = 192 * 2**20, 64 * 2**20
# So much of an event is written at once: the connection holds no more of a reader that is slow.
PIECE_BYTES = 2**16


class Feed:
    """Updates of one job for one reader, counted in bytes until the reader has taken them.

    With a `validator` set, also the job's progress; a slow reader gets only the newest.
    """

    __slots__ = (
        *("_arrival", "_budget", "_progress", "_unsent", "_unsent_bytes", "_updates"),
        *("hotkey", "is_cut", "job_uuid", "latest_id", "validator"),
    )

    def __init__(self, job_uuid: str, hotkey: str, budget: ByteBudget) -> None:
        self.job_uuid, self.hotkey = job_uuid, hotkey
        self.validator = ""
        # The greatest row id of a status that was put in here.
        self.latest_id = 0
        # A list is small while it is empty, and this one is always short.
        self._updates: list[StatusEvent | type[ProgressMade] | None] = []
        self._progress: ProgressMade | None = None
        self._unsent, self._unsent_bytes = memoryview(b""), 0
        self._budget = budget.part(budget.limit, drop=self._drop)
        self._arrival: asyncio.Future[None] | None = None
        self.is_cut = False

    def put(self, event: StatusEvent | None) -> None:
        """Add a status; None ends the feed after all that is in it."""
        if self.is_cut:
            return
        self._updates.append(event)
        self._wake()
        if event:
            self._count(event)

    def put_first(self, events: Sequence[StatusEvent]) -> None:
        """Add statuses that were stored before those in here."""
        if not self.is_cut:
            self._updates[:0] = events
            self._wake()
            for event in events:
                self._count(event)

    def put_progress(self, progress: ProgressMade) -> None:
        """Add progress, replacing one that was not read yet."""
        if self._progress is None and not self.is_cut:
            self._updates.append(ProgressMade)
            self._wake()
        self._progress = progress

    async def next(self, *, within_seconds: float) -> StatusEvent | ProgressMade | None:
        """The next status or progress, or None at the end of the feed.

        Raises `TimeoutError` after `within_seconds`.
        """
        if not self._updates and not self.is_cut:
            self._arrival = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(within_seconds):
                await self._arrival
        if self.is_cut:
            return None
        update = self._updates.pop(0)
        if isinstance(update, StatusEvent):
            self._budget.remove(memory_of(update.report))
        if update is None or isinstance(update, StatusEvent):
            return update
        progress, self._progress = self._progress, None
        return progress

    def hold(self, data: bytes) -> None:
        """Count `data`, which is to be sent in pieces, until `piece` has given all of it out."""
        if not self.is_cut:
            self._unsent, self._unsent_bytes = memoryview(data), len(data)
            self._budget.add(len(data))

    def piece(self) -> bytes:
        """The next piece of the data held; empty when all was given out, or the feed was cut."""
        found, self._unsent = bytes(self._unsent[:PIECE_BYTES]), self._unsent[PIECE_BYTES:]
        if not found and self._unsent_bytes:
            self._budget.remove(self._unsent_bytes)
            self._unsent, self._unsent_bytes = memoryview(b""), 0
        return found

    def cut(self) -> None:
        """End the feed at once, and drop and stop counting all that is in it."""
        self._drop()
        self._budget.close()

    def _count(self, event: StatusEvent) -> None:
        self.latest_id = max(self.latest_id, event.id)
        self._budget.add(memory_of(event.report))

    def _drop(self) -> None:
        self.is_cut = True
        self._updates.clear()
        self._progress = None
        self._unsent, self._unsent_bytes = memoryview(b""), 0
        self._wake()

    def _wake(self) -> None:
        if self._arrival and not self._arrival.done():
            self._arrival.set_result(None)


class UserFeeds:
    """The open feeds of one hotkey, in the order they were opened."""

    def __init__(self, budget: ByteBudget) -> None:
        self.feeds: dict[Feed, None] = {}
        self.budget = budget


class FeedRegistry:
    """All open feeds, by job and by hotkey."""

    def __init__(
        self,
        unsent_bytes: int = UNSENT_BYTES,
        unsent_bytes_of_hotkey: int = UNSENT_BYTES_OF_HOTKEY,
    ) -> None:
        self._feeds: dict[str, set[Feed]] = {}
        self._users: dict[str, UserFeeds] = {}
        self._progress: dict[tuple[str, str], ProgressMade] = {}
        self._budget = ByteBudget(unsent_bytes)
        self._bytes_of_hotkey = unsent_bytes_of_hotkey
        self._count = 0

    @property
    def unsent_bytes(self) -> int:
        """What is kept for readers that have not taken it yet."""
        return self._budget.held

    def has_room(self, hotkey: str, *, per_hotkey: int, in_all: int) -> bool:
        """Whether `hotkey` may open another feed.

        When there are `in_all`, it may if another hotkey has at least two more, of which
        `cut_surplus` cuts one: however many one hotkey holds, the others get their part.
        """
        count = self.count(hotkey)
        if count >= per_hotkey:
            return False
        return self._count < in_all or len(self._largest()) >= count + 2

    def cut_surplus(self, in_all: int) -> None:
        """Cut the newest feeds of the hotkey with most while there are more than `in_all`."""
        while self._count > in_all:
            self.close(next(reversed(self._largest())))

    def _largest(self) -> dict[Feed, None]:
        return max(self._users.values(), key=lambda user: len(user.feeds)).feeds

    def open(self, job_uuid: str, hotkey: str) -> Feed:
        """A feed of what is published from now on; the caller must `close` it."""
        user = self._users.get(hotkey)
        if user is None:
            user = self._users[hotkey] = UserFeeds(self._budget.part(self._bytes_of_hotkey))
        feed = Feed(job_uuid, hotkey, user.budget)
        self._feeds.setdefault(job_uuid, set()).add(feed)
        user.feeds[feed] = None
        self._count += 1
        return feed

    def close(self, feed: Feed) -> None:
        """Cut a feed and unregister it; harmless to repeat."""
        feeds = self._feeds.get(feed.job_uuid, set())
        if feed not in feeds:
            return
        feed.cut()
        feeds.remove(feed)
        if not feeds:
            del self._feeds[feed.job_uuid]
        user = self._users[feed.hotkey]
        del user.feeds[feed]
        if not user.feeds:
            del self._users[feed.hotkey]
        self._count -= 1

    def count(self, hotkey: str = "") -> int:
        """The number of open feeds, in all or of one hotkey."""
        if not hotkey:
            return self._count
        user = self._users.get(hotkey)
        return len(user.feeds) if user else 0

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
