"""Database reads and writes of receipts: storing, excuses, pages, and eviction."""

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import BigIntegerField, Func, IntegerField, QuerySet, Sum
from django.utils import timezone

from compute_horde import lifecycle, receipts
from compute_horde.concurrency.batch_writer import BatchWriter
from compute_horde.django.database import in_database
from compute_horde.hardware import ExecutorClass
from compute_horde.receipts import JobFinishedReceipt, JobIntervalReceipt, JobStartedReceipt
from miner.jobs.models import Job
from miner.receipts.models import Receipt
from miner.receipts.rules import page_at

# Long enough for a short job to end.
LINGER_SECONDS = 0.5
# The key of the one writer, which stores all receipts in order.
ALL_RECEIPTS = "receipts"


# The rows of a page that end after an offset, with where each ends.
_PAGE_FROM = """
SELECT body, ends FROM (
    SELECT id, body, sum(octet_length(body) + 1) OVER (ORDER BY id)::bigint AS ends
    FROM miner_receipt WHERE page = %(page)s AND %(miner)s IN ('', miner_hotkey)
) AS line WHERE ends > %(start)s ORDER BY id
"""


class OctetLength(Func):
    """The length of a text in bytes, which PostgreSQL knows without reading the text."""

    function = "OCTET_LENGTH"
    output_field = IntegerField()


class ReceiptWriter:
    """Stores receipts in the order received, with one writer, so that pages grow only at the end.

    Receipts other than finished ones wait `LINGER_SECONDS` for further ones, so that those of a
    short job are stored by one statement.
    """

    def __init__(self) -> None:
        self._writer: BatchWriter[str, receipts.Receipt] = BatchWriter(
            _write, linger_seconds=LINGER_SECONDS
        )

    async def put(self, receipt: receipts.Receipt) -> None:
        """Queue a receipt to be stored; for a finished receipt, wait until it is stored."""
        self._writer.put(ALL_RECEIPTS, receipt)
        if isinstance(receipt.payload, JobFinishedReceipt):
            await self._writer.flush(ALL_RECEIPTS)

    async def excuses(
        self, executor_class: ExecutorClass, now: datetime, miner: str = ""
    ) -> list[receipts.Receipt]:
        """The receipts that excuse this miner from jobs of a class at `now` (protocol §5.7).

        Validators take only those that name the hotkey which they ask: `miner`, all if it is empty.
        """
        await self._writer.flush(ALL_RECEIPTS)
        return await in_database(find_excuses, executor_class, now, miner)

    async def close(self) -> None:
        """Return when all receipts are stored."""
        await self._writer.close()


async def _write(_key: str, batch: list[receipts.Receipt]) -> None:
    await in_database(store, batch)


def store(batch: list[receipts.Receipt]) -> None:
    """Insert receipts in one statement; those that are stored already are not changed."""
    page = page_at(timezone.now())
    Receipt.objects.bulk_create((_row(receipt, page) for receipt in batch), ignore_conflicts=True)


def _row(receipt: receipts.Receipt, page: int) -> Receipt:
    payload = receipt.payload
    started = payload if isinstance(payload, JobStartedReceipt) else None
    return Receipt(
        job_uuid=payload.job_uuid,
        receipt_type=payload.receipt_type,
        interval=payload.interval if isinstance(payload, JobIntervalReceipt) else 0,
        miner_hotkey=payload.miner_hotkey,
        validator_hotkey=payload.validator_hotkey,
        timestamp=payload.timestamp,
        executor_class=started.executor_class if started else "",
        excuses_until=started.timestamp + timedelta(seconds=started.ttl)
        if started and started.is_organic
        else None,
        page=page,
        body=receipt.model_dump_json(),
    )


def find_excuses(
    executor_class: ExecutorClass, now: datetime, miner: str = ""
) -> list[receipts.Receipt]:
    """Organic started receipts of a class that are valid at `now` (protocol §5.7).

    Those that name the hotkey `miner`; of all hotkeys, if it is empty.
    """
    rows = _of(miner).filter(
        executor_class=executor_class, timestamp__lte=now, excuses_until__gte=now
    )
    return [receipts.Receipt.model_validate_json(row.body) for row in rows]


def page_text(page: int) -> str:
    """A page as published: one receipt per line, oldest first."""
    return page_body(page).decode()


def page_body(page: int, start: int = 0, miner: str = "") -> bytes:
    """Like `page_text`, but as bytes, and from byte `start` on; earlier rows are not sent.

    Of the receipts that name the hotkey `miner`; of all, if it is empty.
    """
    with connection.cursor() as cursor:
        cursor.execute(_PAGE_FROM, {"page": page, "start": start, "miner": miner})
        rows = cursor.fetchall()
    body = b"".join(text.encode() + b"\n" for text, _ in rows)
    begins = rows[-1][1] - len(body) if rows else start
    return body[start - begins :]


def page_size(page: int, miner: str = "") -> int:
    """The length of a page in bytes, without reading the page; `miner` as in `page_body`."""
    size = Sum(OctetLength("body") + 1, output_field=BigIntegerField())
    return _of(miner).filter(page=page).aggregate(size=size)["size"] or 0


def _of(miner: str) -> QuerySet[Receipt]:
    return Receipt.objects.filter(miner_hotkey=miner) if miner else Receipt.objects.all()


def evict(before: datetime) -> int:
    """Delete the pages of receipts stored before a time; returns the number of receipts.

    Only whole pages are deleted, since readers resume at an offset in bytes. A page with a receipt
    of an active job is kept.
    """
    old = Receipt.objects.filter(page__lt=page_at(before))
    active = Job.objects.filter(state__in=lifecycle.UNFINISHED)
    still_active = old.filter(job_uuid__in=active.values("pk"))
    return old.exclude(page__in=still_active.values("page")).delete()[0]
