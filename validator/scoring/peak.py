"""Peak cycles: how many executors are tested, and what a change of size does to the score.

One cycle of ten is a peak cycle, in which all executors are tested; in the others a tenth of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from compute_horde.hardware import ExecutorClass

Counts = Mapping[ExecutorClass, int]


@dataclass(frozen=True, slots=True)
class PeakRule:
    """`ratio` of a miner's peak executors must be there in other cycles.

    `class_caps`: so many executors of a class count at most; a class that is missing has no cap.
    `missed_peak`: how many are tested of a miner that was not in the peak cycle; a class that is
    missing counts one.
    """

    ratio: Fraction
    class_caps: Counts
    missed_peak: Counts


def executors_to_test(
    kind: ExecutorClass, reported: int, *, at_peak: int | None, is_peak: bool, rule: PeakRule
) -> int:
    """How many of the `reported` executors of a class are tested in this cycle.

    `at_peak` is the number online in the peak cycle; None when the miner did not have the class.
    """
    allowed = min(reported, rule.class_caps.get(kind, reported))
    if is_peak:
        return allowed
    if at_peak is None:
        return min(allowed, rule.missed_peak.get(kind, 1))
    return min(allowed, max(1, ceil(at_peak * rule.ratio)))


def too_few_after_peak(now: Counts, at_peak: Counts, ratio: Fraction) -> list[ExecutorClass]:
    """The classes of which a miner has now less than `ratio` of what it had in the peak cycle."""
    return sorted(
        kind for kind, count in at_peak.items() if count and now.get(kind, 0) < count * ratio
    )


def size(counts: Counts, class_weights: Mapping[ExecutorClass, Fraction]) -> Fraction:
    """The size of a miner: the sum of its executors, each times the weight of its class."""
    zero = Fraction(0)
    return sum((class_weights.get(kind, zero) * count for kind, count in counts.items()), zero)


def has_changed_size(current: Fraction, previous: Fraction, threshold: Fraction) -> bool:
    """Whether the sizes in the last two peak cycles differ by `threshold` or more, as a ratio.

    The direction does not matter; a miner that was missing in either has changed.
    """
    low, high = sorted((current, previous))
    return low == 0 or high >= low * threshold
