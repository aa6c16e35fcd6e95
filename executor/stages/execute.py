"""Third stage: the job's container runs."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from compute_horde.errors import Cancelled, HordeError, JobError
from compute_horde.vocabulary import FailureReason, HordeReason
from executor.config import Config
from executor.containers import Container
from executor.limits import Ending, Limits, explained
from executor.transcript import Transcript
from executor.watch import Watch
from executor.workdir import WorkDir

# A killed container must end, and what it printed come out of the engine, within this time.
DRAIN_SECONDS = 5
# Between two pieces of output that will not be kept.
BRAKE_SECONDS = 0.002


# Watches a running job; returns, and says why, only when it must end.
Watcher = Coroutine[Any, Any, tuple[FailureReason, str]]


def unheard(is_stderr: bool, data: bytes) -> None:  # noqa: FBT001 (the engine's pair)
    """Nobody listens while it is printed."""


class Run:
    """One container from its start to its exit code, and what it printed."""

    def __init__(
        self,
        container: Container,
        work: WorkDir,
        config: Config,
        *,
        limits: Limits,
        watch_root: bool,
        printed: Callable[[bool, bytes], None] = unheard,
    ) -> None:
        self._container = container
        self._config = config
        self._printed = printed
        self._limits = limits
        self._watch = Watch(
            container, work, limits, root=watch_root, reserve=config.disk_reserve_bytes
        )
        self.stdout = Transcript(work.scratch, config.log_max_bytes)
        self.stderr = Transcript(work.scratch, config.log_max_bytes)
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it with its output attached, so that nothing is missed."""
        await self._container.attach()
        self._reading = asyncio.create_task(self._read())
        await self._container.start()

    async def finish(self, seconds: float, *watchers: Watcher) -> None:
        """Wait until it exits with 0; `JobError` for everything else."""
        self._reading = self._reading or asyncio.create_task(self._read())
        exiting = asyncio.create_task(self._container.exit_code())
        watching = [asyncio.create_task(one) for one in (self._overdrawn(), *watchers)]
        try:
            await asyncio.wait(
                {exiting, *watching}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            in_time, verdict = exiting.done(), next((one for one in watching if one.done()), None)
            code = await self._ended(exiting)
            if verdict and not in_time:
                raise self._failed(*verdict.result())
        finally:
            for task in (exiting, *watching):
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
        if not in_time:
            raise self._failed(FailureReason.TIMEOUT, self._too_late(seconds))
        if code:
            raise await self._nonzero(code)

    async def cancelled(self) -> Cancelled:
        """Kill it at once; the error that says so, with all that it printed."""
        exiting = asyncio.create_task(self._container.exit_code())
        try:
            await self._ended(exiting)
        finally:
            exiting.cancel()
        return Cancelled(stdout=self.stdout.shown(), stderr=self.stderr.shown())

    async def _ended(self, exiting: asyncio.Task[int]) -> int:
        """The exit code of what has ended or is ended now, with all that it printed read."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                if not exiting.done():
                    await self._container.kill()
                code = await exiting
        except TimeoutError as exc:
            text = "the container engine did not end the job's container"
            raise HordeError(HordeReason.GENERIC_ERROR, text) from exc
        # A process that left the container's group may hold its output open; the job is over.
        if reading := self._reading:
            await asyncio.wait({reading}, timeout=DRAIN_SECONDS)
            if reading.done():
                reading.result()
        return code

    async def _read(self) -> None:
        async for is_stderr, data in self._container.output():
            transcript = self.stderr if is_stderr else self.stdout
            transcript.feed(data)
            self._printed(is_stderr, data)
            if transcript.total > self._config.log_max_bytes:
                # The engine's pipe fills up, and with it a job that only prints is slowed down.
                await asyncio.sleep(BRAKE_SECONDS)

    async def _overdrawn(self) -> tuple[FailureReason, str]:
        return FailureReason.UNKNOWN, await self._watch.overdrawn()

    def _too_late(self, seconds: float) -> str:
        text = f"Job container timed out during execution, after {seconds:.1f} seconds"
        if self._watch.most_pids >= self._limits.pids:
            text += f" (it had reached its limit of {self._limits.pids} processes and threads)"
        return text

    async def _nonzero(self, code: int) -> JobError:
        text = f"Job container exited with non-zero exit code: {code}"
        # The engine does not notice every kill for want of memory.
        out_of_memory = await self._container.was_out_of_memory()
        disk = await self._watch.shown_bytes()
        end = Ending(code, self.stderr.shown(), self._watch.most_pids, disk, out_of_memory)
        if reason := explained(end, self._limits):
            text += f" ({reason})"
        return self._failed(FailureReason.NONZERO_RETURN_CODE, text, code)

    def _failed(self, reason: FailureReason, text: str, code: int | None = None) -> JobError:
        return JobError(
            reason,
            text,
            exit_status=code,
            stdout=self.stdout.shown(),
            stderr=self.stderr.shown(),
        )

    def close(self) -> None:
        """Give back the disk space of what was printed."""
        if self._reading is not None:
            self._reading.cancel()
        self.stdout.close()
        self.stderr.close()
