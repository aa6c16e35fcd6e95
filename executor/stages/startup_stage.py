"""The stage from the offer until the executor is ready for the full job."""

import asyncio
from contextlib import ExitStack

from compute_horde.hardware import PROMISES
from compute_horde.protocol.job import ExecutorReady
from compute_horde.vocabulary import Stage
from executor import machine_specs
from executor.deadlines import StageDeadlines, input_seconds
from executor.images import job_image
from executor.job_context import JobContext
from executor.probe.sandbox import check_sandbox
from executor.sandbox.engine import Image
from executor.stages import check
from executor.stages.stage_list import JobStage
from executor.streaming.job_service import StreamingService

# The executor reports ready this long before its time limit, with the image or without.
READY_MARGIN_SECONDS = 1.0


class StartupStage(JobStage):
    """Checks the machine and begins to fetch the image, which may go on in the download stage."""

    name = Stage.EXECUTOR_STARTUP

    def __init__(self) -> None:
        self._machine_check: asyncio.Task[None]
        self._deadline = 0.0
        self._image_holds = ExitStack()

    def prestart(self, context: JobContext) -> None:
        """Begin the checks that need no job."""
        self._machine_check = context.start(_check_machine(context))

    def deadline(self, context: JobContext) -> asyncio.Timeout:
        """The promised time of the offered executor class, and `startup_seconds`."""
        spin_up = PROMISES[context.offered.executor_class].spin_up.total_seconds()
        now = asyncio.get_running_loop().time()
        self._deadline = now + spin_up + context.job_config.startup_seconds
        return asyncio.timeout_at(self._deadline)

    async def run(self, context: JobContext) -> ExecutorReady:
        """Wait for the checks and, for as long as there is time, for the image."""
        offered, config = context.offered, context.job_config
        context.service = _streaming_service(context)
        is_gpu = PROMISES[offered.executor_class].gpu
        if is_gpu:
            context.specs = context.start(machine_specs.collect(config.work_dir))
        await self._machine_check
        if is_gpu:
            await check.check_advisories(context.engine, config, offered.executor_class)
            await check.check_gpu_toolkit(offered.executor_class, config)
        if offered.docker_image is not None:
            image = obtain_image(offered.docker_image, context, self._image_holds)
            context.pulling = context.start(image)
            await self._wait_for_image(context.pulling)
        context.deadlines = StageDeadlines.from_offer(offered)
        return ExecutorReady(job_uuid=offered.job_uuid)

    async def _wait_for_image(self, pulling: asyncio.Task[Image]) -> None:
        left = self._deadline - asyncio.get_running_loop().time()
        await asyncio.wait({pulling}, timeout=left - READY_MARGIN_SECONDS)
        if pulling.done():
            pulling.result()

    def clean_up(self) -> None:
        """Let the image of the offer be removed again."""
        self._image_holds.close()


async def _check_machine(context: JobContext) -> None:
    # Of the settings as they are before an offer.
    engine, config = context.engine, context.config
    await check.check_machine(engine, config)
    await check_sandbox(
        *(engine, context.work, config),
        executor_id=context.executor_id,
        hold=context.creating.append,
    )


def _streaming_service(context: JobContext) -> StreamingService | None:
    """Start the service of a streaming job; None for any other job."""
    details = context.offered.streaming_details
    if details is None:
        return None
    return StreamingService(
        details, context.executor_id, context.engine, context.work, context.config
    )


async def obtain_image(name: str, context: JobContext, holds: ExitStack) -> Image:
    """Find or fetch an image for the job and report progress; it is held until `holds` closes."""
    return await job_image.obtain(
        name,
        context.engine,
        context.job_config,
        holds,
        report=context.live_output.report_progress,
        seconds=input_seconds(context.offered),
    )
