"""The stages in which the job's output is uploaded and its result is put together."""

import asyncio

from compute_horde.protocol.capacity import MachineSpecs
from compute_horde.protocol.job import JobFinished
from compute_horde.vocabulary import Stage
from executor.job_context import JobContext
from executor.output import artifacts
from executor.output.captured_output import raw_output, truncated
from executor.stages import output_uploads
from executor.stages.stage_list import JobStage


class UploadStage(JobStage):
    """Uploads what the job left in /output, with its two streams as files."""

    name = Stage.RESULT_UPLOAD

    def deadline(self, context: JobContext) -> asyncio.Timeout:
        """The job's time limit for its uploads."""
        return context.deadlines.upload()

    async def run(self, context: JobContext) -> None:
        """Upload the output as the job asks for."""
        wanted, run, work = context.payload.output_upload, context.run, context.work
        leave_out = context.left_out = output_uploads.LeftOutOfOutput()
        if wanted is not None:
            output_uploads.save_streams(run.stdout, run.stderr, work, leave_out)
        context.upload_results = await output_uploads.send(
            wanted,
            work,
            context.job_config,
            seconds_left=context.deadlines.left,
            leave_out=leave_out,
        )


class ResultStage(JobStage):
    """Collects the artifacts and composes the result, which the session sends."""

    name = Stage.RESULT_UPLOAD

    async def run(self, context: JobContext) -> MachineSpecs | None:
        """Compose the result; returns the hardware of a GPU machine, which precedes it."""
        payload, run = context.payload, context.run
        folder, left_out = context.work.artifacts, context.left_out.all
        found = artifacts.collect(folder, payload.artifacts_dir, left_out)
        specs = await context.specs if context.specs else None
        context.finished = JobFinished(
            job_uuid=payload.job_uuid,
            docker_process_stdout=run.stdout.truncated_text(),
            docker_process_stderr=run.stderr.truncated_text() + found.note(),
            artifacts=found.files,
            upload_results=context.upload_results,
            left_out=found.left_out,
            truncated=truncated(run.stdout, run.stderr),
            raw_output=raw_output(run.stdout, run.stderr),
        )
        if specs is None:
            return None
        return MachineSpecs(job_uuid=payload.job_uuid, specs={"specs": specs})
