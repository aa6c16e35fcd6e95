"""How many executors are tested, and what a change of their number means."""

from fractions import Fraction

import pytest

from compute_horde.hardware import ExecutorClass
from validator.scoring.peak import (
    PeakRule,
    executors_to_test,
    has_changed_size,
    size,
    too_few_after_peak,
)

LLM, TEST = ExecutorClass.always_on__llm__a6000, ExecutorClass.always_on__test
RULE = PeakRule(Fraction("0.1"), class_caps={LLM: 2}, missed_peak={LLM: 2})
RATIO = Fraction("0.1")
THRESHOLD = Fraction("1.4")


@pytest.mark.parametrize(
    ("kind", "reported", "at_peak", "is_peak", "tested"),
    [
        (TEST, 37, 37, True, 37),
        (TEST, 37, 37, False, 4),
        (TEST, 3, 37, False, 3),
        (TEST, 5, 2, False, 1),
        (TEST, 5, None, False, 1),
        (TEST, 0, 37, False, 0),
        (LLM, 9, None, True, 2),
        (LLM, 9, None, False, 2),
        (LLM, 1, None, False, 1),
    ],
)
def test_the_worked_numbers_of_jobs(kind, reported, at_peak, is_peak, tested):
    assert executors_to_test(kind, reported, at_peak=at_peak, is_peak=is_peak, rule=RULE) == tested


@pytest.mark.parametrize(
    ("before", "now", "changed"),
    [(10, 14, True), (10, 13, False), (14, 10, True), (0, 5, True), (5, 0, True), (0, 0, True)],
)
def test_the_worked_dances(before, now, changed):
    assert has_changed_size(Fraction(now), Fraction(before), THRESHOLD) is changed


def test_a_size_counts_executors_by_the_weight_of_their_class():
    assert size({LLM: 2, TEST: 5}, {LLM: Fraction(3)}) == 6


def test_the_worked_penalty():
    assert too_few_after_peak({TEST: 2}, {TEST: 30}, RATIO) == [TEST]
    assert too_few_after_peak({TEST: 3}, {TEST: 30}, RATIO) == []
    assert too_few_after_peak({}, {TEST: 30, LLM: 1}, RATIO) == [LLM, TEST]
    assert too_few_after_peak({}, {TEST: 0}, RATIO) == []
