"""One job from offer to answer: the conversation with the miner around the list of stages."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from compute_horde import failure_messages
from compute_horde.adapters.websocket import ConnectionLostError, MessageSocket
from compute_horde.concurrency.cancellation import unless_cancelled
from compute_horde.errors import Cancelled, ComputeHordeError, ContainerError, HordeError
from compute_horde.failure_messages import Ending
from compute_horde.protocol.job import HordeFailed, JobFinished, JobOffered
from compute_horde.protocol.links import ToExecutor
from compute_horde.vocabulary import HordeReason, Party
from executor.inbox import MinerInbox
from executor.job_context import JobContext
from executor.output.captured_output import raw_output, truncated
from executor.output.live_output import LiveOutputSender
from executor.sandbox.workdir import FULL
from executor.stages.download_stage import DownloadStage
from executor.stages.execution_stage import ContainerStage, ExecutionStage
from executor.stages.stage_list import JobStage, StageList
from executor.stages.startup_stage import StartupStage
from executor.stages.upload_stage import ResultStage, UploadStage

log = logging.getLogger(__name__)

LAST_MESSAGE_SECONDS = 1.0

Answer = JobFinished | Ending


def job_stages() -> list[JobStage]:
    """The stages of one job, in order."""
    return [
        StartupStage(),
        DownloadStage(),
        ContainerStage(),
        ExecutionStage(),
        UploadStage(),
        ResultStage(),
    ]


class Session:
    """The executor's side of the conversation about one job."""

    def __init__(
        self,
        socket: MessageSocket[ToExecutor],
        inbox: MinerInbox,
        context: JobContext,
        stages: Sequence[JobStage],
    ) -> None:
        self._socket = socket
        self._inbox = inbox
        self._context = context
        self._stages = StageList(stages)
        context.inbox, context.send = inbox, socket.send
        self._stages.prestart(context)

    async def run(self) -> None:
        """Wait for the job offer, run the job, send its result; raises `ConnectionLostError`."""
        try:
            offered = await self._inbox.offered
            log.info("job offered", extra={"job": offered.job_uuid})
            answer = await self._answer(offered)
            await self._socket.send(answer)
            log.info("job answered", extra={"job": offered.job_uuid, "as": answer.message_type})
        finally:
            await self._context.end_tasks()
            self._stages.clean_up()

    async def _answer(self, offered: JobOffered) -> Answer:
        try:
            return await unless_cancelled(self._inbox.cancelled, self._run_stages(offered))
        except ConnectionLostError:
            raise
        except Cancelled as error:
            return self._failure_message(await self._stages.stop(error), offered)
        except asyncio.CancelledError:
            await self._send_stopped(offered)
            raise
        except Exception as error:  # noqa: BLE001 - every failure of a job is reported
            return self._failure_message(_as_horde_error(error), offered)

    async def _run_stages(self, offered: JobOffered) -> JobFinished:
        context, stages = self._context, self._stages
        sized = {"executor_class": context.config.executor_class or offered.executor_class}
        context.offered = offered
        context.job_config = context.config.model_copy(update=sized)
        context.live_output = LiveOutputSender(
            context.send, offered.job_uuid, lambda: stages.current_name
        )
        context.background.append(context.live_output.start())
        await stages.run(context)
        return context.finished

    def _failure_message(self, error: Exception, offered: JobOffered) -> Ending:
        during = self._stages.current_name
        foreseen = isinstance(error, ComputeHordeError | TimeoutError)
        log.log(
            logging.INFO if foreseen else logging.ERROR,
            "job failed",
            exc_info=None if foreseen else error,
            extra={"job": offered.job_uuid, "stage": str(during), "error": str(error)},
        )
        ending = failure_messages.failure(
            error, job_uuid=offered.job_uuid, seen_by=Party.EXECUTOR, during=during
        )
        if isinstance(ending, HordeFailed) or ending.docker_process_stdout is None:
            return ending
        # Output that is not of the job's container is complete as it is.
        if not hasattr(self._context, "run"):
            return ending
        both = self._context.run.stdout, self._context.run.stderr
        printed = {"truncated": truncated(*both), "raw_output": raw_output(*both)}
        return ending.model_copy(update=printed)

    async def _send_stopped(self, offered: JobOffered) -> None:
        stopped = HordeError(HordeReason.GENERIC_ERROR, "the executor was told to stop")
        last = self._failure_message(stopped, offered)
        with suppress(ConnectionLostError, TimeoutError):
            async with asyncio.timeout(LAST_MESSAGE_SECONDS):
                await self._socket.send(last)


def _as_horde_error(error: Exception) -> Exception:
    """Turn a full disk or a failure of the engine, not the job's fault, into a `HordeError`.

    The job's own limits raise `JobError`.
    """
    if isinstance(error, OSError) and error.errno in FULL:
        return HordeError(HordeReason.GENERIC_ERROR, "the executor's disk is full")
    if isinstance(error, ContainerError):
        return HordeError(HordeReason.GENERIC_ERROR, str(error))
    return error
