"""Which old rows are deleted, and which are kept."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from tests.peers.user import request
from validator import eviction
from validator.allowance.models import SpentBlock
from validator.jobs import actions
from validator.jobs.models import Job
from validator.network.models import NamedMainHotkey, Snapshot
from validator.receipts.models import (
    IssuedReceipt,
    PageCheckpoint,
    Receipt,
    TransferCount,
    TransferStatus,
)
from validator.receipts.pages import page_at
from validator.scores.models import Score, ScoredCycle
from validator.synthetic.models import Batch, ControlTarget
from validator.trusted_miner.models import CheatFinding, CrossValidation
from validator.weights.models import WeightsSet

pytestmark = pytest.mark.django_db


def test_old_rows_go_and_new_ones_and_weights_stay() -> None:
    now = timezone.now()
    for age in (timedelta(days=8), timedelta(days=6)):
        job = actions.create_admin_job(request(signer=None), miner="")
        Job.objects.filter(pk=job.pk).update(
            state="failed", created_at=now - age, state_since=now - age
        )
        IssuedReceipt.objects.create(
            job_uuid=job.pk,
            receipt_type="JobStartedReceipt",
            miner_hotkey="m",
            payload="{}",
            signature="0x",
            issued_at=now - age,
        )
        ControlTarget.objects.create(name=f"{age.days}", probed_at=now - age)
        batch = Batch.objects.create(block=1, seed="s", alive_at=now)
        Batch.objects.filter(pk=batch.pk).update(started_at=now - age)
        snapshot = Snapshot.objects.create(block=1, tempo=1, neurons=1)
        Snapshot.objects.filter(pk=snapshot.pk).update(taken_at=now - age)
        NamedMainHotkey.objects.create(cycle_start=age.days, named_at=now - age)
        WeightsSet.objects.create(cycle_start=age.days, earned_in=0, published_at=now - age)
        cycle = ScoredCycle.objects.create(cycle_start=age.days, cycle_stop=age.days + 1)
        ScoredCycle.objects.filter(pk=cycle.pk).update(computed_at=now - age)
        Score.objects.create(cycle=cycle, hotkey="m", uid=1, share=1, u16=65535)
    eviction.evict(timedelta(days=7))
    models = (
        *(Job, IssuedReceipt, Batch, Snapshot, NamedMainHotkey, ScoredCycle, Score),
        *(ControlTarget, WeightsSet),
    )
    assert [model.objects.count() for model in models] == [1, 1, 1, 1, 1, 1, 1, 1, 2]


def test_evidence_of_false_results_is_kept_longer_than_the_jobs() -> None:
    now = timezone.now()
    for days in (91, 89, 8, 6):
        age = {"job_uuid": uuid4(), "created_at": now - timedelta(days=days)}
        CheatFinding.objects.create(trusted_job_uuid=uuid4(), **age)
        CrossValidation.objects.create(**age)
    eviction.evict(timedelta(days=7))
    assert (CheatFinding.objects.count(), CrossValidation.objects.count()) == (3, 1)


@pytest.mark.parametrize("state", ["volumes_ready", "completed"])
def test_a_job_that_took_longer_than_rows_are_kept_keeps_its_receipts(state: str) -> None:
    now = timezone.now()
    job = actions.create_admin_job(request(signer=None), miner="")
    long_ago = now - timedelta(days=40)
    since = long_ago if state == "volumes_ready" else now
    Job.objects.filter(pk=job.pk).update(state=state, created_at=long_ago, state_since=since)
    for number in range(3):
        IssuedReceipt.objects.create(
            job_uuid=job.pk,
            receipt_type="JobIntervalReceipt",
            interval=number,
            miner_hotkey="m",
            payload="{}",
            signature="0x",
            issued_at=long_ago + timedelta(days=number),
        )
    eviction.evict(timedelta(days=7))
    assert (Job.objects.count(), IssuedReceipt.objects.count()) == (1, 3)


def test_fetched_receipts_and_what_is_known_of_their_transfer_go_sooner() -> None:
    now = timezone.now()
    for age in (timedelta(days=3), timedelta(days=1)):
        Receipt.objects.create(
            job_uuid=uuid4(),
            receipt_type="JobStartedReceipt",
            timestamp=now - age,
            stored_at=now,
            payload="{}",
            validator_signature=b"",
            miner_signature=b"",
        )
        PageCheckpoint.objects.create(
            miner_hotkey="m", address="h:1", page=page_at((now - age).timestamp()), offset=0
        )
        TransferStatus.objects.create(miner_hotkey=f"m{age.days}", changed_at=now - age)
        for miner in ("", "m"):
            TransferCount.objects.create(
                miner_hotkey=miner, name=f"n{age.days}", count=1, changed_at=now - age
            )
    assert eviction.evict(timedelta(days=7))["fetched receipts"] == 1
    models = (Receipt, PageCheckpoint, TransferStatus, TransferCount)
    # The counters of all miners together must not fall.
    assert [model.objects.count() for model in models] == [1, 1, 1, 3]
    assert eviction.evict(timedelta(hours=12))["fetched receipts"] == 1


def test_spent_blocks_go_when_they_cannot_pay_for_any_job() -> None:
    now = timezone.now()
    for block, age in ((1, timedelta(hours=7)), (2, timedelta(hours=8))):
        row = SpentBlock.objects.create(
            miner_hotkey="m", executor_class="always_on.test", block=block, job_uuid=uuid4()
        )
        SpentBlock.objects.filter(pk=row.pk).update(spent_at=now - age)
    assert eviction.evict(timedelta(days=7))["spent blocks"] == 1
    assert SpentBlock.objects.get().block == 1
