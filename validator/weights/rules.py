"""The window of blocks in which weights are set, and the cycle that they pay."""

from compute_horde.cycles import Cycle, cycle_at

# The window of a cycle of 722 blocks is its second half without the last 15 blocks (protocol §9.5).
END_BUFFER = 15
FULL_CYCLE = 722


def window(cycle: Cycle) -> range:
    """The blocks of `cycle` in which its weights may be set."""
    length = cycle.stop - cycle.start
    buffer = END_BUFFER * length // FULL_CYCLE
    return range(cycle.start + length // 2, cycle.stop - buffer)


def paid_cycle(cycle: Cycle, *, netuid: int, tempo: int) -> Cycle:
    """The cycle whose work the weights of `cycle` pay: the one before, which is complete."""
    return cycle_at(cycle.start - 1, netuid=netuid, tempo=tempo)


def claim_blocks(cycle: Cycle) -> int:
    """After how many blocks the claim of a worker that never finished expires."""
    return max(len(window(cycle)) // 4, 1)
