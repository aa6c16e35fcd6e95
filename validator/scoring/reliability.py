"""How reliable a miner is, by its incidents, and how likely it is that it gets a job first."""

from collections.abc import Sequence
from fractions import Fraction

from validator.scoring.horde_score import sigmoid

LEAST_WEIGHT = Fraction(1, 10**6)


def reliability(incidents: int, executors: int) -> Fraction:
    """Minus the incidents per executor in the window that counts; 0 is best.

    Raises:
        ValueError: a miner without executors has no reliability.
    """
    if executors < 1:
        raise ValueError("reliability needs at least one executor")
    return Fraction(-incidents, executors)


def selection_weight(value: Fraction, *, center: Fraction, separation: Fraction) -> Fraction:
    """The weight of a miner in a random choice: 1 / (1 + exp(-k * (value - center))).

    k = separation / |center|. At `center`, half of the soft cutoff, the weight is 1/2. It stays
    within 1e-6 and 1 - 1e-6, so that nobody is excluded for ever.

    Raises:
        ValueError: the centre is 0.
    """
    if not center:
        raise ValueError("the centre must not be 0")
    weight = sigmoid(value, beta=separation / abs(center), delta=center)
    return min(max(weight, LEAST_WEIGHT), 1 - LEAST_WEIGHT)


def first_pick_probabilities(weights: Sequence[Fraction]) -> list[Fraction]:
    """How likely each is to be drawn first, when drawn in proportion to its weight."""
    total = sum(weights, Fraction(0))
    return [weight / total for weight in weights]
