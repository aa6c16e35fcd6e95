"""Which receipts excuse a miner that declines a job because it is busy.

Busy with users' jobs of validators with enough stake, that is: such work is proven by the receipts
that those validators signed when they asked for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

STARTED = "started"
# Clocks of validators differ, and receipts travel for a moment.
LEEWAY_SECONDS = 2


@dataclass(frozen=True, slots=True)
class BusyReceipt:
    """A receipt that a miner shows; `age` is in seconds before the start of the declined job."""

    kind: str
    job: str
    miner: str
    validator: str
    age: Fraction
    ttl: Fraction
    executor_class: str | None
    is_organic: bool | None
    validator_signature_good: bool


@dataclass(frozen=True, slots=True)
class DeclinedJob:
    """The job that the miner declined."""

    job: str
    miner: str
    executor_class: str
    is_synthetic: bool


@dataclass(frozen=True, slots=True)
class ExcuseRule:
    """Whose receipts count: validators with `minimum_stake`, and `our_hotkey` without any."""

    our_hotkey: str
    minimum_stake: Fraction
    stakes: Mapping[str, Fraction]

    def trusts(self, validator: str) -> bool:
        """Whether receipts of this validator count."""
        if validator == self.our_hotkey:
            return True
        return validator in self.stakes and self.stakes[validator] >= self.minimum_stake


def valid_excuses(
    receipts: Iterable[BusyReceipt], declined: DeclinedJob, rule: ExcuseRule
) -> list[BusyReceipt]:
    """The receipts that count, the first of each job, in their order."""
    found: dict[str, BusyReceipt] = {}
    for receipt in receipts:
        if receipt.job not in found and _counts(receipt, declined, rule):
            found[receipt.job] = receipt
    return list(found.values())


def is_excused(*, accepted: int, excuses: int, executors: int | None) -> bool:
    """Whether a busy decline is excused: all executors that the miner declared have work.

    `accepted`: jobs of the same batch and class that the miner accepted; 0 for users' jobs.
    `executors`: the count of the class in the miner's newest manifest; without one, None, a miner
    is not excused.
    """
    return bool(executors) and accepted + excuses >= (executors or 0)


def _counts(receipt: BusyReceipt, declined: DeclinedJob, rule: ExcuseRule) -> bool:
    return (
        receipt.kind == STARTED
        and (bool(receipt.is_organic) or not declined.is_synthetic)
        and receipt.miner == declined.miner
        and receipt.job != declined.job
        and receipt.executor_class == declined.executor_class
        and 0 < receipt.age < receipt.ttl + LEEWAY_SECONDS
        and rule.trusts(receipt.validator)
        and receipt.validator_signature_good
    )
