"""Received messages that are not handled yet, per job, bounded in number and bytes."""

import asyncio
from collections.abc import Collection

from compute_horde.concurrency.byte_budget import ByteBudget
from compute_horde.errors import HordeError
from compute_horde.faults import Cause
from compute_horde.frames import MAX_FRAME_BYTES
from compute_horde.protocol.message import JobMessage
from compute_horde.vocabulary import HordeReason

# Enough for all messages that an honest miner sends of one job, repeated a few times.
MAX_UNREAD = 64
# A result may fill a whole frame.
JOB_BYTES = MAX_FRAME_BYTES + 8 * 2**20
CONNECTION_BYTES = 2 * MAX_FRAME_BYTES
ALL_BYTES = 8 * MAX_FRAME_BYTES

process_budget = ByteBudget(ALL_BYTES)


class Inbox:
    """A queue of a miner's messages about one job; the job fails when it exceeds a bound."""

    def __init__(self, line: ByteBudget) -> None:
        self._budget = line.part(JOB_BYTES, drop=self._drop)
        self._queue: asyncio.Queue[tuple[JobMessage | HordeError, int]] = asyncio.Queue()

    def put(self, message: JobMessage, size: int) -> None:
        """Add a message whose frame had `size` bytes, or fail the job when a bound is exceeded."""
        if self._queue.qsize() > MAX_UNREAD:
            return
        if self._queue.qsize() == MAX_UNREAD:
            self.end(_too_much(f"more than {MAX_UNREAD} messages about the job at once"))
            return
        self._queue.put_nowait((message, size))
        self._budget.add(size)

    def end(self, error: HordeError) -> None:
        """Let `next` raise this error after the messages before it."""
        self._queue.put_nowait((error, 0))

    async def next(self) -> JobMessage:
        """Wait for the next message; raises the `HordeError` given to `end`."""
        received, size = await self._queue.get()
        if isinstance(received, HordeError):
            raise received
        self._budget.remove(size)
        return received

    def close(self) -> None:
        """Release the bytes that are held."""
        self._budget.close()

    def _drop(self) -> None:
        while not self._queue.empty():
            self._queue.get_nowait()
        self.end(_too_much("more messages at once than this validator holds in memory"))


def end_all(inboxes: Collection[Inbox], error: HordeError) -> None:
    """Let `next` of all these inboxes raise `error`."""
    for inbox in inboxes:
        inbox.end(error)


def _too_much(what: str) -> HordeError:
    return HordeError(
        HordeReason.GENERIC_ERROR,
        f"The miner sent {what}",
        context=Cause.BROKEN_ORDER.context,
    )
