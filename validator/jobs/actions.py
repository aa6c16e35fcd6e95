"""What is done to jobs from outside the listener: by operators, by time, by reports."""

import logging
from uuid import uuid4

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from compute_horde.django.job_record import notify
from compute_horde.errors import BadSignature
from compute_horde.lifecycle import FINAL
from compute_horde.protocol.job import CheatReported, JobRequested
from compute_horde.vocabulary import JobState
from validator.jobs.models import AllowedSigner, Job

log = logging.getLogger(__name__)

CHANNEL = "validator_jobs"


def order(request: JobRequested, *, miner: str) -> Job:
    """An operator's own job: stored, and the listener told, in one transaction."""
    with transaction.atomic():
        job = Job.objects.create(
            uuid=request.uuid,
            state=JobState.RECEIVED,
            kind=Job.Kind.ADMIN,
            executor_class=request.executor_class,
            docker_image=request.docker_image,
            spec=request.encode(),
            wanted_miner=miner,
        )
        notify(CHANNEL, request.uuid)
    return job


def cancel(uuid: str) -> bool:
    """Have the listener end a job; False when it has ended already."""
    with transaction.atomic():
        going_on = Job.objects.filter(pk=uuid).exclude(state__in=FINAL)
        asked = Coalesce("cancel_asked_at", Value(timezone.now()))
        found = going_on.update(cancel_asked_at=asked)
        notify(CHANNEL, uuid)
    return bool(found)


def new_uuid() -> str:
    """A name for a job of our own."""
    return str(uuid4())


def note_cheat(report: CheatReported) -> None:
    """A user says that a miner's answer was false; kept for whoever decides about it."""
    try:
        signatory = report.verify()
    except BadSignature as exc:
        log.warning("cheat report refused", extra={"job": report.job_uuid, "problem": str(exc)})
        return
    done = Job.objects.filter(
        pk=report.job_uuid, kind=Job.Kind.ORGANIC, state=JobState.COMPLETED, signatory=signatory
    )
    noted = done.filter(cheat_reported_at=None).update(cheat_reported_at=timezone.now())
    log.warning(
        "cheat reported",
        extra={"job": report.job_uuid, "trusted_job": report.trusted_job_uuid, "noted": noted},
    )


def allow(hotkeys: list[str], note: str) -> None:
    """Take jobs signed by these from now on."""
    AllowedSigner.objects.bulk_create(
        [AllowedSigner(hotkey=hotkey, note=note) for hotkey in hotkeys], ignore_conflicts=True
    )
