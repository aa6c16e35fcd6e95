"""Writes transitions of many jobs at once, in a number of statements that does not depend on it."""

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from compute_horde.receipts import JobFinishedReceipt, JobIntervalReceipt
from validator.jobs.models import JobEvent
from validator.jobs.store import Transition
from validator.receipts.models import IssuedReceipt
from validator.receipts.signing import SignedReceipt

ROWS_AT_ONCE = 1000
_UPDATE = """
UPDATE jobs_job SET state = new.after, miner = new.miner, deadline = NULL,
    state_since = CASE jobs_job.state WHEN new.after THEN state_since ELSE %(now)s END,
    accepted_at = coalesce(new.accepted_at, jobs_job.accepted_at)
FROM unnest(
    %(uuids)s::uuid[], %(before)s::text[], %(after)s::text[], %(miners)s::text[],
    %(accepted)s::timestamptz[]
) AS new (uuid, before, after, miner, accepted_at)
WHERE jobs_job.uuid = new.uuid AND jobs_job.state = new.before
RETURNING jobs_job.uuid
"""


def record_all(transitions: Sequence[Transition]) -> int:
    """Write these transitions, their events and receipts in one transaction; returns how many.

    A job that is not in the state `before` is left alone, so a repeated call writes nothing twice.
    Deadlines are removed: these jobs have ended.
    """
    with transaction.atomic():
        written = _update(transitions)
        new = [one for one in transitions if one.uuid in written]
        events = [
            JobEvent(
                job_id=one.uuid,
                state=event.state,
                body=event.message.encode(),
                said_by=event.sent_by,
                created_at=event.received_at,
            )
            for one in new
            for event in one.events
        ]
        JobEvent.objects.bulk_create(events, batch_size=ROWS_AT_ONCE)
        receipts = [_row(receipt) for one in new for receipt in one.receipts]
        IssuedReceipt.objects.bulk_create(receipts, batch_size=ROWS_AT_ONCE, ignore_conflicts=True)
    return len(written)


def _update(transitions: Sequence[Transition]) -> set[str]:
    values: dict[str, Any] = {
        "uuids": [one.uuid for one in transitions],
        "before": [str(one.before) for one in transitions],
        "after": [str(one.after) for one in transitions],
        "miners": [one.miner for one in transitions],
        "accepted": [one.accepted_at for one in transitions],
        "now": timezone.now(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_UPDATE, values)
        return {str(uuid) for (uuid,) in cursor.fetchall()}


def _row(receipt: SignedReceipt) -> IssuedReceipt:
    payload = receipt.payload
    return IssuedReceipt(
        job_uuid=payload.job_uuid,
        receipt_type=payload.receipt_type,
        interval=getattr(payload, "interval", 0),
        miner_hotkey=payload.miner_hotkey,
        score=payload.score_str
        if isinstance(payload, JobFinishedReceipt | JobIntervalReceipt)
        else None,
        payload=payload.model_dump_json(),
        signature=receipt.signature,
        issued_at=payload.timestamp,
    )
