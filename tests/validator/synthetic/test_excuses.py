"""The judge of a validator that reads no receipts."""

from django.utils import timezone

from compute_horde.hardware import ExecutorClass
from validator.synthetic.excuses import ExcuseJudge, NoReceipts


def test_without_receipts_nobody_is_excused() -> None:
    judge: ExcuseJudge = NoReceipts()
    excuse = judge.judge("miner", ExecutorClass.always_on__test, timezone.now())
    assert (excuse.excused, excuse.reason) == (False, "no receipts of other validators are known")
