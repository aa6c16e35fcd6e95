"""Divides a whole number into whole parts that sum to it exactly (largest remainder method)."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor
from typing import TypeVar

# Shares are integers out of this total, so that they add up exactly: they have twelve decimals.
DECIMALS = 12
UNITS = 10**DECIMALS

Key = TypeVar("Key", bound=str)


def divided(units: int, parts: Mapping[Key, Fraction]) -> dict[Key, int]:
    """Divide `units` in proportion to `parts`; of equal remainders the first key gets more."""
    total = sum(parts.values(), Fraction(0))
    exact = {key: part * units / total for key, part in parts.items()}
    whole = {key: floor(share) for key, share in exact.items()}
    left = units - sum(whole.values())
    order = sorted(parts, key=lambda key: (whole[key] - exact[key], key))
    for key in order[:left]:
        whole[key] += 1
    return whole


def rounded_to_sum(total: int, amounts: Sequence[Fraction]) -> list[int]:
    """The amounts, which may be negative, each rounded up or down so that they sum to `total`.

    `total` must differ from their exact sum by less than 1. Whole amounts stay as they are.
    """
    whole = [floor(amount) for amount in amounts]
    order = sorted(range(len(amounts)), key=lambda place: (whole[place] - amounts[place], place))
    for place in order[: total - sum(whole)]:
        whole[place] += 1
    return whole
