"""Cycles: ComputeHorde's own division of the chain into equal parts.

Every party of the network must find the same cycles, so they are arithmetic on block numbers
alone: the grid on which the chain ran its epochs until 2026. The chain's epochs are state now and
drift off this grid; when one runs is in `EpochSchedule` (`compute_horde/adapters/chain_port.py`),
never here. Nothing else uses this grid.
"""

from dataclasses import dataclass

NOMINAL_EPOCHS_PER_CYCLE = 2
CYCLES_PER_DAY = 10
PEAK_REFERENCE_BLOCK = 1000


@dataclass(frozen=True, slots=True, order=True)
class Cycle:
    """Blocks from `start` up to, not including, `stop`; cycle 0 contains block 0."""

    start: int
    stop: int
    number: int

    def __contains__(self, block: int) -> bool:
        return self.start <= block < self.stop


def nominal_epoch_start(block: int, *, netuid: int, tempo: int) -> int:
    """The first block of the nominal epoch that contains `block`.

    One starts where (block + netuid + 1) mod (tempo + 1) = tempo.
    """
    length = tempo + 1
    return block - (block + netuid + 2) % length


def cycle_at(block: int, *, netuid: int, tempo: int) -> Cycle:
    """The cycle that contains `block`: two nominal epochs, counted from that of block 0."""
    length = NOMINAL_EPOCHS_PER_CYCLE * (tempo + 1)
    zero = nominal_epoch_start(0, netuid=netuid, tempo=tempo)
    number = (block - zero) // length
    start = zero + number * length
    return Cycle(start, start + length, number)


def peak_cycle(block: int, *, netuid: int, tempo: int) -> Cycle:
    """The peak cycle of the testing day (ten cycles) that contains `block`."""
    reference = cycle_at(PEAK_REFERENCE_BLOCK, netuid=netuid, tempo=tempo)
    current = cycle_at(block, netuid=netuid, tempo=tempo)
    behind = (current.number - reference.number) % CYCLES_PER_DAY
    length = current.stop - current.start
    return cycle_at(current.start - behind * length, netuid=netuid, tempo=tempo)
