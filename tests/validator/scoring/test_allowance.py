"""What a block gives a validator at a miner."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.scoring.allowance import (
    BlockAllowances,
    ChainBlock,
    ManifestHistory,
    MinerAllowances,
    accrued,
    counted_length,
)
from validator.scoring.spending import PICOSECONDS


def block(number=1, *, ours=1, others=3, length=12):
    return ChainBlock(number, Fraction(length), {"us": Fraction(ours), "them": Fraction(others)})


def test_the_worked_miner_of_four_executors():
    assert accrued([block()], {"m": 4}, validator="us") == {"m": 12}
    # A job of 120 seconds needs ten blocks.
    assert accrued([block(n) for n in range(10)], {"m": 4}, validator="us")["m"] == 120


def test_the_worked_miner_of_two_executors():
    blocks = [block(number, ours=1, others=9) for number in range(722)]
    assert accrued(blocks[:1], {"m": 2}, validator="us")["m"] == Fraction("2.4")
    assert accrued(blocks[:250], {"m": 2}, validator="us")["m"] == 600
    assert accrued(blocks, {"m": 2}, validator="us")["m"] == Fraction("1732.8")


def test_miners_without_executors_and_validators_without_stake_get_nothing():
    assert accrued([block()], {"m": 0}, validator="us") == {}
    assert accrued([block()], {"m": 1}, validator="nobody") == {"m": 0}
    assert accrued(
        [ChainBlock(1, Fraction(12), {"us": Fraction(0)})], {"m": 1}, validator="us"
    ) == {"m": 0}


@pytest.mark.parametrize(("length", "counts"), [(11.99, 11.99), (12.5, 12.5), (12.51, 12)])
def test_hiccups_of_the_chain_count_as_usual_blocks(length, counts):
    assert counted_length(Fraction(length)) == Fraction(counts)


def test_a_multiplier_counts():
    allowances = BlockAllowances([block(5)], Fraction("0.5"))
    assert allowances.amount("us", 5, 4) == 6 * PICOSECONDS
    assert allowances.amount("us", 5, 4) == 6 * PICOSECONDS
    assert allowances.amount("us", 6, 4) is None


def test_a_manifest_holds_until_the_next_one():
    history = ManifestHistory([(10, 3), (20, 5), (30, 1), (40, 0)])
    assert [history.count(n) for n in (9, 10, 19, 20, 30, 99)] == [0, 3, 3, 5, 1, 0]


def test_a_drop_voids_what_came_before_and_a_later_drop_does_not_move_it():
    history = ManifestHistory([(10, 3), (20, 5), (30, 1), (40, 0), (50, 9)])
    assert [history.dropped_after(n) for n in (10, 29, 30, 39, 40, 60)] == [
        30,
        30,
        40,
        40,
        None,
        None,
    ]


def test_a_miner_of_one_validator():
    one = MinerAllowances(BlockAllowances([block(7)]), ManifestHistory([(1, 4), (9, 2)]), "us")
    assert one.amount(7) == 12 * PICOSECONDS
    assert one.amount(8) is None
    assert one.invalidated_at(7) == 9


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=15), st.integers(0, 60))
def test_history_is_what_a_walk_over_all_blocks_finds(changes, asked):
    history, counts = ManifestHistory(changes), dict(changes)
    count, by_block = 0, {}
    for number in range(61):
        count = counts.get(number, count)
        by_block[number] = count
    assert history.count(asked) == by_block[asked]
    drops = [n for n in range(asked + 1, 61) if by_block[n] < by_block[n - 1]]
    assert history.dropped_after(asked) == (drops[0] if drops else None)
