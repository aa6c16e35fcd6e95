"""Runs the job's container and collects its output."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from compute_horde.concurrency.task_set import TaskSet
from compute_horde.errors import Cancelled, HordeError, JobError
from compute_horde.vocabulary import FailureReason, HordeReason
from executor.config import Config
from executor.output.captured_output import CapturedOutput
from executor.sandbox.container import Container
from executor.sandbox.disk_monitor import DiskMonitor
from executor.sandbox.resource_limits import KILLED, JobExit, ResourceLimits, explain
from executor.sandbox.workdir import WorkDir

# Time for a killed container to end, and then for its output to be read from the engine.
DRAIN_SECONDS = 5
# How often, and at which interval, the engine is asked whether a killed job was out of memory.
OOM_CHECKS = 30
OOM_CHECK_SECONDS = 0.1
# Pause between two pieces of output that exceed the kept size.
THROTTLE_SECONDS = 0.002


# Watches a running job; returns the reason only when the job must end.
Watcher = Coroutine[Any, Any, tuple[FailureReason, str]]


def ignore_output(is_stderr: bool, data: bytes) -> None:  # noqa: FBT001 (the engine's pair)
    """A callback for output that does nothing."""


class ContainerRun:
    """Runs one container to its exit code and collects its output."""

    def __init__(
        self,
        container: Container,
        work: WorkDir,
        config: Config,
        *,
        limits: ResourceLimits,
        watch_root: bool,
        printed: Callable[[bool, bytes], None] = ignore_output,
    ) -> None:
        self._container = container
        self._config = config
        self._printed = printed
        self._limits = limits
        self._monitor = DiskMonitor(
            container, work, limits, root=watch_root, reserve=config.disk_reserve_bytes
        )
        self.stdout = CapturedOutput(work.scratch, config.log_max_bytes)
        self.stderr = CapturedOutput(work.scratch, config.log_max_bytes)
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the container with its output attached, so that no output is missed."""
        await self._container.attach()
        self._reading = asyncio.create_task(self._read())
        await self._container.start()

    async def finish(self, seconds: float, *watchers: Watcher) -> None:
        """Wait at most `seconds` until the container exits with 0, killing it otherwise.

        Raises `JobError` for a timeout, another exit code, or a limit that a watcher reports.
        """
        self._reading = self._reading or asyncio.create_task(self._read())
        async with TaskSet() as tasks:
            exiting = tasks.spawn(self._container.exit_code())
            watching = [tasks.spawn(one) for one in (self._quota_exceeded(), *watchers)]
            await tasks.wait_for_first(seconds)
            in_time = exiting.done()
            verdict = next((one for one in watching if one.done()), None)
            code = await self._stop(exiting)
            if verdict and not in_time:
                raise self._failed(*verdict.result())
        if not in_time:
            raise self._failed(FailureReason.TIMEOUT, self._timeout_text(seconds))
        if code:
            raise await self._nonzero_error(code)

    async def cancelled(self) -> Cancelled:
        """Kill the container at once; returns the error of a cancelled job, with its output."""
        async with TaskSet() as tasks:
            await self._stop(tasks.spawn(self._container.exit_code()))
        return Cancelled(stdout=self.stdout.truncated_text(), stderr=self.stderr.truncated_text())

    async def _stop(self, exiting: asyncio.Task[int]) -> int:
        """Kill the container if it still runs and read the rest of its output; the exit code.

        Raises `HordeError` when the container engine does not end it.
        """
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                if not exiting.done():
                    await self._container.kill()
                code = await exiting
        except TimeoutError as exc:
            text = "the container engine did not end the job's container"
            raise HordeError(HordeReason.GENERIC_ERROR, text) from exc
        # A process that left the container's process group may hold the output open.
        if reading := self._reading:
            await asyncio.wait({reading}, timeout=DRAIN_SECONDS)
            if reading.done():
                reading.result()
        return code

    async def _read(self) -> None:
        async for is_stderr, data in self._container.output():
            captured = self.stderr if is_stderr else self.stdout
            captured.feed(data)
            self._printed(is_stderr, data)
            if captured.total > self._config.log_max_bytes:
                # The engine's pipe fills up, which slows down a job that only prints.
                await asyncio.sleep(THROTTLE_SECONDS)

    async def _quota_exceeded(self) -> tuple[FailureReason, str]:
        return FailureReason.UNKNOWN, await self._monitor.wait_for_quota_exceeded()

    def _timeout_text(self, seconds: float) -> str:
        text = f"Job container timed out during execution, after {seconds:.1f} seconds"
        if self._monitor.most_pids >= self._limits.pids:
            text += f" (it had reached its limit of {self._limits.pids} processes and threads)"
        return text

    async def _nonzero_error(self, code: int) -> JobError:
        text = f"Job container exited with non-zero exit code: {code}"
        out_of_memory = await self._was_out_of_memory(code)
        disk = await self._monitor.visible_bytes()
        end = JobExit(
            code, self.stderr.truncated_text(), self._monitor.most_pids, disk, out_of_memory
        )
        if reason := explain(end, self._limits):
            text += f" ({reason})"
        return self._failed(FailureReason.NONZERO_RETURN_CODE, text, code)

    async def _was_out_of_memory(self, code: int) -> bool:
        """Whether the kernel killed it; the engine may learn that a moment after the end."""
        for _ in range(OOM_CHECKS if code == KILLED else 0):
            if await self._container.was_oom_killed():
                return True
            await asyncio.sleep(OOM_CHECK_SECONDS)
        return await self._container.was_oom_killed()

    def _failed(self, reason: FailureReason, text: str, code: int | None = None) -> JobError:
        return JobError(
            reason,
            text,
            exit_status=code,
            stdout=self.stdout.truncated_text(),
            stderr=self.stderr.truncated_text(),
        )

    def close(self) -> None:
        """Free the disk space of the collected output."""
        if self._reading is not None:
            self._reading.cancel()
        self.stdout.close()
        self.stderr.close()
