"""Block, epoch and cycle arithmetic; docs/glossary.md says what they are."""

from dataclasses import dataclass

EPOCHS_PER_CYCLE = 2
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


def epoch_start(block: int, *, netuid: int, tempo: int) -> int:
    """The first block of the epoch that contains `block`.

    The chain starts an epoch where (block + netuid + 1) mod (tempo + 1) = tempo.
    """
    length = tempo + 1
    return block - (block + netuid + 2) % length


def cycle_at(block: int, *, netuid: int, tempo: int) -> Cycle:
    """The cycle that contains `block`: two epochs, counted from the epoch of block 0."""
    length = EPOCHS_PER_CYCLE * (tempo + 1)
    zero = epoch_start(0, netuid=netuid, tempo=tempo)
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
