"""What we say to a miner in the course of one job."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from compute_horde.adapters.websocket import LineLost
from compute_horde.deadlines import Budget, timing_of
from compute_horde.hardware import PROMISES
from compute_horde.protocol.job import (
    ExecutorReady,
    JobAccepted,
    JobOffered,
    JobPayload,
    JobRequested,
    StreamingReady,
)
from compute_horde.protocol.message import JobMessage, Message
from compute_horde.protocol.receipt import AcceptedReceiptIssued, FinishedReceiptIssued
from compute_horde.receipts import AnyPayload, JobFinishedReceipt
from compute_horde.signing import Signer, signed_hex
from compute_horde.vocabulary import GpuPreset, JobState
from validator.jobs import rules
from validator.jobs.cancel import Heeding
from validator.jobs.drive import Clock, Step, drive
from validator.jobs.lines import MinerLine
from validator.receipts import rules as receipts

OLD_TIMEOUT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Issued:
    """A receipt as it was signed."""

    payload: AnyPayload
    signature: str


@dataclass
class Deal:
    """One job with one miner: what was promised, and everything we say about it."""

    job: JobRequested
    miner: str
    validator: Signer
    budget: Budget
    is_organic: bool
    began: datetime | None = None
    _accepted: Issued | None = field(default=None, init=False)

    def started(self, now: datetime) -> Issued:
        """The receipt that goes with the offer."""
        payload = receipts.started(
            self.job,
            miner=self.miner,
            validator=self.validator.ss58_address,
            now=now,
            budget=self.budget,
            is_organic=self.is_organic,
        )
        return self._sign(payload)

    def accepted(self, now: datetime) -> Issued:
        """The receipt for the rest of the job; the same one however often it is asked for."""
        if self._accepted is None:
            self.began = self.began or now
            self._accepted = self._sign(
                receipts.accepted(
                    self.job.uuid,
                    miner=self.miner,
                    validator=self.validator.ss58_address,
                    now=self.began,
                    budget=self.budget,
                )
            )
        return self._accepted

    def interval(
        self, number: int, *, began: datetime, length: timedelta, score: Decimal, now: datetime
    ) -> Issued:
        """The receipt for one interval of work."""
        payload = receipts.interval(
            self.job.uuid,
            miner=self.miner,
            validator=self.validator.ss58_address,
            now=now,
            number=number,
            began=began,
            length=length,
            score=score,
        )
        return self._sign(payload)

    def finished(self, score: Decimal, now: datetime) -> Issued:
        """The receipt that says what the job was worth."""
        payload = receipts.finished(
            self.job.uuid,
            miner=self.miner,
            validator=self.validator.ss58_address,
            now=now,
            began=self.began or now,
            score=score,
        )
        return self._sign(payload)

    def offer(self, started: Issued) -> JobOffered:
        """The reservation; the volume travels along, so that the payload needs none."""
        return JobOffered(
            job_uuid=self.job.uuid,
            executor_class=self.job.executor_class,
            docker_image=self.job.docker_image,
            timeout_seconds=OLD_TIMEOUT_SECONDS,
            volume=self.job.volume,
            job_started_receipt_payload=started.payload,
            job_started_receipt_signature=started.signature,
            streaming_details=self.job.streaming_details,
            executor_timing=timing_of(self.job, leeway=self.budget.leeway),
        ).signed(self.validator)

    def payload(self) -> JobPayload:
        """The job in full."""
        gpu = PROMISES[self.job.executor_class].gpu and self.job.use_gpu
        return JobPayload(
            job_uuid=self.job.uuid,
            executor_class=self.job.executor_class,
            docker_image=self.job.docker_image,
            docker_run_options_preset=GpuPreset.NVIDIA_ALL if gpu else GpuPreset.NONE,
            docker_run_cmd=self.job.args,
            env=self.job.env,
            output_upload=self.job.output_upload,
            artifacts_dir=self.job.artifacts_dir,
        ).signed(self.validator)

    def heard(self, message: JobMessage) -> JobMessage:
        """What the miner said, with our word where the user needs it; `HordeError` if it lies."""
        if isinstance(message, StreamingReady):
            return rules.vouched(message, self.job, self.miner, self.validator)
        return message

    def answer(self, step: Step, now: datetime) -> Message | None:
        """What a step asks us to say. A repeat is answered again: the miner may have missed it."""
        match step.message:
            case JobAccepted():
                issued = self.accepted(now)
                return AcceptedReceiptIssued(payload=issued.payload, signature=issued.signature)
            case ExecutorReady() if step.state is JobState.EXECUTOR_READY:
                return self.payload()
            case _:
                return None

    def _sign(self, payload: AnyPayload) -> Issued:
        return Issued(payload, signed_hex(self.validator, payload.blob()))


async def converse(
    deal: Deal,
    line: MinerLine,
    *,
    now: Clock,
    started: Issued | None = None,
    state: JobState = JobState.RECEIVED,
    deadline: datetime | None = None,
    cancelled: asyncio.Event | None = None,
) -> AsyncGenerator[Step, None]:
    """Offer the job, or with no `started` listen on where we were; yield steps to the end.

    `LineLost` means that the offer could not be made; later losses are the line's to mend. Once
    `cancelled` is set, the end is near.
    """
    with line.inbox(deal.job.uuid) as heard:
        listen = Heeding(deal.job.uuid, line, deal.validator, cancelled or asyncio.Event(), heard)
        if started is not None:
            await line.say(deal.offer(started))

        async def listen_well() -> JobMessage:
            return deal.heard(await listen())

        steps = drive(
            deal.job.uuid, listen_well, deal.budget, now=now, state=state, deadline=deadline
        )
        async with aclosing(steps):
            async for step in steps:
                if reply := deal.answer(step, now()):
                    await say_if_there(line, reply)
                yield step


async def say_if_there(line: MinerLine, message: Message) -> None:
    """Say it now, or leave it: a miner that comes back repeats what it waits for."""
    try:
        await line.say(message)
    except LineLost:
        return


def as_message(issued: Issued) -> FinishedReceiptIssued:
    """The end of a job as the miner hears it."""
    assert isinstance(issued.payload, JobFinishedReceipt)  # noqa: S101
    return FinishedReceiptIssued(payload=issued.payload, signature=issued.signature)
