"""A wall clock that is not adjusted while the process runs, for pauses and deadlines."""

from datetime import UTC, datetime, timedelta
from time import monotonic

_STARTED_AT, _STARTED = datetime.now(UTC), monotonic()


def steady_now() -> datetime:
    """The wall clock's time at the start of the process plus the time that has passed since.

    Differences are correct even if the wall clock is set meanwhile.
    """
    return _STARTED_AT + timedelta(seconds=monotonic() - _STARTED)
