"""The text of the progress line: present phase of the job, elapsed time, download progress."""

import time
from collections.abc import Callable

from compute_horde_sdk.job_status import JobProgress

RUNNING = frozenset({"volumes_ready", "streaming_ready"})
MEGABYTE = 10**6
# Without a terminal: pauses between new lines of which only the elapsed time has changed.
FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 60.0
PROBLEM_SECONDS = 1.5


class Phase:
    """The job's present phase, when it began, its progress, and a problem being retried."""

    def __init__(self, words: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._progress: JobProgress | None = None
        self._problem: str | None = None
        self._last_line = ""
        self.enter("", words)

    def enter(self, status: str, words: str) -> None:
        """Start a new phase: the job has entered `status`, described by `words`."""
        self._is_running = status in RUNNING
        self._words = words
        self._since = self._clock()
        if self._is_running:
            self._progress = None
        self._pause = FIRST_PAUSE_SECONDS
        self._next_line_at = self._since + self._pause

    def on_progress(self, progress: JobProgress) -> None:
        """Record download progress; completed downloads are not shown."""
        is_there = progress.done_bytes == progress.total_bytes
        self._progress = None if is_there else progress

    def on_problem(self, problem: str | None) -> None:
        """Record that requests to the facilitator are retried; None when they work again."""
        if problem and not self._problem:
            self._problem_since = self._clock()
            self._problem_is_new = True
        self._problem = problem

    def line(self) -> str:
        """The progress line as of now."""
        if self._problem is not None:
            return f"{self._problem} {_passed(self._clock() - self._problem_since)}"
        if self._progress is not None:
            return _amount(self._progress)
        words = "running" if self._is_running else self._words
        return f"{words} {_passed(self._clock() - self._since)}"

    def next_line(self) -> str | None:
        """The next line to print permanently: progress that changed, or a due update; else None."""
        line = self.line()
        is_due = self._clock() >= self._next_line_at
        if self._problem is not None and self._problem_is_new:
            # Short problems are not reported.
            if self._clock() - self._problem_since < PROBLEM_SECONDS:
                return None
            self._problem_is_new, is_due = False, True
        if line == self._last_line or not ((self._progress and not self._problem) or is_due):
            return None
        if is_due:
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            self._next_line_at = self._clock() + self._pause
        self._last_line = line
        return line


def _passed(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes:02}:{seconds:02}"


def _amount(progress: JobProgress) -> str:
    done = f"{progress.done_bytes / MEGABYTE:.0f}"
    if progress.total_bytes is None:
        return f"fetching {progress.what}: {done} MB"
    return f"fetching {progress.what}: {done} of {progress.total_bytes / MEGABYTE:.0f} MB"
