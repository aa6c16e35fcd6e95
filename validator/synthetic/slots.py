"""When a validator runs its batch: each validator has a block of its own in every cycle; pure."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from compute_horde.cycles import Cycle

# The offset below is meant for cycles of this length, and scaled for shorter ones.
LIVE_CYCLE_BLOCKS = 722
# The block that seeds the order is final, and known to everybody, when its cycle begins.
SEED_BLOCKS_BEFORE = 3


@dataclass(frozen=True, slots=True)
class SlotPolicy:
    """Which validators have slots, and where.

    The `size` validators with the highest stakes of at least `min_stake_rao` (10^-9 TAO) share a
    cycle. `offset_blocks` of a cycle of 722 blocks pass before the first slot. A batch may start
    `tolerance_blocks` late; None: half the distance to the next slot. With `outside`, a validator
    that is not in the set takes a slot behind the others.
    """

    size: int
    min_stake_rao: int
    offset_blocks: int
    tolerance_blocks: int | None
    outside: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """The slot `index` of `count` in a cycle: a batch starts at `block`, at the latest at `until`.

    Both blocks are included.
    """

    index: int
    count: int
    block: int
    until: int


def seed_block(cycle: Cycle) -> int:
    """The block whose hash orders the validators of a cycle."""
    return max(cycle.start - SEED_BLOCKS_BEFORE, 0)


def validator_set(stakes: Mapping[str, int], policy: SlotPolicy) -> list[str]:
    """The hotkeys that share a cycle, by falling stake; equal stakes are ordered by hotkey."""
    able = [hotkey for hotkey, stake in stakes.items() if stake >= policy.min_stake_rao]
    return sorted(able, key=lambda hotkey: (-stakes[hotkey], hotkey))[: policy.size]


def shuffled(hotkeys: Iterable[str], seed: str) -> list[str]:
    """The hotkeys in an order that everybody who knows `seed` computes, and nobody can choose.

    They are sorted by the SHA-256 of `seed:hotkey`.
    """
    return sorted(hotkeys, key=lambda hotkey: hashlib.sha256(f"{seed}:{hotkey}".encode()).digest())


def slot(
    cycle: Cycle, hotkey: str, stakes: Mapping[str, int], seed: str, policy: SlotPolicy
) -> Slot | None:
    """The slot of a validator in a cycle; None when it has none.

    `stakes` are those of all neurons when the cycle began, `seed` is the hash of `seed_block`.
    """
    order = shuffled(validator_set(stakes, policy), seed)
    if hotkey not in order:
        if not policy.outside:
            return None
        order.append(hotkey)
    return slot_at(cycle, order.index(hotkey), len(order), policy)


def slot_at(cycle: Cycle, index: int, count: int, policy: SlotPolicy) -> Slot:
    """The slot `index` of `count`: the cycle without its offset is divided equally."""
    length = cycle.stop - cycle.start
    offset = policy.offset_blocks * length // LIVE_CYCLE_BLOCKS
    first = cycle.start + offset
    block = first + (length - offset) * index // count
    free = (length - offset) // count // 2
    late = free if policy.tolerance_blocks is None else policy.tolerance_blocks
    return Slot(index, count, block, min(block + late, cycle.stop - 1))
