"""Runs all attempts of a batch at once in one event loop, each with its own deadlines.

Nothing is written to the database while a clock runs: outcomes stay in memory, bounded by what
`attempts.shortened` keeps, and are written when the last attempt has ended. Writing while others
are measured would delay their clocks, and a crash loses the running batch either way.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from time import monotonic

from compute_horde.adapters.websocket import ConnectionLostError
from compute_horde.concurrency.task_set import TaskSet
from compute_horde.deadlines import Budget
from compute_horde.errors import HordeError
from compute_horde.failure_messages import failure
from compute_horde.faults import Culprit
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.job import JobDeclined, JobFinished, StreamingReady
from compute_horde.protocol.message import JobMessage
from compute_horde.receipts import JobFinishedReceipt
from compute_horde.signing import Signer
from compute_horde.steady_clock import steady_now
from compute_horde.vocabulary import HordeReason, JobState, Party, RejectionReason, Stage
from validator.jobs.conversation import (
    OfferNotSentError,
    finished_receipt_message,
    run_conversation,
    send_if_connected,
)
from validator.jobs.rules import ValidatorTiming, budget
from validator.jobs.steps import Step
from validator.jobs.store import Event
from validator.miners.connection import Address, Callbacks
from validator.miners.connections import MinerConnections
from validator.miners.job_connections import NoFreeConnectionError
from validator.synthetic import outcomes
from validator.synthetic.attempts import Attempt, PreparedContract, in_turns, shortened
from validator.synthetic.loop_delay import LoopDelay
from validator.synthetic.outcomes import Outcome
from validator.synthetic.start_signal import StartSignal

log = logging.getLogger(__name__)

BUSY_PAUSE_SECONDS = 1.0
# A miner that is not connected in time is not to blame for it when this process itself was late by
# so many seconds meanwhile.
OWN_DELAY_SECONDS = 0.5
# How long an attempt at a published miner waits until one of its other attempts has ended, when it
# has more of them than it may have connections.
FREE_CONNECTION_SECONDS = 120.0
# After so many signatures, other tasks such as answers to pings get a turn.
SIGNED_AT_ONCE = 50


def now() -> datetime:
    """The wall-clock time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The settings of a batch.

    `connect_seconds` is how long connections may take before the first offer, `busy_seconds` how
    long a busy miner is offered a job again.
    """

    validator: Signer
    timing: ValidatorTiming
    connect_seconds: float
    busy_seconds: float


class BatchRun:
    """Connects to all miners for one batch and runs its attempts.

    Offers are signed before the first one is sent. Then every conversation begins in its turn, and
    none waits for another one.
    """

    def __init__(self, settings: RunSettings, miners: Iterable[Address]) -> None:
        self._settings = settings
        self._miners = list(miners)
        self.loop_delay = LoopDelay()
        self._connecting_since = monotonic()
        # Attempts that have not got their connection yet, nor failed to.
        self._not_ready = 0
        self._all_ready = asyncio.Event()
        self._start = asyncio.Event()
        self._streaming = StartSignal(0)
        self._driving = TaskSet()
        self._connections = MinerConnections(
            settings.validator,
            absence_seconds=settings.timing.reservation.total_seconds(),
            callbacks=Callbacks(),
            free_seconds=FREE_CONNECTION_SECONDS,
        )

    async def connect(self) -> None:
        """Connect to all miners; those that are not connected in time are left behind."""
        self._connecting_since = monotonic()
        self.loop_delay.start()
        self._connections.serve(self._miners)
        found = [self._connections.connection(miner.hotkey) for miner in self._miners]
        seconds = self._settings.connect_seconds
        await asyncio.gather(*(one.wait(seconds) for one in found if one))

    async def run_all(self, attempts: Iterable[Attempt]) -> None:
        """Offer every job; each attempt ends with an outcome, even after an error.

        Published miners get a connection for each job, which is opened before the first offer. A
        connection that takes longer than `connect_seconds` gets its offer when it is open.
        """
        ordered = list(in_turns(attempts))
        contracts = [self._contract(attempt) for attempt in ordered]
        self._not_ready = len(ordered)
        self._streaming = StartSignal(
            sum(one.request.streaming_details is not None for one in ordered)
        )
        async with TaskSet() as tasks:
            for attempt, contract in zip(ordered, contracts, strict=True):
                tasks.spawn(self._attempt(attempt, contract))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.connect_seconds):
                    await self._all_ready.wait()
            await _sign_offers(contracts)
            self.loop_delay.start()
            self._start.set()
            await tasks.wait()
        await self._driving.cancel()
        self.loop_delay.stop()

    async def send_receipts(self, attempts: Sequence[Attempt]) -> None:
        """Send the finished receipts, once they are stored; a job that failed here has none."""
        for attempt in attempts:
            connection = self._connections.connection(attempt.executor.hotkey)
            last = attempt.receipts[-1] if attempt.receipts else None
            if connection and last and isinstance(last.payload, JobFinishedReceipt):
                await send_if_connected(connection, finished_receipt_message(last))

    async def close(self) -> None:
        """Close all connections."""
        await self._driving.cancel()
        await self._connections.close()

    async def _attempt(self, attempt: Attempt, contract: PreparedContract) -> None:
        try:
            await self._run_to_end(attempt, contract)
        except Exception as exc:
            log.exception("attempt failed by an error", extra={"job": attempt.request.uuid})
            self._give_up(attempt, exc)
        self._streaming.arrive(attempt.request.uuid)
        attempt.times.finished = attempt.times.finished or steady_now()
        if attempt.times.offered:
            took = (steady_now() - attempt.times.offered).total_seconds()
            attempt.loop_delay = self.loop_delay.worst_until_now(monotonic() - took)

    async def _run_to_end(self, attempt: Attempt, contract: PreparedContract) -> None:
        """Offer the job until it is accepted; a busy miner is asked again for a while."""
        while attempt.state not in FINAL:
            try:
                declined = await self._offer(attempt, contract)
            except NoFreeConnectionError as exc:
                self._set_ready(attempt)
                self._give_up(attempt, HordeError(HordeReason.GENERIC_ERROR, str(exc)))
                attempt.blamed = Culprit.NOBODY
                return
            except (ConnectionLostError, OfferNotSentError) as exc:
                self._set_ready(attempt)
                self._give_up(attempt, HordeError(HordeReason.MINER_CONNECTION_FAILED, str(exc)))
                return
            if declined is None:
                return
            if not self._may_retry(attempt, declined):
                attempt.declined_at = contract.offered_at
                self._end(attempt, declined, JobState.REJECTED, Party.MINER)
                return
            await asyncio.sleep(BUSY_PAUSE_SECONDS)
            contract = self._contract(attempt)

    def _may_retry(self, attempt: Attempt, declined: JobDeclined) -> bool:
        """Whether a busy miner is asked again."""
        assert attempt.times.offered is not None  # noqa: S101
        waited = steady_now() - attempt.times.offered
        next_seconds = waited.total_seconds() + BUSY_PAUSE_SECONDS
        return (
            declined.reason is RejectionReason.BUSY
            and next_seconds <= self._settings.busy_seconds
            # A published miner closes the connection over a job it was offered before.
            and not self._connections.is_published(attempt.executor.hotkey)
        )

    def _set_ready(self, attempt: Attempt) -> None:
        """Count an attempt as one that waits for the start, or that failed before it."""
        if attempt.times.offered is None:
            self._not_ready -= 1
            if self._not_ready <= 0:
                self._all_ready.set()

    async def _offer(self, attempt: Attempt, contract: PreparedContract) -> JobDeclined | None:
        connection = self._connections.connection(attempt.executor.hotkey)
        if connection is None:
            raise OfferNotSentError("there is no connection to the miner")
        async with self._connections.connection_for_offer(connection) as own:
            self._set_ready(attempt)
            if self._start.is_set():
                contract.prepare_offer(now())
            await self._start.wait()
            started = contract.started
            assert started is not None  # noqa: S101
            contract.offered_at = started.payload.timestamp
            attempt.receipts = [started]
            attempt.times.offered = attempt.times.offered or steady_now()
            steps = run_conversation(
                contract,
                own,
                now=now,
                started=started,
                lateness=partial(self.loop_delay.lateness, monotonic()),
            )
            async with aclosing(steps):
                async for step in steps:
                    if isinstance(step.message, JobDeclined) and step.has_changed_state:
                        return step.message
                    self._handle_step(attempt, contract, step)
        return None

    def _handle_step(self, attempt: Attempt, contract: PreparedContract, step: Step) -> None:
        if not step.has_changed_state:
            return
        match step.state:
            case JobState.ACCEPTED:
                attempt.times.accepted = steady_now()
                attempt.receipts.append(contract.sign_accepted_receipt(now()))
                attempt.accepted_at = contract.began
            case JobState.EXECUTOR_READY:
                attempt.times.ready = steady_now()
            case JobState.VOLUMES_READY:
                attempt.times.started = steady_now()
            case JobState.STREAMING_READY:
                self._streaming.arrive(attempt.request.uuid)
                if isinstance(step.message, StreamingReady):
                    self._driving.spawn(self._streaming.drive(attempt, step.message))
        if step.state in FINAL:
            self._end(attempt, step.message, step.state, step.sent_by)
            score = Decimal(attempt.points)
            attempt.receipts.append(contract.sign_finished_receipt(score, now()))
        else:
            self._note(attempt, step.message, step.state, step.sent_by)

    def _end(self, attempt: Attempt, message: JobMessage, state: JobState, sent_by: Party) -> None:
        """Set the outcome of an attempt, and keep its final message."""
        attempt.times.finished = steady_now()
        if isinstance(message, JobFinished):
            seconds = self._seconds(attempt)
            verdict = attempt.kind.verify(attempt.prepared, message, seconds)
            attempt.outcome = Outcome.CORRECT if verdict.points else Outcome.WRONG_ANSWER
            attempt.points, attempt.reason = verdict.points, verdict.reason
            attempt.metrics = dict(verdict.metrics)
            attempt.blamed = outcomes.blamed_for_answer(attempt.outcome)
        else:
            ended = outcomes.of_failure(message, sent_by)
            attempt.outcome, attempt.reason = ended.outcome, ended.reason
            attempt.blamed = ended.blamed
        self._note(attempt, message, state, sent_by)

    def _seconds(self, attempt: Attempt) -> float:
        """The miner's time from the full job to the result, without delays of this process."""
        times = attempt.times
        assert times.ready is not None  # noqa: S101
        assert times.finished is not None  # noqa: S101
        took = (times.finished - times.ready).total_seconds()
        return max(took - self.loop_delay.worst_until_now(monotonic() - took), 0.0)

    def _note(self, attempt: Attempt, message: JobMessage, state: JobState, sent_by: Party) -> None:
        attempt.state = state
        attempt.events.append(Event(state, shortened(message), sent_by))

    def _give_up(self, attempt: Attempt, error: Exception) -> None:
        final_message = failure(
            error,
            job_uuid=attempt.request.uuid,
            seen_by=Party.VALIDATOR,
            during=Stage.EXECUTOR_STARTUP,
        )
        if attempt.state not in FINAL:
            self._end(attempt, final_message, JobState.HORDE_FAILED, Party.VALIDATOR)
            late = self.loop_delay.worst_until_now(self._connecting_since)
            if attempt.times.offered is None and late >= OWN_DELAY_SECONDS:
                attempt.blamed = Culprit.NOBODY
                attempt.reason = f"this validator was {late:.1f} s late itself: {attempt.reason}"

    def _contract(self, attempt: Attempt) -> PreparedContract:
        return PreparedContract(
            attempt.request,
            attempt.executor.hotkey,
            self._settings.validator,
            _longer(budget(attempt.request, self._settings.timing), attempt.time_factor),
            is_organic=False,
        )


async def _sign_offers(contracts: Sequence[PreparedContract]) -> None:
    for number, contract in enumerate(contracts):
        contract.prepare_offer(now())
        if number % SIGNED_AT_ONCE == 0:
            await asyncio.sleep(0)


def _longer(limits: Budget, factor: int) -> Budget:
    """The time limits with those parts multiplied that the validator sets itself."""
    return replace(
        limits,
        reservation=limits.reservation * factor,
        startup=limits.startup + limits.spin_up * (factor - 1),
    )


def offers_took(attempts: Iterable[Attempt]) -> timedelta:
    """The time between the first offer of a batch and the last."""
    moments = [one.times.offered for one in attempts if one.times.offered]
    return max(moments) - min(moments) if moments else timedelta(0)
