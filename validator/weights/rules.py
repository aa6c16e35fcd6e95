"""When weights are set, what prevents it, and for how long a transaction may be included."""

from collections.abc import Mapping
from fractions import Fraction

from compute_horde.adapters.chain_port import Hyperparameters, Neuron
from compute_horde.cycles import Cycle, cycle_at
from validator.scoring.chain_limits import limited_weights
from validator.scoring.parameters import LimitParameters
from validator.scoring.u16 import scaled_to_max

# The window of a cycle of 722 blocks is its second half without the last 15 blocks.
END_BUFFER = 15
FULL_CYCLE = 722

# For how long an unanswered transaction is waited for before another one is sent. Signing one
# needs a few blocks, and a period of 4 is the shortest that the chain knows.
SHORTEST_VALIDITY = 7
LONGEST_VALIDITY = 35
TRIES_PER_WINDOW = 4

# After a change of the tempo the work since the last weights is paid; of more cycles than these,
# windows were missed, or the chain was not read.
LONGEST_GAP_CYCLES = 2

# Below this part of the window the operator is warned.
DANGER = Fraction(1, 2)


def window(cycle: Cycle) -> range:
    """The blocks of `cycle` in which its weights may be set."""
    length = cycle.stop - cycle.start
    buffer = END_BUFFER * length // FULL_CYCLE
    return range(cycle.start + length // 2, cycle.stop - buffer)


def paid_cycle(cycle: Cycle, *, netuid: int, tempo: int) -> Cycle:
    """The cycle whose work the weights of `cycle` pay: the one before, which is complete."""
    return cycle_at(cycle.start - 1, netuid=netuid, tempo=tempo)


def first_unpaid(before: Cycle, paid_until: int, length_then: int | None) -> int:
    """The first block that is paid, of the work up to the end of the cycle `before`.

    `paid_until` is the end of the work that was paid last, and `length_then` how long cycles were
    at that block, if that is known. Usually `before` begins there. If it begins later, windows were
    missed in between, whose work is not paid any more; or the tempo was changed, then the work
    since is paid with it, as far as two cycles back. If it begins earlier, the tempo was changed as
    well, and what was paid is not paid again: from the end of `before` on, nothing is left to pay.
    """
    length = before.stop - before.start
    length_then = length_then or length
    gap = before.start - paid_until
    is_moved = length_then != length or gap % length != 0
    if gap <= 0 or (is_moved and gap < LONGEST_GAP_CYCLES * max(length, length_then)):
        return paid_until
    return before.start


def validity_blocks(window: range) -> int:
    """In how many blocks a transaction may be included: short enough for several attempts."""
    return min(max(len(window) // TRIES_PER_WINDOW, SHORTEST_VALIDITY), LONGEST_VALIDITY)


def is_in_danger(window: range, block: int) -> bool:
    """Whether so little of the window is left that the operator has to know."""
    return window.stop - block < len(window) * DANGER


def u16_values(
    weights: Mapping[str, Fraction], uids: Mapping[str, int], limits: LimitParameters
) -> dict[int, int]:
    """The weights by uid as the chain stores them: the largest is 65535, zeros are left out.

    Hotkeys without a uid left the subnet since they were scored: they are dropped, and the chain's
    limits are applied to the others anew.
    """
    present = {uids[hotkey]: weight for hotkey, weight in weights.items() if hotkey in uids}
    if not any(present.values()):
        return {}
    if len(present) < len(weights):
        present = limited_weights(
            {uid: weight / sum(present.values()) for uid, weight in present.items()},
            uids=list(uids.values()),
            min_weights=limits.min_allowed_weights,
            max_weight=limits.max_weight,
        )
    ordered = sorted(present)
    scaled = scaled_to_max([present[uid] for uid in ordered])
    return {uid: value for uid, value in zip(ordered, scaled, strict=True) if value}


def obstacle(
    us: Neuron | None, hyperparameters: Hyperparameters, block: int, version: int
) -> tuple[str, int] | None:
    """What would make the chain refuse weights now, and the block to try again; else None."""
    if us is None:
        return "our hotkey is not registered in the subnet: register it", block + 1
    if not us.validator_permit:
        return "our neuron has no validator permit: it needs more stake", block + 1
    if version < hyperparameters.weights_version:
        wanted = hyperparameters.weights_version
        return (
            f"the subnet requires weights of version {wanted}, this validator makes version "
            f"{version}: update it",
            block + 1,
        )
    allowed_from = us.last_update + hyperparameters.weights_rate_limit
    if us.last_update and block < allowed_from:
        return f"weights were last set in block {us.last_update}: rate limit", allowed_from
    return None
