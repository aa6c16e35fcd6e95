"""Which blocks may pay for a job, and which of them do."""

from collections.abc import Iterable
from dataclasses import dataclass

from validator.scoring.spending import Account, Spend, is_paid_by

# Another validator may see a job start some blocks earlier, and refuses blocks after that. The
# published validators leave out as many.
NEWEST_LEFT_OUT = 5


def blocks_for(started_at: int, expiry: int) -> range:
    """The blocks that may pay for a job that started in block `started_at`, oldest first.

    The leeway for older blocks is not used: it is there for validators that see another start.
    """
    return range(max(started_at - expiry, 0), max(started_at - NEWEST_LEFT_OUT + 1, 0))


@dataclass(frozen=True, slots=True)
class Payment:
    """The blocks that were chosen for a job, and the picoseconds that they give together."""

    blocks: tuple[int, ...]
    amount: int
    is_enough: bool


def payment(account: Account, candidates: Iterable[int], *, cost: int, started_at: int) -> Payment:
    """The first candidates that together give `cost` picoseconds; all usable ones if too few.

    Those that give nothing, are spent or void by the rule of `account` are passed over. Nothing is
    marked as spent.
    """
    chosen: list[int] = []
    total = 0
    for block in candidates:
        if is_paid_by(total, cost):
            break
        amount = account.judgement(Spend(cost, started_at, (block,))).spendable
        if amount:
            chosen.append(block)
            total += amount
    return Payment(tuple(chosen), total, is_paid_by(total, cost))
