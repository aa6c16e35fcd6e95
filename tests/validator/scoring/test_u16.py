"""Weights become integers of which the largest is the maximum."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.scoring.u16 import MAX_U16, scaled_to_max


def test_the_worked_shares():
    assert scaled_to_max([Fraction("0.7875"), Fraction("0.25")]) == [65535, 20805]


def test_halves_are_rounded_to_even():
    assert scaled_to_max([Fraction(1), Fraction(1, 2)], 3) == [3, 2]
    assert scaled_to_max([Fraction(1), Fraction(1, 2)], 5) == [5, 2]


def test_zeros_stay_zeros():
    assert scaled_to_max([Fraction(0), Fraction(0)]) == [0, 0]
    assert scaled_to_max([]) == []


def test_negative_weights_are_refused():
    with pytest.raises(ValueError, match="negative"):
        scaled_to_max([Fraction(1), Fraction(-1)])


@given(st.lists(st.fractions(0, 10**6), min_size=1))
def test_the_largest_is_the_maximum_and_the_order_stays(weights):
    integers = scaled_to_max(weights)
    assert max(integers) == (MAX_U16 if any(weights) else 0)
    ordered = [number for _, number in sorted(zip(weights, integers, strict=True))]
    assert ordered == sorted(ordered)
