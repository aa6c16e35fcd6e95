"""Gives a part of all weights to burn targets: hotkeys whose reward leaves circulation."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class BurnRule:
    """`rate` of everything is burned, `partition` of that by the main burner.

    `targets` are hotkeys; those that are not registered do not count.
    """

    targets: frozenset[str]
    rate: Fraction
    partition: Fraction


def main_burner(targets: Iterable[str], *, cycle_start: int) -> str | None:
    """The main burner of a cycle: Python's seeded choice among the sorted targets.

    All validators that know the same targets choose the same one.
    """
    ordered = sorted(set(targets))
    return random.Random(cycle_start).choice(ordered) if ordered else None


def burned(
    shares: Mapping[str, Fraction], rule: BurnRule, *, main: str | None
) -> dict[str, Fraction]:
    """The shares after burning, not scaled; `rule.targets` are the registered ones.

    The main burner gets `rate * partition`, the others divide the rest of `rate` evenly. A single
    target gets all of it.
    """
    if not rule.rate or main is None:
        return dict(shares)
    after = {key: share * (1 - rule.rate) for key, share in shares.items()}
    others = sorted(rule.targets - {main})
    of_main = rule.rate * rule.partition if others else rule.rate
    after[main] = after.get(main, Fraction(0)) + of_main
    for other in others:
        after[other] = after.get(other, Fraction(0)) + (rule.rate - of_main) / len(others)
    return after
