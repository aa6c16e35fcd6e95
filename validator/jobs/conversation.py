"""The messages that a miner is sent in the course of one job."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from compute_horde.adapters.websocket import ConnectionLostError
from compute_horde.deadlines import timing_of
from compute_horde.errors import ComputeHordeError
from compute_horde.hardware import PROMISES
from compute_horde.protocol.job import (
    ExecutorReady,
    JobAccepted,
    JobOffered,
    JobPayload,
    StreamingReady,
)
from compute_horde.protocol.message import JobMessage, Message
from compute_horde.protocol.receipt import AcceptedReceiptIssued, FinishedReceiptIssued
from compute_horde.receipts import JobFinishedReceipt
from compute_horde.steady_clock import steady_now
from compute_horde.vocabulary import GpuPreset, JobState
from validator.jobs import rules
from validator.jobs.cancellation import CancellableListener
from validator.jobs.steps import Clock, Lateness, Step, job_steps, never_late
from validator.miners.connection import MinerConnection
from validator.receipts.signing import JobReceiptSigner, SignedReceipt

PUBLISHED_TIMEOUT_SECONDS = 300


class OfferNotSentError(ComputeHordeError):
    """A job is not offered to a miner: it left the subnet, or was offered the job before."""


@dataclass
class MinerContract(JobReceiptSigner):
    """One job at one miner: its time budget, the messages about it, and its receipts."""

    def offer(self, started: SignedReceipt) -> JobOffered:
        """The offer of the job; it holds the volume, so the payload has none."""
        return JobOffered(
            job_uuid=self.job.uuid,
            executor_class=self.job.executor_class,
            docker_image=self.job.docker_image,
            timeout_seconds=PUBLISHED_TIMEOUT_SECONDS,
            volume=self.job.volume,
            job_started_receipt_payload=started.payload,
            job_started_receipt_signature=started.signature,
            streaming_details=self.job.streaming_details,
            executor_timing=timing_of(self.job, leeway=self.budget.leeway),
        ).signed(self.validator)

    def payload(self) -> JobPayload:
        """The full description of the job, sent when its executor is ready."""
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

    def check_message(self, message: JobMessage) -> JobMessage:
        """Check a message of the miner; add the validator's proof to `StreamingReady`.

        Raises `HordeError` when the miner's signature of the streaming address is wrong.
        """
        if isinstance(message, StreamingReady):
            return rules.with_streaming_proof(message, self.job, self.miner, self.validator)
        return message

    def answer(self, step: Step, now: datetime, *, again: bool = True) -> Message | None:
        """The answer to send after a step; a repeated message is answered again.

        With `again` false a receipt is not sent twice: a published miner closes the connection
        when it gets a second one.
        """
        match step.message:
            case JobAccepted() if step.has_changed_state or again:
                receipt = self.sign_accepted_receipt(now)
                return AcceptedReceiptIssued(payload=receipt.payload, signature=receipt.signature)
            case ExecutorReady() if step.state is JobState.EXECUTOR_READY:
                return self.payload()
            case _:
                return None


async def run_conversation(
    contract: MinerContract,
    connection: MinerConnection,
    *,
    now: Clock,
    started: SignedReceipt | None = None,
    state: JobState = JobState.RECEIVED,
    deadline: datetime | None = None,
    cancelled: asyncio.Event | None = None,
    lateness: Lateness = never_late,
) -> AsyncGenerator[Step, None]:
    """Offer the job and yield every step until it ends; without `started`, resume in `state`.

    Once `cancelled` is set, the miner is asked to end the job. Each deadline is extended by
    `lateness`.

    Raises:
        ConnectionLostError: the offer could not be sent. After that, `MinerConnection` reconnects
            by itself.
    """
    with connection.inbox(contract.job.uuid) as receive:
        listen = CancellableListener(
            contract.job.uuid, connection, contract.validator, cancelled, receive
        )
        if started is not None:
            await connection.send(contract.offer(started))

        async def receive_checked() -> JobMessage:
            return contract.check_message(await listen())

        steps = job_steps(
            contract.job.uuid,
            receive_checked,
            contract.budget,
            now=steady_now,
            state=state,
            deadline=deadline,
            lateness=lateness,
        )
        async with aclosing(steps):
            async for step in steps:
                if reply := contract.answer(step, now(), again=bool(connection.extensions)):
                    await send_if_connected(connection, reply)
                yield step


async def send_if_connected(connection: MinerConnection, message: Message) -> None:
    """Send a message, or drop it: a miner that reconnects repeats what it waits for."""
    try:
        await connection.send(message)
    except ConnectionLostError:
        return


def finished_receipt_message(receipt: SignedReceipt) -> FinishedReceiptIssued:
    """The message that carries a job finished receipt."""
    assert isinstance(receipt.payload, JobFinishedReceipt)  # noqa: S101
    return FinishedReceiptIssued(payload=receipt.payload, signature=receipt.signature)
