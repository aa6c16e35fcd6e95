"""What must be looked at now and then: silent connections, jobs nobody ends, old rows."""

import asyncio
import logging
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from compute_horde.django.database import in_database
from compute_horde.vocabulary import JobState
from facilitator import actions, reports, switchboard
from facilitator.actions import Stuck
from facilitator.login import NONCE_SECONDS
from facilitator.rules import given_up
from facilitator.switchboard import switchboard as board

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
EVICT_SECONDS = 600.0


async def watch() -> None:
    """Look around for ever."""
    loop = asyncio.get_running_loop()
    evict_at = loop.time()
    while True:
        try:
            await look()
            if loop.time() >= evict_at:
                evict_at = loop.time() + EVICT_SECONDS
                await evict()
        except Exception:
            log.exception("could not look around")
        await asyncio.sleep(LOOK_SECONDS)


async def look() -> None:
    """End connections and jobs that nothing more will come of."""
    known = await in_database(actions.validators)
    await switchboard.hang_up_on({one.hotkey for one in board.all() if not known.get(one.hotkey)})
    patience = settings.ABSENCE_SECONDS
    if board.age() < patience:
        # Who was cut off by our own absence may still report.
        return
    absent = [hotkey for hotkey in known if board.absent_for(hotkey) > patience]
    stuck = await in_database(
        actions.stuck, absent=absent, now=timezone.now(), patience=timedelta(seconds=patience)
    )
    for job in stuck:
        log.warning("job given up", extra={"job": job.uuid, "validator": job.validator})
        reports.hear(job.validator, given_up(job.uuid, job.state, why(job)))


def why(job: Stuck) -> str:
    """What the user is told of a job we give up."""
    away = board.absent_for(job.validator)
    if away > (0 if job.state is JobState.SENT else settings.ABSENCE_SECONDS):
        return f"validator {job.validator} has not been connected for {away:.0f} s"
    if job.state is JobState.SENT:
        return f"validator {job.validator} did not take the job"
    return f"validator {job.validator} reported no end in all the time the job may take"


async def evict() -> None:
    """Delete what is older than we keep."""
    keep, nonces = timedelta(days=settings.KEEP_DAYS), timedelta(seconds=NONCE_SECONDS)
    while await in_database(actions.evict, now=timezone.now(), keep=keep, keep_nonces=nonces):
        log.info("old jobs deleted")
