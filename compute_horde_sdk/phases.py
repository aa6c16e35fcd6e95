"""What a job is busy with right now, in one line that changes while one looks at it."""

import time
from collections.abc import Callable

from compute_horde_sdk.statuses import JobProgress

RUNNING = frozenset({"volumes_ready", "streaming_ready"})
MEGABYTE = 10**6
# Where lines stay on the screen, the clock alone makes a new one only this long after the last.
FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 60.0


class Phase:
    """The present phase and since when."""

    def __init__(self, words: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._progress: JobProgress | None = None
        self._said = ""
        self.enter("", words)

    def enter(self, status: str, words: str) -> None:
        """The job is in another state now."""
        self._is_running = status in RUNNING
        self._words = words
        self._since = self._clock()
        if self._is_running:
            self._progress = None
        self._pause = FIRST_PAUSE_SECONDS
        self._say_at = self._since + self._pause

    def made(self, progress: JobProgress) -> None:
        """Something comes along; when it is all there it is no news any more."""
        is_there = progress.done_bytes == progress.total_bytes
        self._progress = None if is_there else progress

    def line(self) -> str:
        """As of now."""
        if self._progress is not None:
            return _amount(self._progress)
        minutes, seconds = divmod(int(self._clock() - self._since), 60)
        words = "running" if self._is_running else self._words
        return f"{words} {minutes:02}:{seconds:02}"

    def news(self) -> str | None:
        """A line worth staying on the screen: numbers that changed, or now and then the clock."""
        line = self.line()
        is_due = self._clock() >= self._say_at
        if line == self._said or not (self._progress or is_due):
            return None
        if is_due:
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            self._say_at = self._clock() + self._pause
        self._said = line
        return line


def _amount(progress: JobProgress) -> str:
    done = f"{progress.done_bytes / MEGABYTE:.0f}"
    if progress.total_bytes is None:
        return f"fetching {progress.what}: {done} MB"
    return f"fetching {progress.what}: {done} of {progress.total_bytes / MEGABYTE:.0f} MB"
