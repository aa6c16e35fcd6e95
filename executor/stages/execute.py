"""Third stage: the job's container runs."""

import asyncio

from compute_horde.errors import Cancelled, HordeError, JobError
from compute_horde.vocabulary import FailureReason, HordeReason
from executor.config import Config
from executor.containers import Container
from executor.transcript import Transcript
from executor.workdir import WorkDir, used_bytes

WATCH_SECONDS = 1.0
MAX_ENTRIES = 500_000
# A killed container must end, and what it printed come out of the engine, within this time.
DRAIN_SECONDS = 5
KILLED = 137
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
        memory: int,
        watch_root: bool,
    ) -> None:
        self._container = container
        self._work = work
        self._config = config
        self._memory = memory
        self._watch_root = watch_root
        self.stdout = Transcript(work.scratch, config.log_max_bytes)
        self.stderr = Transcript(work.scratch, config.log_max_bytes)
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it with its output attached, so that nothing is missed."""
        await self._container.attach()
        self._reading = asyncio.create_task(self._read())
        await self._container.start()

    async def finish(self, seconds: float) -> None:
        """Wait until it exits with 0; `JobError` for everything else."""
        self._reading = self._reading or asyncio.create_task(self._read())
        exiting = asyncio.create_task(self._container.exit_code())
        watching = asyncio.create_task(self._overdrawn())
        try:
            await asyncio.wait(
                {exiting, watching}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            in_time, overdrawn = exiting.done(), watching.done()
            code = await self._ended(exiting)
            if overdrawn and not in_time:
                raise self._failed(FailureReason.UNKNOWN, watching.result())
        finally:
            for task in (exiting, watching):
                task.cancel()
        if not in_time:
            raise self._failed(FailureReason.TIMEOUT, "Job container timed out during execution")
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
            if transcript.total > self._config.log_max_bytes:
                # The engine's pipe fills up, and with it a job that only prints is slowed down.
                await asyncio.sleep(BRAKE_SECONDS)

    async def _overdrawn(self) -> str:
        """Returns, and says why, only when the job has filled more disk than it may."""
        limit = self._config.disk_max_bytes
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            used = await asyncio.to_thread(used_bytes, self._work.shared(), max_entries=MAX_ENTRIES)
            if used is None:
                return f"Job container made more than {MAX_ENTRIES} files, or too deep folders"
            if self._watch_root:
                used += await self._container.written_bytes()
            if used > limit:
                return f"Job container used more than {limit} bytes of disk"

    async def _nonzero(self, code: int) -> JobError:
        text = f"Job container exited with non-zero exit code: {code}"
        # The engine does not notice every kill for want of memory.
        if code == KILLED or await self._container.was_out_of_memory():
            text += f" (killed; its memory limit was {self._memory} bytes)"
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
