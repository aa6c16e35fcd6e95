"""Miners with incidents get jobs less often."""

from fractions import Fraction

import pytest

from validator.scoring.reliability import (
    first_pick_probabilities,
    reliability,
    selection_weight,
)


def weight(value):
    return float(selection_weight(Fraction(value), center=Fraction(-25), separation=Fraction(5)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0.9933), (-1, 0.9918), (-5, 0.9820), (-10, 0.9526), (-25, 0.5), (-50, 0.0067)],
)
def test_the_worked_weights(value, expected):
    assert weight(value) == pytest.approx(expected, abs=5e-5)


def test_weights_are_clipped_at_both_ends():
    assert weight(-100) == 1e-6
    assert weight(1000) == 1 - 1e-6


def test_the_worked_probabilities():
    weights = [Fraction(weight(value)) for value in (0, -1, -10, -25, -50)]
    probabilities = [float(one) for one in first_pick_probabilities(weights)]
    assert probabilities == pytest.approx([0.2884, 0.2880, 0.2766, 0.1452, 0.0019], abs=5e-5)


def test_incidents_count_by_executor():
    assert reliability(10, 4) == Fraction(-5, 2)
    with pytest.raises(ValueError, match="at least one executor"):
        reliability(1, 0)


def test_a_centre_of_0_has_no_steepness():
    with pytest.raises(ValueError, match="centre"):
        selection_weight(Fraction(0), center=Fraction(0), separation=Fraction(5))
