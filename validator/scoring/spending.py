"""Judges what a validator spent: whether the blocks that a receipt offers pay for its job.

Amounts are whole numbers of picoseconds, so that sums do not depend on their order.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

PICOSECONDS = 10**12
# A receipt's cost has six decimals, so sums are rounded to microseconds before they are compared.
PER_MICROSECOND = 10**6


def picoseconds(seconds: Fraction) -> int:
    """Seconds as a whole number of picoseconds, rounded half to even."""
    return round(seconds * PICOSECONDS)


@dataclass(frozen=True, slots=True)
class SpendingRule:
    """Blocks from `expiry + leeway_lower` before the start of the job to `leeway_upper` after."""

    expiry: int = 722
    leeway_lower: int = 15
    leeway_upper: int = 0

    def allowed(self, started_at: int) -> range:
        """The blocks that may pay for a job that started in block `started_at`."""
        oldest = started_at - self.expiry - self.leeway_lower
        return range(oldest, started_at + self.leeway_upper + 1)


class Allowances(Protocol):
    """What one validator may spend at one miner and class."""

    def amount(self, block: int) -> int | None:
        """The picoseconds that a block gives; None when it gives nothing."""

    def invalidated_at(self, block: int) -> int | None:
        """The block in which the miner offered less, which voids the allowance of `block`."""


@dataclass(frozen=True, slots=True)
class Spend:
    """A job that started in block `started_at` costs `cost` picoseconds and offers blocks."""

    cost: int
    started_at: int
    offered: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a spend is paid, and what became of each block that it offered."""

    paid: bool
    spendable: int
    valid: tuple[int, ...]
    outside_range: tuple[int, ...]
    double_spent: tuple[int, ...]
    invalidated: tuple[int, ...]

    @property
    def spent(self) -> tuple[int, ...]:
        """The blocks that this spend used up: all valid ones, even beyond the need, or none."""
        return self.valid if self.paid else ()


@dataclass(slots=True)
class Account:
    """The blocks spent so far by one validator at one miner and class."""

    allowances: Allowances
    rule: SpendingRule = SpendingRule()
    spent: set[int] = field(default_factory=set)

    def judge(self, spend: Spend) -> Judgement:
        """Judge the next spend, and remember what it used up."""
        judgement = self.judgement(spend)
        self.spent.update(judgement.spent)
        return judgement

    def judgement(self, spend: Spend) -> Judgement:
        """What `judge` would say of this spend now."""
        allowed = self.rule.allowed(spend.started_at)
        valid: list[int] = []
        outside: list[int] = []
        twice: list[int] = []
        void: list[int] = []
        total = 0
        for block in dict.fromkeys(spend.offered):
            if block not in allowed:
                outside.append(block)
            elif block in self.spent:
                twice.append(block)
            elif _is_void(self.allowances.invalidated_at(block), spend.started_at):
                void.append(block)
            elif (amount := self.allowances.amount(block)) is not None:
                valid.append(block)
                total += amount
        paid = is_paid_by(total, spend.cost)
        return Judgement(paid, total, tuple(valid), tuple(outside), tuple(twice), tuple(void))


def is_paid_by(amount: int, cost: int) -> bool:
    """Whether `amount` covers `cost`; both are picoseconds and compared as whole microseconds."""
    return _microseconds(amount) >= _microseconds(cost)


def _is_void(invalidated_at: int | None, started_at: int) -> bool:
    return invalidated_at is not None and invalidated_at <= started_at


def _microseconds(amount: int) -> int:
    return (amount + PER_MICROSECOND // 2) // PER_MICROSECOND
