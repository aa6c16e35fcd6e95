"""The efficiency factor of a miner's executors of one class.

It is what this validator measured (1 until measured), lowered by a step for each job that the
miner refused without an excuse while it had executors free, and raised again by work done.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class EfficiencyRule:
    """A refusal costs `step`, an hour of work heals `healing_per_hour`; never below `least`."""

    step: Fraction
    healing_per_hour: Fraction
    least: Fraction


@dataclass(frozen=True, slots=True)
class WorkEvent:
    """A refusal without excuse while executors were free, or `seconds` of work done."""

    seconds: Fraction = Fraction(0)
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Willingness:
    """The part of the factor that refusals lower: at the end, and what it lost and regained."""

    factor: Fraction
    lost: Fraction
    healed: Fraction


def willingness(
    carried: Fraction, events: Iterable[WorkEvent], rule: EfficiencyRule
) -> Willingness:
    """The factor after `events` in their order, from `carried` of the cycle before; at most 1."""
    factor, lost, healed = carried, Fraction(0), Fraction(0)
    for event in events:
        if event.refused:
            lower = min(factor, max(factor - rule.step, rule.least))
            lost, factor = lost + factor - lower, lower
        elif factor < 1:
            higher = min(factor + event.seconds * rule.healing_per_hour / 3600, Fraction(1))
            healed, factor = healed + higher - factor, higher
    return Willingness(factor, lost, healed)
