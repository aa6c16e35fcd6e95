"""The block allowance: the executor seconds that a validator may spend at a miner.

Each block gives validator v at miner m in class c

    executors(m, c) * stake(v) / sum of stakes * length of the block * multiplier

seconds. What a block gave is computed from the changes of manifests when it is needed, so there is
no table of blocks, miners and validators.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

from validator.scoring.spending import PICOSECONDS

# Longer blocks are hiccups of the chain; they count as the usual length.
LONGEST_BLOCK = Fraction(25, 2)
USUAL_BLOCK = Fraction(12)


@dataclass(frozen=True)
class ChainBlock:
    """A block: its length in seconds, and the stake of each validator that is permitted then."""

    number: int
    length: Fraction
    stakes: Mapping[str, Fraction]

    @cached_property
    def total_stake(self) -> Fraction:
        """The stake of all validators."""
        return sum(self.stakes.values(), Fraction(0))

    def share(self, validator: str) -> Fraction:
        """The validator's part of all stake; 0 when it is not listed."""
        stake = self.stakes.get(validator, Fraction(0))
        return stake / self.total_stake if stake else stake


def counted_length(length: Fraction) -> Fraction:
    """The length of a block as it counts, in seconds."""
    return USUAL_BLOCK if length > LONGEST_BLOCK else length


def per_executor(block: ChainBlock, validator: str, multiplier: Fraction) -> Fraction:
    """The seconds that a block gives a validator for each executor of a miner."""
    return block.share(validator) * counted_length(block.length) * multiplier


def accrued(
    blocks: Iterable[ChainBlock],
    executors: Mapping[str, int],
    *,
    validator: str,
    multiplier: Fraction = Fraction(1),
) -> dict[str, Fraction]:
    """The seconds that a validator may spend at each miner, whose executors did not change."""
    seconds = sum((per_executor(one, validator, multiplier) for one in blocks), Fraction(0))
    return {miner: count * seconds for miner, count in executors.items() if count}


class ManifestHistory:
    """How many executors of one class a miner offered, from which block on.

    Only answers of the miner belong here: when it cannot be reached, the last answer holds. Counts
    are those after the cap of the class.
    """

    def __init__(self, changes: Iterable[tuple[int, int]]) -> None:
        """`changes` are (block, count); of several in a block the last one holds."""
        counts = sorted(dict(changes).items())
        self._blocks = [block for block, _ in counts]
        self._counts = [count for _, count in counts]
        self._drops = [later[0] for earlier, later in pairwise(counts) if later[1] < earlier[1]]

    def count(self, block: int) -> int:
        """The executors offered in `block`."""
        place = bisect_right(self._blocks, block)
        return self._counts[place - 1] if place else 0

    def dropped_after(self, block: int) -> int | None:
        """The first block after `block` in which the miner offered fewer executors."""
        place = bisect_right(self._drops, block)
        return self._drops[place] if place < len(self._drops) else None


class BlockAllowances:
    """What every validator gets from each block, for each executor."""

    def __init__(self, blocks: Sequence[ChainBlock], multiplier: Fraction = Fraction(1)) -> None:
        self._blocks = {block.number: block for block in blocks}
        self._multiplier = multiplier
        # Picoseconds for an executor, as numerator and denominator.
        self._rates: dict[tuple[str, int], tuple[int, int]] = {}

    def amount(self, validator: str, block: int, executors: int) -> int | None:
        """Picoseconds, rounded to the nearest; None for a block that is not known."""
        if (rate := self._rates.get((validator, block))) is None:
            if block not in self._blocks:
                return None
            seconds = per_executor(self._blocks[block], validator, self._multiplier)
            rate = (seconds.numerator * PICOSECONDS, seconds.denominator)
            self._rates[validator, block] = rate
        numerator, denominator = rate
        return (2 * executors * numerator + denominator) // (2 * denominator)


@dataclass(frozen=True, slots=True)
class MinerAllowances:
    """What one validator may spend at one miner and class, as `spending.Account` asks for it."""

    blocks: BlockAllowances
    history: ManifestHistory
    validator: str

    def amount(self, block: int) -> int | None:
        """The picoseconds that a block gives; None for a block that is not known."""
        return self.blocks.amount(self.validator, block, self.history.count(block))

    def invalidated_at(self, block: int) -> int | None:
        """The first later block in which the miner offered fewer executors."""
        return self.history.dropped_after(block)
