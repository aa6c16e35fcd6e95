"""Stores what a transfer reads: receipts at once, counters and statuses every few seconds."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from compute_horde.concurrency.batch_writer import BatchWriter
from compute_horde.django.database import in_database
from validator.receipts import store
from validator.receipts.models import TransferStatus
from validator.receipts.pages import TransferProblem
from validator.receipts.store import Count, CountName, PageProgress
from validator.receipts.verification import LineProblem

MICROSECONDS = 1_000_000
# The key of the one writer: pages read at the same time are stored by one transaction.
ALL_PAGES = "pages"


@dataclass(eq=False)
class _Status:
    """What became of the last fetches from a miner."""

    address: str
    newest_page: int | None = None
    fetched_at: datetime | None = None
    failed_at: datetime | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Write:
    progress: PageProgress
    stored: asyncio.Future[None]


class TransferRecorder:
    """Writes receipts with their checkpoints, and counts."""

    def __init__(self) -> None:
        self._writer: BatchWriter[str, _Write] = BatchWriter(self._write)
        self._counts: Counter[Count] = Counter()
        self._statuses: dict[str, _Status] = {}
        self._changed: set[str] = set()

    async def store(self, progress: PageProgress) -> None:
        """Return when receipts and checkpoint are stored. Raises what the database raised."""
        write = _Write(progress, asyncio.get_running_loop().create_future())
        self._writer.put(ALL_PAGES, write)
        # Shielded: other pages are written by the same transaction.
        await asyncio.shield(write.stored)

    def fetched(self, miner: str, address: str, page: int, seconds: float) -> None:
        """Count a successful request, which took so long."""
        self._counts[Count(miner, CountName.TRANSFERS)] += 1
        self._counts[Count(miner, CountName.MICROSECONDS)] += int(seconds * MICROSECONDS)
        status = self._status(miner, address)
        status.newest_page = max(page, status.newest_page or page)
        status.fetched_at = timezone.now()

    def failed(self, miner: str, address: str, problem: TransferProblem) -> None:
        """Count a request that failed, or a page that is given up."""
        self._counts[Count(miner, CountName.TRANSFER_ERRORS, problem)] += 1
        status = self._status(miner, address)
        status.failed_at, status.problem = timezone.now(), problem

    def verified(self, miner: str, receipts: int, problems: Counter[LineProblem]) -> None:
        """Count the lines of a page."""
        if receipts:
            self._counts[Count(miner, CountName.RECEIPTS)] += receipts
        for problem, number in problems.items():
            self._counts[Count(miner, CountName.LINE_ERRORS, problem)] += number

    async def write_counts(self, *, miners: int, pages_left: int) -> None:
        """Write counters and statuses, and how many miners and older pages there are to read."""
        counts, self._counts = self._counts, Counter()
        changed, self._changed = self._changed, set()
        rows = [_row(miner, self._statuses[miner]) for miner in sorted(changed)]
        totals = {CountName.MINERS: miners, CountName.CATCH_UP_PAGES_LEFT: pages_left}
        await in_database(store.add_counts, counts, rows, totals)

    async def close(self) -> None:
        """Return when all receipts are stored."""
        await self._writer.close()

    def _status(self, miner: str, address: str) -> _Status:
        status = self._statuses.get(miner)
        if status is None or status.address != address:
            status = self._statuses[miner] = _Status(address)
        self._changed.add(miner)
        return status

    async def _write(self, _key: str, writes: list[_Write]) -> None:
        try:
            new = await in_database(store.record, [write.progress for write in writes])
        except Exception as exc:  # noqa: BLE001 (raised by `store`)
            for write in writes:
                write.stored.set_exception(exc)
            return
        if new:
            self._counts[Count("", CountName.NEW_RECEIPTS)] += new
        for write in writes:
            write.stored.set_result(None)


def _row(miner: str, status: _Status) -> TransferStatus:
    return TransferStatus(
        miner_hotkey=miner,
        address=status.address,
        newest_page=status.newest_page,
        fetched_at=status.fetched_at,
        failed_at=status.failed_at,
        problem=status.problem,
        changed_at=timezone.now(),
    )
