"""Which blocks are chosen to pay for a job."""

from dataclasses import dataclass, field

import pytest

from validator.allowance.rules import blocks_for, payment
from validator.scoring.spending import PICOSECONDS, Account, Spend, SpendingRule

STARTED = 1000


@dataclass
class Twelve:
    """Twelve seconds a block, but for `given`; what is older than `drop` is void."""

    given: dict[int, int | None] = field(default_factory=dict)
    drop: int | None = None

    def amount(self, block: int) -> int | None:
        seconds = self.given.get(block, 12)
        return None if seconds is None else seconds * PICOSECONDS

    def invalidated_at(self, block: int) -> int | None:
        return self.drop if self.drop is not None and block < self.drop else None


def test_blocks_may_be_as_old_as_they_stay_valid_and_not_of_the_very_start() -> None:
    usable = blocks_for(STARTED, 722)
    assert (usable[0], usable[-1]) == (278, 995)
    assert all(number in SpendingRule().allowed(STARTED) for number in usable)
    assert list(blocks_for(7, 722)) == [0, 1, 2]
    assert list(blocks_for(3, 722)) == []


def test_the_first_blocks_that_cover_the_cost_are_chosen() -> None:
    paid = payment(Account(Twelve()), range(900, 990), cost=30 * PICOSECONDS, started_at=STARTED)
    assert (paid.blocks, paid.amount, paid.is_enough) == ((900, 901, 902), 36 * PICOSECONDS, True)


def test_spent_unknown_empty_and_void_blocks_are_passed_over() -> None:
    allowances = Twelve({903: None, 904: 0}, drop=902)
    account = Account(allowances, spent={906})
    paid = payment(account, range(900, 990), cost=36 * PICOSECONDS, started_at=STARTED)
    assert paid.blocks == (902, 905, 907)
    assert account.judge(Spend(36 * PICOSECONDS, STARTED, paid.blocks)).paid
    assert account.spent == {902, 905, 906, 907}


@pytest.mark.parametrize(("last", "is_enough"), [(902, False), (903, True)])
def test_blocks_that_are_too_few_are_not_enough(last: int, *, is_enough: bool) -> None:
    candidates = range(900, last)
    paid = payment(Account(Twelve()), candidates, cost=36 * PICOSECONDS, started_at=STARTED)
    assert (paid.blocks, paid.is_enough) == (tuple(candidates), is_enough)
