"""One job's way through miners: offered, followed to its end, settled."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from compute_horde.adapters.websocket import LineLost
from compute_horde.cancelling import unless_cancelled
from compute_horde.django.database import in_database
from compute_horde.errors import Cancelled, HordeError, RejectionError
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.job import JobAccepted, JobDeclined, JobFinished
from compute_horde.signing import Signer
from compute_horde.vocabulary import HordeReason, JobState, Party, RejectionReason
from validator.jobs import queries, rules
from validator.jobs.conversation import Deal, Issued, as_message, converse, say_if_there
from validator.jobs.diary import Diary, NotOursError
from validator.jobs.drive import Step
from validator.jobs.intervals import Meter
from validator.jobs.ledger import Fact
from validator.jobs.lines import MinerLine
from validator.jobs.live import LiveJob
from validator.jobs.models import Job
from validator.jobs.roster import Roster
from validator.receipts.rules import NOTHING, price, used

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms this validator works."""

    validator: Signer
    signers: frozenset[str]
    patience: rules.Patience
    queue_seconds: float
    interval: timedelta
    max_request_age: timedelta
    streaming_images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """A seat that is taken for a job; `started` is None when the offer was made in another life."""

    deal: Deal
    started: Issued | None


def now() -> datetime:
    """The time, as everything here tells it."""
    return datetime.now(UTC)


class Conductor:
    """Follows jobs, each in a task of its caller."""

    def __init__(
        self,
        terms: Terms,
        roster: Roster,
        line: Callable[[str], MinerLine | None],
        diary: Diary,
    ) -> None:
        self._terms = terms
        self._roster = roster
        self._line = line
        self._diary = diary

    async def conduct(self, job: LiveJob, offer: Offer | None) -> None:
        """Give the job to a miner, to another if that declines, until it is over and written."""
        try:
            await self._until_over(job, offer)
        except NotOursError as exc:
            log.warning("job left to another listener", extra={"problem": str(exc)})
        except Exception as exc:
            log.exception("job lost to an error", extra={"job": job.uuid})
            if job.state not in FINAL:
                self._end(job, Fact(JobState.HORDE_FAILED, job.failed(exc), Party.VALIDATOR))
        await self._diary.settled(job.uuid)
        self._diary.over(job.uuid)

    async def _until_over(self, job: LiveJob, offer: Offer | None) -> None:
        give_up = asyncio.get_running_loop().time() + self._terms.queue_seconds
        while job.state not in FINAL:
            if offer is None:
                try:
                    offer = await self._next_offer(job, give_up)
                except (RejectionError, HordeError, Cancelled) as exc:
                    self._end(job, _last_word(job, exc))
                    return
            try:
                await self._with_miner(job, offer)
            finally:
                self._roster.leave(offer.deal.miner, job.request.executor_class)
            offer = None

    def resumed(self, job: LiveJob) -> Offer:
        """The seat of a job that a miner was given in another life of ours."""
        self._roster.occupy(job.miner, job.request.executor_class)
        # Whatever the clock says, the miner gets time to repeat what we missed.
        soon = now() + self._terms.patience.reservation
        job.deadline = max(job.deadline or soon, soon)
        return Offer(self._deal(job, job.miner), None)

    def offer_now(self, job: LiveJob) -> Offer | None:
        """A seat for a new job, if one is free right now."""
        miner = self._roster.take(job.wish)
        return self._agree(job, miner) if miner else None

    async def _next_offer(self, job: LiveJob, give_up: float) -> Offer:
        patience = give_up - asyncio.get_running_loop().time()
        seat = self._roster.seat(job.wish, max(patience, 0))
        miner = await unless_cancelled(job.cancelled, seat)
        with ExitStack() as undoing:
            undoing.callback(self._roster.leave, miner, job.request.executor_class)
            offer = self._agree(job, miner)
            await self._diary.written(job.move(receipts=receipts_of(offer)))
            undoing.pop_all()
        return offer

    def _agree(self, job: LiveJob, miner: str) -> Offer:
        deal = self._deal(job, miner)
        job.miner = miner
        job.deadline = deal.budget.deadline(JobState.RECEIVED, now=now(), previous=None)
        return Offer(deal, deal.started(now()))

    def _deal(self, job: LiveJob, miner: str) -> Deal:
        return Deal(
            job.request,
            miner,
            self._terms.validator,
            rules.budget(job.request, self._terms.patience),
            is_organic=True,
            began=job.accepted_at,
        )

    async def _with_miner(self, job: LiveJob, offer: Offer) -> None:
        line, executor_class = self._line(offer.deal.miner), job.request.executor_class
        if line is None and offer.started is None:
            self._miner_left(job, offer.deal)
            return
        try:
            if line is None:
                raise LineLost("the miner left the subnet")
            steps = converse(
                offer.deal,
                line,
                now=now,
                started=offer.started,
                state=job.state,
                # The time to answer an offer counts from when it is made.
                deadline=None if offer.started else job.deadline,
                cancelled=job.cancelled,
            )
            meter = self._meter(job, offer.deal, line)
            async with aclosing(steps), meter.running():
                async for step in steps:
                    meter.heed(step)
                    self._heed(job, offer.deal, step)
        except LineLost as exc:
            log.info("offer not made", extra={"job": job.uuid, "problem": str(exc)})
            self._roster.rest(offer.deal.miner, executor_class)
            return
        if job.state in FINAL:
            await self._settle(job, line)

    def _meter(self, job: LiveJob, deal: Deal, line: MinerLine) -> Meter:
        async def record(issued: Issued) -> None:
            self._diary.hear(job.kind, job.move(receipts=(issued,)))
            await self._diary.settled(job.uuid)

        return Meter(
            job.worked,
            deal,
            line,
            limit=_price(job),
            length=self._terms.interval,
            now=now,
            record=record,
        )

    def _heed(self, job: LiveJob, deal: Deal, step: Step) -> None:
        """One step of the conversation: remember it, or go on to another miner."""
        if not step.moved:
            return
        if isinstance(step.message, JobDeclined):
            self._declined(job, deal.miner, step.message)
            return
        job.deadline = step.deadline
        receipts: tuple[Issued, ...] = ()
        if isinstance(step.message, JobAccepted):
            receipts = (deal.accepted(now()),)
            job.accepted_at = deal.began
            self._roster.rested(deal.miner, job.request.executor_class)
        if step.state in FINAL:
            job.closing = deal.finished(_score(job, step, deal.began), now())
            receipts = (job.closing,)
        fact = Fact(step.state, step.message, step.said_by)
        self._diary.hear(job.kind, job.move(fact, receipts=receipts))

    def _miner_left(self, job: LiveJob, deal: Deal) -> None:
        """It was offered the job in another life, so nobody else may be given it."""
        text = f"The miner {deal.miner} left the subnet with the job"
        fact = job.ending(HordeError(HordeReason.MINER_CONNECTION_FAILED, text))
        receipts = (deal.finished(job.worked.earned, now()),)
        self._diary.hear(job.kind, job.move(fact, receipts=receipts))

    def _declined(self, job: LiveJob, miner: str, declined: JobDeclined) -> None:
        log.info("job declined", extra={"job": job.uuid, "miner": miner, "why": declined.reason})
        if declined.reason is RejectionReason.BUSY:
            self._roster.rest(miner, job.request.executor_class)
        else:
            job.shunned.add(miner)
            job.last_decline = declined

    def _end(self, job: LiveJob, fact: Fact) -> None:
        """Our own verdict on a job that no miner has."""
        self._diary.hear(job.kind, job.move(fact))

    async def _settle(self, job: LiveJob, line: MinerLine) -> None:
        """Pay, once it is written: a miner that misses this repeats itself and is reminded."""
        if await self._diary.settled(job.uuid):
            told = job.closing and as_message(job.closing)
        else:
            told = await in_database(queries.finished_receipt, job.uuid, job.miner)
        if told:
            await say_if_there(line, told)


def receipts_of(offer: Offer | None) -> tuple[Issued, ...]:
    return (offer.started,) if offer and offer.started else ()


def _last_word(job: LiveJob, problem: RejectionError | HordeError | Cancelled) -> Fact:
    """A miner's own refusal says more than that no other miner is left."""
    if job.last_decline and isinstance(problem, RejectionError):
        return Fact(JobState.REJECTED, job.last_decline, Party.MINER)
    return job.ending(problem)


def _score(job: LiveJob, step: Step, began: datetime | None) -> Decimal:
    """All of it when it is done; of what broke off, what was worked and accounted for."""
    if isinstance(step.message, JobFinished):
        return _price(job)
    if step.state is JobState.CANCELLED and job.kind is Job.Kind.ORGANIC:
        until = job.cancelled_at or now()
        return max(used(job.request, began=began, until=until), job.worked.earned)
    return job.worked.earned


def _price(job: LiveJob) -> Decimal:
    return price(job.request) if job.kind is Job.Kind.ORGANIC else NOTHING
