"""How many receipts of one miner are stored at most, so that none fills the database."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime

from validator.receipts.verification import LineProblem, Verified, VerifiedReceipt

# Receipts of a miner dated in the same hour. A job has three or more, so that these are the jobs of
# 100 executors that each take one every 22 seconds.
HOUR_RECEIPTS = 50_000
# All stored receipts of a miner, some 500 MB.
KEPT_RECEIPTS = 500_000
HOUR_SECONDS = 3600

# The number of receipts of a miner dated in an hour: hotkey, hour (UNIX time in hours), number.
HourCount = tuple[str, int, int]


class ReceiptQuota:
    """Counts the stored receipts of each miner in memory, by the hour of their date.

    A receipt that is read twice, as at a new address of its miner, counts twice until the next
    start of the process.
    """

    def __init__(self) -> None:
        self._stored: dict[str, Counter[int]] = defaultdict(Counter)

    def load(self, counts: Iterable[HourCount]) -> None:
        """Begin with what the database contains."""
        self._stored.clear()
        for miner, hour, number in counts:
            self._stored[miner][hour] = number

    def limit(self, miner: str, verified: Verified, not_before: datetime) -> None:
        """Count the verified receipts; those beyond a limit become `LineProblem.TOO_MANY`.

        Receipts dated before `not_before` are deleted from the database and count no more.
        """
        hours, oldest = self._stored[miner], _hour(not_before)
        for hour in [hour for hour in hours if hour < oldest]:
            del hours[hour]
        total = hours.total()
        kept: list[VerifiedReceipt] = []
        for receipt in verified.receipts:
            hour = _hour(receipt.timestamp)
            if total < KEPT_RECEIPTS and hours[hour] < HOUR_RECEIPTS:
                hours[hour] += 1
                total += 1
                kept.append(receipt)
        if refused := len(verified.receipts) - len(kept):
            verified.problems[LineProblem.TOO_MANY] += refused
            verified.receipts = kept


def _hour(moment: datetime) -> int:
    return int(moment.timestamp()) // HOUR_SECONDS
