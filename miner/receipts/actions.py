"""Receipts' side effects: store them, find excuses, read pages, forget old ones."""

from datetime import datetime, timedelta

from django.utils import timezone

from compute_horde import lifecycle, receipts
from compute_horde.django.database import in_database
from compute_horde.django.scribe import Scribe
from compute_horde.hardware import ExecutorClass
from compute_horde.receipts import JobFinishedReceipt, JobIntervalReceipt, JobStartedReceipt
from miner.jobs.models import Job
from miner.receipts.models import Receipt
from miner.receipts.rules import page_at

LINGER_SECONDS = 0.25
EVERYTHING = "receipts"


class Book:
    """Stores receipts in the order they came: one writer, so a page only ever grows at its end.

    Those of a job that are still to be followed by another wait a moment for it, so that a short
    job costs one statement.
    """

    def __init__(self) -> None:
        self._scribe: Scribe[str, receipts.Receipt] = Scribe(_write, linger_seconds=LINGER_SECONDS)

    async def enter(self, receipt: receipts.Receipt) -> None:
        """Take a receipt; returns once it is stored when it is the last of its job."""
        self._scribe.hear(EVERYTHING, receipt)
        if isinstance(receipt.payload, JobFinishedReceipt):
            await self._scribe.settled(EVERYTHING)

    async def excuses(self, executor_class: ExecutorClass, now: datetime) -> list[receipts.Receipt]:
        """Receipts of others that hold this miner's executors of a class at `now`."""
        await self._scribe.settled(EVERYTHING)
        return await in_database(find_excuses, executor_class, now)

    async def close(self) -> None:
        """Return when everything is stored."""
        await self._scribe.close()


async def _write(_key: str, entered: list[receipts.Receipt]) -> None:
    await in_database(store, entered)


def store(entered: list[receipts.Receipt]) -> None:
    """Insert all of them in one statement; one that was stored before is left as it was."""
    page = page_at(timezone.now())
    Receipt.objects.bulk_create((_row(receipt, page) for receipt in entered), ignore_conflicts=True)


def _row(receipt: receipts.Receipt, page: int) -> Receipt:
    payload = receipt.payload
    started = payload if isinstance(payload, JobStartedReceipt) else None
    return Receipt(
        job_uuid=payload.job_uuid,
        receipt_type=payload.receipt_type,
        interval=payload.interval if isinstance(payload, JobIntervalReceipt) else 0,
        validator_hotkey=payload.validator_hotkey,
        timestamp=payload.timestamp,
        executor_class=started.executor_class if started else "",
        excuses_until=started.timestamp + timedelta(seconds=started.ttl)
        if started and started.is_organic
        else None,
        page=page,
        body=receipt.model_dump_json(),
    )


def find_excuses(executor_class: ExecutorClass, now: datetime) -> list[receipts.Receipt]:
    """Organic started receipts of a class that are valid at `now` (protocol §5.7)."""
    rows = Receipt.objects.filter(
        executor_class=executor_class, timestamp__lte=now, excuses_until__gte=now
    )
    return [receipts.Receipt.model_validate_json(row.body) for row in rows]


def page_text(page: int) -> str:
    """A page as it is published: one receipt per line, oldest first."""
    bodies = Receipt.objects.filter(page=page).values_list("body", flat=True)
    return "".join(body + "\n" for body in bodies)


def evict(before: datetime) -> int:
    """Forget receipts stored before a time, whole pages only; how many.

    Readers count the bytes of a page, so it must not lose its beginning. A page with a receipt of
    a job that still goes on stays.
    """
    old = Receipt.objects.filter(page__lt=page_at(before))
    going_on = Job.objects.exclude(state__in=lifecycle.FINAL)
    needed = old.filter(job_uuid__in=going_on.values("pk"))
    return old.exclude(page__in=needed.values("page")).delete()[0]
