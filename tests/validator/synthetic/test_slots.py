"""The order of validators in a cycle, and the blocks in which their batches start."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde.cycles import Cycle
from validator.synthetic import slots
from validator.synthetic.slots import Slot, SlotPolicy

TAO = 10**9
POLICY = SlotPolicy(24, 1000 * TAO, 24, 3, outside=False)
CYCLE = Cycle(708, 1430, 1)
STAKES = {f"v{number}": (1000 + number) * TAO for number in range(30)}


@pytest.mark.parametrize(
    ("count", "first"), [(24, [732, 761, 790]), (10, [732, 801, 871]), (1, [732])]
)
def test_slots_are_spread_over_the_cycle(count: int, first: list[int]) -> None:
    blocks = [slots.slot_at(CYCLE, index, count, POLICY).block for index in range(count)]
    assert blocks[: len(first)] == first
    assert blocks == sorted(set(blocks))
    assert blocks[-1] < CYCLE.stop


def test_the_last_of_24_slots_is_in_time() -> None:
    assert slots.slot_at(CYCLE, 23, 24, POLICY).block == 1400


def test_a_short_cycle_has_the_same_slots_in_proportion() -> None:
    short = Cycle(100, 124, 1)
    assert slots.slot_at(short, 0, 1, POLICY) == Slot(0, 1, 100, 103)
    assert slots.slot_at(short, 1, 2, POLICY).block == 112


def test_how_late_a_batch_may_start() -> None:
    half_way = replace(POLICY, tolerance_blocks=None)
    assert slots.slot_at(CYCLE, 0, 24, POLICY).until == 735
    assert slots.slot_at(CYCLE, 0, 24, half_way).until == 746
    late = replace(POLICY, tolerance_blocks=10_000)
    assert slots.slot_at(CYCLE, 0, 24, late).until == CYCLE.stop - 1


def test_the_set_is_of_those_with_the_highest_stakes() -> None:
    chosen = slots.validator_set(STAKES | {"poor": 999 * TAO}, POLICY)
    assert chosen == [f"v{number}" for number in range(29, 5, -1)]
    poor = slots.validator_set({"poor": 999 * TAO, "b": 1000 * TAO, "a": 1000 * TAO}, POLICY)
    assert poor == ["a", "b"]


def test_the_order_is_shuffled_by_the_seed_and_the_same_for_everybody() -> None:
    hotkeys = list(STAKES)
    ours = slots.shuffled(hotkeys, "0xabc")
    assert ours == slots.shuffled(reversed(hotkeys), "0xabc")
    assert ours != hotkeys
    assert ours != slots.shuffled(hotkeys, "0xabd")
    assert sorted(ours) == sorted(hotkeys)


def test_over_many_cycles_everybody_is_first_at_times() -> None:
    first = [slots.shuffled(STAKES, f"0x{seed}")[0] for seed in range(3000)]
    counts = [first.count(hotkey) for hotkey in STAKES]
    assert min(counts) > 50
    assert max(counts) < 170


def test_validators_have_different_slots() -> None:
    chosen = slots.validator_set(STAKES, POLICY)
    taken = [slots.slot(CYCLE, hotkey, STAKES, "seed", POLICY) for hotkey in chosen]
    assert len({one.block for one in taken if one}) == 24


def test_who_is_not_in_the_set_has_no_slot_unless_it_may() -> None:
    assert slots.slot(CYCLE, "v0", STAKES, "seed", POLICY) is None
    behind = slots.slot(CYCLE, "v0", STAKES, "seed", replace(POLICY, outside=True))
    assert behind is not None
    assert (behind.index, behind.count) == (24, 25)
    assert slots.slot(CYCLE, "unknown", {}, "seed", replace(POLICY, outside=True)) == Slot(
        0, 1, 732, 735
    )


@pytest.mark.parametrize(("start", "block"), [(708, 705), (-14, 0), (2, 0)])
def test_the_seed_is_a_block_before_the_cycle(start: int, block: int) -> None:
    assert slots.seed_block(Cycle(start, start + 722, 1)) == block


@given(st.integers(0, 10**7), st.integers(10, 2000), st.integers(1, 64), st.data())
def test_slots_are_always_within_their_cycle(
    start: int, length: int, count: int, data: st.DataObject
) -> None:
    cycle = Cycle(start, start + length, 1)
    index = data.draw(st.integers(0, count - 1))
    tolerance = data.draw(st.none() | st.integers(0, 3000))
    slot = slots.slot_at(cycle, index, count, replace(POLICY, tolerance_blocks=tolerance))
    assert cycle.start <= slot.block <= slot.until < cycle.stop
