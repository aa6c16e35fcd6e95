"""Work is what validators confirmed in finished receipts."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from miner.earnings.worked import WorkDone, work_done, worked_hours
from miner.jobs.models import Job
from miner.receipts.models import Receipt
from tests.miner.conftest import MINER, STRANGER, VALIDATOR
from tests.miner.earnings.rows import TEST, worked

pytestmark = pytest.mark.django_db


def test_work_is_summed_by_parties_class_and_kind_within_a_time() -> None:
    now = timezone.now()
    for seconds in (1000, 800):
        worked(now - timedelta(minutes=5), seconds=seconds)
    worked(now - timedelta(minutes=5), seconds=7, is_organic=False)
    worked(now - timedelta(minutes=30), seconds=9)
    found = work_done(now - timedelta(minutes=10), now)
    who = (MINER.ss58_address, VALIDATOR.ss58_address, str(TEST))
    assert found == [
        WorkDone(*who, False, 1, Decimal(7), Decimal("7.5")),
        WorkDone(*who, True, 2, Decimal(1800), Decimal(1801)),
    ]
    assert worked_hours(now - timedelta(minutes=10), now) == {TEST: Decimal(1807) / 3600}


def test_a_job_without_a_started_receipt_counts_too() -> None:
    now = timezone.now()
    worked(now - timedelta(minutes=5), seconds=10)
    Receipt.objects.filter(receipt_type="JobStartedReceipt").delete()
    (one,) = work_done(now - timedelta(minutes=10), now)
    assert (one.executor_class, one.is_organic, one.jobs) == (TEST, False, 1)


def test_a_validator_cannot_claim_more_time_than_its_jobs_took() -> None:
    now = timezone.now()
    worked(now - timedelta(minutes=5), seconds=10, claimed_seconds=365 * 24 * 3600)
    worked(now - timedelta(minutes=5), seconds=10, claimed_seconds=4)
    assert worked_hours(now - timedelta(minutes=10), now) == {TEST: Decimal(14) / 3600}


@pytest.mark.parametrize("party", ["validator_hotkey", "miner_hotkey"])
def test_receipts_about_jobs_of_others_or_that_nobody_accepted_are_no_work(party: str) -> None:
    now = timezone.now()
    jobs = [worked(now - timedelta(minutes=5), seconds=10) for _ in range(2)]
    Job.objects.filter(pk=jobs[0]).delete()
    Job.objects.filter(pk=jobs[1]).update(**{party: STRANGER.ss58_address})
    assert work_done(now - timedelta(minutes=10), now) == []
