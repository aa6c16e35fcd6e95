"""Rules of the network's change log: which blocks are read, what is logged, what counts when."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from compute_horde.adapters.chain_port import Neuron

# The chain is read in blocks that are multiples of this, so that all validators log the same.
STRIDE = 10
# Two epochs of the live network.
CYCLE_BLOCKS = 722
# How far back missing blocks are read.
CATCH_UP_BLOCKS = CYCLE_BLOCKS
KEPT_CYCLES = 3
BLOCK_SECONDS = 12.0
# The stake of a neuron without a permit is logged again once it has moved by this part.
STAKE_STEP = 0.01

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PendingManifest:
    """A reported manifest that becomes effective at `counts_from`."""

    counts: Counts
    reported_at: datetime
    counts_from: datetime


@dataclass(frozen=True, slots=True)
class EffectiveManifest:
    """The manifest that counts for scoring since `since`; None before the first report."""

    counts: Counts | None = None
    since: datetime | None = None
    pending: PendingManifest | None = None


def report(
    current: EffectiveManifest, counts: Counts, now: datetime, change_interval: timedelta
) -> EffectiveManifest:
    """The state after a report of `counts`.

    The first report counts at once, a change `change_interval` after the last one that became
    effective. A report equal to the effective manifest drops the pending one; a repeated report
    keeps the time at which the pending one was first reported.
    """
    current = settle(current, now)
    offered = {kind: count for kind, count in counts.items() if count}
    if offered == current.counts:
        return replace(current, pending=None)
    if current.pending and current.pending.counts == offered:
        return current
    allowed = current.since + change_interval if current.since else now
    pending = PendingManifest(offered, now, max(now, allowed))
    return settle(replace(current, pending=pending), now)


def settle(current: EffectiveManifest, now: datetime) -> EffectiveManifest:
    """The state at `now`: a pending manifest whose time has come is effective from now on."""
    pending = current.pending
    if pending is None or pending.counts_from > now:
        return current
    return EffectiveManifest(pending.counts, now)


def missing_blocks(observed: int | None, head: int) -> range:
    """The blocks to read up to `head`, oldest first, when `observed` was the last one read."""
    oldest = head - CATCH_UP_BLOCKS if observed is None else observed + 1
    first = max(oldest, head - CATCH_UP_BLOCKS, 0)
    return range(-(-first // STRIDE) * STRIDE, head + 1, STRIDE)


def kept_blocks(keep: timedelta) -> int:
    """For how many blocks the past is kept: those of `keep`, but three cycles at least."""
    return max(KEPT_CYCLES * CYCLE_BLOCKS, int(keep.total_seconds() / BLOCK_SECONDS))


def stakes(neurons: Iterable[Neuron], logged: Mapping[str, int]) -> dict[str, int]:
    """The stakes to log, by hotkey: the present one where it matters, else the logged one.

    Shares of stake are computed among neurons with a validator permit, whose stakes are exact.
    """
    return {
        neuron.hotkey: neuron.total_stake_rao
        if neuron.validator_permit or _moved(neuron.total_stake_rao, logged.get(neuron.hotkey))
        else logged[neuron.hotkey]
        for neuron in neurons
    }


def _moved(stake: int, logged: int | None) -> bool:
    return logged is None or abs(stake - logged) > STAKE_STEP * logged


def block_time(
    block: int, head: tuple[int, datetime], earlier: tuple[int, datetime] | None
) -> datetime:
    """The estimated time of a block, given those of the head and of an earlier block.

    Between both it is interpolated; before the earlier one a block counts 12 seconds.
    """
    head_block, head_time = head
    if earlier and earlier[0] < head_block:
        start, start_time = earlier
        if block >= start:
            return start_time + (head_time - start_time) * ((block - start) / (head_block - start))
        head_block, head_time = earlier
    return head_time - timedelta(seconds=BLOCK_SECONDS * (head_block - block))
