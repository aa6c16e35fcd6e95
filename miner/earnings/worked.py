"""What the finished receipts of validators say about the work of this miner."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection

from compute_horde.hardware import ExecutorClass

_WORK = """
SELECT f.miner_hotkey, f.validator_hotkey, j.executor_class,
    coalesce(s.excuses_until IS NOT NULL, false), count(*),
    sum(least(
        (f.body::json -> 'payload' ->> 'time_took_us')::numeric / 1000000,
        extract(epoch FROM j.state_since - j.created_at)
    )),
    sum((f.body::json -> 'payload' ->> 'score_str')::numeric)
FROM miner_receipt f
JOIN miner_acceptedjob j ON j.uuid = f.job_uuid
    AND j.validator_hotkey = f.validator_hotkey AND j.miner_hotkey = f.miner_hotkey
LEFT JOIN miner_receipt s ON s.job_uuid = f.job_uuid
    AND s.validator_hotkey = f.validator_hotkey AND s.receipt_type = 'JobStartedReceipt'
WHERE f.receipt_type = 'JobFinishedReceipt' AND f.timestamp >= %(since)s AND f.timestamp < %(until)s
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""


@dataclass(frozen=True, slots=True)
class WorkDone:
    """Accepted jobs that their validator closed with finished receipts.

    `seconds` are those of the receipts, but of each job at most the time from its acceptance to its
    end, which no validator chooses. `score` is what the receipts promise.
    """

    miner: str
    validator: str
    executor_class: str
    is_organic: bool
    jobs: int
    seconds: Decimal
    score: Decimal


def work_done(since: datetime, until: datetime) -> list[WorkDone]:
    """The work by parties, class and kind, of the receipts of this time."""
    with connection.cursor() as cursor:
        cursor.execute(_WORK, {"since": since, "until": until})
        return [WorkDone(*row) for row in cursor.fetchall()]


def worked_hours(since: datetime, until: datetime) -> dict[ExecutorClass, Decimal]:
    """How many hours executors of each class worked, by the receipts of this time."""
    hours: dict[ExecutorClass, Decimal] = {}
    for one in work_done(since, until):
        if kind := ExecutorClass.known(one.executor_class):
            hours[kind] = hours.get(kind, Decimal(0)) + one.seconds / 3600
    return hours
