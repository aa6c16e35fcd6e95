"""Windows of weights and pages of receipts, in plain multiples of their length."""

from fractions import Fraction

import pytest

from validator.scoring.intervals import (
    CommitRule,
    commit_interval,
    cycle_before,
    receipt_page,
    scored_cycle,
)

RULE = CommitRule(722, commit_start_offset=361, commit_end_buffer=15, reveal_end_buffer=15)


def test_the_worked_windows():
    found = commit_interval(6_000_000, RULE)
    assert found.interval == range(5_999_820, 6_000_542)
    assert found.reveal_window == range(5_999_820, 6_000_166)
    assert found.commit_window == range(6_000_181, 6_000_527)


@pytest.mark.parametrize(
    ("block", "current", "before"),
    [(723, 0, 0), (1444, 0, 0), (1445, 722, 0), (2166, 722, 0), (2167, 1444, 722)],
)
def test_the_cycle_that_is_scored(block, current, before):
    assert scored_cycle(block) == current
    assert cycle_before(current) == before


def test_pages_are_five_minutes():
    assert [receipt_page(Fraction(time)) for time in (0, 299, Fraction("299.9"), 300)] == [
        0,
        0,
        0,
        1,
    ]
