"""Runs one job: offers it to miners until one takes it, follows it, sends the final receipt."""

import asyncio
import logging
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from compute_horde.adapters.websocket import ConnectionLostError
from compute_horde.concurrency.cancellation import unless_cancelled
from compute_horde.django.database import in_database
from compute_horde.errors import Cancelled, HordeError, RejectionError
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.job import JobAccepted, JobDeclined
from compute_horde.signing import Signer
from compute_horde.steady_clock import steady_now
from compute_horde.vocabulary import HordeReason, JobState, Party, RejectionReason
from validator.allowance.actions import BlockPayer
from validator.jobs import payment, queries, rules
from validator.jobs.conversation import (
    MinerContract,
    OfferNotSentError,
    finished_receipt_message,
    run_conversation,
    send_if_connected,
)
from validator.jobs.interval_receipts import IntervalIssuer
from validator.jobs.live_job import LiveJob
from validator.jobs.models import Job
from validator.jobs.payment import JobPayment
from validator.jobs.recorder import JobRecorder, JobTakenOverError
from validator.jobs.steps import Step
from validator.jobs.store import Event
from validator.miners.connection import MinerConnection
from validator.miners.connections import MinerConnections
from validator.receipts.signing import SignedReceipt
from validator.routing.rules import PlacementRequest
from validator.routing.scheduler import Scheduler

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """The settings that `JobIntake` and `JobRunner` need; `interval` is that of receipts.

    `payer` is there if jobs are paid by block allowance.
    """

    validator: Signer
    signers: frozenset[str]
    timing: rules.ValidatorTiming
    queue_seconds: float
    interval: timedelta
    max_request_age: timedelta
    streaming_images: tuple[str, ...] = ()
    # Limits for one signer: unfinished jobs, those on the trusted miner, and new jobs per minute.
    jobs_in_flight: int = 500
    trusted_jobs_in_flight: int = 2
    jobs_per_minute: int = 1200
    payer: BlockPayer | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """An executor reserved for a job; `started` is None when an earlier process sent the offer."""

    contract: MinerContract
    started: SignedReceipt | None


def now() -> datetime:
    """The wall-clock time in UTC."""
    return datetime.now(UTC)


class JobRunner:
    """Runs jobs from the search for a miner to the end; each call in a task of its caller."""

    def __init__(
        self,
        settings: RunnerSettings,
        scheduler: Scheduler,
        connections: MinerConnections,
        recorder: JobRecorder,
    ) -> None:
        self._settings = settings
        self._scheduler = scheduler
        self._connections = connections
        self._recorder = recorder
        self._payment = JobPayment(settings.payer)

    async def run_job(self, job: LiveJob, offer: Offer | None) -> None:
        """Offer the job to miners until one takes it; return when its end is written."""
        try:
            await self._run_to_end(job, offer)
        except JobTakenOverError as exc:
            log.warning("job taken over by another listener", extra={"problem": str(exc)})
        except Exception as exc:
            log.exception("job failed by an error", extra={"job": job.uuid})
            if job.state not in FINAL:
                self._record_end(
                    job, Event(JobState.HORDE_FAILED, job.failure_message(exc), Party.VALIDATOR)
                )
        await self._recorder.flush(job.uuid)
        self._recorder.forget(job.uuid)

    async def _run_to_end(self, job: LiveJob, offer: Offer | None) -> None:
        give_up = asyncio.get_running_loop().time() + self._settings.queue_seconds
        while job.state not in FINAL:
            if offer is None:
                try:
                    offer = await self._next_offer(job, give_up)
                except (RejectionError, HordeError, Cancelled) as exc:
                    self._record_end(job, _ending_event(job, exc))
                    return
            try:
                await self._run_with_miner(job, offer)
            finally:
                self._scheduler.release(offer.contract.miner, job.request.executor_class)
            if job.state not in FINAL:
                await self._payment.release(job, offer.contract.miner)
            offer = None

    def resume_offer(self, job: LiveJob) -> Offer:
        """The offer of a job that an earlier process gave to a miner."""
        self._scheduler.mark_busy(job.miner, job.request.executor_class)
        # Even after the deadline, the miner gets time to repeat the messages that were missed.
        soon = steady_now() + self._settings.timing.reservation
        job.deadline = max(job.deadline or soon, soon)
        return Offer(self._contract(job, job.miner), None)

    def try_offer(self, job: LiveJob) -> Offer | None:
        """Reserve an executor for a new job, if one is free and need not be paid by allowance."""
        if self._payment.is_needed(job):
            return None
        miner = self._scheduler.try_reserve(self._placement(job))
        return self._make_offer(job, miner) if miner else None

    async def _next_offer(self, job: LiveJob, give_up: float) -> Offer:
        # The last decline may not be written yet.
        await self._recorder.flush(job.uuid)
        while True:
            miner = await self._reserve_executor(job, give_up)
            with ExitStack() as on_error:
                on_error.callback(self._scheduler.release, miner, job.request.executor_class)
                if not await self._payment.reserve(job, miner):
                    continue
                offer = self._make_offer(job, miner)
                await self._recorder.write_now(job.transition(receipts=receipts_of(offer)))
                on_error.pop_all()
            return offer

    async def _reserve_executor(self, job: LiveJob, give_up: float) -> str:
        timeout = give_up - asyncio.get_running_loop().time()
        reservation = self._scheduler.reserve(self._placement(job), max(timeout, 0))
        try:
            return await unless_cancelled(job.cancelled, reservation)
        except RejectionError as exc:
            raise payment.rejection(job, exc) from exc

    def _make_offer(self, job: LiveJob, miner: str) -> Offer:
        contract = self._contract(job, miner)
        job.miner = miner
        job.deadline = contract.budget.deadline(JobState.RECEIVED, now=steady_now(), previous=None)
        return Offer(contract, contract.sign_started_receipt(now()))

    def _placement(self, job: LiveJob) -> PlacementRequest:
        """The request for a miner, without published miners that were offered the job before."""
        published = {miner for miner in job.offered_to if self._connections.is_published(miner)}
        return job.placement.excluding(published)

    def _contract(self, job: LiveJob, miner: str) -> MinerContract:
        return MinerContract(
            job.request,
            miner,
            self._settings.validator,
            rules.budget(job.request, self._settings.timing),
            is_organic=True,
            began=job.accepted_at,
        )

    async def _run_with_miner(self, job: LiveJob, offer: Offer) -> None:
        connection = self._connections.connection(offer.contract.miner)
        if offer.started is None:
            if connection is None:
                await self._miner_left(job, offer.contract)
            else:
                await self._follow(job, offer, connection)
            return
        try:
            if connection is None:
                raise OfferNotSentError("the miner left the subnet")
            async with self._connections.connection_for_offer(connection) as own:
                self._check_first_offer(job, offer.contract.miner, own)
                await self._follow(job, offer, own)
        except (ConnectionLostError, OfferNotSentError) as exc:
            log.info("offer not sent", extra={"job": job.uuid, "problem": str(exc)})
            self._scheduler.back_off(offer.contract.miner, job.request.executor_class)

    def _check_first_offer(self, job: LiveJob, miner: str, connection: MinerConnection) -> None:
        """Refuse a second offer: a published miner would close the connection over it.

        Raises:
            OfferNotSentError: the published miner was offered the job before.
        """
        if connection.is_published and miner in job.offered_to:
            raise OfferNotSentError(f"miner {miner} was offered the job before")
        job.offered_to.add(miner)

    async def _follow(self, job: LiveJob, offer: Offer, connection: MinerConnection) -> None:
        steps = run_conversation(
            offer.contract,
            connection,
            now=now,
            started=offer.started,
            state=job.state,
            # The time to answer an offer counts from when it is made.
            deadline=None if offer.started else job.deadline,
            cancelled=job.cancelled,
        )
        interval_issuer = self._interval_issuer(job, offer.contract, connection)
        async with aclosing(steps), interval_issuer.running():
            async for step in steps:
                interval_issuer.on_step(step)
                await self._handle_step(job, offer.contract, step, connection)
        if job.state in FINAL:
            await self._send_finished_receipt(job, connection)

    def _interval_issuer(
        self, job: LiveJob, contract: MinerContract, connection: MinerConnection
    ) -> IntervalIssuer:
        async def record(receipt: SignedReceipt) -> None:
            self._recorder.put(job.kind, job.transition(receipts=(receipt,)))
            await self._recorder.flush(job.uuid)

        return IntervalIssuer(
            job.work_progress,
            contract,
            connection,
            limit=payment.full_price(job),
            length=self._settings.interval,
            now=steady_now,
            wall_clock=now,
            record=record,
        )

    async def _handle_step(
        self, job: LiveJob, contract: MinerContract, step: Step, connection: MinerConnection
    ) -> None:
        """Record a step of the conversation and what follows from it."""
        if not step.has_changed_state:
            return
        if isinstance(step.message, JobDeclined):
            self._handle_decline(job, step.message, connection)
            return
        job.deadline = step.deadline
        receipts: tuple[SignedReceipt, ...] = ()
        if isinstance(step.message, JobAccepted):
            receipts = (contract.sign_accepted_receipt(now()),)
            job.accepted_at = contract.began
            self._scheduler.clear_back_off(contract.miner, job.request.executor_class)
        if step.state in FINAL:
            score = payment.score(job, step, contract.began)
            job.finished_receipt = await self._payment.finished_receipt(job, contract, score)
            receipts = (job.finished_receipt,)
        event = Event(step.state, step.message, step.sent_by)
        self._recorder.put(job.kind, job.transition(event, receipts=receipts))

    async def _miner_left(self, job: LiveJob, contract: MinerContract) -> None:
        """End a resumed job whose miner left: another miner must not get it as well."""
        text = f"The miner {contract.miner} left the subnet with the job"
        event = job.ending_event(HordeError(HordeReason.MINER_CONNECTION_FAILED, text))
        earned = job.work_progress.earned
        receipts = (await self._payment.finished_receipt(job, contract, earned),)
        self._recorder.put(job.kind, job.transition(event, receipts=receipts))

    def _handle_decline(
        self, job: LiveJob, declined: JobDeclined, connection: MinerConnection
    ) -> None:
        """Exclude the miner; one that is busy and may be offered the job again is backed off."""
        miner, is_busy = job.miner, declined.reason is RejectionReason.BUSY
        log.info("job declined", extra={"job": job.uuid, "miner": miner, "why": declined.reason})
        if job.kind is Job.Kind.ORGANIC:
            self._recorder.put_refusal(job.uuid, miner, declined.reason)
        if is_busy:
            self._scheduler.back_off(miner, job.request.executor_class)
        if not is_busy or connection.is_published:
            job.excluded.add(miner)
            job.last_decline = declined.model_copy(update={"receipts": []})
        # A process that resumes the job must not wait for this miner.
        job.miner = ""
        self._recorder.put(job.kind, job.transition())

    def _record_end(self, job: LiveJob, event: Event) -> None:
        """Record that the validator itself ends a job which no miner has."""
        self._recorder.put(job.kind, job.transition(event))

    async def _send_finished_receipt(self, job: LiveJob, connection: MinerConnection) -> None:
        """Send the finished receipt once it is written; `on_unmatched` of intake repeats it."""
        if await self._recorder.flush(job.uuid):
            message = job.finished_receipt and finished_receipt_message(job.finished_receipt)
        elif not connection.extensions:
            # Another listener wrote the end and may have sent the receipt already.
            return
        else:
            message = await in_database(queries.finished_receipt, job.uuid, job.miner)
        if message:
            await send_if_connected(connection, message)


def receipts_of(offer: Offer | None) -> tuple[SignedReceipt, ...]:
    return (offer.started,) if offer and offer.started else ()


def _ending_event(job: LiveJob, problem: RejectionError | HordeError | Cancelled) -> Event:
    """The last miner's decline, if there is one: it says more than that no miner is left."""
    if job.last_decline and isinstance(problem, RejectionError):
        return Event(JobState.REJECTED, job.last_decline, Party.MINER)
    return job.ending_event(problem)
