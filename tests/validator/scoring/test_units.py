"""Whole parts sum to the whole."""

from fractions import Fraction
from math import floor

from hypothesis import given
from hypothesis import strategies as st

from validator.scoring.units import UNITS, divided, rounded_to_sum

amounts = st.lists(st.fractions(-1000, 1000), max_size=12)


def test_a_remainder_goes_to_the_largest_fraction_and_then_to_the_first_key():
    assert divided(10, {"a": Fraction(1), "b": Fraction(2)}) == {"a": 3, "b": 7}
    assert divided(1, {"b": Fraction(1), "a": Fraction(1)}) == {"a": 1, "b": 0}


@given(st.dictionaries(st.text(max_size=3), st.fractions(0, 100), min_size=1))
def test_parts_sum_to_the_whole(parts):
    if any(parts.values()):
        whole = divided(UNITS, parts)
        assert sum(whole.values()) == UNITS
        assert all((whole[key] == 0) or part for key, part in parts.items())


@given(amounts, st.booleans())
def test_rounded_amounts_sum_to_the_rounded_total(given_amounts, up):
    exact = sum(given_amounts, Fraction(0))
    total = floor(exact) + (up and exact != floor(exact))
    rounded = rounded_to_sum(total, given_amounts)
    assert sum(rounded) == total
    assert all(abs(a - b) < 1 for a, b in zip(rounded, given_amounts, strict=True))
