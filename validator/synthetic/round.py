"""All puzzles of a batch at once, in one event loop, over the conversation users' jobs use."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from compute_horde.adapters.websocket import LineLost
from compute_horde.blame import failure
from compute_horde.errors import HordeError
from compute_horde.hardware import ExecutorClass
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.capacity import Manifest
from compute_horde.protocol.job import HordeFailed, JobDeclined, JobFailed, JobRequested
from compute_horde.protocol.message import JobMessage
from compute_horde.receipts import JobFinishedReceipt
from compute_horde.signing import Signer
from compute_horde.vocabulary import HordeReason, JobState, Party, RejectionReason, Stage
from validator.jobs.conversation import Deal, Issued, as_message, converse, say_if_there
from validator.jobs.drive import Step
from validator.jobs.ledger import Fact
from validator.jobs.lines import Address, Ears
from validator.jobs.rules import Patience, budget
from validator.jobs.switchboard import Switchboard
from validator.synthetic import rules
from validator.synthetic.rules import Cost, Task

log = logging.getLogger(__name__)

BUSY_PAUSE_SECONDS = 1.0


def now() -> datetime:
    """The time, as everything here tells it."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a round is held."""

    validator: Signer
    patience: Patience
    cost: Cost
    manifest_seconds: float
    busy_seconds: float
    most_per_class: int


@dataclass
class Attempt:
    """One puzzle, from the offer to the verdict."""

    task: Task
    request: JobRequested
    state: JobState = JobState.RECEIVED
    verdict: str = ""
    facts: list[Fact] = field(default_factory=list)
    receipts: list[Issued] = field(default_factory=list)
    accepted_at: datetime | None = None

    @property
    def points(self) -> int:
        """What it earned."""
        return rules.points(self.verdict)


class Round:
    """The lines to all miners for as long as a batch lasts."""

    def __init__(self, manner: Manner, miners: Iterable[Address]) -> None:
        self._manner = manner
        self._miners = list(miners)
        self._manifests: dict[str, dict[ExecutorClass, int]] = {}
        ears = Ears(manifest=self._heard)
        self._lines = Switchboard(
            manner.validator,
            absence_seconds=manner.patience.reservation.total_seconds(),
            ears=ears,
        )

    async def manifests(self) -> dict[str, dict[ExecutorClass, int]]:
        """Connect to everybody; what those who answer in time declare."""
        self._lines.serve(self._miners)
        lines = [self._lines.line(miner.hotkey) for miner in self._miners]
        await asyncio.gather(*(line.wait(self._manner.manifest_seconds) for line in lines if line))
        return dict(self._manifests)

    async def play(self, attempts: Iterable[Attempt]) -> None:
        """Offer every puzzle at once; each attempt ends with a verdict, whatever happens."""
        await asyncio.gather(*(self._attempt(attempt) for attempt in attempts))

    async def pay(self, attempts: Iterable[Attempt]) -> None:
        """Send the finished receipts, when they are stored; a job given up on our side has none."""
        for attempt in attempts:
            line = self._lines.line(attempt.task.hotkey)
            last = attempt.receipts[-1] if attempt.receipts else None
            if line and last and isinstance(last.payload, JobFinishedReceipt):
                await say_if_there(line, as_message(last))

    async def close(self) -> None:
        """Hang up."""
        await self._lines.close()

    def _heard(self, hotkey: str, manifest: Manifest) -> None:
        self._manifests[hotkey] = dict(manifest.manifest)

    async def _attempt(self, attempt: Attempt) -> None:
        try:
            await self._until_over(attempt)
        except Exception as exc:
            log.exception("puzzle lost to an error", extra={"job": attempt.request.uuid})
            self._give_up(attempt, exc)
        last_word = attempt.facts[-1].message
        assert isinstance(last_word, JobMessage)  # noqa: S101
        attempt.verdict = rules.verdict(attempt.task, self._manner.cost, last_word)

    async def _until_over(self, attempt: Attempt) -> None:
        """Offer the puzzle until it is taken; a busy miner is asked again for a while."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._manner.busy_seconds
        while attempt.state not in FINAL:
            deal = self._deal(attempt)
            try:
                declined = await self._offer(attempt, deal)
            except LineLost as exc:
                self._give_up(attempt, HordeError(HordeReason.MINER_CONNECTION_FAILED, str(exc)))
                return
            if declined is None:
                return
            busy = declined.reason is RejectionReason.BUSY
            if not busy or loop.time() + BUSY_PAUSE_SECONDS > give_up:
                self._note(attempt, rules.brief(declined), JobState.REJECTED, Party.MINER)
                return
            await asyncio.sleep(BUSY_PAUSE_SECONDS)

    async def _offer(self, attempt: Attempt, deal: Deal) -> JobDeclined | None:
        line = self._lines.line(attempt.task.hotkey)
        if line is None:
            raise LineLost("no line to the miner")
        started = deal.started(now())
        steps = converse(deal, line, now=now, started=started)
        attempt.receipts = [started]
        async with aclosing(steps):
            async for step in steps:
                if isinstance(step.message, JobDeclined) and step.moved:
                    return step.message
                self._heed(attempt, deal, step)
        return None

    def _heed(self, attempt: Attempt, deal: Deal, step: Step) -> None:
        if not step.moved:
            return
        message = rules.brief(step.message)
        if step.state is JobState.ACCEPTED:
            attempt.receipts.append(deal.accepted(now()))
            attempt.accepted_at = deal.began
        if step.state in FINAL:
            verdict = rules.verdict(attempt.task, self._manner.cost, message)
            attempt.receipts.append(deal.finished(Decimal(rules.points(verdict)), now()))
        self._note(attempt, message, step.state, step.said_by)

    def _note(self, attempt: Attempt, message: JobMessage, state: JobState, said_by: Party) -> None:
        attempt.state = state
        attempt.facts.append(Fact(state, message, said_by))

    def _give_up(self, attempt: Attempt, error: Exception) -> None:
        last_word: HordeFailed | JobFailed = failure(
            error,
            job_uuid=attempt.request.uuid,
            seen_by=Party.VALIDATOR,
            during=Stage.EXECUTOR_STARTUP,
        )
        self._note(attempt, last_word, JobState.HORDE_FAILED, Party.VALIDATOR)

    def _deal(self, attempt: Attempt) -> Deal:
        return Deal(
            attempt.request,
            attempt.task.hotkey,
            self._manner.validator,
            budget(attempt.request, self._manner.patience),
            is_organic=False,
        )
