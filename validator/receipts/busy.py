"""How many executors of a miner receipts prove to be busy at a moment."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from compute_horde.vocabulary import ReceiptType


@dataclass(frozen=True, slots=True)
class KnownReceipt:
    """A receipt that this validator issued, or fetched and verified.

    Only started and accepted receipts have `valid_until`, only started ones `executor_class` and
    `is_organic`, only finished and interval ones `score` (executor seconds).
    """

    job_uuid: str
    receipt_type: ReceiptType
    miner: str
    validator: str
    timestamp: datetime
    interval: int = 0
    valid_until: datetime | None = None
    executor_class: str = ""
    is_organic: bool | None = None
    score: Decimal | None = None

    @property
    def key(self) -> tuple[str, ReceiptType, int, str, str]:
        """What no two receipts that count have in common."""
        return self.job_uuid, self.receipt_type, self.interval, self.miner, self.validator

    @property
    def job(self) -> tuple[str, str]:
        """Its job, which is that of its validator: others may use the same UUID."""
        return self.job_uuid, self.validator

    def holds_at(self, moment: datetime) -> bool:
        """Whether it holds an executor at `moment`, unless the job is finished."""
        return self.valid_until is not None and self.timestamp <= moment <= self.valid_until


def busy_executors(receipts: Iterable[KnownReceipt], moment: datetime) -> Counter[str]:
    """The busy executors of one miner at `moment`, by executor class.

    A job holds an executor while its started or accepted receipt is valid and there is no finished
    receipt dated until then. Only the started receipt tells the class, so that jobs without one are
    not counted. A job is that of its validator: the receipts of another one do not finish it.
    """
    classes: dict[tuple[str, str], str] = {}
    held: set[tuple[str, str]] = set()
    finished: set[tuple[str, str]] = set()
    for receipt in receipts:
        job = receipt.job
        if receipt.receipt_type is ReceiptType.STARTED:
            classes[job] = receipt.executor_class
        if receipt.receipt_type is ReceiptType.FINISHED and receipt.timestamp <= moment:
            finished.add(job)
        if receipt.holds_at(moment):
            held.add(job)
    return Counter(classes[job] for job in held - finished if job in classes)
