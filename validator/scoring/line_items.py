"""A score as a list of line items that sum to it exactly.

Each item says why, what was counted, what it contributes and, where it contributes nothing, what
would have changed that.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from compute_horde.hardware import ExecutorClass


@dataclass(frozen=True, slots=True)
class LineItem:
    """One reason of a score.

    `number` in `unit` is what was counted or applied, such as 3 jobs or a factor of 0.9. `amount`
    is what the item contributes, in the unit of the score: points at first, a share of all weights
    in the end. An amount of 0 has a `remedy`: what would have changed it.
    """

    reason: str
    number: Fraction
    unit: str
    amount: Fraction
    remedy: str = ""
    executor_class: ExecutorClass | None = None

    def __post_init__(self) -> None:
        """An amount of nothing is explained."""
        if not self.amount and not self.remedy:
            raise ValueError(f"the line item {self.reason!r} of 0 says not what would change it")


@dataclass(frozen=True, slots=True)
class Statement:
    """The items of one score; its total is their sum."""

    items: tuple[LineItem, ...] = ()

    @property
    def total(self) -> Fraction:
        """The score."""
        return sum((item.amount for item in self.items), Fraction(0))

    def scaled(self, factor: Fraction, *, remedy: str) -> "Statement":
        """The same items in another unit; `remedy` explains items that become 0 by it."""
        added = "" if factor else remedy
        return Statement(
            tuple(
                replace(item, amount=item.amount * factor, remedy=item.remedy or added)
                for item in self.items
            )
        )

    def brought_to(
        self,
        total: Fraction,
        reason: str,
        *,
        number: Fraction,
        unit: str = "factor",
        executor_class: ExecutorClass | None = None,
    ) -> "Statement":
        """With one more item for the difference to `total`, if there is one."""
        difference = total - self.total
        if not difference:
            return self
        item = LineItem(reason, number, unit, difference, executor_class=executor_class)
        return Statement((*self.items, item))


def combined(statements: Iterable[Statement]) -> Statement:
    """All items of several scores that are added."""
    return Statement(tuple(item for one in statements for item in one.items))
