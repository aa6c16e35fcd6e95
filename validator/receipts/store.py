"""Database writes of fetched receipts, of how far pages were read, and of the counters."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from django.db import DataError, IntegrityError, connection, transaction
from django.utils import timezone

from validator.network.models import Neuron
from validator.receipts.models import PageCheckpoint, TransferCount, TransferStatus
from validator.receipts.quota import HOUR_SECONDS, HourCount
from validator.receipts.verification import VerifiedReceipt

BATCH_ROWS = 1000

# One JSON text is made in a fifth of the time that an array for each column takes.
_INSERT = """
INSERT INTO receipts_receipt
    (job_uuid, receipt_type, interval, miner_hotkey, validator_hotkey, timestamp, valid_until,
     executor_class, is_organic, score, payload, validator_signature, miner_signature, stored_at)
SELECT receipt.*, statement_timestamp() FROM json_to_recordset(%s::json) AS receipt (
    job_uuid uuid, receipt_type text, "interval" integer, miner_hotkey text, validator_hotkey text,
    "timestamp" timestamptz, valid_until timestamptz, executor_class text, is_organic boolean,
    score numeric, payload text, validator_signature bytea, miner_signature bytea
)
ON CONFLICT DO NOTHING
"""

_ADD_COUNTS = """
INSERT INTO receipts_transfercount (miner_hotkey, name, reason, count, changed_at)
SELECT counted.*, statement_timestamp()
FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) AS counted
ON CONFLICT (miner_hotkey, name, reason) DO UPDATE
SET count = receipts_transfercount.count + excluded.count, changed_at = excluded.changed_at
"""

_COUNT_BY_HOUR = """
SELECT miner_hotkey, floor(extract(epoch FROM timestamp) / %s)::bigint AS hour, count(*)
FROM receipts_receipt GROUP BY miner_hotkey, hour
"""

_STATUS_FIELDS = ["address", "newest_page", "fetched_at", "failed_at", "problem", "changed_at"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How much of a miner's page at an address was read; `given_up` says why no more is."""

    miner: str
    address: str
    page: int
    offset: int
    given_up: str = ""


@dataclass(frozen=True, slots=True)
class PageProgress:
    """Receipts of a page, and the checkpoint after them."""

    checkpoint: Checkpoint
    receipts: Sequence[VerifiedReceipt] = field(default_factory=list)


class CountName(StrEnum):
    """What is counted, of each miner and of all together."""

    RECEIPTS = "receipts"
    NEW_RECEIPTS = "new_receipts"
    TRANSFERS = "transfers"
    MICROSECONDS = "microseconds"
    LINE_ERRORS = "line_errors"
    TRANSFER_ERRORS = "transfer_errors"
    # These go up and down, and are of all miners only.
    MINERS = "miners"
    CATCH_UP_PAGES_LEFT = "catch_up_pages_left"


@dataclass(frozen=True, slots=True)
class Count:
    """The name of a counter: of which miner, of what, and of which reason or problem."""

    miner: str
    name: CountName
    reason: str = ""


def record(progress: Sequence[PageProgress]) -> int:
    """Store receipts together with their checkpoints; returns how many receipts were new.

    In one transaction: when this process is killed, no receipt is lost and none is read again.
    """
    receipts = [receipt for one in progress for receipt in one.receipts]
    checkpoints = {(c.miner, c.address, c.page): c for c in (one.checkpoint for one in progress)}
    with transaction.atomic():
        new = sum(
            _insert_batch(receipts[first : first + BATCH_ROWS])
            for first in range(0, len(receipts), BATCH_ROWS)
        )
        PageCheckpoint.objects.bulk_create(
            [
                PageCheckpoint(
                    miner_hotkey=one.miner,
                    address=one.address,
                    page=one.page,
                    offset=one.offset,
                    given_up=one.given_up,
                )
                for one in checkpoints.values()
            ],
            update_conflicts=True,
            unique_fields=["miner_hotkey", "address", "page"],
            update_fields=["offset", "given_up"],
        )
    return new


def _insert_batch(batch: Sequence[VerifiedReceipt]) -> int:
    """Insert a batch; row by row when the database refuses one of them."""
    try:
        with transaction.atomic():
            return _insert(batch)
    except (DataError, IntegrityError):
        if len(batch) == 1:
            return 0
        return sum(_insert_batch([receipt]) for receipt in batch)


def _insert(batch: Sequence[VerifiedReceipt]) -> int:
    rows = json.dumps([receipt._asdict() for receipt in batch], default=_as_text)
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [rows])
        return int(cursor.rowcount)


def _as_text(value: datetime | bytes) -> str:
    """A value that JSON does not have, as PostgreSQL reads it."""
    return f"\\x{value.hex()}" if isinstance(value, bytes) else value.isoformat()


def read_checkpoints(oldest_page: int, addresses: Mapping[str, str]) -> list[Checkpoint]:
    """The checkpoints of the pages from `oldest_page` on, of these miners at these addresses.

    The addresses are by hotkey. Those of one of these miners at the address of another one are
    also returned.
    """
    rows = PageCheckpoint.objects.filter(
        page__gte=oldest_page, miner_hotkey__in=addresses, address__in=addresses.values()
    ).order_by()
    columns = ("miner_hotkey", "address", "page", "offset", "given_up")
    return [Checkpoint(*row) for row in rows.values_list(*columns)]


def count_by_hour() -> list[HourCount]:
    """How many receipts of each miner are stored, by the hour of their date. Reads all rows."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_BY_HOUR, [HOUR_SECONDS])
        return list(cursor.fetchall())


def known_validators(this_validator: str, min_stake_rao: int) -> frozenset[str]:
    """The hotkeys whose receipts are stored: registered ones with enough stake, and one's own."""
    staked = Neuron.objects.filter(registered=True, stake_rao__gte=min_stake_rao)
    return frozenset(staked.values_list("hotkey", flat=True)) | {this_validator}


def add_counts(
    counts: Counter[Count], statuses: Iterable[TransferStatus], totals: Mapping[CountName, int]
) -> None:
    """Add to the counters, of miners and of all together; write statuses and totals.

    `totals` are numbers of all miners that go up and down.
    """
    sums = counts.copy()
    for one, number in counts.items():
        if one.miner:
            sums[Count("", one.name, one.reason)] += number
    # In one order, so that no two writers wait for each other.
    rows = sorted((one.miner, one.name, one.reason, number) for one, number in sums.items())
    with transaction.atomic():
        if rows:
            with connection.cursor() as cursor:
                cursor.execute(_ADD_COUNTS, [list(column) for column in zip(*rows, strict=True)])
        TransferStatus.objects.bulk_create(
            statuses,
            update_conflicts=True,
            unique_fields=["miner_hotkey"],
            update_fields=_STATUS_FIELDS,
        )
        TransferCount.objects.bulk_create(
            [
                TransferCount(name=name, count=number, changed_at=timezone.now())
                for name, number in totals.items()
            ],
            update_conflicts=True,
            unique_fields=["miner_hotkey", "name", "reason"],
            update_fields=["count", "changed_at"],
        )
