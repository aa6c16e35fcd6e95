"""Exact numbers: fractions in, fractions out, with the same result on every machine.

Exponentials are the only inexact numbers of scoring. They are correctly rounded to `DIGITS` digits
by the decimal module, whose rounding does not depend on the machine as that of floats may.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

DIGITS = 30
# Numbers from outside lie between these powers of ten: exact arithmetic on more takes long.
MAX_EXPONENT = 24
MIN_EXPONENT = -400
# exp(-EXPONENT_BOUND) is so small that it counts as 0.
EXPONENT_BOUND = 2000

# The widest exponents: no result of the functions below overflows.
_CONTEXT = Context(
    prec=DIGITS, rounding=ROUND_HALF_EVEN, Emin=-(10**9), Emax=10**9, clamp=0, traps=[]
)


def exact(value: Any) -> Fraction:
    """The number as a fraction; floats count as the decimal number that they print as.

    Raises:
        ValueError: this is no number, or it is too large or has too many digits.
    """
    if isinstance(value, Fraction):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("this must be a number")
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise ValueError("this must be a finite number")
    if number and not MIN_EXPONENT <= number.adjusted() < MAX_EXPONENT:
        raise ValueError(f"the number must lie below 1e{MAX_EXPONENT} and above 1e{MIN_EXPONENT}")
    return Fraction(number)


# Fields of pydantic models and dataclasses.
Number = Annotated[Fraction, BeforeValidator(exact)]
NotNegative = Annotated[Fraction, BeforeValidator(exact), Field(ge=0)]
Part = Annotated[Fraction, BeforeValidator(exact), Field(ge=0, le=1)]


def exponential(exponent: Fraction) -> Fraction:
    """e to the power of `exponent`, to `DIGITS` digits; 0 below -EXPONENT_BOUND.

    Raises:
        ValueError: the exponent is above EXPONENT_BOUND.
    """
    if exponent < -EXPONENT_BOUND:
        return Fraction(0)
    if exponent > EXPONENT_BOUND:
        raise ValueError(f"e to the power of {float(exponent):g} is too large")
    return Fraction(_CONTEXT.exp(_decimal(exponent)))


def power(base: Fraction, exponent: Fraction) -> Fraction:
    """`base`, not negative, to the power of `exponent`; exact for small whole exponents.

    Raises:
        ValueError: the base is negative, or the result is too large.
    """
    if base < 0 or (base == 0 and exponent < 0):
        raise ValueError("a power needs a positive base")
    if exponent == 0 or base == 1:
        return Fraction(1)
    if base == 0:
        return Fraction(0)
    if exponent.denominator == 1 and abs(exponent) <= DIGITS:
        return base**exponent.numerator
    return exponential(exponent * Fraction(_CONTEXT.ln(_decimal(base))))


def _decimal(number: Fraction) -> Decimal:
    return _CONTEXT.divide(Decimal(number.numerator), Decimal(number.denominator))
