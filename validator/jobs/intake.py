"""Accepts jobs, resumes unfinished ones after a restart, and applies cancel requests."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

from compute_horde.concurrency.task_set import TaskSet
from compute_horde.django.database import in_database
from compute_horde.errors import BadSignature, RejectionError
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.extensions import CancelRequested, check_cancel
from compute_horde.protocol.handshake import TRUSTED_MINER_HOTKEY
from compute_horde.protocol.job import JobRequested
from compute_horde.protocol.message import JobMessage
from validator.jobs import actions, queries, rules, store
from validator.jobs.conversation import send_if_connected
from validator.jobs.live_job import LiveJob
from validator.jobs.models import Job
from validator.jobs.quotas import SignerQuota
from validator.jobs.recorder import JobRecorder
from validator.jobs.runner import JobRunner, Offer, RunnerSettings, now, receipts_of
from validator.miners.connection import MinerConnection
from validator.miners.connections import MinerConnections
from validator.routing.scheduler import Scheduler

log = logging.getLogger(__name__)

# A cancel request may arrive while its job is still being stored.
FIND_ATTEMPTS = 6
FIRST_RETRY_SECONDS = 0.05
MAX_ENDED_JOBS = 4096
# At most so many repeated receipts are being sent at once.
MAX_RESENDS = 64


class JobIntake:
    """Runs every organic and admin job of this validator, each in a task of its own."""

    def __init__(
        self,
        settings: RunnerSettings,
        scheduler: Scheduler,
        connections: MinerConnections,
        recorder: JobRecorder,
    ) -> None:
        self._settings = settings
        self._scheduler = scheduler
        self._recorder = recorder
        self._runner = JobRunner(settings, scheduler, connections, recorder)
        self._live: dict[str, LiveJob] = {}
        # Jobs that ended lately, so that a row read before their end does not resume them.
        self._ended: dict[str, None] = {}
        self._resending: set[tuple[str, str]] = set()
        self._tasks = TaskSet()
        self._signers = settings.signers
        # Users who bind their requests; None until they are read from the database.
        self._binding_signers: set[str] | None = None
        self._quota = SignerQuota(
            settings.jobs_in_flight, settings.jobs_per_minute, settings.trusted_jobs_in_flight
        )

    async def submit(self, request: JobRequested) -> None:
        """Check, store and run a user's job, and report its states to the facilitator."""
        if request.uuid in self._live:
            await self._recorder.report_all(request.uuid)
            return
        wanted = TRUSTED_MINER_HOTKEY if request.on_trusted_miner else ""
        job = LiveJob(request, Job.Kind.ORGANIC, wanted)
        try:
            await self._check(request)
        except RejectionError as exc:
            await self._reject(job, exc)
            return
        if request.uuid in self._live:
            return
        self._live[job.uuid] = job
        offer = self._runner.try_offer(job)
        assert request.signature  # noqa: S101
        row = job.row(
            rules.request_digest(request.signature),
            rules.nonce_digest(request.signature, request.binding),
        )
        is_new = False
        try:
            is_new = await in_database(
                store.insert, row, job.transition(receipts=receipts_of(offer))
            )
        finally:
            if not is_new:
                self._live.pop(job.uuid, None)
                if offer:
                    self._scheduler.release(offer.contract.miner, request.executor_class)
        if is_new:
            self._recorder.report_received(job.uuid)
            self.start(self._run_job(job, offer))
        else:
            await self._handle_known(job)

    async def cancel(self, request: CancelRequested) -> None:
        """Store a user's cancel request, so that it survives a restart, then apply it."""
        row = await _find_row(request.job_uuid)
        if row is None:
            log.info("unknown job not cancelled", extra={"job": request.job_uuid})
            return
        try:
            check_cancel(request, row.signatory)
        except BadSignature as exc:
            log.warning("job not cancelled", extra={"job": request.job_uuid, "problem": str(exc)})
            return
        if not await in_database(actions.cancel, request.job_uuid):
            await self._recorder.report_all(request.job_uuid)
        await self.apply_cancels()

    async def apply_cancels(self) -> None:
        """Cancel the running jobs for which a cancel request is stored."""
        for uuid, at in await in_database(queries.cancel_requests, list(self._live)):
            if job := self._live.get(uuid):
                job.cancel(at)

    async def load_unclaimed(self) -> list[Job]:
        """Unfinished jobs in the database that do not run here; also reload the signers."""
        self._signers = self._settings.signers | await in_database(queries.allowed_signers)
        self._binding_signers = await in_database(queries.binding_signers)
        return await in_database(queries.unfinished, list(self._live))

    def resume_all(self, rows: list[Job]) -> None:
        """Run the jobs of these rows from the state they are in."""
        for row in rows:
            self._resume(row)

    def miner_of(self, uuid: str) -> str | None:
        """The miner of a user's running job; empty before it has one, None for other jobs."""
        job = self._live.get(uuid)
        return job.miner if job and job.kind is Job.Kind.ORGANIC else None

    async def close(self) -> None:
        """Stop all tasks and finish writing; the next process resumes the jobs from their rows."""
        await self._tasks.cancel()
        await self._recorder.close()

    def on_unmatched(self, connection: MinerConnection, message: JobMessage) -> None:
        """Send the finished receipt again to a miner that still reports an ended job.

        Not to a published miner, which closes the connection when it gets a second receipt.
        """
        if connection.is_published:
            return
        key = connection.address.hotkey, message.job_uuid
        if key not in self._resending and len(self._resending) < MAX_RESENDS:
            self._resending.add(key)
            self.start(self._resend_receipt(connection, *key))

    async def _resend_receipt(self, connection: MinerConnection, hotkey: str, uuid: str) -> None:
        try:
            if uuid in self._live:
                return
            if receipt := await in_database(queries.finished_receipt, uuid, hotkey):
                await send_if_connected(connection, receipt)
        finally:
            self._resending.discard((hotkey, uuid))

    async def _check(self, request: JobRequested) -> None:
        signatory = request.signature.signatory if request.signature else ""
        if signatory not in self._signers:
            stored = await in_database(queries.allowed_signers)
            self._signers = self._settings.signers | stored
        rules.check_request(
            request, allowed=self._signers, now=now(), max_age=self._settings.max_request_age
        )
        await self._check_binding(request, signatory)
        rules.check_streaming(request, self._settings.streaming_images)
        self._quota.take(
            signatory,
            self._live.values(),
            time.monotonic(),
            on_trusted_miner=request.on_trusted_miner,
        )

    async def _check_binding(self, request: JobRequested, signatory: str) -> None:
        """Check the binding; a signer that has bound a request must bind all later ones."""
        if self._binding_signers is None:
            self._binding_signers = await in_database(queries.binding_signers)
        is_known = signatory in self._binding_signers
        validator = self._settings.validator.ss58_address
        rules.check_binding(request, validator=validator, is_demanded=is_known)
        if request.binding and not is_known:
            await in_database(actions.record_binding_signer, signatory)
            self._binding_signers.add(signatory)

    async def _reject(self, job: LiveJob, rejection: RejectionError) -> None:
        log.info("job rejected", extra={"job": job.uuid, "reason": str(rejection)})
        event = job.ending_event(rejection)
        if self._quota.may_store_rejection(time.monotonic()):
            if await in_database(store.insert, job.rejected_row(), job.transition(event)):
                self._recorder.report(job.uuid, event)
                return
        elif await in_database(queries.job, job.uuid) is None:
            self._recorder.report_unwritten(job.uuid, event)
            return
        await self._recorder.report_all(job.uuid)

    async def _handle_known(self, job: LiveJob) -> None:
        """Handle a job that could not be stored: it was sent again, or its signature replayed."""
        row = await in_database(queries.job, job.uuid)
        if row is None:
            await self._reject(job, rules.replay_rejection())
            return
        await self._recorder.report_all(job.uuid)
        if not row.is_final:
            self._resume(row)

    def _resume(self, row: Job) -> None:
        if str(row.uuid) in self._live or str(row.uuid) in self._ended:
            return
        job = LiveJob.from_row(row)
        self._live[job.uuid] = job
        offer = None
        if job.miner:
            log.info("job resumed", extra={"job": job.uuid, "state": job.state})
            offer = self._runner.resume_offer(job)
        self.start(self._run_job(job, offer))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in a task; its exceptions are logged."""
        self._tasks.spawn(_run_logged(work))

    async def _run_job(self, job: LiveJob, offer: Offer | None) -> None:
        await self._runner.run_job(job, offer)
        if job.state in FINAL:
            self._ended[job.uuid] = None
            if len(self._ended) > MAX_ENDED_JOBS:
                del self._ended[next(iter(self._ended))]
        self._live.pop(job.uuid, None)


async def _run_logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("task of the listener failed")


async def _find_row(uuid: str) -> Job | None:
    for attempt in range(FIND_ATTEMPTS):
        if row := await in_database(queries.job, uuid):
            return row
        await asyncio.sleep(FIRST_RETRY_SECONDS * 2**attempt)
    return None
