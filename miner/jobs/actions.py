"""What validators ask of this miner: jobs offered, payloads, receipts."""

import logging
from dataclasses import dataclass

from django.db import DatabaseError

from compute_horde.django.database import in_database
from compute_horde.errors import HordeError, JobError, ProtocolError, RejectionError
from compute_horde.protocol.extensions import IntervalReceiptIssued
from compute_horde.protocol.handshake import GenericError
from compute_horde.protocol.job import JobAccepted, JobDeclined, JobOffered, JobPayload
from compute_horde.protocol.receipt import AcceptedReceiptIssued, FinishedReceiptIssued
from compute_horde.receipts import JobFinishedReceipt, Receipt
from compute_horde.signing import Signer
from compute_horde.vocabulary import FailureReason, HordeReason, RejectionReason
from compute_horde.volumes import Volume, tainted_path
from miner.executors.pool import Executor, Pool
from miner.jobs import ledger, rules
from miner.jobs.floor import Floor
from miner.jobs.live import LiveJob
from miner.jobs.relay import Ear
from miner.receipts.actions import Book
from miner.validators.actions import Directory

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tenancy:
    """What the pool knows of the job in an executor: whom to tell of its loss."""

    job: LiveJob
    floor: Floor

    @property
    def job_uuid(self) -> str:
        """Which job it is."""
        return self.job.uuid

    def lost(self, error: HordeError) -> None:
        """The executor is gone."""
        self.floor.end_soon(self.job, error)


@dataclass(slots=True)
class Desk:
    """Answers validators. `closing` is set when this miner takes no more jobs."""

    miner: Signer
    terms: rules.Terms
    directory: Directory
    pool: Pool
    floor: Floor
    book: Book
    closing: bool = False

    async def offer(self, offered: JobOffered, raw: str, validator: str, ear: Ear) -> None:
        """Accept a job or decline it, saying why."""
        try:
            receipt = self._check(offered, raw, validator)
            if unsafe := _unsafe(offered.volume):
                await ear.say(GenericError(details=unsafe))
                raise RejectionError(RejectionReason.UNKNOWN, unsafe)
            job = LiveJob(offered, validator, ear, receipt)
            if self.floor[job.uuid]:
                await self.floor.written(validator)
                await self._answer_again(job)
            else:
                await self._take(job)
        except RejectionError as no:
            await self._decline(offered, no, ear)

    async def payload(self, payload: JobPayload, raw: str, validator: str, ear: Ear) -> None:
        """Pass the full job on to the executor that waits for it."""
        job = self.floor[payload.job_uuid]
        if job is None or job.validator != validator or job.executor is None:
            raise ProtocolError(f"Received JobRequest for unknown job_uuid: {payload.job_uuid}")
        try:
            rules.check_signature(raw, validator, self.terms)
        except RejectionError as no:
            raise ProtocolError(f"JobRequest refused, {no}") from no
        job.ear = ear
        if job.payload is None:
            await self._pass_payload(job, payload)
        elif not rules.is_said_again(payload, job.payload):
            raise ProtocolError(f"Received another JobRequest for job_uuid: {payload.job_uuid}")

    async def receipt(
        self,
        said: AcceptedReceiptIssued | IntervalReceiptIssued | FinishedReceiptIssued,
        validator: str,
    ) -> None:
        """Counter-sign and keep a receipt; the last one closes its job."""
        payload = said.payload
        if payload.validator_hotkey != validator:
            raise ProtocolError("the receipt is of another validator")
        await self.book.enter(rules.counter_sign(payload, said.signature, self.miner, self.terms))
        job = self.floor[payload.job_uuid]
        if isinstance(payload, JobFinishedReceipt) and job and job.validator == validator:
            text = "The validator closed the job before it was over"
            await self.floor.end(job, HordeError(HordeReason.GENERIC_ERROR, text))

    async def unreadable(self, raw: str | bytes, problem: str, validator: str, ear: Ear) -> None:
        """Let no job hang because the message about it could not be read."""
        if uuid := rules.job_uuid_of(raw, rules.OFFER):
            if self.floor[uuid] is None:
                await ear.say(JobDeclined(job_uuid=uuid, message=problem))
        elif uuid := rules.job_uuid_of(raw, rules.PAYLOAD):
            job = self.floor[uuid]
            if job and job.validator == validator:
                await self.floor.end(job, JobError(FailureReason.UNKNOWN, problem))

    def _check(self, offered: JobOffered, raw: str, validator: str) -> Receipt | None:
        if self.closing:
            raise RejectionError(RejectionReason.BUSY, "this miner is shutting down")
        if self.directory.is_blacklisted(validator):
            raise RejectionError(RejectionReason.VALIDATOR_BLACKLISTED)
        rules.check_signature(raw, validator, self.terms)
        receipt = rules.started_receipt(offered, validator, self.miner, self.terms)
        rules.check_offered(offered, self.pool.manifest)
        rules.check_streaming(offered, self.terms)
        return receipt

    async def _take(self, job: LiveJob) -> None:
        """Reserve and accept. Nothing is awaited between the look at the floor and the entry."""
        job.executor = self.pool.reserve(job.offered.executor_class, Tenancy(job, self.floor))
        if job.executor:
            self.floor.enter(job)
            await self._accept(job, job.executor)
        elif not await self._answer_again(job):
            raise RejectionError(
                RejectionReason.BUSY, f"all executors of {job.offered.executor_class} are busy"
            )

    async def _answer_again(self, job: LiveJob) -> bool:
        """Whether the offer was accepted before, and is answered with what came of it."""
        row = await in_database(ledger.seen, job.uuid)
        if row is None:
            return False
        same = (job.validator, rules.digest(job.offered))
        if (row.validator_hotkey, row.offer_digest) != same:
            raise ProtocolError(f"job_uuid {job.uuid} was offered before, with other contents")
        for text in await in_database(ledger.facts_of, job.uuid):
            job.ear.tell(text, job.uuid)
        return True

    async def _accept(self, job: LiveJob, executor: Executor) -> None:
        """Store first, then say so; meanwhile the executor checks the image."""
        self.pool.say(executor, rules.for_executor(job.offered, self.pool.address_of(executor)))
        try:
            new = await in_database(ledger.store, ledger.row_of(job, executor.token))
        except DatabaseError as exc:
            self.floor.dropped(job)
            raise RejectionError(
                RejectionReason.UNKNOWN, "this miner cannot store jobs now"
            ) from exc
        if not new:
            self.floor.dropped(job)
            await self._answer_again(job)
            return
        limit = rules.time_to_live(job.offered, self.terms)
        self.floor.stored(job, JobAccepted(job_uuid=job.uuid), limit)
        log.info("job accepted", extra={"job": job.uuid, "executor": executor.id})
        if job.receipt:
            await self.book.enter(job.receipt)

    async def _pass_payload(self, job: LiveJob, payload: JobPayload) -> None:
        if payload.volume and job.offered.volume:
            raise ProtocolError(f"Received job volume twice job_uuid: {job.uuid}")
        if payload.executor_class != job.offered.executor_class:
            raise ProtocolError(f"JobRequest of another executor class, job_uuid: {job.uuid}")
        if job.offered.streaming_details and payload.docker_image != job.offered.docker_image:
            raise ProtocolError(f"JobRequest of another image than offered, job_uuid: {job.uuid}")
        job.payload = payload
        if unsafe := _unsafe(payload.volume):
            await job.ear.say(GenericError(details=unsafe))
            await self.floor.end(job, JobError(FailureReason.DOWNLOAD_FAILED, unsafe))
        elif job.executor:
            self.pool.say(job.executor, payload)

    async def _decline(self, offered: JobOffered, no: RejectionError, ear: Ear) -> None:
        excuses = []
        if no.reason is RejectionReason.BUSY:
            at = offered.job_started_receipt_payload.timestamp
            excuses = await self.book.excuses(offered.executor_class, at)
            excuses = [one for one in excuses if one.payload.job_uuid != offered.job_uuid]
        log.info(
            "job declined",
            extra={"job": offered.job_uuid, "reason": str(no.reason), "why": str(no)},
        )
        await ear.say(
            JobDeclined(
                job_uuid=offered.job_uuid, message=str(no), reason=no.reason, receipts=excuses
            )
        )


def _unsafe(volume: Volume | None) -> str | None:
    bad = tainted_path(volume)
    return f"Received JobRequest with unsafe volume: {bad.path!r} {bad.reason}" if bad else None
