"""The start signal of a batch's streaming jobs: all get their input together, as far as possible.

Executors that share a GPU cannot answer one after the other then. A slow one delays the others only
by the limit that each of them waits for.
"""

import asyncio
import logging
from contextlib import suppress

from compute_horde.protocol.job import StreamingReady
from validator.synthetic.attempts import Attempt
from validator.synthetic.kinds.kind import StreamingKind

log = logging.getLogger(__name__)


class StartSignal:
    """Counts the streaming attempts that are neither ready nor ended yet."""

    def __init__(self, expected: int) -> None:
        self._missing = expected
        self._arrived: set[str] = set()
        self._given = asyncio.Event()
        self._check()

    def arrive(self, job_uuid: str) -> None:
        """A job is ready, or will never be; a repeat counts once."""
        if job_uuid not in self._arrived:
            self._arrived.add(job_uuid)
            self._missing -= 1
            self._check()

    async def wait(self, seconds: float) -> None:
        """Wait until all have arrived, at most so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._given.wait()

    async def drive(self, attempt: Attempt, server: StreamingReady) -> None:
        """Have the kind use a streaming job when the signal is given."""
        kind = attempt.kind
        if not isinstance(kind, StreamingKind):
            return
        await self.wait(kind.start_seconds)
        try:
            await kind.drive(attempt.prepared, server, attempt.time_factor)
        except Exception:
            log.exception("a streaming job was not used", extra={"job": attempt.request.uuid})

    def _check(self) -> None:
        if self._missing <= 0:
            self._given.set()
