"""Computes weights from points exactly: the shares add up to 1 without rounding errors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from compute_horde.hardware import ExecutorClass
from validator.scoring.units import UNITS, divided


@dataclass(frozen=True, slots=True)
class Earned:
    """The points that a miner earned in one executor class."""

    hotkey: str
    executor_class: ExecutorClass
    points: int


def miner_weights(
    earned: Iterable[Earned], class_weights: Mapping[ExecutorClass, Decimal]
) -> dict[str, Decimal]:
    """Divide the weight of each executor class among its miners by points; the sum is 1.

    The weight of a class in which nobody earned points goes to the other classes.
    """
    points = _by_class(earned)
    worked = {
        kind: Fraction(weight)
        for kind in points
        if (weight := class_weights.get(kind, Decimal(0))) > 0
    }
    shares: dict[str, int] = {}
    for kind, units in divided(UNITS, worked).items():
        for hotkey, share in divided(units, points[kind]).items():
            shares[hotkey] = shares.get(hotkey, 0) + share
    return {hotkey: Decimal(share) / UNITS for hotkey, share in sorted(shares.items()) if share}


def _by_class(earned: Iterable[Earned]) -> dict[ExecutorClass, dict[str, Fraction]]:
    points: dict[ExecutorClass, dict[str, Fraction]] = {}
    for one in earned:
        if one.points > 0:
            miners = points.setdefault(one.executor_class, {})
            miners[one.hotkey] = miners.get(one.hotkey, Fraction(0)) + one.points
    return points
