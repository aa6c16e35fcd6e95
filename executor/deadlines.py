"""How long the stages of a job may last; time not used carries over."""

import asyncio

from compute_horde.errors import HordeError
from compute_horde.protocol.job import JobOffered, Timing
from compute_horde.vocabulary import HordeReason


class StageDeadlines:
    """The deadline of the present stage; each next stage adds its time limit to it."""

    def __init__(self, timing: Timing | None, deadline: float, *, streaming: bool = False) -> None:
        self._timing = timing
        self._deadline = deadline
        self._start = timing.streaming_start_time_limit if timing and streaming else 0

    @classmethod
    def from_offer(cls, offered: JobOffered) -> "StageDeadlines":
        """Deadlines counted from now, when the executor is ready.

        Raises `HordeError` when the offer has no time limits.
        """
        now = asyncio.get_running_loop().time()
        if offered.executor_timing is not None:
            deadline = now + offered.executor_timing.allowed_leeway
            streaming = offered.streaming_details is not None
            return cls(offered.executor_timing, deadline, streaming=streaming)
        if offered.timeout_seconds is not None:
            return cls(None, now + offered.timeout_seconds)
        raise HordeError(HordeReason.GENERIC_ERROR, "the offer has no time limits")

    def download(self) -> asyncio.Timeout:
        """Begin the download stage; returns the timeout at which its inputs must be complete."""
        return self._extended(self._timing.download_time_limit if self._timing else 0)

    def execution(self) -> asyncio.Timeout:
        """Begin execution; returns the timeout at which the container must have ended.

        A streaming job also gets its start limit.
        """
        limit = self._timing.execution_time_limit + self._start if self._timing else 0
        return self._extended(limit)

    def upload(self) -> asyncio.Timeout:
        """Begin the upload stage; returns the timeout at which the output must be uploaded."""
        return self._extended(self._timing.upload_time_limit if self._timing else 0)

    def run_seconds(self) -> float:
        """Seconds the container may run from now, never more than its own limit."""
        left = self.left()
        return min(left, self._timing.execution_time_limit + self._start) if self._timing else left

    def start_seconds(self) -> float:
        """Seconds a streaming job may take from now until it answers its health check."""
        return self.left() - (self._timing.execution_time_limit if self._timing else 0)

    def left(self) -> float:
        """Seconds until the deadline of the present stage."""
        return self._deadline - asyncio.get_running_loop().time()

    def _extended(self, seconds: int) -> asyncio.Timeout:
        self._deadline += seconds
        return asyncio.timeout_at(self._deadline)


def input_seconds(offered: JobOffered) -> float:
    """Seconds that a job's inputs and image may take to download."""
    timing = offered.executor_timing
    if timing is None:
        return offered.timeout_seconds or 0
    return timing.allowed_leeway + timing.download_time_limit
