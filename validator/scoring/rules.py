"""Computes weights from points exactly: the shares add up to 1 without rounding errors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from compute_horde.hardware import ExecutorClass

# Shares are integers out of this total, so that they add up exactly.
UNITS = 10**12

Key = TypeVar("Key", bound=str)


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
        kind: weight for kind in points if (weight := class_weights.get(kind, Decimal(0))) > 0
    }
    shares: dict[str, int] = {}
    for kind, units in _divide_units(UNITS, worked).items():
        for hotkey, share in _divide_units(units, points[kind]).items():
            shares[hotkey] = shares.get(hotkey, 0) + share
    return {hotkey: Decimal(share) / UNITS for hotkey, share in sorted(shares.items()) if share}


def _by_class(earned: Iterable[Earned]) -> dict[ExecutorClass, dict[str, Decimal]]:
    points: dict[ExecutorClass, dict[str, Decimal]] = {}
    for one in earned:
        if one.points > 0:
            miners = points.setdefault(one.executor_class, {})
            miners[one.hotkey] = miners.get(one.hotkey, Decimal(0)) + one.points
    return points


def _divide_units(units: int, parts: Mapping[Key, Decimal]) -> dict[Key, int]:
    """Divide `units` into integers in proportion to `parts`, by the largest remainder method."""
    total = sum(map(Fraction, parts.values()))
    exact = {key: Fraction(part) * units / total for key, part in parts.items()}
    whole = {key: int(share) for key, share in exact.items()}
    left = units - sum(whole.values())
    order = sorted(parts, key=lambda key: (whole[key] - exact[key], key))
    for key in order[:left]:
        whole[key] += 1
    return whole
