"""A miner that declines as busy is excused when receipts show that all its executors had work."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from compute_horde.hardware import ExecutorClass
from compute_horde.vocabulary import ReceiptType
from tests.validator.synthetic.making import attempt
from validator.network.models import Manifest, Neuron
from validator.receipts.busy import KnownReceipt
from validator.receipts.models import Receipt
from validator.synthetic.excuses import Excuse, ReceiptJudge, ReceiptRule, excuse_busy, for_a_while
from validator.synthetic.outcomes import Outcome

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
    rule = ReceiptRule("us", STAKE, excuse=timedelta(minutes=10), interval=timedelta(minutes=3))
    judge = ReceiptJudge(rule)
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
    assert judged().free == 1
    assert judged(accepted=1).excused
    assert judged(accepted=2).free == 0


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


def works_long(validator: str, *, interval_receipt: timedelta | None = None) -> None:
    """A job of which the miner has an accepted receipt for a day, and perhaps for an interval."""
    job = works(validator)
    Receipt.objects.filter(job_uuid=job, receipt_type=ReceiptType.ACCEPTED).update(
        timestamp=NOW, valid_until=NOW + timedelta(days=1)
    )
    if interval_receipt is not None:
        receipt(ReceiptType.INTERVAL, job, validator, timestamp=NOW + interval_receipt)


@pytest.mark.parametrize(
    ("validator", "interval_minute", "minute", "excused"),
    [
        ("rich", None, 10, True),
        ("rich", None, 11, False),
        ("rich", 9, 15, True),
        ("rich", 9, 16, False),
        # It does not shorten what the accepted receipt excuses, nor count before its time.
        ("rich", 3, 10, True),
        ("rich", 12, 11, False),
        ("us", None, 600, True),
    ],
)
def test_receipts_of_other_validators_excuse_for_a_while(
    validator: str, interval_minute: int | None, minute: int, excused: bool
) -> None:
    after = None if interval_minute is None else timedelta(minutes=interval_minute)
    for _ in range(2):
        works_long(validator, interval_receipt=after)
    assert judged(at=NOW + timedelta(minutes=minute)).excused is excused


def test_no_receipt_is_valid_longer_than_it_says() -> None:
    accepted = KnownReceipt(
        "job", ReceiptType.ACCEPTED, "miner", "rich", NOW, valid_until=NOW + timedelta(minutes=5)
    )
    interval = KnownReceipt("job", ReceiptType.INTERVAL, "miner", "rich", NOW)
    rule = ReceiptRule("us", STAKE, excuse=timedelta(minutes=10), interval=timedelta(minutes=3))
    assert for_a_while([accepted, interval], NOW, rule) == [accepted, interval]


class Asked:
    """Excuses everybody, and remembers of whom it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def judge(
        self,
        hotkey: str,
        executor_class: ExecutorClass,
        at: datetime,
        *,
        accepted: int,
        declared: int,
    ) -> Excuse:
        self.calls.append((hotkey, executor_class, at, accepted, declared))
        return Excuse(excused=True, reason="work", free=3)


@pytest.mark.django_db(transaction=True)
async def test_a_miner_and_class_are_judged_once_in_a_batch() -> None:
    declined = [attempt(hotkey, number) for hotkey in ("a", "b") for number in range(32)]
    for number, one in enumerate(declined):
        one.outcome, one.reason = Outcome.DECLINED_BUSY, "busy: no"
        one.declined_at = NOW - timedelta(seconds=number)
    took = attempt("a", 32)
    took.accepted_at = NOW
    judge = Asked()
    await excuse_busy([*declined, took], judge, {("a", TEST): 33})
    later = NOW - timedelta(seconds=32)
    assert judge.calls == [("a", TEST, NOW, 1, 33), ("b", TEST, later, 0, 0)]
    assert {(one.excused, one.points, one.reason) for one in declined} == {
        (True, 1, "busy: no (work)")
    }
    assert (took.excused, took.points) == (False, 0)
    assert {one.free_executors for one in declined} == {3}


@pytest.mark.django_db(transaction=True)
async def test_another_decline_is_not_excused_but_free_executors_are_noted() -> None:
    one = attempt("a")
    one.outcome, one.reason, one.declined_at = Outcome.DECLINED, "unknown: no", NOW
    await excuse_busy([one], Asked(), {})
    assert (one.excused, one.points, one.reason, one.free_executors) == (False, 0, "unknown: no", 3)
