"""Which executors are started in advance, their start timeouts, and pauses after crashes."""

from datetime import timedelta

from compute_horde.hardware import PROMISES, ExecutorClass

ON_DEMAND_FROM = timedelta(minutes=1)
FIRST_PAUSE = timedelta(seconds=0.5)
LONGEST_PAUSE = timedelta(seconds=60)
# While others are ready: until the result of the job whose place is refilled has been passed on.
REFILL_DELAY = timedelta(seconds=0.03)
SETTLED_AFTER = timedelta(seconds=10)


def is_warm(executor_class: ExecutorClass) -> bool:
    """Whether executors of a class are started in advance, rather than for each job."""
    return PROMISES[executor_class].spin_up < ON_DEMAND_FROM


def time_to_start(executor_class: ExecutorClass, always_on: timedelta) -> timedelta:
    """How long an executor may take to connect: `always_on`, or the spin-up time of its class."""
    promised = PROMISES[executor_class].spin_up
    return always_on if is_warm(executor_class) else max(promised, always_on)


def pause_after(failures: int) -> timedelta:
    """How long to wait before another start after `failures` failed starts in a row."""
    if failures <= 0:
        return timedelta(0)
    doubled: int = 2 ** min(failures - 1, 20)
    return min(FIRST_PAUSE * doubled, LONGEST_PAUSE)


def pause_before_start(failures: int, *, is_any_ready: bool) -> timedelta:
    """How long to wait before a missing executor is started; `failures` as in `pause_after`."""
    return pause_after(failures) or (REFILL_DELAY if is_any_ready else timedelta(0))


def is_crash(*, connected_for: timedelta | None) -> bool:
    """Whether an idle executor that ended counts as a failed start."""
    return connected_for is None or connected_for < SETTLED_AFTER
