"""Builds the payloads of receipts and computes their scores (protocol §5.4, §7)."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from compute_horde.deadlines import Budget
from compute_horde.protocol.job import JobRequested
from compute_horde.receipts import (
    MAX_DURATION_US,
    MAX_TTL_SECONDS,
    AnyPayload,
    JobAcceptedReceipt,
    JobFinishedReceipt,
    JobIntervalReceipt,
    JobStartedReceipt,
)

ZERO = Decimal(0)


def price(job: JobRequested) -> Decimal:
    """The score of a completed user's job: the sum of its time limits, in executor seconds."""
    if job.on_trusted_miner:
        return ZERO
    return Decimal(job.download_time_limit + job.execution_time_limit + job.upload_time_limit)


def price_of_used_time(job: JobRequested, *, began: datetime | None, until: datetime) -> Decimal:
    """The score of a cancelled job: the executor seconds it took, at most its price."""
    if began is None:
        return ZERO
    took = Decimal(max(until - began, timedelta(0)) // timedelta(microseconds=1))
    return min(took / 1_000_000, price(job))


def interval_score(length: timedelta, earned: Decimal, limit: Decimal) -> Decimal:
    """The score of the next interval: its seconds; together with `earned` at most `limit`."""
    seconds = Decimal(length // timedelta(microseconds=1)) / 1_000_000
    return max(min(seconds, limit - earned), ZERO)


def proven_score(receipts: Iterable[AnyPayload]) -> Decimal:
    """The score that the receipts of one job at one miner prove.

    Order and duplicates do not matter. The finished receipt counts for the whole job; without it
    the interval receipts are added up.
    """
    intervals: dict[int, Decimal] = {}
    for receipt in receipts:
        match receipt:
            case JobFinishedReceipt():
                return Decimal(receipt.score_str)
            case JobIntervalReceipt():
                intervals.setdefault(receipt.interval, Decimal(receipt.score_str))
    return sum(intervals.values(), ZERO)


def score_text(score: Decimal) -> str:
    """A score as written in receipts: with six decimals."""
    return f"{score:.6f}"


def started_payload(
    job: JobRequested,
    *,
    miner: str,
    validator: str,
    now: datetime,
    budget: Budget,
    is_organic: bool,
) -> JobStartedReceipt:
    """The receipt for an offer: it reserves an executor until the miner answers."""
    return JobStartedReceipt(
        job_uuid=job.uuid,
        miner_hotkey=miner,
        validator_hotkey=validator,
        timestamp=now,
        executor_class=job.executor_class,
        is_organic=is_organic,
        ttl=_seconds(budget.reservation),
    )


def accepted_payload(
    job_uuid: str, *, miner: str, validator: str, now: datetime, budget: Budget
) -> JobAcceptedReceipt:
    """The receipt for an accepted job: it reserves the executor until the end of the job."""
    return JobAcceptedReceipt(
        job_uuid=job_uuid,
        miner_hotkey=miner,
        validator_hotkey=validator,
        timestamp=now,
        time_accepted=now,
        ttl=_seconds(budget.total()),
    )


def interval_payload(
    job_uuid: str,
    *,
    miner: str,
    validator: str,
    now: datetime,
    number: int,
    began: datetime,
    length: timedelta,
    score: Decimal,
) -> JobIntervalReceipt:
    """The receipt for one interval of work."""
    return JobIntervalReceipt(
        job_uuid=job_uuid,
        miner_hotkey=miner,
        validator_hotkey=validator,
        timestamp=now,
        interval=number,
        time_started=began,
        time_took_us=length // timedelta(microseconds=1),
        score_str=score_text(score),
    )


def finished_payload(
    job_uuid: str,
    *,
    miner: str,
    validator: str,
    now: datetime,
    began: datetime,
    score: Decimal,
    blocks: Sequence[int] = (),
) -> JobFinishedReceipt:
    """The receipt for an ended job, with its final score and the blocks that pay for it."""
    took = max(now - began, timedelta(0)) // timedelta(microseconds=1)
    return JobFinishedReceipt(
        job_uuid=job_uuid,
        miner_hotkey=miner,
        validator_hotkey=validator,
        timestamp=now,
        time_started=began,
        time_took_us=min(took, MAX_DURATION_US),
        score_str=score_text(score),
        block_numbers=list(blocks),
    )


def _seconds(span: timedelta) -> int:
    return min(int(span.total_seconds()), MAX_TTL_SECONDS)
