"""How many executors are tested, and who is new."""

from decimal import Decimal

import pytest

from compute_horde.hardware import ExecutorClass
from validator.synthetic import limits
from validator.synthetic.limits import Limited, LimitPolicy

TEST, LLM = ExecutorClass.always_on__test, ExecutorClass.always_on__llm__a6000
POLICY = LimitPolicy(32, {LLM: 2}, {LLM: 2}, Decimal("0.1"), 2)


@pytest.mark.parametrize(
    ("declared", "executor_class", "tested"),
    [(0, TEST, 0), (32, TEST, 32), (10**9, TEST, 32), (2, LLM, 2), (3, LLM, 2)],
)
def test_a_class_counts_up_to_its_cap(
    declared: int, executor_class: ExecutorClass, tested: int
) -> None:
    limited = limits.capped(declared, executor_class, POLICY)
    assert (limited.declared, limited.tested) == (declared, tested)
    assert bool(limited.reason) == (tested < declared)


@pytest.mark.parametrize(
    ("declared", "online", "tested"),
    [(37, 37, 4), (3, 37, 3), (30, 30, 3), (5, 1, 1), (5, 0, 1), (0, 37, 0)],
)
def test_outside_the_peak_cycle_a_tenth_is_tested_and_one_at_least(
    declared: int, online: int, tested: int
) -> None:
    policy = LimitPolicy(100, {}, {}, Decimal("0.1"), 2)
    assert limits.outside_peak(declared, TEST, online, policy).tested == tested


def test_a_class_that_was_not_in_the_peak_cycle_has_a_limit_of_its_own() -> None:
    assert limits.outside_peak(9, LLM, None, POLICY).tested == 2
    assert limits.outside_peak(9, TEST, None, POLICY) == Limited(
        9, 1, "not in the last peak cycle: at most 1"
    )


def test_the_cap_holds_in_every_cycle() -> None:
    policy = LimitPolicy(2, {}, {}, Decimal(1), 2)
    assert limits.outside_peak(9, TEST, 9, policy) == limits.capped(9, TEST, policy)


@pytest.mark.parametrize(
    ("age", "was_measured", "is_new"),
    [(0, False, True), (10**6, False, True), (1443, True, True), (1444, True, False)],
)
def test_a_miner_is_new_for_some_cycles_and_until_it_answers(
    age: int, was_measured: bool, is_new: bool
) -> None:
    new = limits.is_new_miner(
        1000, 1000 + age, cycle_blocks=722, was_measured=was_measured, policy=POLICY
    )
    assert new is is_new
