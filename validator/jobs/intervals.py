"""What a job earns while it works: interval after interval, each with a receipt of its own."""

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
from validator.jobs.conversation import Deal, Issued, say_if_there
from validator.jobs.drive import Clock, Step
from validator.jobs.lines import MinerLine
from validator.receipts.rules import NOTHING, interval_score

log = logging.getLogger(__name__)

EXECUTING = frozenset({JobState.VOLUMES_READY, JobState.STREAMING_READY})
# A miner that is back repeats all it said of a job at once; only then we know whether it works.
SETTLING_SECONDS = 1.0
LOOK_SECONDS = 1.0
# What was said to a miner this long before its line was lost may not have reached it.
REPEATED = timedelta(minutes=5)


@dataclass
class Worked:
    """How far a job's work is accounted for: `since` is where the next interval begins."""

    since: datetime | None = None
    count: int = 0
    earned: Decimal = NOTHING
    recent: list[Issued] = field(default_factory=list)

    def add(self, issued: Issued) -> None:
        """The next interval has its receipt."""
        payload = _interval(issued)
        self.since = payload.time_started + timedelta(microseconds=payload.time_took_us)
        self.count = payload.interval + 1
        self.earned += Decimal(payload.score_str)
        first = payload.timestamp - REPEATED
        self.recent = [one for one in self.recent if one.payload.timestamp >= first]
        self.recent.append(issued)


class Meter:
    """Issues a receipt for each interval that a job's miner works.

    An interval counts when the miner is connected at its end, or was away and is back at work;
    until then its receipt waits. `limit` is the price of the whole job.
    """

    def __init__(
        self,
        worked: Worked,
        deal: Deal,
        line: MinerLine,
        *,
        limit: Decimal,
        length: timedelta,
        now: Clock,
        record: Callable[[Issued], Awaitable[None]],
    ) -> None:
        self._worked = worked
        self._deal = deal
        self._line = line
        self._limit = limit
        self._length = length
        self._now = now
        self._record = record
        self._executing = False
        self._heard_on = 0
        self._settled_at = 0.0
        self._unsure = bool(worked.recent)
        self._stirred = asyncio.Event()
        self._busy = asyncio.Lock()

    def heed(self, step: Step) -> None:
        """Something was said of the job."""
        self._executing = step.state in EXECUTING
        if not self._executing:
            return
        self._worked.since = self._worked.since or self._now()
        if self._heard_on != self._line.arrivals:
            self._unsure = bool(self._worked.recent)
            self._heard_on = self._line.arrivals
            self._settled_at = asyncio.get_running_loop().time() + SETTLING_SECONDS
        self._stirred.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work beside the conversation, and end with it."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            async with self._busy:
                task.cancel()
            [problem] = await asyncio.gather(task, return_exceptions=True)
            if isinstance(problem, Exception):
                log.error("intervals lost", extra={"job": self._deal.job.uuid}, exc_info=problem)

    async def _run(self) -> None:
        while score := interval_score(self._length, self._worked.earned, self._limit):
            began = await self._over()
            async with self._busy:
                await self._issue(began, score)

    async def _over(self) -> datetime:
        """Wait for the end of the present interval, and for its miner; when it began."""
        while True:
            at_work, began = self._at_work(), self._worked.since
            if at_work and self._unsure:
                async with self._busy:
                    await self._repeat()
                # It may have gone again while we spoke.
                continue
            left = (began + self._length - self._now()).total_seconds() if began else LOOK_SECONDS
            if began and left <= 0 and at_work:
                return began
            waits = self._unsure or left <= 0
            await self._stir(LOOK_SECONDS if waits or not began else left)

    async def _stir(self, seconds: float) -> None:
        self._stirred.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._stirred.wait()
        except TimeoutError:
            return

    def _at_work(self) -> bool:
        """Whether the miner is there, understands us, and said on this line that it works."""
        line = self._line
        return (
            self._executing
            and line.connected
            and Extension.INTERVALS in line.extensions
            and self._heard_on == line.arrivals
            and asyncio.get_running_loop().time() >= self._settled_at
        )

    async def _issue(self, began: datetime, score: Decimal) -> None:
        """Write it down, then say it; one that is not heard is repeated."""
        issued = self._deal.interval(
            self._worked.count, began=began, length=self._length, score=score, now=self._now()
        )
        self._worked.add(issued)
        await self._record(issued)
        await say_if_there(self._line, _as_message(issued))

    async def _repeat(self) -> None:
        """The miner may have missed the last ones."""
        self._unsure = False
        for issued in list(self._worked.recent):
            await say_if_there(self._line, _as_message(issued))


def _interval(issued: Issued) -> JobIntervalReceipt:
    assert isinstance(issued.payload, JobIntervalReceipt)  # noqa: S101
    return issued.payload


def _as_message(issued: Issued) -> IntervalReceiptIssued:
    return IntervalReceiptIssued(payload=_interval(issued), signature=issued.signature)
