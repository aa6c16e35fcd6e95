"""The jobs going on: what is said of them is checked, recorded and passed on."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from time import monotonic
from typing import Any

from django.utils import timezone

from compute_horde import blame, deadlines, lifecycle, signing
from compute_horde.django.database import in_database
from compute_horde.django.scribe import Scribe
from compute_horde.errors import Cancelled, HordeError, JobError
from compute_horde.protocol.extensions import understood
from compute_horde.protocol.job import ExecutorReady, StreamingReady
from compute_horde.protocol.links import MINER_TO_VALIDATOR
from compute_horde.protocol.message import JobMessage
from compute_horde.vocabulary import Extension, HordeReason, JobState, Party
from miner.executors.pool import Pool
from miner.jobs import ledger, rules
from miner.jobs.live import LiveJob
from miner.jobs.relay import Relay

log = logging.getLogger(__name__)

LINGER_SECONDS = 0.25
# All that a job prints is told before these.
PRINTED = lifecycle.FINAL | {JobState.EXECUTION_DONE}


class Floor:
    """Every job between acceptance and its end, in memory; the database follows close behind.

    A crash of this process ends its jobs anyway, so a fact on the way is told at once and written
    a moment later, together with others. An ending is written first, then told.
    """

    def __init__(self, miner: signing.Signer, pool: Pool, relay: Relay) -> None:
        self._miner = miner
        self._pool = pool
        self._relay = relay
        self._jobs: dict[str, LiveJob] = {}
        self._scribe: Scribe[str, JobMessage] = Scribe(self._write, linger_seconds=LINGER_SECONDS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def __getitem__(self, uuid: str) -> LiveJob | None:
        return self._jobs.get(uuid)

    def __len__(self) -> int:
        return len(self._jobs)

    def enter(self, job: LiveJob) -> None:
        """Take a job that has an executor; what is said of it waits until it is stored."""
        self._jobs[job.uuid] = job
        self._empty.clear()

    def leave(self, job: LiveJob) -> None:
        """Forget a job; nothing said of it from now on counts."""
        if job.timer:
            job.timer.cancel()
        if self._jobs.get(job.uuid) is job:
            del self._jobs[job.uuid]
        if not self._jobs:
            self._empty.set()

    def stored(self, job: LiveJob, accepted: JobMessage, limit: timedelta) -> None:
        """The job's row is written: from now on the validator may hear of it, for `limit`."""
        self._advance(job, accepted)
        self._tell(job, accepted)
        loop = asyncio.get_running_loop()
        job.timer = loop.call_later(limit.total_seconds(), self._outlived, job, limit)
        job.stored.set()

    def dropped(self, job: LiveJob) -> None:
        """The job was not taken after all."""
        job.state = JobState.REJECTED
        job.stored.set()
        self.leave(job)
        if job.executor:
            self._pool.discard(job.executor)

    async def hear(self, job: LiveJob, fact: JobMessage) -> None:
        """Move a job by what its executor said of it; `IllegalTransition` when it cannot be."""
        await job.stored.wait()
        if job.state in lifecycle.FINAL:
            return
        fact = self._for_validator(job, fact)
        if self._advance(job, fact):
            if job.state in lifecycle.FINAL and job.executor:
                self._pool.release(job.executor)
            elif job.state is JobState.VOLUMES_READY and job.executor:
                self._pool.works(job.executor)
            await self._pass_on(job, fact)

    async def end(self, job: LiveJob, error: HordeError | JobError | Cancelled) -> None:
        """End a job by our own word, and its executor with it."""
        await job.stored.wait()
        if job.state in lifecycle.FINAL:
            return
        ending = blame.failure(
            error, job_uuid=job.uuid, seen_by=Party.MINER, during=rules.STAGE_IN[job.state]
        )
        self._advance(job, ending)
        log.warning("job ended by the miner", extra={"job": job.uuid, "why": str(error)})
        if job.executor and job.executor.tenant:
            self._pool.discard(job.executor)
        await self._pass_on(job, ending)

    def end_soon(self, job: LiveJob, error: HordeError | JobError) -> None:
        """`end`, for those who cannot wait."""
        self._spawn(self.end(job, error))

    async def written(self, validator: str) -> None:
        """Return when all that was said so far of a validator's jobs is in the database."""
        theirs = [job.uuid for job in self._jobs.values() if job.validator == validator]
        await asyncio.gather(*(self._scribe.settled(uuid) for uuid in theirs))

    async def close(self, patience_seconds: float) -> None:
        """Give jobs a moment to finish, end the others, write everything."""
        try:
            async with asyncio.timeout(patience_seconds):
                await self._empty.wait()
        except TimeoutError:
            gone = HordeError(HordeReason.GENERIC_ERROR, "The miner was shut down")
            await asyncio.gather(*(self.end(job, gone) for job in list(self._jobs.values())))
        await self._scribe.close()

    async def unclosed(
        self, validator: str, ended_after: timedelta, peer: frozenset[Extension]
    ) -> AsyncIterator[tuple[str, str]]:
        """All that was said of jobs their validator has not closed, in order, as it was sent.

        Without what a `peer` that announced these extensions would not understand.
        """
        await self.written(validator)
        since = timezone.now() - ended_after
        for uuid in await in_database(ledger.pending, validator, since):
            for text in await in_database(ledger.facts_of, uuid):
                if peer.issuperset(Extension) or understood(MINER_TO_VALIDATOR.decode(text), peer):
                    yield uuid, text

    def is_printing(self, uuid: str) -> bool:
        """Whether more may come of what the job prints."""
        job = self._jobs.get(uuid)
        return job is not None and job.state not in PRINTED

    def _advance(self, job: LiveJob, fact: JobMessage) -> bool:
        """Whether the fact is new; if so it is in the job's state and on its way to the row."""
        claimed = lifecycle.CLAIMS.get(type(fact))
        if claimed is not None:
            if lifecycle.is_repeat(job.state, claimed):
                return False
            job.state = lifecycle.move(job.state, claimed)
            if job.timer and claimed in lifecycle.FINAL:
                job.timer.cancel()
        self._scribe.hear(job.uuid, fact)
        return True

    async def _pass_on(self, job: LiveJob, fact: JobMessage) -> None:
        if job.state not in lifecycle.FINAL:
            self._tell(job, fact)
            return
        await self._scribe.settled(job.uuid)
        self._tell(job, fact)
        self.leave(job)

    def _tell(self, job: LiveJob, fact: JobMessage) -> None:
        self._relay.tell(job.validator, job.ear, fact)

    def _for_validator(self, job: LiveJob, fact: JobMessage) -> JobMessage:
        """Without the executor's token; a streaming address with our signature."""
        match fact:
            case StreamingReady():
                address = self._pool.address_of(job.executor) if job.executor else None
                update = {"executor_token": None, "ip": address}
                fact = fact.model_copy(update=update)
                signature = signing.signed_hex(self._miner, fact.blob())
                return fact.model_copy(update={"miner_signature": signature})
            case ExecutorReady():
                return fact.model_copy(update={"executor_token": None})
        return fact

    def _outlived(self, job: LiveJob, limit: timedelta) -> None:
        reason = deadlines.timed_out(job.state, streaming=job.offered.streaming_details is not None)
        executor = job.executor.id if job.executor else "none"
        text = f"The job was not over after {limit.total_seconds():g} s on executor {executor}"
        self.end_soon(job, HordeError(reason, text))

    async def _write(self, uuid: str, facts: list[JobMessage]) -> None:
        fields: dict[str, Any] = {}
        if (job := self._jobs.get(uuid)) and job.payload:
            fields["payload"] = rules.outline(job.payload)
        if lifecycle.CLAIMS.get(type(facts[-1])) in lifecycle.FINAL:
            fields |= rules.result_fields(facts[-1])
            if job:
                fields["time_took"] = ledger.took(monotonic() - job.since)
        await in_database(ledger.write, facts, fields)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
