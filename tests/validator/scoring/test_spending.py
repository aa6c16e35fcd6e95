"""Blocks pay for a job once, while they are young, and before the miner offered less."""

from dataclasses import dataclass, field
from fractions import Fraction

import pytest

from validator.scoring.spending import PICOSECONDS, Account, Spend, SpendingRule, picoseconds

TWELVE = 12 * PICOSECONDS


@dataclass
class Twelve:
    """Every block gives twelve seconds, but for some."""

    void: dict[int, int] = field(default_factory=dict)

    def amount(self, block):
        return TWELVE if block < 2000 else None

    def invalidated_at(self, block):
        return self.void.get(block)


def spend(cost, blocks, started_at=1700):
    return Spend(picoseconds(Fraction(cost)), started_at, tuple(blocks))


def test_the_worked_spend():
    account = Account(Twelve())
    assert account.rule.allowed(1700)[0] == 963
    judgement = account.judge(spend(120, range(1000, 1010)))
    assert (judgement.paid, judgement.spendable) == (True, 10 * TWELVE)


def test_the_worked_double_spend():
    account = Account(Twelve())
    assert account.judge(spend(12, [1004])).paid
    judgement = account.judge(spend(120, range(1000, 1010)))
    assert (judgement.paid, judgement.spendable) == (False, 9 * TWELVE)
    assert judgement.double_spent == (1004,)
    # What is refused uses up nothing.
    assert account.judge(spend(108, [n for n in range(1000, 1010) if n != 1004])).paid


def test_all_valid_blocks_are_used_up_even_beyond_the_need():
    account = Account(Twelve())
    assert account.judge(spend(1, [1000, 1001])).spent == (1000, 1001)
    assert account.judge(spend(1, [1001])).double_spent == (1001,)


@pytest.mark.parametrize(
    ("block", "paid"), [(962, False), (963, True), (1700, True), (1701, False)]
)
def test_blocks_must_be_young_and_not_later_than_the_job(block, paid):
    judgement = Account(Twelve()).judge(spend(1, [block]))
    assert judgement.paid is paid
    assert judgement.outside_range == (() if paid else (block,))


def test_leeways_widen_the_range():
    rule = SpendingRule(expiry=10, leeway_lower=1, leeway_upper=2)
    assert rule.allowed(50) == range(39, 53)


@pytest.mark.parametrize(("void_at", "paid"), [(1699, False), (1700, False), (1701, True)])
def test_blocks_are_void_for_jobs_that_start_when_the_miner_offers_less(void_at, paid):
    judgement = Account(Twelve({1600: void_at})).judge(spend(12, [1600]))
    assert judgement.paid is paid
    assert judgement.invalidated == (() if paid else (1600,))


def test_blocks_that_are_not_known_or_offered_twice_give_nothing_more():
    account = Account(Twelve(), SpendingRule(leeway_upper=1000))
    judgement = account.judge(spend(13, [1500, 1500, 2001]))
    assert (judgement.paid, judgement.valid) == (False, (1500,))


def test_sums_are_compared_in_microseconds():
    class Thirds(Twelve):
        def amount(self, block):
            return picoseconds(Fraction(4, 3))

    assert Account(Thirds()).judge(spend(4, [1500, 1501, 1502])).paid
    assert not Account(Thirds()).judge(spend("4.000001", [1500, 1501, 1502])).paid
