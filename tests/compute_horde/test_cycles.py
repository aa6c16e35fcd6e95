"""Cycles divide the chain into equal parts, at the blocks that the subnet's rules give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde.cycles import Cycle, cycle_at, nominal_epoch_start, peak_cycle

SUBNET = {"netuid": 12, "tempo": 360}
blocks = st.integers(-(10**4), 10**9)
subnets = st.fixed_dictionaries({"netuid": st.integers(0, 65535), "tempo": st.integers(1, 2000)})


@pytest.mark.parametrize(
    ("block", "start", "stop"),
    [
        (0, -14, 708),
        (707, -14, 708),
        (708, 708, 1430),
        (1429, 708, 1430),
        (5_999_900, 5_999_806, 6_000_528),
        (6_000_000, 5_999_806, 6_000_528),
        (5_999_806, 5_999_806, 6_000_528),
        (6_000_528, 6_000_528, 6_001_250),
    ],
)
def test_the_worked_cycles(block, start, stop):
    cycle = cycle_at(block, **SUBNET)
    assert (cycle.start, cycle.stop, cycle.number) == (start, stop, (block + 14) // 722)


def test_the_worked_peak_cycle():
    peak = peak_cycle(6_000_000, **SUBNET)
    assert (peak.start, peak.stop) == (5_993_308, 5_994_030)


def test_the_reference_block_is_in_a_peak_cycle():
    assert 1000 in peak_cycle(1000, **SUBNET)
    assert peak_cycle(1000 + 7220, **SUBNET).start == peak_cycle(1000, **SUBNET).start + 7220


@given(blocks, subnets)
def test_a_nominal_epoch_starts_where_the_published_formula_puts_it(block, subnet):
    tempo, netuid = subnet["tempo"], subnet["netuid"]
    following = block + tempo - (block + netuid + 1) % (tempo + 1)
    published = block if following == block else following - (tempo + 1)
    assert nominal_epoch_start(block, **subnet) == published


@given(blocks, subnets)
def test_a_block_lies_in_its_cycle_and_the_neighbours_touch(block, subnet):
    cycle = cycle_at(block, **subnet)
    assert block in cycle
    assert cycle.stop - cycle.start == 2 * (subnet["tempo"] + 1)
    before, after = cycle_at(cycle.start - 1, **subnet), cycle_at(cycle.stop, **subnet)
    assert (before.stop, after.start) == (cycle.start, cycle.stop)
    assert (before.number, after.number) == (cycle.number - 1, cycle.number + 1)


@given(blocks, subnets)
def test_every_block_of_a_cycle_names_the_same_cycle(block, subnet):
    cycle = cycle_at(block, **subnet)
    assert cycle_at(cycle.start, **subnet) == cycle_at(cycle.stop - 1, **subnet) == cycle
    assert 0 in cycle_at(0, **subnet)
    assert cycle_at(0, **subnet).number == 0


@given(blocks, subnets)
def test_one_cycle_of_ten_is_the_peak_and_it_is_not_later(block, subnet):
    peak, cycle = peak_cycle(block, **subnet), cycle_at(block, **subnet)
    assert 0 <= cycle.number - peak.number < 10
    assert peak_cycle(peak.start, **subnet) == peak
    length = cycle.stop - cycle.start
    following = peak_cycle(peak.start + 10 * length, **subnet)
    assert following.number == peak.number + 10


def test_the_end_of_a_cycle_is_not_in_it():
    cycle = Cycle(10, 20, 1)
    assert 10 in cycle
    assert 19 in cycle
    assert 20 not in cycle
