"""The stage from the full job until its volumes and its image are there."""

import asyncio
from contextlib import ExitStack

from compute_horde.errors import HordeError
from compute_horde.faults import Cause
from compute_horde.protocol.job import JobPayload, VolumesReady
from compute_horde.vocabulary import HordeReason, Stage
from compute_horde.volumes import Volume
from executor.job_context import JobContext
from executor.sandbox.engine import Image
from executor.stages import input_volumes
from executor.stages.stage_list import JobStage
from executor.stages.startup_stage import obtain_image


class DownloadStage(JobStage):
    """Downloads volumes and image; volumes of the offer begin before the full job arrives."""

    name = Stage.VOLUME_DOWNLOAD

    def __init__(self) -> None:
        self._has_payload = False
        self._image_holds = ExitStack()

    def deadline(self, context: JobContext) -> asyncio.Timeout:
        """The job's time limit for its inputs."""
        return context.deadlines.download()

    async def run(self, context: JobContext) -> VolumesReady:
        """Wait for the full job and for all that it needs."""
        offered = context.offered
        volumes = context.start(_fetch(offered.volume, context))
        context.payload = await context.inbox.payload
        self._has_payload = True
        if context.payload.volume is not None and offered.volume is not None:
            text = "volumes came with the offer and with the job"
            raise HordeError(HordeReason.GENERIC_ERROR, text)
        await volumes
        await _fetch(context.payload.volume, context)
        context.image = await self._pulling(context.payload, context)
        return VolumesReady(job_uuid=offered.job_uuid)

    def _pulling(self, payload: JobPayload, context: JobContext) -> asyncio.Task[Image]:
        """The task that fetches the image: that of the offer, unless the job names another one."""
        if context.pulling is None or payload.docker_image != context.offered.docker_image:
            return context.start(obtain_image(payload.docker_image, context, self._image_holds))
        return context.pulling

    def timeout_error(self) -> HordeError | None:
        """Not the job's fault when the full job did not even arrive."""
        if self._has_payload:
            return None
        text = "the full job did not come in time"
        return HordeError(HordeReason.UNHANDLED_TIMEOUT, text, context=Cause.NO_PAYLOAD.context)

    def clean_up(self) -> None:
        """Let an image that only the full job named be removed again."""
        self._image_holds.close()


async def _fetch(volume: Volume | None, context: JobContext) -> None:
    await input_volumes.fetch(
        volume,
        context.work,
        context.job_config,
        context.live_output.report_progress,
        seconds_left=context.deadlines.left,
    )
