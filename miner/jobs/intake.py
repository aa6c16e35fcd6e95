"""Handles the messages of validators: offers, payloads and receipts."""

import logging
from dataclasses import dataclass, replace

from django.db import DatabaseError, InterfaceError

from compute_horde.django.database import in_database
from compute_horde.errors import HordeError, JobError, ProtocolError, RejectionError
from compute_horde.faults import CAUSE
from compute_horde.protocol.extensions import IntervalReceiptIssued
from compute_horde.protocol.handshake import GenericError
from compute_horde.protocol.job import JobAccepted, JobDeclined, JobOffered, JobPayload
from compute_horde.protocol.receipt import AcceptedReceiptIssued, FinishedReceiptIssued
from compute_horde.receipts import JobFinishedReceipt, Receipt, counter_sign
from compute_horde.signing import Signer
from compute_horde.vocabulary import FailureReason, HordeReason, RejectionReason
from compute_horde.volumes import Volume, first_unsafe_path
from miner.earnings.declines import DeclineCounter, DeclinedOffer
from miner.executors.executor import Executor
from miner.executors.pool import ExecutorPool
from miner.hotkeys.offers import Offers
from miner.jobs import rules, store
from miner.jobs.active_jobs import ActiveJobs
from miner.jobs.live_job import LiveJob
from miner.jobs.validator_sockets import Parties, ValidatorSocket
from miner.receipts.signing import counter_sign_started_receipt
from miner.receipts.store import ReceiptWriter
from miner.validators.actions import ValidatorDirectory

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExecutorAssignment:
    """Connects an executor of the pool to its job; reports the loss of the executor."""

    job: LiveJob
    active_jobs: ActiveJobs

    @property
    def job_uuid(self) -> str:
        """The UUID of the job."""
        return self.job.uuid

    def on_executor_lost(self, error: HordeError) -> None:
        """End the job, because its executor was lost."""
        self.active_jobs.end_soon(self.job, error)


@dataclass(slots=True)
class JobIntake:
    """Handles messages of validators to `miner`, one of the hotkeys of this miner.

    `offers` says what they are offered; `is_closing` is set when the miner takes no more jobs.
    """

    miner: Signer
    offers: Offers
    policy: rules.JobPolicy
    directory: ValidatorDirectory
    pool: ExecutorPool
    active_jobs: ActiveJobs
    receipt_writer: ReceiptWriter
    declines: DeclineCounter
    is_closing: bool = False

    def parties(self, validator: str) -> Parties:
        """The parties of a job that this validator offers here."""
        return Parties(self.miner.ss58_address, validator)

    async def handle_offer(
        self, offered: JobOffered, raw: str, validator: str, socket: ValidatorSocket
    ) -> None:
        """Accept a job, or decline it with a reason."""
        try:
            receipt = self._check(offered, raw, validator)
            self._record_signature(offered, validator)
            if problem := _unsafe_path_text(offered.volume):
                await socket.send_message(GenericError(details=problem))
                raise RejectionError(RejectionReason.UNKNOWN, problem)
            job = LiveJob(offered, self.miner, validator, socket, receipt)
            if active := self.active_jobs[job.uuid]:
                if active.parties == job.parties:
                    active.socket = socket
                await self.active_jobs.flush(job.parties)
                await self._repeat_messages(job)
            else:
                await self._reserve(job)
        except RejectionError as rejection:
            await self._decline(offered, rejection, validator, socket)

    async def handle_payload(
        self, payload: JobPayload, raw: str, validator: str, socket: ValidatorSocket
    ) -> None:
        """Forward the full job to its executor."""
        job = self.active_jobs.of(payload.job_uuid, self.parties(validator))
        if job is None or job.executor is None:
            raise ProtocolError(f"Received JobRequest for unknown job_uuid: {payload.job_uuid}")
        try:
            rules.check_signature(raw, validator, self._policy_for(validator))
        except RejectionError as rejection:
            raise ProtocolError(f"JobRequest refused, {rejection}") from rejection
        self._record_signature(payload, validator)
        job.socket = socket
        if job.payload is None:
            await self._forward_payload(job, payload)
        elif not rules.is_repeat(payload, job.payload):
            raise ProtocolError(f"Received another JobRequest for job_uuid: {payload.job_uuid}")

    async def handle_receipt(
        self,
        issued: AcceptedReceiptIssued | IntervalReceiptIssued | FinishedReceiptIssued,
        validator: str,
        socket: ValidatorSocket,
    ) -> None:
        """Counter-sign and store a receipt; a finished receipt closes its job."""
        payload = issued.payload
        if payload.validator_hotkey != validator:
            raise ProtocolError("the receipt is of another validator")
        receipt = counter_sign(
            payload, issued.signature, self.miner, is_trusted_miner=self.policy.trusted
        )
        await self.receipt_writer.put(receipt)
        job = self.active_jobs.of(payload.job_uuid, self.parties(validator))
        if job is None:
            return
        job.socket = socket
        if isinstance(payload, JobFinishedReceipt):
            text = "The validator closed the job before it was over"
            await self.active_jobs.end(job, HordeError(HordeReason.GENERIC_ERROR, text))

    async def handle_invalid(
        self, raw: str | bytes, problem: str, validator: str, socket: ValidatorSocket
    ) -> None:
        """Decline or end the job that an invalid message is about, so that it does not hang."""
        if uuid := rules.job_uuid_of(raw, rules.OFFER):
            if self.active_jobs[uuid] is None:
                await socket.send_message(JobDeclined(job_uuid=uuid, message=problem))
        elif (uuid := rules.job_uuid_of(raw, rules.PAYLOAD)) and (
            job := self.active_jobs.of(uuid, self.parties(validator))
        ):
            await self.active_jobs.end(job, JobError(FailureReason.UNKNOWN, problem))

    def _check(self, offered: JobOffered, raw: str, validator: str) -> Receipt | None:
        if self.is_closing:
            raise RejectionError(RejectionReason.BUSY, "this miner is shutting down")
        if self.directory.is_blacklisted(validator):
            raise RejectionError(RejectionReason.VALIDATOR_BLACKLISTED)
        rules.check_signature(raw, validator, self._policy_for(validator))
        receipt = counter_sign_started_receipt(offered, validator, self.miner, self.policy)
        self.offers.check(offered.executor_class, self.miner.ss58_address)
        rules.check_streaming(offered, self.policy)
        return receipt

    def _policy_for(self, validator: str) -> rules.JobPolicy:
        """The policy for a validator: once it has signed a request, it must sign all of them.

        Unsigned requests may come from somebody else.
        """
        required = self.policy.require_signature or self.directory.must_sign(validator)
        return replace(self.policy, require_signature=required)

    def _record_signature(self, request: JobOffered | JobPayload, validator: str) -> None:
        """Record that a validator signs its requests, after a signed one was verified."""
        if request.validator_signature is not None:
            self.directory.record_signed(validator)

    async def _reserve(self, job: LiveJob) -> None:
        """Reserve an executor and accept the job, or raise `RejectionError`.

        Awaits nothing before the job is added, so that an offer is not accepted twice.
        """
        kind, miner = job.offered.executor_class, self.miner.ss58_address
        if self.active_jobs.count(miner, kind) < self.offers.manifest(miner).get(kind, 0):
            job.executor = self.pool.reserve(kind, ExecutorAssignment(job, self.active_jobs))
        if job.executor:
            self.active_jobs.add(job)
            await self._accept(job, job.executor)
        elif not await self._repeat_messages(job):
            raise RejectionError(RejectionReason.BUSY, f"all executors of {kind} are busy")

    async def _repeat_messages(self, job: LiveJob) -> bool:
        """Send all messages about a job that was accepted before; False if it was not."""
        row = await in_database(store.find, job.uuid)
        if row is None:
            return False
        expected = (*job.parties, rules.digest(job.offered))
        if (row.miner_hotkey, row.validator_hotkey, row.offer_digest) != expected:
            raise ProtocolError(f"job_uuid {job.uuid} was offered before, with other contents")
        for text in await in_database(store.messages_of, job.uuid):
            job.socket.enqueue(text, job.uuid)
        return True

    async def _accept(self, job: LiveJob, executor: Executor) -> None:
        """Store the job, then send the acceptance; meanwhile the executor checks the image."""
        self.pool.send(executor, rules.for_executor(job.offered, self.pool.address_of(executor)))
        try:
            new = await in_database(store.store, store.new_row(job, executor.token))
        except BaseException as exc:
            # Whatever went wrong, the executor must not stay reserved.
            self.active_jobs.drop(job)
            if isinstance(exc, DatabaseError | InterfaceError):
                text = "this miner cannot store jobs now"
                raise RejectionError(RejectionReason.UNKNOWN, text) from exc
            raise
        if not new:
            self.active_jobs.drop(job)
            await self._repeat_messages(job)
            return
        limit = rules.time_to_live(job.offered, self.policy)
        self.active_jobs.mark_accepted(job, JobAccepted(job_uuid=job.uuid), limit)
        log.info("job accepted", extra={"job": job.uuid, "executor": executor.id})
        if job.receipt:
            await self.receipt_writer.put(job.receipt)

    async def _forward_payload(self, job: LiveJob, payload: JobPayload) -> None:
        if payload.volume and job.offered.volume:
            raise ProtocolError(f"Received job volume twice job_uuid: {job.uuid}")
        if payload.executor_class != job.offered.executor_class:
            raise ProtocolError(f"JobRequest of another executor class, job_uuid: {job.uuid}")
        if job.offered.streaming_details and payload.docker_image != job.offered.docker_image:
            raise ProtocolError(f"JobRequest of another image than offered, job_uuid: {job.uuid}")
        job.payload = payload
        if problem := _unsafe_path_text(payload.volume):
            await job.socket.send_message(GenericError(details=problem))
            await self.active_jobs.end(job, JobError(FailureReason.DOWNLOAD_FAILED, problem))
        elif job.executor:
            self.pool.send(job.executor, payload)

    async def _decline(
        self,
        offered: JobOffered,
        rejection: RejectionError,
        validator: str,
        socket: ValidatorSocket,
    ) -> None:
        excuses = []
        if rejection.reason is RejectionReason.BUSY:
            at = offered.job_started_receipt_payload.timestamp
            named = offered.job_started_receipt_payload.miner_hotkey
            excuses = await self.receipt_writer.excuses(offered.executor_class, at, named)
            excuses = [one for one in excuses if one.payload.job_uuid != offered.job_uuid]
        cause = str((rejection.context or {}).get(CAUSE, rejection.reason))
        self.declines.put(
            DeclinedOffer(self.parties(validator), offered.executor_class, cause, bool(excuses))
        )
        log.info(
            "job declined",
            extra={"job": offered.job_uuid, "reason": str(rejection.reason), "why": str(rejection)},
        )
        await socket.send_message(
            JobDeclined(
                job_uuid=offered.job_uuid,
                message=str(rejection),
                reason=rejection.reason,
                receipts=excuses,
                context=rejection.context,
            )
        )


def _unsafe_path_text(volume: Volume | None) -> str | None:
    unsafe = first_unsafe_path(volume)
    return (
        f"Received JobRequest with unsafe volume: {unsafe.path!r} {unsafe.reason}"
        if unsafe
        else None
    )
