"""Runs all puzzles of a batch at once in one event loop, with the protocol of users' jobs."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from compute_horde.adapters.websocket import ConnectionLostError
from compute_horde.errors import HordeError
from compute_horde.failure_messages import failure
from compute_horde.hardware import ExecutorClass
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.job import JobDeclined, JobRequested
from compute_horde.protocol.message import JobMessage
from compute_horde.receipts import JobFinishedReceipt
from compute_horde.signing import Signer
from compute_horde.vocabulary import HordeReason, JobState, Party, RejectionReason, Stage
from validator.jobs.conversation import (
    MinerContract,
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
from validator.receipts.signing import SignedReceipt
from validator.synthetic import rules
from validator.synthetic.rules import Cost, Task

log = logging.getLogger(__name__)

BUSY_PAUSE_SECONDS = 1.0


def now() -> datetime:
    """The wall-clock time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The settings of a batch.

    `manifest_seconds` is how long manifests are awaited, `busy_seconds` how long a busy miner is
    offered a puzzle again, and `max_per_class` how many executors of a class count.
    """

    validator: Signer
    timing: ValidatorTiming
    cost: Cost
    manifest_seconds: float
    busy_seconds: float
    max_per_class: int


@dataclass
class Attempt:
    """The attempt of a miner at one puzzle: its job, events, receipts and verdict."""

    task: Task
    request: JobRequested
    state: JobState = JobState.RECEIVED
    verdict: str = ""
    events: list[Event] = field(default_factory=list)
    receipts: list[SignedReceipt] = field(default_factory=list)
    accepted_at: datetime | None = None

    @property
    def points(self) -> int:
        """The points that it earned."""
        return rules.points(self.verdict)


class BatchRun:
    """Connects to all miners for one batch and runs its puzzles."""

    def __init__(self, settings: RunSettings, miners: Iterable[Address]) -> None:
        self._settings = settings
        self._miners = list(miners)
        self._manifests: dict[str, dict[ExecutorClass, int]] = {}
        callbacks = Callbacks(on_manifest=self._on_manifest)
        self._connections = MinerConnections(
            settings.validator,
            absence_seconds=settings.timing.reservation.total_seconds(),
            callbacks=callbacks,
        )

    async def manifests(self) -> dict[str, dict[ExecutorClass, int]]:
        """Connect to all miners; return the manifests of those that answer in time."""
        self._connections.serve(self._miners)
        connections = [self._connections.connection(miner.hotkey) for miner in self._miners]
        await asyncio.gather(
            *(
                connection.wait(self._settings.manifest_seconds)
                for connection in connections
                if connection
            )
        )
        return dict(self._manifests)

    async def run_all(self, attempts: Iterable[Attempt]) -> None:
        """Offer every puzzle at once; each attempt ends with a verdict, even after an error."""
        await asyncio.gather(*(self._attempt(attempt) for attempt in attempts))

    async def send_receipts(self, attempts: Iterable[Attempt]) -> None:
        """Send the finished receipts, once they are stored; a job that failed here has none."""
        for attempt in attempts:
            connection = self._connections.connection(attempt.task.hotkey)
            last = attempt.receipts[-1] if attempt.receipts else None
            if connection and last and isinstance(last.payload, JobFinishedReceipt):
                await send_if_connected(connection, finished_receipt_message(last))

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    def _on_manifest(self, hotkey: str, manifest: Manifest) -> None:
        self._manifests[hotkey] = dict(manifest.manifest)

    async def _attempt(self, attempt: Attempt) -> None:
        try:
            await self._run_to_end(attempt)
        except Exception as exc:
            log.exception("puzzle failed by an error", extra={"job": attempt.request.uuid})
            self._give_up(attempt, exc)
        final_message = attempt.events[-1].message
        assert isinstance(final_message, JobMessage)  # noqa: S101
        attempt.verdict = rules.verdict(attempt.task, self._settings.cost, final_message)

    async def _run_to_end(self, attempt: Attempt) -> None:
        """Offer the puzzle until it is accepted; a busy miner is asked again for a while."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._settings.busy_seconds
        while attempt.state not in FINAL:
            contract = self._contract(attempt)
            try:
                declined = await self._offer(attempt, contract)
            except (ConnectionLostError, OfferNotSentError) as exc:
                self._give_up(attempt, HordeError(HordeReason.MINER_CONNECTION_FAILED, str(exc)))
                return
            if declined is None:
                return
            # A published miner closes the connection over a job it was offered before.
            may_retry = (
                declined.reason is RejectionReason.BUSY
                and not self._connections.is_published(attempt.task.hotkey)
            )
            if not may_retry or loop.time() + BUSY_PAUSE_SECONDS > give_up:
                self._note(attempt, rules.shortened(declined), JobState.REJECTED, Party.MINER)
                return
            await asyncio.sleep(BUSY_PAUSE_SECONDS)

    async def _offer(self, attempt: Attempt, contract: MinerContract) -> JobDeclined | None:
        connection = self._connections.connection(attempt.task.hotkey)
        if connection is None:
            raise OfferNotSentError("there is no connection to the miner")
        async with self._connections.connection_for_offer(connection) as own:
            started = contract.sign_started_receipt(now())
            steps = run_conversation(contract, own, now=now, started=started)
            attempt.receipts = [started]
            async with aclosing(steps):
                async for step in steps:
                    if isinstance(step.message, JobDeclined) and step.has_changed_state:
                        return step.message
                    self._handle_step(attempt, contract, step)
        return None

    def _handle_step(self, attempt: Attempt, contract: MinerContract, step: Step) -> None:
        if not step.has_changed_state:
            return
        message = rules.shortened(step.message)
        if step.state is JobState.ACCEPTED:
            attempt.receipts.append(contract.sign_accepted_receipt(now()))
            attempt.accepted_at = contract.began
        if step.state in FINAL:
            verdict = rules.verdict(attempt.task, self._settings.cost, message)
            attempt.receipts.append(
                contract.sign_finished_receipt(Decimal(rules.points(verdict)), now())
            )
        self._note(attempt, message, step.state, step.sent_by)

    def _note(self, attempt: Attempt, message: JobMessage, state: JobState, sent_by: Party) -> None:
        attempt.state = state
        attempt.events.append(Event(state, message, sent_by))

    def _give_up(self, attempt: Attempt, error: Exception) -> None:
        final_message = failure(
            error,
            job_uuid=attempt.request.uuid,
            seen_by=Party.VALIDATOR,
            during=Stage.EXECUTOR_STARTUP,
        )
        self._note(attempt, final_message, JobState.HORDE_FAILED, Party.VALIDATOR)

    def _contract(self, attempt: Attempt) -> MinerContract:
        return MinerContract(
            attempt.request,
            attempt.task.hotkey,
            self._settings.validator,
            budget(attempt.request, self._settings.timing),
            is_organic=False,
        )
