"""Schedules of main hotkeys, and executors divided among hotkeys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_horde.hardware import ExecutorClass
from miner.hotkeys.rules import Division, MainHotkeySchedule, part

TEST, GPU = ExecutorClass.always_on__test, ExecutorClass.always_on__gpu_24gb
counts = st.dictionaries(st.sampled_from(ExecutorClass), st.integers(0, 50))


@pytest.mark.parametrize(
    ("cycles_each", "expected"), [(1, "abcabca"), (2, "aabbcca"), (10, "aaaaaaa")]
)
def test_main_hotkeys_take_turns(cycles_each: int, expected: str) -> None:
    schedule = MainHotkeySchedule(("a", "b", "c"), cycles_each)
    assert "".join(schedule.at(number) for number in range(7)) == expected


def divided(
    counts: dict[ExecutorClass, int], hotkeys: list[str], main: str, division: Division
) -> list[dict[ExecutorClass, int]]:
    return [part(counts, one, hotkeys=hotkeys, main=main, division=division) for one in hotkeys]


@given(counts, st.integers(1, 7), st.integers(0, 7), st.sampled_from(Division))
def test_no_executor_is_offered_twice(
    counts: dict[ExecutorClass, int], ways: int, main: int, division: Division
) -> None:
    hotkeys = [str(number) for number in range(ways)]
    parts = divided(counts, hotkeys, str(main), division)
    for kind, count in counts.items():
        offered = [one.get(kind, 0) for one in parts]
        if division is Division.EVENLY:
            assert sum(offered) == count
            assert max(offered) - min(offered) <= 1
        else:
            assert offered == [count * (hotkey == str(main)) for hotkey in hotkeys]


def test_what_cannot_be_divided_goes_to_the_first_hotkeys() -> None:
    parts = divided({TEST: 5, GPU: 1}, ["a", "b", "c"], "c", Division.EVENLY)
    assert parts == [{TEST: 2, GPU: 1}, {TEST: 2, GPU: 0}, {TEST: 1, GPU: 0}]


def test_only_the_main_hotkey_offers_executors_if_so_set() -> None:
    assert divided({TEST: 5}, ["a", "b"], "b", Division.MAIN) == [{}, {TEST: 5}]
    assert divided({TEST: 5}, ["a", "b"], "elsewhere", Division.MAIN) == [{}, {}]
