"""One job from offer to answer: five stages, one fact said after each."""

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from compute_horde import blame
from compute_horde.adapters.websocket import Line, LineLost
from compute_horde.blame import Ending
from compute_horde.cancelling import unless_cancelled
from compute_horde.errors import Cancelled, ComputeHordeError, ContainerError, HordeError
from compute_horde.faults import Cause
from compute_horde.hardware import PROMISES
from compute_horde.protocol.capacity import MachineSpecs
from compute_horde.protocol.job import (
    ExecutionDone,
    ExecutorReady,
    JobFinished,
    JobOffered,
    JobPayload,
    StreamingReady,
    VolumesReady,
)
from compute_horde.protocol.links import ToExecutor
from compute_horde.vocabulary import HordeReason, Party, Stage
from executor import artifacts, confinement, limits, specs
from executor.clock import Clock
from executor.config import Config
from executor.containers import Container, Engine, Image
from executor.hearing import Hearing
from executor.live import Live
from executor.stages import check, download, execute, stream, upload
from executor.workdir import FULL, WorkDir

log = logging.getLogger(__name__)

# Ready is said this much before it would be too late.
READY_MARGIN_SECONDS = 1.0
FAREWELL_SECONDS = 1.0

Answer = JobFinished | Ending


@dataclass(slots=True)
class Place:
    """Where a job runs; `creating` is how its container can be found whatever happens."""

    executor_id: str
    engine: Engine
    work: WorkDir
    config: Config
    creating: asyncio.Task[Container] | None = None
    service: stream.Service | None = None


class Session:
    """The executor's side of the conversation about one job."""

    def __init__(self, line: Line[ToExecutor], hearing: Hearing, place: Place) -> None:
        self._line = line
        self._hearing = hearing
        self._place = place
        self._config = place.config
        self._stage = Stage.EXECUTOR_STARTUP
        # What goes on beside the conversation; ended with it.
        self._beside: list[asyncio.Task[Any]] = []
        self._safe = self._start(check.machine(place.engine, place.config))
        self._specs: asyncio.Task[dict[str, Any]] | None = None
        self._closing = ExitStack()
        self._run: execute.Run | None = None
        self._live: Live | None = None

    def _start(self, coroutine: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(coroutine)
        self._beside.append(task)
        return task

    async def run(self) -> None:
        """Wait for a job, do it, say how it ended."""
        try:
            offered = await self._hearing.offered
            log.info("job offered", extra={"job": offered.job_uuid})
            answer = await self._answer(offered)
            await self._line.say(answer)
            log.info("job answered", extra={"job": offered.job_uuid, "as": answer.message_type})
        finally:
            for task in self._beside:
                task.cancel()
            await asyncio.gather(*self._beside, return_exceptions=True)
            self._closing.close()

    async def _answer(self, offered: JobOffered) -> Answer:
        try:
            return await unless_cancelled(self._hearing.cancelled, self._work(offered))
        except LineLost:
            raise
        except Cancelled as error:
            return self._blamed(await self._ended(error), offered)
        except asyncio.CancelledError:
            await self._say_stopped(offered)
            raise
        except Exception as error:  # noqa: BLE001 - the edge of a job: whatever happens is told
            return self._blamed(_our_fault(error), offered)

    async def _ended(self, error: Cancelled) -> Cancelled:
        """The job's container killed, if it has one; with what it printed."""
        if self._run is None:
            return error
        try:
            return await self._run.cancelled()
        except (ContainerError, HordeError) as exc:
            log.warning("cancelled container not ended yet", extra={"problem": str(exc)})
            return error

    def _blamed(self, error: Exception, offered: JobOffered) -> Ending:
        foreseen = isinstance(error, ComputeHordeError | TimeoutError)
        log.log(
            logging.INFO if foreseen else logging.ERROR,
            "job failed",
            exc_info=None if foreseen else error,
            extra={"job": offered.job_uuid, "stage": str(self._stage), "error": str(error)},
        )
        return blame.failure(
            error, job_uuid=offered.job_uuid, seen_by=Party.EXECUTOR, during=self._stage
        )

    async def _say_stopped(self, offered: JobOffered) -> None:
        stopped = HordeError(HordeReason.GENERIC_ERROR, "the executor was told to stop")
        last = self._blamed(stopped, offered)
        with suppress(LineLost, TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._line.say(last)

    async def _work(self, offered: JobOffered) -> JobFinished:
        # What a job may fill depends on its class.
        sized = {"executor_class": self._config.executor_class or offered.executor_class}
        self._config = self._config.model_copy(update=sized)
        live = self._live = Live(self._line.say, offered.job_uuid, lambda: self._stage)
        self._beside.append(live.start())
        fetching = await self._checked(offered)
        clock = Clock.started(offered)
        await self._line.say(ExecutorReady(job_uuid=offered.job_uuid))
        self._stage = Stage.VOLUME_DOWNLOAD
        payload, image = await self._inputs(offered, fetching, clock)
        await self._line.say(VolumesReady(job_uuid=offered.job_uuid))
        self._stage = Stage.EXECUTION
        run = await self._executed(payload, image, clock, live)
        await self._line.say(ExecutionDone(job_uuid=offered.job_uuid))
        self._stage = Stage.RESULT_UPLOAD
        return await self._result(payload, run, clock)

    async def _checked(self, offered: JobOffered) -> asyncio.Task[Image] | None:
        """The image on its way: it may go on coming while the inputs are downloaded."""
        if offered.streaming_details is not None:
            place = self._place
            place.service = stream.Service(
                offered.streaming_details, place.executor_id, place.engine, place.work, place.config
            )
        promise = PROMISES[offered.executor_class]
        if promise.gpu:
            self._specs = self._start(specs.collect(self._config.work_dir))
        async with asyncio.timeout(
            promise.spin_up.total_seconds() + self._config.startup_seconds
        ) as limit:
            await self._safe
            await check.gpu_toolkit(offered.executor_class, self._config)
            if offered.docker_image is None:
                return None
            fetching = self._start(self._image(offered.docker_image))
            left = (limit.when() or 0) - asyncio.get_running_loop().time()
            await asyncio.wait({fetching}, timeout=left - READY_MARGIN_SECONDS)
        if fetching.done():
            fetching.result()
        return fetching

    async def _image(self, name: str) -> Image:
        policy = self._config.pull_policy
        return await check.image(name, self._place.engine, policy, tell=self._tell)

    def _tell(self, what: str, done_bytes: int, total_bytes: int | None) -> None:
        if self._live:
            self._live.tell(what, done_bytes, total_bytes)

    async def _inputs(
        self, offered: JobOffered, fetching: asyncio.Task[Image] | None, clock: Clock
    ) -> tuple[JobPayload, Image]:
        """The volumes that came with the offer are fetched before the full job is here."""
        volumes = self._start(self._fetched(offered))
        payload: JobPayload | None = None
        try:
            async with clock.download():
                payload = await self._hearing.payload
                if payload.volume is not None and offered.volume is not None:
                    text = "volumes came with the offer and with the job"
                    raise HordeError(HordeReason.GENERIC_ERROR, text)
                await volumes
                await self._fetched(payload)
                if fetching is None or payload.docker_image != offered.docker_image:
                    fetching = self._start(self._image(payload.docker_image))
                return payload, await fetching
        except TimeoutError as exc:
            if payload is not None:
                raise
            text = "the full job did not come in time"
            context = Cause.NO_PAYLOAD.context
            raise HordeError(HordeReason.UNHANDLED_TIMEOUT, text, context=context) from exc

    async def _fetched(self, source: JobOffered | JobPayload) -> None:
        await download.fetch(source.volume, self._place.work, self._config, self._tell)

    async def _executed(
        self, payload: JobPayload, image: Image, clock: Clock, live: Live
    ) -> execute.Run:
        place = self._place
        if payload.raw_script is not None:
            (place.work.path / "script.py").write_text(payload.raw_script)
        try:
            async with clock.execution():
                order = confinement.order(
                    payload,
                    image,
                    place.work,
                    self._config,
                    executor_id=place.executor_id,
                    uid=os.getuid(),
                    network=await place.service.network() if place.service else "none",
                )
                place.creating = asyncio.create_task(place.engine.create(order))
                run = self._run = execute.Run(
                    await asyncio.shield(place.creating),
                    place.work,
                    self._config,
                    limits=limits.of(payload.executor_class, self._config),
                    watch_root=confinement.has_writable_root(image, self._config),
                    printed=live.printed,
                )
                self._closing.callback(run.close)
                await run.start()
        except TimeoutError as exc:
            text = "the container engine did not start the job in time"
            raise HordeError(HordeReason.EXECUTION_TIMED_OUT, text) from exc
        try:
            await run.finish(clock.run_seconds(), *self._watchers(payload.job_uuid, clock))
        finally:
            await live.flush()
        return run

    def _watchers(self, job_uuid: str, clock: Clock) -> Iterator[execute.Watcher]:
        async def serves(certificate: str, port: int) -> None:
            ready = StreamingReady(job_uuid=job_uuid, public_key=certificate, port=port)
            await self._line.say(ready)
            self._stage = Stage.EXECUTION

        if self._place.service:
            self._stage = Stage.STREAMING_STARTUP
            yield self._place.service.until_over(clock.start_seconds(), serves)

    async def _result(self, payload: JobPayload, run: execute.Run, clock: Clock) -> JobFinished:
        work = self._place.work
        async with clock.upload():
            if payload.output_upload is not None:
                upload.keep_printed(run.stdout, run.stderr, work)
            results = await upload.send(payload.output_upload, work, self._config)
        found = artifacts.collect(work.artifacts, payload.artifacts_dir)
        if self._specs is not None:
            told = {"specs": await self._specs}
            await self._line.say(MachineSpecs(job_uuid=payload.job_uuid, specs=told))
        return JobFinished(
            job_uuid=payload.job_uuid,
            docker_process_stdout=run.stdout.shown(),
            docker_process_stderr=run.stderr.shown() + found.note(),
            artifacts=found.files,
            upload_results=results,
        )


def _our_fault(error: Exception) -> Exception:
    """A full disk or an engine in trouble is no fault of the job, and no secret.

    The job's own limits raise `JobError`.
    """
    if isinstance(error, OSError) and error.errno in FULL:
        return HordeError(HordeReason.GENERIC_ERROR, "the executor's disk is full")
    if isinstance(error, ContainerError):
        return HordeError(HordeReason.GENERIC_ERROR, str(error))
    return error
