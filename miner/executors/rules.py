"""When to start executors ahead, how long they may take, how long to wait after a crash."""

from datetime import timedelta

from compute_horde.hardware import PROMISES, ExecutorClass

SPUN_UP_FROM = timedelta(minutes=1)
FIRST_PAUSE = timedelta(seconds=0.5)
LONGEST_PAUSE = timedelta(seconds=60)
SETTLED_AFTER = timedelta(seconds=10)


def is_warm(executor_class: ExecutorClass) -> bool:
    """Whether executors of a class are started ahead rather than for each job."""
    return PROMISES[executor_class].spin_up < SPUN_UP_FROM


def time_to_start(executor_class: ExecutorClass, always_on: timedelta) -> timedelta:
    """How long an executor may take to connect; slow classes have promised a time themselves."""
    promised = PROMISES[executor_class].spin_up
    return always_on if is_warm(executor_class) else max(promised, always_on)


def pause_after(failures: int) -> timedelta:
    """How long to wait before starting another after so many crashes in a row."""
    if failures <= 0:
        return timedelta(0)
    doubled: int = 2 ** min(failures - 1, 20)
    return min(FIRST_PAUSE * doubled, LONGEST_PAUSE)


def is_crash(*, connected_for: timedelta | None) -> bool:
    """Whether an idle executor that is gone counts as a failed start."""
    return connected_for is None or connected_for < SETTLED_AFTER
