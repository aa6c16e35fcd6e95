"""The score of a single job in each version of the rule."""

from fractions import Fraction

import pytest

from validator.scoring.job_score import job_score


@pytest.mark.parametrize(
    ("version", "seconds", "limit", "score"),
    [
        (0, 30, 45, Fraction(4, 3)),
        (1, 25, 45, Fraction("0.04")),
        (2, 25, 45, Fraction("0.04")),
        (3, 25, 45, 1),
        (4, 25, 45, 1),
        (4, 45, 45, 1),
        (4, 46, 45, 0),
        (0, 0, 45, 0),
        (1, 0, 45, 0),
    ],
)
def test_the_worked_scores(version, seconds, limit, score):
    assert job_score(Fraction(seconds), limit=Fraction(limit), version=version) == score


def test_today_a_right_answer_in_time_is_worth_one():
    assert job_score(Fraction(1), limit=Fraction(2)) == 1
