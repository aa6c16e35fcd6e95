"""How many executors of a miner a batch tests, and for how long it waits for new miners; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from compute_horde.hardware import ExecutorClass


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """The limits of a batch.

    Of a miner's executors of one class at most `caps[class]` count, and `cap` of a class that is
    not listed. Outside the peak cycle only the part `non_peak_ratio` of those that were online in
    the peak cycle is tested, and `missed_peak[class]` (1 if not listed) of a miner without that
    class in the peak cycle. A miner is new for `new_miner_cycles` cycles, and until it answered
    once.
    """

    cap: int
    caps: Mapping[ExecutorClass, int]
    missed_peak: Mapping[ExecutorClass, int]
    non_peak_ratio: Decimal
    new_miner_cycles: int


@dataclass(frozen=True, slots=True)
class Limited:
    """How many executors of a class are tested, of how many declared, and why not all."""

    declared: int
    tested: int
    reason: str = ""


def capped(declared: int, executor_class: ExecutorClass, policy: LimitPolicy) -> Limited:
    """The executors that count, by the cap of the class alone: the rule of a peak cycle."""
    cap = policy.caps.get(executor_class, policy.cap)
    if declared <= cap:
        return Limited(declared, declared)
    return Limited(declared, cap, f"at most {cap} of {executor_class} count")


def outside_peak(
    declared: int, executor_class: ExecutorClass, peak_online: int | None, policy: LimitPolicy
) -> Limited:
    """The executors tested in another cycle than the peak cycle.

    `peak_online` is how many were online in the last peak cycle; None when none was declared then.
    """
    within = capped(declared, executor_class, policy)
    if peak_online is None:
        most = policy.missed_peak.get(executor_class, 1)
        reason = f"not in the last peak cycle: at most {most}"
    else:
        part = (peak_online * policy.non_peak_ratio).to_integral_value(ROUND_CEILING)
        most = max(1, int(part))
        reason = f"{peak_online} were online in the last peak cycle: at most {most}"
    return within if within.tested <= most else Limited(declared, most, reason)


def is_new_miner(
    first_seen_block: int,
    block: int,
    *,
    cycle_blocks: int,
    was_measured: bool,
    policy: LimitPolicy,
) -> bool:
    """Whether a miner gets more time: it was first seen lately, or never answered a batch yet."""
    age = block - first_seen_block
    return not was_measured or age < policy.new_miner_cycles * cycle_blocks
