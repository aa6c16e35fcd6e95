"""When weights are set, what prevents it, and for how long a transaction may be included."""

from collections.abc import Mapping
from fractions import Fraction

from compute_horde.adapters.chain_port import Hyperparameters, Neuron
from compute_horde.cycles import Cycle, cycle_at

# The window of a cycle of 722 blocks is its second half without the last 15 blocks.
END_BUFFER = 15
FULL_CYCLE = 722

# For how long an unanswered transaction is waited for before another one is sent. Signing one
# needs a few blocks, and a period of 4 is the shortest that the chain knows.
SHORTEST_VALIDITY = 7
LONGEST_VALIDITY = 35
TRIES_PER_WINDOW = 4

MAX_U16 = 65535
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


def validity_blocks(window: range) -> int:
    """In how many blocks a transaction may be included: short enough for several attempts."""
    return min(max(len(window) // TRIES_PER_WINDOW, SHORTEST_VALIDITY), LONGEST_VALIDITY)


def is_in_danger(window: range, block: int) -> bool:
    """Whether so little of the window is left that the operator has to know."""
    return window.stop - block < len(window) * DANGER


def u16_values(shares: Mapping[str, Fraction], uids: Mapping[str, int]) -> dict[int, int]:
    """The weights by uid as the chain stores them: the largest is 65535, zeros are left out.

    Shares of hotkeys without a uid, which left the subnet, are dropped.
    """
    present = {uids[hotkey]: share for hotkey, share in shares.items() if hotkey in uids}
    largest = max(present.values(), default=Fraction(0))
    if not largest:
        return {}
    scaled = {uid: round(share * MAX_U16 / largest) for uid, share in sorted(present.items())}
    return {uid: value for uid, value in scaled.items() if value}


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
