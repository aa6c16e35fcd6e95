"""A miner that declines as busy is excused when receipts show that all its executors had work."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import ReceiptType
from validator.network.models import Manifest, Neuron
from validator.receipts.models import Receipt
from validator.synthetic.excuses import Excuse, ReceiptJudge

pytestmark = pytest.mark.django_db

TEST = ExecutorClass.always_on__test
NOW = timezone.now()
STAKE = 30_000 * 10**9


@pytest.fixture(autouse=True)
def _network() -> None:
    Manifest.objects.create(hotkey="miner", executor_class=TEST.value, count=2, heard_at=NOW)
    for uid, (hotkey, stake) in enumerate((("rich", STAKE), ("poor", STAKE - 1))):
        Neuron.objects.create(hotkey=hotkey, coldkey="cold", uid=uid, stake_rao=stake, seen_at=NOW)


def receipt(kind: ReceiptType, job: str, validator: str, **fields) -> None:
    given = {"timestamp": NOW - timedelta(seconds=30), "interval": 0, "miner_hotkey": "miner"}
    Receipt.objects.create(
        receipt_type=kind,
        job_uuid=job,
        validator_hotkey=validator,
        payload="{}",
        stored_at=NOW,
        validator_signature=b"",
        miner_signature=b"",
        **(given | fields),
    )


def works(
    validator: str = "rich", *, is_organic: bool = True, kind: str = TEST.value, **fields
) -> str:
    """Receipts of a job that holds an executor of the miner for two minutes."""
    job, until = str(uuid4()), NOW + timedelta(seconds=90)
    receipt(
        ReceiptType.STARTED,
        job,
        validator,
        valid_until=NOW - timedelta(seconds=25),
        executor_class=kind,
        is_organic=is_organic,
        **fields,
    )
    receipt(ReceiptType.ACCEPTED, job, validator, valid_until=until, **fields)
    return job


def judged(*, accepted: int = 0, declared: int = 2, at: datetime = NOW) -> Excuse:
    judge = ReceiptJudge("us", STAKE)
    return judge.judge("miner", TEST, at, accepted=accepted, declared=declared)


def test_users_jobs_on_all_executors_are_an_excuse() -> None:
    works()
    works()
    excuse = judged()
    assert excuse.excused
    assert "2 of 2 executors busy" in excuse.reason


def test_jobs_of_the_same_batch_count_too() -> None:
    works()
    assert not judged().excused
    assert judged(accepted=1).excused


@pytest.mark.parametrize(
    "fields",
    [
        {"validator": "poor"},
        {"validator": "unregistered"},
        {"is_organic": False},
        {"kind": "always_on.gpu-24gb"},
        {"miner_hotkey": "another"},
    ],
)
def test_what_is_no_users_job_of_a_trusted_validator_on_this_miner_is_none(fields: dict) -> None:
    works()
    works(**fields)
    assert not judged().excused


def test_our_own_users_jobs_count_whatever_our_stake() -> None:
    works("us")
    works("us")
    assert judged().excused


def test_a_job_that_was_finished_is_no_excuse() -> None:
    works()
    done = works()
    receipt(ReceiptType.FINISHED, done, "rich", timestamp=NOW - timedelta(seconds=5))
    assert not judged().excused


def test_a_job_is_no_excuse_before_it_began_or_after_its_time() -> None:
    works()
    works()
    assert not judged(at=NOW - timedelta(minutes=1)).excused
    assert not judged(at=NOW + timedelta(minutes=3)).excused


def test_a_miner_without_a_manifest_is_not_excused() -> None:
    Manifest.objects.all().delete()
    works()
    works()
    assert not judged(declared=0).excused


@pytest.mark.parametrize("counts", [(2, 3), (3, 2)])
def test_a_change_of_the_manifest_during_the_batch_excuses_nobody(counts: tuple[int, int]) -> None:
    """The larger of the two counts is the number of executors that must have work."""
    declared, newest = counts
    Manifest.objects.update(count=newest)
    works()
    works()
    excuse = judged(declared=declared)
    assert not excuse.excused
    assert "2 of 3 executors busy" in excuse.reason
    assert judged(declared=declared, accepted=1).excused
