"""The recorded cases about work."""

from fractions import Fraction

import pytest

from tests.validator.scoring.cases.recorded import assert_agrees
from validator.scoring.cases.work import (
    CaseAllowance,
    CaseSpend,
    ListedAllowances,
    SpendingCase,
)
from validator.scoring.spending import PICOSECONDS


@pytest.mark.parametrize(
    ("kind", "outputs"),
    [
        ("allowance_accrual", ["expected"]),
        ("spending", ["expected"]),
        ("excuses", ["valid_jobs"]),
        ("routing_reliability", ["weights", "first_pick"]),
    ],
)
def test_recorded_cases(kind, outputs):
    assert_agrees(kind, *outputs)


def test_a_job_that_starts_later_starts_in_a_later_block():
    allowances = (CaseAllowance(block=5, seconds=1, invalidated_at_block=7),)

    def result(offset):
        spend = CaseSpend(cost=1, offered=(5,), started_at_block=6, offset_seconds=offset)
        case = SpendingCase(last_block=8, allowances=allowances, spends=(spend,))
        return case.outputs()["expected"][0]["result"]

    assert [result(seconds) for seconds in (0, 11, 12, 999)] == [
        "paid",
        "paid",
        "refused",
        "refused",
    ]


def test_listed_allowances():
    listed = ListedAllowances(
        {5: CaseAllowance(block=5, seconds=Fraction(1, 2), invalidated_at_block=7)}
    )
    assert (listed.amount(5), listed.amount(6)) == (PICOSECONDS // 2, None)
    assert (listed.invalidated_at(5), listed.invalidated_at(6)) == (7, None)
