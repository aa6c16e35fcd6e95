"""The horde score: how many executors of a class a miner has changes what each is worth.

score = average^alpha * sum * S(1/n), with S(y) = 1 / (1 + exp(10^beta * (y - delta)))

With the published parameters alpha 0, beta 0, delta 1, ten executors are worth 7.1 points and one
executor 0.5.
"""

from collections.abc import Sequence
from fractions import Fraction

from validator.scoring.exact import EXPONENT_BOUND, exponential, power


def sigmoid(x: Fraction, *, beta: Fraction, delta: Fraction) -> Fraction:
    """1 / (1 + exp(beta * (delta - x))): rises with x from 0 to 1, is 1/2 at `delta`."""
    exponent = beta * (delta - x)
    if exponent > EXPONENT_BOUND:
        return Fraction(0)
    return 1 / (1 + exponential(exponent))


def reversed_sigmoid(x: Fraction, *, beta: Fraction, delta: Fraction) -> Fraction:
    """1 / (1 + exp(beta * (x - delta))): falls with x from 1 to 0, is 1/2 at `delta`."""
    return sigmoid(-x, beta=beta, delta=-delta)


def size_factor(
    points: Fraction, size: int, *, alpha: Fraction, beta: Fraction, delta: Fraction
) -> Fraction:
    """By what the sum of the points of `size` jobs or executors is multiplied."""
    if not points or size < 1:
        return Fraction(0)
    steepness = power(Fraction(10), beta)
    factor = reversed_sigmoid(Fraction(1, size), beta=steepness, delta=delta)
    return power(points / size, alpha) * factor


def horde_score(
    benchmarks: Sequence[Fraction], *, alpha: Fraction, beta: Fraction, delta: Fraction
) -> Fraction:
    """The score of all benchmarks of a miner in a class; those with 0 points count in n too."""
    total = sum(benchmarks, Fraction(0))
    return total * size_factor(total, len(benchmarks), alpha=alpha, beta=beta, delta=delta)
