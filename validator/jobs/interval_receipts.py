"""Interval receipts: a long job earns for each interval of work, with a receipt for each."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from compute_horde.protocol.extensions import IntervalReceiptIssued
from compute_horde.receipts import JobIntervalReceipt
from compute_horde.vocabulary import Extension, JobState
from validator.jobs.conversation import MinerContract, send_if_connected
from validator.jobs.steps import Clock, Step
from validator.miners.connection import MinerConnection
from validator.receipts.rules import ZERO, interval_score
from validator.receipts.signing import SignedReceipt

log = logging.getLogger(__name__)

EXECUTING = frozenset({JobState.VOLUMES_READY, JobState.STREAMING_READY})
# A miner that reconnects repeats all messages of a job at once; so long they are awaited before
# the miner counts as working.
SETTLING_SECONDS = 1.0
POLL_SECONDS = 1.0
# Receipts sent up to so long before a connection was lost may not have arrived and are repeated.
REPEAT_WINDOW = timedelta(minutes=5)


@dataclass
class WorkProgress:
    """For how much of a job's work receipts were issued.

    `since` is when the next interval begins, `count` how many intervals have a receipt, `earned`
    the sum of their scores, and `recent` the receipts within `REPEAT_WINDOW`.
    """

    since: datetime | None = None
    count: int = 0
    earned: Decimal = ZERO
    recent: list[SignedReceipt] = field(default_factory=list)

    def add(self, receipt: SignedReceipt) -> None:
        """Count the receipt of the next interval."""
        payload = _interval_receipt(receipt)
        self.since = payload.time_started + timedelta(microseconds=payload.time_took_us)
        self.count = payload.interval + 1
        self.earned += Decimal(payload.score_str)
        first = payload.timestamp - REPEAT_WINDOW
        self.recent = [one for one in self.recent if one.payload.timestamp >= first]
        self.recent.append(receipt)


class IntervalIssuer:
    """Issues a receipt for each interval that a job's miner works.

    A receipt is issued when its interval has ended and the miner is connected and working; while
    the miner is disconnected, the receipt waits. `limit` is the price of the whole job and
    `length` the length of an interval. `now` measures intervals, `wall_clock` dates receipts.
    """

    def __init__(
        self,
        work_progress: WorkProgress,
        contract: MinerContract,
        connection: MinerConnection,
        *,
        limit: Decimal,
        length: timedelta,
        now: Clock,
        wall_clock: Clock | None = None,
        record: Callable[[SignedReceipt], Awaitable[None]],
    ) -> None:
        self._work_progress = work_progress
        self._contract = contract
        self._connection = connection
        self._limit = limit
        self._length = length
        self._now = now
        self._wall_clock = wall_clock or now
        self._record = record
        self._executing = False
        self._confirmed_on = 0
        self._repeats_end_at = 0.0
        self._must_repeat = bool(work_progress.recent)
        self._changed = asyncio.Event()
        self._issuing = asyncio.Lock()

    def on_step(self, step: Step) -> None:
        """Note whether the job executes, after each step of its conversation."""
        self._executing = step.state in EXECUTING
        if not self._executing:
            return
        self._work_progress.since = self._work_progress.since or self._now()
        if self._confirmed_on != self._connection.connection_count:
            self._must_repeat = bool(self._work_progress.recent)
            self._confirmed_on = self._connection.connection_count
            self._repeats_end_at = asyncio.get_running_loop().time() + SETTLING_SECONDS
        self._changed.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Issue receipts in a task while the block runs."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            async with self._issuing:
                task.cancel()
            [problem] = await asyncio.gather(task, return_exceptions=True)
            if isinstance(problem, Exception):
                log.error(
                    "interval receipts stopped",
                    extra={"job": self._contract.job.uuid},
                    exc_info=problem,
                )

    async def _run(self) -> None:
        while score := interval_score(self._length, self._work_progress.earned, self._limit):
            began = await self._wait_interval_end()
            async with self._issuing:
                await self._issue(began, score)

    async def _wait_interval_end(self) -> datetime:
        """Wait until an interval has ended and its miner is working; return when it began."""
        while True:
            is_working, began = self._is_working(), self._work_progress.since
            if is_working and self._must_repeat:
                async with self._issuing:
                    await self._repeat()
                # The miner may have disconnected while receipts were sent.
                continue
            left = (began + self._length - self._now()).total_seconds() if began else POLL_SECONDS
            if began and left <= 0 and is_working:
                return began
            waits = self._must_repeat or left <= 0
            await self._wait_for_change(POLL_SECONDS if waits or not began else left)

    async def _wait_for_change(self, seconds: float) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    def _is_working(self) -> bool:
        """Whether the miner is connected, supports intervals and confirmed that it executes."""
        connection = self._connection
        return (
            self._executing
            and connection.connected
            and Extension.INTERVALS in connection.extensions
            and self._confirmed_on == connection.connection_count
            and asyncio.get_running_loop().time() >= self._repeats_end_at
        )

    async def _issue(self, began: datetime, score: Decimal) -> None:
        """Store a receipt, then send it; it is sent again after the miner reconnects."""
        receipt = self._contract.sign_interval_receipt(
            self._work_progress.count,
            began=began,
            length=self._length,
            score=score,
            now=self._wall_clock(),
        )
        self._work_progress.add(receipt)
        await self._record(receipt)
        await send_if_connected(self._connection, _as_message(receipt))

    async def _repeat(self) -> None:
        """Send the recent receipts again."""
        self._must_repeat = False
        for receipt in list(self._work_progress.recent):
            await send_if_connected(self._connection, _as_message(receipt))


def _interval_receipt(receipt: SignedReceipt) -> JobIntervalReceipt:
    assert isinstance(receipt.payload, JobIntervalReceipt)  # noqa: S101
    return receipt.payload


def _as_message(receipt: SignedReceipt) -> IntervalReceiptIssued:
    return IntervalReceiptIssued(payload=_interval_receipt(receipt), signature=receipt.signature)
