"""Cancel requests: stored, and sent on each new connection of the validator until the job ends."""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from compute_horde.protocol.status import FailureDetails, StatusMetadata, StatusReported
from compute_horde.vocabulary import FailureReason, JobState, Stage
from facilitator.jobs.rules import UNFINISHED
from facilitator.models import Job


def find_own_job(uuid: str, hotkey: str) -> Job | None:
    """A job of this user, or None."""
    return Job.objects.filter(uuid=uuid, hotkey=hotkey).first()


def store_request(uuid: str, hotkey: str, frame: str) -> None:
    """Store a request to cancel an unfinished job; later ones are ignored."""
    unfinished = Job.objects.filter(uuid=uuid, hotkey=hotkey, state__in=UNFINISHED)
    unfinished.filter(cancel_request="").update(
        cancel_request=frame, cancel_asked_at=timezone.now()
    )


def claim_requests(hotkey: str, connection: str, holders: Sequence[str], limit: int) -> list[str]:
    """Cancel frames sent on none of the connections `holders`; marks them as sent on `connection`.

    Jobs that the facilitator ended itself are included: the validator may have received them.
    """
    unfinished, ended_by_us = (
        Q(state__in=UNFINISHED),
        Q(state=JobState.CANCELLED, cancel_told_to=""),
    )
    with transaction.atomic():
        waiting = (
            Job.objects.select_for_update(no_key=True)
            .filter(unfinished | ended_by_us, validator_id=hotkey)
            .exclude(cancel_request="")
            .exclude(cancel_told_to__in=holders)
            .order_by("cancel_asked_at")[:limit]
        )
        jobs = list(waiting)
        Job.objects.filter(pk__in=[job.pk for job in jobs]).update(cancel_told_to=connection)
        return [job.cancel_request for job in jobs]


def cancelled_before_received(uuid: str) -> StatusReported:
    """The final status that the facilitator records for a job no validator has received."""
    details = FailureDetails(
        reason=FailureReason.CANCELLED,
        stage=Stage.UNKNOWN,
        message="The job was cancelled before a validator took it",
    )
    metadata = StatusMetadata(job_failure_details=details)
    return StatusReported(uuid=uuid, status=JobState.CANCELLED, metadata=metadata)
