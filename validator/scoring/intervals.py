"""Intervals of the published network: when weights may be set, which cycle they pay, pages.

These count in plain multiples of their length from block 0, 14 blocks off the real cycles of
`compute_horde.cycles`. Other validators work by them, so both are needed.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import floor

CYCLE_BLOCKS = 722
SCORED_AFTER = 723
PAGE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class CommitRule:
    """`length` of an interval in blocks, and where in it weights are committed and revealed."""

    length: int
    commit_start_offset: int
    commit_end_buffer: int
    reveal_end_buffer: int


@dataclass(frozen=True, slots=True)
class CommitInterval:
    """An interval and its two windows, each without its last block."""

    interval: range
    commit_window: range
    reveal_window: range


def commit_interval(block: int, rule: CommitRule) -> CommitInterval:
    """The interval that contains `block`.

    Weights are revealed in the first part and committed in the second, each but for a buffer.
    """
    start = block - block % rule.length
    middle, stop = start + rule.commit_start_offset, start + rule.length
    return CommitInterval(
        range(start, stop),
        range(middle, stop - rule.commit_end_buffer),
        range(start, middle - rule.reveal_end_buffer),
    )


def scored_cycle(block: int) -> int:
    """The start of the cycle whose work is paid at `block`."""
    return CYCLE_BLOCKS * ((block - SCORED_AFTER) // CYCLE_BLOCKS)


def cycle_before(start: int) -> int:
    """The start of the cycle before a scored one; the first has none before it."""
    return max(start - CYCLE_BLOCKS, 0)


def receipt_page(unix_time: Fraction) -> int:
    """The page of receipts of a miner that holds what was stored at this time."""
    return floor(unix_time / PAGE_SECONDS)
