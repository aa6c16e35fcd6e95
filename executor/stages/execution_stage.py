"""The stages in which the job's container is created and started, and in which it runs."""

import asyncio
import logging
import os
from collections.abc import Iterator

from compute_horde.errors import Cancelled, ContainerError, HordeError
from compute_horde.protocol.job import ExecutionDone, StreamingReady
from compute_horde.vocabulary import HordeReason, Stage
from executor.job_context import JobContext
from executor.sandbox import container_spec, image_content, resource_limits
from executor.sandbox.engine import ContainerSpec
from executor.stages.container_run import ContainerRun, Watcher
from executor.stages.stage_list import JobStage

log = logging.getLogger(__name__)


class ContainerStage(JobStage):
    """Creates and starts the job's container, and frees its output at the end."""

    name = Stage.EXECUTION

    def __init__(self) -> None:
        self._run: ContainerRun | None = None

    def deadline(self, context: JobContext) -> asyncio.Timeout:
        """The job's time limit for its execution, which the container engine uses, too."""
        return context.deadlines.execution()

    async def run(self, context: JobContext) -> None:
        """Create the container and start it with its output attached."""
        payload, config = context.payload, context.job_config
        if payload.raw_script is not None:
            (context.work.path / "script.py").write_text(payload.raw_script)
        creating = asyncio.create_task(context.engine.create(await _container_spec(context)))
        context.creating.append(creating)
        self._run = context.run = ContainerRun(
            await asyncio.shield(creating),
            context.work,
            config,
            limits=resource_limits.for_class(payload.executor_class, config),
            watch_root=container_spec.has_writable_root(context.image, config),
            printed=context.live_output.printed,
        )
        await context.run.start()

    def timeout_error(self) -> HordeError:
        """Not the job's fault: nothing of it ran yet."""
        text = "the container engine did not start the job in time"
        return HordeError(HordeReason.EXECUTION_TIMED_OUT, text)

    async def stop(self, error: Cancelled) -> Cancelled:
        """Kill the container, if there is one; returns the error with its output."""
        if self._run is None:
            return error
        try:
            return await self._run.cancelled()
        except (ContainerError, HordeError) as exc:
            log.warning("cancelled container not ended yet", extra={"problem": str(exc)})
            return error

    def clean_up(self) -> None:
        """Free the disk space of the collected output."""
        if self._run is not None:
            self._run.close()


async def _container_spec(context: JobContext) -> ContainerSpec:
    payload, image, config = context.payload, context.image, context.job_config
    files = await image_content.prepare(
        image,
        context.engine,
        context.work,
        config,
        limits=resource_limits.for_class(payload.executor_class, config),
        executor_id=context.executor_id,
        hold=context.creating.append,
    )
    return container_spec.job_container_spec(
        payload,
        image,
        context.work,
        config,
        executor_id=context.executor_id,
        uid=os.getuid(),
        network=await context.service.network() if context.service else "none",
        files=files,
    )


class ExecutionStage(JobStage):
    """Waits for the container's end; kills it when it exceeds its time or another limit.

    It has the name of the streaming startup until the service of a streaming job answers.
    """

    name = Stage.EXECUTION

    async def run(self, context: JobContext) -> ExecutionDone:
        """Wait for the exit code 0 and send the rest of the output.

        Without a deadline around it, since the output of a killed container is read, too.
        """
        seconds = context.deadlines.run_seconds()
        try:
            await context.run.finish(seconds, *self._watchers(context))
        finally:
            await context.live_output.flush()
        return ExecutionDone(job_uuid=context.payload.job_uuid)

    def _watchers(self, context: JobContext) -> Iterator[Watcher]:
        async def serves(certificate: str, port: int) -> None:
            job_uuid = context.payload.job_uuid
            await context.send(StreamingReady(job_uuid=job_uuid, public_key=certificate, port=port))
            self.name = Stage.EXECUTION

        if context.service:
            self.name = Stage.STREAMING_STARTUP
            yield context.service.watch(context.deadlines.start_seconds(), serves)
