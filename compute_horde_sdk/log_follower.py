"""Passes a job's output to a callback while the job is being waited for."""

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from compute_horde_sdk.errors import ComputeHordeError
from compute_horde_sdk.job_status import ComputeHordeJobStatus, ComputeHordeJobStatusEntry
from compute_horde_sdk.jobs import ComputeHordeJob, StatusCallback

if TYPE_CHECKING:
    from compute_horde_sdk.facilitator.job_logs import LogPiece

OutputCallback = Callable[["LogPiece"], None]

RUNNING_STATUSES = frozenset(
    {ComputeHordeJobStatus.VOLUMES_READY, ComputeHordeJobStatus.STREAMING_READY}
)
# After the job has ended, reading stops once no piece arrived for this long.
QUIET_SECONDS = 2.0


class LogFollower:
    """Reads a job's log from the moment it runs; does nothing without a callback."""

    def __init__(self, callback: OutputCallback | None) -> None:
        self._callback = callback
        self._reading: asyncio.Task[None] | None = None
        self._job: ComputeHordeJob | None = None
        self._characters = Counter[str]()
        self._more = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, problem: type[BaseException] | None, *_: object) -> None:
        reading = self._reading
        if reading is None:
            return
        reading.add_done_callback(lambda _: self._more.set())
        try:
            with suppress(TimeoutError):
                while problem is None and not reading.done() and not self._has_all():
                    self._more.clear()
                    async with asyncio.timeout(QUIET_SECONDS):
                        await self._more.wait()
        finally:
            reading.cancel()
            await asyncio.wait({reading})
        if problem is None and not reading.cancelled():
            reading.result()

    def wrap_status_callback(self, callback: StatusCallback | None) -> StatusCallback | None:
        """A status callback that also starts reading the log, then calls `callback`."""
        if self._callback is None:
            return callback

        async def on_status(job: ComputeHordeJob, entry: ComputeHordeJobStatusEntry) -> None:
            if (
                entry.status in RUNNING_STATUSES
                and self._reading is None
                and self._callback is not None
            ):
                self._job = job
                self._reading = asyncio.create_task(self._read(job, self._callback))
            pending = callback(job, entry) if callback is not None else None
            if inspect.isawaitable(pending):
                await pending

        return on_status

    async def _read(self, job: ComputeHordeJob, callback: OutputCallback) -> None:
        """Read to the end of the log; errors are ignored, since the result has the output too."""
        with suppress(ComputeHordeError):
            async for piece in job.logs():
                callback(piece)
                if not piece.is_gap:
                    self._characters[piece.stream] += len(piece.text)
                self._more.set()

    def _has_all(self) -> bool:
        """Whether the callback has received all output that the job's result has."""
        result = self._job.result if self._job else None
        return result is not None and all(
            self._characters[stream] == len(whole)
            for stream, whole in (("stdout", result.stdout), ("stderr", result.stderr))
        )
