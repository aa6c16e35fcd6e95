"""Jobs whose owners want them ended: kept, and said to the validator until they have ended."""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from compute_horde.protocol.status import FailureDetails, StatusMetadata, StatusReported
from compute_horde.vocabulary import FailureReason, JobState, Stage
from facilitator.models import Job
from facilitator.rules import UNFINISHED


def owned(uuid: str, hotkey: str) -> Job | None:
    """A job of this user, without its statuses."""
    return Job.objects.filter(uuid=uuid, hotkey=hotkey).first()


def ask(uuid: str, hotkey: str, frame: str) -> None:
    """Remember that the user wants this job ended; only the first time counts."""
    going_on = Job.objects.filter(uuid=uuid, hotkey=hotkey, state__in=UNFINISHED)
    going_on.filter(cancel_request="").update(cancel_request=frame, cancel_asked_at=timezone.now())


def untold(hotkey: str, channel: str, holders: Sequence[str], limit: int) -> list[str]:
    """Frames for a live connection: what no connection among `holders` was told.

    A job that we ended ourselves may have reached the validator after all, so that is told, too.
    """
    going_on, ended_by_us = Q(state__in=UNFINISHED), Q(state=JobState.CANCELLED, cancel_told_to="")
    with transaction.atomic():
        waiting = (
            Job.objects.select_for_update(no_key=True)
            .filter(going_on | ended_by_us, validator_id=hotkey)
            .exclude(cancel_request="")
            .exclude(cancel_told_to__in=holders)
            .order_by("cancel_asked_at")[:limit]
        )
        jobs = list(waiting)
        Job.objects.filter(pk__in=[job.pk for job in jobs]).update(cancel_told_to=channel)
        return [job.cancel_request for job in jobs]


def never_taken(uuid: str) -> StatusReported:
    """What we ourselves say of a job that was cancelled before a validator took it."""
    details = FailureDetails(
        reason=FailureReason.CANCELLED,
        stage=Stage.UNKNOWN,
        message="The job was cancelled before a validator took it",
    )
    metadata = StatusMetadata(job_failure_details=details)
    return StatusReported(uuid=uuid, status=JobState.CANCELLED, metadata=metadata)
