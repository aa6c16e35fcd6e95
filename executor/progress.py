"""Progress of a stage, reported to a callback at a bounded rate."""

import time
from typing import Protocol

EVERY_SECONDS = 0.3


class ProgressCallback(Protocol):
    """Called with the name of what is transferred, its bytes so far and, if known, in total."""

    def __call__(self, what: str, done_bytes: int, total_bytes: int | None) -> None: ...


def ignore_progress(what: str, done_bytes: int, total_bytes: int | None) -> None:
    """A callback that does nothing."""


class ThrottledProgress:
    """Passes on the first report of a stage, then at most one per `EVERY_SECONDS`.

    The last report may be dropped: the end of a stage has a message of its own.
    """

    def __init__(self, report: ProgressCallback) -> None:
        self._report = report
        self._next = float("-inf")

    def __call__(self, what: str, done_bytes: int, total_bytes: int | None) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + EVERY_SECONDS
            self._report(what, done_bytes, total_bytes)
