"""Weights as the chain takes them: integers up to 65535, the largest always the maximum."""

from collections.abc import Sequence
from fractions import Fraction

MAX_U16 = 65535


def scaled_to_max(weights: Sequence[Fraction], maximum: int = MAX_U16) -> list[int]:
    """The weights scaled so that the largest is `maximum`, rounded half to even.

    Weights that are all zero stay zero: then there is nothing to set.

    Raises:
        ValueError: a weight is negative.
    """
    if any(weight < 0 for weight in weights):
        raise ValueError("a weight is negative")
    largest = max(weights, default=Fraction(0))
    if not largest:
        return [0] * len(weights)
    return [round(weight * maximum / largest) for weight in weights]
