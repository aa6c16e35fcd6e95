"""What a job prints, handed over while somebody waits for the job."""

import asyncio
import inspect
from collections import Counter
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
QUIET_SECONDS = 2.0


class Following:
    """Follows a job's log from when it runs; without a callback nothing is done."""

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

    def with_news(self, callback: StatusCallback | None) -> StatusCallback | None:
        """The callback for the job's statuses, which also tells us."""
        if self._callback is None:
            return callback

        async def heard(job: ComputeHordeJob, entry: ComputeHordeJobStatusEntry) -> None:
            if entry.status in RUNS and self._reading is None and self._callback is not None:
                self._job = job
                self._reading = asyncio.create_task(self._read(job, self._callback))
            told = callback(job, entry) if callback is not None else None
            if inspect.isawaitable(told):
                await told

        return heard

    async def _read(self, job: ComputeHordeJob, callback: OutputCallback) -> None:
        """Until the end of the log; where there is none the result has it all."""
        with suppress(ComputeHordeError):
            async for piece in job.logs():
                callback(piece)
                if not piece.is_gap:
                    self._characters[piece.stream] += len(piece.text)
                self._more.set()

    def _has_all(self) -> bool:
        """Whether the job's result says nothing that was not handed over."""
        result = self._job.result if self._job else None
        return result is not None and all(
            self._characters[stream] == len(whole)
            for stream, whole in (("stdout", result.stdout), ("stderr", result.stderr))
        )
