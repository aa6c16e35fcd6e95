"""What a job earns, and which jobs need allowance."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from compute_horde.errors import RejectionError
from compute_horde.protocol.job import ExecutorReady
from compute_horde.vocabulary import JobState, Party, RejectionReason
from tests.peers.user import request
from validator.jobs import payment
from validator.jobs.live_job import LiveJob
from validator.jobs.models import Job
from validator.jobs.payment import JobPayment
from validator.jobs.steps import Step
from validator.routing.rules import ALL_BUSY, NO_MINER

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def job(kind: Job.Kind = Job.Kind.ORGANIC, **fields: object) -> LiveJob:
    return LiveJob(request(**fields), kind)


def ending_in(state: JobState) -> Step:
    message = ExecutorReady(job_uuid=request(signer=None).uuid)
    return Step(message, Party.MINER, JobState.EXECUTOR_READY, state, NOW)


def test_only_users_jobs_elsewhere_than_on_the_trusted_miner_have_a_price() -> None:
    assert payment.full_price(job()) == 20
    assert payment.full_price(job(Job.Kind.ADMIN)) == 0
    assert payment.full_price(job(on_trusted_miner=True)) == 0


@pytest.mark.parametrize(("earned", "score"), [("0", "7"), ("9", "9")])
def test_a_cancelled_job_earns_its_used_time_or_what_its_intervals_earned(
    earned: str, score: str
) -> None:
    cancelled = job()
    cancelled.work_progress.earned = Decimal(earned)
    cancelled.cancel(NOW + timedelta(seconds=7))
    assert payment.score(cancelled, ending_in(JobState.CANCELLED), NOW) == Decimal(score)
    assert payment.score(cancelled, ending_in(JobState.FAILED), NOW) == Decimal(earned)


async def test_without_a_payer_no_job_needs_allowance() -> None:
    pays = JobPayment(None)
    assert not pays.is_needed(job())
    assert await pays.reserve(job(), "miner")
    await pays.release(job(), "miner")


def test_too_little_allowance_is_named_only_if_nothing_else_keeps_miners_away() -> None:
    lacking = job()
    nobody = RejectionError(RejectionReason.NO_MINER_FOR_JOB, NO_MINER)
    assert payment.rejection(lacking, nobody) is nobody
    lacking.lacks_allowance = True
    assert str(payment.rejection(lacking, nobody)) == payment.NOT_ENOUGH_ALLOWANCE
    busy = RejectionError(RejectionReason.NO_MINER_FOR_JOB, ALL_BUSY)
    assert payment.rejection(lacking, busy) is busy
