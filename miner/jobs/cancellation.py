"""Cancels a job for its validator: the executor ends it, or else the miner does."""

import asyncio
import logging
from dataclasses import replace

from compute_horde.django.database import in_database
from compute_horde.errors import Cancelled, ProtocolError, RejectionError
from compute_horde.protocol.extensions import CancelOrdered
from miner.jobs import rules, store
from miner.jobs.intake import JobIntake
from miner.jobs.live_job import LiveJob
from miner.jobs.validator_sockets import Parties, ValidatorSocket

log = logging.getLogger(__name__)

# How long the executor may take to end the job; the validator waits a little longer.
EXECUTOR_SECONDS = 3.0


async def cancel(
    intake: JobIntake, order: CancelOrdered, raw: str, validator: str, socket: ValidatorSocket
) -> None:
    """End a job of this validator, which must have signed the order; repeats do nothing."""
    try:
        rules.check_signature(raw, validator, replace(intake.policy, require_signature=True))
    except RejectionError as rejection:
        raise ProtocolError(f"CancelJobRequest refused, {rejection}") from rejection
    job, parties = intake.active_jobs[order.job_uuid], intake.parties(validator)
    if job is None:
        await _repeat_messages(order.job_uuid, parties, socket)
        return
    if job.parties != parties:
        raise _unknown_job(order.job_uuid)
    job.socket = socket
    if not job.is_cancelled:
        job.is_cancelled = True
        await _end(intake, job, order)


async def _end(intake: JobIntake, job: LiveJob, order: CancelOrdered) -> None:
    """Have the executor end the job, so that its output is reported; if not in time, end it."""
    executor = job.executor
    log.info("job cancelled", extra={"job": job.uuid, "executor": executor and executor.id})
    if executor and executor.connection:
        intake.pool.send(executor, order)
        await asyncio.sleep(EXECUTOR_SECONDS)
    await intake.active_jobs.end(job, Cancelled())


async def _repeat_messages(uuid: str, parties: Parties, socket: ValidatorSocket) -> None:
    """Repeat the messages about an ended job, which the validator may have missed."""
    row = await in_database(store.find, uuid)
    if row is None or (row.miner_hotkey, row.validator_hotkey) != parties:
        raise _unknown_job(uuid)
    for text in await in_database(store.messages_of, uuid):
        socket.enqueue(text, uuid)


def _unknown_job(uuid: str) -> ProtocolError:
    return ProtocolError(f"Received CancelJobRequest for unknown job_uuid: {uuid}")
