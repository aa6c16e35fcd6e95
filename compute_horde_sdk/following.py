"""What a job prints, handed over while somebody waits for the job."""

import asyncio
import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from compute_horde_sdk.errors import ComputeHordeError
from compute_horde_sdk.jobs import ComputeHordeJob, StatusCallback
from compute_horde_sdk.statuses import ComputeHordeJobStatus, ComputeHordeJobStatusEntry

if TYPE_CHECKING:
    from compute_horde_sdk.logs import LogPiece

OutputCallback = Callable[["LogPiece"], None]

RUNS = frozenset({ComputeHordeJobStatus.VOLUMES_READY, ComputeHordeJobStatus.STREAMING_READY})
# After the job's end its log is read on for as long as there comes more.
QUIET_SECONDS = 5.0


class Following:
    """Follows a job's log from when it runs; without a callback nothing is done."""

    def __init__(self, callback: OutputCallback | None) -> None:
        self._callback = callback
        self._reading: asyncio.Task[None] | None = None
        self._pieces = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, problem: type[BaseException] | None, *_: object) -> None:
        reading = self._reading
        if reading is None:
            return
        try:
            before = -1
            while problem is None and not reading.done() and self._pieces > before:
                before = self._pieces
                await asyncio.wait({reading}, timeout=QUIET_SECONDS)
        finally:
            reading.cancel()
            await asyncio.wait({reading})
        if problem is None and not reading.cancelled():
            reading.result()

    def with_news(self, callback: StatusCallback | None) -> StatusCallback | None:
        """The callback for the job's statuses, which also tells us."""
        if self._callback is None:
            return callback

        async def heard(job: ComputeHordeJob, entry: ComputeHordeJobStatusEntry) -> None:
            if entry.status in RUNS and self._reading is None and self._callback is not None:
                self._reading = asyncio.create_task(self._read(job, self._callback))
            told = callback(job, entry) if callback is not None else None
            if inspect.isawaitable(told):
                await told

        return heard

    async def _read(self, job: ComputeHordeJob, callback: OutputCallback) -> None:
        """Until the end of the log; where there is none the result has it all."""
        with suppress(ComputeHordeError):
            async for piece in job.logs():
                self._pieces += 1
                callback(piece)
