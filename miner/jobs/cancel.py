"""A validator wants its job ended: the executor ends it, or else we do."""

import asyncio
import logging
from dataclasses import replace

from compute_horde.django.database import in_database
from compute_horde.errors import Cancelled, ProtocolError, RejectionError
from compute_horde.protocol.extensions import CancelOrdered
from miner.jobs import ledger, rules
from miner.jobs.actions import Desk
from miner.jobs.live import LiveJob
from miner.jobs.relay import Ear

log = logging.getLogger(__name__)

# The validator waits a little longer.
EXECUTOR_SECONDS = 3.0


async def obey(desk: Desk, ordered: CancelOrdered, raw: str, validator: str, ear: Ear) -> None:
    """End a job of this validator, who signed that it wants this; harmless to repeat."""
    try:
        rules.check_signature(raw, validator, replace(desk.terms, require_signature=True))
    except RejectionError as no:
        raise ProtocolError(f"CancelJobRequest refused, {no}") from no
    job = desk.floor[ordered.job_uuid]
    if job is None:
        await _say_again(ordered.job_uuid, validator, ear)
        return
    if job.validator != validator:
        raise _unknown(ordered.job_uuid)
    job.ear = ear
    if not job.cancelled:
        job.cancelled = True
        await _end(desk, job, ordered)


async def _end(desk: Desk, job: LiveJob, ordered: CancelOrdered) -> None:
    """Let the executor do it, which knows what the job printed, unless it is not there yet."""
    executor = job.executor
    log.info("job cancelled", extra={"job": job.uuid, "executor": executor and executor.id})
    if executor and executor.line:
        desk.pool.say(executor, ordered)
        await asyncio.sleep(EXECUTOR_SECONDS)
    await desk.floor.end(job, Cancelled())


async def _say_again(uuid: str, validator: str, ear: Ear) -> None:
    """The job is over already; the validator may not have heard how it ended."""
    row = await in_database(ledger.seen, uuid)
    if row is None or row.validator_hotkey != validator:
        raise _unknown(uuid)
    for text in await in_database(ledger.facts_of, uuid):
        ear.tell(text, uuid)


def _unknown(uuid: str) -> ProtocolError:
    return ProtocolError(f"Received CancelJobRequest for unknown job_uuid: {uuid}")
