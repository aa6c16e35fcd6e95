"""Whether a miner that declined a synthetic job as busy was excused by work for others."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from compute_horde.hardware import ExecutorClass
from validator.network.models import Manifest, Neuron
from validator.receipts.busy import KnownReceipt, busy_executors
from validator.receipts.queries import receipts_valid_at
from validator.scoring.excuses import is_excused


@dataclass(frozen=True, slots=True)
class Excuse:
    """Whether receipts excuse a busy miner, and what they show."""

    excused: bool
    reason: str


class ExcuseJudge(Protocol):
    """Decides about busy declines; called in a database thread when the batch has ended."""

    def judge(
        self, hotkey: str, executor_class: ExecutorClass, at: datetime, *, accepted: int
    ) -> Excuse:
        """Whether all of the miner's executors of this class had work at a moment.

        `accepted`: how many jobs of the same batch and class the miner took.
        """


class ReceiptJudge:
    """Excuses a miner whose executors had work for users, as verified receipts show.

    Receipts of this validator count, and those of validators with `minimum_stake_rao` or more.
    """

    def __init__(self, validator: str, minimum_stake_rao: int) -> None:
        self._validator = validator
        self._minimum_stake_rao = minimum_stake_rao

    def judge(
        self, hotkey: str, executor_class: ExecutorClass, at: datetime, *, accepted: int
    ) -> Excuse:
        """See `ExcuseJudge`. The newest manifest says how many executors there are."""
        receipts = receipts_valid_at(hotkey, at, self._validator)
        trusted = self._trusted({receipt.validator for receipt in receipts})
        busy = busy_with_users_jobs(receipts, trusted, at)[executor_class]
        counts = Manifest.objects.filter(hotkey=hotkey, executor_class=executor_class)
        executors = counts.values_list("count", flat=True).first()
        return Excuse(
            excused=is_excused(accepted=accepted, excuses=busy, executors=executors),
            reason=f"receipts show {busy} of {executors or 0} executors busy with users' jobs, "
            f"and {accepted} took a job of this batch",
        )

    def _trusted(self, validators: Collection[str]) -> set[str]:
        staked = Neuron.objects.filter(
            hotkey__in=validators, registered=True, stake_rao__gte=self._minimum_stake_rao
        )
        return {self._validator, *staked.values_list("hotkey", flat=True)}


def busy_with_users_jobs(
    receipts: Collection[KnownReceipt], validators: Collection[str], at: datetime
) -> Counter[str]:
    """The executors that users' jobs of these validators keep busy at a moment, by class."""
    organic = {
        (receipt.job_uuid, receipt.validator)
        for receipt in receipts
        if receipt.is_organic and receipt.validator in validators
    }
    counted = [one for one in receipts if (one.job_uuid, one.validator) in organic]
    return busy_executors(counted, at)
