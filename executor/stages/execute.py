"""Third stage: the job's container runs."""

import asyncio
from contextlib import suppress

from compute_horde.errors import HordeError, JobError
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
    ) -> None:
        self._container = container
        self._config = config
        self._limits = limits
        self._watch = Watch(
            container, work, limits, root=watch_root, reserve=config.disk_reserve_bytes
        )
        self.stdout = Transcript(work.scratch, config.log_max_bytes)
        self.stderr = Transcript(work.scratch, config.log_max_bytes)

    async def start(self) -> None:
        """Start it with its output attached, so that nothing is missed."""
        await self._container.attach()
        await self._container.start()

    async def finish(self, seconds: float) -> None:
        """Wait until it exits with 0; `JobError` for everything else."""
        reading = asyncio.create_task(self._read())
        exiting = asyncio.create_task(self._container.exit_code())
        watching = asyncio.create_task(self._watch.overdrawn())
        try:
            await asyncio.wait(
                {exiting, watching}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            in_time, overdrawn = exiting.done(), watching.done()
            code = await self._ended(reading, exiting)
            if overdrawn and not in_time:
                raise self._failed(FailureReason.UNKNOWN, watching.result())
        finally:
            for task in (reading, exiting, watching):
                task.cancel()
        if not in_time:
            raise self._failed(FailureReason.TIMEOUT, self._too_late(seconds))
        if code:
            raise await self._nonzero(code)

    async def _ended(self, reading: asyncio.Task[None], exiting: asyncio.Task[int]) -> int:
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
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await reading
        return code

    async def _read(self) -> None:
        async for is_stderr, data in self._container.output():
            transcript = self.stderr if is_stderr else self.stdout
            transcript.feed(data)
            if transcript.total > self._config.log_max_bytes:
                # The engine's pipe fills up, and with it a job that only prints is slowed down.
                await asyncio.sleep(BRAKE_SECONDS)

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
        self.stdout.close()
        self.stderr.close()
