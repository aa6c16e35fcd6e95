"""Periodic checks: close silent connections, fail stuck jobs, delete old rows."""

import asyncio
import logging
from datetime import timedelta

from django.utils import timezone

from compute_horde.django.database import in_database
from compute_horde.vocabulary import JobState
from facilitator.accounts.auth import NONCE_SECONDS
from facilitator.config import config
from facilitator.jobs import status_reports, store, validator_connections
from facilitator.jobs.rules import abandoned_report
from facilitator.jobs.store import StuckJob
from facilitator.jobs.validator_connections import connections

log = logging.getLogger(__name__)

CHECK_SECONDS = 10.0
EVICT_SECONDS = 600.0


async def run() -> None:
    """Check every `CHECK_SECONDS` and evict every `EVICT_SECONDS`, until cancelled."""
    loop = asyncio.get_running_loop()
    evict_at = loop.time()
    while True:
        try:
            await check()
            if loop.time() >= evict_at:
                evict_at = loop.time() + EVICT_SECONDS
                await evict()
        except Exception:
            log.exception("periodic check failed; it is repeated")
        await asyncio.sleep(CHECK_SECONDS)


async def check() -> None:
    """Close silent or unwanted connections, and fail jobs that cannot end any more."""
    known = await in_database(store.validators)
    await validator_connections.close_stale(
        {one.hotkey for one in connections.all() if not known.get(one.hotkey)}
    )
    grace_period = config.absence_seconds
    if connections.uptime_seconds() < grace_period:
        # Validators disconnected by our own restart may still reconnect and report.
        return
    absent = [hotkey for hotkey in known if connections.absent_seconds(hotkey) > grace_period]
    stuck = await in_database(
        store.find_stuck_jobs,
        absent=absent,
        now=timezone.now(),
        grace_period=timedelta(seconds=grace_period),
    )
    for job in stuck:
        log.warning("job given up", extra={"job": job.uuid, "validator": job.validator})
        status_reports.enqueue(
            job.validator, abandoned_report(job.uuid, job.state, give_up_reason(job))
        )


def give_up_reason(job: StuckJob) -> str:
    """The error text that the user reads of a stuck job."""
    away = connections.absent_seconds(job.validator)
    if away > (0 if job.state is JobState.SENT else config.absence_seconds):
        return f"validator {job.validator} has not been connected for {away:.0f} s"
    if job.state is JobState.SENT:
        return f"validator {job.validator} did not take the job"
    return f"validator {job.validator} reported no end in all the time the job may take"


async def evict(keep: timedelta | None = None) -> int:
    """Delete jobs older than `keep` (default: `keep_days`) and old nonces; the number of jobs."""
    keep = keep or timedelta(days=config.keep_days)
    nonces = timedelta(seconds=NONCE_SECONDS)
    total = 0
    # Batch by batch, so that the database threads serve users in between.
    while deleted := await in_database(
        store.evict, now=timezone.now(), keep=keep, keep_nonces=nonces
    ):
        total += deleted
    if total:
        log.info("old rows evicted", extra={"jobs": total})
    return total
