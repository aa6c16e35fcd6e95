"""Divides the weight of an executor class among its miners in proportion to their scores."""

from collections.abc import Mapping
from fractions import Fraction


def weighted_scores(scores: Mapping[str, Fraction], weight: Fraction) -> dict[str, Fraction]:
    """The scores scaled so that they sum to `weight`; scores that sum to 0 stay as they are.

    The weight of a class in which nobody scored does not go to other classes.
    """
    total = sum(scores.values(), Fraction(0))
    if not total:
        return dict(scores)
    return {key: score * weight / total for key, score in scores.items()}
