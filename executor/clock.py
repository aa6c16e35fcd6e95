"""How long the stages of a job may last; time not used carries over (protocol §6.4)."""

import asyncio

from compute_horde.errors import HordeError
from compute_horde.protocol.job import JobOffered, Timing
from compute_horde.vocabulary import HordeReason


class Clock:
    """The deadline of the present stage, moved on by each next one."""

    def __init__(self, timing: Timing | None, deadline: float, *, streaming: bool = False) -> None:
        self._timing = timing
        self._deadline = deadline
        self._start = timing.streaming_start_time_limit if timing and streaming else 0

    @classmethod
    def started(cls, offered: JobOffered) -> "Clock":
        """From the moment the executor is ready."""
        now = asyncio.get_running_loop().time()
        if offered.executor_timing is not None:
            deadline = now + offered.executor_timing.allowed_leeway
            streaming = offered.streaming_details is not None
            return cls(offered.executor_timing, deadline, streaming=streaming)
        if offered.timeout_seconds is not None:
            return cls(None, now + offered.timeout_seconds)
        raise HordeError(HordeReason.GENERIC_ERROR, "the offer has no time limits")

    def download(self) -> asyncio.Timeout:
        """Until the inputs must be in place."""
        return self._extended(self._timing.download_time_limit if self._timing else 0)

    def execution(self) -> asyncio.Timeout:
        """Until the container must have ended; a streaming job may take a while to serve."""
        limit = self._timing.execution_time_limit + self._start if self._timing else 0
        return self._extended(limit)

    def upload(self) -> asyncio.Timeout:
        """Until the outputs must be away."""
        return self._extended(self._timing.upload_time_limit if self._timing else 0)

    def run_seconds(self) -> float:
        """How long the container may run from now: never over its own limit."""
        left = self._left()
        return min(left, self._timing.execution_time_limit + self._start) if self._timing else left

    def start_seconds(self) -> float:
        """How long a streaming job may take from now until it serves."""
        return self._left() - (self._timing.execution_time_limit if self._timing else 0)

    def _left(self) -> float:
        return self._deadline - asyncio.get_running_loop().time()

    def _extended(self, seconds: int) -> asyncio.Timeout:
        self._deadline += seconds
        return asyncio.timeout_at(self._deadline)
