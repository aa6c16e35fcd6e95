"""Which executors are started in advance, and the pauses and timeouts of starts."""

from datetime import timedelta

from compute_horde.hardware import ExecutorClass
from miner.executors.rules import is_crash, is_warm, pause_after, time_to_start

SECOND = timedelta(seconds=1)


def test_only_classes_with_a_short_spin_up_are_started_in_advance():
    assert [one for one in ExecutorClass if not is_warm(one)] == [
        ExecutorClass.spin_up_4min__gpu_24gb
    ]


def test_a_slow_class_has_its_spin_up_time_to_start():
    assert time_to_start(ExecutorClass.spin_up_4min__gpu_24gb, 30 * SECOND) == 240 * SECOND
    assert time_to_start(ExecutorClass.always_on__test, 30 * SECOND) == 30 * SECOND


def test_pauses_double_up_to_a_minute():
    pauses = [pause_after(n).total_seconds() for n in (0, 1, 2, 3, 8, 1000)]
    assert pauses == [0, 0.5, 1, 2, 60, 60]


def test_an_idle_executor_that_ends_soon_has_crashed():
    assert is_crash(connected_for=None)
    assert is_crash(connected_for=9 * SECOND)
    assert not is_crash(connected_for=10 * SECOND)
