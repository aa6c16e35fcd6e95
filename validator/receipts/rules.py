"""What each receipt says (protocol §5.4, §7)."""

from collections.abc import Iterable
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

NOTHING = Decimal(0)


def price(job: JobRequested) -> Decimal:
    """What a user's job is worth when it was done: the executor seconds it could have taken."""
    if job.on_trusted_miner:
        return NOTHING
    return Decimal(job.download_time_limit + job.execution_time_limit + job.upload_time_limit)


def used(job: JobRequested, *, began: datetime | None, until: datetime) -> Decimal:
    """What a cancelled job is worth: the executor seconds it took, at most its price."""
    if began is None:
        return NOTHING
    took = Decimal(max(until - began, timedelta(0)) // timedelta(microseconds=1))
    return min(took / 1_000_000, price(job))


def interval_score(length: timedelta, earned: Decimal, limit: Decimal) -> Decimal:
    """What the next interval is worth: its seconds, but with those before never over `limit`."""
    seconds = Decimal(length // timedelta(microseconds=1)) / 1_000_000
    return max(min(seconds, limit - earned), NOTHING)


def worth(receipts: Iterable[AnyPayload]) -> Decimal:
    """What receipts of one job at one miner prove, in any order and however often they are told.

    The finished receipt counts for the whole job; without it the intervals do.
    """
    intervals: dict[int, Decimal] = {}
    for receipt in receipts:
        match receipt:
            case JobFinishedReceipt():
                return Decimal(receipt.score_str)
            case JobIntervalReceipt():
                intervals.setdefault(receipt.interval, Decimal(receipt.score_str))
    return sum(intervals.values(), NOTHING)


def score_text(score: Decimal) -> str:
    """A score as receipts spell it: plain decimals, six of them."""
    return f"{score:.6f}"


def started(
    job: JobRequested,
    *,
    miner: str,
    validator: str,
    now: datetime,
    budget: Budget,
    is_organic: bool,
) -> JobStartedReceipt:
    """An executor is asked for."""
    return JobStartedReceipt(
        job_uuid=job.uuid,
        miner_hotkey=miner,
        validator_hotkey=validator,
        timestamp=now,
        executor_class=job.executor_class,
        is_organic=is_organic,
        ttl=_seconds(budget.reservation),
    )


def accepted(
    job_uuid: str, *, miner: str, validator: str, now: datetime, budget: Budget
) -> JobAcceptedReceipt:
    """The executor is ours for the rest of the job."""
    return JobAcceptedReceipt(
        job_uuid=job_uuid,
        miner_hotkey=miner,
        validator_hotkey=validator,
        timestamp=now,
        time_accepted=now,
        ttl=_seconds(budget.total()),
    )


def interval(
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
    """An interval of the job is over."""
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


def finished(
    job_uuid: str,
    *,
    miner: str,
    validator: str,
    now: datetime,
    began: datetime,
    score: Decimal,
) -> JobFinishedReceipt:
    """What the job was worth."""
    took = max(now - began, timedelta(0)) // timedelta(microseconds=1)
    return JobFinishedReceipt(
        job_uuid=job_uuid,
        miner_hotkey=miner,
        validator_hotkey=validator,
        timestamp=now,
        time_started=began,
        time_took_us=min(took, MAX_DURATION_US),
        score_str=score_text(score),
    )


def _seconds(span: timedelta) -> int:
    return min(int(span.total_seconds()), MAX_TTL_SECONDS)
