"""From points to weights, exactly: nothing is lost and nothing made in the division."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from compute_horde.hardware import ExecutorClass

# Weights are counted in these, so that shares are whole numbers and add up.
UNITS = 10**12

Key = TypeVar("Key", bound=str)


@dataclass(frozen=True, slots=True)
class Earned:
    """What a miner earned in a class."""

    hotkey: str
    executor_class: ExecutorClass
    points: int


def miner_weights(
    earned: Iterable[Earned], class_weights: Mapping[ExecutorClass, Decimal]
) -> dict[str, Decimal]:
    """Share each worked class's weight among its miners by points; all together make one.

    Classes in which nobody earned anything leave their part to the others.
    """
    points = _by_class(earned)
    worked = {
        kind: weight for kind in points if (weight := class_weights.get(kind, Decimal(0))) > 0
    }
    shares: dict[str, int] = {}
    for kind, units in _divided(UNITS, worked).items():
        for hotkey, share in _divided(units, points[kind]).items():
            shares[hotkey] = shares.get(hotkey, 0) + share
    return {hotkey: Decimal(share) / UNITS for hotkey, share in sorted(shares.items()) if share}


def _by_class(earned: Iterable[Earned]) -> dict[ExecutorClass, dict[str, Decimal]]:
    points: dict[ExecutorClass, dict[str, Decimal]] = {}
    for one in earned:
        if one.points > 0:
            miners = points.setdefault(one.executor_class, {})
            miners[one.hotkey] = miners.get(one.hotkey, Decimal(0)) + one.points
    return points


def _divided(units: int, parts: Mapping[Key, Decimal]) -> dict[Key, int]:
    """`units` in whole numbers in the proportion of `parts`; the largest remainders round up."""
    total = sum(map(Fraction, parts.values()))
    exact = {key: Fraction(part) * units / total for key, part in parts.items()}
    whole = {key: int(share) for key, share in exact.items()}
    left = units - sum(whole.values())
    order = sorted(parts, key=lambda key: (whole[key] - exact[key], key))
    for key in order[:left]:
        whole[key] += 1
    return whole
