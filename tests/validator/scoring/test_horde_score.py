"""The horde score makes each executor of a larger horde worth more."""

from fractions import Fraction

import pytest

from validator.scoring.horde_score import horde_score, reversed_sigmoid, sigmoid, size_factor

PUBLISHED = {"alpha": Fraction(0), "beta": Fraction(0), "delta": Fraction(1)}


@pytest.mark.parametrize(
    ("size", "factor", "score"),
    [(1, 0.5, 0.5), (2, 0.6225, 1.245), (3, 0.6608, 1.982), (10, 0.7109, 7.109)],
)
def test_the_worked_hordes(size, factor, score):
    ones = [Fraction(1)] * size
    assert float(size_factor(Fraction(size), size, **PUBLISHED)) == pytest.approx(factor, abs=5e-5)
    assert float(horde_score(ones, **PUBLISHED)) == pytest.approx(score, abs=5e-4)


def test_jobs_without_points_count_in_the_size():
    assert size_factor(Fraction(1), 2, **PUBLISHED) == size_factor(Fraction(2), 2, **PUBLISHED)
    assert horde_score([Fraction(1), Fraction(0)], **PUBLISHED) == pytest.approx(0.6225, abs=5e-5)


def test_alpha_weighs_the_average():
    twos = [Fraction(2)] * 4
    plain = horde_score(twos, **PUBLISHED)
    assert horde_score(twos, **{**PUBLISHED, "alpha": Fraction(1)}) == 2 * plain


def test_nothing_is_worth_nothing():
    assert horde_score([], **PUBLISHED) == 0
    assert (
        horde_score([Fraction(0)] * 3, alpha=Fraction(-1), beta=Fraction(0), delta=Fraction(1)) == 0
    )


def test_the_sigmoid_and_its_mirror_are_a_half_at_their_centre():
    at = {"beta": Fraction(3), "delta": Fraction(2)}
    assert sigmoid(Fraction(2), **at) == reversed_sigmoid(Fraction(2), **at) == Fraction(1, 2)
    assert sigmoid(Fraction(3), **at) > Fraction(9, 10)
    assert reversed_sigmoid(Fraction(3), **at) < Fraction(1, 10)


def test_a_steep_sigmoid_ends_at_0_and_1():
    steep = {"beta": Fraction(10**9), "delta": Fraction(0)}
    assert sigmoid(Fraction(-1), **steep) == 0
    assert sigmoid(Fraction(1), **steep) == 1
