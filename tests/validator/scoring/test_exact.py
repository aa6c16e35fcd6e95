"""Numbers are exact, the same on every machine, and bounded."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.scoring.exact import EXPONENT_BOUND, exact, exponential, power


def test_a_float_counts_as_the_decimal_that_it_prints_as():
    assert exact(0.1) == exact(Decimal("0.1")) == Fraction(1, 10)
    assert exact(3) == exact(Fraction(3)) == 3


@pytest.mark.parametrize(
    "value", [True, "1", None, [1], math.nan, math.inf, Decimal("1e24"), Decimal("1e-401"), 10**24]
)
def test_what_is_no_number_or_too_large_is_refused(value):
    with pytest.raises(ValueError):
        exact(value)


@given(st.fractions(-50, 50, max_denominator=1000))
def test_exponentials_are_those_of_the_math_library(exponent):
    assert math.isclose(exponential(exponent), math.exp(exponent), rel_tol=1e-12)


def test_exponentials_have_thirty_digits_on_every_machine():
    assert exponential(Fraction(1)) == Fraction("2.71828182845904523536028747135")
    assert exponential(Fraction(0)) == 1


def test_exponents_out_of_bounds():
    assert exponential(Fraction(-EXPONENT_BOUND - 1)) == 0
    with pytest.raises(ValueError, match="too large"):
        exponential(Fraction(EXPONENT_BOUND + 1))


@given(st.fractions(Fraction(1, 100), 100, max_denominator=100), st.fractions(-3, 3))
def test_powers_are_those_of_floats(base, exponent):
    assert math.isclose(power(base, exponent), float(base) ** float(exponent), rel_tol=1e-9)


def test_whole_powers_are_exact():
    assert power(Fraction(2, 3), Fraction(3)) == Fraction(8, 27)
    assert power(Fraction(2), Fraction(-2)) == Fraction(1, 4)
    assert power(Fraction(0), Fraction(1, 2)) == 0
    assert power(Fraction(0), Fraction(0)) == 1


@pytest.mark.parametrize(("base", "exponent"), [(-1, 2), (0, -1), (10, 10**6)])
def test_powers_without_a_value_are_refused(base, exponent):
    with pytest.raises(ValueError):
        power(Fraction(base), Fraction(exponent))
