"""The active jobs: messages about them are checked, recorded and forwarded."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any

from django.utils import timezone

from compute_horde import deadlines, failure_messages, lifecycle, signing
from compute_horde.concurrency.batch_writer import BatchWriter
from compute_horde.concurrency.task_set import TaskSet
from compute_horde.django.database import in_database, write_until_stored
from compute_horde.errors import Cancelled, HordeError, JobError
from compute_horde.hardware import ExecutorClass
from compute_horde.protocol.extensions import understood
from compute_horde.protocol.job import ExecutorReady, StreamingReady
from compute_horde.protocol.links import MINER_TO_VALIDATOR
from compute_horde.protocol.message import JobMessage
from compute_horde.vocabulary import Extension, HordeReason, JobState, Party
from miner.executors.pool import ExecutorPool
from miner.jobs import rules, store
from miner.jobs.live_job import LiveJob
from miner.jobs.validator_sockets import Parties, ValidatorSockets

log = logging.getLogger(__name__)

# Long enough for a short job to end.
LINGER_SECONDS = 0.5
# States in which all output of a job has been received.
OUTPUT_COMPLETE = lifecycle.FINAL | {JobState.EXECUTION_DONE}


class ActiveJobs:
    """The jobs from acceptance to their end, in memory; their rows are written a little later.

    A message that ends a job is written first, then sent to the validator. Others are sent at once
    and written a moment later, several in one transaction: nothing is lost by that, because a crash
    of this process ends its jobs anyway.
    """

    def __init__(self, pool: ExecutorPool, validator_sockets: ValidatorSockets) -> None:
        self._pool = pool
        self._validator_sockets = validator_sockets
        self._jobs: dict[str, LiveJob] = {}
        self._writer: BatchWriter[str, JobMessage] = BatchWriter(
            self._write, linger_seconds=LINGER_SECONDS
        )
        self._tasks = TaskSet()
        self._is_closing = False
        self._empty = asyncio.Event()
        self._empty.set()

    def __getitem__(self, uuid: str) -> LiveJob | None:
        return self._jobs.get(uuid)

    def __len__(self) -> int:
        return len(self._jobs)

    def count(self, miner: str, executor_class: ExecutorClass) -> int:
        """How many jobs of a class are active that were offered to this hotkey of the miner."""
        return sum(
            job.miner.ss58_address == miner and job.offered.executor_class == executor_class
            for job in self._jobs.values()
        )

    def of(self, uuid: str, parties: Parties) -> LiveJob | None:
        """The active job with this UUID, if it is one of these parties."""
        job = self._jobs.get(uuid)
        return job if job and job.parties == parties else None

    def add(self, job: LiveJob) -> None:
        """Add a job that has an executor; messages about it wait until its row is stored."""
        self._jobs[job.uuid] = job
        self._empty.clear()

    def remove(self, job: LiveJob) -> None:
        """Remove a job; later messages about it are ignored."""
        if job.timer:
            job.timer.cancel()
        if self._jobs.get(job.uuid) is job:
            del self._jobs[job.uuid]
        if not self._jobs:
            self._empty.set()

    def mark_accepted(self, job: LiveJob, accepted: JobMessage, limit: timedelta) -> None:
        """Send the acceptance of a job whose row is stored, and end the job after `limit`."""
        self._advance(job, accepted)
        self._send(job, accepted)
        loop = asyncio.get_running_loop()
        job.timer = loop.call_later(limit.total_seconds(), self._time_out, job, limit)
        job.stored.set()

    def drop(self, job: LiveJob) -> None:
        """Drop a job that could not be accepted, and its executor."""
        job.state = JobState.REJECTED
        job.stored.set()
        self.remove(job)
        if job.executor:
            self._pool.discard(job.executor)

    async def apply(self, job: LiveJob, message: JobMessage) -> None:
        """Apply a message of the executor and forward it to the validator.

        Raises:
            IllegalTransition: the message contradicts the state of the job.
        """
        await job.stored.wait()
        if job.state in lifecycle.FINAL:
            return
        message = self._for_validator(job, message)
        if self._advance(job, message):
            if job.state in lifecycle.FINAL and job.executor:
                self._pool.release(job.executor)
            elif job.state is JobState.VOLUMES_READY and job.executor:
                self._pool.on_working(job.executor)
            await self._forward(job, message)

    async def end(self, job: LiveJob, error: HordeError | JobError | Cancelled) -> None:
        """End a job on behalf of the miner, and kill its executor."""
        await job.stored.wait()
        if job.state in lifecycle.FINAL:
            return
        stage = lifecycle.STAGE_OF_STATE[job.state]
        final = failure_messages.failure(
            error, job_uuid=job.uuid, seen_by=Party.MINER, during=stage
        )
        self._advance(job, final)
        log.warning("job ended by the miner", extra={"job": job.uuid, "why": str(error)})
        if job.executor and job.executor.assignment:
            self._pool.discard(job.executor)
        await self._forward(job, final)

    def end_soon(self, job: LiveJob, error: HordeError | JobError) -> None:
        """Like `end`, but returns at once."""
        self._tasks.spawn(self.end(job, error))

    async def flush(self, parties: Parties) -> None:
        """Return when all messages so far about the jobs of `parties` are in the database."""
        uuids = [job.uuid for job in self._jobs.values() if job.parties == parties]
        await asyncio.gather(*(self._writer.flush(uuid) for uuid in uuids))

    async def close(self, grace_seconds: float) -> None:
        """Wait up to `grace_seconds` for jobs to finish, end the others, and finish writing."""
        self._is_closing = True
        try:
            async with asyncio.timeout(grace_seconds):
                await self._empty.wait()
        except TimeoutError:
            shutdown = HordeError(HordeReason.GENERIC_ERROR, "The miner was shut down")
            await asyncio.gather(*(self.end(job, shutdown) for job in list(self._jobs.values())))
        await self._writer.close()

    async def unclosed(self, parties: Parties, ended_after: timedelta) -> list[str]:
        """The jobs of `parties` without a finished receipt of the validator, oldest first.

        Of ended jobs, only those that ended within the last `ended_after`.
        """
        await self.flush(parties)
        return await in_database(store.unclosed, parties, timezone.now() - ended_after)

    async def messages_of(
        self, uuids: Iterable[str], peer: frozenset[Extension]
    ) -> AsyncIterator[tuple[str, str]]:
        """The UUID and text of all messages about these jobs, in order, as they were sent.

        Messages that a `peer` with these extensions does not understand are left out.
        """
        for uuid in uuids:
            for text in await in_database(store.messages_of, uuid):
                if peer.issuperset(Extension) or understood(MINER_TO_VALIDATOR.decode(text), peer):
                    yield uuid, text

    def is_printing(self, uuid: str) -> bool:
        """Whether the job may print more output."""
        job = self._jobs.get(uuid)
        return job is not None and job.state not in OUTPUT_COMPLETE

    def _advance(self, job: LiveJob, message: JobMessage) -> bool:
        """Apply a message to the state of the job and queue it for writing; False for a repeat."""
        claimed = lifecycle.CLAIMS.get(type(message))
        if claimed is not None:
            if lifecycle.is_repeat(job.state, claimed):
                return False
            job.state = lifecycle.move(job.state, claimed)
            if job.timer and claimed in lifecycle.FINAL:
                job.timer.cancel()
        self._writer.put(job.uuid, message)
        return True

    async def _forward(self, job: LiveJob, message: JobMessage) -> None:
        if job.state not in lifecycle.FINAL:
            self._send(job, message)
            return
        await self._writer.flush(job.uuid)
        self._send(job, message)
        self.remove(job)

    def _send(self, job: LiveJob, message: JobMessage) -> None:
        self._validator_sockets.send(job.parties, job.socket, message)

    def _for_validator(self, job: LiveJob, message: JobMessage) -> JobMessage:
        """The message without the executor's token; a streaming address is signed by the miner."""
        match message:
            case StreamingReady():
                address = self._pool.address_of(job.executor) if job.executor else None
                update = {"executor_token": None, "ip": address}
                message = message.model_copy(update=update)
                signature = signing.signed_hex(job.miner, message.blob())
                return message.model_copy(update={"miner_signature": signature})
            case ExecutorReady():
                return message.model_copy(update={"executor_token": None})
        return message

    def _time_out(self, job: LiveJob, limit: timedelta) -> None:
        reason = deadlines.timed_out(job.state, streaming=job.offered.streaming_details is not None)
        executor = job.executor.id if job.executor else "none"
        text = f"The job was not over after {limit.total_seconds():g} s on executor {executor}"
        self.end_soon(job, HordeError(reason, text))

    async def _write(self, uuid: str, messages: list[JobMessage]) -> None:
        fields: dict[str, Any] = {}
        if (job := self._jobs.get(uuid)) and job.payload:
            fields["payload"] = rules.redacted(job.payload)
        if lifecycle.CLAIMS.get(type(messages[-1])) in lifecycle.FINAL:
            fields |= rules.result_fields(messages[-1])
            if job:
                fields["time_took"] = store.duration(monotonic() - job.started_at)
        before = job.stored_state if job else JobState.RECEIVED
        # Later messages build upon this write.
        state = await write_until_stored(
            partial(store.write, before, messages, fields),
            job=uuid,
            is_closing=lambda: self._is_closing,
        )
        if job:
            job.stored_state = state
