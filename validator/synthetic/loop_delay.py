"""Measures how late the event loop runs, so that a miner's time excludes the validator's delays."""

import asyncio
from bisect import bisect_left
from datetime import timedelta
from time import monotonic

TICK_SECONDS = 0.01
# Delays are kept as the worst of each piece of time of this length, so that the memory for a batch
# of 20 minutes is 12 000 numbers.
PIECE_SECONDS = 0.1
# Shorter delays are usual and not counted in `late_seconds`.
LATE_SECONDS = 0.1


class LoopDelay:
    """A task that should run every `TICK_SECONDS`, and records by how many seconds it is late.

    All times are those of `time.monotonic`.
    """

    def __init__(self) -> None:
        # The sum of all delays of at least `LATE_SECONDS`.
        self.late_seconds = 0.0
        self._moments: list[float] = []
        self._delays: list[float] = []
        self._due = monotonic()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to measure in the running loop, or anew: the present delay is forgotten."""
        self._due = monotonic() + TICK_SECONDS
        if self._task is None:
            self._task = asyncio.create_task(self._measure())

    def stop(self) -> None:
        """Stop measuring; what was measured stays."""
        if self._task:
            self._task.cancel()
            self._task = None

    def worst(self, since: float, until: float) -> float:
        """The worst delay, in seconds, at any moment from `since` to `until`.

        A delay is known when it is over, so one that ends shortly after `until` counts too.
        """
        first = bisect_left(self._moments, since)
        last = bisect_left(self._moments, until) + 1
        return max(self._delays[first:last], default=0.0)

    def worst_until_now(self, since: float) -> float:
        """The worst delay since a moment, the present one included."""
        now = monotonic()
        present = now - self._due if self._task else 0.0
        return max(self.worst(since, now), present, 0.0)

    def lateness(self, since: float) -> timedelta:
        """The same as a duration, by which deadlines are extended."""
        return timedelta(seconds=self.worst_until_now(since))

    def record(self, moment: float, delay: float) -> None:
        """Keep a delay that was observed at `moment`."""
        self.late_seconds += delay if delay >= LATE_SECONDS else 0.0
        if self._moments and moment - self._moments[-1] < PIECE_SECONDS:
            if delay > self._delays[-1]:
                self._moments[-1], self._delays[-1] = moment, delay
            return
        self._moments.append(moment)
        self._delays.append(delay)

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(max(self._due - monotonic(), 0.0))
            now = monotonic()
            self.record(now, max(now - self._due, 0.0))
            self._due = now + TICK_SECONDS
